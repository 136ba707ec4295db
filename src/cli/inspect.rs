//! `inspect`: what pickles would do, without running them.

use std::io::Read;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::Exit;
use super::args::RowFormat;
use super::convert::find::{Kind, find};
use super::progress::Busy;
use crate::defect::{caught, strike};
use crate::pickle::{
    Arg, Entry, Machine, Op, Part, Unwrapped, Verdict, float, run_seen, shelf, unwrap,
};
use crate::text::printable;

/// Bytes of one file that are read at most.
const LARGEST: u64 = 4 << 30;
/// Pickles after one another in one part that are read at most.
const STREAM: usize = 10_000;
/// Imports, calls and opcodes that are printed of one pickle at most, and of all in one file; all are counted.
const SHOWN: usize = 1000;
const SHOWN_IN_ALL: usize = 20_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files with pickles, also of joblib or within zip, gzip, zlib, bz2, xz, lzma, base64, hex or numpy arrays; shelves, and
    /// folders with any of these; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Print the opcodes too, at most 1000 of each pickle
    #[arg(long)]
    ops: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: RowFormat,
}

pub(super) fn inspect(args: &Args) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut rows = Vec::new();
    let mut others = 0;
    let mut show = |row: Json| match args.format {
        RowFormat::Text => out!("{}", text(&row)),
        RowFormat::Json => rows.push(row),
    };
    for (asked, name) in args.files.iter().enumerate() {
        if name == "-" {
            show(row_of(
                name,
                &read_file(Path::new(name)),
                args.ops,
                &mut exit,
            ));
            continue;
        }
        let found = find(asked, Path::new(name));
        others += found.others;
        for (name, why) in found.unseen {
            show(row_of(&name, &Err(why), args.ops, &mut exit));
        }
        for item in found.items {
            let busy = Busy::on(&format!("reading {}", item.name));
            let read = match item.kind {
                Kind::File => read_file(&item.path),
                Kind::Shelf => read_shelf(&item.path),
            };
            let none = |(bytes, keys): &(Vec<u8>, Option<Vec<Entry>>)| {
                keys.is_none() && {
                    let found = unwrap(bytes);
                    found.parts.is_empty() && found.notes.is_empty()
                }
            };
            let looked = caught(|| {
                strike("inspect", &item.name);
                let shown = !(item.within && read.as_ref().is_ok_and(none));
                shown.then(|| row_of(&item.name, &read, args.ops, &mut exit))
            });
            let row = looked.unwrap_or_else(|said| {
                let why = format!("depickle failed on it ({said}); please report this");
                Some(row_of(&item.name, &Err(why), args.ops, &mut exit))
            });
            drop(busy);
            match row {
                Some(row) => show(row),
                None => others += 1,
            }
        }
    }
    match args.format {
        RowFormat::Json => {
            let document = json!({"files": rows, "without-pickle": others});
            outln!("{}", crate::report::json_text(&document)?);
        }
        RowFormat::Text if others > 0 => {
            outln!("{others} files in folders hold no pickle");
        }
        RowFormat::Text => {}
    }
    Ok(exit)
}

/// The bytes of a file; of a shelf those of its values, and where each of them is.
type Bytes = Result<(Vec<u8>, Option<Vec<Entry>>), String>;

fn read_file(path: &Path) -> Bytes {
    let bytes = bytes(path).map_err(|error| error.to_string())?;
    Ok((bytes, None))
}

fn read_shelf(path: &Path) -> Bytes {
    let part = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        bytes(Path::new(&name)).map_err(|error| error.to_string())
    };
    let entries = shelf(&part(".dir")?)?;
    Ok((part(".dat")?, Some(entries)))
}

fn row_of(name: &str, read: &Bytes, ops: bool, exit: &mut Exit) -> Json {
    match read {
        Ok((bytes, None)) => look(name, unwrap(bytes), ops, exit),
        Ok((bytes, Some(entries))) => look(name, values(bytes, entries), ops, exit),
        Err(error) => {
            *exit = (*exit).max(Exit::Incomplete);
            json!({"file": name, "pickles": [], "notes": [format!("cannot be read: {error}")]})
        }
    }
}

/// The values of a shelf.
fn values<'b>(bytes: &'b [u8], entries: &[Entry]) -> Unwrapped<'b> {
    let mut found = Unwrapped::default();
    for entry in entries {
        let way = format!("shelf:{}", String::from_utf8_lossy(&entry.key));
        let end = entry.at.checked_add(entry.size);
        match end.and_then(|end| bytes.get(entry.at..end)) {
            Some(bytes) => found.parts.push(Part {
                way: vec![way],
                bytes: bytes.into(),
                start: 0,
            }),
            None => found
                .notes
                .push(format!("{way}: it is beyond the end of the file")),
        }
    }
    found
}

/// The bytes of a file, or of standard input.
pub(super) fn bytes(name: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = match name == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(name)?),
    };
    source.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        anyhow::bail!("it is larger than 4 GiB; split it");
    }
    Ok(bytes)
}

fn look(name: &str, found: Unwrapped<'_>, ops: bool, exit: &mut Exit) -> Json {
    let mut notes = found.notes;
    if !notes.is_empty() {
        *exit = (*exit).max(Exit::Incomplete);
    }
    let mut pickles = Vec::new();
    let mut left = SHOWN_IN_ALL;
    for part in &found.parts {
        let mut at = part.start;
        for count in 0.. {
            if count == STREAM {
                *exit = (*exit).max(Exit::Incomplete);
                notes.push(format!(
                    "only the first {STREAM} pickles of a stream were read"
                ));
                break;
            }
            let most = if ops { SHOWN.min(left) } else { 0 };
            let mut seen = Vec::new();
            let machine = run_seen(&part.bytes, at, &mut |op| {
                if seen.len() < most {
                    seen.push(opcode(op));
                }
            });
            let verdict = machine.verdict();
            // What follows a pickle and is none at all: nobody's reader gets there by itself.
            let begins = part.bytes.get(at) == Some(&0x80);
            if count > 0 && machine.error.is_some() && verdict == Verdict::DataOnly && !begins {
                let size = part.bytes.len() - at;
                notes.push(format!("{size} bytes after the last pickle are none"));
                break;
            }
            *exit = (*exit).max(match (verdict, &machine.error) {
                (_, Some(_)) => Exit::Incomplete,
                (Verdict::DataOnly, None) => Exit::Done,
                _ => Exit::Findings,
            });
            pickles.push(one(&machine, &part.way, at, ops.then_some(seen), &mut left));
            at = machine.end;
            if machine.error.is_some() || at >= part.bytes.len() {
                break;
            }
        }
    }
    if pickles.is_empty() {
        *exit = (*exit).max(Exit::Incomplete);
        notes.push(
            "no pickle was found: neither as it is, nor in zip, gzip, zlib, bz2, xz, lzma, base64, hex, npy"
                .to_owned(),
        );
    }
    json!({"file": name, "pickles": pickles, "notes": notes})
}

fn one(
    machine: &Machine,
    way: &[String],
    at: usize,
    ops: Option<Vec<Json>>,
    left: &mut usize,
) -> Json {
    let shown = SHOWN.min(*left);
    let (imports, calls) = (machine.imports.iter(), machine.calls.iter());
    let (imports, calls): (Vec<_>, Vec<_>) =
        (imports.take(shown).collect(), calls.take(shown).collect());
    let many = imports.len() + calls.len() + ops.as_ref().map_or(0, Vec::len);
    *left = left.saturating_sub(many);
    let mut row = json!({
        "within": way,
        "at": at,
        "bytes": machine.end - at,
        "protocol": machine.protocol,
        "verdict": machine.verdict(),
        "opcodes": machine.ops,
        "import-count": machine.import_count,
        "call-count": machine.call_count,
        "array-count": machine.arrays.len(),
        "imports": imports,
        "calls": calls,
        "error": machine.error.as_ref().map(ToString::to_string),
    });
    if let Some(ops) = ops {
        row["ops"] = ops.into();
    }
    row
}

fn opcode(op: &Op) -> Json {
    json!({"at": op.at, "opcode": op.name, "arg": shown(&op.arg)})
}

/// An argument in at most some hundred characters.
fn shown(arg: &Arg) -> Json {
    let short = |bytes: &[u8]| {
        let start = bytes.get(..200.min(bytes.len())).unwrap_or_default();
        let more = if bytes.len() > 200 { "..." } else { "" };
        format!("{}{more}", String::from_utf8_lossy(start))
    };
    match arg {
        Arg::Nothing => Json::Null,
        Arg::Bool(truth) => json!(truth),
        Arg::Int(number) => match number.decimal() {
            Some(digits) => digits
                .parse::<i64>()
                .map_or(json!(digits), |small| json!(small)),
            None => json!("an integer of more than 4300 digits"),
        },
        Arg::Float(number) => json!(float(*number)),
        Arg::Text(text) | Arg::Str(text) => json!(short(text)),
        Arg::Bytes(bytes) => json!(format!("{} bytes", bytes.len())),
        Arg::Pair(module, member) => json!(format!("{} {}", short(module), short(member))),
    }
}

/// The row of a file for people.
fn text(row: &Json) -> String {
    let word = |value: &Json| match value {
        Json::String(text) => printable(text),
        other => printable(&other.to_string()),
    };
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let mut out = format!("{}\n", word(&row["file"]));
    for pickle in list(&row["pickles"]) {
        let way: Vec<String> = list(&pickle["within"]).iter().map(word).collect();
        let way = if way.is_empty() {
            String::new()
        } else {
            format!("{}  ", way.join(" > "))
        };
        out.push_str(&format!(
            "  {way}byte {}  {}  protocol {}, {} opcodes, {} bytes\n",
            pickle["at"],
            word(&pickle["verdict"]),
            pickle["protocol"],
            pickle["opcodes"],
            pickle["bytes"]
        ));
        for op in list(&pickle["ops"]) {
            let arg = if op["arg"].is_null() {
                String::new()
            } else {
                word(&op["arg"])
            };
            let line = format!("    {:>8}  {:<16} {arg}", op["at"], word(&op["opcode"]));
            out.push_str(line.trim_end());
            out.push('\n');
        }
        for import in list(&pickle["imports"]) {
            out.push_str(&format!(
                "    imports {}  (byte {})\n",
                word(&import["name"]),
                import["at"]
            ));
        }
        for call in list(&pickle["calls"]) {
            let (callable, arguments) = (word(&call["callable"]), word(&call["arguments"]));
            out.push_str(&format!(
                "    calls   {callable}({arguments})  (byte {})\n",
                call["at"]
            ));
        }
        let hidden = |all: &str, shown: &str| {
            let all = pickle[all].as_u64().unwrap_or(0);
            all.saturating_sub(list(&pickle[shown]).len() as u64)
        };
        match (
            hidden("import-count", "imports"),
            hidden("call-count", "calls"),
        ) {
            (0, 0) => {}
            (imports, calls) => out.push_str(&format!(
                "    and {imports} imports and {calls} calls more\n"
            )),
        }
        if pickle["array-count"] != 0 {
            out.push_str(&format!(
                "    passed over, as joblib does: {} arrays of numbers\n",
                pickle["array-count"]
            ));
        }
        if !pickle["error"].is_null() {
            out.push_str(&format!(
                "    stops   {}; what was read until there still runs: do not load it\n",
                word(&pickle["error"])
            ));
        }
    }
    for note in list(&row["notes"]) {
        out.push_str(&format!("  note: {}\n", word(&note)));
    }
    out
}
