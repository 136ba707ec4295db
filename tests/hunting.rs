//! Pickles planted in logs in every way are found again, by the search over lines and by the program; ordinary text is not
//! taken for them.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real logs and runs programs"
)]

#[path = "support/home.rs"]
mod home;
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "support/venv.rs"]
mod venv;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use depickle::hunt::{Does, Hit, Hunter, Sign, Watched, hunt, queries};
use home::{GUIDE, Home, code, stderr, stdout};
use serde_json::{Value, json};
use snapshot::snapshot;

const REFUSED: &str = "Refused a request whose data is not JSON";

fn hunter() -> Hunter {
    Hunter::new(vec![REFUSED.to_owned()]).unwrap()
}

fn found(hunter: &Hunter, log: &[u8]) -> Vec<Hit> {
    hunt(hunter, log, 0, log.len())
}

/// What the pickles in `log` would do.
fn payloads(hunter: &Hunter, log: &[u8]) -> Vec<Does> {
    let signs = found(hunter, log).into_iter().flat_map(|hit| hit.signs);
    let payloads = signs.filter_map(|sign| match sign {
        Sign::Payload(payload) => Some(payload.does),
        _ => None,
    });
    payloads.collect()
}

/// All planted logs: name, bytes, and what the pickle would do.
fn planted() -> Vec<(String, Vec<u8>, Does)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/plant.py");
    let output = Command::new("python3")
        .args(["-B", script])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let engine = base64::engine::general_purpose::STANDARD;
    let lines = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let does = match row["does"].as_str().unwrap() {
            "runs-code" => Does::RunsCode,
            _ => Does::DataOnly,
        };
        let log = engine.decode(row["log"].as_str().unwrap()).unwrap();
        (row["name"].as_str().unwrap().to_owned(), log, does)
    };
    lines.lines().map(row).collect()
}

#[test]
fn every_pickle_planted_in_every_encoding_protocol_and_place_is_found() {
    let hunter = hunter();
    let all = planted();
    assert!(all.len() > 10_000, "{}", all.len());
    let mut missed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, log, does) in &all {
        let hits = found(&hunter, log);
        let seen = payloads(&hunter, log);
        if seen != [*does] {
            let (pickle, place) = name.split_once('/').unwrap();
            let row = format!("{place} {seen:?}");
            missed.entry(row).or_default().push(pickle.to_owned());
        } else if !name.contains("referer/") && !name.contains("agent/") {
            let time = hits[0].context.time.as_deref();
            assert!(
                time.is_some_and(|t| t.starts_with("2026-11-25T21:05:27")),
                "{name}: {time:?}"
            );
            let client = hits[0].context.client.as_deref();
            let said = client == Some("203.0.113.9")
                || ["header", "json-in-json"].iter().any(|p| name.contains(p));
            assert!(
                said || name.contains("export") || name.contains("bytes-in-json"),
                "{name}: {client:?}"
            );
        }
    }
    let count: usize = missed.values().map(Vec::len).sum();
    let rows: Vec<String> = missed
        .iter()
        .map(|(row, names)| format!("{row}: {} {names:?}", names.len()))
        .collect();
    assert!(
        missed.is_empty(),
        "{count} of {} missed:\n{}",
        all.len(),
        rows.join("\n")
    );
}

#[test]
fn what_a_pickle_would_have_done_is_told_with_who_sent_it_and_where() {
    let home = Home::new();
    let log = "203.0.113.9 - - [25/Nov/2026:22:05:27 +0100] \"GET /cart?id=7&cart=gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg%3D%3D HTTP/1.1\" 500 12 \"-\" \"curl/8\"\n\
        203.0.113.9 - - [25/Nov/2026:22:06:01 +0100] \"GET /cart?cart=gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg%3D%3D HTTP/1.1\" 400 12 \"-\" \"curl/8\"\n\
        198.51.100.4 - - [25/Nov/2026:23:00:00 +0100] \"GET /about HTTP/1.1\" 200 12 \"-\" \"curl/8\"\n\
        198.51.100.4 - alice [25/Nov/2026:23:10:00 +0100] \"POST /orders HTTP/1.1\" 200 12 \"-\" \"curl/8\" \"basket=gAN9cQBYBAAAAGNhcnRxAV1xAihLAUsCZXMu\"\n";
    home.write("logs/access.log.1", log);
    let application = "2026-11-25 21:05:27,123 ERROR shop: Exception on /cart [GET]\n\
        Traceback (most recent call last):\n  File \"/srv/shop/app.py\", line 14, in save_cart\n    cart = pickle.loads(data)\n\
        _pickle.UnpicklingError: invalid load key, '\\x1b[31m'.\n\
        2026-11-25 21:07:00,001 WARNING shop: Refused a request whose data is not JSON\n\
        2026-11-25 21:08:00,001 INFO shop: body c__builtin__\\neval\\n(Vprint(1)\\ntR. cut gASVQgAAAAAAAAB9lIwE\x1b\n";
    home.write("logs/app.log", application);
    let text = home.run(&["hunt", "logs"]);
    assert_eq!(code(&text), 1, "{}", stderr(&text));
    snapshot("hunt", &stdout(&text), &[]);
    let document = home.json(&["hunt", "logs", "--format", "json"]);
    snapshot(
        "hunt-json",
        &serde_json::to_string_pretty(&document).unwrap(),
        &[],
    );
}

#[test]
fn the_program_finds_them_in_one_stream_however_it_is_stored() {
    let home = Home::new();
    let all = planted();
    let mut log = Vec::new();
    let mut lines = Vec::new();
    for (at, (_, planted, _)) in all.iter().enumerate().filter(|(at, _)| at % 7 == 0) {
        log.extend(format!("198.51.100.4 - - [25/Nov/2026:22:05:27 +0100] \"GET /{at} HTTP/1.1\" 200 8004 \"-\" \"curl/8\"\n").bytes());
        lines.push(log.iter().filter(|b| **b == b'\n').count() + 1);
        log.extend(planted);
    }
    home.write("plain.log", &log);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&log[..log.len() / 2]).unwrap();
    let mut packed = packed.finish().unwrap();
    // Rotated logs are often several gzip streams after one another.
    let mut second = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    second.write_all(&log[log.len() / 2..]).unwrap();
    packed.extend(second.finish().unwrap());
    home.write("rotated.log.2.gz", &packed);
    let mut counts = Vec::new();
    for name in ["plain.log", "rotated.log.2.gz"] {
        let document = home.json(&["hunt", name, "--format", "json"]);
        assert_eq!(document["files"][0]["bytes"], log.len(), "{name}");
        assert_eq!(
            document["files"][0]["lines"],
            log.iter().filter(|b| **b == b'\n').count()
        );
        let totals = &document["totals"];
        let found = ["runs-code", "data-only", "imports", "cut-off"]
            .map(|word| totals[word].as_u64().unwrap());
        assert_eq!(
            found.iter().sum::<u64>(),
            lines.len() as u64,
            "{name}: {totals}"
        );
        assert_eq!((found[2], found[3]), (0, 0));
        counts.push(totals.clone());
    }
    assert_eq!(counts[0], counts[1]);
    let mut piped = home
        .program(&["hunt", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = piped.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || stdin.write_all(&packed));
    let output = piped.wait_with_output().unwrap();
    feeding.join().unwrap().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["totals"], counts[0]);
    assert_eq!(code(&output), 1);
}

#[test]
fn ordinary_lines_are_no_signs() {
    let hunter = hunter();
    let ordinary = [
        // Numbers and digests with the digits of a head.
        "1.2.3.4 - - [25/Nov/2026:22:05:27 +0100] \"GET /x?id=80042e80032e&h=800480058002ff2e HTTP/1.1\" 200 80042 \"-\" \"-\"",
        "etag 80054e3f2e0c9d7f7a53b1c9e0d4a2b6f1c3d5e7",
        // Base64 of other things that begin so.
        "token gASdXJlZ2FzVkFBQUFBQUFBQUFB gAJhbm90aGVyIG9uZQ gAQz x=gASVery/long+words",
        // Text whose lines look like names.
        "{\"message\": \"select\\n  id,\\n  color\\nfrom\\n(select\\nitems\\n)\\n.\"}",
        "{\"message\": \"insert\\ninto\\n(S'x')\\ncos\\nsin\\n\"}",
        "{\"message\": \"colors:\\ncyan\\nivory\\n(I think)\\ntR.\"}",
        "cat\ndog\n(Very well)\nirony\nof\nfate.\n",
        // TLS where HTTP was expected, with the bytes of a head.
        "1.2.3.4 - - [25/Nov/2026:22:05:27 +0100] \"\\x16\\x03\\x01\\x80\\x04N.\\x80\\x02\\x00\\x80\\x03K\\x01.\\x7F\" 400 157 \"-\" \"-\"",
        // A session of Django that is JSON.
        "Cookie: sessionid=.eJyrVsrMK8vPTE5VslIwNrS00FFQKs7ILCjIzEsHipgamRoBRUoyk7NTS4D8kqLS1FoAkSgPoQ:8alrtg:Srv8Wgto78nQcGfBlv94oJz728M",
        // Errors of other things.
        "AttributeError: 'NoneType' object has no attribute 'get'",
        "Can't get attribute list from the server",
        "PermissionError: access to 'x' is forbidden",
        "the tank Ran out of input water",
        "numbers 128,4,5 and 128, 4, 149 and 10,112,48,10,",
    ];
    for line in ordinary {
        let hits = found(&hunter, line.as_bytes());
        assert!(hits.is_empty(), "{line}: {hits:?}");
    }
}

#[test]
fn a_pickle_that_is_cut_off_still_tells_what_it_imports() {
    let hunter = hunter();
    let line = |text: &str| {
        let mut hits = found(&hunter, text.as_bytes());
        assert_eq!(hits.len(), 1, "{text}: {hits:?}");
        let signs = hits.remove(0).signs;
        match signs.as_slice() {
            [Sign::Payload(payload)] => payload.clone(),
            other => panic!("{other:?}"),
        }
    };
    let cut = line("body=gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJp...");
    assert_eq!((cut.does, cut.whole), (Does::Imports, false));
    assert_eq!(cut.imports, ["posix.system"]);
    assert_eq!(cut.key, "body");
    let cut = line("body=gASVHQAAAAAAAACMBXBv...");
    assert_eq!((cut.does, cut.whole), (Does::CutOff, false));
    let cut = line("body cposix\\nsystem\\np0\\n(Vid\\np1\\ntp2\\nRp3");
    assert_eq!((cut.does, cut.whole), (Does::RunsCode, false));
    assert_eq!(cut.calls, ["posix.system(\"id\")"]);
}

#[test]
fn what_is_not_read_is_told() {
    let home = Home::new();
    home.write("old.log.bz2", b"BZh91AY&SY");
    home.write("old.log.xz", b"\xfd7zXZ\0\0\x04");
    home.write("old.log.zst", b"\x28\xb5\x2f\xfd\x04");
    home.write("old.log.lz4", b"\x04\x22\x4d\x18");
    home.write("system.journal", b"LPKSHHRH\0\0\0\0");
    let mut cut = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    cut.write_all(b"body=gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg==\n")
        .unwrap();
    let cut = cut.finish().unwrap();
    home.write("cut.log.gz", &cut[..cut.len() - 4]);
    for name in [
        "old.log.bz2",
        "old.log.xz",
        "old.log.zst",
        "old.log.lz4",
        "system.journal",
        "cut.log.gz",
        "gone.log",
    ] {
        let output = home.run(&["hunt", name]);
        assert_eq!(code(&output), 3, "{name}");
        assert!(stdout(&output).contains("note:"), "{}", stdout(&output));
    }
    assert!(stdout(&home.run(&["hunt", "cut.log.gz"])).contains("1 runs-code"));
    // A line that is too long is read in pieces, and told.
    let mut long = b"x ".repeat(3 << 20);
    long.extend(b"cart=gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg== ");
    long.extend(b"y ".repeat(8 << 20));
    home.write("long.log", &long);
    let output = home.run(&["hunt", "long.log"]);
    assert_eq!(code(&output), 3);
    assert!(
        stdout(&output).contains("1 runs-code"),
        "{}",
        stdout(&output)
    );
    assert_eq!(code(&home.run(&["hunt"])), 2);
    home.write("fine.log", "nothing\n");
    assert_eq!(code(&home.run(&["hunt", "fine.log"])), 0);
}

/// A line with a pickle, then `lines` without.
fn shop(lines: usize) -> Vec<u8> {
    let mut log = b"203.0.113.9 - - [25/Nov/2026:22:05:27 +0100] \"GET /cart?cart=gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg%3D%3D HTTP/1.1\" 500 12 \"-\" \"curl/8\"\n".to_vec();
    for at in 0..lines {
        log.extend(format!("198.51.100.4 - - [25/Nov/2026:23:00:00 +0100] \"GET /about/{at} HTTP/1.1\" 200 12 \"-\" \"curl/8\"\n").bytes());
    }
    log
}

#[test]
fn logs_are_read_however_they_are_packed() {
    let home = Home::new();
    let log = shop(2000);
    // Twice what was rotated, as `cat` joins it; of zstd with a frame between that says nothing, as its parallel forms write.
    let script = "import bz2, gzip, lzma, sys\n\
        log = sys.stdin.buffer.read()\n\
        for name, pack in ('gz', gzip.compress), ('bz2', bz2.compress), ('xz', lzma.compress):\n    \
        open('access.log.' + name, 'wb').write(pack(log) * 2)\n";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .current_dir(home.path(""))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(&log).unwrap();
    assert!(python.wait().unwrap().success());
    let frame = zstd(&log);
    let nothing = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    home.write("access.log.zst", [&frame[..], &nothing, &frame].concat());
    home.write("parallel.log.zst", [&nothing[..], &frame, &frame].concat());
    for name in [
        "access.log.gz",
        "access.log.bz2",
        "access.log.xz",
        "access.log.zst",
        "parallel.log.zst",
    ] {
        let document = home.json(&["hunt", name, "--format", "json"]);
        let file = &document["files"][0];
        assert_eq!(file["notes"], json!([]), "{name}");
        assert_eq!(file["bytes"], 2 * log.len(), "{name}");
        assert_eq!(document["totals"]["runs-code"], 2, "{name}");
        // Cut off at its end it is read as far as it goes, and told.
        let whole = std::fs::read(home.path(name)).unwrap();
        home.write("cut", &whole[..whole.len() - 20]);
        let cut = home.run(&["hunt", "cut", "--format", "json"]);
        assert_eq!(code(&cut), 3, "{name}");
        let cut: Value = serde_json::from_slice(&cut.stdout).unwrap();
        assert!(
            cut["totals"]["runs-code"].as_u64() >= Some(1),
            "{name}: {cut}"
        );
    }
    let mut wrong = frame;
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    home.write("wrong.zst", wrong);
    let wrong = home.run(&["hunt", "wrong.zst"]);
    assert_eq!(code(&wrong), 3);
    assert!(stdout(&wrong).contains("checksum"), "{}", stdout(&wrong));
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    ruzstd::encoding::compress_to_vec(bytes, level)
}

#[test]
fn servers_error_logs_and_the_journal_tell_who_asked_for_what() {
    const PICKLE: &str = "gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg==";
    let hunter = hunter();
    let line = |text: String| {
        let mut hits = found(&hunter, text.as_bytes());
        assert_eq!(hits.len(), 1, "{text}: {hits:?}");
        let hit = hits.remove(0);
        assert_eq!(
            payloads(&hunter, text.as_bytes()),
            [Does::RunsCode],
            "{text}"
        );
        let said = |part: &Option<String>| part.clone().unwrap_or_default();
        let context = &hit.context;
        [
            &context.time,
            &context.client,
            &context.method,
            &context.route,
        ]
        .map(said)
    };
    let nginx = format!(
        "2026/11/25 21:05:27 [error] 7#7: *11 upstream prematurely closed connection while reading response header from upstream, client: 203.0.113.9, server: shop.example.org, request: \"POST /cart?c={PICKLE} HTTP/1.1\", upstream: \"http://127.0.0.1:8000/cart?c={PICKLE}\", host: \"shop.example.org\""
    );
    let wanted = ["2026-11-25T21:05:27", "203.0.113.9", "POST", "/cart"];
    assert_eq!(line(nginx), wanted);
    let apache = format!(
        "[Wed Nov 25 21:05:27.123456 2026] [wsgi:error] [pid 7:tid 8] [remote 203.0.113.9:51234] data: {PICKLE}"
    );
    assert_eq!(line(apache)[..2], wanted[..2]);
    let apache = format!(
        "[Wed Nov 25 21:05:27.123456 2026] [core:error] [pid 7] [client 203.0.113.9:51234] AH00126: Invalid URI in request POST /cart?c={PICKLE} HTTP/1.1"
    );
    assert_eq!(line(apache), wanted);
    let apache = format!(
        "[Wed Nov 25 21:05:27 2026] [error] [client 2001:db8::9] File does not exist: /srv/{PICKLE}"
    );
    assert_eq!(line(apache)[..2], ["2026-11-25T21:05:27", "2001:db8::9"]);

    // `journalctl -o json`: the message is text, or a list of bytes where it is not, or JSON of the application's own.
    let own = json!({"client": "203.0.113.9", "method": "POST", "path": "/cart", "body": {"cart": PICKLE}}).to_string();
    let of_journal = |message: Value| json!({"__REALTIME_TIMESTAMP": "1795640727000000", "_SYSTEMD_UNIT": "shop.service", "PRIORITY": "6", "MESSAGE": message});
    assert_eq!(
        line(of_journal(own.clone().into()).to_string()),
        ["2026-11-25T21:05:27Z", "203.0.113.9", "POST", "/cart"]
    );
    let bytes: Vec<u8> = own.bytes().chain(*b"\n").collect();
    assert_eq!(
        line(of_journal(bytes.into()).to_string())[..2],
        ["2026-11-25T21:05:27Z", "203.0.113.9"]
    );
    let gunicorn = format!(
        "203.0.113.9 - - [25/Nov/2026:21:05:27 +0000] \"POST /cart?c={PICKLE} HTTP/1.1\" 500 12"
    );
    assert_eq!(
        line(of_journal(gunicorn.into()).to_string()),
        ["2026-11-25T21:05:27Z", "203.0.113.9", "POST", "/cart"]
    );
}

#[test]
fn a_line_full_of_heads_is_bounded() {
    let hunter = hunter();
    for part in [
        "gASV",
        "\\x80\\x04",
        "cos\\nsystem\\n",
        "(",
        "%80%04",
        "\\n(S'",
    ] {
        let line = part.repeat(200_000 / part.len());
        let hits = found(&hunter, line.as_bytes());
        let signs: usize = hits.iter().map(|hit| hit.signs.len()).sum();
        assert!(signs <= 2, "{part}: {signs}");
    }
}

#[test]
fn searches_are_made_for_the_routes_that_lead_to_loads() {
    let home = Home::new();
    let app = GUIDE.replace("/load", "/cart/<int:number>/it's");
    home.repo("shop", &[("app.py", &app)]);
    let output = home.run(&["hunt", "--queries", "shop"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    snapshot("hunt-queries", &stdout(&output), &[]);
    let document = home.json(&["hunt", "--queries", "shop", "--format", "json"]);
    assert_eq!(
        document["routes"],
        json!([{"route": "/cart/<int:number>/it's", "methods": ["POST"]}])
    );
    // Those of grep and jq are run as they stand.
    let sent = "POST /cart/7/it's?cart=gASVHQAAAAAAAACMBXBvc2l4 HTTP/1.1";
    let access = |request: &str, status: u16| {
        format!("1.2.3.4 - - [25/Nov/2026:22:05:27 +0100] \"{request}\" {status} 1 \"-\" \"-\"\n")
    };
    let plain = sent.replace("gASV", "eyJh");
    let elsewhere = sent.replace("/cart/7", "/other");
    let log = [
        access(sent, 500),
        access(&plain, 400),
        access(&elsewhere, 400),
    ]
    .concat();
    home.write("access.log", log);
    home.write("app.log", "1 ERROR _pickle.UnpicklingError: x\n2 INFO x\n");
    let lines = [
        json!({"request": sent, "status": 500}),
        json!({"path": "/cart/7/it's", "status": 400, "message": REFUSED}),
        json!({"path": "/cart/7/it's", "status": "200", "message": "Can't get attribute 'x'"}),
        json!({"request": elsewhere, "status": 400, "message": ["x"]}),
    ];
    home.write(
        "app.json",
        lines.clone().map(|line| format!("{line}\n")).concat(),
    );
    let all = document["queries"].as_array().unwrap();
    let found = |tool: &str| -> Vec<Vec<String>> {
        let of_tool = all.iter().filter(|query| query["tool"] == tool);
        let run = |query: &Value| {
            let text = query["text"].as_str().unwrap();
            let mut shell = Command::new("sh");
            let output = shell.args(["-c", text]).current_dir(home.path("")).output();
            let output = output.unwrap();
            assert!(output.stderr.is_empty(), "{text}: {}", stderr(&output));
            stdout(&output).lines().map(str::to_owned).collect()
        };
        of_tool.map(run).collect()
    };
    let of_grep = found("grep");
    assert_eq!(of_grep.len(), 3);
    assert!(
        matches!(&of_grep[0][..], [line] if line.contains(sent)),
        "{of_grep:?}"
    );
    assert!(
        matches!(&of_grep[1][..], [line] if line.contains(&plain)),
        "{of_grep:?}"
    );
    assert_eq!(of_grep[2], ["1:1 ERROR _pickle.UnpicklingError: x"]);
    let of_jq: Vec<Vec<Value>> = found("jq")
        .iter()
        .map(|lines| {
            lines
                .iter()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        })
        .collect();
    let wanted: [&[Value]; 3] = [&lines[..1], &lines[1..2], &lines[1..3]];
    assert_eq!(
        of_jq, wanted,
        "jq is needed here (Debian: apt-get install jq)"
    );
    home.write("empty/app.py", "x = 1\n");
    assert!(stdout(&home.run(&["hunt", "--queries", "empty"])).contains("No route"));
    let anything = queries(
        &[Watched {
            route: "/a{b}".to_owned(),
            methods: vec![],
        }],
        &[],
    );
    assert!(anything.iter().all(|query| !query.text.contains("{b}")));
}

#[test]
fn the_rules_of_sigma_are_read_and_converted() {
    let home = Home::new();
    let app = GUIDE.replace("/load", "/cart/<int:number>/it's");
    home.repo("shop", &[("app.py", &app)]);
    let document = home.json(&["hunt", "--queries", "shop", "--format", "json"]);
    let queries = document["queries"].as_array().unwrap();
    let rules = queries.iter().filter(|query| query["tool"] == "sigma");
    let rules: Value = rules.map(|query| query["text"].clone()).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/read_sigma.py");
    let mut python = Command::new(venv::python())
        .args(["-B", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(rules.to_string().as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let splunk = |n: usize| made[n]["SplunkBackend"][0].as_str().unwrap();
    // What a client chooses is a wildcard, and what a pickle begins with may stand anywhere.
    for part in ["\"/cart/*/it's\"", "\"*gASV*\"", "\"cs-cookie\""] {
        assert!(splunk(0).contains(part), "{}", splunk(0));
    }
    assert!(splunk(1).contains("\"sc-status\"=400"), "{}", splunk(1));
    assert!(
        splunk(2).contains(&format!("\"{REFUSED}\"")),
        "{}",
        splunk(2)
    );
    let lucene = made[0]["LuceneBackend"][0].as_str().unwrap();
    assert!(lucene.contains("cs-uri-query:(*gASV*"), "{lucene}");
}
