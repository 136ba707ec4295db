//! Markdown: a run for people, and the text of a pull request: what is changed and why, what others must do, and how to take it back.
//!
//! Invariant: everything that comes from the repository stands in code spans, where it is neither a link nor a mention.

use std::fmt::Write;

use super::{FindingRow, ProjectRow, Run};
use crate::text::{printable, printable_lines};

/// Forges take some 65,000 characters.
const MOST: usize = 60_000;

/// The text for a request that brings `project`, staged by the run called `run`. `note` is what the change means to others.
pub fn request(project: &ProjectRow, run: &str, note: &str) -> String {
    let note = match note {
        "" => String::new(),
        note => format!("\n## What clients must change\n\n{}", printable_lines(note)),
    };
    let [done, left] = parts(project, "##");
    let mut text = done + &note + &left;
    let end = format!(
        "\n## How to verify\n\n\
         Run the tests of the project, and `depickle verify --run {0}`: none of the loads above is found any more, and none\n\
         is new. With `--execute`, it runs the application before and after, and sends it pickles: they run before, and are\n\
         answered with an error of the client (400) after. What it found last, if it was run, stands at the end.\n\
         \n## How to roll back\n\n\
         `depickle rollback {0}`: before it is merged, that closes this request and deletes the branch; after, it opens a\n\
         request that reverts it.\n",
        printable(run)
    );
    if text.len() + end.len() > MOST {
        let mut at = MOST - end.len();
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(text[..at].rfind('\n').map_or(0, |at| at + 1));
        text.push_str("\nThere is more than fits here; the commit lists all of it.\n");
    }
    text + &end
}

/// All of `run`: a table of its projects, and what is changed and left in each.
pub(super) fn markdown(run: &Run) -> String {
    let mut text = format!(
        "# depickle {}\n\n| project | status | within reach | rewritten | left | branch |\n|---|---|---:|---:|---:|---|\n",
        printable(&run.run)
    );
    for project in &run.projects {
        let count = |wanted: fn(&FindingRow) -> bool| {
            project
                .findings
                .iter()
                .filter(|f| run.counts(f) && wanted(f))
                .count()
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&project.root),
            project.status,
            count(|_| true),
            count(|finding| finding.status == "rewrite"),
            count(|finding| finding.status != "rewrite"),
            project.branch.as_deref().map_or(String::new(), cell),
        );
    }
    for project in &run.projects {
        let _ = writeln!(text, "\n## {}\n", code(&project.root));
        if let Some(error) = &project.error {
            let _ = writeln!(text, "Failed: {}\n", code(error));
        }
        let mut unread = project.files.unread().peekable();
        if unread.peek().is_some() {
            text.push_str("### What was not read\n\n");
            for (file, why) in unread {
                let _ = writeln!(text, "- {} {}", code(file), code(why));
            }
            text.push('\n');
        }
        text.push_str(&parts(project, "###").concat());
    }
    text
}

/// What is changed, and what is left; test code is not told, nor is what is guarded. Empty where there is nothing.
fn parts(project: &ProjectRow, level: &str) -> [String; 2] {
    let (mut done, mut left) = (String::new(), String::new());
    for finding in project.findings.iter().filter(|finding| !finding.test) {
        match finding.status {
            "rewrite" => one(&mut done, finding),
            "suggest" | "refuse" => {
                let place = place(&finding.file, finding.line);
                let reason = finding.reason.unwrap_or(finding.status);
                // Writing to a String cannot fail.
                let _ = writeln!(left, "- {place} {}: {reason}", code(&finding.sink));
            }
            _ => {}
        }
    }
    let titled = |title: &str, text: String| match text.as_str() {
        "" => text,
        text => format!("{level} {title}\n\n{text}"),
    };
    let left = titled("What is left", left);
    let gap = if left.is_empty() { "" } else { "\n" };
    [titled("What is changed", done), format!("{gap}{left}")]
}

fn one(text: &mut String, finding: &FindingRow) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "- {} {} ({}): {}",
        place(&finding.file, finding.line),
        code(&finding.sink),
        finding.trust,
        code(&finding.message)
    );
    for (n, hop) in finding.path.iter().enumerate() {
        let _ = writeln!(
            text,
            "  {}. {} {}",
            n + 1,
            place(&hop.file, hop.line),
            code(&hop.note)
        );
    }
    for note in &finding.notes {
        let _ = writeln!(text, "  - {}", code(&note.message));
    }
}

pub(super) fn place(file: &str, line: usize) -> String {
    code(&format!("{file}:{line}"))
}

/// A cell of a table, which a `|` would end.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

pub(super) fn code(text: &str) -> String {
    format!("`{}`", printable(text).replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_repository_says_is_no_markdown() {
        let project = ProjectRow {
            findings: vec![FindingRow::example("a`b\n@x.py")],
            ..ProjectRow::default()
        };
        let text = request(&project, "R", "Send JSON.\n");
        assert!(
            text.contains("- `a'b\\n@x.py:3` `pickle.loads` (http)"),
            "{text}"
        );
        assert!(
            text.contains("  1. `a'b\\n@x.py:2` `request.data`"),
            "{text}"
        );
        assert!(text.contains("Send JSON.") && text.contains("depickle rollback R"));
    }

    #[test]
    fn it_fits_a_request() {
        let project = ProjectRow {
            findings: (0..1000)
                .map(|n| FindingRow::example(&format!("é{n}.py")))
                .collect(),
            ..ProjectRow::default()
        };
        let text = request(&project, "R", "");
        assert!(text.len() < 65_000 && text.ends_with("request that reverts it.\n"));
        assert!(text.contains("There is more than fits here"));
    }
}
