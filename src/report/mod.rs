//! A [`Run`] to bytes: one file per format, each a function of the run alone, so that formats cannot disagree.
//!
//! Invariant: nothing from a scanned repository reaches a terminal raw; see [`crate::text::printable`].

mod checks;
mod choices;
mod codetf;
mod csv;
mod diff;
mod format;
mod html;
mod json;
mod junit;
mod kept;
mod markdown;
mod rows;
mod sarif;
mod text;
mod verified;

use serde::{Deserialize, Serialize};

use crate::check::ChangedFile;
use crate::pack::{Model, Trust};

pub use choices::{Choice, choices};
pub use csv::line as csv_line;
pub use diff::unified;
pub use format::{Format, RenderError, render};
pub use json::json_text;
pub use kept::{keep, kept};
pub use markdown::request;
pub use text::{Look, explained, several, text};
pub use verified::{NewLoad, Verified, VerifiedFinding, VerifiedRow};

/// A word of this program: there are so many and no more.
pub(crate) type Word = &'static str;

/// The outcome of many projects under one id. Its serde form is the JSON format.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// `depickle/1`.
    pub schema: &'static str,
    /// Id of the run: UTC time and a digest of its input.
    pub run: String,
    /// Which program made it.
    pub tool: Tool,
    /// One row for each project that was asked for, failed ones too.
    pub projects: Vec<ProjectRow>,
    /// Levels that count towards the exit code.
    #[serde(skip)]
    pub trust: Vec<Trust>,
    /// Test code and examples count too.
    #[serde(skip)]
    pub tests: bool,
    /// It was held against a baseline, which knows some of the findings.
    #[serde(skip)]
    pub baseline: bool,
    /// What is looked for, for formats that describe it.
    #[serde(skip)]
    pub rules: Vec<Rule>,
}

/// A transform, as formats for other programs describe it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// The guide in short, for a terminal.
    pub brief: String,
    /// What, why, how to verify, how to roll back; Markdown.
    pub help: String,
}

impl Rule {
    /// All that `model` knows.
    pub fn all(model: &Model) -> Vec<Rule> {
        let rule = |transform: &crate::pack::Transform| Rule {
            id: transform.id.clone(),
            title: transform.title.clone(),
            brief: transform.brief(),
            help: transform.readme.clone(),
        };
        model.transforms.iter().map(rule).collect()
    }
}

/// Where something is in a cell of a notebook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRow {
    /// Its 1-based place among all cells.
    pub number: usize,
    /// 1-based, in the cell.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// 1-based, in the cell.
    pub end_line: usize,
    /// 1-based, in characters; after the last.
    pub end_column: usize,
}

impl CellRow {
    /// ` (cell 3, line 5)`.
    pub fn words(cell: Option<CellRow>) -> String {
        cell.map_or(String::new(), |cell| {
            format!(" (cell {}, line {})", cell.number, cell.line)
        })
    }
}

/// Name and version of this program.
#[derive(Debug, Clone, Serialize)]
pub struct Tool {
    /// `depickle`.
    pub name: &'static str,
    /// Cargo's version.
    pub version: &'static str,
}

/// One project of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProjectRow {
    /// Its path, as it was asked for.
    pub root: String,
    /// The commit that was read; absent for a work tree.
    pub commit: Option<String>,
    /// `ok`, `incomplete` or `failed`.
    #[serde(deserialize_with = "kept::word")]
    pub status: Word,
    /// What happened and what to do next, for `failed`.
    pub error: Option<String>,
    /// What became of each file.
    pub files: Files,
    /// Every load.
    pub findings: Vec<FindingRow>,
    /// The branch that was staged.
    pub branch: Option<String>,
    /// The patch, in `git apply` form.
    pub patch: Option<String>,
    /// What is suggested besides, in the same form, to be applied after `patch`. It is not staged unless it is asked for.
    pub suggestions: Option<String>,
    /// Things a person should know: files `stage` did not see, bounds that were met.
    pub notes: Vec<String>,
    /// What could not be read is in the baseline that it was held against: no reason for exit code 3.
    pub known: bool,
    /// The analysis met its bound on work.
    #[serde(skip)]
    pub exhausted: bool,
    /// Path of the project within its repository, with a `/` at its end; empty at the root.
    #[serde(skip)]
    pub prefix: String,
    /// The changed files, for formats that draw the patch themselves.
    #[serde(skip)]
    pub changes: Vec<ChangedFile>,
}

/// What became of the Python files of a project.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Files {
    /// Python files seen, skipped ones too.
    pub seen: usize,
    /// Read and understood; those that name no sink by a search of their bytes.
    pub analysed: usize,
    /// Left out by include and exclude, wherever these stand; not among those seen.
    pub excluded: usize,
    /// Stubs (`.pyi`), which hold no code; not among those seen.
    pub stubs: usize,
    /// Not read as Python 3.
    pub unparsed: Vec<UnparsedRow>,
    /// Not read at all.
    pub skipped: Vec<SkippedRow>,
}

/// A file that does not parse.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnparsedRow {
    /// Path relative to the project.
    pub file: String,
    /// Code.
    pub reason: String,
    /// In words, with the line.
    pub message: String,
}

/// A file that was not read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SkippedRow {
    /// Path relative to the project.
    pub file: String,
    /// Code.
    pub reason: String,
}

/// One load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindingRow {
    /// Survives unrelated line moves.
    pub fingerprint: String,
    /// See [`Finding::alike`].
    #[serde(skip)]
    pub alike: String,
    /// Id of the transform.
    pub transform: String,
    /// Qualified name of the sink.
    pub sink: String,
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// 1-based.
    pub end_line: usize,
    /// 1-based, after the last character.
    pub end_column: usize,
    /// Where it is in a cell, of a notebook; `line` and `column` are those of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<CellRow>,
    /// The line of code; empty when it is too long to be shown.
    pub code: String,
    /// See [`Trust`].
    #[serde(deserialize_with = "kept::word")]
    pub trust: Word,
    /// See [`Decision::word`].
    #[serde(deserialize_with = "kept::word")]
    pub status: Word,
    /// Code of the [`crate::plan::Reason`].
    #[serde(default, deserialize_with = "kept::maybe")]
    pub reason: Option<Word>,
    /// In words.
    pub message: String,
    /// From the source to the sink; empty when nothing untrusted arrives.
    pub path: Vec<HopRow>,
    /// What to do next.
    #[serde(default, deserialize_with = "kept::maybe")]
    pub next: Option<Word>,
    /// What else is to be said.
    pub notes: Vec<NoteRow>,
    /// In test code, an example or documentation: not counted unless asked for.
    pub test: bool,
    /// In the baseline that it was held against: not counted.
    pub known: bool,
    /// The handlers it is reached from.
    pub entries: Vec<EntryRow>,
    /// Ways that untrusted data comes besides `path`.
    pub other_paths: usize,
    /// Code that no framework calls, and that calls down to this load.
    pub callers: Vec<CallerRow>,
}

/// A call that leads to a load from code that no framework calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallerRow {
    /// Dotted name of the function that calls; empty at module level.
    pub function: String,
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// What it would see that it did not see before, and does not catch.
    pub new_errors: Vec<String>,
}

/// A handler from which a load is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntryRow {
    /// Dotted name of the function.
    pub handler: String,
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// Its route, where that is a literal.
    pub route: Option<String>,
    /// HTTP methods it answers, where they are known.
    pub methods: Vec<String>,
    /// The decorator that lets only known users through. It never makes data harmless.
    pub auth: Option<String>,
}

impl EntryRow {
    /// `POST /cart, behind login_required`; empty when nothing of it is known.
    pub fn describe(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        if !self.methods.is_empty() {
            words.push(self.methods.join("/"));
        }
        words.extend(self.route.clone());
        let mut text = words.join(" ");
        if let Some(auth) = &self.auth {
            text.push_str(if text.is_empty() {
                "behind "
            } else {
                ", behind "
            });
            text.push_str(auth);
        }
        text
    }
}

/// Something to say of a finding beside its decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoteRow {
    /// What it is about: `writer-moves`, `writer-elsewhere`, or a reason's code.
    #[serde(deserialize_with = "kept::word")]
    pub code: Word,
    /// In words.
    pub message: String,
    /// Where to look, relative to the project.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<usize>,
}

/// One station of a path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HopRow {
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// Where it is in a cell, of a notebook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<CellRow>,
    /// `source`, `step`, `call`, `return` or `sink`.
    #[serde(deserialize_with = "kept::word")]
    pub kind: Word,
    /// In words.
    pub note: String,
    /// The line of code; empty when it is too long to be shown.
    pub code: String,
}

impl FindingRow {
    /// Where it is in what its reader looks at: in its cell, of a notebook, else in the file.
    pub fn shown(&self) -> CellRow {
        self.cell.unwrap_or(CellRow {
            number: 0,
            line: self.line,
            column: self.column,
            end_line: self.end_line,
            end_column: self.end_column,
        })
    }

    /// Whether something is owed for it.
    pub fn is_open(&self) -> bool {
        matches!(self.status, "rewrite" | "suggest" | "refuse")
    }

    /// Whether an attacker needs nothing but a connection.
    pub fn is_remote(&self) -> bool {
        matches!(self.trust, "http" | "network")
    }
}

impl Files {
    /// What was not read as Python 3, or not at all, each with the reason in words.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &str)> {
        let unparsed = self
            .unparsed
            .iter()
            .map(|file| (file.file.as_str(), file.message.as_str()));
        let skipped = self
            .skipped
            .iter()
            .map(|file| (file.file.as_str(), file.reason.as_str()));
        unparsed.chain(skipped)
    }
}

impl ProjectRow {
    /// `file` of the project, relative to its repository.
    pub fn in_repository(&self, file: &str) -> String {
        format!("{}{file}", self.prefix)
    }
}

impl Run {
    /// An empty run.
    pub fn new(id: String, trust: Vec<Trust>) -> Run {
        Run {
            schema: "depickle/1",
            run: id,
            tool: Tool {
                name: "depickle",
                version: env!("CARGO_PKG_VERSION"),
            },
            projects: Vec::new(),
            trust,
            tests: false,
            baseline: false,
            rules: Vec::new(),
        }
    }

    /// Whether a finding counts towards the exit code: open, of a level that was asked for, and in no baseline.
    pub fn counts(&self, finding: &FindingRow) -> bool {
        !finding.known && self.concerns(finding)
    }

    /// Whether a finding would count without a baseline.
    pub fn concerns(&self, finding: &FindingRow) -> bool {
        finding.is_open()
            && (self.tests || !finding.test)
            && self.trust.iter().any(|trust| trust.word() == finding.trust)
    }
}

#[cfg(test)]
impl FindingRow {
    /// One for tests.
    pub(crate) fn example(file: &str) -> FindingRow {
        FindingRow {
            cell: None,
            fingerprint: "f".into(),
            alike: "f".into(),
            transform: "t".into(),
            sink: "pickle.loads".into(),
            file: file.into(),
            line: 3,
            column: 1,
            end_line: 3,
            end_column: 9,
            code: String::new(),
            trust: "http",
            status: "rewrite",
            reason: None,
            message: "any web client reaches it".into(),
            path: vec![HopRow {
                cell: None,
                file: file.into(),
                line: 2,
                column: 1,
                kind: "source",
                note: "request.data".into(),
                code: String::new(),
            }],
            next: None,
            notes: Vec::new(),
            test: false,
            known: false,
            entries: Vec::new(),
            other_paths: 0,
            callers: Vec::new(),
        }
    }
}
