//! Comments that leave loads alone: told, counted, reported where they do nothing, and written on request.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs programs"
)]

#[path = "support/home.rs"]
mod home;

use std::fs;

use home::{GUIDE, Home, code, stderr, stdout};

const LOAD: &str = "unpickled_data = pickle.loads(data)\n";

/// The guide's application with `comment` at the end of the load's line.
fn with(comment: &str) -> String {
    GUIDE.replace(LOAD, &format!("{}  {comment}\n", LOAD.trim_end()))
}

#[test]
fn what_is_suppressed_is_counted_and_listed_on_request() {
    let home = Home::new();
    home.write("shop/app.py", with("# nosec B301"));
    let scan = home.run(&["scan", "shop"]);
    let said = stdout(&scan);
    assert_eq!(code(&scan), 0, "{said}");
    assert!(
        said.contains("1 suppressed in the code; --show-suppressed lists them"),
        "{said}"
    );
    assert!(said.contains("0 trusted; 1 suppressed"), "{said}");
    assert!(
        !said.contains("app.py:11") && !said.contains("more that no web client"),
        "{said}"
    );
    let listed = home.run(&["scan", "shop", "--show-suppressed"]);
    let said = stdout(&listed);
    assert_eq!(code(&listed), 0, "{said}");
    assert!(said.contains("app.py:11:22  suppressed  http"), "{said}");
    assert!(said.contains("app.py:11  # nosec B301"), "{said}");
    assert_eq!(code(&home.run(&["diff", "shop"])), 0);
    let json = home.json(&["scan", "shop", "--format", "json"]);
    assert_eq!(json["projects"][0]["findings"][0]["status"], "suppressed");
}

#[test]
fn an_ignore_that_does_nothing_is_reported_and_a_neighbours_is_not() {
    let home = Home::new();
    let wrong = with("# depickle: ignore[pickel-to-json] behind the VPN");
    home.write("shop/app.py", wrong);
    home.write(
        "shop/other.py",
        "x = 1  # depickle: ignore\ny = 2  # nosec\nz = '# depickle: ignore'\n",
    );
    home.write("shop/used.py", with("# depickle: ignore ours"));
    let scan = home.run(&["scan", "shop"]);
    let said = stdout(&scan);
    assert_eq!(code(&scan), 1, "{said}");
    assert!(
        said.contains(
            "app.py:11 `# depickle: ignore[pickel-to-json] behind the VPN` leaves no load alone"
        ),
        "{said}"
    );
    assert!(
        said.contains("other.py:1 `# depickle: ignore` leaves no load alone"),
        "{said}"
    );
    assert_eq!(said.matches("leaves no load alone").count(), 2, "{said}");
}

#[test]
fn comments_are_written_above_what_counts_and_come_off_again() {
    let home = Home::new();
    let odd = "\u{feff}import pickle, flask\r\napp = flask.Flask(__name__)\r\n@app.route('/')\r\ndef f():\r\n    d = flask.request.data\r\n    if not d: return ''\r\n    elif pickle.loads(d): x = 1\r\n    y = (\r\n        pickle.loads(d),\r\n        pickle.loads(d),\r\n    )\r\n    text = '''\r\n'''; z = pickle.loads(d)\r\n    with pickle.loads(d) as q: return str(q)\r\n";
    let files = [
        ("app.py", GUIDE),
        ("odd.py", odd),
        ("safe.py", "import pickle\npickle.loads(b'N.')\n"),
    ];
    home.repo("shop", &files);
    let reason = "behind the VPN, until March";
    let diff = home.run(&["diff", "shop", "--add-ignore", reason]);
    assert_eq!(code(&diff), 1, "{}", stderr(&diff));
    let added: Vec<String> = stdout(&diff)
        .lines()
        .filter(|l| l.starts_with('+') && !l.starts_with("+++"))
        .map(str::to_owned)
        .collect();
    assert!(
        added
            .iter()
            .all(|line| line
                .contains("# depickle: ignore[pickle-to-json] behind the VPN, until March")),
        "{added:?}"
    );
    assert_eq!(fs::read_to_string(home.path("shop/app.py")).unwrap(), GUIDE);

    // One of them alone.
    let json = home.json(&["scan", "shop/app.py", "--format", "json"]);
    let one = json["projects"][0]["findings"][0]["fingerprint"]
        .as_str()
        .unwrap()
        .to_owned();
    let alone = home.run(&["diff", "shop", "--add-ignore", reason, "--only", &one]);
    assert!(
        stdout(&alone).contains("b/app.py") && !stdout(&alone).contains("b/odd.py"),
        "{}",
        stdout(&alone)
    );

    let applied = home.run(&["apply", "shop", "--add-ignore", reason]);
    assert_eq!(
        code(&applied),
        0,
        "{}{}",
        stdout(&applied),
        stderr(&applied)
    );
    let app = fs::read_to_string(home.path("shop/app.py")).unwrap();
    assert_eq!(
        app,
        GUIDE.replace(
            &format!("    {LOAD}"),
            &format!("    # depickle: ignore[pickle-to-json] {reason}\n    {LOAD}")
        )
    );
    let again = home.run(&["scan", "shop"]);
    assert!(
        !stdout(&again).contains("leaves no load alone"),
        "{}",
        stdout(&again)
    );
    assert!(
        stdout(&again).contains("5 suppressed in the code"),
        "{}",
        stdout(&again)
    );
    let now = fs::read_to_string(home.path("shop/odd.py")).unwrap();
    assert_eq!(now.matches("depickle: ignore").count(), 3, "{now}");
    assert!(
        stdout(&applied).contains("no comment can be put above it"),
        "{}",
        stdout(&applied)
    );
    let without: String = now
        .split_inclusive('\n')
        .filter(|line| !line.contains("depickle: ignore"))
        .collect();
    assert_eq!(without, odd);
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(fs::read_to_string(home.path("shop/app.py")).unwrap(), GUIDE);

    for args in [
        &["diff", "shop", "--add-ignore", " "][..],
        &["diff", "shop", "--add-ignore", "a\nb"],
        &["diff", "shop", "--only", "a"],
    ] {
        assert_eq!(code(&home.run(args)), 2, "{args:?}");
    }
}
