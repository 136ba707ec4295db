//! Every format of a run by its name.

use thiserror::Error;

use super::{Look, Run, checks, codetf, csv, diff, html, json, junit, markdown, sarif, text};

/// Formats of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs: all there is
    Json,
    /// The same, one line for each project and finding
    Jsonl,
    /// A patch that `git apply` reads
    Diff,
    /// SARIF 2.1.0, for code scanning; one project
    Sarif,
    /// CodeTF 3, for what reviews codemods
    Codetf,
    /// Annotations of GitHub Actions
    Github,
    /// Code quality of GitLab
    Gitlab,
    /// JUnit's XML: a failed test for each finding
    Junit,
    /// Tables and paths in Markdown
    Markdown,
    /// A line for each finding, for spreadsheets
    Csv,
    /// A page for a browser
    Html,
}

impl Format {
    /// What files of this format end with.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Text => "txt",
            Format::Json => "json",
            Format::Jsonl => "jsonl",
            Format::Diff => "patch",
            Format::Sarif => "sarif",
            Format::Codetf => "codetf.json",
            Format::Github => "github.txt",
            Format::Gitlab => "gitlab.json",
            Format::Junit => "junit.xml",
            Format::Markdown => "md",
            Format::Csv => "csv",
            Format::Html => "html",
        }
    }

    /// Whether a document of this format can only be about one project.
    pub fn holds_one(self) -> bool {
        matches!(self, Format::Sarif)
    }
}

/// A format that could not be written. A `Run` does not cause it; it would be a defect of this program.
#[derive(Debug, Error)]
pub enum RenderError {
    /// From `serde_json`.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// From the template of the page.
    #[error("page: {0:#}")]
    Page(#[from] minijinja::Error),
}

/// `run` in `format`.
///
/// # Errors
/// See [`RenderError`].
pub fn render(run: &Run, format: Format, look: Look) -> Result<Vec<u8>, RenderError> {
    Ok(match format {
        Format::Text => text::text(run, look).into_bytes(),
        Format::Json => json::json(run)?,
        Format::Jsonl => json::lines(run)?,
        Format::Diff => diff::diff(run),
        Format::Sarif => json::document(&sarif::sarif(run))?,
        Format::Codetf => json::document(&codetf::codetf(run))?,
        Format::Github => checks::github(run).into_bytes(),
        Format::Gitlab => json::document(&checks::gitlab(run))?,
        Format::Junit => junit::junit(run).into_bytes(),
        Format::Markdown => markdown::markdown(run).into_bytes(),
        Format::Csv => csv::csv(run).into_bytes(),
        Format::Html => html::html(run)?.into_bytes(),
    })
}
