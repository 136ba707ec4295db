//! What joblib writes behind the description of an array, between two opcodes of a pickle.
//!
//! Invariant: only what joblib's own reader would skip is skipped, and never past the end. Whoever loads such a file
//! imports joblib and calls it; nothing here makes that look harmless.

use super::machine::{Id, Machine, Value};
use super::reader::Integer;

/// What follows the description of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// So many bytes, padding included.
    Raw(usize),
    /// A pickle, for an array of objects.
    Pickle,
}

/// What follows if the BUILD just done describes an array of joblib; `after` is the rest of the file.
pub(super) fn behind(machine: &Machine, after: &[u8]) -> Option<Behind> {
    let object = *machine.stack.last()?;
    let Value::Called(call) = machine.value(object) else {
        return None;
    };
    let name = &machine.calls.get(*call)?.callable;
    if !name.ends_with("numpy_pickle.NumpyArrayWrapper") {
        return None;
    }
    let Value::Dict(state) = machine.value(*machine.states.get(&object)?) else {
        return None;
    };
    let field = |name: &str| {
        let named = |key: Id| matches!(machine.value(key), Value::Text(t) | Value::Str(t) if **t == *name.as_bytes());
        let pair = state.iter().rev().find(|(key, _)| named(*key))?;
        Some(pair.1)
    };
    let (Value::Tuple(shape), dtype) = (machine.value(field("shape")?), field("dtype")?) else {
        return None;
    };
    let Some(size) = width(machine, dtype)? else {
        return Some(Behind::Pickle);
    };
    let bytes = shape.iter().try_fold(size, |bytes, side| {
        bytes.checked_mul(usize::try_from(number(machine, *side)?).ok()?)
    })?;
    let aligned =
        field("numpy_array_alignment_bytes").is_some_and(|n| number(machine, n).is_some());
    // One byte says how many follow it before the array.
    let padding = match (aligned, after.first()) {
        (true, Some(more)) => 1 + usize::from(*more),
        _ => 0,
    };
    Some(Behind::Raw(padding.checked_add(bytes)?.min(after.len())))
}

/// Bytes of one element; `Some(None)` if it holds objects.
fn width(machine: &Machine, dtype: Id) -> Option<Option<usize>> {
    let Value::Called(call) = machine.value(dtype) else {
        return None;
    };
    let call = machine.calls.get(*call)?;
    // `numpy.dtype('f8', False, True)`: the kind and its bytes, or its characters.
    let code = call.arguments.strip_prefix('"')?.split('"').next()?;
    let (kind, digits) = code.split_at_checked(1)?;
    let size: usize = digits.parse().ok()?;
    let state = machine.states.get(&dtype).map(|id| machine.value(*id));
    let flags = match state {
        Some(Value::Tuple(state)) => state.get(7).and_then(|flags| number(machine, *flags)),
        _ => None,
    };
    Some(match kind {
        "O" => None,
        // NumPy's flag that a field is an object.
        "V" if flags.is_some_and(|flags| flags & 1 == 1) => None,
        "U" => Some(size.checked_mul(4)?),
        _ => Some(size),
    })
}

fn number(machine: &Machine, id: Id) -> Option<i64> {
    match machine.value(id) {
        Value::Int(Integer::Small(number)) => Some(*number),
        _ => None,
    }
}
