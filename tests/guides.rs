//! The guides tell the truth: what they show is what is printed, their commands are understood, their links lead
//! somewhere.
#![expect(clippy::disallowed_methods, reason = "reads the guides, runs programs")]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "has more than is used here")]
mod home;
#[path = "support/venv.rs"]
mod venv;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use home::{Home, code, stdout};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the project, by its path from the root.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap();
            // Cases and the corpus hold programs, not prose.
            let skipped = ["target", "cases", "corpus"].contains(&&*name) || name.starts_with('.');
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The fenced blocks of a page, with their language; and the prose without them.
fn blocks(page: &str) -> (Vec<(&str, Vec<&str>)>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<(&str, &str, Vec<&str>)> = None;
    for line in page.lines() {
        let language = line.trim_start_matches('`');
        let fence = &line[..line.len() - language.len()];
        match &mut open {
            Some((begun, ..)) if line == *begun => {
                blocks.extend(open.take().map(|(_, language, lines)| (language, lines)));
            }
            Some((_, _, lines)) => lines.push(line),
            None if fence.len() >= 3 => open = Some((fence, language, Vec::new())),
            None => prose.extend([line, "\n"]),
        }
    }
    (blocks, prose)
}

fn read(page: &Path) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

/// `line` by the shell, with `depickle` on its path and nobody's configuration.
fn shell(home: &Home, program: &Path, line: &str) -> Output {
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec 2>&1\n{line}"));
    home.dress(&mut shell);
    shell
        .env("PATH", format!("{}:{path}", program.display()))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    shell.output().unwrap()
}

/// Where the ids of runs stand in `text`: `20261123T150212-4663`.
fn ids(text: &str) -> Vec<String> {
    let is_id = |word: &str| {
        let shape = "ddddddddTdddddd-xxxx";
        word.len() == shape.len()
            && word.chars().zip(shape.chars()).all(|(c, s)| match s {
                'd' => c.is_ascii_digit(),
                'x' => c.is_ascii_hexdigit(),
                other => c == other,
            })
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .filter(|word| is_id(word))
        .map(str::to_owned)
        .collect()
}

fn without_ids(text: &str) -> String {
    let mut out = text.to_owned();
    for id in ids(text) {
        out = out.replace(&id, "RUN");
    }
    out
}

/// Whether a printed line is the shown one, in which `...` stands for anything.
fn same_line(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The same of lines, where a line `...` stands for any number of them.
fn same(shown: &[&str], printed: &[&str]) -> bool {
    match (shown, printed) {
        (["..."], _) | ([], []) => true,
        (["...", rest @ ..], _) => {
            (0..=printed.len()).any(|skipped| same(rest, &printed[skipped..]))
        }
        ([line, shown @ ..], [other, printed @ ..]) => {
            same_line(line, other) && same(shown, printed)
        }
        _ => false,
    }
}

#[test]
fn elision_is_no_blank_cheque() {
    assert!(same(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(same(&["run RUN; ... RUN"], &["run RUN; to undo it: RUN"]));
    assert!(!same(&["a", "...", "d"], &["a", "b", "c"]));
    assert!(!same(&["a"], &["a", "b"]));
    assert!(!same(&["a ... c"], &["a b d"]));
}

/// Runs the sessions of `page` from top to bottom in a folder of their own; how they differ from what is shown.
fn differences(page: &Path) -> Vec<String> {
    let text = read(page);
    let (blocks, _) = blocks(&text);
    let home = Home::new();
    let program = Path::new(env!("CARGO_BIN_EXE_depickle")).parent().unwrap();
    if text.contains(".venv/bin/python") {
        let venv = venv::python().parent().unwrap().parent().unwrap();
        std::os::unix::fs::symlink(venv, home.path(".venv")).unwrap();
    }
    // `python shop/app.py`: a file of that name.
    for (info, lines) in &blocks {
        if let Some((_, path)) = info.split_once(' ').filter(|(_, path)| path.contains('/')) {
            home.write(path, lines.join("\n") + "\n");
        }
    }
    let (mut last, mut wrong) = (String::new(), Vec::new());
    for (_, lines) in blocks.iter().filter(|(language, _)| *language == "console") {
        for step in lines.join("\n").split("\n$ ") {
            let step = step.strip_prefix("$ ").unwrap_or(step).trim_end();
            let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
            let meant = ids(command)
                .iter()
                .fold(command.to_owned(), |line, id| line.replace(id, &last));
            let output = shell(&home, program, &meant);
            let printed = stdout(&output);
            last = ids(&printed).pop().unwrap_or(last);
            let (shown, said) = (without_ids(shown), without_ids(printed.trim_end()));
            let shown: Vec<&str> = shown.lines().collect();
            if !same(&shown, &said.lines().collect::<Vec<_>>()) || code(&output) == 2 {
                wrong.push(format!(
                    "{}: $ {command}\nprints\n{printed}",
                    page.display()
                ));
            }
        }
    }
    wrong
}

#[test]
fn what_the_guides_show_is_what_is_printed() {
    let wrong: Vec<String> = pages().iter().flat_map(|page| differences(page)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_in_the_guides_are_understood() {
    let home = Home::new();
    // The real program, which is asked for help after everything else: it complains of what it does not know first.
    let real = env!("CARGO_BIN_EXE_depickle");
    home.script(
        "bin/depickle",
        &format!("#!/bin/sh\nexec {real} \"$@\" --help\n"),
    );
    let understood = |line: &str| code(&shell(&home, &home.path("bin"), line)) == 0;
    assert!(understood("depickle scan shop --base HEAD") && !understood("depickle scan --bas x"));

    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for page in pages() {
        let text = read(&page);
        let (blocks, prose) = blocks(&text);
        let shown = blocks
            .iter()
            .filter(|(language, _)| ["", "sh", "console"].contains(language));
        let lines = shown
            .flat_map(|(_, lines)| lines)
            .map(|line| line.strip_prefix("$ ").unwrap_or(line));
        let inline = prose
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| !code.contains('\n'));
        for line in lines
            .chain(inline)
            .filter_map(|line| line.split(" > ").next())
            .filter(|line| line.starts_with("depickle "))
        {
            if seen.insert(line.to_owned()) && !understood(line) {
                wrong.push(format!("{}: {line}", page.display()));
            }
        }
    }
    assert!(
        wrong.is_empty() && seen.len() > 40,
        "{} seen\n{}",
        seen.len(),
        wrong.join("\n")
    );
}

/// The anchor that forges give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_somewhere_and_every_guide_is_linked() {
    let (mut wrong, mut linked) = (Vec::new(), BTreeSet::new());
    for page in pages() {
        let text = read(&page);
        let (_, prose) = blocks(&text);
        let folder = page.parent().unwrap();
        let targets = prose
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets.filter(|(target, _)| !target.starts_with("http")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                root().join(&page)
            } else {
                root().join(folder).join(file)
            };
            let Ok(file) = file.canonicalize() else {
                wrong.push(format!(
                    "{}: {target}: there is no such file",
                    page.display()
                ));
                continue;
            };
            let there = || fs::read_to_string(&file).unwrap_or_default();
            let named = |text: String| {
                text.lines().any(|l| {
                    l.starts_with('#') && anchor(l.trim_start_matches('#').trim()) == heading
                })
            };
            if !heading.is_empty() && !named(there()) {
                wrong.push(format!(
                    "{}: {target}: there is no such heading",
                    page.display()
                ));
            }
            linked.insert(file);
        }
    }
    for page in pages().iter().filter(|page| page.starts_with("docs")) {
        if !linked.contains(&root().join(page).canonicalize().unwrap()) {
            wrong.push(format!("{}: no page links here", page.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
