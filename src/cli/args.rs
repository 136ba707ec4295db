//! Options that commands share, and the configuration file that gives their defaults.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::pack::Trust;
use crate::plan::Order;
use crate::repo::Filter;

/// Options of scan, diff and stage.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Repositories, folders or files; the current folder when none is given
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// A file with one path a line; `#` starts a comment
    #[arg(long, value_name = "FILE")]
    pub repos: Option<PathBuf>,
    /// Projects worked on at once; the number of processors by default
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Whose data counts, and may be rewritten: http, network, stored, file, unknown, or all
    #[arg(long, value_name = "LEVELS", value_delimiter = ',')]
    pub trust: Vec<TrustArg>,
    /// What to print
    #[arg(long, value_name = "FMT")]
    pub format: Option<Format>,
    /// Write there instead of to the terminal
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Configuration; `depickle.toml` in the current folder is read by default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only files that match
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Not files that match
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Read files that .gitignore names, too
    #[arg(long)]
    pub no_ignore: bool,
    /// Count and treat test code, examples and documentation too
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
    /// What pickle loads become; json is tried first by default
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<To>,
    /// Log each refused request, before the answer; never what was sent
    #[arg(long)]
    pub log_rejects: bool,
    /// Write what is only suggested, too
    #[arg(long)]
    pub suggestions: bool,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Say less
    #[arg(short, long)]
    pub quiet: bool,
    /// List every load, not only those within reach
    #[arg(short, long)]
    pub verbose: bool,
}

/// Formats of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// A patch that `git apply` reads
    Diff,
}

/// `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
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
    fn word(self) -> &'static str {
        match self {
            To::Json => "json",
            To::Restricted => "restricted",
            To::Protobuf => "protobuf",
        }
    }
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// `--trust`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
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

/// `depickle.toml`: defaults for the options of the same names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    #[serde(default)]
    trust: Vec<TrustArg>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    message: Option<String>,
    to: Option<To>,
    #[serde(default)]
    log_rejects: bool,
    jobs: Option<usize>,
}

impl Common {
    /// All defaults.
    pub fn bare() -> Common {
        Common {
            paths: Vec::new(),
            repos: None,
            jobs: None,
            trust: Vec::new(),
            format: None,
            output: None,
            config: None,
            include: Vec::new(),
            exclude: Vec::new(),
            no_ignore: false,
            include_tests: false,
            every_load: false,
            base: None,
            message: None,
            to: None,
            log_rejects: false,
            suggestions: false,
            color: Color::Auto,
            quiet: false,
            verbose: false,
        }
    }

    /// The options with the defaults of the configuration file filled in.
    ///
    /// # Errors
    /// A configuration file that was named and cannot be read, or any with a wrong key.
    pub fn resolved(&self) -> anyhow::Result<Common> {
        let default = Path::new("depickle.toml");
        let path = match &self.config {
            Some(path) => path.as_path(),
            None if default.is_file() => default,
            None => return Ok(self.clone()),
        };
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "{}: cannot be read; check the name after --config",
                path.display()
            )
        })?;
        let config: Config = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            anyhow::anyhow!("{}:{line}: {}", path.display(), error.message())
        })?;
        let mut common = self.clone();
        if common.trust.is_empty() {
            common.trust = config.trust;
        }
        common.include.extend(config.include);
        common.exclude.extend(config.exclude);
        common.message = common.message.or(config.message);
        common.to = common.to.or(config.to);
        common.log_rejects |= config.log_rejects;
        common.jobs = common.jobs.or(config.jobs);
        Ok(common)
    }

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
            suggestions: self.suggestions,
            tests: self.include_tests,
            every: self.every_load,
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

    /// Everything that was asked for, one path or URL each.
    ///
    /// # Errors
    /// A list that cannot be read, or that names nothing.
    pub fn targets(&self) -> anyhow::Result<Vec<String>> {
        let mut targets = self.paths.clone();
        if let Some(file) = &self.repos {
            let list = std::fs::read_to_string(file).with_context(|| {
                format!(
                    "{}: cannot be read; check the name after --repos",
                    file.display()
                )
            })?;
            let lines = list
                .lines()
                .map(|line| line.split('#').next().unwrap_or(line).trim());
            targets.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
            if targets.is_empty() {
                anyhow::bail!(
                    "{}: names no repository; write one path a line",
                    file.display()
                );
            }
        }
        if targets.is_empty() {
            targets.push(".".to_owned());
        }
        Ok(targets)
    }

    /// Writes `bytes` to `--output`, or to standard output with styles where they belong.
    ///
    /// # Errors
    /// Those of writing.
    pub fn print(&self, bytes: &[u8], styled: bool) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            let bytes = match styled {
                true => anstream::adapter::strip_bytes(bytes).into_vec(),
                false => bytes.to_vec(),
            };
            return std::fs::write(path, bytes).with_context(|| {
                format!(
                    "{}: cannot be written; check the name after --output",
                    path.display()
                )
            });
        }
        let stdout = std::io::stdout();
        if !styled {
            let mut out = stdout.lock();
            out.write_all(bytes)?;
            return Ok(out.flush()?);
        }
        let choice = match self.color {
            Color::Auto => anstream::AutoStream::choice(&stdout),
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        let mut out = anstream::AutoStream::new(stdout, choice);
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }
}
