//! Reports as the programs that take them in read them: a schema, parsers of others, a real browser.
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
use std::path::Path;
use std::process::Command;

use home::{GUIDE, Home, code, git, stderr, stdout};
use serde_json::Value;
use snapshot::snapshot;

/// Two findings in one file, one of them in a form that is refused; names and code that drive readers astray.
const SHOP: &str = r#"import pickle

from flask import Flask, request

app = Flask(__name__)


@app.route("/a", methods=["POST"])
def load():
    # <script>document.title = "owned"</script> & "quotes", %0A
    ünï = request.headers["<img src=x onerror=alert(1)>"]; value = pickle.loads(bytes.fromhex(ünï))
    return {"keys": len(value)}


@app.route("/b", methods=["POST"])
def checked():
    return {"class": [pickle.loads(x).total for x in request.form.getlist("=cmd|' /C calc'!A0")]}
"#;

fn shop(home: &Home) -> std::path::PathBuf {
    let files = [
        ("app.py", SHOP),
        ("lib/<b>&, '\"|`.py", GUIDE),
        ("end.py", GUIDE.trim_end()),
        ("old.py", "import pickle\nprint pickle.loads(x)\n"),
    ];
    home.repo("shop", &files)
}

#[test]
fn other_programs_read_them() {
    let home = Home::new();
    let root = shop(&home);
    let scanned = home.run(&[
        "scan",
        "shop",
        "--report",
        "sarif=run.sarif",
        "--report",
        "junit=run.xml",
        "--report",
        "csv=run.csv",
        "-q",
    ]);
    assert_eq!(code(&scanned), 3, "{}", stderr(&scanned));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/reports.py");
    let read = Command::new(venv::python())
        .arg(&script)
        .arg(home.path(""))
        .output()
        .unwrap();
    let read: Value =
        serde_json::from_slice(&read.stdout).unwrap_or_else(|_| panic!("{}", stderr(&read)));

    assert_eq!(read["sarif errors"], serde_json::json!([]));
    // What a service makes of a fix is what stage commits.
    assert_eq!(code(&home.run(&["stage", "shop"])), 3);
    let fixed = read["fixed"].as_array().unwrap();
    assert_eq!(fixed.len(), 3);
    for fix in fixed {
        for (uri, text) in fix.as_object().unwrap() {
            assert_eq!(
                git(&root, &["show", &format!("depickle/pickle-to-json:{uri}")]),
                text.as_str().unwrap()
            );
        }
    }
    // Against a baseline, what is known is told from what is new, and is still valid.
    assert_eq!(code(&home.run(&["baseline", "shop"])), 3);
    home.write("shop/new.py", GUIDE);
    let args = [
        "scan",
        "shop",
        "--baseline",
        "depickle-baseline.json",
        "-q",
        "--report",
        "sarif=run.sarif",
    ];
    assert_eq!(code(&home.run(&args)), 1);
    let against: Value =
        serde_json::from_slice(&fs::read(home.path("run.sarif")).unwrap()).unwrap();
    let results = against["runs"][0]["results"].as_array().unwrap();
    let mut states: Vec<(&str, &str)> = results
        .iter()
        .map(|result| {
            let at = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
            (
                result["baselineState"].as_str().unwrap(),
                at.as_str().unwrap(),
            )
        })
        .collect();
    states.sort_unstable();
    let counted = states.iter().filter(|(state, _)| *state == "new");
    assert_eq!(
        counted.collect::<Vec<_>>(),
        [&("new", "new.py")],
        "{states:?}"
    );
    assert_eq!(states.len(), 5, "{states:?}");
    let again = Command::new(venv::python())
        .arg(&script)
        .arg(home.path(""))
        .output()
        .unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["sarif errors"], serde_json::json!([]));
    assert_eq!(read["tests"].as_array().unwrap().len(), 6);
    assert_eq!(read["failures"].as_array().unwrap().len(), 4);
    assert_eq!(read["errors"].as_array().unwrap().len(), 1);
    assert_eq!(read["widths"], serde_json::json!([18]));
    assert_eq!(read["rows"].as_array().unwrap().len(), 5);
}

#[test]
fn formats_look_as_they_should() {
    let home = Home::new();
    shop(&home);
    for format in ["github", "gitlab", "junit", "csv", "markdown"] {
        let printed = home.run(&["scan", "shop", "--format", format]);
        assert_eq!(code(&printed), 3, "{format}: {}", stderr(&printed));
        let fingerprints = [(r"\b[0-9a-f]{16}\b", "[fingerprint]")];
        snapshot(
            &format!("report-{format}"),
            &stdout(&printed),
            &fingerprints,
        );
    }
}

#[test]
fn lines_hold_what_the_document_holds() {
    let home = Home::new();
    shop(&home);
    let whole = home.json(&["scan", "shop", "--format", "json"]);
    let printed = stdout(&home.run(&["scan", "shop", "--format", "jsonl"]));
    let lines = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<Value> = lines.collect();
    let kinds: Vec<_> = lines.iter_mut().map(|line| line["kind"].take()).collect();
    assert_eq!(kinds[..2], ["run", "project"]);
    assert!(kinds[2..].iter().all(|kind| kind == "finding"));
    let findings = whole["projects"][0]["findings"].as_array().unwrap();
    assert_eq!(lines.len() - 2, findings.len());
    for (line, finding) in lines[2..].iter().zip(findings) {
        assert_eq!(line["root"], "shop");
        for (key, value) in finding.as_object().unwrap() {
            assert_eq!(&line[key], value, "{key}");
        }
    }
    assert_eq!(lines[1]["patch"], whole["projects"][0]["patch"]);
}

#[test]
fn a_report_for_each_project_or_one_for_all() {
    let home = Home::new();
    home.repo("one/shop", &[("app.py", GUIDE)]);
    home.repo("two/shop", &[("app.py", GUIDE)]);
    home.repo("Two-shop", &[("a.py", "x = 1\n")]);
    let all = ["scan", "one/shop", "two/shop", "Two-shop", "nowhere", "-q"];
    let with = |reports: &[&str]| {
        let mut args = all.to_vec();
        for report in reports {
            args.extend(["--report", report]);
        }
        home.run(&args)
    };
    let made = with(&["sarif=out/", "html=page.html", "gitlab=out/", "json=out/"]);
    assert_eq!(code(&made), 3, "{}", stderr(&made));
    let mut names: Vec<String> = fs::read_dir(home.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 12, "{names:?}");
    assert!(
        names.contains(&"Two-shop-2.sarif".to_owned())
            && names.contains(&"one-shop.gitlab.json".to_owned()),
        "{names:?}"
    );
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(home.path(name)).unwrap()).unwrap()
    };
    let failed = read("out/nowhere.sarif");
    assert_eq!(
        failed["runs"][0]["invocations"][0]["executionSuccessful"],
        false
    );
    assert_eq!(
        read("out/one-shop.sarif")["runs"][0]["results"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        read("out/one-shop.json")["projects"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let one = with(&["sarif=run.sarif"]);
    assert_eq!(code(&one), 2);
    assert!(
        stderr(&one).contains("--report sarif=FOLDER/"),
        "{}",
        stderr(&one)
    );
    let unknown = with(&["word=x"]);
    assert_eq!(code(&unknown), 2);
    assert!(
        stderr(&unknown).contains("no such format"),
        "{}",
        stderr(&unknown)
    );
    // One that cannot be written is said, and the others are there all the same.
    let half = with(&["json=nowhere/run.json", "csv=half.csv"]);
    assert_eq!(code(&half), 2);
    assert!(
        stderr(&half).contains("nowhere/run.json"),
        "{}",
        stderr(&half)
    );
    assert!(home.path("half.csv").exists());
}

#[test]
fn a_browser_shows_the_page_and_runs_nothing_of_it() {
    let home = Home::new();
    shop(&home);
    home.repo("other", &[("app.py", GUIDE), ("b.py", GUIDE)]);
    let made = home.run(&[
        "stage",
        "shop",
        "other",
        "nowhere",
        "--report",
        "html=run.html",
    ]);
    assert_eq!(code(&made), 3, "{}", stderr(&made));
    let page = home.path("run.html");
    let browser = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            "--virtual-time-budget=2000",
        ])
        .arg(format!(
            "--user-data-dir={}",
            home.path("browser").display()
        ))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("install Chromium (Debian: apt-get install chromium)");
    let dom = String::from_utf8(browser.stdout).unwrap();
    // What the repository holds is text: the browser made no element of it, and the title is ours.
    assert!(dom.contains("<title>depickle 2"), "{dom}");
    for element in ["<script", "<img", "<b>&", "onerror=alert(1)>\""] {
        assert!(!dom.contains(element), "{element}: {dom}");
    }
    assert!(dom.contains("lib/&lt;b&gt;&amp;, '"), "{dom}");
    assert!(dom.contains("&lt;script&gt;document.title"), "{dom}");
    // The rows sum to the totals, as the browser shows them.
    let numbers = |row: &str| -> Vec<usize> {
        let cells = row.split("<td class=\"n\">").skip(1);
        cells
            .map(|cell| cell.split('<').next().unwrap().parse().unwrap())
            .collect()
    };
    let (body, foot) = dom.split_once("<tfoot>").unwrap();
    let body = body.split_once("<tbody>").unwrap().1;
    let rows: Vec<Vec<usize>> = body.split("<tr>").skip(1).map(numbers).collect();
    assert_eq!(rows.len(), 3);
    let sum: Vec<usize> = (0..4)
        .map(|column| rows.iter().map(|row| row[column]).sum())
        .collect();
    assert_eq!(numbers(foot.split("</tfoot>").next().unwrap()), sum);
    assert_eq!(sum, [6, 5, 1, 6]);
    assert_eq!(dom.matches("depickle rollback 2").count(), 2);
}
