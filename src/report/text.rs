//! Text for people: each load, who reaches it by which way, and what becomes of it.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::{FindingRow, ProjectRow, Run};
use crate::text::{printable, printable_lines};

/// How much to say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Loads that nobody has to act on, too.
    pub all: bool,
    /// Loads that a comment in the code leaves alone, too.
    pub suppressed: bool,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// `run` for a terminal, with ANSI styles; the writer strips them where they do not belong.
pub fn text(run: &Run, look: Look) -> String {
    let mut out = String::new();
    for project in &run.projects {
        project_text(&mut out, run, project, look);
    }
    out.push_str(&totals(run));
    out
}

fn project_text(out: &mut String, run: &Run, project: &ProjectRow, look: Look) {
    let root = printable(&project.root);
    if let Some(error) = &project.error {
        let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
        let _ = writeln!(
            out,
            "{BOLD}{root}{BOLD:#}  {red}failed{red:#}: {}",
            printable(error)
        );
        return;
    }
    let commit = project.commit.as_deref().and_then(|c| c.get(..10));
    let at = commit.map_or(String::new(), |commit| format!(" at {commit}"));
    let _ = writeln!(out, "{BOLD}{root}{BOLD:#}{at}");
    let (mut quiet, mut suppressed) = (0, 0);
    for finding in &project.findings {
        let is_suppressed = finding.status == "suppressed";
        if look.all || run.counts(finding) || (look.suppressed && is_suppressed) {
            finding_text(out, finding);
        } else if is_suppressed {
            suppressed += 1;
        } else if !finding.known {
            quiet += 1;
        }
    }
    for file in &project.files.unparsed {
        let _ = writeln!(
            out,
            "\n  {}: not parsed ({}): {}",
            printable(&file.file),
            file.reason,
            printable(&file.message)
        );
    }
    for file in &project.files.skipped {
        let _ = writeln!(
            out,
            "\n  {}: skipped ({})",
            printable(&file.file),
            file.reason
        );
    }
    if let (true, Some(patch)) = (look.all, &project.suggestions) {
        let _ = writeln!(out, "\n  suggested, and staged only with --suggestions:\n");
        for line in printable_lines(patch).lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    for note in &project.notes {
        let _ = writeln!(out, "\n  note: {}", printable(note));
    }
    if quiet > 0 {
        let _ = writeln!(
            out,
            "\n  {quiet} more that no web client or network peer was seen to reach; -v lists them"
        );
    }
    if suppressed > 0 {
        let _ = writeln!(
            out,
            "\n  {suppressed} suppressed in the code; --show-suppressed lists them"
        );
    }
    if let Some(branch) = &project.branch {
        let green = Style::new().fg_color(Some(AnsiColor::Green.into())).bold();
        let _ = writeln!(
            out,
            "\n  {green}staged{green:#} on branch {BOLD}{}{BOLD:#}",
            printable(branch)
        );
    }
    out.push('\n');
}

fn finding_text(out: &mut String, finding: &FindingRow) {
    let colour = match finding.status {
        "rewrite" => AnsiColor::Green,
        "suggest" | "refuse" => AnsiColor::Yellow,
        _ => AnsiColor::Cyan,
    };
    let style = Style::new().fg_color(Some(colour.into())).bold();
    let reason = finding
        .reason
        .map_or(String::new(), |reason| format!(" [{reason}]"));
    let file = printable(&finding.file);
    let test = if finding.test { "  test" } else { "" };
    let known = if finding.known { "  known" } else { "" };
    let _ = writeln!(
        out,
        "\n  {BOLD}{file}:{}:{}{BOLD:#}  {style}{}{style:#}{reason}  {}{test}{known}",
        finding.line, finding.column, finding.status, finding.trust,
    );
    let _ = writeln!(out, "    {}", printable(&finding.message));
    snippet(out, finding);
    let mut entries: Vec<String> = finding.entries.iter().map(|e| e.describe()).collect();
    entries.retain(|entry| !entry.is_empty());
    if !entries.is_empty() {
        let more = entries.len().saturating_sub(3);
        entries.truncate(3);
        let more = match more {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let _ = writeln!(
            out,
            "      {DIM}at{DIM:#}     {}{more}",
            printable(&entries.join("; "))
        );
    }
    for hop in &finding.path {
        let _ = writeln!(
            out,
            "      {DIM}{:<6}{DIM:#} {}:{}:{}  {}",
            hop.kind,
            printable(&hop.file),
            hop.line,
            hop.column,
            printable(&hop.note)
        );
    }
    for caller in &finding.callers {
        let function = match caller.function.as_str() {
            "" => "the module itself",
            function => function,
        };
        let errors = match caller.new_errors.as_slice() {
            [] => String::new(),
            errors => format!(", which would see a new {}", errors.join(" or ")),
        };
        let _ = writeln!(
            out,
            "      {DIM}caller{DIM:#} {}:{}  {}{errors}",
            printable(&caller.file),
            caller.line,
            printable(function)
        );
    }
    if finding.other_paths > 0 {
        let _ = writeln!(
            out,
            "      {DIM}and {} more{DIM:#}",
            several(finding.other_paths, "way")
        );
    }
    for note in &finding.notes {
        let at = match (&note.file, note.line) {
            (Some(file), Some(line)) => format!("{file}:{line}  "),
            _ => String::new(),
        };
        let text = printable(&format!("{at}{}", note.message));
        let _ = writeln!(out, "      {DIM}note{DIM:#}   {text}");
    }
    if let (Some(next), true) = (finding.next, matches!(finding.status, "refuse" | "suggest")) {
        let _ = writeln!(out, "    {DIM}next:{DIM:#} {next}");
    }
}

/// The line of code with the load marked; what is marked of a load over several lines is its first.
fn snippet(out: &mut String, finding: &FindingRow) {
    let code = &finding.code;
    let chars = code.chars().count();
    let at = finding.shown();
    let end = match at.end_line == at.line {
        true => at.end_column - 1,
        false => chars,
    };
    let start = at.column - 1;
    if code.is_empty() || is_unprintable(code) || start >= end || end > chars {
        return;
    }
    let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let gap: String = code
        .chars()
        .take(start)
        .map(|c| if c == '\t' { c } else { ' ' })
        .collect();
    let gutter = at.line.to_string();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "      {DIM}{gutter} |{DIM:#} {code}");
    let _ = writeln!(
        out,
        "      {DIM}{:gutter$} |{DIM:#} {gap}{red}{}{red:#}",
        "",
        "^".repeat(end - start),
        gutter = gutter.len()
    );
}

/// Whether `line` may not be shown as it is; then a mark below it would stand at a wrong place, too.
fn is_unprintable(line: &str) -> bool {
    line.split('\t').any(|part| printable(part) != part)
}

/// One line that sums to the run.
fn totals(run: &Run) -> String {
    let findings = || run.projects.iter().flat_map(|project| &project.findings);
    let count = |status: &str| findings().filter(|f| f.status == status).count();
    let reached = findings().filter(|f| run.counts(f)).count();
    let failed = run.projects.iter().filter(|p| p.status == "failed").count();
    let unread: usize = run
        .projects
        .iter()
        .map(|p| p.files.unparsed.len() + p.files.skipped.len())
        .sum();
    let seen: usize = run.projects.iter().map(|p| p.files.seen).sum();
    let mut line = format!(
        "{}, {}, {}: {reached} within reach of an attacker; {} to rewrite, {} refused, {} guarded, {} trusted",
        several(run.projects.len(), "project"),
        several(seen, "file"),
        several(findings().count(), "load"),
        count("rewrite"),
        count("refuse") + count("suggest"),
        count("guarded"),
        count("trusted"),
    );
    let suppressed = count("suppressed");
    if suppressed > 0 {
        let _ = write!(line, "; {suppressed} suppressed");
    }
    let known = findings().filter(|f| f.known).count();
    if known > 0 {
        let _ = write!(line, "; {known} known and not counted");
    }
    if failed > 0 {
        let _ = write!(line, "; {} failed", several(failed, "project"));
    }
    if unread > 0 {
        let _ = write!(line, "; {} not read", several(unread, "file"));
    }
    let stubs: usize = run.projects.iter().map(|p| p.files.stubs).sum();
    if stubs > 0 {
        let _ = write!(line, "; {} (.pyi) skipped", several(stubs, "stub"));
    }
    line.push('\n');
    line
}

fn several(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
