//! Where a run's reports go: the terminal, `--output`, and each `--report`.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use anyhow::Context;
use clap::ValueEnum;

use super::args::{Color, Common};
use super::save::save;
use crate::defect::{caught, strike};
use crate::report::{Format, Look, Run, explained, render};
use crate::text::printable;

/// What is to be looked at when a file cannot be written.
const NAME: &str = "check its name";

/// `--report`.
#[derive(Debug, Clone)]
pub struct Report {
    format: Format,
    path: PathBuf,
    /// A folder, with a file for each project.
    folder: bool,
}

impl FromStr for Report {
    type Err = String;

    fn from_str(text: &str) -> Result<Report, String> {
        let Some((format, path)) = text.split_once('=').filter(|(_, path)| !path.is_empty()) else {
            return Err(
                "write it as FORMAT=FILE, or FORMAT=FOLDER/ for a file for each project".to_owned(),
            );
        };
        let format = Format::from_str(format, false).map_err(|_| {
            let known = Format::value_variants()
                .iter()
                .filter_map(ValueEnum::to_possible_value);
            let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
            format!("{format:?}: no such format; there are {}", known.join(", "))
        })?;
        Ok(Report {
            format,
            folder: path.ends_with('/') || Path::new(path).is_dir(),
            path: path.into(),
        })
    }
}

impl Report {
    /// The same, wherever the current folder may go.
    ///
    /// # Errors
    /// The current folder is gone.
    pub fn absolute(self) -> std::io::Result<Report> {
        Ok(Report {
            path: std::path::absolute(&self.path)?,
            ..self
        })
    }

    fn write(&self, run: &Run, look: Look) -> anyhow::Result<()> {
        if !self.folder {
            return save(&self.path, &rendered(run, self.format, look)?, NAME);
        }
        std::fs::create_dir_all(&self.path).with_context(|| {
            format!(
                "{}: cannot be made; check the name after --report",
                self.path.display()
            )
        })?;
        let mut taken = HashSet::new();
        // Not a copy of the run for each: it may hold hundreds of projects.
        let mut one = Run::new(run.run.clone(), run.trust.clone());
        one.tests = run.tests;
        one.baseline = run.baseline;
        one.rules.clone_from(&run.rules);
        for project in &run.projects {
            let name = free_name(&project.root, &mut taken);
            one.projects = vec![project.clone()];
            let path = self
                .path
                .join(format!("{name}.{}", self.format.extension()));
            save(&path, &rendered(&one, self.format, look)?, NAME)?;
        }
        Ok(())
    }
}

/// A name for the file of the project called `root`, unlike those in `taken`, also where case is not told apart.
fn free_name(root: &str, taken: &mut HashSet<String>) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '-'
        }
    };
    let name: String = root.trim_end_matches('/').chars().map(safe).collect();
    let name = match name.trim_start_matches(['.', '-']) {
        "" => "project",
        name => name,
    };
    // File systems take 255 bytes.
    let name: String = name
        .chars()
        .rev()
        .take(60)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let mut free = name.clone();
    let mut n = 1;
    while !taken.insert(free.to_lowercase()) {
        n += 1;
        free = format!("{name}-{n}");
    }
    free
}

/// `run` in `format`; a panic on the way costs this report alone.
fn drawn(run: &Run, format: Format, look: Look) -> anyhow::Result<Vec<u8>> {
    let name = format.extension();
    let drawn = caught(|| {
        strike("report", name);
        render(run, format, look)
    });
    let failed =
        |said| anyhow::anyhow!("depickle failed on the {name} report ({said}); please report this");
    Ok(drawn.map_err(failed)??)
}

/// `run` for a file: without the styles of terminals.
fn rendered(run: &Run, format: Format, look: Look) -> anyhow::Result<Vec<u8>> {
    let bytes = drawn(run, format, look)?;
    Ok(match format {
        Format::Text => anstream::adapter::strip_bytes(&bytes).into_vec(),
        _ => bytes,
    })
}

/// Prints `run`, and writes the reports that were asked for. A report that cannot be written does not keep the others
/// from it.
///
/// # Errors
/// What could not be written.
pub(super) fn print(args: &Common, run: &Run, default: Format) -> anyhow::Result<()> {
    let format = args.format.unwrap_or(default);
    if format != Format::Text {
        warn(args, run, format);
    }
    let look = Look {
        all: args.verbose,
        suppressed: args.show_suppressed,
        explain: args.explain,
        width: columns(&std::io::stdout()).filter(|_| args.output.is_none()),
    };
    if args.explain && format != Format::Text {
        let findings = run.projects.iter().flat_map(|row| &row.findings);
        let findings = findings.filter(|finding| run.counts(finding));
        let look = Look {
            width: columns(&std::io::stderr()),
            ..look
        };
        let text = explained(findings, &run.rules, look);
        styled(std::io::stderr(), args.color).write_all(text.as_bytes())?;
    }
    let shown = match &args.output {
        Some(path) => rendered(run, format, look).and_then(|bytes| save(path, &bytes, NAME)),
        None => drawn(run, format, look).and_then(|bytes| to_terminal(&bytes, format, args.color)),
    };
    let mut failed: Vec<String> = Vec::new();
    for report in &args.report {
        failed.extend(
            report
                .write(run, look)
                .err()
                .map(|error| format!("{error:#}")),
        );
    }
    shown?;
    match failed.is_empty() {
        true => Ok(()),
        false => anyhow::bail!("{}", failed.join("\n")),
    }
}

/// What a machine's format has no place for, a person still sees.
fn warn(args: &Common, run: &Run, format: Format) {
    for row in &run.projects {
        if let Some(error) = &row.error {
            errln!("error: {}: {}", printable(&row.root), printable(error));
        }
        if format == Format::Diff && !args.quiet {
            for file in &row.files.unparsed {
                errln!(
                    "warning: {}: {}",
                    printable(&file.file),
                    printable(&file.message)
                );
            }
        }
    }
}

/// `stream` with styles where they belong.
pub(super) fn styled<S: anstream::stream::RawStream>(
    stream: S,
    color: Color,
) -> anstream::AutoStream<S> {
    let choice = match color {
        Color::Auto => anstream::AutoStream::choice(&stream),
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    anstream::AutoStream::new(stream, choice)
}

/// The columns of the terminal that `stream` is, if it is one.
pub(super) fn columns(stream: &impl IsTerminal) -> Option<usize> {
    let size = stream.is_terminal().then(terminal_size::terminal_size);
    let (terminal_size::Width(columns), _) = size.flatten()?;
    // One that knows nothing of itself says 0.
    (columns >= 20).then(|| columns.into())
}

/// `bytes` to standard output, with styles where they belong.
fn to_terminal(bytes: &[u8], format: Format, color: Color) -> anyhow::Result<()> {
    let stdout = std::io::stdout();
    let written = match format {
        Format::Text => {
            let mut out = styled(stdout, color);
            out.write_all(bytes).and_then(|()| out.flush())
        }
        _ => {
            let mut out = stdout.lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
    };
    written.context(UNWRITTEN)
}

/// What is said of standard output that takes no more.
const UNWRITTEN: &str = "standard output: cannot be written; give it room, or a file by --output";

/// The first error of writing to standard output.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// Writes `text` to standard output; see [`lost`].
pub(super) fn put(text: std::fmt::Arguments<'_>) {
    if let Err(error) = anstream::stdout().lock().write_fmt(text) {
        LOST.get_or_init(|| error);
    }
}

/// Writes `text` to standard error.
pub(super) fn tell(text: std::fmt::Arguments<'_>) {
    // There is nobody left to be told.
    let _ = anstream::stderr().lock().write_fmt(text);
}

/// Why not all that was said came to standard output.
pub(super) fn lost() -> Option<anyhow::Error> {
    let flushed = std::io::stdout().flush();
    let error = match LOST.get() {
        Some(error) => Some(std::io::Error::new(error.kind(), error.to_string())),
        None => flushed.err(),
    };
    error.map(|error| {
        anyhow::Error::new(error).context("standard output: cannot be written; give it room")
    })
}

impl Common {
    /// Refuses reports that cannot hold `projects`, before the work is done.
    ///
    /// # Errors
    /// A format that holds one project, and a file for several.
    pub(super) fn fits(&self, projects: usize) -> anyhow::Result<()> {
        let files = self
            .report
            .iter()
            .filter(|report| !report.folder)
            .map(|report| report.format);
        let mut formats = files.chain(self.format);
        if projects > 1 && formats.any(Format::holds_one) {
            anyhow::bail!(
                "SARIF holds one project, and there are {projects}; write a file for each: --report sarif=FOLDER/"
            );
        }
        Ok(())
    }
}
