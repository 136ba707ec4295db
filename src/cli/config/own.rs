//! What a scanned repository's own configuration says, and how far that goes.
//!
//! Invariant: it may be hostile. It chooses words of the change and adds knowledge; whatever it leaves out or takes out of
//! reach is told, and makes the project incomplete. Of other keys it is told that they do not count.

use std::collections::HashSet;
use std::path::Path;

use super::find::{File, decoded, guarded, in_folder, upward};
use super::known_transform;
use super::tables::Config;
use crate::check::Checked;
use crate::cli::args::Common;
use crate::cli::target::Opened;
use crate::pack::{Model, PackError, Redefined};
use crate::plan::{Decision, Order, plan};
use crate::repo::{Base, Filter, Found, Repo, RepoError};
use crate::report::ProjectRow;
use crate::trace::{Finding, trace};

/// So many files or loads are named.
const NAMED: usize = 5;

/// A repository's own configuration.
#[derive(Debug)]
pub(in crate::cli) struct Own {
    pub(super) file: Result<File, PackError>,
    /// Path of what is looked at, from its folder.
    under: String,
    /// Python files that it leaves out.
    excluded: Vec<String>,
}

/// Where to look for one.
pub(in crate::cli) struct Place<'a> {
    /// What is looked at, if that is a work tree or a folder.
    pub path: &'a Path,
    pub repo: Option<&'a Repo>,
    /// The commit that is read instead, and the path of what is looked at in it.
    pub commit: Option<(&'a Base, &'a str)>,
}

impl Own {
    /// The nearest from what is looked at upward; none when that is the user's own.
    pub(in crate::cli) fn find(common: &Common, place: &Place<'_>) -> Option<Own> {
        if common.no_repo_config {
            return None;
        }
        let users = common.known.file.as_deref();
        match (place.commit, place.repo) {
            (Some((base, prefix)), Some(repo)) => Own::at(repo, base, prefix, users),
            _ => Own::in_tree(place.path, place.repo, users),
        }
    }

    fn at(repo: &Repo, base: &Base, prefix: &str, users: Option<&Path>) -> Option<Own> {
        let prefix = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
        let ends = prefix.match_indices('/').map(|(at, _)| at + 1);
        let ends: Vec<usize> = std::iter::once(0).chain(ends).collect();
        for end in ends.into_iter().rev() {
            let (folder, under) = prefix.split_at(end);
            let read = |path: &Path| {
                let bytes = repo.bytes_at(&base.commit, path.to_str()?).ok()?;
                decoded(bytes)
            };
            let found = in_folder(Path::new(folder), read);
            if let Some(own) = Own::of(found, under.to_owned()) {
                let is_users = |file: &File| {
                    let here = repo.root().join(&file.path).canonicalize().ok();
                    !repo.is_bare() && here.as_deref() == users
                };
                return (users.is_none() || !own.file.as_ref().is_ok_and(is_users)).then_some(own);
            }
        }
        None
    }

    fn in_tree(path: &Path, repo: Option<&Repo>, users: Option<&Path>) -> Option<Own> {
        let path = path.canonicalize().ok()?;
        let start = match path.is_dir() {
            true => path.as_path(),
            false => path.parent()?,
        };
        let root = repo.map(Repo::root).filter(|root| start.starts_with(root));
        // Without a repository: the file system's.
        for folder in upward(start, root.or(Some(Path::new("/")))) {
            let found = in_folder(&folder, guarded).map(|file| {
                file.map(|file| {
                    let shown = root.and_then(|root| file.path.strip_prefix(root).ok());
                    let shown = shown.unwrap_or(&file.path).to_owned();
                    (
                        file.path.clone(),
                        File {
                            path: shown,
                            ..file
                        },
                    )
                })
            });
            let found = found.map_err(|mut error| {
                let shown = root.and_then(|root| Path::new(&error.file).strip_prefix(root).ok());
                error.file = shown.map_or(error.file.clone(), |path| path.display().to_string());
                error
            });
            let real = found
                .as_ref()
                .ok()
                .and_then(|f| Some(f.as_ref()?.0.clone()));
            let found = found.map(|file| file.map(|(_, file)| file));
            let under = start.strip_prefix(&folder).ok()?.to_str()?;
            let under = match under {
                "" => String::new(),
                under => format!("{under}/"),
            };
            if let Some(own) = Own::of(found, under) {
                return (users.is_none() || real.as_deref() != users).then_some(own);
            }
        }
        None
    }

    fn of(found: Result<Option<File>, PackError>, under: String) -> Option<Own> {
        let file = found.transpose()?;
        Some(Own {
            file,
            under,
            excluded: Vec::new(),
        })
    }

    /// Takes out of `files` what it leaves out.
    ///
    /// # Errors
    /// A glob that is none.
    pub(in crate::cli) fn filter(&mut self, files: &mut Vec<Found>) -> Result<(), RepoError> {
        let Ok(file) = &self.file else { return Ok(()) };
        let filter = Filter {
            include: file.config.include.clone(),
            exclude: file.config.exclude.clone(),
            no_ignore: false,
        };
        let globs = match filter.globs() {
            Ok(globs) => globs,
            Err(RepoError::BadGlob { glob, detail }) => {
                let message = format!("{glob:?} is no glob: {detail}; it is not heeded");
                self.file = Err(file.mistake(&glob, message));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let admits = |file: &Found| globs.admit(&format!("{}{}", self.under, file.path));
        let (kept, excluded) = std::mem::take(files).into_iter().partition(admits);
        *files = kept;
        let excluded: Vec<Found> = excluded;
        self.excluded = excluded.into_iter().map(|file| file.path).collect();
        Ok(())
    }
}

/// What holds for one project.
pub(in crate::cli) struct Terms<'a> {
    plain: &'a Model,
    own: Option<Model>,
    pub order: Order,
    notes: Vec<String>,
    /// Something was not looked at.
    gap: bool,
    no_repo_config: &'static str,
}

impl<'a> Terms<'a> {
    /// What holds for `opened` by `common` and `model`, and by its own configuration.
    pub(in crate::cli) fn of(opened: &Opened, common: &Common, model: &'a Model) -> Terms<'a> {
        let mut terms = Terms {
            plain: model,
            own: None,
            order: common.order(),
            notes: Vec::new(),
            gap: false,
            no_repo_config: "--no-repo-config looks at all of it",
        };
        if opened.left_out > 0 && common.known.file.is_some() {
            let files = several(opened.left_out, "Python file");
            terms.notes.push(format!(
                "--include and --exclude, or your configuration, leave out {files}"
            ));
        }
        for (id, _) in &common.known.off {
            let note = format!("your configuration turns {id} off: its loads are not looked for");
            terms.notes.push(note);
        }
        if let Some(own) = &opened.own {
            terms.take(own, common);
        }
        terms
    }

    fn take(&mut self, own: &Own, common: &Common) {
        let file = match &own.file {
            Ok(file) => file,
            Err(error) => return self.unused(error),
        };
        let shown = file.path.display();
        let (config, known) = (&file.config, &common.known);
        if !known.decides("message", common.message.is_some()) {
            self.order.message = config.message.clone().or(self.order.message.take());
        }
        if !known.decides("to", common.to.is_some()) {
            let to = config.to.map(|to| to.word().to_owned());
            self.order.to = to.or(self.order.to.take());
        }
        self.order.log_rejects |= config.log_rejects;
        let keys = file.keys();
        let foreign = keys.iter().map(|(key, _)| key.as_str());
        let foreign: Vec<&str> = foreign.filter(|key| !Config::OWN.contains(key)).collect();
        if !foreign.is_empty() {
            let keys = foreign.join(", ");
            self.notes.push(format!(
                "its own {shown} sets {keys}, which only your own configuration may: not heeded"
            ));
        }
        if !own.excluded.is_empty() {
            self.gap = true;
            self.notes.push(format!(
                "its own {shown} leaves out {}: {}; {}",
                several(own.excluded.len(), "Python file"),
                some(&own.excluded),
                self.no_repo_config
            ));
        }
        let off = config.transforms.iter().filter(|(_, on)| !**on);
        let off: Vec<String> = off.map(|(id, _)| id.clone()).collect();
        let rows = file.rows();
        if off.is_empty() && rows.is_none() {
            return;
        }
        let mut known = known.clone();
        known.off.extend(off.iter().map(|id| (id.clone(), None)));
        let known_ids = config.transforms.keys().try_for_each(|id| {
            let place = file.mistake(id, String::new());
            known_transform(self.plain, id, Some(&place))
        });
        let made = known_ids.and_then(|()| known.model(rows.as_slice()));
        match made {
            Ok(model) => {
                let before = self.plain.redefined();
                let anew = model.redefined().iter().filter(|one| !before.contains(one));
                self.notes.extend(anew.map(Redefined::sentence));
                self.own = Some(model);
            }
            Err(error) => return self.unused(&error),
        }
        for id in off {
            let note = format!("its own {shown} turns {id} off");
            self.notes.push(note);
        }
    }

    /// A configuration with a mistake is as good as none.
    fn unused(&mut self, error: &PackError) {
        self.gap = true;
        let said = error.to_string();
        let said = said.lines().next().unwrap_or_default();
        self.notes
            .push(format!("its own configuration is not used: {said}"));
    }

    pub(in crate::cli) fn model(&self) -> &Model {
        self.own.as_ref().unwrap_or(self.plain)
    }

    /// The row of `opened`, called `name`, for which `checked` was made; it says what its own configuration hides.
    pub(in crate::cli) fn row(&self, name: &str, opened: &Opened, checked: Checked) -> ProjectRow {
        let hidden = match &self.own {
            Some(_) => self.hidden(opened, &checked),
            None => Vec::new(),
        };
        let project = &opened.project;
        let mut row = ProjectRow::of(name, &opened.prefix, project, self.model(), checked);
        row.notes.extend(self.notes.iter().cloned());
        if !hidden.is_empty() {
            row.notes.push(format!(
                "its own configuration takes {} out of reach: {}; {}",
                several(hidden.len(), "load"),
                some(&hidden),
                self.no_repo_config
            ));
        }
        row.files.excluded =
            opened.left_out + opened.own.as_ref().map_or(0, |own| own.excluded.len());
        row.files.stubs = opened.stubs;
        if row.status == "ok" && (self.gap || !hidden.is_empty()) {
            row.status = "incomplete";
        }
        row
    }

    /// Loads that would count without its own rows, and do not with them.
    fn hidden(&self, opened: &Opened, checked: &Checked) -> Vec<String> {
        let project = &opened.project;
        let counts = |finding: &Finding, decision: &Decision| {
            let open = matches!(
                decision,
                Decision::Rewrite(_) | Decision::Suggest(..) | Decision::Refuse(_)
            );
            open && self.order.trust.contains(&finding.trust) && (self.order.tests || !finding.test)
        };
        let rows = checked.findings.iter().zip(&checked.decisions);
        let shown = rows.filter(|(finding, decision)| counts(finding, decision));
        let shown: HashSet<_> = shown.map(|(finding, _)| finding.place).collect();
        let traced = trace(project, self.plain);
        let decided = plan(project, self.plain, &traced, &self.order).decisions;
        let rows = traced.findings.iter().zip(&decided);
        let hidden = rows.filter(|(finding, decision)| {
            counts(finding, decision) && !shown.contains(&finding.place)
        });
        let place = |(finding, _): (&Finding, _)| {
            let source = project.source(finding.place.file);
            let line = source.position(finding.place.span.start).line;
            format!("{}:{line}", source.path())
        };
        hidden.map(place).collect()
    }
}

fn several(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// The first of `all`, and how many more there are.
fn some(all: &[String]) -> String {
    let named = all
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        n => format!("{named} and {n} more"),
    }
}
