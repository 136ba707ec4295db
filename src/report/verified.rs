//! What `verify` found: for people, for programs, and for the text of a pull request.
//!
//! Invariant: everything that comes from the repository stands in code spans there, and is printable here.

use std::fmt::Write;

use serde::Serialize;

use super::markdown::{code, place};
use crate::prove::{Proof, Verdict};
use crate::text::printable;

/// The commands, as they are named.
const SCANNED: &str = "depickle verify";
const EXECUTED: &str = "depickle verify --execute";

/// The outcome for a run. Its serde form is the JSON format.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// `depickle/1`.
    pub schema: &'static str,
    /// Id of the run that is verified.
    pub run: String,
    /// Whether applications were run.
    pub executed: bool,
    /// One row for each branch.
    pub projects: Vec<VerifiedRow>,
}

/// One branch.
#[derive(Debug, Default, Serialize)]
pub struct VerifiedRow {
    /// What the run calls the repository.
    pub root: String,
    /// The branch; empty for files that were changed in place.
    pub branch: String,
    /// The commit before; likewise.
    pub base: String,
    /// What the branch is at.
    pub commit: Option<String>,
    /// `ok`, `incomplete` or `failed`.
    pub status: &'static str,
    /// What happened, for `failed`.
    pub error: Option<String>,
    /// Loads that the run rewrote.
    pub findings: Vec<VerifiedFinding>,
    /// Loads on the branch that were not there before.
    pub new: Vec<NewLoad>,
    /// Things a person should know.
    pub notes: Vec<String>,
}

/// One load that was rewritten.
#[derive(Debug, Serialize)]
pub struct VerifiedFinding {
    /// Of the load before the change.
    pub fingerprint: String,
    /// Path relative to the project.
    pub file: String,
    /// 1-based, before the change.
    pub line: usize,
    /// Qualified name of the sink.
    pub sink: String,
    /// Whether the scan of the branch does not find it any more.
    pub gone: bool,
    /// What all of it came to; absent when it was not to be run.
    pub verdict: Option<Verdict>,
    /// One for each handler that it is reached from.
    pub proofs: Vec<Proof>,
}

/// A load that is new.
#[derive(Debug, Serialize)]
pub struct NewLoad {
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// Qualified name of the sink.
    pub sink: String,
}

impl VerifiedFinding {
    /// What all the proofs come to: the worst of them.
    pub fn overall(proofs: &[Proof]) -> Verdict {
        let worst = proofs.iter().map(|proof| proof.verdict).max();
        worst.unwrap_or(Verdict::NotRun)
    }

    fn is_wrong(&self) -> bool {
        !self.gone || self.verdict == Some(Verdict::Disproven)
    }
}

impl VerifiedRow {
    /// Whether the change is not what it should be.
    pub fn is_disproven(&self) -> bool {
        !self.new.is_empty() || self.findings.iter().any(VerifiedFinding::is_wrong)
    }

    /// Whether something was asked for and could not be done.
    pub fn is_incomplete(&self) -> bool {
        let not_run = |finding: &VerifiedFinding| finding.verdict == Some(Verdict::NotRun);
        self.status != "ok" || self.findings.iter().any(not_run)
    }

    /// `4 of 4 loads are gone, none is new; 3 proven, 1 not run`.
    fn summary(&self) -> String {
        let gone = self.findings.iter().filter(|finding| finding.gone).count();
        let new = match self.new.len() {
            0 => "none is new".to_owned(),
            n => format!("{n} new"),
        };
        let mut text = format!("{gone} of {} loads are gone, {new}", self.findings.len());
        let mut parts = Vec::new();
        for (verdict, word) in [
            (Verdict::Proven, "proven"),
            (Verdict::Disproven, "disproven"),
            (Verdict::NotRun, "not run"),
        ] {
            let is = |finding: &&VerifiedFinding| finding.verdict == Some(verdict);
            match self.findings.iter().filter(is).count() {
                0 => {}
                n => parts.push(format!("{n} {word}")),
            }
        }
        if !parts.is_empty() {
            let _ = write!(text, "; {}", parts.join(", "));
        }
        text
    }
}

impl Verified {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.projects {
            row.text(&mut out);
        }
        out
    }
}

impl VerifiedRow {
    fn text(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}  {}",
            printable(&self.root),
            match self.branch.as_str() {
                "" => "in place".to_owned(),
                branch => printable(branch),
            }
        );
        if let Some(error) = &self.error {
            let _ = writeln!(out, "  failed: {}", printable(error));
            return;
        }
        for finding in &self.findings {
            let at = format!("{}:{}", printable(&finding.file), finding.line);
            let gone = if finding.gone { "gone" } else { "still there" };
            let _ = writeln!(out, "  {at}  {}  {gone}", printable(&finding.sink));
            for proof in &finding.proofs {
                let _ = writeln!(out, "    {}", printable(&line(proof)));
            }
        }
        for load in &self.new {
            let at = format!("{}:{}", printable(&load.file), load.line);
            let _ = writeln!(out, "  {at}  {}  new", printable(&load.sink));
        }
        for note in &self.notes {
            let _ = writeln!(out, "  {}", printable(note));
        }
        let _ = writeln!(out, "  {}", self.summary());
    }

    /// How the section begins that `command` gives for this very commit.
    fn head(&self, command: &str) -> String {
        let commit = self.commit.as_deref().unwrap_or_default();
        let of = match commit.get(..12) {
            Some(commit) => format!(" of {}", code(commit)),
            None => String::new(),
        };
        format!("\n## Proof\n\n`{command}`{of}: ")
    }

    /// Whether `text`, a section of before, says more of the same commit than this one, which did not execute anything.
    pub fn is_less_than(&self, text: &str) -> bool {
        self.commit.is_some() && text.starts_with(&self.head(EXECUTED)) && !self.is_disproven()
    }

    /// A section for the text of a pull request.
    pub fn markdown(&self) -> String {
        let executed = self
            .findings
            .iter()
            .any(|finding| finding.verdict.is_some());
        let mut out = self.head(if executed { EXECUTED } else { SCANNED });
        let _ = writeln!(out, "{}.\n", self.summary());
        for finding in self.findings.iter().take(50) {
            let gone = if finding.gone {
                "gone"
            } else {
                "**still there**"
            };
            let at = place(&finding.file, finding.line);
            let _ = writeln!(out, "- {at} {}: {gone}", code(&finding.sink));
            for proof in finding.proofs.iter().take(10) {
                let _ = writeln!(out, "  - {}", code(&line(proof)));
            }
        }
        for load in self.new.iter().take(50) {
            let at = place(&load.file, load.line);
            let _ = writeln!(out, "- {at} {}: **new**", code(&load.sink));
        }
        for note in &self.notes {
            let _ = writeln!(out, "- {}", code(note));
        }
        out
    }
}

/// `proven: POST /cart: 6 of 6 pickles ran before; ...`.
fn line(proof: &Proof) -> String {
    let mut words = vec![proof.verdict.word().to_owned()];
    if let Some(reason) = &proof.reason {
        words[0] = format!("{} ({reason})", words[0]);
    }
    words.extend(proof.request.clone());
    words.push(proof.message.clone());
    let mut text = words.join(": ");
    if proof.same_for_good == Some(true) {
        text.push_str("; good data is answered as before");
    }
    text
}
