//! Configurations: which files count, how far a repository's own goes, rows of one's own, packs from outside.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs programs"
)]

#[path = "support/home.rs"]
mod home;
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "support/venv.rs"]
mod venv;

use std::fs;
use std::process::{Command, Output};

use home::{GUIDE, Home, code, git, stderr, stdout};
use serde_json::Value;
use snapshot::snapshot;

/// A handler, a body and an answer that only the shop's own framework knows.
const SHOP: &str = r#"import pickle

from shop.web import body, endpoint


@endpoint("/cart")
def cart(ctx):
    data = pickle.loads(body(ctx))
    return {"items": len(data)}
"#;

const ROWS: &str = r#"
[[source]]
names = ["shop.web.body"]
trust = "http"
channel = "body"
shape = "bytes"

[[handler]]
decorators = ["shop.web.endpoint"]

[[reply]]
style = "return"
code = 'return {shop.web.refused}({message})'
"#;

fn from(home: &Home, folder: &str, args: &[&str]) -> Output {
    let mut program = home.program(args);
    program.current_dir(home.path(folder)).output().unwrap()
}

fn status(run: &Value) -> Vec<(String, String)> {
    let findings = run["projects"][0]["findings"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    findings
        .map(|one| (word(&one["trust"]), word(&one["status"])))
        .collect()
}

fn one(trust: &str, status: &str) -> Vec<(String, String)> {
    vec![(trust.to_owned(), status.to_owned())]
}

#[test]
fn a_framework_of_ones_own_is_known_by_ones_own_rows() {
    let home = Home::new();
    home.write("shop/app.py", SHOP);
    let scan = |home: &Home| status(&home.json(&["scan", "shop", "--format", "json"]));
    assert_eq!(
        scan(&home),
        one("unknown", "refuse"),
        "nothing is known yet"
    );
    home.write("shop/depickle.toml", ROWS);
    assert_eq!(scan(&home), one("http", "rewrite"));
    let patch = stdout(&home.run(&["diff", "shop"]));
    assert!(
        patch.contains("+        return refused(\"Invalid input\")"),
        "{patch}"
    );
    assert!(
        patch.contains("+from shop.web import body, endpoint, refused"),
        "{patch}"
    );
    // The same rows as a pack, and in pyproject.toml.
    fs::remove_file(home.path("shop/depickle.toml")).unwrap();
    home.write(
        "packs/frameworks/shop/model.toml",
        format!("title = \"The shop's own\"\n{ROWS}"),
    );
    let packed = home.json(&["scan", "shop", "--pack", "packs", "--format", "json"]);
    assert_eq!(status(&packed), one("http", "rewrite"));
    let inner = ROWS.replace("[[", "[[tool.depickle.");
    home.write(
        "shop/pyproject.toml",
        format!("[project]\nname = \"shop\"\n{inner}"),
    );
    assert_eq!(scan(&home), one("http", "rewrite"));
    // Before it in the same folder:
    home.write("shop/depickle.toml", "");
    assert_eq!(scan(&home), one("unknown", "refuse"));
}

#[test]
fn sinks_writers_and_guards_of_ones_own_count() {
    let home = Home::new();
    let app = "from flask import Flask, request\n\nfrom shop.codec import unpack\n\napp = Flask(__name__)\n\n\n\
               @app.route(\"/load\", methods=[\"POST\"])\ndef load():\n    data = unpack(request.get_data())\n    \
               return {\"n\": len(data)}\n";
    home.write("one/app.py", app);
    let scan = |name: &str| home.json(&["scan", name, "--format", "json"]);
    assert_eq!(status(&scan("one")), []);
    home.write(
        "one/depickle.toml",
        "[[sink]]\nnames = [\"shop.codec.unpack\"]\narrives = \"bytes\"\nbecomes = \"json.loads\"\n",
    );
    assert_eq!(status(&scan("one")), one("http", "rewrite"));
    home.write(
        "two/app.py",
        GUIDE
            .replace("pickle.loads(data)", "pickle.loads(opened(data))")
            .replace("from flask", "from shop.seal import opened\nfrom flask"),
    );
    assert_eq!(status(&scan("two")), one("http", "refuse"));
    home.write(
        "two/depickle.toml",
        "[[guard]]\nverifies = [\"shop.seal.opened\"]\n",
    );
    // The user's own, where one stands in it; of a repository that is looked at from elsewhere it hides a load.
    let inside = from(&home, "two", &["scan", "--format", "json"]);
    assert_eq!(code(&inside), 0, "{}", stderr(&inside));
    let outside = home.run(&["scan", "two"]);
    assert_eq!(code(&outside), 3, "{}", stdout(&outside));
    assert!(
        stdout(&outside)
            .contains("takes 1 load out of reach: app.py:12; --no-repo-config looks at all of it"),
        "{}",
        stdout(&outside)
    );
    assert_eq!(code(&home.run(&["scan", "two", "--no-repo-config"])), 1);
}

#[test]
fn the_command_line_comes_before_the_repositorys_own_and_that_before_the_folder_above() {
    let home = Home::new();
    home.repo(
        "shop",
        &[("app.py", GUIDE), ("depickle.toml", "message = \"own\"\n")],
    );
    home.write("depickle.toml", "message = \"above\"\nlog-rejects = true\n");
    home.write("named.toml", "message = \"named\"\n");
    home.write("configurations/depickle.toml", "message = \"home\"\n");
    let diff =
        |folder: &str, args: &[&str]| stdout(&from(&home, folder, &[&["diff"], args].concat()));
    let said = |patch: &str, text: &str| patch.contains(&format!("return \"{text}\", 400"));
    assert!(said(&diff(".", &["shop", "--message", "line"]), "line"));
    let own = diff(".", &["shop"]);
    assert!(said(&own, "own") && own.contains("logger.warning"), "{own}");
    assert!(said(
        &diff(".", &["shop", "--config", "named.toml"]),
        "named"
    ));
    assert!(said(&diff(".", &["shop", "--isolated"]), "above"));
    // Inside of it nothing is above: a repository ends the search.
    let inside = diff("shop", &[]);
    assert!(
        said(&inside, "own") && !inside.contains("logger.warning"),
        "{inside}"
    );
    fs::remove_file(home.path("shop/depickle.toml")).unwrap();
    assert!(said(&diff("shop", &[]), "home"));
    // What is committed counts for what reads the commit.
    let staged = home.run(&["stage", "shop"]);
    assert_eq!(code(&staged), 0, "{}", stderr(&staged));
    let after = git(
        &home.path("shop"),
        &["show", "depickle/pickle-to-json:app.py"],
    );
    assert!(said(&after, "own"), "{after}");
}

#[test]
fn a_hostile_configuration_hides_nothing_and_writes_nowhere() {
    let home = Home::new();
    let hostile = "exclude = [\"app.py\"]\ntrust = [\"file\"]\npack = [\"/\"]\n[cache]\ndir = \"../elsewhere\"\n\
                   [scan]\nbaseline = \"all.json\"\n";
    home.repo(
        "shop",
        &[
            ("app.py", GUIDE),
            ("other.py", GUIDE),
            ("depickle.toml", hostile),
        ],
    );
    let shop = format!("file://{}", home.path("shop").display());
    for target in ["shop", shop.as_str()] {
        let run = home.run(&["scan", target]);
        assert_eq!(code(&run), 3, "{}", stdout(&run));
        let said = stdout(&run);
        for part in [
            "other.py:11:22  rewrite  http",
            "leaves out 1 Python file: app.py; --no-repo-config looks at all of it",
            "sets cache, pack, scan, trust, which only your own configuration may: not heeded",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let isolated = home.run(&["scan", target, "--no-repo-config"]);
        assert_eq!(code(&isolated), 1);
        assert!(stdout(&isolated).contains("  app.py:11:22  rewrite  http"));
    }
    // Where one stands in it, what is left out is said all the same; and it does not choose where is written.
    let inside = from(&home, "shop", &["scan"]);
    assert_eq!(code(&inside), 2);
    assert!(
        stderr(&inside).contains("depickle.toml:5:1: says where is written"),
        "{}",
        stderr(&inside)
    );
    assert!(!home.path("elsewhere").exists());
    home.write("shop/depickle.toml", "exclude = [\"*\"]\n");
    let inside = from(&home, "shop", &["scan"]);
    assert!(
        stdout(&inside).contains("leave out 2 Python files"),
        "{}",
        stdout(&inside)
    );

    // One that turns a transform off, one with a mistake, one that is a link to a file of the user's.
    home.write(
        "shop/depickle.toml",
        "transforms = { pickle-to-json = false }\n",
    );
    let off = home.run(&["scan", "shop"]);
    assert_eq!(code(&off), 3);
    assert!(
        stdout(&off).contains("takes 2 loads out of reach: app.py:11, other.py:11"),
        "{}",
        stdout(&off)
    );
    home.write("shop/depickle.toml", "exclud = [\"*\"]\n");
    let wrong = home.run(&["scan", "shop"]);
    assert_eq!(code(&wrong), 3);
    let said = "its own configuration is not used: depickle.toml:1:1: unknown key `exclud`; did you mean `exclude`?";
    assert!(stdout(&wrong).contains(said), "{}", stdout(&wrong));
    assert!(stdout(&wrong).contains("other.py:11:22  rewrite"));
    fs::remove_file(home.path("shop/depickle.toml")).unwrap();
    home.write("secret.toml", "password = 1\n");
    std::os::unix::fs::symlink(home.path("secret.toml"), home.path("shop/depickle.toml")).unwrap();
    let linked = home.run(&["scan", "shop"]);
    assert!(!stdout(&linked).contains("password"), "{}", stdout(&linked));
    assert_eq!(code(&linked), 1);
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    let bad = [
        "mesage = \"x\"\n",
        "# first\ntrust = [\"htp\"]\n",
        "format = \"sarfi\"\n",
        "jobs = \"many\"\n",
        "[transforms]\npickle-to-jsno = false\n",
        "[cache]\nmax-size = \"a lot\"\n",
        "[[source]]\nnames = [\"a.b\"]\ntrusted = true\n",
        "[[source]]\nnames = [\"a.b\"]\n",
        "[[source]]\ntrust = \"http\"\n",
        "[[source]]\nnames = [\"a.b\"]\nis = \"flask.Requst\"\n",
        "[[sink]]\nnames = [\"a.loads\"]\narrives = \"bytes\"\ntransform = \"yaml-to-safe\"\n",
        "[[reply]]\nstyle = \"return\"\ncode = 'return {massage}'\n",
        "[[source]]\nnames = [\"a.b\", \"a.b\"]\ntrust = \"http\"\n",
        "message = \n",
        "[[repo]]\nurl = \"shop\"\n",
    ];
    let mut said = String::new();
    for text in bad {
        home.write("depickle.toml", text);
        let output = home.run(&["scan", "shop"]);
        assert_eq!(code(&output), 2, "{text}");
        said.push_str(&stderr(&output));
    }
    home.write("depickle.toml", "");
    home.write("pyproject.toml", "[tool.depickle]\nexclde = []\n");
    fs::remove_file(home.path("depickle.toml")).unwrap();
    said.push_str(&stderr(&home.run(&["scan", "shop"])));
    fs::remove_file(home.path("pyproject.toml")).unwrap();
    let packs: [(&str, &str); 5] = [
        (
            "frameworks/shop/model.toml",
            "title = \"x\"\n[[handler]]\ndecorator = [\"a.b\"]\n",
        ),
        (
            "pickle-to-json/transform.toml",
            "title = \"x\"\nsubject = \"x\"\n",
        ),
        (
            "mine/transform.toml",
            "title = \"x\"\nsubject = \"x\"\nrewrite-like = \"pickle-to-jsn\"\n",
        ),
        ("mine/model.toml", "title = \"x\"\n"),
        ("README.md", "x\n"),
    ];
    for (path, text) in packs {
        let _ = fs::remove_dir_all(home.path("packs"));
        home.write(&format!("packs/{path}"), text);
        let output = home.run(&["scan", "shop", "--pack", "packs"]);
        assert_eq!(code(&output), 2, "{text}");
        said.push_str(&stderr(&output));
    }
    let output = home.run(&["scan", "shop", "--pack", "nowhere"]);
    said.push_str(&stderr(&output));
    snapshot("bad-configuration", &said, &[]);
}

#[test]
fn what_is_said_anew_holds_and_is_told() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    home.write(
        "depickle.toml",
        "[[source]]\nnames = [\"flask.request\"]\ntrust = \"trusted\"\n",
    );
    let output = home.run(&["scan", "shop"]);
    let said = "warning: depickle.toml says anew what the source `flask.request` of transforms/frameworks/flask/model.toml is, and holds";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    // More of a framework that is known.
    home.write("depickle.toml", "");
    home.write(
        "packs/frameworks/flask/model.toml",
        "title = \"Flask\"\n[[reply]]\nstyle = \"return\"\ncode = 'return {{\"no\": {message}}}, 400'\n",
    );
    let patch = stdout(&home.run(&["diff", "shop", "--pack", "packs"]));
    assert!(
        patch.contains("+        return {\"no\": \"Invalid input\"}, 400"),
        "{patch}"
    );
}

#[test]
fn another_configuration_is_no_way_to_go_on() {
    let home = Home::new();
    home.repo("shop", &[("app.py", SHOP)]);
    home.write(
        "packs/frameworks/shop/model.toml",
        format!("title = \"x\"\n{ROWS}"),
    );
    home.write("depickle.toml", "pack = [\"packs\"]\njobs = 1\n");
    let saved = home.run(&["diff", "shop", "--save", "plan.json"]);
    assert_eq!(code(&saved), 1, "{}", stderr(&saved));
    let stage = || home.run(&["stage", "--plan", "plan.json"]);
    home.write(
        "packs/frameworks/shop/model.toml",
        format!("title = \"y\"\n{ROWS}"),
    );
    let refused = stage();
    assert_eq!(code(&refused), 2);
    assert!(
        stderr(&refused).contains("the plan was made by another configuration, or other packs"),
        "{}",
        stderr(&refused)
    );
    home.write(
        "packs/frameworks/shop/model.toml",
        format!("title = \"x\"\n{ROWS}"),
    );
    home.write("depickle.toml", "pack = [\"packs\"]\nmessage = \"x\"\n");
    assert_eq!(code(&stage()), 2);
    // How it is looked for is another matter.
    home.write(
        "depickle.toml",
        "pack = [\"packs\"]\njobs = 2\nformat = \"json\"\n",
    );
    let staged = stage();
    assert_eq!(code(&staged), 0, "{}", stderr(&staged));
    let run: Value = serde_json::from_slice(&staged.stdout).unwrap();
    let id = run["run"].as_str().unwrap();
    // From anywhere: the run knows where it began.
    let resumed = from(&home, "shop", &["stage", "--resume", id]);
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    home.write("depickle.toml", "pack = [\"packs\"]\nlog-rejects = true\n");
    for args in [["stage", "--resume", id], ["verify", "--run", id]] {
        let refused = from(&home, "shop", &args);
        assert_eq!(code(&refused), 2);
        assert!(
            stderr(&refused).contains("was made by another configuration"),
            "{}",
            stderr(&refused)
        );
    }
}

#[test]
fn config_prints_what_holds_and_where_it_comes_from() {
    let home = Home::new();
    home.repo(
        "shop",
        &[(
            "pyproject.toml",
            "[project]\nname = \"x\"\n\n[tool.depickle]\nmessage = \"own\"\nexclude = [\"old\"]\njobs = 3\n",
        )],
    );
    home.write(
        "depickle.toml",
        format!("trust = [\"http\"]\nmessage = \"above\"\nexclude = [\"gen\"]\n{ROWS}"),
    );
    let text = home.run(&["config", "shop"]);
    assert_eq!(code(&text), 0, "{}", stderr(&text));
    snapshot("config", &stdout(&text), &[]);
    let json = home.json(&["config", "shop", "--format", "json"]);
    let of = |key: &str| -> Vec<String> {
        let values = json["values"].as_array().unwrap().iter();
        let values = values.filter(|one| one["key"] == key);
        values
            .map(|one| one["from"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(of("message"), ["pyproject.toml:5 (the repository's own)"]);
    assert_eq!(
        of("exclude"),
        [
            "depickle.toml:3 (yours)",
            "pyproject.toml:6 (the repository's own)"
        ]
    );
    assert_eq!(of("to"), ["default"]);
    assert_eq!(json["not_heeded"], serde_json::json!(["jobs"]));
    assert_eq!(code(&home.run(&["config", "nowhere"])), 2);
}

/// `check-jsonschema` is another reader of the schema: what it takes and refuses is what the program takes and refuses.
#[test]
fn the_schema_says_what_the_program_reads() {
    let home = Home::new();
    let schema = home.run(&["config", "--schema"]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/depickle.schema.json");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|word| word == "always") {
        fs::write(file, &schema.stdout).unwrap();
    }
    let kept = fs::read_to_string(file).unwrap();
    assert!(
        kept == stdout(&schema),
        "depickle config --schema > depickle.schema.json"
    );
    let good = [
        "",
        ROWS,
        "trust = [\"http\"]\nto = \"restricted\"\n[transforms]\nyaml-to-safe-load = false\n",
    ];
    let bad = [
        "mesage = 1\n",
        "trust = [\"htp\"]\n",
        "[[source]]\nname = \"x\"\n",
        "[[sink]]\nnames = [\"a.b\"]\narrives = \"post\"\n",
        "message = 3\n",
    ];
    let python = venv::python();
    for (text, fits) in good
        .map(|t| (t, true))
        .into_iter()
        .chain(bad.map(|t| (t, false)))
    {
        home.write("x/depickle.toml", text);
        let ours = from(&home, "x", &["config"]);
        assert_eq!(code(&ours) == 0, fits, "{text}: {}", stderr(&ours));
        let theirs = Command::new(python)
            .args(["-m", "check_jsonschema", "--schemafile", file])
            .arg(home.path("x/depickle.toml"))
            .output()
            .unwrap();
        assert_eq!(
            theirs.status.success(),
            fits,
            "{text}: {}",
            String::from_utf8_lossy(&theirs.stdout)
        );
    }
}
