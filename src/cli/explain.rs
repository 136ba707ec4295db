//! `explain`: everything that has an id, in words.

use std::fmt::Write;
use std::path::Path;

use super::Exit;
use super::args::Common;
use super::output::columns;
use super::schedule::Place;
use super::target::{Reading, read};
use crate::journal::Target;
use crate::pack::{Change, Example, Framework, Model, ReplyStyle};
use crate::plan::Reason;
use crate::report::{self, Look, ProjectRow, Rule, Run};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A transform, framework, sink or reason; or a load in the current folder: its fingerprint, or FILE:LINE
    #[arg(value_name = "ID")]
    id: Option<String>,
    #[arg(
        long,
        value_name = "PATH",
        default_value = ".",
        help = "Where to look for a load"
    )]
    project: String,
}

pub(super) fn explain(args: &Args) -> anyhow::Result<Exit> {
    let model = Model::builtin()?;
    let text = match &args.id {
        None => everything(&model),
        Some(id) => match by_id(&model, id) {
            Some(text) => text,
            None => finding(&model, id, &args.project)?,
        },
    };
    out!("{text}");
    Ok(Exit::Done)
}

/// All ids there are.
fn everything(model: &Model) -> String {
    let mut out = String::from("transforms\n");
    for transform in &model.transforms {
        let _ = writeln!(out, "  {:<26} {}", transform.id, transform.title);
    }
    out.push_str("\nframeworks\n");
    for framework in &model.frameworks {
        let _ = writeln!(out, "  {:<26} {}", framework.id, framework.title);
    }
    out.push_str("\nsinks\n");
    for sink in model.transforms.iter().flat_map(|t| &t.sinks) {
        let names = sink.setting.as_ref().map_or(&sink.names, |s| &s.keys);
        let _ = writeln!(out, "  {}", names.join(", "));
    }
    out.push_str("\nreasons\n");
    for reason in Reason::ALL {
        let _ = writeln!(out, "  {:<26} {}", reason.code(), reason.sentence());
    }
    out.push_str("\n`depickle explain ID` says more of each.\n");
    out
}

fn by_id(model: &Model, id: &str) -> Option<String> {
    if let Some(transform) = model.transforms.iter().find(|t| t.id == id) {
        return Some(transform.readme.clone());
    }
    if let Some(framework) = model.frameworks.iter().find(|f| f.id == id) {
        return Some(framework_text(framework));
    }
    if let Some((transform, sink)) = model.sink(id).and_then(|sink| model.sink_row(sink)) {
        let set = |change: &Change| {
            let code = change.set.as_ref()?;
            Some(format!("{}={code}", change.keyword))
        };
        let becomes = match &transform.rewrite {
            Some(_) if !sink.becomes.is_empty() => format!("it becomes {}", sink.becomes),
            Some(_) if sink.rewritable() => {
                let set: Vec<String> = sink.changes.iter().filter_map(set).collect();
                format!("it stays, with {}", set.join(", "))
            }
            _ => "it is reported, not rewritten".to_owned(),
        };
        let advice = match sink.advice.trim_end_matches('.') {
            "" => String::new(),
            advice => format!("{advice}.\n"),
        };
        return Some(format!(
            "{id}: a sink of {0}; {becomes}.\n{advice}`depickle explain {0}` says why and how.\n",
            transform.id
        ));
    }
    let reason = Reason::by_code(id)?;
    let mut text = format!(
        "{id}: {}.\nNext: {}.\n",
        reason.sentence(),
        reason.next_step()
    );
    if let Some(example) = Example::of(id) {
        let Example { path, title, code } = example;
        let _ = write!(
            text,
            "\nFor example ({title}; transforms/{path}):\n\n{code}"
        );
    }
    Some(text)
}

fn framework_text(framework: &Framework) -> String {
    let mut out = format!("{}\n", framework.title);
    for object in &framework.objects {
        let members: Vec<&str> = object.members.keys().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "\n{} ({}):\n  {}",
            object.name,
            object.trust.word(),
            members.join(", ")
        );
    }
    for source in framework.sources.iter().filter(|s| s.is.is_none()) {
        let trust = source.trust.map_or("", |trust| trust.word());
        let _ = writeln!(out, "\nsource ({trust}): {}", source.names.join(", "));
    }
    for handler in &framework.handlers {
        let how = [
            ("decorated with", handler.decorators.join(", ")),
            (
                "passed to",
                handler
                    .registered
                    .iter()
                    .map(|r| r.call.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            ("methods of subclasses of", handler.bases.join(", ")),
        ];
        for (what, names) in how.iter().filter(|(_, names)| !names.is_empty()) {
            let _ = writeln!(out, "\nhandlers {what}: {names}");
        }
    }
    for reply in &framework.replies {
        let what = match reply.style {
            ReplyStyle::Return => "answers 400 in a handler",
            ReplyStyle::Raise => "answers 400 anywhere below it",
            ReplyStyle::Drop => "drops the message in a handler (suggested only)",
        };
        let code = reply.code.source.replace('\n', "; ");
        let _ = writeln!(out, "\n{what}: {code}");
    }
    out
}

/// The findings of `project` whose fingerprint starts with `id`, or that are at that FILE:LINE.
fn finding(model: &Model, id: &str, project: &str) -> anyhow::Result<String> {
    let hex = id.len() >= 4 && id.chars().all(|c| c.is_ascii_hexdigit());
    let at = id.rsplit_once(':');
    let at = at.and_then(|(file, line)| Some((file, line.parse::<usize>().ok()?)));
    if !hex && at.is_none() {
        anyhow::bail!(
            "{id:?}: no transform, framework, sink or reason is called that; `depickle explain` lists all, and FILE:LINE \
             names a load"
        );
    }
    let common = Common::default();
    let order = common.order();
    let place = Place {
        path: project.into(),
        base: None,
        cloned: None,
    };
    let target = read(&Target::new(project), &place, &common, Reading::WorkTree)
        .map_err(|error| anyhow::anyhow!("{project}: {error}"))?;
    let checked = crate::migrate(&target.project, model, &order, None);
    let mut row = ProjectRow::of(project, &target.prefix, &target.project, model, checked);
    let prefix = target.prefix;
    row.findings.retain(|finding| match at {
        Some((file, line)) => {
            let lines = finding.line..=finding.end_line;
            lines.contains(&line) && is_path_of(file, project, &prefix, &finding.file)
        }
        None => finding.fingerprint.starts_with(id),
    });
    if row.findings.is_empty() {
        anyhow::bail!(
            "{id:?}: no load in {project} has that place or fingerprint; `depickle scan -v` lists the places, --format json \
             the fingerprints"
        );
    }
    let patches: Vec<Vec<u8>> = row.changes.iter().map(report::unified).collect();
    let mut run = Run::new(String::new(), order.trust);
    run.tests = order.tests;
    run.rules = Rule::all(model);
    run.projects.push(row);
    let mut text = report::text(
        &run,
        Look {
            all: true,
            suppressed: true,
            explain: true,
            width: columns(&std::io::stdout()),
        },
    );
    for patch in patches {
        text.push_str(&crate::text::printable_lines(&String::from_utf8_lossy(
            &patch,
        )));
    }
    Ok(text)
}

/// Whether `asked` means `file` of `project`, from the project's folder, from here, or from the top of its repository.
fn is_path_of(asked: &str, project: &str, prefix: &str, file: &str) -> bool {
    let asked = asked.trim_start_matches("./");
    let here = Path::new(project).join(file);
    let here = here.strip_prefix(".").unwrap_or(&here);
    asked == file || Path::new(asked) == here || asked.strip_prefix(prefix) == Some(file)
}

#[cfg(test)]
mod tests {
    use super::{by_id, is_path_of};
    use crate::pack::{Example, Model};
    use crate::plan::Reason;

    #[test]
    fn every_reason_is_explained_with_an_example_where_a_case_names_it() {
        let model = Model::builtin().unwrap();
        let mut without = Vec::new();
        for reason in Reason::ALL {
            let text = by_id(&model, reason.code()).unwrap();
            assert!(text.contains(reason.next_step()), "{text}");
            match Example::of(reason.code()) {
                Some(example) => assert!(text.contains(&example.code), "{text}"),
                None => without.push(reason.code()),
            }
        }
        // Their cases are programs that cannot be written down as one, or say `guarded` alone.
        let expected = [
            "signature-checked",
            "restricted-unpickler",
            "network-peer",
            "web-client",
            "file-not-parsed",
            "analysis-bound",
            "analysis-failed",
            "not-encodable",
            "check-failed",
        ];
        assert_eq!(without, expected);
    }

    #[test]
    fn a_file_is_named_from_where_one_stands_or_from_the_top() {
        assert!(is_path_of("app.py", ".", "", "app.py"));
        assert!(is_path_of("./app.py", ".", "", "app.py"));
        assert!(is_path_of("shop/app.py", "shop", "", "app.py"));
        assert!(is_path_of("web/app.py", ".", "web/", "app.py"));
        assert!(!is_path_of("lib/app.py", ".", "", "app.py"));
        assert!(!is_path_of("pp.py", ".", "", "app.py"));
    }
}
