//! The guide of a transform: its README in sections, with the code of cases in it, which tests keep true.

use std::collections::BTreeMap;

use super::Transform;

/// What every guide has, in this order.
pub const SECTIONS: [&str; 7] = [
    "What it does",
    "Why is this bad",
    "Before and after",
    "Fix safety",
    "How to verify",
    "How to roll back",
    "References",
];

/// What the code of a case is marked with for its test.
const MARKS: [&str; 9] = [
    "source",
    "finding",
    "refuse",
    "suggest",
    "guarded",
    "trusted",
    "suppressed",
    "missed",
    "false-alarm",
];

impl Transform {
    /// What stands in its guide below the heading `name`.
    pub fn section(&self, name: &str) -> Option<&str> {
        let mut sections = self.readme.split("\n## ").skip(1);
        let body = sections.find_map(|section| section.strip_prefix(name)?.strip_prefix('\n'));
        body.map(str::trim).filter(|body| !body.is_empty())
    }

    /// The guide in short: the first paragraphs of what it does and why.
    pub fn brief(&self) -> String {
        let first = |name| {
            let body = self.section(name).unwrap_or_default();
            let paragraph = body.split("\n\n").next().unwrap_or_default();
            paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let parts = [first(SECTIONS[0]), first(SECTIONS[1])];
        let parts: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|p| !p.is_empty())
            .collect();
        match parts.is_empty() {
            true => self.title.clone(),
            false => parts.join(" "),
        }
    }
}

/// `readme` of `id`, each paragraph that links to a case followed by that case's code.
pub(super) fn with_cases(readme: &str, id: &str, files: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(readme.len());
    for line in readme.split_inclusive('\n') {
        out.push_str(line);
        let linked = line
            .split("](cases/")
            .nth(1)
            .and_then(|rest| rest.split(')').next());
        let case = linked.and_then(|name| files.get(&format!("{id}/cases/{name}")));
        if let Some(case) = case {
            out.push('\n');
            out.push_str(&code_of(case));
        }
    }
    out
}

/// The blocks of Python of `case`, without its marks, each with what it is.
pub fn code_of(case: &str) -> String {
    let mut out = String::new();
    let mut lines = case.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let block = lines.by_ref().take_while(|line| *line != "```");
        let body: String = block.map(|line| format!("{}\n", unmarked(line))).collect();
        let mut words = info.split_whitespace();
        if words.next() != Some("python") {
            continue;
        }
        let words: Vec<&str> = words.collect();
        let (file, side) = match words.as_slice() {
            [] => ("", "before"),
            [side @ ("after" | "suggested")] => ("", *side),
            [file] => (*file, "before"),
            [file, side, ..] => (*file, *side),
        };
        let comma = if file.is_empty() { "" } else { ", " };
        out.push_str(&format!("{file}{comma}{side}:\n\n```python\n{body}```\n\n"));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// A case that shows something.
#[derive(Debug)]
pub struct Example {
    /// Its path below `transforms/`.
    pub path: String,
    /// Its first line.
    pub title: String,
    /// Its Python before, with the marks that say what becomes of which load.
    pub code: String,
}

impl Example {
    /// The shortest of the built-in cases in which a load is left for the reason called `code`.
    pub fn of(code: &str) -> Option<Example> {
        let mut files = BTreeMap::new();
        super::collect(&super::TRANSFORMS, &mut files);
        let marked = |text: &String| {
            text.lines().any(|line| {
                let mut marks = line.split("  # ").skip(1);
                marks.any(|mark| {
                    // In a notebook the end of a string of JSON follows.
                    let reason = mark.split_once(": ").map(|(_, reason)| reason);
                    let rest = reason.and_then(|reason| reason.strip_prefix(code));
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['\\', '"']))
                })
            })
        };
        let cases = files
            .into_iter()
            .filter(|(path, _)| path.contains("/cases/"));
        let (path, text) = cases
            .filter(|(_, text)| marked(text))
            .min_by_key(|(_, text)| text.len())?;
        let title = text.lines().next()?.trim_start_matches("# ").to_owned();
        let mut code = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let before = line.starts_with("```python")
                && !line.ends_with("after")
                && !line.ends_with("suggested");
            if !before {
                continue;
            }
            if let Some(file) = line.strip_prefix("```python ") {
                code.push_str(&format!("    # {file}\n"));
            }
            for line in lines.by_ref().take_while(|line| *line != "```") {
                code.push_str(format!("    {line}").trim_end());
                code.push('\n');
            }
        }
        Some(Example { path, title, code })
    }
}

fn unmarked(line: &str) -> &str {
    let mut code = line;
    while let Some((before, comment)) = code.rsplit_once("  # ") {
        let word = comment.split(':').next().unwrap_or(comment);
        if !MARKS.contains(&word) {
            break;
        }
        code = before;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::{SECTIONS, code_of};
    use crate::pack::Model;

    #[test]
    fn every_transform_has_a_whole_guide() {
        let model = Model::builtin().unwrap();
        for transform in &model.transforms {
            let id = &transform.id;
            let headings = transform
                .readme
                .lines()
                .filter_map(|line| line.strip_prefix("## "));
            let known: Vec<&str> = headings.filter(|name| SECTIONS.contains(name)).collect();
            assert_eq!(known, SECTIONS, "{id}: README.md");
            let empty = SECTIONS
                .iter()
                .find(|name| transform.section(name).is_none());
            assert_eq!(empty, None, "{id}: README.md");
            let code = transform.section("Before and after").unwrap();
            assert!(
                code.contains("```python\n"),
                "{id}: links to none of its cases"
            );
            let rewrites = transform.rewrite.is_some() || !transform.settings.is_empty();
            assert!(
                !rewrites || code.contains("\nafter:\n") || code.contains("\nsuggested:\n"),
                "{id}: shows no rewrite"
            );
            let brief = transform.brief();
            assert!(brief.len() > 60 && brief.len() < 1200, "{id}: {brief}");
        }
    }

    #[test]
    fn code_of_a_case_is_without_its_marks() {
        let case = "# T\n\n```trust file\n```\n\n```python\nx = f()  # why  # finding: a  # source\n```\n\n```python b.py after\ny\n```\n";
        assert_eq!(
            code_of(case),
            "before:\n\n```python\nx = f()  # why\n```\n\nb.py, after:\n\n```python\ny\n```\n"
        );
    }
}
