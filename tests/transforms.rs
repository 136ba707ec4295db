//! Every case below `transforms/`, held to the eight laws: one trial per case.
//!
//! - 1: both sides parse.
//! - 2: findings are exact.
//! - 3: rewrite(before) == after.
//! - 4: rewrite(after) == after.
//! - 5: nothing is left to find in after, and nothing new.
//! - 6: bytes outside the edits are unchanged; the case holds again with CRLF, byte-order mark, tabs, no final newline.
//! - 7: stage then rollback restores every ref.
//! - 8: both sides compile, and a request block holds against the real framework.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs git"
)]

#[path = "support/case.rs"]
mod case;
#[path = "support/layout.rs"]
mod layout;
#[path = "support/python.rs"]
mod python;
#[path = "support/replies.rs"]
mod replies;
#[path = "support/venv.rs"]
mod venv;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use case::{Case, Mark};
use depickle::check::{Checked, Finished, parts};
use depickle::journal::Journal;
use depickle::pack::Model;
use depickle::plan::{Decision, Order, Reason};
use depickle::project::Project;
use depickle::repo::{Filter, Person, Repo};
use depickle::stage;
use depickle::trace::is_settled;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;

type Files = BTreeMap<String, String>;
type Law = Result<(), String>;

fn main() {
    let arguments = Arguments::from_args();
    let cases = case::all();
    let mut trials: Vec<Trial> = cases
        .iter()
        .cloned()
        .map(|case| match case {
            Ok(case) => Trial::test(case.name.clone(), move || held(&case)),
            Err(error) => Trial::test(error.clone(), move || Err(Failed::from(error))),
        })
        .collect();
    let good: Vec<Case> = cases.into_iter().flatten().collect();
    let sides = good.clone();
    trials.push(Trial::test(
        "every_side_of_every_case_compiles",
        move || Ok(compiles(&sides)?),
    ));
    let sides = good.clone();
    trials.push(Trial::test("what_formatters_accept_stays_so", move || {
        let spoiled = layout::spoiled(&sides)?;
        match spoiled.is_empty() {
            true => Ok(()),
            false => Err(spoiled.join("\n").into()),
        }
    }));
    let sides = good.clone();
    trials.push(Trial::test(
        "every_reply_has_a_case",
        move || match replies::missing(&sides)? {
            missing if missing.is_empty() => Ok(()),
            missing => Err(missing.join("\n").into()),
        },
    ));
    trials.push(Trial::test("every_reason_has_a_case", move || {
        Ok(reasons(&good)?)
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

fn held(case: &Case) -> Result<(), Failed> {
    // Analysis of nested code costs stack, here as in the program.
    let case = case.clone();
    let worker = std::thread::Builder::new().stack_size(depickle::cli::STACK);
    let worker = worker
        .spawn(move || laws(&case))
        .map_err(|e| e.to_string())?;
    match worker.join() {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err("panicked".into()),
    }
}

fn laws(case: &Case) -> Law {
    let model = Model::builtin().map_err(|error| error.to_string())?;
    parses(case)?;
    exact(case, &model)?;
    rewrites(case, &model)?;
    for (name, vary) in VARIANTS {
        let varied = varied(case, vary);
        rewrites(&varied, &model).map_err(|error| format!("law 6, with {name}: {error}"))?;
    }
    comes_back(case, &model)?;
    match &case.request {
        Some(_) => against_the_framework(case),
        None => Ok(()),
    }
}

fn project(files: &Files) -> Project {
    let files = files
        .iter()
        .map(|(path, text)| (path.clone(), text.clone().into_bytes()));
    Project::new(files, Vec::new())
}

fn migrate(files: &Files, model: &Model, order: &Order) -> (Project, Checked) {
    let project = project(files);
    let checked = depickle::migrate(&project, model, order, None);
    assert!(project.defects().is_empty(), "{:?}", project.defects());
    (project, checked)
}

/// `files` with the change of `checked`.
fn applied(files: &Files, checked: &Checked) -> Result<Files, String> {
    let mut files = files.clone();
    for file in checked.changeset.files() {
        let text = String::from_utf8(file.after.clone()).map_err(|error| error.to_string())?;
        files.insert(file.path.clone(), text);
    }
    Ok(files)
}

/// Law 1.
fn parses(case: &Case) -> Law {
    for (side, files) in [("before", &case.before), ("after", &case.after)] {
        let project = project(files);
        for id in project.ids() {
            if let Some(why) = project.source(id).unparsed() {
                return Err(format!(
                    "law 1, {side} {}: {}",
                    project.path(id),
                    why.message()
                ));
            }
        }
    }
    Ok(())
}

/// Law 2: findings are those that are marked, no more, no fewer.
fn exact(case: &Case, model: &Model) -> Law {
    let (project, checked) = migrate(&case.before, model, &case.order());
    let mut found: BTreeSet<(String, usize, Mark)> = BTreeSet::new();
    let mut sources = BTreeSet::new();
    let decided = checked.decisions.iter().zip(&checked.by);
    for (finding, (decision, by)) in checked.findings.iter().zip(decided) {
        let source = project.source(finding.place.file);
        let line = source.position(finding.place.span.start).line;
        let reason = decision.reason().map(|reason| reason.code().to_owned());
        let mark = match decision {
            Decision::Rewrite(_) => Mark::Finding(by.clone()),
            // Which guard it is goes without saying in most cases.
            Decision::Guarded(_) => Mark::Status("guarded", None),
            other => Mark::Status(other.word(), reason),
        };
        found.insert((source.path().to_owned(), line, mark));
        if let Some(hop) = finding.path.as_ref().and_then(|path| path.hops().first()) {
            let source = project.source(hop.place.file);
            let line = source.position(hop.place.span.start).line;
            sources.insert((source.path().to_owned(), line));
        }
    }
    let at = |file: &String, line: usize| found.iter().any(|(f, l, _)| f == file && *l == line);
    let mut wanted = BTreeSet::new();
    for (file, line, mark) in &case.marks {
        match mark {
            Mark::Source if !sources.contains(&(file.clone(), *line)) => {
                return Err(format!(
                    "law 2: no path starts at {file}:{line}; sources are {sources:?}"
                ));
            }
            Mark::Source => {}
            Mark::Missed if at(file, *line) => {
                return Err(format!(
                    "law 2: {file}:{line} is found now; drop `# missed`"
                ));
            }
            Mark::Missed => {}
            Mark::FalseAlarm if !at(file, *line) => {
                return Err(format!(
                    "law 2: {file}:{line} is silent now; drop `# false-alarm`"
                ));
            }
            Mark::FalseAlarm => found.clone().into_iter().for_each(|row| {
                if row.0 == *file && row.1 == *line {
                    wanted.insert(row);
                }
            }),
            Mark::Status("guarded", _) => {
                wanted.insert((file.clone(), *line, Mark::Status("guarded", None)));
            }
            mark => {
                wanted.insert((file.clone(), *line, mark.clone()));
            }
        }
    }
    match found == wanted {
        true => Ok(()),
        false => Err(format!(
            "law 2: found {found:#?}\nbut marked are {wanted:#?}"
        )),
    }
}

/// Laws 3 to 6: the rewrite gives `after`, again gives nothing, leaves nothing, touches nothing else.
fn rewrites(case: &Case, model: &Model) -> Law {
    let (_, checked) = migrate(&case.before, model, &case.order());
    let after = applied(&case.before, &checked)?;
    for (file, wanted) in &case.after {
        let got = after.get(file).cloned().unwrap_or_default();
        if got != *wanted {
            let diff = similar::TextDiff::from_lines(wanted.as_str(), &got);
            return Err(format!(
                "law 3, {file}:\n{}",
                diff.unified_diff().header("wanted", "got")
            ));
        }
    }
    for (file, wanted) in &case.suggested {
        let suggestions = &checked.suggestions;
        let got = suggestions.iter().find(|s| s.path == *file);
        let got = got.map_or("", |s| std::str::from_utf8(&s.after).unwrap_or_default());
        if got != wanted {
            let diff = similar::TextDiff::from_lines(wanted.as_str(), got);
            return Err(format!(
                "law 3, {file}, suggested:\n{}",
                diff.unified_diff().header("wanted", "got")
            ));
        }
    }
    let (_, again) = migrate(&after, model, &case.order());
    if !again.changeset.files().is_empty() {
        return Err("law 4: rewriting again changes something".into());
    }
    // What became safe where it stands is listed still, as that.
    let count = |checked: &Checked, safe: bool, rewritten: bool| {
        let rows = checked.findings.iter().zip(&checked.decisions);
        rows.filter(|(finding, decision)| {
            let is_rewritten = matches!(decision, Decision::Rewrite(_));
            is_settled(finding) == safe && is_rewritten == rewritten
        })
        .count()
    };
    let open = |checked: &Checked| count(checked, false, false) + count(checked, false, true);
    let left = count(&checked, false, false);
    if open(&again) != left || count(&again, true, false) < count(&checked, true, false) {
        return Err(format!(
            "law 5: {} findings are left, not {left}",
            open(&again)
        ));
    }
    let traces = |decision: &Decision| decision.reason() == Some(Reason::DualReadLeavesTraces);
    if case.dual_read && !checked.decisions.iter().any(traces) {
        closes(case, &after, model)?;
    }
    untouched(&case.before, &checked)
}

/// Law 5, where old data is read on: the end of that leaves what there would be without it.
fn closes(case: &Case, after: &Files, model: &Model) -> Law {
    let asked = |dual_read, finish_dual_read| Order {
        dual_read,
        finish_dual_read,
        ..case.order()
    };
    let finished = |files: &Files| {
        let (_, checked) = migrate(files, model, &asked(false, true));
        applied(files, &checked)
    };
    let (_, plain) = migrate(&case.before, model, &asked(false, false));
    let plain = applied(&case.before, &plain)?;
    match finished(after)? == finished(&plain)? {
        true => Ok(()),
        false => Err("law 5: to end dual reading gives something else than never to begin".into()),
    }
}

/// Law 6: lines that are not in a hunk are the same bytes; checked by the patch that git would apply.
fn untouched(before: &Files, checked: &Checked) -> Law {
    for file in checked.changeset.files() {
        let old = before
            .get(&file.path)
            .map(String::as_bytes)
            .unwrap_or_default();
        if file.before != old {
            return Err(format!(
                "law 6, {}: `before` is not what was read",
                file.path
            ));
        }
        let patch = depickle::report::unified(file);
        let removed = patch
            .split(|b| *b == b'\n')
            .filter(|l| l.starts_with(b"-") && !l.starts_with(b"--- "))
            .count();
        let added = patch
            .split(|b| *b == b'\n')
            .filter(|l| l.starts_with(b"+") && !l.starts_with(b"+++ "))
            .count();
        let lines = |bytes: &[u8]| bytes.split_inclusive(|b| *b == b'\n').count();
        if lines(&file.after) + removed != lines(&file.before) + added {
            return Err(format!("law 6, {}: the patch does not add up", file.path));
        }
    }
    Ok(())
}

type Vary = fn(&str) -> String;

const VARIANTS: [(&str, Vary); 4] = [
    ("CRLF", |text| text.replace('\n', "\r\n")),
    ("a byte-order mark", |text| format!("\u{feff}{text}")),
    ("tabs", tabs),
    ("no final newline", |text| {
        text.strip_suffix('\n').unwrap_or(text).to_owned()
    }),
];

/// `text` with tabs for its indentation.
fn tabs(text: &str) -> String {
    let width = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let unit = text
        .lines()
        .map(width)
        .find(|width| *width > 0)
        .unwrap_or(4);
    let line = |line: &str| {
        let (spaces, code) = (width(line), line.trim_start_matches(' '));
        format!(
            "{}{}{code}",
            "\t".repeat(spaces / unit),
            " ".repeat(spaces % unit)
        )
    };
    text.split_inclusive('\n').map(line).collect()
}

/// `case` with every file varied; an empty file stays empty.
fn varied(case: &Case, vary: Vary) -> Case {
    let all = |files: &Files| {
        let one = |(path, text): (&String, &String)| {
            let varied = vary(text);
            // No JSON begins with one.
            let mark = path.ends_with(".ipynb") && varied.starts_with('\u{feff}');
            let text = match text.is_empty() || mark {
                true => text.clone(),
                false => varied,
            };
            (path.clone(), text)
        };
        files.iter().map(one).collect()
    };
    Case {
        before: all(&case.before),
        after: all(&case.after),
        suggested: all(&case.suggested),
        ..case.clone()
    }
}

fn write_files(root: &Path, files: &Files) -> Law {
    for (path, text) in files {
        let path = root.join(path);
        let folder = path.parent().unwrap_or(root);
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn git(root: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Law 7, on a real repository; and what is staged is what the patch gives.
fn comes_back(case: &Case, model: &Model) -> Law {
    let text = |error: &dyn std::fmt::Display| format!("law 7: {error}");
    let home = tempfile::tempdir().map_err(|error| text(&error))?;
    let root = home.path().join("repo");
    write_files(&root, &case.before)?;
    let author = Person {
        name: "Case".into(),
        email: "case@example.org".into(),
    };
    Repo::create(&root, &author, 1_795_392_000, "before").map_err(|e| text(&e))?;
    let repo = Repo::discover(&root).map_err(|e| text(&e))?;
    let base = repo.resolve(None).map_err(|e| text(&e))?;
    let listing = repo
        .files_at(&base, "", &Filter::default())
        .map_err(|e| text(&e))?;
    let files = listing
        .files
        .into_iter()
        .map(|found| (found.path, found.bytes));
    let project = Project::new(files, Vec::new());
    let checked = depickle::migrate(&project, model, &case.order(), Some(base.commit));
    if checked.changeset.files().is_empty() {
        return Ok(());
    }
    let refs = || git(&root, &["for-each-ref"]);
    let before = refs()?;
    let journal = Journal::open(home.path().join("state")).map_err(|e| text(&e))?;
    let order = stage::Order {
        target: "case".to_owned(),
        run: "20261123T104455-3f2a".into(),
        branch: "depickle/pickle-to-json".into(),
        committer: author.clone(),
        author,
        signoff: false,
        signer: None,
        time: 1_795_392_000,
        tool_version: "0".into(),
    };
    // Each load alone, as far as it can be: whatever the steps are, they come to the whole.
    let alone = |finding: &Finished| finding.fingerprint.clone();
    let parts = parts(&project, model, &case.order(), &checked.changeset, alone);
    let steps = parts.iter().map(|part| stage::Step {
        changeset: &part.changeset,
        findings: &part.findings,
        subject: "Replace unsafe pickle loads with JSON",
        note: "",
    });
    let steps: Vec<_> = steps.collect();
    let receipt = stage::stage(&repo, "", &steps, &order, &journal).map_err(|e| text(&e))?;
    for (file, wanted) in &case.after {
        let staged = git(&root, &["show", &format!("{}:{file}", receipt.commit)])?;
        if staged != *wanted {
            return Err(format!("law 7: {file} is staged with other content"));
        }
    }
    if !git(&root, &["status", "--porcelain"])?.is_empty() {
        return Err("law 7: the work tree is not clean after staging".into());
    }
    let run = journal.run(&order.run).map_err(|e| text(&e))?;
    stage::rollback(&journal, &run);
    match refs()? == before {
        true => Ok(()),
        false => Err("law 7: the refs are not what they were".into()),
    }
}

/// Law 8, with a request block: the attack works before, and is answered with 400 after.
fn against_the_framework(case: &Case) -> Law {
    let request = serde_json::to_value(&case.request).map_err(|error| error.to_string())?;
    let drive = |side: &str, files: &Files| {
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        write_files(home.path(), files)?;
        let job = json!({ "root": home.path(), "request": request, "side": side });
        python::drive(&job).map_err(|error| format!("law 8, {side}: {error}"))
    };
    let before = drive("before", &case.before)?;
    let attacks = before["attacks"].as_object().ok_or("law 8: no outcome")?;
    let ran = attacks
        .values()
        .filter(|sent| sent["marker"] == json!(true));
    // Text channels do not carry every protocol's bytes; protocol 0 is text.
    let text_channel = case
        .request
        .as_ref()
        .is_some_and(|r| r.wrap.is_empty() && !matches!(r.channel.as_str(), "body" | "file"));
    let enough = match text_channel {
        true => 1,
        false => attacks.len(),
    };
    if attacks.is_empty() || (before["runs"] == json!(true) && ran.count() < enough) {
        return Err(format!("law 8: the attack does not work before: {before}"));
    }
    let after = drive("after", &case.after)?;
    let ok = |pair: &serde_json::Value| pair[0] == json!(200) && pair[1] == json!(200);
    if before["pair"] != after["pair"] || (!before["pair"].is_null() && !ok(&after["pair"])) {
        return Err(format!(
            "law 8: what the project writes and reads back: {} before, {} after",
            before["pair"], after["pair"]
        ));
    }
    let sent = after["attacks"].as_object().ok_or("law 8: no outcome")?;
    for (name, outcome) in sent {
        let delivered = outcome["status"].is_number();
        if outcome["marker"] != json!(false) || (delivered && outcome["status"] != json!(400)) {
            return Err(format!("law 8: attack {name} after the change: {outcome}"));
        }
    }
    if let Some(legacy) = after["legacy"].as_object() {
        let read = |status: &serde_json::Value| *status == json!(200);
        if legacy.is_empty() || !legacy.values().all(read) || after["logged"] != json!(legacy.len())
        {
            return Err(format!(
                "law 8: what was pickled before: {legacy:?}, logged {}",
                after["logged"]
            ));
        }
    }
    let wrong = after["wrong"].as_object().ok_or("law 8: no outcome")?;
    for (name, status) in wrong {
        if *status != json!(400) && !status.is_string() {
            return Err(format!(
                "law 8: wrong input, {name}, is answered with {status}"
            ));
        }
    }
    // A missing file or field may be refused by the framework itself, in its own words.
    let refused =
        |what: &str| after[what].is_null() || matches!(after[what].as_u64(), Some(400..=499));
    if !refused("missing") {
        return Err(format!(
            "law 8: missing input is answered with {}",
            after["missing"]
        ));
    }
    match after["valid"] == json!(200) {
        true => Ok(()),
        false => Err(format!(
            "law 8: valid input is answered with {}",
            after["valid"]
        )),
    }
}

/// Law 8, for all: both sides compile.
fn compiles(cases: &[Case]) -> Law {
    let mut files = Vec::new();
    for case in cases {
        for (side, texts) in [
            ("before", &case.before),
            ("after", &case.after),
            ("suggested", &case.suggested),
        ] {
            for (file, source) in texts.iter().filter(|(file, _)| file.ends_with(".py")) {
                files.push(
                    json!({ "name": format!("{} {side} {file}", case.name), "source": source }),
                );
            }
        }
    }
    let outcome = python::compile(&json!(files))?;
    let errors: Vec<&str> = outcome
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e.as_str())
        .collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.join("\n")),
    }
}

/// Every reason is shown by a case, but those that no case can show.
fn reasons(cases: &[Case]) -> Law {
    // Cases parse (law 1), are UTF-8, and pass the checks; the other levels need other options or sinks.
    const ELSEWHERE: [Reason; 8] = [
        Reason::AnalysisBound,
        Reason::AnalysisFailed,
        Reason::FileNotParsed,
        Reason::NotEncodable,
        Reason::CheckFailed,
        Reason::WebClient,
        Reason::NetworkPeer,
        Reason::StoredData,
    ];
    let guarded = [
        Reason::SignatureChecked,
        Reason::RestrictedUnpickler,
        Reason::DualRead,
    ];
    let shown: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.marks)
        .filter_map(|(_, _, mark)| match mark {
            Mark::Status(_, reason) => reason.as_deref(),
            _ => None,
        })
        .collect();
    let missing: Vec<&str> = Reason::ALL
        .into_iter()
        .filter(|reason| !ELSEWHERE.contains(reason) && !guarded.contains(reason))
        .map(Reason::code)
        .filter(|code| !shown.contains(code))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("no case shows {}", missing.join(", "))),
    }
}
