//! A page for a browser: one file that needs no server, no network and no scripts.
//!
//! The page is `page.html`; what stands in it is made here. The template escapes every value, and every value from a
//! repository is [`printable`] before.

use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::{FindingRow, ProjectRow, Run};
use crate::text::printable;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// Lines of patch that are shown for one project.
const MOST_LINES: usize = 4_000;

/// One row of the table.
#[derive(Serialize)]
struct Row {
    name: String,
    state: &'static str,
    commit: String,
    error: String,
    branch: String,
    rollback: String,
    /// Within reach of those who count.
    reached: usize,
    fixed: usize,
    left: usize,
    loads: usize,
    files: usize,
    unread: Vec<[String; 2]>,
    notes: Vec<String>,
    findings: Vec<Load>,
    quiet: Vec<Load>,
    patch: Vec<Line>,
    cut: usize,
}

#[derive(Serialize)]
struct Load {
    place: String,
    sink: String,
    status: &'static str,
    trust: &'static str,
    reason: &'static str,
    test: bool,
    message: String,
    next: &'static str,
    at: String,
    line: usize,
    /// The code before, at and after the load.
    code: [String; 3],
    path: Vec<Step>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Step {
    kind: &'static str,
    place: String,
    note: String,
    code: String,
}

#[derive(Serialize)]
struct Line {
    kind: &'static str,
    text: String,
}

/// `run` as a page.
///
/// # Errors
/// Those of the template, which a `Run` does not cause.
pub(super) fn html(run: &Run) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page.html", PAGE)?;
    let rows: Vec<Row> = run
        .projects
        .iter()
        .map(|project| row(run, project))
        .collect();
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    let count = |state: &str| rows.iter().filter(|row| row.state == state).count();
    let states: Vec<(&str, usize)> = STATES.iter().map(|state| (*state, count(state))).collect();
    environment.get_template("page.html")?.render(context! {
        style => STYLE,
        run => printable(&run.run),
        version => run.tool.version,
        projects => rows.len(),
        reached => sum(|row| row.reached),
        fixed => sum(|row| row.fixed),
        left => sum(|row| row.left),
        loads => sum(|row| row.loads),
        files => sum(|row| row.files),
        unread => sum(|row| row.unread.len()),
        not_whole => count("failed") + count("incomplete"),
        states => states,
        rows => rows,
    })
}

/// What a row can be, the worst first.
const STATES: [&str; 5] = ["failed", "incomplete", "findings", "staged", "clean"];

fn row(run: &Run, project: &ProjectRow) -> Row {
    let counted: Vec<&FindingRow> = project
        .findings
        .iter()
        .filter(|finding| run.counts(finding))
        .collect();
    let fixed = counted
        .iter()
        .filter(|finding| finding.status == "rewrite")
        .count();
    let (patch, cut) = patch(project);
    let quiet = project
        .findings
        .iter()
        .filter(|finding| !run.counts(finding));
    Row {
        name: printable(&project.root),
        state: match project.status {
            "ok" if project.branch.is_some() => "staged",
            "ok" if !counted.is_empty() => "findings",
            "ok" => "clean",
            other => other,
        },
        commit: project
            .commit
            .as_deref()
            .unwrap_or_default()
            .chars()
            .take(10)
            .collect(),
        error: printable(project.error.as_deref().unwrap_or_default()),
        branch: printable(project.branch.as_deref().unwrap_or_default()),
        rollback: match project.branch {
            Some(_) => format!("depickle rollback {}", printable(&run.run)),
            None => String::new(),
        },
        reached: counted.len(),
        fixed,
        left: counted.len() - fixed,
        loads: project.findings.len(),
        files: project.files.seen,
        unread: project
            .files
            .unread()
            .map(|(file, why)| [printable(file), printable(why)])
            .collect(),
        notes: project.notes.iter().map(|note| printable(note)).collect(),
        findings: counted.into_iter().map(load).collect(),
        quiet: quiet.map(load).collect(),
        patch,
        cut,
    }
}

fn load(finding: &FindingRow) -> Load {
    let mut entries: Vec<String> = finding
        .entries
        .iter()
        .map(|entry| entry.describe())
        .collect();
    entries.retain(|entry| !entry.is_empty());
    let at = finding.shown();
    let marked = match at.end_line == at.line {
        true => at.end_column - at.column,
        false => usize::MAX,
    };
    let code = |skip: usize, take: usize| {
        printable(
            &finding
                .code
                .chars()
                .skip(skip)
                .take(take)
                .collect::<String>(),
        )
    };
    let column = at.column - 1;
    let step = |hop: &super::HopRow| Step {
        kind: hop.kind,
        place: printable(&format!("{}:{}:{}", hop.file, hop.line, hop.column)),
        note: printable(&hop.note),
        code: printable(hop.code.trim()),
    };
    // Several stations on one line show it once.
    let mut path: Vec<Step> = finding.path.iter().map(step).collect();
    for (n, pair) in finding.path.windows(2).enumerate() {
        let [one, next] = pair else { continue };
        if (&one.file, one.line) == (&next.file, next.line)
            && let Some(step) = path.get_mut(n)
        {
            step.code.clear();
        }
    }
    Load {
        place: printable(&format!(
            "{}:{}:{}",
            finding.file, finding.line, finding.column
        )),
        sink: printable(&finding.sink),
        status: finding.status,
        trust: finding.trust,
        reason: finding.reason.unwrap_or_default(),
        test: finding.test,
        message: printable(&finding.message),
        next: finding.next.unwrap_or_default(),
        at: printable(&entries.join("; ")),
        line: at.line,
        code: [
            code(0, column),
            code(column, marked),
            code(column.saturating_add(marked), usize::MAX),
        ],
        path,
        notes: finding
            .notes
            .iter()
            .map(|note| printable(&note.message))
            .collect(),
    }
}

/// The lines of the patch, each with what it is; and how many do not fit.
fn patch(project: &ProjectRow) -> (Vec<Line>, usize) {
    let patch = project.patch.as_deref().unwrap_or_default();
    let kind = |line: &str| match line.as_bytes() {
        [b'd', ..] => "file",
        [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => "name",
        [b'@', ..] => "hunk",
        [b'+', ..] => "new",
        [b'-', ..] => "old",
        _ => "same",
    };
    let line = |line: &str| Line {
        kind: kind(line),
        text: tabs(line),
    };
    let lines = patch.lines();
    let cut = lines.clone().count().saturating_sub(MOST_LINES);
    (lines.take(MOST_LINES).map(line).collect(), cut)
}

/// [`printable`], but for tabs, which stand in code.
fn tabs(line: &str) -> String {
    let parts: Vec<String> = line.split('\t').map(printable).collect();
    parts.join("\t")
}
