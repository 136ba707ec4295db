//! JSON: the run's own serde form, whole or in lines.

use serde::Serialize;
use serde_json::{Value, json};

use super::Run;
use crate::text::printable_json;

/// `run` as one JSON document with a final newline.
///
/// # Errors
/// Those of the serialiser, which a `Run` does not cause.
pub(super) fn json(run: &Run) -> serde_json::Result<Vec<u8>> {
    document(run)
}

/// `value` as a JSON document with a final newline.
pub(super) fn document(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    Ok((json_text(value)? + "\n").into_bytes())
}

/// `value` as JSON that may reach a terminal.
///
/// # Errors
/// Those of the serialiser.
pub fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(printable_json(&serde_json::to_string_pretty(value)?))
}

/// A line for the run, one for each project without its findings, and after each those: `kind` says which it is, and
/// findings name their project as `root`.
pub(super) fn lines(run: &Run) -> serde_json::Result<Vec<u8>> {
    let mut out = String::new();
    let mut line = |value: &Value| -> serde_json::Result<()> {
        out += &printable_json(&serde_json::to_string(value)?);
        out.push('\n');
        Ok(())
    };
    let head = json!({"kind": "run", "schema": run.schema, "run": run.run, "tool": run.tool, "projects": run.projects.len()});
    line(&head)?;
    for project in &run.projects {
        line(&kind("project", serde_json::to_value(project)?, |row| {
            row.remove("findings");
        }))?;
        for finding in &project.findings {
            let root = Value::from(project.root.as_str());
            line(&kind("finding", serde_json::to_value(finding)?, |row| {
                row.insert("root".to_owned(), root);
            }))?;
        }
    }
    Ok(out.into_bytes())
}

fn kind(kind: &str, value: Value, with: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut out = serde_json::Map::new();
    out.insert("kind".to_owned(), kind.into());
    if let Value::Object(rest) = value {
        out.extend(rest);
    }
    with(&mut out);
    Value::Object(out)
}
