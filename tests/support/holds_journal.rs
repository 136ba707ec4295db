//! What holds for any journal and any configuration: the one text of it, for the property tests and for the fuzz targets. Each
//! function panics when something does not hold.
#![expect(clippy::disallowed_methods, reason = "keeps a journal to read")]

use depickle::journal::{Entry, Journal};

/// Text read as `depickle.toml`: a configuration, or an error in one line.
pub fn configuration(text: &str) {
    if let Err(error) = depickle::cli::configured(text) {
        assert!(!error.is_empty());
    }
}

/// Bytes read as the journal of a run: its record, or an error with a line; what is appended then is there after it.
pub fn journal(bytes: &[u8]) {
    const RUN: &str = "20261123T150212-4663";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("runs/{RUN}.jsonl"));
    std::fs::create_dir_all(folder.path().join("runs")).expect("a folder");
    std::fs::write(&path, bytes).expect("a file");
    let journal = Journal::open(folder.path().to_owned()).expect("a journal");
    let before = journal.run(RUN);
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    let (read, last) = (journal.runs().is_ok(), journal.last().is_ok());
    // Only a journal without any whole line is none.
    assert_eq!(before.is_ok(), read && whole.is_some());
    assert_eq!(read, last);
    let failed = 7_000_000;
    let entry = Entry::RunFinished { staged: 0, failed };
    journal.append(RUN, entry).expect("appended");
    let after = std::fs::read(&path).expect("a file");
    let kept = bytes
        .get(..whole.map_or(0, |at| at + 1))
        .unwrap_or_default();
    assert!(after.starts_with(kept), "what was whole stays");
    assert_eq!(journal.run(RUN).is_ok(), read, "a torn line is no error");
    if let Ok(record) = journal.run(RUN) {
        assert!(record.finished);
    }
}
