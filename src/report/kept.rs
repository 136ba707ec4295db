//! A row as a value that may be kept, and the row that it was: for runs that are done in parts and reported as one.
//!
//! Invariant: every format makes the same of a row that was kept as of the row itself.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{ProjectRow, Word};
use crate::check::ChangedFile;

/// What the JSON format leaves out of a row, and others need.
#[derive(Serialize, Deserialize)]
struct Kept {
    row: ProjectRow,
    prefix: String,
    exhausted: bool,
    changes: Vec<Change>,
}

#[derive(Serialize, Deserialize)]
struct Change {
    path: String,
    before: String,
    after: String,
    new: bool,
}

/// `row` as a value.
///
/// # Errors
/// Those of the serialiser, which a row does not cause.
pub fn keep(row: &ProjectRow) -> serde_json::Result<Value> {
    let changes = row.changes.iter().map(|file| Change {
        path: file.path.clone(),
        before: STANDARD.encode(&file.before),
        after: STANDARD.encode(&file.after),
        new: file.new,
    });
    serde_json::to_value(Kept {
        prefix: row.prefix.clone(),
        exhausted: row.exhausted,
        changes: changes.collect(),
        row: row.clone(),
    })
}

/// The row that `value` was made from.
///
/// # Errors
/// It was made from none.
pub fn kept(value: Value) -> serde_json::Result<ProjectRow> {
    let kept: Kept = serde_json::from_value(value)?;
    let bytes = |text: &str| STANDARD.decode(text).map_err(serde_json::Error::custom);
    let mut changes = Vec::new();
    for file in kept.changes {
        changes.push(ChangedFile {
            before: bytes(&file.before)?,
            after: bytes(&file.after)?,
            path: file.path,
            new: file.new,
        });
    }
    Ok(ProjectRow {
        prefix: kept.prefix,
        exhausted: kept.exhausted,
        changes,
        ..kept.row
    })
}

pub(super) fn word<'de, D: Deserializer<'de>>(value: D) -> Result<Word, D::Error> {
    Ok(known(&String::deserialize(value)?))
}

pub(super) fn maybe<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Word>, D::Error> {
    Ok(Option::<String>::deserialize(value)?.as_deref().map(known))
}

/// `text` as one of the words of this program. There are few, so each is kept once and for ever.
fn known(text: &str) -> Word {
    static WORDS: Mutex<Option<HashSet<Word>>> = Mutex::new(None);
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let words = words.get_or_insert_default();
    if let Some(word) = words.get(text) {
        return word;
    }
    let word: Word = Box::leak(text.to_owned().into_boxed_str());
    words.insert(word);
    word
}
