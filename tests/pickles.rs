//! Pickles read as CPython reads them, by its own test data and by generated ones; and any bytes at all.
#![expect(clippy::disallowed_methods, reason = "runs the real Python")]

use std::process::Command;

use depickle::pickle::{Arg, Reader, Verdict, float, run, to_json, unwrap};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Values of each kind that are generated: plain data with its JSON, and anything.
const COUNT: &str = "10000";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// As the script beside writes an argument.
fn argument(name: &str, arg: &Arg) -> Value {
    match arg {
        Arg::Nothing => Value::Null,
        Arg::Bool(truth) => json!(truth),
        Arg::Int(number) => {
            let digits = number.decimal();
            json!(format!("int {}", digits.as_deref().unwrap_or("long")))
        }
        Arg::Float(number) => json!(format!("float {}", float(*number))),
        Arg::Text(text) => json!(format!("text {}", hex(text))),
        // `pickletools` reads these as Latin-1.
        Arg::Str(text) => {
            let text: String = text.iter().map(|b| char::from(*b)).collect();
            json!(format!("text {}", hex(text.as_bytes())))
        }
        Arg::Bytes(bytes) => json!(format!("bytes {}", hex(bytes))),
        Arg::Pair(module, member) => {
            assert!(["GLOBAL", "INST"].contains(&name));
            json!(format!(
                "text {}",
                hex(&[module, &b" "[..], member].concat())
            ))
        }
    }
}

#[test]
fn opcodes_and_json_are_what_cpython_makes_of_them() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/pickles.py");
    let output = Command::new("python3")
        .args(["-B", script, COUNT])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (mut pickles, mut documents) = (0, 0);
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let told: Value = serde_json::from_str(line).unwrap();
        let bytes = unhex(told["hex"].as_str().unwrap());
        let mut ops = Vec::new();
        let mut error = false;
        for op in Reader::new(&bytes, 0) {
            match op {
                Ok(op) => ops.push(json!([op.at, op.name, argument(op.name, &op.arg)])),
                Err(_) => error = true,
            }
        }
        for (ours, theirs) in ops.iter().zip(told["ops"].as_array().unwrap()) {
            assert_eq!(ours, theirs, "{line}");
        }
        assert_eq!(json!(ops), told["ops"], "{line}");
        assert_eq!(json!(error), told["error"], "{line}");
        pickles += 1;
        if let Some(document) = told["json"].as_str() {
            let machine = run(&bytes, 0);
            assert_eq!(machine.verdict(), Verdict::DataOnly);
            assert_eq!(to_json(&machine).unwrap().json, document, "{line}");
            documents += 1;
        }
    }
    assert!(
        pickles >= 20_000 && documents >= 10_000,
        "{pickles} {documents}"
    );
}

#[test]
fn calls_and_imports_are_told_also_through_the_memo_and_before_an_error() {
    let told = |bytes: &[u8]| {
        let machine = run(bytes, 0);
        let calls = machine
            .calls
            .iter()
            .map(|c| format!("{}({})", c.callable, c.arguments));
        (machine.verdict(), calls.collect::<Vec<_>>())
    };
    let system = (Verdict::RunsCode, vec!["os.system(\"id\")".to_owned()]);
    assert_eq!(told(b"cos\nsystem\n(S'id'\ntR."), system);
    assert_eq!(told(b"cos\nsystem\n(S'id'\ntR"), system, "without STOP");
    assert_eq!(told(b"(S'id'\nios\nsystem\n."), system);
    assert_eq!(told(b"(cos\nsystem\nS'id'\no."), system);
    let memo = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R.";
    assert_eq!(told(memo), system);
    assert_eq!(told(b"cos\nsystem\n.").0, Verdict::Imports);
    assert_eq!(told(b"(lp0\nI1\na.").0, Verdict::DataOnly);
}

#[test]
fn what_json_cannot_say_is_refused_or_told_as_lost() {
    let why = |bytes: &[u8]| to_json(&run(bytes, 0)).unwrap_err();
    assert!(why(b"\x80\x03C\x01a.").contains("bytes"));
    assert!(why(b"\x80\x04\x8f.").contains("sets"));
    assert!(why(b"Fnan\n.").contains("NaN"));
    assert!(why(b"(lp0\ng0\na.").contains("contains itself"));
    assert!(why(b"}(I1\nNVx\nNV1\nNu.").contains("two keys"));
    assert!(why(b"cos\nsystem\n.").contains("imports os.system"));
    assert!(why(b"I010\n.").contains("no pickler"));
    let lost = |bytes: &[u8]| to_json(&run(bytes, 0)).unwrap().lost;
    assert_eq!(lost(b"(I1\nI2\nt."), ["tuples become lists"]);
    assert_eq!(lost(b"}I1\nNs."), ["keys that are no text become text"]);
    assert_eq!(lost(b"](]2e."), ["shared references become copies"]);
    assert!(lost(b"](I1\ne.").is_empty());
    let mut deep = b"]".repeat(100_000);
    deep.extend(b"a".repeat(99_999));
    deep.push(b'.');
    assert!(why(&deep).contains("nested deeper"));
}

#[test]
fn wrappings_are_taken_off_and_others_are_named() {
    let ways = |bytes: &[u8]| -> Vec<String> {
        let found = unwrap(bytes);
        found
            .parts
            .iter()
            .map(|part| part.way.join(" > "))
            .collect()
    };
    assert_eq!(ways(b"\x80\x04N."), [""]);
    assert_eq!(ways(b"gARdlC4="), ["base64"]);
    assert_eq!(ways(b"gARdlC4"), ["base64"]);
    assert_eq!(ways(b"80045d942e"), ["hex"]);
    assert_eq!(
        ways(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<i8'}N."),
        [""; 0]
    );
    assert_eq!(ways(b"just some words"), [""; 0]);
    assert!(
        unwrap(b"BZh9")
            .notes
            .iter()
            .any(|note| note.contains("bz2"))
    );
}

proptest! {
    #[test]
    fn any_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for part in unwrap(&bytes).parts {
            let _ = to_json(&run(&part.bytes, part.start));
        }
        let _ = to_json(&run(&bytes, 0));
    }

    #[test]
    fn any_opcodes_end_without_panic(
        picks in proptest::collection::vec(proptest::sample::select(
            b"(.0122NIKM])}]aelstduh\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94\x95R\x81\x92obiqrgp\n0a1\x8c\x01".to_vec()
        ), 0..300)
    ) {
        let machine = run(&picks, 0);
        prop_assert!(machine.values.len() <= picks.len() * 2);
        let _ = to_json(&machine);
    }
}
