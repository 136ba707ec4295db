//! What was converted, or can be, in words and as JSON.

use serde_json::{Value as Json, json};

use super::{Kind, Looked, Lost, Outcome, Row};
use crate::text::printable;

/// The rows and the counts for people.
pub(super) fn text(looked: &Looked, writes: bool, lossy: bool) -> String {
    let mut out = String::new();
    for row in &looked.rows {
        let values = match (row.item.kind, row.values) {
            (Kind::Shelf, n) => format!("shelf of {n}"),
            (_, 1) => "1 value".to_owned(),
            (_, n) => format!("{n} values"),
        };
        let said = match &row.outcome {
            Outcome::Convertible => format!("convertible, {values}"),
            Outcome::Written => format!("written, {values}"),
            Outcome::Same => format!("there already, {values}"),
            Outcome::Lossy => format!("lossy, {values}"),
            Outcome::Refused(why) => format!("refused: {why}"),
            Outcome::Failed(why) => format!("failed: {why}"),
        };
        let to = match &row.outcome {
            Outcome::Refused(_) | Outcome::Failed(_) => String::new(),
            _ if row.output == row.item.path => " (in place)".to_owned(),
            _ => format!(" -> {}", row.output.display()),
        };
        out += &printable(&format!("{}{to}: {said}", row.item.name));
        out.push('\n');
        if !row.lost.is_empty() {
            out += &format!("    lost: {}\n", lost(&row.lost));
        }
    }
    for (name, why) in &looked.unseen {
        out += &printable(&format!("{name}: not looked at: {why}"));
        out.push('\n');
    }
    let counts = [
        (
            "convertible",
            count(looked, |one| *one == Outcome::Convertible),
        ),
        ("lossy", count(looked, |one| *one == Outcome::Lossy)),
        (
            "refused",
            count(looked, |one| matches!(one, Outcome::Refused(_))),
        ),
        ("written", count(looked, |one| *one == Outcome::Written)),
        ("there already", count(looked, |one| *one == Outcome::Same)),
        (
            "failed",
            count(looked, |one| matches!(one, Outcome::Failed(_))),
        ),
        ("without a pickle", looked.others),
        ("not looked at", looked.unseen.len()),
    ];
    let counts = counts.iter().filter(|(_, n)| *n > 0);
    let counts: Vec<String> = counts.map(|(what, n)| format!("{n} {what}")).collect();
    out += &match counts.is_empty() {
        true => "nothing is there\n".to_owned(),
        false => format!("{}\n", counts.join(", ")),
    };
    let left = count(looked, |one| *one == Outcome::Lossy);
    if left > 0 && !lossy {
        out += "what is lossy is written with --lossy only\n";
    }
    if !writes {
        out += "nothing was written: --write does it beside the pickles, -o DIR elsewhere, --in-place over them\n";
    }
    out
}

/// `2 tuples become lists, 1 bytes become base64`.
fn lost(lost: &Lost) -> String {
    let parts: Vec<String> = lost.iter().map(|(what, n)| format!("{n} {what}")).collect();
    parts.join(", ")
}

fn count(looked: &Looked, is: impl Fn(&Outcome) -> bool) -> usize {
    looked.rows.iter().filter(|row| is(&row.outcome)).count()
}

/// The same for programs.
pub(super) fn json(looked: &Looked, run: Option<&str>) -> Json {
    let rows = looked.rows.iter().map(row);
    let unseen = looked.unseen.iter();
    let unseen = unseen.map(|(name, why)| json!({"file": name, "reason": why}));
    json!({
        "run": run,
        "files": rows.collect::<Vec<_>>(),
        "without-pickle": looked.others,
        "not-looked-at": unseen.collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Json {
    let (status, reason) = match &row.outcome {
        Outcome::Convertible => ("convertible", None),
        Outcome::Lossy => ("lossy", None),
        Outcome::Refused(why) => ("refused", Some(why)),
        Outcome::Same => ("there-already", None),
        Outcome::Written => ("written", None),
        Outcome::Failed(why) => ("failed", Some(why)),
    };
    let output = (!row.output.as_os_str().is_empty()).then(|| row.output.display().to_string());
    json!({
        "file": row.item.name, "status": status, "reason": reason, "output": output, "values": row.values,
        "lost": row.lost,
    })
}
