//! SARIF 2.1.0: what code scanning services take in. One project is one log.

use std::fmt::Write;
use std::ops::Range;

use serde_json::{Value, json};

use super::diff::changes;
use super::{FindingRow, HopRow, ProjectRow, Run};
use crate::check::ChangedFile;

/// GitHub refuses logs with more results than that.
const MOST: usize = 25_000;

/// All fixes of a log together, in bytes of code. Every fix holds the whole change, for half of it may be wrong.
const FIXES: usize = 8 << 20;

/// `run` as a log with one run for each project.
pub(super) fn sarif(run: &Run) -> Value {
    let runs: Vec<Value> = run
        .projects
        .iter()
        .map(|project| one(run, project))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    })
}

fn one(run: &Run, project: &ProjectRow) -> Value {
    let known = |finding: &FindingRow| run.baseline && finding.known && run.concerns(finding);
    let shown = |finding: &&FindingRow| {
        run.counts(finding) || known(finding) || finding.status == "suppressed"
    };
    let mut shown: Vec<&FindingRow> = project.findings.iter().filter(shown).collect();
    let others = project.findings.len() - shown.len();
    shown.sort_by_key(|finding| (!run.counts(finding), !finding.is_remote()));
    let cut = shown.len().saturating_sub(MOST);
    shown.truncate(MOST);

    let rules: Vec<_> = run
        .rules
        .iter()
        .filter(|rule| shown.iter().any(|f| f.transform == rule.id))
        .collect();
    let (fix, size) = fix(&project.changes);
    let rewritten = shown
        .iter()
        .filter(|finding| finding.status == "rewrite")
        .count();
    let fixes = size * rewritten <= FIXES;
    let result = |finding: &&FindingRow| {
        let rule = rules.iter().position(|rule| rule.id == finding.transform);
        let fix = fix
            .as_ref()
            .filter(|_| fixes && finding.status == "rewrite");
        let mut row = result(project, finding, rule, fix);
        if run.baseline && finding.status != "suppressed" {
            let state = if finding.known { "unchanged" } else { "new" };
            row["baselineState"] = state.into();
        }
        row
    };
    let results: Vec<Value> = shown.iter().map(result).collect();

    let mut said: Vec<Value> = Vec::new();
    let mut say = |level: &str, text: &str, file: Option<&str>| {
        let mut row = json!({"level": level, "message": {"text": text}});
        if let Some(file) = file {
            row["locations"] =
                json!([{"physicalLocation": {"artifactLocation": artifact(project, file)}}]);
        }
        said.push(row);
    };
    if let Some(error) = &project.error {
        say("error", error, None);
    }
    for (file, why) in project.files.unread() {
        say("warning", &format!("not read: {why}"), Some(file));
    }
    for note in &project.notes {
        say("note", note, None);
    }
    if cut > 0 {
        say(
            "warning",
            &format!("{cut} more results are left out: {MOST} fit"),
            None,
        );
    }
    if others > 0 {
        say(
            "note",
            &format!(
                "{others} more loads are no results: they are safe, or not reached by anybody who counts"
            ),
            None,
        );
    }
    if fix.is_some() && !fixes {
        say(
            "note",
            "the fixes are too long for this log; `depickle diff` prints them",
            None,
        );
    }
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "name": rule.title,
                "shortDescription": {"text": rule.title},
                "help": {"text": rule.help, "markdown": rule.help},
                "defaultConfiguration": {"level": "error"},
                "properties": {
                    "tags": ["security", "external/cwe/cwe-502"],
                    "precision": "high",
                    "security-severity": "9.8",
                },
            })
        })
        .collect();
    let mut log = json!({
        "tool": {"driver": {
            "name": run.tool.name,
            "version": run.tool.version,
            "semanticVersion": run.tool.version,
            "rules": rules,
        }},
        "automationDetails": {"id": format!("depickle/{}/", project.prefix.trim_end_matches('/'))},
        "columnKind": "unicodeCodePoints",
        "invocations": [{
            "executionSuccessful": project.status != "failed",
            "toolExecutionNotifications": said,
        }],
        "results": results,
    });
    if let Some(commit) = &project.commit {
        log["properties"] = json!({"commit": commit});
    }
    log
}

fn result(
    project: &ProjectRow,
    finding: &FindingRow,
    rule: Option<usize>,
    fix: Option<&Value>,
) -> Value {
    let mut text = finding.message.clone();
    for entry in finding
        .entries
        .iter()
        .map(|entry| entry.describe())
        .filter(|entry| !entry.is_empty())
    {
        // Writing to a String cannot fail.
        let _ = write!(text, "\nat {entry}");
    }
    for note in &finding.notes {
        let _ = write!(text, "\n{}", note.message);
    }
    if let Some(next) = finding.next {
        let _ = write!(text, "\nnext: {next}");
    }
    let mut region = json!({
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    });
    // A snippet is the region itself; only a load on one line is shown whole.
    if !finding.code.is_empty() && finding.line == finding.end_line {
        let inside = finding
            .code
            .chars()
            .skip(finding.column - 1)
            .take(finding.end_column - finding.column);
        region["snippet"] = json!({"text": inside.collect::<String>()});
    }
    let mut row = json!({
        "ruleId": finding.transform,
        "level": if finding.is_remote() { "error" } else { "warning" },
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": artifact(project, &finding.file),
            "region": region,
        }}],
        "partialFingerprints": {"depickle/v1": finding.fingerprint},
        "properties": {
            "trust": finding.trust,
            "status": finding.status,
            "reason": finding.reason,
            "sink": finding.sink,
        },
    });
    if let Some(rule) = rule {
        row["ruleIndex"] = rule.into();
    }
    if !finding.path.is_empty() {
        let hops: Vec<Value> = finding
            .path
            .iter()
            .map(|hop| hop_of(project, hop))
            .collect();
        row["codeFlows"] = json!([{"threadFlows": [{"locations": hops}]}]);
    }
    if let Some(fix) = fix {
        row["fixes"] = json!([fix]);
    }
    if finding.status == "suppressed" {
        row["suppressions"] = json!([{"kind": "inSource"}]);
    }
    row
}

fn hop_of(project: &ProjectRow, hop: &HopRow) -> Value {
    json!({
        "location": {
            "physicalLocation": {
                "artifactLocation": artifact(project, &hop.file),
                "region": {"startLine": hop.line, "startColumn": hop.column},
            },
            "message": {"text": format!("{}: {}", hop.kind, hop.note)},
        },
        "importance": if matches!(hop.kind, "source" | "sink") { "essential" } else { "important" },
    })
}

fn artifact(project: &ProjectRow, file: &str) -> Value {
    json!({"uri": uri(&project.in_repository(file)), "uriBaseId": "%SRCROOT%"})
}

/// A relative path as a URI reference.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            // Writing to a String cannot fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// The whole change as one fix, and its length; none if there is none, or if a file is not UTF-8.
fn fix(changes: &[ChangedFile]) -> (Option<Value>, usize) {
    if changes.is_empty() {
        return (None, 0);
    }
    let mut size = 0;
    let mut files = Vec::new();
    for change in changes {
        let (Ok(before), Ok(after)) = (
            str::from_utf8(&change.before),
            str::from_utf8(&change.after),
        ) else {
            return (None, 0);
        };
        let replacements = replacements(before, after);
        size += replacements
            .iter()
            .map(|(_, text)| text.len() + 200)
            .sum::<usize>();
        let replacements: Vec<Value> = replacements
            .into_iter()
            .map(|((start, end), text)| {
                json!({
                    "deletedRegion": {
                        "startLine": start.0, "startColumn": start.1, "endLine": end.0, "endColumn": end.1,
                    },
                    "insertedContent": {"text": text},
                })
            })
            .collect();
        files.push(json!({
            "artifactLocation": {"uri": uri(&change.path), "uriBaseId": "%SRCROOT%"},
            "replacements": replacements,
        }));
    }
    let text = "the whole change of this project, which depends on all of its parts";
    let fix = json!({"description": {"text": text}, "artifactChanges": files});
    (Some(fix), size)
}

/// Line and column, both from 1.
type At = (usize, usize);

/// What to put in place of which region, so that `before` becomes `after`.
fn replacements(before: &str, after: &str) -> Vec<((At, At), String)> {
    // SARIF counts a lone CR as a line end too; a column in the middle of such a line would be wrong.
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let ops = changes(&old, &new);
    let changed = ops.iter().filter(|op| op.tag() != similar::DiffTag::Equal);
    changed
        .map(|op| (region(&old, op.old_range()), new[op.new_range()].concat()))
        .collect()
}

/// Whole lines, from the start of the first to the start of the one behind the last; at the end of the file, to its end.
fn region(lines: &[&str], range: Range<usize>) -> (At, At) {
    let start_of = |line: usize| match lines.get(line) {
        Some(_) => (line + 1, 1),
        None => match lines.last() {
            Some(last) if !last.ends_with('\n') => (lines.len(), last.chars().count() + 1),
            _ => (lines.len() + 1, 1),
        },
    };
    (start_of(range.start), start_of(range.end))
}

#[cfg(test)]
mod tests {
    use super::{MOST, sarif};
    use crate::pack::Trust;
    use crate::report::{FindingRow, ProjectRow, Run};

    #[test]
    fn what_does_not_fit_is_said_and_what_is_most_exposed_stays() {
        let row = |n: usize, trust: &'static str| FindingRow {
            fingerprint: n.to_string(),
            trust,
            status: "refuse",
            ..FindingRow::example("app.py")
        };
        let mut findings: Vec<FindingRow> = (0..MOST + 1).map(|n| row(n, "stored")).collect();
        findings.push(row(MOST + 1, "http"));
        let mut run = Run::new("r".into(), vec![Trust::Http, Trust::Stored]);
        run.projects.push(ProjectRow {
            status: "ok",
            findings,
            ..ProjectRow::default()
        });
        let log = sarif(&run);
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), MOST);
        assert_eq!(results[0]["properties"]["trust"], "http");
        let said = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
        let said = said["message"]["text"].as_str().unwrap();
        assert!(said.starts_with("2 more results are left out"), "{said}");
    }
}
