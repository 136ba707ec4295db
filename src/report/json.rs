//! JSON: the run's own serde form.

use super::Run;

/// `run` as one JSON document with a final newline.
///
/// # Errors
/// Those of the serialiser, which a `Run` does not cause.
pub fn json(run: &Run) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(run)?;
    bytes.push(b'\n');
    Ok(bytes)
}
