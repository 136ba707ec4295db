//! The Python files of one repository at one moment, as a value: parsed on demand, each at most once.
//!
//! Invariant: files are in the order of their paths, so everything derived from a `Project` is deterministic.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use crate::defect::caught;
use crate::python::ast::{Stmt, StmtFunctionDef};
use crate::python::{Import, Outline, Scopes, SourceFile, is_notebook, span, view};

/// Index of a file in its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub usize);

/// One Python file.
#[derive(Debug)]
struct ProjectFile {
    path: String,
    bytes: Vec<u8>,
    /// Of a notebook: the text of its cells, if it is one.
    view: OnceLock<Option<Vec<u8>>>,
    /// Boxed: most files are never parsed.
    source: OnceLock<Box<SourceFile>>,
    /// Of a file that was not parsed when it was first asked for names.
    outline: OnceLock<Option<Box<Outline>>>,
}

impl ProjectFile {
    fn new(path: String, bytes: Vec<u8>) -> Arc<ProjectFile> {
        Arc::new(ProjectFile {
            path,
            bytes,
            view: OnceLock::new(),
            source: OnceLock::new(),
            outline: OnceLock::new(),
        })
    }
}

/// A file that was seen and not read, and why: a kebab-case code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFile {
    /// Path relative to the project.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// The Python files of one repository at one moment.
#[derive(Debug)]
pub struct Project {
    files: Vec<Arc<ProjectFile>>,
    /// Made when it is first asked: most projects have nothing to be asked about.
    paths: Arc<OnceLock<Paths>>,
    skipped: Vec<SkippedFile>,
    defects: Mutex<BTreeMap<FileId, String>>,
}

impl Project {
    /// A project of `files`: paths relative to its root, `/`-separated, and their bytes.
    pub fn new(
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
        mut skipped: Vec<SkippedFile>,
    ) -> Project {
        let mut files: Vec<_> = files
            .into_iter()
            .map(|(path, bytes)| ProjectFile::new(path, bytes))
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        skipped.sort_by(|a, b| a.file.cmp(&b.file));
        Project {
            files,
            paths: Arc::default(),
            skipped,
            defects: Mutex::default(),
        }
    }

    /// The same project with other bytes in some files; unchanged files share their syntax.
    pub fn with(&self, changes: &HashMap<FileId, Vec<u8>>) -> Project {
        let files = self
            .files
            .iter()
            .enumerate()
            .map(|(n, file)| match changes.get(&FileId(n)) {
                None => Arc::clone(file),
                Some(bytes) => ProjectFile::new(file.path.clone(), bytes.clone()),
            })
            .collect();
        Project {
            files,
            paths: Arc::clone(&self.paths),
            skipped: self.skipped.clone(),
            defects: Mutex::default(),
        }
    }

    /// All files, in the order of their paths.
    pub fn ids(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..self.files.len()).map(FileId)
    }

    /// Path of `file`.
    pub fn path(&self, file: FileId) -> &str {
        self.files.get(file.0).map_or("", |f| f.path.as_str())
    }

    /// Bytes of `file`, as they are stored.
    pub fn stored(&self, file: FileId) -> &[u8] {
        self.files.get(file.0).map_or(&[], |f| f.bytes.as_slice())
    }

    /// The code of `file` in bytes, to be searched: of a notebook the text of its cells, else what is stored.
    pub fn bytes(&self, file: FileId) -> &[u8] {
        match self.files.get(file.0) {
            Some(file) if is_notebook(&file.path) => {
                let view = file.view.get_or_init(|| view(&file.bytes));
                view.as_deref().unwrap_or_default()
            }
            Some(file) => &file.bytes,
            None => &[],
        }
    }

    /// Whether `file` has the name of a notebook and is none: then no search finds anything in it.
    pub fn is_no_notebook(&self, file: FileId) -> bool {
        let seen = self.files.get(file.0).and_then(|file| file.view.get());
        seen.is_some_and(Option::is_none)
    }

    /// Syntax of `file`, parsed now if it was not yet.
    pub fn source(&self, file: FileId) -> &SourceFile {
        static NOTHING: OnceLock<SourceFile> = OnceLock::new();
        match self.files.get(file.0) {
            Some(f) => f
                .source
                .get_or_init(|| Box::new(SourceFile::read(&f.path, &f.bytes))),
            None => NOTHING.get_or_init(|| SourceFile::read("", b"")),
        }
    }

    /// What `look` sees in the syntax of `file`. The syntax is kept only when it says so, or when the file does not parse:
    /// of most files nothing more is ever asked.
    pub fn glance<T>(&self, file: FileId, look: impl FnOnce(&SourceFile) -> (T, bool)) -> T {
        let Some(known) = self.files.get(file.0) else {
            return look(self.source(file)).0;
        };
        if let Some(source) = known.source.get() {
            return look(source).0;
        }
        let source = SourceFile::read(&known.path, &known.bytes);
        let (seen, keep) = look(&source);
        if keep || source.unparsed().is_some() {
            // Somebody else may have been faster; theirs is the same.
            let _ = known.source.set(Box::new(source));
        }
        seen
    }

    /// The outline of `file`, unless it was parsed before somebody asked, or has none.
    fn outline(&self, file: FileId) -> Option<&Outline> {
        let known = self.files.get(file.0)?;
        let read = || match known.source.get() {
            Some(_) => None,
            None => Outline::read(&known.path, &known.bytes).map(Box::new),
        };
        known.outline.get_or_init(read).as_deref()
    }

    /// Statements of `file`'s top level, where functions may lack their bodies: see [`Project::code`].
    pub fn body(&self, file: FileId) -> &[Stmt] {
        match self.outline(file) {
            Some(outline) => outline.body(),
            None => &self.source(file).module().body,
        }
    }

    /// The scopes of `file`, as far as what its module binds. Others may lack theirs: see [`Project::scopes_at`].
    pub fn outer_scopes(&self, file: FileId) -> &Scopes {
        match self.outline(file) {
            Some(outline) => outline.scopes(),
            None => self.source(file).scopes(),
        }
    }

    /// What `function` of `file` does.
    pub fn code<'p>(&'p self, file: FileId, function: &'p StmtFunctionDef) -> &'p [Stmt] {
        let start = span(function).start;
        let outline = self
            .outline(file)
            .filter(|outline| outline.is_hollow(start));
        let whole = outline.and_then(|outline| {
            let alone = outline.function(start);
            alone.or_else(|| self.source(file).function_at(start))
        });
        &whole.unwrap_or(function).body
    }

    /// The same, if its text says one of `words`; of a function that is there already, in any case.
    pub fn code_saying<'p>(
        &'p self,
        file: FileId,
        function: &'p StmtFunctionDef,
        words: &[&str],
    ) -> &'p [Stmt] {
        let start = span(function).start;
        let text = self
            .outline(file)
            .and_then(|outline| outline.body_text(start));
        match text.is_none_or(|text| words.iter().any(|word| text.contains(word))) {
            true => self.code(file, function),
            false => &[],
        }
    }

    /// Scopes of `file` that hold those at `offset`; what is around a function may be missing.
    pub fn scopes_at(&self, file: FileId, offset: usize) -> &Scopes {
        let alone = self
            .outline(file)
            .and_then(|outline| outline.scopes_at(offset));
        alone.unwrap_or_else(|| self.source(file).scopes())
    }

    /// Every import of `file`, whatever its scope.
    pub fn imports(&self, file: FileId) -> Vec<&Import> {
        let seen = self.outline(file).and_then(Outline::imports);
        seen.unwrap_or_else(|| self.source(file).scopes().imports().collect())
    }

    /// The text of `file`.
    pub fn text(&self, file: FileId) -> &str {
        match self.outline(file) {
            Some(outline) => outline.text(),
            None => self.source(file).text(),
        }
    }

    /// Whether `file` has been parsed whole.
    pub fn is_parsed(&self, file: FileId) -> bool {
        self.files
            .get(file.0)
            .is_some_and(|f| f.source.get().is_some())
    }

    /// Files that were seen and not read.
    pub fn skipped(&self) -> &[SkippedFile] {
        &self.skipped
    }

    /// What `work` on `file` gives; nothing when it panics, which is noted.
    pub fn caught<T>(&self, file: FileId, work: impl FnOnce() -> T) -> Option<T> {
        caught(work).map_err(|said| self.failed(file, said)).ok()
    }

    /// Notes that depickle failed on `file`, and what it said.
    pub fn failed(&self, file: FileId, said: String) {
        let mut defects = self.defects.lock().unwrap_or_else(PoisonError::into_inner);
        defects.entry(file).or_insert(said);
    }

    /// Files that depickle failed on, and what it said; nothing of another state of the same project.
    pub fn defects(&self) -> BTreeMap<FileId, String> {
        let defects = self.defects.lock().unwrap_or_else(PoisonError::into_inner);
        defects.clone()
    }

    fn paths(&self) -> &Paths {
        let paths = || Paths::of(self.files.iter().map(|file| file.path.as_str()));
        self.paths.get_or_init(paths)
    }

    /// The file at `path`.
    pub fn by_path(&self, path: &str) -> Option<FileId> {
        self.paths().files.get(path).copied()
    }

    /// The file that `import name` in `from` means, if the project has it: `shop.helpers`, `..helpers`.
    pub fn module(&self, from: FileId, name: &str) -> Option<FileId> {
        let undotted = name.trim_start_matches('.');
        let first = undotted.split('.').next().unwrap_or(undotted);
        let paths = self.paths();
        if !first.is_empty() && !paths.names.contains(&hash(first)) {
            return None;
        }
        let here = parent(self.path(from));
        let level = name.len() - undotted.len();
        let tail = undotted.replace('.', "/");
        if level > 0 {
            let mut base = here;
            for _ in 1..level {
                base = parent(base);
            }
            return self.at(base, &tail);
        }
        // A package's own folder is not where absolute imports look (its `pickle.py` is not `pickle`). Most folders have nothing
        // of the name, which is seen without a text for each.
        let mut ends: Vec<(usize, u64)> = vec![(0, ROOT)];
        for (start, part) in parts(here) {
            let around = ends.last().map_or(ROOT, |(_, around)| *around);
            ends.push((start + part.len(), below(around, part)));
        }
        let mut bases = ends
            .iter()
            .rev()
            .filter(|(_, base)| paths.holds(*base, &tail));
        let found = bases.find_map(|(end, _)| {
            let base = here.get(..*end)?;
            let found = self.at(base, &tail)?;
            self.by_path(&join(base, "__init__.py"))
                .is_none()
                .then_some(found)
        });
        found.or_else(|| self.at("src", &tail))
    }

    fn at(&self, base: &str, tail: &str) -> Option<FileId> {
        let paths = self.paths();
        let folder = parts(base).fold(ROOT, |around, (_, part)| below(around, part));
        if !paths.holds(folder, tail) {
            return None;
        }
        let mut path = join(base, tail);
        let stem = path.len();
        let ends = [".py", "/__init__.py", ".pyx"];
        ends.iter().find_map(|end| {
            path.truncate(stem);
            // The root's own package.
            path.push_str(if stem == 0 {
                end.trim_start_matches('/')
            } else {
                end
            });
            self.by_path(&path)
        })
    }
}

/// Where files are.
#[derive(Debug)]
struct Paths {
    files: FxHashMap<String, FileId>,
    /// Names of files and folders, by their hash: what is not among them, no import finds.
    names: FxHashSet<u64>,
    /// The same with the folders around each: what is not among them is not there.
    places: FxHashSet<u64>,
}

impl Paths {
    /// Those of `paths`, which are in the order of their files.
    fn of<'f>(paths: impl Iterator<Item = &'f str>) -> Paths {
        let mut files = FxHashMap::default();
        let mut names = FxHashSet::default();
        let mut places = FxHashSet::default();
        let (mut before, mut around) = ("", ROOT);
        for (n, path) in paths.enumerate() {
            files.insert(path.to_owned(), FileId(n));
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            if folder != before {
                names.extend(folder.split('/').map(hash));
                around = ROOT;
                for (_, part) in parts(folder) {
                    around = below(around, part);
                    places.insert(around);
                }
                before = folder;
            }
            names.insert(hash(stem));
            places.insert(below(around, stem));
        }
        Paths {
            files,
            names,
            places,
        }
    }

    /// Whether the folder `base` may hold `tail`, a path without its ending.
    fn holds(&self, base: u64, tail: &str) -> bool {
        let mut around = base;
        parts(tail).all(|(_, part)| {
            around = below(around, part);
            self.places.contains(&around)
        })
    }
}

/// The parts of a path and where they start; the root has none.
fn parts(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    path.split('/').filter_map(move |part| {
        let start = at;
        at += part.len() + 1;
        (!path.is_empty()).then_some((start, part))
    })
}

/// The root, as a folder around others.
const ROOT: u64 = 0;

/// What is called `name` in the folder `around`, by its hash.
fn below(around: u64, name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(around);
    name.hash(&mut hasher);
    hasher.finish()
}

fn hash(name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    name.hash(&mut hasher);
    hasher.finish()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn join(base: &str, tail: &str) -> String {
    match (base, tail) {
        ("", _) => tail.to_owned(),
        (_, "") => base.to_owned(),
        _ => format!("{base}/{tail}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FileId, Project, join, parent};

    /// What an import means, by asking every folder for it.
    fn asked(project: &Project, from: FileId, name: &str) -> Option<FileId> {
        let tail = name.trim_start_matches('.').replace('.', "/");
        let at = |base: &str| {
            let stem = join(base, &tail);
            let package = join(&stem, "__init__.py");
            let paths = [format!("{stem}.py"), package, format!("{stem}.pyx")];
            paths.iter().find_map(|path| project.by_path(path))
        };
        let mut base = parent(project.path(from));
        let level = name.chars().take_while(|c| *c == '.').count();
        if level > 0 {
            (1..level).for_each(|_| base = parent(base));
            return at(base);
        }
        loop {
            let is_package = project.by_path(&join(base, "__init__.py")).is_some();
            if let Some(found) = at(base).filter(|_| !is_package) {
                return Some(found);
            }
            if base.is_empty() {
                return at("src");
            }
            base = parent(base);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn imports_mean_what_asking_every_folder_says(
            paths in prop::collection::btree_set("(src/)?([ab]/){0,3}([abc]|__init__|a[.]b)[.](py|py|pyx)", 1..12),
            names in prop::collection::vec("[.]{0,3}([abc]([.]([abc]|src)){0,3})?", 1..12),
        ) {
            let files = paths.into_iter().map(|path| (path, Vec::new()));
            let project = Project::new(files, Vec::new());
            for (from, name) in project.ids().flat_map(|id| names.iter().map(move |n| (id, n))) {
                let wanted = asked(&project, from, name);
                prop_assert_eq!(project.module(from, name), wanted, "{} in {}", name, project.path(from));
            }
        }
    }
}
