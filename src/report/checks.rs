//! What continuous integration shows beside the code: annotations of GitHub Actions, code quality of GitLab.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::Run;
use crate::text::printable;

/// Workflow commands of GitHub Actions: findings that count are errors or warnings, and so is what was not read.
pub(super) fn github(run: &Run) -> String {
    let mut out = String::new();
    for project in &run.projects {
        if let Some(error) = &project.error {
            command(
                &mut out,
                "error",
                &[("title", "depickle: failed")],
                &format!("{}: {error}", project.root),
            );
        }
        for finding in project
            .findings
            .iter()
            .filter(|finding| run.counts(finding))
        {
            let level = if finding.is_remote() {
                "error"
            } else {
                "warning"
            };
            let title = format!("depickle: {}", finding.transform);
            let number = |n: usize| n.to_string();
            let place = [
                ("title", title.as_str()),
                ("file", &project.in_repository(&finding.file)),
                ("line", &number(finding.line)),
                ("endLine", &number(finding.end_line)),
                ("col", &number(finding.column)),
                ("endColumn", &number(finding.end_column)),
            ];
            // Columns are only taken within one line.
            let columns = finding.line == finding.end_line;
            let place = if columns { &place[..] } else { &place[..4] };
            command(&mut out, level, place, &finding.message);
        }
        for (file, why) in project.files.unread() {
            let place = [
                ("title", "depickle: not read"),
                ("file", &project.in_repository(file)),
            ];
            command(&mut out, "warning", &place, why);
        }
    }
    out
}

fn command(out: &mut String, level: &str, properties: &[(&str, &str)], message: &str) {
    let data = |text: &str| printable(text).replace('%', "%25");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let properties: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={}", property(value)))
        .collect();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "::{level} {}::{}", properties.join(","), data(message));
}

/// GitLab's code quality report. Its fingerprints are unique, so loads that are alike are numbered.
pub(super) fn gitlab(run: &Run) -> Value {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut out = Vec::new();
    for project in &run.projects {
        for finding in project
            .findings
            .iter()
            .filter(|finding| run.counts(finding))
        {
            let nth = seen.entry(&finding.fingerprint).or_default();
            *nth += 1;
            let fingerprint = match nth {
                1 => finding.fingerprint.clone(),
                nth => format!("{}-{nth}", finding.fingerprint),
            };
            out.push(json!({
                "description": finding.message,
                "check_name": finding.transform,
                "fingerprint": fingerprint,
                "severity": if finding.is_remote() { "critical" } else { "major" },
                "location": {
                    "path": project.in_repository(&finding.file),
                    "lines": {"begin": finding.line, "end": finding.end_line},
                },
            }));
        }
    }
    Value::Array(out)
}
