//! `hunt`: signs of attacks with pickles in logs.
//!
//! Invariant: a log is read once, as a stream, in memory that does not depend on its size.

mod unpack;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::Exit;
use super::args::{Common, RowFormat};
use super::baseline::Against;
use super::progress::Busy;
use super::scan::look;
use super::target::Reading;
use crate::defect::{caught, strike};
use crate::hunt::{self, AFTER, Groups, Hunter, LINE, Source, Watched};
use crate::pack::Model;
use crate::text::{printable, printable_lines};
use unpack::unpacked;

/// Bytes that are searched at once.
const CHUNK: usize = 8 << 20;
/// Bytes kept before them, and read after them, for lines and pickles that go over their ends.
const AROUND: usize = LINE + AFTER;
/// Notes of one log.
const NOTES: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Logs of applications, servers, containers and systemd, as text or JSON, in gzip, bz2, xz and zstd too; folders of them; `-` is standard input
    #[arg(value_name = "LOG", required_unless_present = "queries")]
    logs: Vec<String>,
    /// Print searches for grep, jq, Splunk, Elastic and Sigma instead, for the routes that a scan of PATH finds
    #[arg(long, value_name = "PATH", conflicts_with = "logs", num_args = 1..)]
    queries: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: RowFormat,
}

pub(super) fn hunt(args: &Args) -> anyhow::Result<Exit> {
    let model = Model::builtin()?;
    let rewrites = model
        .transforms
        .iter()
        .filter_map(|transform| transform.rewrite.as_ref());
    let refusals: BTreeSet<String> = rewrites
        .map(|rewrite| rewrite.log.clone())
        .filter(|log| !log.is_empty())
        .collect();
    let refusals: Vec<String> = refusals.into_iter().collect();
    if !args.queries.is_empty() {
        return queries(args, &refusals);
    }
    let hunter =
        Hunter::new(refusals).ok_or_else(|| anyhow::anyhow!("the search cannot be built"))?;
    let mut sources = Vec::new();
    let mut groups = Groups::default();
    let mut found = 0;
    let busy = Busy::on("looking for logs");
    for log in &args.logs {
        for path in files(log, &mut sources) {
            busy.at(&format!("reading {path}"));
            sources.push(read(&hunter, &path, &mut groups, &mut found));
        }
    }
    drop(busy);
    let whole = sources.iter().all(|source| source.notes.is_empty());
    match args.format {
        RowFormat::Text => out!("{}", hunt::text(&sources, groups)),
        RowFormat::Json => outln!(
            "{}",
            crate::report::json_text(&hunt::json(&sources, groups))?
        ),
    }
    Ok(match (whole, found) {
        (false, _) => Exit::Incomplete,
        (true, 0) => Exit::Done,
        _ => Exit::Findings,
    })
}

/// The files that `log` names: all those in a folder, in the order of their names.
fn files(log: &str, sources: &mut Vec<Source>) -> Vec<String> {
    if log == "-" || !Path::new(log).is_dir() {
        return vec![log.to_owned()];
    }
    let mut files = Vec::new();
    // Links are not followed: they may lead round.
    for entry in ignore::WalkBuilder::new(log)
        .standard_filters(false)
        .sort_by_file_name(Ord::cmp)
        .build()
    {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                files.push(entry.path().to_string_lossy().into_owned());
            }
            Ok(_) => {}
            Err(error) => sources.push(Source {
                file: log.to_owned(),
                notes: vec![error.to_string()],
                ..Source::default()
            }),
        }
    }
    files
}

/// Reads one log, and counts its signs.
fn read(hunter: &Hunter, path: &str, groups: &mut Groups, found: &mut u64) -> Source {
    let mut source = Source {
        file: path.to_owned(),
        ..Source::default()
    };
    let mut notes = Vec::new();
    match unpacked(path) {
        Ok(mut reader) => {
            let streamed = caught(|| {
                strike("hunt", path);
                stream(hunter, &mut reader, &mut source, groups, found, &mut notes)
            });
            let failed = match streamed {
                Ok(read) => read.err().map(|error| error.to_string()),
                Err(said) => Some(format!("depickle failed ({said}); please report this")),
            };
            notes.extend(failed.map(|why| format!("not read after {} bytes: {why}", source.bytes)));
        }
        Err(error) => notes.push(format!("cannot be read: {error:#}")),
    }
    if notes.len() > NOTES {
        let more = notes.len() - NOTES;
        notes.truncate(NOTES);
        notes.push(format!("{more} more of these"));
    }
    source.notes = notes;
    source
}

/// Searches all of `reader`, a chunk at a time.
fn stream(
    hunter: &Hunter,
    reader: &mut impl Read,
    source: &mut Source,
    groups: &mut Groups,
    found: &mut u64,
    notes: &mut Vec<String>,
) -> std::io::Result<()> {
    let mut buffer: Vec<u8> = Vec::new();
    // What of it was searched; and how many lines end before.
    let mut from = 0;
    let mut result = Ok(());
    loop {
        let room = AROUND + CHUNK + AROUND - buffer.len();
        let read = reader.by_ref().take(room as u64).read_to_end(&mut buffer);
        // What came before an error is in the buffer.
        let over = match read {
            Ok(read) => read < room,
            Err(error) => {
                result = Err(error);
                true
            }
        };
        let to = match over {
            true => buffer.len(),
            false => {
                let most = buffer.len() - AROUND;
                let line = memchr::memrchr(b'\n', buffer.get(from..most).unwrap_or_default());
                line.map_or(most, |line| from + line + 1)
            }
        };
        let mut counted = from;
        let mut next = to;
        for hit in hunt::hunt(hunter, &buffer, from, to) {
            source.lines += lines(&buffer, counted, hit.at);
            counted = counted.max(hit.at);
            next = next.max(hit.end);
            let line = source.lines + 1;
            if hit.cut {
                notes.push(format!("line {line} is longer than 1 MiB, or full of what might be pickles: not all of it was looked at"));
            }
            *found += hit.signs.len() as u64;
            groups.add(hit, &source.file, line);
        }
        source.lines += lines(&buffer, counted, next);
        source.bytes += (next - from) as u64;
        if over {
            let open = buffer.last().is_some_and(|last| *last != b'\n');
            source.lines += u64::from(open);
            return result;
        }
        let keep = next.saturating_sub(AROUND);
        buffer.drain(..keep);
        from = next - keep;
    }
}

/// Lines that end in `buffer` between `from` and `to`.
fn lines(buffer: &[u8], from: usize, to: usize) -> u64 {
    let text = buffer.get(from..to).unwrap_or_default();
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// Prints searches for the routes of a project.
fn queries(args: &Args, refusals: &[String]) -> anyhow::Result<Exit> {
    let common = Common {
        paths: args.queries.clone(),
        per_host: 4,
        timeout: 600,
        ..Common::default()
    };
    let (run, _) = look(&common.resolved()?, Reading::WorkTree, &Against::Nothing)?;
    let mut routes: BTreeSet<Watched> = BTreeSet::new();
    for project in &run.projects {
        if let Some(error) = &project.error {
            anyhow::bail!("{}: {error}", project.root);
        }
        for entry in project
            .findings
            .iter()
            .filter(|f| run.counts(f))
            .flat_map(|f| &f.entries)
        {
            let methods = entry.methods.clone();
            routes.extend(entry.route.clone().map(|route| Watched { route, methods }));
        }
    }
    let routes: Vec<Watched> = routes.into_iter().collect();
    let all = hunt::queries(&routes, refusals);
    if args.format == RowFormat::Json {
        let document =
            json!({"schema": "depickle-hunt-queries/1", "routes": routes, "queries": all});
        outln!("{}", crate::report::json_text(&document)?);
        return Ok(Exit::Done);
    }
    let mut out = String::new();
    match routes.is_empty() {
        true => out.push_str(
            "# No route that leads to a load was found: these searches are for all of them.\n",
        ),
        false => out.push_str("# Routes that lead to loads:\n"),
    }
    for watched in &routes {
        let methods = if watched.methods.is_empty() {
            "any method".to_owned()
        } else {
            watched.methods.join("/")
        };
        out.push_str(&format!(
            "#   {} {}\n",
            printable(&methods),
            printable(&watched.route)
        ));
    }
    for query in all {
        out.push_str(&format!(
            "\n# {}: {}\n{}\n",
            query.tool,
            query.finds,
            printable_lines(&query.text)
        ));
    }
    out!("{out}");
    let open = run.projects.iter().any(|project| project.status != "ok");
    Ok(if open { Exit::Incomplete } else { Exit::Done })
}
