//! What is known of every file before it is parsed: whether it is a test, what it imports, and from which files of the project.

use std::sync::OnceLock;

use memchr::memmem::Finder;
use rayon::prelude::*;

use super::Target;
use crate::defect::strike;
use crate::project::{FileId, Project};
use crate::trace::imports::{Index, Word, Words, statements};
use crate::trace::is_test;

/// The files of a project, as they are before they are parsed.
pub(in crate::trace) struct Files<'p> {
    pub project: &'p Project,
    words: &'p [Words],
    index: Index,
    tests: Vec<bool>,
    homes: Vec<OnceLock<Homes>>,
}

/// What of the project a file imports.
#[derive(Debug, Default)]
struct Homes {
    /// The modules, sorted.
    files: Vec<FileId>,
    /// Names, and the modules they are imported from.
    names: Vec<(Word, FileId)>,
    /// It imports all of a module's names.
    star: bool,
    /// It has names that are made as it runs.
    open: bool,
}

impl<'p> Files<'p> {
    /// Those of `project`, which import `words`.
    pub fn new(project: &'p Project, words: &'p [Words]) -> Files<'p> {
        let ids: Vec<FileId> = project.ids().collect();
        Files {
            project,
            words,
            index: Index::of(words),
            tests: ids.iter().map(|id| is_test(project.path(*id))).collect(),
            homes: ids.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    /// Whether `file` is a test.
    pub fn is_test(&self, file: FileId) -> bool {
        self.tests.get(file.0).copied().unwrap_or_default()
    }

    /// Whether code in `file` counts as a caller: tests say nothing of what runs, but of themselves.
    pub fn reaches(&self, target: &Target, file: FileId) -> bool {
        let folder = |path: &'p str| path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match (self.is_test(target.file), self.is_test(file)) {
            (false, false) => true,
            (true, true) => {
                folder(self.project.path(target.file)) == folder(self.project.path(file))
            }
            _ => false,
        }
    }

    /// Files that may mean `target` by what they import, and name it; but those that are `known`.
    pub fn naming(&self, target: &Target, known: &(impl Fn(FileId) -> bool + Sync)) -> Vec<FileId> {
        let words = target.classes.iter().chain([&target.stem, &target.name]);
        let words = words.map(|word| Word::of(word.as_bytes()));
        let mut files: Vec<FileId> = words.flat_map(|word| self.index.importing(word)).collect();
        files.push(target.file);
        files.sort_unstable();
        files.dedup();
        let finder = Finder::new(target.name.as_bytes());
        let may_mean = |file: FileId| {
            let seen = self.project.caught(file, || {
                strike("naming", self.project.path(file));
                self.may_mean(target, file)
            });
            // Then it is read, and may mean anything.
            seen.unwrap_or(true)
        };
        let names = |file: &FileId| {
            !known(*file)
                && self.reaches(target, *file)
                && may_mean(*file)
                && finder.find(self.project.bytes(*file)).is_some()
        };
        files
            .into_par_iter()
            .with_min_len(64)
            .filter(names)
            .collect()
    }

    /// Whether `file` can mean `target` by what it imports. Errs towards yes.
    fn may_mean(&self, target: &Target, file: FileId) -> bool {
        let imports = |file: FileId, word| {
            let words = self.words.get(file.0);
            words.is_some_and(|words| words.contains(word))
        };
        let mut classes = target.classes.iter();
        if file == target.file || classes.any(|c| imports(file, Word::of(c.as_bytes()))) {
            return true;
        }
        let name = Word::of(target.name.as_bytes());
        // A module may hand on what another defines.
        let hands_on = |home: FileId| {
            let homes = self.homes(home);
            imports(home, name) || homes.is_some_and(|homes| homes.star || homes.open)
        };
        self.homes(file).is_none_or(|homes| {
            homes.star
                || homes.files.binary_search(&target.file).is_ok()
                || (homes.names.iter()).any(|(n, home)| *n == name && hands_on(*home))
        })
    }

    /// What of the project `file` imports.
    fn homes(&self, file: FileId) -> Option<&Homes> {
        let homes = self.homes.get(file.0)?;
        Some(homes.get_or_init(|| {
            let found = self.project.caught(file, || self.homes_of(file));
            // It may import anything.
            found.unwrap_or_else(|| Homes {
                star: true,
                open: true,
                ..Homes::default()
            })
        }))
    }

    fn homes_of(&self, file: FileId) -> Homes {
        let mut out = Homes::default();
        let module = |name: &str| self.project.module(file, name);
        let bytes = self.project.bytes(file);
        let has = |what: &str| Finder::new(what).find(bytes).is_some();
        out.open = has("__getattr__") || has("globals()");
        statements(bytes, |before, rest| {
            let before = String::from_utf8_lossy(before);
            let names = imported(&String::from_utf8_lossy(rest));
            let Some(from) = before.trim_start().strip_prefix("from") else {
                for name in names {
                    out.files.extend(module(&name));
                    let parent = name.rsplit_once('.').map(|(parent, _)| parent);
                    out.files.extend(parent.and_then(module));
                }
                return;
            };
            let from: String = from
                .split(|c: char| c.is_whitespace() || c == '\\')
                .collect();
            let home = module(&from);
            out.files.extend(home);
            for name in names {
                out.star |= name == "*";
                let dot = if from.ends_with('.') { "" } else { "." };
                out.files.extend(module(&format!("{from}{dot}{name}")));
                out.names
                    .extend(home.map(|home| (Word::of(name.as_bytes()), home)));
            }
        });
        out.files.sort_unstable();
        out.files.dedup();
        out
    }
}

/// What an import statement imports, from its `import` on: `a.b` and `c` of `import a.b as d, c`.
fn imported(statement: &str) -> Vec<String> {
    let text = statement.strip_prefix("import").unwrap_or(statement);
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(line));
    let text: String = lines.flat_map(|line| [line, " "]).collect();
    let names = text.split(',').map(|part| {
        let part = part.trim_start_matches(|c: char| c.is_whitespace() || "(\\".contains(c));
        let is_name = |c: char| c.is_alphanumeric() || "_.*".contains(c);
        let end = part.find(|c| !is_name(c)).unwrap_or(part.len());
        part.get(..end).unwrap_or(part).to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Files, imported};
    use crate::project::{FileId, Project};
    use crate::python::ast::name::Name;
    use crate::trace::imports::Words;
    use crate::trace::relevant::{Height, Target};

    #[test]
    fn reads_names_of_every_form() {
        assert_eq!(imported("import a.b as c, d"), ["a.b", "d"]);
        assert_eq!(
            imported("import (\n  a,  # (b, c)\n  d as e,\n)"),
            ["a", "d"]
        );
        assert_eq!(imported("import a, \\\n  b; import c"), ["a", "b"]);
        assert_eq!(imported("import*"), ["*"]);
    }

    /// The files that may call `name` of the first of `files`.
    fn naming(name: &str, files: &[(&str, &str)]) -> Vec<String> {
        let project = Project::new(
            files
                .iter()
                .map(|(path, text)| ((*path).into(), text.as_bytes().to_vec())),
            Vec::new(),
        );
        let words = project.ids().map(|id| Words::of(project.bytes(id)));
        let words: Vec<Words> = words.collect();
        let known = Files::new(&project, &words);
        let first = files.first().and_then(|(path, _)| project.by_path(path));
        let file = first.unwrap_or(FileId(0));
        let target = Target {
            name: Name::new(name),
            file,
            stem: super::super::stem(project.path(file)),
            classes: Vec::new(),
            height: Height::GROUND,
        };
        let naming = known.naming(&target, &|other| other == file);
        naming
            .into_iter()
            .map(|file| project.path(file).to_owned())
            .collect()
    }

    #[test]
    fn a_file_means_what_it_imports() {
        let files = [
            ("shop/codec.py", "def load(x): ..."),
            ("shop/__init__.py", "from .codec import load"),
            ("shop/a.py", "from .codec import load\nload(1)"),
            ("shop/b.py", "from . import codec\ncodec.load(1)"),
            ("c.py", "import shop.codec\nshop.codec.load(1)"),
            ("d.py", "from shop import load\nload(1)"),
            ("e.py", "from shop.codec import *\nload(1)"),
            ("f.py", "from shop import other, (\n load)\nload(1)"),
            ("other/codec.py", "def load(x): ..."),
            ("other/a.py", "from other.codec import load\nload(1)"),
            ("other/b.py", "from joblib import load\nload(1)"),
            ("other/c.py", "from shop.codec import dump\ndump(1)"),
        ];
        let wanted = [
            "c.py",
            "d.py",
            "e.py",
            "f.py",
            "shop/__init__.py",
            "shop/a.py",
            "shop/b.py",
        ];
        assert_eq!(naming("load", &files), wanted);
    }
}
