//! Options that commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::commit::Shape;
use super::config::Known;
use super::output::Report;
use crate::fetch::Limits;
use crate::journal::Target;
use crate::pack::Trust;
use crate::plan::{Ignore, Order};
use crate::repo::Filter;
use crate::report::Format;

/// Options that a plan has decided.
pub const DECIDED: [&str; 17] = [
    "paths",
    "within",
    "submodules",
    "repos",
    "from",
    "trust",
    "include",
    "exclude",
    "no_ignore",
    "include_tests",
    "base",
    "message",
    "to",
    "log_rejects",
    "dual_read",
    "finish_dual_read",
    "suggestions",
];

/// Options of scan, diff and stage. What serde skips says where to look and how to print; the rest decides what is
/// staged, and is kept in the record of a run.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// Repositories, folders, files or URLs; the current folder when none is given
    #[arg(value_name = "PATH|URL")]
    #[serde(skip)]
    pub paths: Vec<String>,
    /// A file with a path or URL a line
    ///
    /// A branch, tag or commit comes after a tab; `#` starts a comment.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub repos: Option<PathBuf>,
    /// Only this folder or file of each repository
    ///
    /// As if there were nothing else: callers outside of it are not seen.
    #[arg(long = "path", value_name = "DIR")]
    #[serde(skip)]
    pub within: Vec<String>,
    /// Submodules that are checked out, too: each as a repository of its own
    #[arg(long, conflicts_with = "base")]
    pub submodules: bool,
    /// All of somebody on a forge: github:ORG, gitlab:GROUP
    ///
    /// gitea:HOST/ORG, too; a server of one's own as in github:HOST/ORG; github:?q=SEARCH is what a search finds.
    #[arg(long, value_name = "FORGE:OWNER")]
    #[serde(skip)]
    pub from: Vec<String>,
    /// Which of them
    #[command(flatten)]
    #[serde(skip)]
    pub of_forge: OfForge,
    /// `[[repo]]` of the configuration.
    #[arg(skip)]
    #[serde(skip)]
    pub listed: Vec<Target>,
    /// `[scan] baseline` of the configuration.
    #[arg(skip)]
    #[serde(skip)]
    pub baseline: Option<PathBuf>,
    /// What `--add-ignore` asks for.
    #[arg(skip)]
    #[serde(skip)]
    pub ignore: Option<Ignore>,
    /// Projects worked on at once
    ///
    /// The number of processors by default.
    #[arg(short, long, value_name = "N")]
    #[serde(skip)]
    pub jobs: Option<usize>,
    /// Clones made at once from one server
    #[arg(long, value_name = "N", default_value = "4")]
    #[serde(skip)]
    pub per_host: usize,
    /// Seconds that git has to fetch one repository
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    #[serde(skip)]
    pub timeout: u64,
    /// Where clones of URLs are kept; ~/.cache/depickle by default
    #[arg(long, value_name = "DIR", env = "DEPICKLE_CACHE_DIR", hide_env = true)]
    #[serde(skip)]
    pub cache_dir: Option<PathBuf>,
    /// How many clones are kept.
    #[arg(skip)]
    #[serde(skip)]
    pub limits: Limits,
    /// Whose data counts, and may be rewritten
    ///
    /// http and network by default.
    #[arg(long, value_name = "LEVELS", value_delimiter = ',')]
    pub trust: Vec<TrustArg>,
    /// What to print
    #[arg(long, value_name = "FMT")]
    #[serde(skip)]
    pub format: Option<Format>,
    /// Write there instead of to the terminal
    #[arg(short, long, value_name = "FILE")]
    #[serde(skip)]
    pub output: Option<PathBuf>,
    /// Write a report besides: html=run.html, sarif=out/
    ///
    /// As often as given; a name that ends in / is a folder, for a file of each project.
    #[arg(long, value_name = "FMT=FILE")]
    #[serde(skip)]
    pub report: Vec<Report>,
    /// Your configuration, instead of the nearest depickle.toml (or pyproject.toml) from here upward
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A folder of packs besides those that are built in, as often as given
    #[arg(long, value_name = "DIR")]
    pub pack: Vec<PathBuf>,
    /// Do not read the configuration that scanned repositories have themselves
    #[arg(long, visible_alias = "isolated")]
    pub no_repo_config: bool,
    /// What the configuration says besides options.
    #[arg(skip)]
    pub known: Known,
    /// How the configuration has changes committed.
    #[arg(skip)]
    #[serde(skip)]
    pub(super) commits: Shape,
    /// Only files that match
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Not files that match
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Read files that .gitignore names, too
    #[arg(long)]
    pub no_ignore: bool,
    /// Count and treat test code and examples too
    #[arg(long)]
    pub include_tests: bool,
    /// Treat every load alike, whoever reaches it: to test the rewrite on code that nobody attacks
    #[arg(long, hide = true)]
    pub every_load: bool,
    /// Read this commit instead of the work tree
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Text of the 400 answer
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// What pickle loads become; json by default
    ///
    /// JSON is tried first; where it cannot carry the value, another format is suggested.
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<To>,
    /// Log each refused request, before the answer; never what was sent
    #[arg(long)]
    pub log_rejects: bool,
    /// Read stored data that was pickled before, too
    ///
    /// Stored data counts by default then; its old pickles are read through an allow-list, and each is logged.
    #[arg(long, conflicts_with = "finish_dual_read")]
    pub dual_read: bool,
    /// Only take out again what --dual-read wrote
    #[arg(long)]
    pub finish_dual_read: bool,
    /// Write what is only suggested, too
    #[arg(long)]
    pub suggestions: bool,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    #[serde(skip)]
    pub color: Color,
    /// Say less
    #[arg(short, long)]
    #[serde(skip)]
    pub quiet: bool,
    /// List every load, not only those within reach
    #[arg(short, long)]
    #[serde(skip)]
    pub verbose: bool,
    /// Say why of each load, with the code on its path
    ///
    /// And the guide in short; on standard error where something else than text is printed.
    #[arg(long)]
    #[serde(skip)]
    pub explain: bool,
    /// List loads that comments leave alone, too
    #[arg(long)]
    #[serde(skip)]
    pub show_suppressed: bool,
}

/// Comments instead of rewrites.
#[derive(Debug, Clone, Default, Args)]
pub struct Ignoring {
    /// Write comments that leave loads alone instead
    ///
    /// `# depickle: ignore[...] REASON` is put above each load that counts.
    #[arg(long, value_name = "REASON")]
    add_ignore: Option<String>,
    /// Only above those whose fingerprint starts so
    #[arg(long, value_name = "FINGERPRINT", requires = "add_ignore")]
    only: Vec<String>,
}

impl Ignoring {
    /// What is asked for.
    ///
    /// # Errors
    /// A reason that is none.
    pub fn ignore(&self) -> anyhow::Result<Option<Ignore>> {
        let Some(reason) = &self.add_ignore else {
            return Ok(None);
        };
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().any(char::is_control) {
            anyhow::bail!("--add-ignore: say in one line why these loads may stay");
        }
        Ok(Some(Ignore {
            reason: reason.to_owned(),
            only: self.only.clone(),
        }))
    }
}

/// Which repositories of a forge.
#[derive(Debug, Clone, Default, Args)]
pub struct OfForge {
    /// Archived repositories, too
    #[arg(long, requires = "from")]
    pub archived: bool,
    /// Forks, too
    #[arg(long, requires = "from")]
    pub forks: bool,
    /// Only those of this main language
    #[arg(long, value_name = "NAME", requires = "from")]
    pub language: Option<String>,
    /// Only those with this topic
    #[arg(long, value_name = "NAME", requires = "from")]
    pub topic: Option<String>,
    /// Only those whose name matches
    #[arg(long, value_name = "GLOB", requires = "from")]
    pub name: Option<String>,
    /// Clone them by ssh
    #[arg(long, requires = "from")]
    pub ssh: bool,
}

/// Formats of rows that say what was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// Plain data as JSON
    Json,
    /// Pickles of listed classes alone
    Restricted,
    /// Plain data as google.protobuf.Value
    Protobuf,
}

impl To {
    pub(super) fn word(self) -> &'static str {
        match self {
            To::Json => "json",
            To::Restricted => "restricted",
            To::Protobuf => "protobuf",
        }
    }
}

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// `--trust`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrustArg {
    /// Any client of a web server
    Http,
    /// A peer on a socket, a queue, a download
    Network,
    /// Databases, caches, object stores
    Stored,
    /// Files, arguments, environment
    File,
    /// Parameters that nobody in the project supplies
    Unknown,
    /// All of these
    All,
}

impl Common {
    /// Levels whose findings count and may be rewritten.
    pub fn levels(&self) -> Vec<Trust> {
        let mut levels: Vec<Trust> = self
            .trust
            .iter()
            .flat_map(|level| match level {
                TrustArg::Http => vec![Trust::Http],
                TrustArg::Network => vec![Trust::Network],
                TrustArg::Stored => vec![Trust::Stored],
                TrustArg::File => vec![Trust::File],
                TrustArg::Unknown => vec![Trust::Unknown],
                TrustArg::All => vec![
                    Trust::Http,
                    Trust::Network,
                    Trust::Stored,
                    Trust::File,
                    Trust::Unknown,
                ],
            })
            .collect();
        if levels.is_empty() {
            levels = Order::default().trust;
            levels.extend(self.dual_read.then_some(Trust::Stored));
        }
        levels.sort();
        levels.dedup();
        levels
    }

    /// What the pipeline is asked for.
    pub fn order(&self) -> Order {
        Order {
            trust: self.levels(),
            message: self.message.clone(),
            to: self.to.map(|to| to.word().to_owned()),
            log_rejects: self.log_rejects,
            dual_read: self.dual_read,
            finish_dual_read: self.finish_dual_read,
            suggestions: self.suggestions,
            tests: self.include_tests,
            every: self.every_load,
            ignore: self.ignore.clone(),
            ..Order::default()
        }
    }

    /// Which files are read.
    pub fn filter(&self) -> Filter {
        Filter {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            no_ignore: self.no_ignore,
        }
    }
}
