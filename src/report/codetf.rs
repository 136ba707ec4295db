//! CodeTF 3: what a codemod fixed, and what it left and why, for tools that review codemods.

use serde_json::{Value, json};

use super::{FindingRow, ProjectRow, Run, diff::unified};
use crate::check::ChangedFile;

/// `run` as one document. Files that belong to no finding (writers, imports) stand with the first that is fixed.
pub(super) fn codetf(run: &Run) -> Value {
    let mut results = Vec::new();
    for project in &run.projects {
        let mut first = true;
        for finding in &project.findings {
            let fixed = finding.status == "rewrite";
            let with = |change: &&ChangedFile| {
                let own = change.path == project.in_repository(&finding.file);
                let of_another = || {
                    project.findings.iter().any(|f| {
                        f.status == "rewrite" && change.path == project.in_repository(&f.file)
                    })
                };
                own || (first && !of_another())
            };
            let mut changes: Vec<&ChangedFile> = Vec::new();
            if fixed {
                changes.extend(project.changes.iter().filter(with));
                // The file of a finding may be none that changes: what is set elsewhere decides how it loads.
                if changes.is_empty() {
                    changes.extend(&project.changes);
                }
                first = false;
            }
            let changes = changes.into_iter().map(change_set).collect();
            results.push(result(run, project, finding, changes));
        }
    }
    json!({
        "run": {
            "vendor": "depickle",
            "tool": run.tool.name,
            "version": run.tool.version,
        },
        "results": results,
    })
}

fn result(run: &Run, project: &ProjectRow, finding: &FindingRow, changes: Vec<Value>) -> Value {
    let status = match finding.status {
        "rewrite" => "fixed",
        "suppressed" | "guarded" | "trusted" => "wontfix",
        _ => "skipped",
    };
    let rule = run.rules.iter().find(|rule| rule.id == finding.transform);
    let mut row = json!({
        "finding": {
            "id": format!("{}:{}:{}:{}", project.root, finding.file, finding.line, finding.fingerprint),
            "rule": {
                "id": finding.transform,
                "name": rule.map_or(finding.transform.as_str(), |rule| rule.title.as_str()),
                "url": null,
            },
        },
        "fixStatus": {"status": status, "reason": finding.reason, "details": finding.message},
        "changeSets": changes,
    });
    if finding.status == "rewrite" {
        row["fixMetadata"] = json!({
            "id": finding.transform,
            "summary": finding.message,
            "description": rule.map_or(finding.message.as_str(), |rule| rule.help.as_str()),
            "references": [{"url": "https://cwe.mitre.org/data/definitions/502.html", "description": "CWE-502"}],
            "generation": {"strategy": "deterministic", "provisional": false},
        });
    }
    row
}

/// The patch of one file, and the lines that it brings.
fn change_set(change: &ChangedFile) -> Value {
    let patch = String::from_utf8_lossy(&unified(change)).into_owned();
    let mut line = 0;
    let mut changes: Vec<Value> = Vec::new();
    let mut inside = false;
    for row in patch.lines().skip(3) {
        match row.as_bytes().first() {
            Some(b'@') => {
                let new = row
                    .split('+')
                    .nth(1)
                    .and_then(|new| new.split([',', ' ']).next());
                line = new.and_then(|new| new.parse().ok()).unwrap_or(1);
                inside = false;
            }
            Some(b'+') => {
                if !inside {
                    changes.push(
                        json!({"lineNumber": line, "diffSide": "right", "description": null}),
                    );
                }
                inside = true;
                line += 1;
            }
            Some(b' ') => {
                inside = false;
                line += 1;
            }
            _ => {}
        }
    }
    json!({"path": change.path, "diff": patch, "changes": changes})
}
