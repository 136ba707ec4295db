//! Comma-separated values: a line for each finding, and one for each project without any.

use super::{FindingRow, ProjectRow, Run};
use crate::text::printable;

const HEAD: [&str; 18] = [
    "run",
    "project",
    "commit",
    "project status",
    "error",
    "branch",
    "files",
    "not read",
    "file",
    "line",
    "column",
    "sink",
    "trust",
    "status",
    "reason",
    "message",
    "counts",
    "fingerprint",
];

/// `run` as a table with a head.
pub(super) fn csv(run: &Run) -> String {
    let mut out = line(&HEAD) + "\n";
    for project in &run.projects {
        for finding in &project.findings {
            row(&mut out, run, project, Some(finding));
        }
        if project.findings.is_empty() {
            row(&mut out, run, project, None);
        }
    }
    out
}

fn row(out: &mut String, run: &Run, project: &ProjectRow, finding: Option<&FindingRow>) {
    let of = |cell: fn(&FindingRow) -> String| finding.map(cell).unwrap_or_default();
    let counts = finding.map_or("", |finding| if run.counts(finding) { "yes" } else { "no" });
    let cells = [
        run.run.clone(),
        project.root.clone(),
        project.commit.clone().unwrap_or_default(),
        project.status.to_owned(),
        project.error.clone().unwrap_or_default(),
        project.branch.clone().unwrap_or_default(),
        project.files.seen.to_string(),
        project.files.unread().count().to_string(),
        of(|finding| finding.file.clone()),
        of(|finding| finding.line.to_string()),
        of(|finding| finding.column.to_string()),
        of(|finding| finding.sink.clone()),
        of(|finding| finding.trust.to_owned()),
        of(|finding| finding.status.to_owned()),
        of(|finding| finding.reason.unwrap_or_default().to_owned()),
        of(|finding| finding.message.clone()),
        counts.to_owned(),
        of(|finding| finding.fingerprint.clone()),
    ];
    out.push_str(&line(&cells.each_ref().map(String::as_str)));
    out.push('\n');
}

/// One line in the form of RFC 4180, without its end. What a spreadsheet would take for a formula gets a `'` before it.
pub fn line(cells: &[&str]) -> String {
    let cell = |text: &&str| {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        // It may be printed, and it holds names of a repository.
        let text = match formula {
            true => format!("'{}", printable(text)),
            false => printable(text),
        };
        match text.contains([',', '"']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text,
        }
    };
    let cells: Vec<String> = cells.iter().map(cell).collect();
    cells.join(",")
}
