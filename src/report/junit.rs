//! JUnit's XML, which every build server shows: a test for each load, an error for each file that was not read.

use std::fmt::Write;

use super::{ProjectRow, Run};
use crate::text::{printable, printable_lines};

/// `run` as test suites. A load that counts is a failed test, one that was suppressed is skipped, others pass.
pub(super) fn junit(run: &Run) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"depickle\">\n",
    );
    for project in &run.projects {
        suite(&mut out, run, project);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, run: &Run, project: &ProjectRow) {
    let mut cases = String::new();
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    // Writing to a String cannot fail.
    let mut case = |class: &str, name: &str, inside: &str| {
        tests += 1;
        let (class, name) = (xml(&printable(class)), xml(&printable(name)));
        let _ = writeln!(
            cases,
            "    <testcase classname=\"{class}\" name=\"{name}\">{inside}</testcase>"
        );
    };
    if let Some(error) = &project.error {
        errors += 1;
        case(&project.root, "depickle", &tag("error", "failed", error));
    }
    for finding in &project.findings {
        let name = format!(
            "{} line {} ({})",
            finding.sink, finding.line, finding.status
        );
        let inside = if run.counts(finding) {
            failures += 1;
            let path = finding.path.iter().map(|hop| {
                format!(
                    "{} {}:{}:{} {}\n",
                    hop.kind,
                    printable(&hop.file),
                    hop.line,
                    hop.column,
                    printable(&hop.note)
                )
            });
            tag("failure", &finding.message, &path.collect::<String>())
        } else if finding.status == "suppressed" {
            skipped += 1;
            tag("skipped", &finding.message, "")
        } else {
            String::new()
        };
        case(&finding.file, &name, &inside);
    }
    for (file, why) in project.files.unread() {
        errors += 1;
        case(file, "not read", &tag("error", "not read", why));
    }
    if project.findings.is_empty() && project.error.is_none() {
        case(&project.root, "no unsafe load", "");
    }
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n{cases}  </testsuite>",
        xml(&printable(&project.root))
    );
}

fn tag(name: &str, message: &str, text: &str) -> String {
    format!(
        "<{name} message=\"{}\">{}</{name}>",
        xml(&printable(message)),
        xml(&printable_lines(text))
    )
}

/// Control characters, which XML cannot hold, are spelled out before.
fn xml(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
