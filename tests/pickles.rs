//! Pickles read as CPython reads them, by its own test data and by generated ones; and any bytes at all.
#![expect(clippy::disallowed_methods, reason = "runs the real Python")]

#[path = "support/holds_pickle.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod holds;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::process::{Command, Stdio};

use depickle::pickle::{
    Arg, Reader, Verdict, float, run, to_json, to_json_within, unwrap, unwrap_within,
};
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
    let mut python = Command::new("python3")
        .args(["-B", script, COUNT])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(python.stdout.take().unwrap()).lines();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in lines {
        let line = line.unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        if let Some(suite) = told["suite"].as_u64() {
            // Debian has them in a package of their own: libpython3-testsuite.
            if suite < 500 {
                eprintln!(
                    "CPython {} here has no tests to compare with",
                    told["python"]
                );
                assert!(std::env::var_os("CI").is_none(), "{line}");
            }
            continue;
        }
        let kind = told["kind"].as_str().unwrap();
        let bytes = unhex(told["hex"].as_str().unwrap());
        let mut ops = Vec::new();
        let mut error = false;
        for op in Reader::new(&bytes, 0) {
            match op {
                Ok(op) => ops.push(json!([op.at, op.name, argument(op.name, &op.arg)])),
                Err(_) => error = true,
            }
        }
        let theirs = told["ops"].as_array().unwrap();
        for (ours, theirs) in ops.iter().zip(theirs) {
            assert_eq!(ours, theirs, "{line}");
        }
        // `pickletools` is strict with names where the readers of pickles are not.
        if told["error"] != "name" || ops.len() < theirs.len() {
            assert_eq!(json!(ops), told["ops"], "{line}");
            assert_eq!(json!(error), told["error"], "{line}");
        }
        let machine = run(&bytes, 0);
        for name in told["asked"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            // There is no module without a name.
            if name.starts_with('.') {
                continue;
            }
            let noted = machine.imports.iter().any(|one| one.name == name);
            assert!(noted, "{name} in {:?} of {line}", machine.imports);
        }
        if let Some(document) = told["json"].as_str() {
            assert_eq!(machine.verdict(), Verdict::DataOnly);
            assert_eq!(to_json(&machine).unwrap().json, document, "{line}");
        }
        if let Some(document) = told["lossy"].as_str() {
            assert_eq!(to_json(&machine).unwrap().json, document, "{line}");
            *counts.entry("lossy".to_owned()).or_default() += 1;
        }
        *counts.entry(kind.to_owned()).or_default() += 1;
    }
    assert!(python.wait().unwrap().success());
    for (kind, least) in [
        ("plain", 10_000),
        ("other", 10_000),
        ("mutated", 10_000),
        ("lossy", 2_000),
    ] {
        assert!(counts[kind] >= least, "{counts:?}");
    }
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
    assert!(why(b"}Fnan\nNs.").contains("NaN"));
    assert!(why(b"}C\x01aNs.").contains("neither text nor number"));
    assert!(why(b"(lp0\ng0\na.").contains("contains itself"));
    assert!(why(b"}(I1\nNVx\nNV1\nNu.").contains("two keys"));
    assert!(why(b"cos\nsystem\n.").contains("imports os.system"));
    assert!(why(b"I010\n.").contains("no pickler"));
    let lost = |bytes: &[u8]| {
        let done = to_json(&run(bytes, 0)).unwrap();
        let lost: Vec<String> = done.lost.iter().map(|(w, n)| format!("{n} {w}")).collect();
        (done.json, lost.join(", "))
    };
    let is = |json: &str, lost: &str| (json.to_owned(), lost.to_owned());
    assert_eq!(
        lost(b"((I1\nI2\ntt."),
        is("[[1, 2]]", "2 tuples become lists")
    );
    assert_eq!(
        lost(b"}I1\nNs."),
        is("{\"1\": null}", "1 keys that are no text become text")
    );
    assert_eq!(
        lost(b"](]2e."),
        is("[[], []]", "1 shared references become copies")
    );
    assert_eq!(lost(b"](I1\ne."), is("[1]", ""));
    assert_eq!(lost(b"C\x01a."), is("\"YQ==\"", "1 bytes become base64"));
    assert_eq!(lost(b"\x8f(K\x01\x90."), is("[1]", "1 sets become lists"));
    // As protocols 0 to 2 write them.
    assert_eq!(
        lost(b"c_codecs\nencode\n(Va\\u00ff\nVlatin1\ntR."),
        is("\"Yf8=\"", "1 bytes become base64")
    );
    assert_eq!(
        lost(b"c__builtin__\nset\n((lp0\nI1\natRg0\nI2\na0."),
        is("[1]", "1 sets become lists")
    );
    assert!(why(b"c_codecs\nencode\n(VaZ\nVrot13\ntR.").contains("calls _codecs.encode"));
    assert!(why(b"c_codecs\nencode\n(V\\u0100\nVlatin1\ntR.").contains("calls _codecs.encode"));
    assert!(why(b"c_codecs\nencode\n.").contains("JSON has no objects"));
    assert!(why(b"cx\nset\n((ltR.").contains("calls x.set"));
    assert_eq!(
        lost(b"Finf\n."),
        is("null", "1 NaN and infinity become null")
    );
    let mut deep = b"]".repeat(100_000);
    deep.extend(b"a".repeat(99_999));
    deep.push(b'.');
    assert!(why(&deep).contains("nested deeper"));
}

/// The way to each part, and its verdict; and the notes.
fn parts(bytes: &[u8]) -> (Vec<(String, Verdict)>, Vec<String>) {
    let found = unwrap(bytes);
    let parts = found.parts.iter().map(|part| {
        let machine = run(&part.bytes, part.start);
        assert_eq!(machine.error, None, "{:?}", part.way);
        (part.way.join(" > "), machine.verdict())
    });
    (parts.collect(), found.notes)
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn every_wrapping_is_taken_off() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use flate2::Compression;
    use flate2::read::{GzEncoder, ZlibEncoder};

    const EVIL: &[u8] = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00\xc3\xbe\xc3\xbf\x85R.";
    let read = |mut source: Box<dyn Read>| {
        let mut out = Vec::new();
        source.read_to_end(&mut out).unwrap();
        out
    };
    let gzip = read(Box::new(GzEncoder::new(EVIL, Compression::fast())));
    let zlib = read(Box::new(ZlibEncoder::new(EVIL, Compression::fast())));
    let bz2 = read(Box::new(bzip2::read::BzEncoder::new(
        EVIL,
        bzip2::Compression::fast(),
    )));
    // Four members in a row are one file for gzip.
    let members = [&gzip[..], &gzip[..]].concat();
    let npy = |kind: &str| {
        let header = format!("{{'descr': {kind}, 'fortran_order': False, 'shape': (1,), }}\n");
        let size = u16::try_from(header.len()).unwrap().to_le_bytes();
        [&b"\x93NUMPY\x01\x00"[..], &size, header.as_bytes(), EVIL].concat()
    };
    let torch = zipped(&[
        ("model/data.pkl", EVIL),
        ("model/byteorder", b"little"),
        ("model/data/0", &[0; 16]),
        ("model/version", b"3\n"),
    ]);
    let npz = zipped(&[("a.npy", &npy("'|O'")), ("b.npy", &npy("'<i8'"))]);
    let cookie = URL_SAFE_NO_PAD.encode(&zlib);
    let wrapped: &[(&str, Vec<u8>)] = &[
        ("", EVIL.to_vec()),
        ("gzip", gzip.clone()),
        ("gzip", members),
        ("zlib", zlib),
        ("bz2", bz2),
        // As Python's lzma writes them.
        (
            "lzma",
            unhex(
                "5d00008000ffffffffffffffff0040008803cb87e60e3fc6dba6623ad0e017a4134d8ba851ea134127db3e964c863ffff8060000",
            ),
        ),
        (
            "xz",
            unhex(
                "fd377a585a000004e6d6b4460200210116000000742fe5a301001b800263706f7369780a73797374656d0a5804000000c3bec3bf85522e00620dd0cd6d9f7cfd0001341c931aad8f1fb6f37d010000000004595a",
            ),
        ),
        ("base64", STANDARD.encode(EVIL).into()),
        ("base64", STANDARD_NO_PAD.encode(EVIL).into()),
        (
            "base64",
            STANDARD.encode(EVIL).replace("cG", "cG\r\n").into(),
        ),
        ("hex", hex(EVIL).into()),
        ("hex", hex(EVIL).to_uppercase().into()),
        ("zip:model/data.pkl", torch),
        ("zip:a.npy", npz),
        ("", npy("'|O'")),
        ("", npy("[('a', '<i4'), ('b', 'O')]")),
        ("base64 > gzip", STANDARD.encode(&gzip).into()),
    ];
    for (way, bytes) in wrapped {
        let (found, notes) = parts(bytes);
        assert_eq!(found, [((*way).to_owned(), Verdict::RunsCode)], "{way}");
        assert!(notes.is_empty(), "{notes:?}");
    }
    // Bytes whose two alphabets differ.
    assert!(
        URL_SAFE
            .encode(b"\x80\x04\x8c\x03\xef\xbf\xbe.")
            .contains(['-', '_'])
    );
    for text in [URL_SAFE.encode(b"\x80\x04\x8c\x03\xef\xbf\xbe."), cookie] {
        let (found, _) = parts(text.as_bytes());
        let way = found[0].0.as_str();
        assert!(["urlsafe base64", "urlsafe base64 > zlib", "base64 > zlib"].contains(&way));
    }
    // Numbers hold no pickle; nor do words.
    assert!(parts(&npy("'<i8'")).0.is_empty());
    assert!(parts(b"just some words").0.is_empty());
    // What is not unpacked is said.
    assert!(parts(b"\x04\x22\x4d\x18").1[0].contains("not unpacked"));
    assert!(parts(b"\xfd7zXZ\x00").1[0].starts_with("xz: "));
    // It asks for 4 GiB.
    let greedy = unhex("5d0000ffffffffffffffffffff0040008803cb87e60e3fc6dba6");
    let told = parts(&greedy).1;
    assert!(told[0].contains("memory"), "{told:?}");
    let torn = parts(&gzip[..gzip.len() - 9]).1;
    assert!(torn[0].starts_with("gzip: "), "{torn:?}");
}

#[test]
fn arrays_of_joblib_are_passed_over() {
    use base64::Engine;
    let kept = include_str!("support/joblib.txt");
    let mut counts = HashMap::new();
    for line in kept.lines().filter(|line| !line.starts_with('#')) {
        let (name, text) = line.split_once(' ').unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap();
        let found = unwrap(&bytes);
        assert_eq!(found.parts.len(), 1, "{name}: {:?}", found.notes);
        let part = &found.parts[0];
        let machine = run(&part.bytes, part.start);
        assert_eq!(machine.error, None, "{name}");
        assert_eq!(machine.end, part.bytes.len(), "{name}");
        assert!(machine.result.is_some(), "{name}");
        let system = |call: &depickle::pickle::Call| call.callable.ends_with(".system");
        let evil = machine.calls.iter().any(system);
        assert_eq!(evil, name.starts_with("evil"), "{name}");
        counts.insert(name, machine.arrays.len());
        // Bytes that are cut off are no panic, and no end.
        for size in (0..part.bytes.len()).step_by(7) {
            assert!(run(&part.bytes[..size], part.start).error.is_some());
        }
    }
    let counted = ["numbers", "structured", "objects", "zlib", "evil"].map(|name| counts[name]);
    assert_eq!(counted, [2, 4, 0, 1, 1]);
}

#[test]
fn bombs_go_off_small() {
    // Each list holds the one before ten times: a hundred bytes for more than 10^20 elements.
    let mut laughs = b"\x80\x04]\x94".to_vec();
    for level in 0..30u8 {
        laughs.extend(b"](");
        laughs.extend([b'h', level].repeat(10));
        laughs.extend(b"e\x94");
    }
    laughs.push(b'.');
    let machine = run(&laughs, 0);
    assert_eq!(
        (machine.error.as_ref(), machine.verdict()),
        (None, Verdict::DataOnly)
    );
    assert!(machine.values.len() < 40);
    let json = to_json_within(&machine, 1 << 16);
    assert!(json.unwrap_err().contains("longer than 65536 bytes"));
    // One key, overwritten again and again, in a dictionary that is referred to again and again: no bytes, but work.
    let mut busy = b"}(".to_vec();
    busy.extend(b"NN".repeat(20_000));
    busy.extend(b"uq\x00](");
    busy.extend(b"h\x00".repeat(20_000));
    busy.extend(b"e.");
    assert!(to_json(&run(&busy, 0)).unwrap_err().contains("longer than"));
    // Sizes and places in the memo that are claimed cost nothing.
    for claim in [
        &b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa."[..],
        b"\x80\x04X\xff\xff\xff\x7fa.",
        b"\x80\x05\x96\xff\xff\xff\xff\x00\x00\x00\x00a.",
        b"\x80\x02\x8b\xff\xff\xff\x7f1.",
    ] {
        assert!(run(claim, 0).error.is_some());
    }
    assert_eq!(run(b"Nr\xff\xff\xff\x7f.", 0).error, None);
    // A long name called a thousand times with long arguments: kept in few words.
    let mut wordy = b"(\x8d\x00\x00\x01\x00\x00\x00\x00\x00".to_vec();
    wordy.extend(b"\x01".repeat(1 << 16));
    wordy.extend(b"22222222222222222222l0cos\nsystem\n(l".iter());
    wordy.extend(b"(\x8c\x01\x01tR2".repeat(20_000));
    wordy.push(b'.');
    let machine = run(&wordy, 0);
    assert_eq!(machine.call_count, 20_000);
    assert_eq!(machine.calls.len(), depickle::pickle::KEPT);
    let longest = machine.calls.iter().map(|call| call.arguments.len()).max();
    assert!(longest < Some(4000));
    // What unpacks to more than may be is said.
    let zeros = flate2::read::GzEncoder::new(
        std::io::repeat(0).take(2 << 20),
        flate2::Compression::fast(),
    );
    let mut packed = Vec::new();
    { zeros }.read_to_end(&mut packed).unwrap();
    let notes = unwrap_within(&packed, 1 << 20).notes;
    assert!(notes[0].contains("more than may be"), "{notes:?}");
}

#[test]
fn what_one_reader_refuses_and_another_reads_is_followed() {
    let told = |bytes: &[u8]| {
        let machine = run(bytes, 0);
        let names: Vec<String> = machine.imports.iter().map(|one| one.name.clone()).collect();
        (names.join(" "), machine.error.is_some())
    };
    let system = ("os.system".to_owned(), true);
    for number in [
        &b"I0x1f"[..],
        b"I1\0junk",
        b"L0x10L",
        b"L1\0",
        b"F1.5\0z",
        b"Ijunk",
    ] {
        let pickle = [number, b"\n0cos\nsystem\n(S'id'\ntR."].concat();
        assert_eq!(told(&pickle), system, "{pickle:?}");
    }
    assert_eq!(
        told(b"I010\n0cos\nsystem\n."),
        ("os.system".to_owned(), false)
    );
    assert_eq!(told(b"cos\nsystem\np1\0x\n0g1\n(S'id'\ntR."), system);
    // The last line loses a byte where its end is missing, and the module is imported all the same.
    assert_eq!(told(b"cos\nsystem_"), system);
    // Python's own reader does not mind a frame that is too long.
    assert_eq!(
        told(b"\x80\x04\x95\xff\0\0\0\0\0\0\0cos\nsystem\n."),
        system
    );
    // What is a text in one go is code for the reader that drops the rest of a frame.
    let mut cut = b"\x80\x04\x95\x03\0\0\0\0\0\0\0\x8c\x10a".to_vec();
    cut.extend(b"0123456789abcdef0cos\nsystem\n.");
    assert_eq!(
        told(&cut).0.matches("os.system").count(),
        1,
        "{:?}",
        told(&cut)
    );
}

proptest! {
    #[test]
    fn any_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        holds::pickle(&bytes);
    }

    #[test]
    fn any_opcodes_end_without_panic(
        picks in proptest::collection::vec(proptest::sample::select(
            b"(.0122NIKM])}]aelstduh\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94\x95R\x81\x92obiqrgp\n0a1\x8c\x01".to_vec()
        ), 0..300)
    ) {
        holds::pickle(&picks);
    }
}
