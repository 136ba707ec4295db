//! Which `[[reply]]` rows the cases show, and which frameworks have a case of what is left alone.
#![expect(clippy::disallowed_methods, reason = "reads the packs")]

use std::path::Path;

use crate::case::{Case, Mark};

/// Frameworks whose handlers never answer by themselves: nothing of theirs is rewritten, so nothing is left alone.
const NO_NEGATIVE: [&str; 0] = [];

/// Rows that no case shows, and why.
const NOT_SHOWN: [(&str, &str); 0] = [];

/// Rows of replies without a case beside them that writes one, and frameworks without a negative.
pub fn missing(cases: &[Case]) -> Result<Vec<String>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("transforms/frameworks");
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(&root).map_err(|e| e.to_string())? {
        let folder = entry.map_err(|e| e.to_string())?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let Ok(text) = std::fs::read_to_string(folder.join("model.toml")) else {
            continue;
        };
        let table: toml::Table = text.parse().map_err(|e| format!("{name}: {e}"))?;
        let rows = table.get("reply").and_then(toml::Value::as_array);
        let Some(rows) = rows else { continue };
        let prefix = format!("frameworks/{name}/");
        let own: Vec<&Case> = cases
            .iter()
            .filter(|case| case.name.starts_with(&prefix))
            .collect();
        for row in rows {
            let code = row.get("code").and_then(toml::Value::as_str);
            let code = code.ok_or("a reply without code")?;
            let excused = NOT_SHOWN.contains(&(&*name, code));
            if excused == own.iter().any(|case| shows(case, code)) {
                missing.push(format!("{name}: {code}"));
            }
        }
        let excused = NO_NEGATIVE.contains(&&*name);
        if excused == own.iter().any(|case| leaves(case)) {
            missing.push(format!("{name}: what is left alone"));
        }
    }
    missing.sort();
    Ok(missing)
}

/// Whether `case` has a load that is left, or none at all.
fn leaves(case: &Case) -> bool {
    let left = |mark: &Mark| matches!(mark, Mark::Status(..));
    case.marks.is_empty() || case.marks.iter().any(|(_, _, mark)| left(mark))
}

/// Whether `case` ends with more answers of the form of `code` than it begins with.
fn shows(case: &Case, code: &str) -> bool {
    let after = case.after.iter().chain(&case.suggested);
    after.into_iter().any(|(file, text)| {
        let before = case.before.get(file).map_or(0, |text| count(text, code));
        count(text, code) > before
    })
}

fn count(text: &str, code: &str) -> usize {
    let text = packed(text);
    let code = packed(code);
    let ends = text.char_indices().map(|(at, _)| at);
    ends.filter(|at| text.get(*at..).is_some_and(|rest| begins(rest, &code)))
        .count()
}

/// `text` without white space, and without the commas that broken lines bring.
fn packed(text: &str) -> String {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    dense.replace(",)", ")").replace("return(", "return")
}

/// Whether `text` begins with what `code` is when its holes are filled.
fn begins(text: &str, code: &str) -> bool {
    let Some(at) = code.find(['{', '}']) else {
        return text.starts_with(code);
    };
    let (literal, hole) = code.split_at(at);
    let Some(text) = text.strip_prefix(literal) else {
        return false;
    };
    for brace in ["{{", "}}"] {
        if let Some(code) = hole.strip_prefix(brace) {
            let text = text.strip_prefix(brace.get(..1).unwrap_or_default());
            return text.is_some_and(|text| begins(text, code));
        }
    }
    let Some((name, code)) = hole.get(1..).and_then(|hole| hole.split_once('}')) else {
        return false;
    };
    let fillings: Vec<usize> = match name {
        "message" | "message:line" | "message:bytes" => {
            let bytes = text.strip_prefix('b').unwrap_or(text);
            let quote = bytes.chars().next().filter(|c| "\"'".contains(*c));
            let closing = quote.and_then(|quote| bytes.get(1..)?.find(quote));
            let end = closing.map(|end| text.len() - bytes.len() + end + 2);
            end.into_iter().collect()
        }
        "await" => [0, "await".len()]
            .into_iter()
            .filter(|n| *n == 0 || text.starts_with("await"))
            .collect(),
        _ => {
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let end = text.find(|c| !word(c)).unwrap_or(text.len());
            let said = text.get(..end).unwrap_or_default();
            // `{module:name}` and `{a.b|c.d}` say their last words; `{self}` and `{0}` any.
            let mut names = name.split('|').filter(|name| name.contains(['.', ':']));
            let any = !name.contains(['.', ':']) && !said.is_empty();
            let last = |name: &str| {
                name.rsplit(['.', ':'])
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            };
            let fits =
                any || names.any(|name| said.rsplit('.').next().unwrap_or_default() == last(name));
            (0..=end)
                .filter(|n| *n == end && fits || any && *n > 0)
                .chain(starts_of_members(said, name))
                .collect()
        }
    };
    let mut fillings = fillings.into_iter();
    fillings.any(|end| text.get(end..).is_some_and(|text| begins(text, code)))
}

/// Where `name` ends in `said` when a member of it follows: `grpc.StatusCode` in `grpc.StatusCode.INVALID_ARGUMENT`.
fn starts_of_members(said: &str, name: &str) -> Vec<usize> {
    let names = name.split('|').filter(|name| name.contains(['.', ':']));
    let last = names.map(|name| name.rsplit(['.', ':']).next().unwrap_or_default());
    last.filter_map(|last| {
        let found = said.find(&format!("{last}."))?;
        Some(found + last.len())
    })
    .collect()
}
