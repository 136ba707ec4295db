//! Files that are no proper Python, or no proper files: each has its entry, and everything else is still done.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::home::{GUIDE, Home, code, git, stdout};

/// Found and rewritten like any other.
const REWRITTEN: &str = "";

/// `GUIDE` in other bytes, or with something more, and what is said of the file: that is why the load in it is refused.
fn texts() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let with = |before: &str, after: &str| format!("{before}{GUIDE}{after}").into_bytes();
    let raw = |before: &[u8], after: &[u8]| [before, GUIDE.as_bytes(), after].concat();
    let as_is = |change: &dyn Fn(&str) -> String| change(GUIDE).into_bytes();
    let wide =
        |order: fn(u16) -> [u8; 2]| GUIDE.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let nested: String = (0..5_000)
        .map(|n| format!("{}if x:\n", " ".repeat(n)))
        .collect();
    vec![
        ("print.py", with("", "print \"old\"\n"), "python-2"),
        ("backticks.py", with("", "x = `1`\n"), "python-2"),
        (
            "comma.py",
            with("", "try:\n    x\nexcept (A), e:\n    raise B, 'c'\n"),
            "python-2",
        ),
        (
            "merge.py",
            with("<<<<<<< HEAD\n", "=======\n>>>>>>> other\n"),
            "merge-conflict",
        ),
        (
            "template.py",
            with("{% if x %}\n", "{% endif %}\n"),
            "syntax-error",
        ),
        // A line ends that string; where it is thought to go on, a million brackets are not seen.
        (
            "hidden.py",
            with("", &format!("x = 'a\r{}\n", "(".repeat(1_000_000))),
            "nested-too-deep",
        ),
        (
            "formatted.py",
            with("", &"print(f\"{x}: \", str('(') + f'{x!r}')\n".repeat(300)),
            REWRITTEN,
        ),
        ("nul.py", raw(b"", b"\0\n"), "encoding"),
        (
            "utf16.py",
            [b"\xff\xfe".to_vec(), wide(u16::to_le_bytes)].concat(),
            "encoding",
        ),
        (
            "utf16-big.py",
            [b"\xfe\xff".to_vec(), wide(u16::to_be_bytes)].concat(),
            "encoding",
        ),
        ("utf8.py", raw(b"", b"# \xff\xfe\n"), "encoding"),
        ("cookie.py", with("# coding: klingon\n", ""), "encoding"),
        (
            "both.py",
            raw(b"\xef\xbb\xbf# coding: latin-1\n", b""),
            "syntax-error",
        ),
        (
            "brackets.py",
            with(
                "",
                &format!("x = {}{}\n", "[".repeat(100_000), "]".repeat(100_000)),
            ),
            "nested-too-deep",
        ),
        ("open.py", with("", &"(".repeat(100_000)), "nested-too-deep"),
        (
            "sum.py",
            with("", &format!("x = {}1\n", "1 + ".repeat(10_000))),
            "nested-too-deep",
        ),
        (
            "texts.py",
            with("", &format!("x = {}'a'\n", "'a' + ".repeat(10_000))),
            "nested-too-deep",
        ),
        (
            "not.py",
            with("", &format!("x = {}1\n", "not ".repeat(20_000))),
            "nested-too-deep",
        ),
        (
            "calls.py",
            with("", &format!("x = f{}\n", "()".repeat(20_000))),
            "nested-too-deep",
        ),
        ("if.py", nested.into_bytes(), "too-large"),
        (
            "blocks.py",
            with(
                "",
                &(0..1_000)
                    .map(|n| format!("{}if x:\n", " ".repeat(n)))
                    .collect::<String>(),
            ),
            "nested-too-deep",
        ),
        (
            "large.py",
            with("", &"# and so on\n".repeat(4_500_000)),
            "too-large",
        ),
        (
            "latin.py",
            raw(b"# coding: latin-1\n# \xe9\n", b""),
            REWRITTEN,
        ),
        (
            "western.py",
            raw(b"# coding: cp1252\n# \x80\n", b""),
            REWRITTEN,
        ),
        (
            "shift.py",
            raw(b"# coding: shift-jis\n# \x83\x65\n", b""),
            REWRITTEN,
        ),
        ("signature.py", raw(b"\xef\xbb\xbf", b""), REWRITTEN),
        (
            "signed.py",
            raw(b"\xef\xbb\xbf# coding: utf-8-sig\n", b""),
            REWRITTEN,
        ),
        (
            "old-mac.py",
            as_is(&|text| text.replace('\n', "\r")),
            REWRITTEN,
        ),
        (
            "mixed.py",
            as_is(&|text| text.replacen('\n', "\r\n", 4)),
            REWRITTEN,
        ),
        (
            "form-feed.py",
            as_is(&|text| text.replace("@app", "\x0c\n@app")),
            REWRITTEN,
        ),
        (
            "tabs.py",
            as_is(&|text| text.replace("    ", "\t")),
            REWRITTEN,
        ),
        (
            "end.py",
            as_is(&|text| text.trim_end().to_owned()),
            REWRITTEN,
        ),
        (
            "line.py",
            with("", &format!("x = [{}]\n", "1, ".repeat(1_700_000))),
            REWRITTEN,
        ),
        (
            "rows.py",
            with(
                "",
                &format!("x = {{{}}}\n", "'a': (1, -2), ".repeat(50_000)),
            ),
            REWRITTEN,
        ),
        (
            "else.py",
            with(
                "",
                &format!("if x:\n    pass\n{}", "elif y:\n    pass\n".repeat(5_000)),
            ),
            REWRITTEN,
        ),
        (
            "format.py",
            with("", &format!("x = f'{}'\n", "{a}".repeat(20_000))),
            REWRITTEN,
        ),
    ]
}

/// A word about each file.
type Told = Vec<(String, String)>;

/// What the only project in `run` says of each file that is not read as Python, and of each load.
fn told(run: &Value) -> (Told, Told) {
    let project = &run["projects"][0];
    let words = |rows: &Value, word: &str| -> Told {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (text(&row["file"]), text(&row[word])))
            .collect()
    };
    let mut ledger = words(&project["files"]["unparsed"], "reason");
    ledger.extend(words(&project["files"]["skipped"], "reason"));
    (ledger, words(&project["findings"], "status"))
}

#[test]
fn a_file_that_is_no_proper_python_has_its_entry_and_hides_no_other() {
    let home = Home::new();
    for (name, bytes, _) in texts() {
        home.write(&format!("shop/{name}"), bytes);
    }
    home.write("shop/empty.py", "");
    home.write("shop/good.py", GUIDE);
    let check = |home: &Home, most: usize| {
        let output = home.run(&["scan", "shop", "--format", "json"]);
        assert_eq!(code(&output), 3);
        let (ledger, loads) = told(&serde_json::from_slice(&output.stdout).unwrap());
        for (name, bytes, why) in texts() {
            if bytes.len() > most {
                continue;
            }
            let said = ledger.iter().filter(|(file, _)| file == name);
            let said: Vec<_> = said.map(|(_, code)| code.as_str()).collect();
            let rewritten = loads.contains(&(name.to_owned(), "rewrite".to_owned()));
            let expected = if why == REWRITTEN { vec![] } else { vec![why] };
            assert_eq!((said, rewritten), (expected, why == REWRITTEN), "{name}");
        }
        assert!(loads.contains(&("good.py".to_owned(), "rewrite".to_owned())));
    };
    check(&home, usize::MAX);
    // The same as a commit; without the largest, which take their time to be checked.
    let most = 100_000;
    for (name, bytes, _) in texts() {
        if bytes.len() > most {
            fs::remove_file(home.path("shop").join(name)).unwrap();
        }
    }
    let root = home.repo("shop", &[]);
    check(&home, most);
    assert_eq!(code(&home.run(&["stage", "shop"])), 3);
    let changed = git(
        &root,
        &["diff", "--name-only", "main", "depickle/pickle-to-json"],
    );
    let good = |(_, bytes, why): &(_, Vec<u8>, &str)| *why == REWRITTEN && bytes.len() <= most;
    let expected = texts().iter().filter(|text| good(text)).count() + 1;
    assert_eq!(changed.lines().count(), expected, "{changed}");
}

#[test]
fn what_is_no_file_or_has_a_strange_name_is_told_and_never_printed_raw() {
    let home = Home::new();
    home.write("shop/good.py", GUIDE);
    let names: [&[u8]; 7] = [
        b"new\nline.py",
        b"qu'ote\".py",
        b"\x1b[31mred\x1b]0;title\x07.py",
        "right\u{202e}left.py".as_bytes(),
        b"$(touch run)`touch run`.py",
        b"-rf.py",
        b"not\xff\xfeutf8.py",
    ];
    let at = |name: &[u8]| home.path("shop").join(std::ffi::OsStr::from_bytes(name));
    for name in names {
        fs::write(at(name), GUIDE).unwrap();
    }
    let link = |to: &str, from: &str| {
        std::os::unix::fs::symlink(to, home.path("shop").join(from)).unwrap()
    };
    link("loop.py", "loop.py");
    link(".", "itself");
    link("nowhere.py", "dangling.py");
    link("/etc/passwd", "passwd.py");
    link("/etc", "outside");
    assert!(
        Command::new("mkfifo")
            .arg(at(b"fifo.py"))
            .status()
            .unwrap()
            .success()
    );
    let _socket = UnixListener::bind(at(b"socket.py")).unwrap();
    // /dev/zero under another name, which never ends; that needs root.
    let mut made = Command::new("mknod");
    let made = made.arg(at(b"device.py")).args(["c", "1", "5"]).output();
    let device = made.is_ok_and(|made| made.status.success());
    fs::create_dir(at(b"folder.py")).unwrap();
    for output in [
        home.run(&["scan", "shop", "-v", "--color", "never"]),
        home.run(&["diff", "shop", "-v"]),
    ] {
        assert_eq!(code(&output), 3);
        let text = stdout(&output);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
        assert!(!text.contains("new\nline"), "{text}");
    }
    let (ledger, loads) = told(&home.json(&["scan", "shop", "--format", "json"]));
    let why = |name: &str| {
        ledger
            .iter()
            .find(|(file, _)| file == name)
            .map(|(_, code)| code.as_str())
    };
    for name in ["loop.py", "dangling.py", "passwd.py"] {
        assert_eq!(why(name), Some("symlink"), "{name}");
    }
    for name in ["fifo.py", "socket.py"]
        .into_iter()
        .chain(device.then_some("device.py"))
    {
        assert_eq!(why(name), Some("not-a-file"), "{name}");
    }
    for format in [
        "html", "markdown", "csv", "junit", "github", "gitlab", "sarif", "codetf", "jsonl", "json",
        "diff", "text",
    ] {
        let text = stdout(&home.run(&["scan", "shop", "--format", format]));
        assert!(text.contains("good.py"), "{format}: {text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{format}: {text}");
        // A tag, an address or a line of its own that the name would begin.
        assert!(!text.contains("new\nline"), "{format}: {text}");
        if format == "sarif" {
            let document: Value = serde_json::from_str(&text).unwrap();
            let mut uris = Vec::new();
            addresses(&document, &mut uris);
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%:+".contains(c);
            assert!(
                uris.len() > 7 && uris.iter().all(|uri| uri.chars().all(plain)),
                "{uris:?}"
            );
        }
    }
    assert_eq!(why("not\u{fffd}\u{fffd}utf8.py"), Some("not-utf8-name"));
    assert_eq!(loads.len(), 7, "{loads:?}");
    assert!(
        loads.iter().all(|(_, decision)| decision == "rewrite"),
        "{loads:?}"
    );
}

/// Every `uri` in `value`.
fn addresses(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| name == "uri") {
                    Some(uri) => found.push(uri.to_owned()),
                    None => addresses(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| addresses(value, found)),
        _ => {}
    }
}

/// Nobody is kept from reading who runs as root.
fn is_root(below: &Path) -> bool {
    let closed = below.join("closed");
    fs::write(&closed, "").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    fs::read(&closed).is_ok()
}

#[test]
fn what_may_not_be_read_is_told() {
    let home = Home::new();
    for path in ["shop/good.py", "shop/closed.py", "shop/folder/inner.py"] {
        home.write(path, GUIDE);
    }
    for path in ["shop/closed.py", "shop/folder"] {
        fs::set_permissions(home.path(path), fs::Permissions::from_mode(0o0)).unwrap();
    }
    let mut program = home.program(&["scan", "shop", "--format", "json"]);
    if is_root(home.0.path()) {
        // Somebody else looks.
        fs::set_permissions(home.0.path(), fs::Permissions::from_mode(0o777)).unwrap();
        std::os::unix::process::CommandExt::uid(&mut program, 65_534);
        let parents = Path::new(env!("CARGO_BIN_EXE_depickle")).ancestors();
        if parents
            .filter_map(|folder| fs::metadata(folder).ok())
            .any(|data| data.permissions().mode() & 0o5 != 0o5)
        {
            let copy = home.path("depickle");
            // By another process, as `Home::script`.
            let mut copying = Command::new("cp");
            let copying = copying.arg(env!("CARGO_BIN_EXE_depickle")).arg(&copy);
            assert!(copying.status().unwrap().success());
            let mut other = Command::new(copy);
            home.dress(other.args(program.get_args()));
            std::os::unix::process::CommandExt::uid(&mut other, 65_534);
            program = other;
        }
    }
    let output = program.output().unwrap();
    fs::set_permissions(home.path("shop/folder"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(code(&output), 3);
    let (ledger, loads) = told(&serde_json::from_slice(&output.stdout).unwrap());
    let unreadable = |name: &str| (name.to_owned(), "unreadable".to_owned());
    assert_eq!(ledger, [unreadable("closed.py"), unreadable("folder")]);
    assert_eq!(loads, [("good.py".to_owned(), "rewrite".to_owned())]);
}
