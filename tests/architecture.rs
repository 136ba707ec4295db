//! The one dependency rule: a module uses only modules to its left in the line that `src/README.md` draws.
//! The test reads that very line, so the document cannot lie.
#![expect(clippy::disallowed_methods, reason = "reads the sources")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules of the line, leftmost first.
fn line() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("src/README.md");
    let line = readme
        .lines()
        .find(|line| line.starts_with("text < "))
        .expect("the line `text < ...`");
    line.split(" < ").map(str::to_owned).collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The top-level module that `file` belongs to.
fn module(file: &Path) -> String {
    let below = file.strip_prefix(root()).expect("in src");
    let first = below.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Names after `crate::` in `text`, those of `crate::{a, b}` too; comments do not count.
fn used(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        let word = |text: &str| {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                names.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => names.push(word(rest)),
        }
    }
    names
}

#[test]
fn every_module_uses_only_modules_to_its_left() {
    let line = line();
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let module = module(&file);
        if ["lib", "main", "build"].contains(&module.as_str()) {
            continue;
        }
        let Some(place) = line.iter().position(|m| *m == module) else {
            wrong.push(format!("{module} does not stand in the line"));
            continue;
        };
        for used in used(&std::fs::read_to_string(&file).expect("a source")) {
            if line
                .iter()
                .position(|m| *m == used)
                .is_some_and(|other| other > place)
            {
                wrong.push(format!(
                    "{} uses {used}, which stands to its right",
                    file.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_line_exists() {
    for module in line() {
        let file = root().join(format!("{module}.rs"));
        let folder = root().join(&module).join("mod.rs");
        assert!(
            file.is_file() || folder.is_file(),
            "{module} stands in the line, but not in src"
        );
    }
}

#[test]
fn only_python_knows_the_parser_and_only_repo_knows_git2() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    for file in files {
        let module = module(&file);
        let text = std::fs::read_to_string(&file).expect("a source");
        assert!(
            module == "python" || !text.contains("rustpython_"),
            "{}",
            file.display()
        );
        assert!(
            module == "repo" || !text.contains("git2::"),
            "{}",
            file.display()
        );
    }
}

#[test]
fn what_is_fuzzed_by_its_file_has_no_files_of_its_own() {
    // A path to a file does not say where those are: it would not compile, and nobody compiles it but to fuzz.
    let fuzz = root().with_file_name("fuzz");
    for crate_of in ["pickle/pickle.rs", "pipeline/stages.rs"] {
        let text = std::fs::read_to_string(fuzz.join(crate_of)).expect("a fuzz target");
        let mut seen = 0;
        for path in text.split("#[path = \"../../src/").skip(1) {
            let path = path.split('"').next().expect("a path");
            seen += 1;
            if path.ends_with("/mod.rs") {
                continue;
            }
            let folder = root().join(path).with_extension("");
            assert!(
                !folder.is_dir(),
                "{crate_of}: {path} has {}",
                folder.display()
            );
        }
        assert!(seen > 0, "{crate_of}");
    }
}

#[test]
fn the_reader_of_the_line_sees_grouped_names() {
    assert_eq!(
        used("use crate::{repo, text::Span};\n// crate::cli\ncrate::pack::Model"),
        ["repo", "text", "pack"]
    );
}
