//! What a hunt found, for people and for programs.
//!
//! Invariant: nothing of a log reaches a terminal raw; both forms show the same groups.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value as Json, json as object};

use super::group::{Counted, Place};
use super::{Groups, Sign};
use crate::text::printable;

/// One log that was read.
#[derive(Debug, Default, Serialize)]
pub struct Source {
    /// Its path.
    pub file: String,
    /// Bytes of text that were read.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// What was not read, or not whole.
    pub notes: Vec<String>,
}

/// Characters of one name or call that are shown to people.
const SHOWN: usize = 200;

/// The JSON form; `schema` changes when a field does.
pub fn json(sources: &[Source], groups: Groups) -> Json {
    let totals: serde_json::Map<String, Json> = groups
        .totals()
        .into_iter()
        .map(|(word, count)| (word.to_owned(), count.into()))
        .collect();
    let (groups, beyond) = groups.sorted();
    object!({
        "schema": "depickle-hunt/1",
        "files": sources,
        "totals": totals,
        "not-listed": beyond,
        "groups": groups,
    })
}

/// The text form.
pub fn text(sources: &[Source], groups: Groups) -> String {
    let totals = groups.totals();
    let (groups, beyond) = groups.sorted();
    let mut out = String::new();
    for source in sources {
        let _ = writeln!(
            out,
            "{}: {} lines, {} bytes",
            printable(&source.file),
            source.lines,
            source.bytes
        );
        for note in &source.notes {
            let _ = writeln!(out, "  note: {}", printable(note));
        }
    }
    for group in &groups {
        let key = &group.key;
        let said = |part: &Option<String>, none: &str| short(part.as_deref().unwrap_or(none));
        let method = key
            .method
            .as_ref()
            .map(|method| format!("{} ", short(method)));
        let _ = write!(
            out,
            "\n{}  {}  {}{}",
            said(&key.hour, "(no time)"),
            said(&key.client, "(no address)"),
            method.unwrap_or_default(),
            said(&key.route, "(no route)"),
        );
        let answers: Vec<String> = group
            .statuses
            .iter()
            .map(|(status, count)| format!("{status} x{count}"))
            .collect();
        if !answers.is_empty() {
            let _ = write!(out, "  answered {}", answers.join(", "));
        }
        out.push('\n');
        group
            .signs
            .iter()
            .for_each(|counted| one(counted, &mut out));
    }
    let seen: Vec<String> = totals
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    out.push('\n');
    let _ = match seen.is_empty() {
        true => writeln!(out, "no signs"),
        false => writeln!(out, "{}", seen.join(", ")),
    };
    if beyond > 0 {
        let _ = writeln!(
            out,
            "{beyond} more are counted, but not listed: there are too many groups"
        );
    }
    out
}

fn short(text: &str) -> String {
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{}{more}", printable(&start))
}

fn one(counted: &Counted, out: &mut String) {
    let word = counted.sign.word();
    match &counted.sign {
        Sign::Payload(payload) => {
            let whole = if payload.whole {
                ""
            } else {
                ", not all of it is in the log"
            };
            let mut way: Vec<&str> = vec![&payload.place];
            way.extend((!payload.key.is_empty()).then_some(payload.key.as_str()));
            way.extend(&payload.within);
            let way: Vec<String> = way.into_iter().map(short).collect();
            let _ = writeln!(
                out,
                "  {word}  in {}, protocol {}{whole}",
                way.join(" > "),
                payload.protocol
            );
            for import in payload.imports.iter().take(5) {
                let _ = writeln!(out, "    imports {}", short(import));
            }
            for call in payload.calls.iter().take(5) {
                let _ = writeln!(out, "    calls   {}", short(call));
            }
        }
        Sign::Error { message, at } => {
            let at = at
                .as_deref()
                .map(|at| format!("  at {}", short(at)))
                .unwrap_or_default();
            let _ = writeln!(out, "  {word}  {}{at}", short(message));
        }
        Sign::Refused { message } => {
            let _ = writeln!(out, "  {word}  {}", short(message));
        }
    }
    let place = |place: &Place| {
        let time = place
            .time
            .as_deref()
            .map(|time| format!(" at {}", short(time)))
            .unwrap_or_default();
        format!("{}:{}{time}", short(&place.file), place.line)
    };
    let _ = match counted.count {
        1 => writeln!(out, "    {}", place(&counted.first)),
        count => writeln!(
            out,
            "    {count} times: {} to {}",
            place(&counted.first),
            place(&counted.last)
        ),
    };
}
