//! `convert`: stored pickles to JSON, without loading them.
//!
//! Invariant: everything is read and judged before anything is written, and read once more when it is. What is there stays,
//! unless `--in-place` asks; what is written is in the journal first.

pub(super) mod find;
mod show;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::args::RowFormat;
use super::progress::Busy;
use super::target::begun;
use super::{Exit, hinted};
use crate::defect::{caught, strike};
use crate::journal::{Entry, Journal, State, Target, digest};
use crate::pickle::{Document, Lost, Obstacle, document, shelf_document};
use crate::stage::{Data, write};
use find::{Item, Kind, find};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of pickles, shelves (with or without their ending), and folders in which to look for both
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,
    /// Write each document beside its pickle: a.pkl.json; a.pkl.jsonl for several pickles
    #[arg(long, conflicts_with_all = ["output", "in_place"])]
    write: bool,
    /// Write into this folder
    #[arg(short, long, value_name = "DIR", conflicts_with = "in_place")]
    output: Option<PathBuf>,
    /// Write over the pickles themselves; rollback brings them back
    #[arg(long)]
    in_place: bool,
    /// Only say what would be written: the default, where nothing says where to write
    #[arg(long)]
    dry_run: bool,
    /// Write also what loses something, as it is listed
    #[arg(long)]
    lossy: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: RowFormat,
}

/// What comes of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It can be written.
    Convertible,
    /// It can be written with `--lossy`.
    Lossy,
    /// It cannot, and why.
    Refused(String),
    /// The very document is there already.
    Same,
    /// It is written.
    Written,
    /// It could not be written, and why.
    Failed(String),
}

/// One item and what comes of it.
#[derive(Debug)]
struct Row {
    item: Item,
    outcome: Outcome,
    values: usize,
    lost: Lost,
    output: PathBuf,
    /// Digest of the document.
    digest: String,
}

/// Everything that was asked for.
#[derive(Debug, Default)]
struct Looked {
    rows: Vec<Row>,
    /// Files in folders that hold no pickle.
    others: usize,
    /// What was not looked at, and why.
    unseen: Vec<(String, String)>,
}

pub(super) fn convert(args: &Args) -> anyhow::Result<Exit> {
    let mut looked = Looked::default();
    let mut taken = HashSet::new();
    let busy = Busy::on("looking for pickles");
    for (asked, path) in args.files.iter().enumerate() {
        let found = find(asked, path);
        looked.unseen.extend(found.unseen);
        looked.others += found.others;
        for item in found.items {
            busy.at(&format!("reading {}", item.name));
            let name = item.name.clone();
            let done = caught(|| {
                strike("convert", &name);
                look(item, args, &mut looked, &mut taken);
            });
            let failed = |said| format!("depickle failed on it ({said}); please report this");
            looked
                .unseen
                .extend(done.err().map(|said| (name, failed(said))));
        }
    }
    let writes = (args.write || args.in_place || args.output.is_some()) && !args.dry_run;
    let mut undo = None;
    if writes && looked.rows.iter().any(|row| wanted(row, args)) {
        busy.at("writing");
        undo = Some(write_all(args, &mut looked.rows)?);
    }
    drop(busy);
    match args.format {
        RowFormat::Text => out!("{}", show::text(&looked, writes, args.lossy)),
        RowFormat::Json => {
            let json = show::json(&looked, undo.as_deref());
            outln!("{}", crate::report::json_text(&json)?);
        }
    }
    if let Some(run) = undo {
        errln!("run {run}; to undo it: depickle rollback {run}");
    }
    let done = |row: &Row| match row.outcome {
        Outcome::Convertible | Outcome::Same | Outcome::Written => true,
        Outcome::Lossy => args.lossy,
        Outcome::Refused(_) | Outcome::Failed(_) => false,
    };
    Ok(
        match looked.unseen.is_empty() && looked.rows.iter().all(done) {
            true => Exit::Done,
            false => Exit::Incomplete,
        },
    )
}

fn wanted(row: &Row, args: &Args) -> bool {
    row.outcome == Outcome::Convertible || (row.outcome == Outcome::Lossy && args.lossy)
}

/// Reads one item, and judges it.
fn look(item: Item, args: &Args, looked: &mut Looked, taken: &mut HashSet<PathBuf>) {
    let document = match read(&item) {
        Err(error) => {
            let why = format!("it cannot be read: {error}");
            return looked.unseen.push((item.name, why));
        }
        Ok(Err(Obstacle::NoPickle(_))) if item.within => return looked.others += 1,
        Ok(Err(Obstacle::Unread(what))) => return looked.unseen.push((item.name, unread(&what))),
        Ok(Err(Obstacle::NoPickle(why) | Obstacle::Refused(why))) => {
            let row = Row::new(item, Outcome::Refused(why), PathBuf::new());
            return looked.rows.push(row);
        }
        Ok(Ok((document, _))) => document,
    };
    let output = output(&item, &document, args);
    let outcome = match obstacle(&item, &document, args, &output, taken) {
        Some(outcome) => outcome,
        None if document.lost.is_empty() => Outcome::Convertible,
        None => Outcome::Lossy,
    };
    taken.insert(output.clone());
    looked.rows.push(Row {
        values: document.values,
        digest: digest(document.text.as_bytes()),
        lost: document.lost,
        ..Row::new(item, outcome, output)
    });
}

/// The next step for what is not read.
fn unread(what: &str) -> String {
    match what.strip_prefix("a database of ") {
        // Bytes are copied from one database to the other: nothing is loaded.
        Some(_) => format!(
            "{what}; if it is a shelf, copy it to one that is read: python3 -c 'import dbm, dbm.dumb, sys; a = dbm.open(sys.argv[1]); \
             b = dbm.dumb.open(sys.argv[2], \"n\"); [b.__setitem__(k, a[k]) for k in a.keys()]' SHELF COPY"
        ),
        None => what.to_owned(),
    }
}

/// What stands against writing it.
fn obstacle(
    item: &Item,
    document: &Document,
    args: &Args,
    output: &Path,
    taken: &HashSet<PathBuf>,
) -> Option<Outcome> {
    let refused = |why: &str| Some(Outcome::Refused(why.to_owned()));
    if taken.contains(output) {
        return refused("another document would have the same name; convert it on its own");
    }
    if args.in_place {
        if item.kind == Kind::Shelf {
            return refused("a shelf is several files; write beside it, or elsewhere with -o");
        }
        if let Some(way) = document.way.first() {
            let why = format!("it is wrapped in {way}; write beside it, or elsewhere with -o");
            return Some(Outcome::Refused(why));
        }
        return None;
    }
    if output.to_str().is_none() {
        return refused("its name is not valid UTF-8; rename it");
    }
    match std::fs::symlink_metadata(output).map(|meta| meta.is_file()) {
        Err(_) => None,
        Ok(true) if std::fs::read(output).is_ok_and(|now| now == document.text.as_bytes()) => {
            Some(Outcome::Same)
        }
        Ok(_) => Some(Outcome::Refused(format!(
            "{} is there already, and is something else",
            output.display()
        ))),
    }
}

/// Where the document goes.
fn output(item: &Item, document: &Document, args: &Args) -> PathBuf {
    if args.in_place {
        return item.path.clone();
    }
    let mut name = match &args.output {
        Some(folder) => absolute(folder).join(&item.below).into_os_string(),
        None => OsString::from(&item.path),
    };
    name.push(if document.lines { ".jsonl" } else { ".json" });
    name.into()
}

/// `path` from the root on, with links resolved as far as it is there.
fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for folder in whole.ancestors() {
        if let (Ok(real), Ok(rest)) = (folder.canonicalize(), whole.strip_prefix(folder)) {
            return match rest.as_os_str().is_empty() {
                true => real,
                false => real.join(rest),
            };
        }
    }
    whole
}

/// The document of an item, and the bytes of its file; the outer error is the system's.
type Reading = Result<(Document, Vec<u8>), Obstacle>;

fn read(item: &Item) -> anyhow::Result<Reading> {
    let beside = |ending: &str| {
        let mut name = OsString::from(&item.path);
        name.push(ending);
        PathBuf::from(name)
    };
    Ok(match item.kind {
        Kind::File => {
            let bytes = super::inspect::bytes(&item.path)?;
            document(&bytes).map(|made| (made, bytes))
        }
        Kind::Shelf => {
            let index = super::inspect::bytes(&beside(".dir"))?;
            let data = super::inspect::bytes(&beside(".dat"))?;
            shelf_document(&index, &data).map(|made| (made, data))
        }
    })
}

/// Writes what can be written, each file on its own; gives the run's id.
fn write_all(args: &Args, rows: &mut [Row]) -> anyhow::Result<String> {
    let names = args.files.iter().map(|path| path.display().to_string());
    let targets: Vec<Target> = names.map(|name| Target::new(&name)).collect();
    let mut inputs: Vec<String> = targets.iter().map(Target::name).collect();
    inputs.push(format!("convert {args:?}"));
    let journal = super::journal()?;
    let (run, _held) = begun(&journal, None, &inputs)?;
    journal.append(
        &run,
        Entry::RunStarted {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().collect(),
            folder: std::env::current_dir()?.display().to_string(),
            targets: targets.clone(),
            settings: serde_json::Value::Null,
        },
    )?;
    for (asked, target) in targets.iter().enumerate() {
        let target = target.name();
        let (mut written, mut failed) = (0, None);
        for row in rows.iter_mut().filter(|row| row.item.asked == asked) {
            if !wanted(row, args) {
                continue;
            }
            row.outcome = match one(row, args.in_place, &run, &target, &journal) {
                Ok(()) => {
                    written += 1;
                    Outcome::Written
                }
                Err(why) => {
                    failed = Some(why.clone());
                    Outcome::Failed(why)
                }
            };
        }
        let entry = match failed {
            Some(error) => Entry::StageFailed {
                repo: target.clone(),
                target,
                error,
            },
            None if written == 0 => continue,
            None => Entry::StateReached {
                target,
                state: State::Applied,
                detail: Some(format!("{written} files converted")),
            },
        };
        journal.append(&run, entry)?;
    }
    let failed = rows
        .iter()
        .filter(|row| matches!(row.outcome, Outcome::Failed(_)));
    let failed = failed.count();
    journal.append(&run, Entry::RunFinished { staged: 0, failed })?;
    Ok(run)
}

/// Reads an item once more, and writes its document if it is the same.
fn one(
    row: &Row,
    in_place: bool,
    run: &str,
    target: &str,
    journal: &Journal,
) -> Result<(), String> {
    let changed = || "it was changed meanwhile; run it again".to_owned();
    let read = read(&row.item).map_err(|error| error.to_string())?;
    let (document, bytes) = read.map_err(|_| changed())?;
    if digest(document.text.as_bytes()) != row.digest {
        return Err(changed());
    }
    let source = match row.item.kind {
        Kind::File => row.item.path.clone(),
        Kind::Shelf => {
            let mut name = OsString::from(&row.item.path);
            name.push(".dat");
            name.into()
        }
    };
    let data = Data {
        path: &row.output,
        source: &source,
        before: in_place.then_some(&bytes),
        after: document.text.as_bytes(),
    };
    write(&data, run, target, journal).map_err(|error| hinted(&error.to_string(), error.hint()))
}

impl Row {
    fn new(item: Item, outcome: Outcome, output: PathBuf) -> Row {
        Row {
            item,
            outcome,
            values: 0,
            lost: Lost::new(),
            output,
            digest: String::new(),
        }
    }
}
