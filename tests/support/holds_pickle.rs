//! What holds for any bytes that are read as pickles, for the tests and for the fuzz target: it panics when something does not.

use depickle::pickle::{
    Verdict, document, run, run_seen, shelf, shelf_document, to_json_within, unwrap_within,
};

/// Bytes unpacked, and bytes of JSON, from one input.
const SMALL: usize = 1 << 20;

/// Bytes read as pickles: bounded, the same each time, and JSON where they become JSON.
pub fn pickle(bytes: &[u8]) {
    for part in unwrap_within(bytes, SMALL).parts {
        one(&part.bytes, part.start);
    }
    one(bytes, 0);
    if let Ok(made) = document(bytes) {
        assert_eq!(made.lines, made.values > 1);
        assert_eq!(made.text.lines().count(), made.values);
        for value in made.text.lines() {
            serde_json::from_str::<serde::de::IgnoredAny>(value).expect("JSON");
        }
    }
    // Two halves are the two files of a shelf.
    let (index, data) = bytes.split_at(bytes.len() / 2);
    if let (Ok(entries), Ok(made)) = (shelf(index), shelf_document(index, data)) {
        assert_eq!(entries.len(), made.values);
        serde_json::from_str::<serde::de::IgnoredAny>(&made.text).expect("JSON");
    }
}

fn one(bytes: &[u8], start: usize) {
    let mut last = None;
    let machine = run_seen(bytes, start, &mut |op| {
        assert!(last < Some(op.at), "opcodes follow one another");
        last = Some(op.at);
    });
    assert!(machine.end <= bytes.len());
    assert!(machine.values.len() <= machine.ops);
    assert!(machine.imports.len() <= machine.import_count);
    assert_eq!(
        machine.verdict() == Verdict::DataOnly,
        machine.imports.is_empty() && machine.calls.is_empty()
    );
    let json = to_json_within(&machine, SMALL);
    if let Ok(done) = &json {
        let unknown = machine.unknown_call.is_some() || machine.unknown_import.is_some();
        assert!(machine.verdict() == Verdict::DataOnly || !unknown);
        assert!(machine.error.is_none() && machine.arrays.is_empty());
        serde_json::from_str::<serde::de::IgnoredAny>(&done.json).expect("JSON");
    }
    assert_eq!(json, to_json_within(&run(bytes, start), SMALL));
}
