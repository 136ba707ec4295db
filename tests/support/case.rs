//! A case as its author writes it: prose, Python before and after, and markers that say what must be found.
#![expect(clippy::disallowed_methods, reason = "reads the cases")]

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// What a marker says of the load on its line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// `# finding: pickle-to-json`: found and rewritten.
    Finding(String),
    /// `# refuse: reason` and the like: found, and this is its status and reason.
    Status(&'static str, Option<String>),
    /// `# source`: a path starts on this line.
    Source,
    /// `# missed`: a known gap; it fails once it is found.
    Missed,
    /// `# false-alarm`: a known excess; it fails once it is gone.
    FalseAlarm,
}

/// `request` block: how law 8 reaches the load.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub framework: String,
    pub app: Option<String>,
    pub urls: Option<String>,
    pub method: String,
    pub path: String,
    pub channel: String,
    pub name: Option<String>,
    /// Content type of a body.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub wrap: Vec<String>,
    /// What is sent: `pickle` when absent, or another kind of payloads.py.
    pub payload: Option<String>,
    pub valid: String,
    /// `valid` is the base64 of what is sent.
    #[serde(default)]
    pub valid_base64: bool,
    /// Plain data that was pickled before, as JSON: it is read after the change too, and logged.
    pub legacy: Option<String>,
    /// A request by which the project itself writes what this one then reads: the answers are the same before and after.
    pub first: Option<First>,
}

/// `[first]` of a `request` block.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct First {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub form: BTreeMap<String, String>,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// `pickle-to-json/guide`.
    pub name: String,
    /// Files before, without markers.
    pub before: BTreeMap<String, String>,
    /// Files after; those of `before` where nothing changes.
    pub after: BTreeMap<String, String>,
    /// Files as the suggestions would leave them; only those that a `suggested` block shows.
    pub suggested: BTreeMap<String, String>,
    /// Markers by file and 1-based line.
    pub marks: Vec<(String, usize, Mark)>,
    pub request: Option<Request>,
    /// `--to`.
    pub to: Option<String>,
    /// `--log-rejects`.
    pub log_rejects: bool,
    /// `--dual-read`.
    pub dual_read: bool,
    /// `--finish-dual-read`.
    pub finish_dual_read: bool,
    /// `--suggestions`.
    pub suggestions: bool,
    /// Lines of `app.py` whose loads a reviewer leaves.
    pub skip: Vec<usize>,
    /// `--message`.
    pub message: Option<String>,
    /// `--trust`: this level too.
    pub trust: Option<depickle::pack::Trust>,
}

impl Case {
    /// Reads the case at `path`.
    pub fn read(path: &Path, name: String) -> Result<Case, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        let mut case = Case {
            name,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            suggested: BTreeMap::new(),
            marks: Vec::new(),
            request: None,
            to: None,
            log_rejects: false,
            dual_read: false,
            finish_dual_read: false,
            suggestions: false,
            skip: Vec::new(),
            message: None,
            trust: None,
        };
        if !text.starts_with("# ") {
            return Err("starts with no `# Title`".into());
        }
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix("```") else {
                continue;
            };
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let body: String = block.iter().map(|line| format!("{line}\n")).collect();
            let words: Vec<&str> = info.split_whitespace().collect();
            match words.as_slice() {
                ["python"] => case.add_before("app.py", &body)?,
                ["python", "after"] => case.add_after("app.py", body),
                ["python", "suggested"] => {
                    case.suggested.insert("app.py".to_owned(), body);
                }
                ["python", file, "suggested"] => {
                    case.suggested.insert((*file).to_owned(), body);
                }
                ["python", file] => case.add_before(file, &body)?,
                ["python", file, "after"] => case.add_after(file, body),
                ["request"] => {
                    case.request = Some(toml::from_str(&body).map_err(|e| e.to_string())?)
                }
                ["trust", "stored"] => case.trust = Some(depickle::pack::Trust::Stored),
                ["trust", "file"] => case.trust = Some(depickle::pack::Trust::File),
                ["dual-read"] => case.dual_read = true,
                ["finish-dual-read"] => case.finish_dual_read = true,
                ["message"] => case.message = Some(body.trim_end().to_owned()),
                ["log-rejects"] => case.log_rejects = true,
                ["skip"] => case.skip = block.iter().flat_map(|line| line.parse()).collect(),
                ["suggestions"] => case.suggestions = true,
                ["to", word] => case.to = Some((*word).to_owned()),
                _ => return Err(format!("unknown block `{info}`")),
            }
        }
        if case.before.is_empty() {
            return Err("has no python block".into());
        }
        for (file, text) in &case.before {
            case.after
                .entry(file.clone())
                .or_insert_with(|| text.clone());
        }
        Ok(case)
    }

    /// What is asked for.
    pub fn order(&self) -> depickle::plan::Order {
        let mut order = depickle::plan::Order {
            to: self.to.clone(),
            log_rejects: self.log_rejects,
            dual_read: self.dual_read,
            finish_dual_read: self.finish_dual_read,
            suggestions: self.suggestions,
            message: self.message.clone(),
            ..depickle::plan::Order::default()
        };
        order.trust.extend(self.trust);
        if !self.skip.is_empty() {
            order.skipped = self.skipped();
        }
        order
    }

    fn skipped(&self) -> std::collections::BTreeSet<String> {
        let files = self.before.iter();
        let files = files.map(|(path, text)| (path.clone(), text.clone().into_bytes()));
        let project = depickle::project::Project::new(files, Vec::new());
        let model = depickle::pack::Model::builtin().expect("the packs are good");
        let found = depickle::trace::trace(&project, &model).findings;
        let chosen = found.into_iter().filter(|finding| {
            let source = project.source(finding.place.file);
            let line = source.position(finding.place.span.start).line;
            source.path() == "app.py" && self.skip.contains(&line)
        });
        chosen.map(|finding| finding.fingerprint).collect()
    }

    fn add_before(&mut self, file: &str, body: &str) -> Result<(), String> {
        let mut clean = String::new();
        for (row, line) in body.lines().enumerate() {
            // A line of a notebook's code is a string of JSON.
            let end = match file.ends_with(".ipynb") {
                true => ["\\n\",", "\""]
                    .iter()
                    .find_map(|end| line.strip_suffix(end)),
                false => None,
            };
            let (code, marks) = unmark(end.unwrap_or(line))?;
            clean.push_str(code);
            clean.push_str(&line[end.unwrap_or(line).len()..]);
            clean.push('\n');
            for mark in marks {
                self.marks.push((file.to_owned(), row + 1, mark));
            }
        }
        self.before.insert(file.to_owned(), clean);
        Ok(())
    }

    fn add_after(&mut self, file: &str, body: String) {
        self.after.insert(file.to_owned(), body);
    }
}

/// A line without its markers, and the markers.
fn unmark(line: &str) -> Result<(&str, Vec<Mark>), String> {
    let mut code = line;
    let mut marks = Vec::new();
    while let Some((before, comment)) = code.rsplit_once("  # ") {
        let (word, rest) = comment.split_once(':').unwrap_or((comment, ""));
        let rest = rest.trim();
        let reason = (!rest.is_empty()).then(|| rest.to_owned());
        marks.push(match word {
            "finding" => Mark::Finding(rest.to_owned()),
            "refuse" => Mark::Status("refuse", reason),
            "suggest" => Mark::Status("suggest", reason),
            "guarded" => Mark::Status("guarded", reason),
            "trusted" => Mark::Status("trusted", reason),
            "suppressed" => Mark::Status("suppressed", None),
            "source" => Mark::Source,
            "missed" => Mark::Missed,
            "false-alarm" => Mark::FalseAlarm,
            _ => break,
        });
        code = before;
    }
    Ok((code, marks))
}

/// All cases below `transforms/`, in the order of their names.
pub fn all() -> Vec<Result<Case, String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("transforms");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap_or(&path).with_extension("");
            let name = name.to_string_lossy().replace("/cases/", "/");
            Case::read(&path, name.clone()).map_err(|error| format!("{name}: {error}"))
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if folder.ends_with("cases") && path.extension().is_some_and(|e| e == "md") {
            paths.push(path);
        }
    }
}
