//! The questions of a review, and what is shown with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write as _};

use anstyle::{AnsiColor, Style};

use super::{Asked, rows};
use crate::cli::args::Common;
use crate::cli::output::{columns, styled};
use crate::report::{self, FindingRow, Look, Run};
use crate::text::printable;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const HELP: &str = "  a           accept this change
  s [REASON]  skip it: its loads stay as they are; REASON stands in the plan
  r [REASON]  say why, or say it anew; then accept or skip
  e           explain: who reaches the load by which way, and what the guide says
  b           back to the change before
  A, S        accept or skip all that are not answered yet
  q           quit; nothing is saved
";

/// Whom the questions are put to.
pub(super) struct Talk<'a> {
    args: &'a Common,
    typed: bool,
}

impl Talk<'_> {
    /// Refuses where nobody can answer.
    pub(super) fn open(args: &Common) -> anyhow::Result<Talk<'_>> {
        let typed = std::io::stdin().is_terminal();
        if !typed && !is_piped() {
            anyhow::bail!(
                "-i asks questions, and standard input is neither a terminal nor a pipe: run it on a terminal, or pipe the \
                 answers to it, one a line"
            );
        }
        Ok(Talk { args, typed })
    }

    pub(super) fn say(&self, text: &str) -> anyhow::Result<()> {
        let mut out = styled(std::io::stderr(), self.args.color);
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// The next line.
    fn hear(&self, question: &str) -> anyhow::Result<String> {
        self.say(&format!("{BOLD}{question}{BOLD:#} "))?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            self.say("\n")?;
            anyhow::bail!(
                "the answers ended before the review did; nothing was saved: end it with y, or with q to quit"
            );
        }
        let line = line.trim().to_owned();
        if !self.typed {
            // A terminal has shown it already.
            self.say(&format!("{}\n", printable(&line)))?;
        }
        Ok(line)
    }

    /// Asks about each of `asked`; false when the reviewer quits.
    pub(super) fn through(
        &mut self,
        run: &Run,
        asked: &mut [Asked],
        first: bool,
    ) -> anyhow::Result<bool> {
        if first {
            let projects: BTreeSet<usize> = asked.iter().map(|one| one.target).collect();
            self.say(&format!(
                "{} to review in {}; ? lists the answers\n",
                report::several(asked.len(), "change"),
                report::several(projects.len(), "project")
            ))?;
        }
        let mut at = 0;
        loop {
            let Some(one) = asked.get(at) else {
                match self.end(asked)? {
                    End::Done => return Ok(true),
                    End::Quit => return Ok(false),
                    End::Back => at = asked.len() - 1,
                }
                continue;
            };
            self.say(&shown(run, one, at + 1, asked.len()))?;
            let (word, reason) = self.answer(run, one, (at + 1, asked.len()))?;
            let Some(one) = asked.get_mut(at) else {
                continue;
            };
            match word {
                'a' => one.answer.taken = Some(true),
                's' => one.answer.taken = Some(false),
                'b' if at == 0 => self.say("this is the first one\n")?,
                'b' => at -= 1,
                'A' | 'S' => {
                    let open = asked.iter_mut().filter(|one| one.answer.taken.is_none());
                    open.for_each(|one| one.answer.taken = Some(word == 'A'));
                    at = asked.len();
                    continue;
                }
                _ => {
                    self.say("nothing was saved\n")?;
                    return Ok(false);
                }
            }
            one.answer.reason = reason;
            if matches!(word, 'a' | 's') {
                at += 1;
            }
        }
    }

    /// What is to become of `one`, the so maniest of so many, and why.
    fn answer(
        &self,
        run: &Run,
        one: &Asked,
        (n, of): (usize, usize),
    ) -> anyhow::Result<(char, String)> {
        let mut reason = one.answer.reason.clone();
        loop {
            let said = self.hear(&format!("{n} of {of}: [a,s,r,e,b,A,S,q,?]"))?;
            let (word, rest) = said.split_once(char::is_whitespace).unwrap_or((&said, ""));
            let rest = rest.trim();
            match word {
                "a" | "accept" => return Ok(('a', reason)),
                "s" | "skip" | "r" | "reason" => {
                    match (rest, word.chars().next()) {
                        ("", Some('s')) if !reason.is_empty() => {}
                        ("", _) => reason = self.hear("why? (Enter: say nothing)")?,
                        (rest, _) => reason = rest.to_owned(),
                    }
                    if word.starts_with('s') {
                        return Ok(('s', reason));
                    }
                }
                "b" | "back" => return Ok(('b', reason)),
                "A" | "S" if rest.is_empty() => {
                    return Ok((said.chars().next().unwrap_or('A'), reason));
                }
                "q" | "quit" => return Ok(('q', reason)),
                "e" | "explain" => self.say(&explained(run, one))?,
                "?" | "h" | "help" => self.say(HELP)?,
                _ => self.say(&format!(
                    "{}: no such answer; there are\n{HELP}",
                    printable(&said)
                ))?,
            }
        }
    }

    /// All are answered: whether that stands.
    fn end(&self, asked: &[Asked]) -> anyhow::Result<End> {
        let taken = asked
            .iter()
            .filter(|one| one.answer.taken == Some(true))
            .count();
        let left = asked.len() - taken;
        self.say("\n")?;
        loop {
            let said = self.hear(&format!(
                "{taken} accepted, {left} skipped: plan it so? [y,b,q]"
            ))?;
            match said.as_str() {
                "y" | "yes" => return Ok(End::Done),
                "b" | "back" => return Ok(End::Back),
                "q" | "quit" => {
                    self.say("nothing was saved\n")?;
                    return Ok(End::Quit);
                }
                _ => self.say("y: plan what was accepted; b: back to the last change; q: quit, nothing is saved\n")?,
            }
        }
    }

    /// Says what of what was accepted cannot stand without the rest, and how to leave the rest alone for good.
    pub(super) fn told(&self, run: &Run, taken: &[Asked], left: &[Asked]) -> anyhow::Result<()> {
        let mut out = String::new();
        for (one, row) in rows(run, taken) {
            if row.status != "rewrite" {
                let _ = writeln!(
                    out,
                    "{}: {}:{} was accepted, and cannot be changed without what was skipped: {}",
                    printable(&run.projects[one.target].root),
                    printable(&row.file),
                    row.line,
                    printable(&row.message)
                );
            }
        }
        let reasons: BTreeMap<&str, Vec<&str>> =
            rows(run, left).fold(BTreeMap::new(), |mut all, (one, row)| {
                let ids: &mut Vec<&str> = all.entry(one.answer.reason.as_str()).or_default();
                ids.push(&row.fingerprint);
                all
            });
        for (reason, ids) in reasons.iter().filter(|(reason, _)| !reason.is_empty()) {
            let _ = writeln!(
                out,
                "to leave {} alone for good, write it into the code: depickle apply --add-ignore {} --only {}",
                report::several(ids.len(), "load"),
                printable(&crate::repo::quoted(reason)),
                ids.join(" --only ")
            );
        }
        self.say(&out)
    }
}

enum End {
    Done,
    Back,
    Quit,
}

/// A choice as it is asked about.
fn shown(run: &Run, one: &Asked, n: usize, of: usize) -> String {
    let mut out = String::from("\n");
    let root = run.projects.get(one.target).map_or("", |row| &row.root);
    let _ = writeln!(
        out,
        "{DIM}change {n} of {of}{DIM:#}  {BOLD}{}{BOLD:#}",
        printable(root)
    );
    let own: Vec<&FindingRow> = rows(run, std::slice::from_ref(one))
        .map(|(_, row)| row)
        .collect();
    for row in &own {
        let _ = writeln!(
            out,
            "  {BOLD}{}:{}{BOLD:#}  {}",
            printable(&row.file),
            row.line,
            printable(&row.message)
        );
    }
    let mut moving: Vec<String> = Vec::new();
    for note in own
        .iter()
        .flat_map(|row| &row.notes)
        .filter(|note| note.code == "writer-moves")
    {
        let file = note.file.as_deref().unwrap_or_default();
        let text = format!("{file}:{}  {}", note.line.unwrap_or_default(), note.message);
        if !moving.contains(&text) {
            moving.push(text);
        }
    }
    for text in &moving {
        let _ = writeln!(out, "  {DIM}and{DIM:#} {}", printable(text));
    }
    let together = match (one.choice.bound, own.len()) {
        (true, _) => "these loads move together or not at all: they read what the same code writes",
        (false, 2..) => "these loads change the same lines: one answer is for all of them",
        _ if !moving.is_empty() => "what writes it moves with it or not at all",
        _ => "",
    };
    if !together.is_empty() {
        let _ = writeln!(out, "  {together}");
    }
    match one.answer.taken {
        Some(true) => out.push_str("  answered: accept"),
        Some(false) => out.push_str("  answered: skip"),
        None if one.answer.reason.is_empty() => {}
        None => out.push_str("  not answered"),
    }
    if !one.answer.reason.is_empty() {
        let _ = write!(out, "; {}", printable(&one.answer.reason));
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str(&coloured(&String::from_utf8_lossy(&one.choice.patch)));
    out
}

/// A patch with the colours that git gives it.
fn coloured(patch: &str) -> String {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let mut out = String::new();
    for line in patch.split_terminator('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = line
            .split('\t')
            .map(printable)
            .collect::<Vec<_>>()
            .join("\t");
        let style = match line.as_bytes() {
            [b'd', ..] => continue,
            [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => BOLD,
            [b'+', ..] => colour(AnsiColor::Green),
            [b'-', ..] => colour(AnsiColor::Red),
            [b'@', ..] => colour(AnsiColor::Cyan),
            _ => Style::new(),
        };
        let _ = writeln!(out, "{style}{line}{style:#}");
    }
    out
}

fn explained(run: &Run, one: &Asked) -> String {
    let own = rows(run, std::slice::from_ref(one)).map(|(_, row)| row);
    let look = Look {
        width: columns(&std::io::stderr()),
        ..Look::default()
    };
    report::explained(own, &run.rules, look)
}

/// Whether something may come on a standard input that is no terminal: `/dev/null` gives nothing, nor does what is closed.
fn is_piped() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        std::fs::metadata("/dev/stdin").is_ok_and(|meta| !meta.file_type().is_char_device())
    }
    #[cfg(not(unix))]
    {
        true
    }
}
