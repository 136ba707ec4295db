//! `convert` writes what `json.dumps` would, and nothing over what is there; `rollback` leaves no trace of it.
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "makes real folders and runs the program and the real Python"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use home::{Home, code, stderr, stdout};
use serde_json::{Value, json};

/// Runs Python in `home`; nothing that depickle wrote.
fn python(home: &Home, script: &str, args: &[&str]) {
    let output = Command::new("python3")
        .args(["-B", "-c", script])
        .args(args)
        .current_dir(home.0.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Everything below `root` with its bytes and mode; folders, too.
fn everything(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let mut bytes = Vec::new();
            match meta.is_file() {
                true => bytes = fs::read(&path).unwrap(),
                false if meta.is_dir() => todo.push(path.clone()),
                false => {}
            }
            all.insert(path, (bytes, meta.permissions().mode()));
        }
    }
    all
}

/// Status of each file by name, of `convert` with these arguments.
fn statuses(home: &Home, args: &[&str]) -> (i32, BTreeMap<String, String>, Value) {
    let out = home.run(&[&["convert", "--format", "json"], args].concat());
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    let rows = json["files"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let statuses = rows.map(|row| (text(&row["file"]), text(&row["status"])));
    (code(&out), statuses.collect(), json)
}

const PLAIN: &[u8] = b"\x80\x04}\x94\x8c\x01a\x94]\x94(K\x01K\x02es.";
const LOSSY: &[u8] = b"\x80\x04K\x01K\x02\x86\x94.";
const EVIL: &[u8] = b"\x80\x02cposix\nsystem\nU\x08touch rs\x85R.";

/// One folder of everything.
fn data() -> Home {
    let home = Home::new();
    home.write("data/plain.pkl", PLAIN);
    home.write("data/no-ending", PLAIN);
    home.write("data/sub/stream.pickle", [PLAIN, PLAIN].concat());
    home.write("data/lossy.pkl", LOSSY);
    home.write("data/evil.pkl", EVIL);
    home.write("data/torn.pkl", &PLAIN[..9]);
    home.write("data/old.txt", b"(dp0\nS'a'\np1\nI1\ns.");
    home.write(
        "data/notes.txt",
        "close to what\nopcodes are: not a pickle.\n",
    );
    home.write("data/code.py", "class A:\n    pass\n");
    home.write("data/empty", "");
    home.write("data/large.bin", vec![b'?'; 2 << 20]);
    home.write("data/base.db", b"SQLite format 3\0...");
    symlink("plain.pkl", home.path("data/link.pkl")).unwrap();
    python(
        &home,
        "import shelve, dbm.dumb, sys\n\
         with shelve.Shelf(dbm.dumb.open('data/shelf', 'c')) as shelf:\n\
         \x20   shelf['a'] = [1]; shelf['ä \\' \"\\n'] = {'b': None}; shelf['gone'] = 1\n\
         \x20   shelf['a'] = ['longer than one block ' * 60]; del shelf['gone']\n",
        &[],
    );
    home
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let home = data();
    let before = everything(home.0.path());
    let (code_of, statuses, json) = statuses(&home, &["data"]);
    assert_eq!(code_of, 3);
    let of = |status: &str| -> Vec<&str> {
        let with = statuses.iter().filter(|(_, is)| is.as_str() == status);
        with.map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(
        of("convertible"),
        [
            "data/no-ending",
            "data/old.txt",
            "data/plain.pkl",
            "data/shelf",
            "data/sub/stream.pickle"
        ]
    );
    assert_eq!(of("lossy"), ["data/lossy.pkl"]);
    assert_eq!(of("refused"), ["data/evil.pkl", "data/torn.pkl"]);
    assert_eq!(json["without-pickle"], 4, "{json}");
    let unseen = json["not-looked-at"].as_array().unwrap();
    let unseen: Vec<&str> = unseen
        .iter()
        .map(|one| one["file"].as_str().unwrap())
        .collect();
    assert_eq!(unseen, ["data/link.pkl", "data/base.db"]);
    let text = stdout(&home.run(&["convert", "data", "data/plain.pkl"]));
    for line in [
        "data/plain.pkl -> ",
        "plain.pkl.json: convertible, 1 value\n",
        "stream.pickle.jsonl: convertible, 2 values\n",
        "shelf.json: convertible, shelf of 2\n",
        "lossy.pkl.json: lossy, 1 value\n    lost: 1 tuples become lists\n",
        "data/evil.pkl: refused: loading it calls posix.system\n",
        "data/link.pkl: not looked at: it is a symbolic link\n",
        "a database of SQLite; if it is a shelf, copy it",
        "data/plain.pkl: refused: another document would have the same name",
        "5 convertible, 1 lossy, 3 refused, 4 without a pickle, 2 not looked at\n",
        "nothing was written: --write",
    ] {
        assert!(text.contains(line), "{line:?} in:\n{text}");
    }
    assert_eq!(everything(home.0.path()), before);
    let (code_of, ..) = self::statuses(&home, &["data", "--dry-run", "-o", "out"]);
    assert_eq!(code_of, 3);
    assert_eq!(everything(home.0.path()), before);
    // Alone and whole, a file of plain data is exit 0; what is no pickle was named for one.
    assert_eq!(self::statuses(&home, &["data/plain.pkl"]).0, 0);
    assert_eq!(self::statuses(&home, &["data/lossy.pkl"]).0, 3);
    assert_eq!(self::statuses(&home, &["data/lossy.pkl", "--lossy"]).0, 0);
    assert_eq!(self::statuses(&home, &["data/code.py"]).0, 3);
    assert_eq!(self::statuses(&home, &["nowhere"]).0, 3);
    // A shelf is known by each of its names.
    for name in [
        "data/shelf",
        "data/shelf.dat",
        "data/shelf.dir",
        "data/shelf.bak",
    ] {
        let (code_of, statuses, _) = self::statuses(&home, &[name]);
        assert_eq!(
            (code_of, statuses["data/shelf"].as_str()),
            (0, "convertible")
        );
    }
}

#[test]
fn what_is_written_is_new_and_rollback_removes_it() {
    for to in [&["--write"][..], &["-o", "out/deep"], &["--in-place"]] {
        let home = data();
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(home.path("data/plain.pkl"), mode).unwrap();
        home.write("out/own", "stays");
        let before = everything(home.0.path());
        let args = [&["data", "--lossy"], to].concat();
        let (code_of, statuses, json) = statuses(&home, &args);
        assert_eq!(code_of, 3, "{json}");
        let in_place = to == ["--in-place"];
        let written = statuses.values().filter(|one| *one == "written").count();
        assert_eq!(written, if in_place { 5 } else { 6 }, "{json}");
        let at = |name: &str, ending: &str| match to {
            ["--write"] => home.path(&format!("data/{name}{ending}")),
            ["-o", _] => home.path(&format!("out/deep/{name}{ending}")),
            _ => home.path(&format!("data/{name}")),
        };
        let plain = at("plain.pkl", ".json");
        assert_eq!(fs::read(&plain).unwrap(), b"{\"a\": [1, 2]}\n");
        assert_eq!(
            plain.metadata().unwrap().permissions().mode() & 0o777,
            0o640
        );
        let stream = fs::read(at("sub/stream.pickle", ".jsonl")).unwrap();
        assert_eq!(stream, b"{\"a\": [1, 2]}\n{\"a\": [1, 2]}\n");
        assert_eq!(fs::read(at("lossy.pkl", ".json")).unwrap(), b"[1, 2]\n");
        if !in_place {
            let script = "import json, shelve, dbm.dumb, sys\n\
                 shelf = dict(shelve.Shelf(dbm.dumb.open('data/shelf', 'r')))\n\
                 assert open(sys.argv[1]).read() == json.dumps(shelf) + '\\n'\n";
            let shelf = at("shelf", ".json");
            python(&home, script, &[shelf.to_str().unwrap()]);
            for (path, was) in &before {
                assert_eq!(everything(home.0.path()).get(path), Some(was));
            }
            // Once more finds it there, and writes nothing.
            let (_, statuses, json) = self::statuses(&home, &args);
            assert!(!statuses.values().any(|one| one == "written"), "{json}");
            assert_eq!(statuses["data/plain.pkl"], "there-already");
        }
        let run = json["run"].as_str().unwrap();
        let back = home.run(&["rollback", run]);
        assert_eq!(code(&back), 0, "{}", stdout(&back));
        let mut after = everything(home.0.path());
        after.retain(|path, _| !path.starts_with(home.path("state")));
        assert_eq!(after, before, "{to:?}");
        assert_eq!(code(&home.run(&["rollback", run])), 0, "may be repeated");
        let runs = stdout(&home.run(&["runs", run]));
        assert!(runs.contains("rolled back"), "{runs}");
    }
}

#[test]
fn nothing_is_written_over_and_nothing_of_others_is_removed() {
    let home = data();
    home.write("data/plain.pkl.json", "mine");
    let (code_of, statuses, json) = statuses(&home, &["data/plain.pkl", "data/old.txt", "--write"]);
    assert_eq!(
        (code_of, statuses["data/plain.pkl"].as_str()),
        (3, "refused")
    );
    assert_eq!(statuses["data/old.txt"], "written");
    assert_eq!(fs::read(home.path("data/plain.pkl.json")).unwrap(), b"mine");
    // Changed after it was written: rollback leaves it.
    home.write("data/old.txt.json", "changed");
    let back = home.run(&["rollback", json["run"].as_str().unwrap()]);
    assert_eq!(code(&back), 3);
    assert!(
        stdout(&back).contains("it was changed since"),
        "{}",
        stdout(&back)
    );
    assert_eq!(
        fs::read(home.path("data/old.txt.json")).unwrap(),
        b"changed"
    );
    // A dangling link has a name, too; what is packed or shelved is not replaced.
    symlink("nowhere", home.path("data/no-ending.json")).unwrap();
    let of = |args: &[&str]| self::statuses(&home, args).1.into_values().next();
    assert_eq!(
        of(&["data/no-ending", "--write"]).as_deref(),
        Some("refused")
    );
    assert_eq!(
        of(&["data/shelf", "--in-place"]).as_deref(),
        Some("refused")
    );
    home.write("hex", "4e2e");
    assert_eq!(of(&["hex", "--in-place"]).as_deref(), Some("refused"));
    assert_eq!(of(&["hex"]).as_deref(), Some("convertible"));
}

#[test]
fn a_stop_at_any_entry_of_the_journal_can_be_taken_back() {
    for to in [&["--write"][..], &["-o", "out/deep"], &["--in-place"]] {
        for what in ["before", "torn", "after", "full"] {
            for at in 1..30 {
                let home = Home::new();
                home.write("data/plain.pkl", PLAIN);
                home.write("data/sub/more.pkl", PLAIN);
                let before = everything(home.0.path());
                let fault = format!("{what}:{at}");
                let args = [&["convert", "data"], to].concat();
                let out = home.run_with(&args, &[("DEPICKLE_FAULT", &fault)]);
                if out.status.success() {
                    assert!(at > 6, "{what} {at}");
                    break;
                }
                let runs = home.json(&["runs", "--format", "json"]);
                if let Some(run) = runs["runs"][0]["run"].as_str() {
                    let back = home.run(&["rollback", run]);
                    assert_eq!(
                        code(&back),
                        0,
                        "{fault}: {}{}",
                        stdout(&back),
                        stderr(&back)
                    );
                }
                let mut after = everything(home.0.path());
                after.retain(|path, _| !path.starts_with(home.path("state")));
                assert_eq!(after, before, "{fault} {to:?}");
                assert!(at < 29);
            }
        }
    }
}

/// Ten thousand values of all protocols, in one stream and in shelves: each line is what Python writes.
#[test]
fn ten_thousand_values_are_what_json_dumps_makes_of_them() {
    let home = Home::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/pickles.py");
    let output = Command::new("python3")
        .args(["-B", script, "10000", "plain"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (mut stream, mut lines) = (Vec::new(), String::new());
    for line in stdout(&output).lines() {
        let told: Value = serde_json::from_str(line).unwrap();
        let Some(document) = told["json"].as_str() else {
            continue;
        };
        let pairs = told["hex"].as_str().unwrap().as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        stream.extend(pairs.map(byte));
        lines += document;
        lines.push('\n');
    }
    assert_eq!(lines.lines().count(), 10_000);
    home.write("all.pkl", stream);
    let (code_of, _, json) = statuses(&home, &["all.pkl", "--lossy", "--write"]);
    assert_eq!(code_of, 0, "{json}");
    assert_eq!(json["files"][0]["values"], json!(10_000));
    let written = fs::read_to_string(home.path("all.pkl.jsonl")).unwrap();
    for (ours, theirs) in written.lines().zip(lines.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(written, lines);
}
