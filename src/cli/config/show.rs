//! `config`: what holds for a project, and where each of it comes from.

use std::path::Path;

use serde_json::{Value, json};

use super::find::File;
use super::own::{Own, Place};
use super::tables::Config;
use crate::cli::Exit;
use crate::cli::args::{Common, RowFormat};
use crate::pack::Redefined;
use crate::repo::Repo;
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The repository, folder or file whose configuration is meant
    #[arg(value_name = "PATH", default_value = ".")]
    path: std::path::PathBuf,
    /// Your configuration, instead of the one that is found
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// A folder of packs besides those that are built in
    #[arg(long, value_name = "DIR")]
    pack: Vec<std::path::PathBuf>,
    /// Do not read the repository's own configuration
    #[arg(long, visible_alias = "isolated")]
    no_repo_config: bool,
    /// What to print
    #[arg(long, value_name = "FMT", default_value = "text")]
    format: RowFormat,
    /// Print the JSON schema of depickle.toml instead
    #[arg(long)]
    schema: bool,
}

/// A key, what it is, and who says so.
struct Held {
    key: String,
    value: Value,
    from: String,
}

pub(in crate::cli) fn config(args: &Args) -> anyhow::Result<Exit> {
    if args.schema {
        let schema = schemars::schema_for!(Config);
        outln!("{}", crate::report::json_text(&schema)?);
        return Ok(Exit::Done);
    }
    if !args.path.exists() {
        anyhow::bail!(
            "{}: no such file or folder; check the path",
            args.path.display()
        );
    }
    let asked = Common {
        config: args.config.clone(),
        pack: args.pack.clone(),
        no_repo_config: args.no_repo_config,
        quiet: true,
        ..Common::default()
    };
    let common = asked.resolved()?;
    let model = common.model()?;
    let repo = Repo::discover(&args.path).ok();
    let own = Own::find(
        &common,
        &Place {
            path: &args.path,
            repo: repo.as_ref(),
            commit: None,
        },
    );
    let users = super::find::users(None, args.config.as_deref())?;
    let own = own.map(|own| own.file).transpose()?;
    // As it would be, with its mistakes.
    let mut known = common.known.clone();
    let mut redefined: Vec<String> = model.redefined().iter().map(Redefined::sentence).collect();
    if let Some(file) = &own {
        for (id, on) in &file.config.transforms {
            let place = file.mistake(id, String::new());
            super::known_transform(&model, id, Some(&place))?;
            known.off.extend((!on).then(|| (id.clone(), Some(place))));
        }
        let with = known.model(file.rows().as_slice())?;
        redefined = with.redefined().iter().map(Redefined::sentence).collect();
    }
    let held = held(&common, users.as_ref(), own.as_ref())?;
    let ignored = own.as_ref().map(ignored).unwrap_or_default();
    let shown = |file: &Option<File>| {
        let file = file.as_ref();
        file.map(|file| file.path.display().to_string())
    };
    match args.format {
        RowFormat::Json => {
            let rows = held
                .iter()
                .map(|one| json!({"key": one.key, "value": one.value, "from": one.from}));
            let document = json!({
                "schema": "depickle-config/1",
                "path": args.path.display().to_string(),
                "yours": shown(&users),
                "repositorys": shown(&own),
                "digest": common.known.digest,
                "values": rows.collect::<Vec<_>>(),
                "not_heeded": ignored,
                "redefined": redefined,
            });
            outln!("{}", crate::report::json_text(&document)?);
        }
        RowFormat::Text => {
            let none = |file: Option<String>| file.unwrap_or_else(|| "none".to_owned());
            let mut lines = vec![
                format!("yours             {}", none(shown(&users))),
                format!("repository's own  {}", none(shown(&own))),
                String::new(),
            ];
            let width = held.iter().map(|one| one.key.len()).max().unwrap_or(0);
            for Held { key, value, from } in &held {
                let value = plain(value);
                lines.push(format!("{key:width$}  {value:<28}  {from}"));
            }
            for key in ignored {
                lines.push(format!(
                    "not heeded: {key}: only your own configuration may set it"
                ));
            }
            lines.extend(redefined);
            for line in lines {
                outln!("{}", printable(line.trim_end()));
            }
        }
    }
    Ok(Exit::Done)
}

/// Keys of a repository's own file that do not count.
fn ignored(file: &File) -> Vec<String> {
    let keys = file.keys().into_iter().map(|(key, _)| key);
    keys.filter(|key| !Config::OWN.contains(&key.as_str()))
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| format!("{key} = {}", plain(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Every key that is set, and the defaults of those that decide what is found and staged.
fn held(common: &Common, users: Option<&File>, own: Option<&File>) -> anyhow::Result<Vec<Held>> {
    let mut held: Vec<Held> = Vec::new();
    let levels: Vec<&str> = common.levels().iter().map(|level| level.word()).collect();
    let defaults = json!({
        "trust": levels, "include": [], "exclude": [], "include-tests": false, "no-ignore": false, "message": "the transform's",
        "to": "json, else what fits", "log-rejects": false, "dual-read": false, "suggestions": false,
        "no-repo-config": common.no_repo_config,
    });
    if let Value::Object(table) = defaults {
        held.extend(table.into_iter().map(|(key, value)| Held {
            key,
            value,
            from: "default".to_owned(),
        }));
    }
    for (file, whose) in [(users, "yours"), (own, "the repository's own")] {
        let Some(file) = file else { continue };
        let table = file.table()?;
        for (key, line) in file.keys() {
            if whose != "yours" && !Config::OWN.contains(&key.as_str()) {
                continue;
            }
            let Some(value) = table.get(&key) else {
                continue;
            };
            let from = format!("{}:{line} ({whose})", file.path.display());
            let value = match value {
                Value::Array(rows) if rows.iter().all(Value::is_object) && !rows.is_empty() => {
                    names(rows)
                }
                value => value.clone(),
            };
            let joins = matches!(&value, Value::Array(_) | Value::Object(_));
            let known = held.iter_mut().find(|one| one.key == key);
            match known {
                Some(one) if one.from == "default" || !joins => {
                    let named = one.from != "default" && common.known.weak.is_empty();
                    if !named {
                        (one.value, one.from) = (value, from);
                    }
                }
                // Lists of both are one.
                _ => held.push(Held { key, value, from }),
            }
        }
    }
    for dir in &common.pack {
        held.push(Held {
            key: "--pack".to_owned(),
            value: json!(Path::new(dir).display().to_string()),
            from: "command line".to_owned(),
        });
    }
    Ok(held)
}

/// What rows are about.
fn names(rows: &[Value]) -> Value {
    let first = |row: &Value| {
        let keys = [
            "names",
            "type",
            "decorators",
            "bases",
            "code",
            "methods",
            "path",
            "url",
        ];
        let found = keys.iter().find_map(|key| row.get(*key));
        match found {
            Some(Value::Array(list)) => list.first().cloned().unwrap_or(Value::Null),
            Some(value) => value.clone(),
            None => json!("a row"),
        }
    };
    Value::Array(rows.iter().map(first).collect())
}
