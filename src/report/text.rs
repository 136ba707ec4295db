//! Text for people: each load, who reaches it by which way, and what becomes of it.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::{FindingRow, ProjectRow, Rule, Run};
use crate::text::{printable, printable_lines};

/// How much to say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Loads that nobody has to act on, too.
    pub all: bool,
    /// Loads that a comment in the code leaves alone, too.
    pub suppressed: bool,
    /// The code at each station of a path, and what the guide says, too.
    pub explain: bool,
    /// How many columns there are: longer lines are broken between words.
    pub width: Option<usize>,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Each of `findings` in full, for a terminal.
pub fn explained<'f>(
    findings: impl IntoIterator<Item = &'f FindingRow>,
    rules: &[Rule],
    look: Look,
) -> String {
    let look = Look {
        explain: true,
        ..look
    };
    let mut out = String::new();
    for finding in findings {
        finding_text(&mut out, finding, rules, look);
    }
    out.push('\n');
    out
}

/// `run` for a terminal, with ANSI styles; the writer strips them where they do not belong.
pub fn text(run: &Run, look: Look) -> String {
    let mut out = String::new();
    for project in &run.projects {
        project_text(&mut out, run, project, look);
    }
    out.push_str(&broken(&totals(run), look.width, 0, 2));
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
            finding_text(out, finding, &run.rules, look);
        } else if is_suppressed {
            suppressed += 1;
        } else if !finding.known {
            quiet += 1;
        }
    }
    for file in &project.files.unparsed {
        let what = match file.reason.as_str() {
            "analysis-failed" => "analysed in part",
            _ => "not parsed",
        };
        let _ = writeln!(
            out,
            "\n  {}: {what} ({}): {}",
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
        let note = printable(note);
        let _ = writeln!(out, "\n  note: {}", broken(&note, look.width, 8, 8));
    }
    if quiet > 0 {
        let more = format!(
            "{quiet} more that no web client or network peer was seen to reach; -v lists them"
        );
        let _ = writeln!(out, "\n  {}", broken(&more, look.width, 2, 2));
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

fn finding_text(out: &mut String, finding: &FindingRow, rules: &[Rule], look: Look) {
    let fit =
        |text: &str, used: usize, margin: usize| broken(&printable(text), look.width, used, margin);
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
    let _ = writeln!(out, "    {}", fit(&finding.message, 4, 4));
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
            fit(&entries.join("; "), 13, 13)
        );
    }
    for hop in &finding.path {
        let place = printable(&format!("{}:{}:{}", hop.file, hop.line, hop.column));
        let used = 15 + place.chars().count();
        let note = fit(&hop.note, used, 15);
        let _ = writeln!(out, "      {DIM}{:<6}{DIM:#} {place}  {note}", hop.kind);
        if look.explain && !hop.code.is_empty() && !is_unprintable(&hop.code) {
            let _ = writeln!(out, "      {DIM}     |{DIM:#} {}", hop.code.trim());
        }
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
        let text = fit(&format!("{at}{}", note.message), 13, 15);
        let _ = writeln!(out, "      {DIM}note{DIM:#}   {text}");
    }
    if let (Some(next), true) = (finding.next, matches!(finding.status, "refuse" | "suggest")) {
        let _ = writeln!(out, "    {DIM}next:{DIM:#} {}", fit(next, 10, 10));
    }
    let rule = rules.iter().find(|rule| rule.id == finding.transform);
    if let (Some(rule), true) = (rule, look.explain) {
        let _ = writeln!(out, "    {DIM}guide:{DIM:#} {}", fit(&rule.brief, 11, 11));
        let _ = writeln!(
            out,
            "           `depickle explain {}` says all of it",
            rule.id
        );
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

/// `text` broken between words where it would be wider than `width`; `used` columns of its first line are taken, and the
/// next begin after `margin`. A word that fits no line stays whole.
fn broken(text: &str, width: Option<usize>, used: usize, margin: usize) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let (mut out, mut at) = (String::with_capacity(text.len()), used);
    for (n, word) in text.split(' ').enumerate() {
        let long = word.trim_end().chars().count();
        if n > 0 && at + 1 + long > width && at > margin {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', margin));
            at = margin;
        } else if n > 0 {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += long;
    }
    out
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

/// `1 load`, `2 loads`.
pub fn several(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn lines_break_between_words_where_they_would_be_too_long() {
        assert_eq!(broken("ab cd efgh i", Some(8), 2, 2), "ab cd\n  efgh i");
        assert_eq!(broken("ab cd", None, 90, 2), "ab cd");
        assert_eq!(broken("abcdefghij k", Some(6), 2, 2), "abcdefghij\n  k");
        assert_eq!(broken("a  b\n", Some(80), 0, 0), "a  b\n");
    }
}
