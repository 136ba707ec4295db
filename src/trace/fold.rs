//! Constants: what Python computes of them, so that branches that never run are not taken.
//!
//! Whatever is not computed here is not known; nothing is guessed.

use std::rc::Rc;

use super::value::{Arguments, Atom, Const, Container, Value};
use crate::python::ast::{CmpOp, Operator};

/// Texts are not grown beyond this many bytes.
const LONGEST: usize = 4096;

fn text(text: String) -> Option<Const> {
    (text.len() <= LONGEST).then(|| Const::Str(text.into()))
}

/// `left op right`.
pub(super) fn binary(op: Operator, left: &Const, right: &Const) -> Option<Const> {
    use Const::{Bool, Bytes, Int, Str};
    let number = |constant: &Const| match constant {
        Int(n) => Some(*n),
        Bool(b) => Some(i64::from(*b)),
        _ => None,
    };
    match (op, left, right) {
        (Operator::Add, Str(a), Str(b)) => text(format!("{a}{b}")),
        (Operator::Add, Bytes(a), Bytes(b)) => {
            (a.len() + b.len() <= LONGEST).then(|| Bytes(format!("{a}{b}").into()))
        }
        (Operator::Mult, Str(a), Int(n)) | (Operator::Mult, Int(n), Str(a)) => {
            let times = usize::try_from(*n).unwrap_or(0);
            (a.len().saturating_mul(times) <= LONGEST).then(|| Str(a.repeat(times).into()))
        }
        (Operator::Mod, Str(format), value) => percent(format, std::slice::from_ref(value)),
        _ => {
            let (a, b) = (number(left)?, number(right)?);
            let value = match op {
                Operator::Add => a.checked_add(b)?,
                Operator::Sub => a.checked_sub(b)?,
                Operator::Mult => a.checked_mul(b)?,
                Operator::FloorDiv if b != 0 => a.checked_div_euclid(b).filter(|_| b > 0)?,
                Operator::Mod if b > 0 => a.checked_rem_euclid(b)?,
                Operator::Pow => a.checked_pow(u32::try_from(b).ok()?)?,
                Operator::LShift => a.checked_mul(1_i64.checked_shl(u32::try_from(b).ok()?)?)?,
                Operator::RShift => a.checked_shr(u32::try_from(b).ok()?)?,
                Operator::BitAnd => a & b,
                Operator::BitOr => a | b,
                Operator::BitXor => a ^ b,
                // A float, of which only comparisons would matter.
                _ => return None,
            };
            Some(Int(value))
        }
    }
}

/// `format % values`, of texts and numbers alone.
pub(super) fn percent(format: &str, values: &[Const]) -> Option<Const> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '%' => out.push('%'),
            's' | 'd' => out.push_str(&shown(values.next()?)?),
            _ => return None,
        }
    }
    text(out)
}

/// `str(constant)`.
pub(super) fn shown(constant: &Const) -> Option<String> {
    Some(match constant {
        Const::Str(text) => text.to_string(),
        Const::Int(n) => n.to_string(),
        Const::Bool(true) => "True".to_owned(),
        Const::Bool(false) => "False".to_owned(),
        Const::None => "None".to_owned(),
        Const::Bytes(_) | Const::Other => return None,
    })
}

/// `left op right`.
pub(super) fn compare(op: CmpOp, left: &Const, right: &Const) -> Option<bool> {
    use Const::{Bool, Int, Str};
    let known = |constant: &Const| *constant != Const::Other;
    if !known(left) || !known(right) {
        return None;
    }
    let as_number = |constant: &Const| match constant {
        Bool(b) => Int(i64::from(*b)),
        other => other.clone(),
    };
    let (a, b) = (as_number(left), as_number(right));
    Some(match op {
        CmpOp::Eq => a == b,
        CmpOp::NotEq => a != b,
        CmpOp::Is if matches!(left, Const::None) || matches!(right, Const::None) => left == right,
        CmpOp::IsNot if matches!(left, Const::None) || matches!(right, Const::None) => {
            left != right
        }
        CmpOp::In | CmpOp::NotIn => match (&a, &b) {
            (Str(a), Str(b)) => b.contains(&**a) == (op == CmpOp::In),
            _ => return None,
        },
        CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE => {
            let order = match (&a, &b) {
                (Int(a), Int(b)) => a.cmp(b),
                (Str(a), Str(b)) => a.cmp(b),
                _ => return None,
            };
            match op {
                CmpOp::Lt => order.is_lt(),
                CmpOp::LtE => order.is_le(),
                CmpOp::Gt => order.is_gt(),
                _ => order.is_ge(),
            }
        }
        _ => return None,
    })
}

/// `text[n]`.
pub(super) fn character(text: &str, n: i64) -> Option<Const> {
    let length = i64::try_from(text.chars().count()).ok()?;
    let at = if n < 0 { n + length } else { n };
    let c = text.chars().nth(usize::try_from(at).ok()?)?;
    Some(Const::Str(c.to_string().into()))
}

/// Bounds of `[lower:upper]` in something of `length`.
pub(super) fn bounds(lower: Option<i64>, upper: Option<i64>, length: usize) -> (usize, usize) {
    let whole = i64::try_from(length).unwrap_or(i64::MAX);
    let place = |n: i64| {
        let n = if n < 0 { n + whole } else { n };
        usize::try_from(n.clamp(0, whole)).unwrap_or(0)
    };
    let lower = lower.map_or(0, place);
    let upper = upper.map_or(length, place);
    (lower, upper.max(lower))
}

/// `text[lower:upper]`.
pub(super) fn cut(text: &str, lower: Option<i64>, upper: Option<i64>) -> Const {
    let (lower, upper) = bounds(lower, upper, text.chars().count());
    let part: String = text.chars().skip(lower).take(upper - lower).collect();
    Const::Str(part.into())
}

/// A slice of a container whose elements are known in order.
pub(super) fn part(container: &Container, lower: Option<i64>, upper: Option<i64>) -> Container {
    match container.in_order() {
        Some(items) => {
            let (lower, upper) = bounds(lower, upper, items.len());
            Container::sequence(items.get(lower..upper).unwrap_or(&[]).iter().cloned())
        }
        None => Container::some(container.any()),
    }
}

/// `text.method(arguments)`, of constants alone.
pub(super) fn method(text: &str, name: &str, arguments: &Arguments) -> Option<Value> {
    let given: Option<Vec<&Const>> = arguments.positional.iter().map(Value::constant).collect();
    let given = given?;
    if !arguments.named.is_empty() || !arguments.spread.is_empty() {
        return None;
    }
    let argument = |n: usize| match given.get(n) {
        Some(Const::Str(text)) => Some(&**text),
        _ => None,
    };
    let is_space = |c: char| c.is_whitespace();
    let stripped = |left: bool, right: bool| {
        let set: Option<Vec<char>> = match given.first() {
            None => None,
            Some(_) => Some(argument(0)?.chars().collect()),
        };
        let strips = |c: char| set.as_ref().map_or_else(|| is_space(c), |s| s.contains(&c));
        let mut out = text;
        if left {
            out = out.trim_start_matches(strips);
        }
        if right {
            out = out.trim_end_matches(strips);
        }
        Some(out.to_owned())
    };
    let out: String = match (name, given.len()) {
        ("upper", 0) => text.to_uppercase(),
        ("lower" | "casefold", 0) => text.to_lowercase(),
        ("strip", _) => stripped(true, true)?,
        ("lstrip", _) => stripped(true, false)?,
        ("rstrip", _) => stripped(false, true)?,
        ("replace", 2) => text.replace(argument(0)?, argument(1)?),
        ("encode", _) if !text.is_ascii() => return Some(Value::clean()),
        ("encode", _) => return Some(Const::Bytes(text.into()).into()),
        ("startswith", 1) => return Some(Value::bool(text.starts_with(argument(0)?))),
        ("endswith", 1) => return Some(Value::bool(text.ends_with(argument(0)?))),
        ("find", 1) => {
            let at = text
                .find(argument(0)?)
                .map(|at| text.get(..at).map_or(0, |t| t.chars().count()));
            let at = at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1);
            return Some(Const::Int(at).into());
        }
        ("count", 1) if !argument(0)?.is_empty() => {
            let n = text.matches(argument(0)?).count();
            return Some(Const::Int(i64::try_from(n).ok()?).into());
        }
        ("isdigit" | "isnumeric" | "isdecimal", 0) => {
            let all = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
            return text.is_ascii().then(|| Value::bool(all));
        }
        ("isalpha", 0) if text.is_ascii() => {
            let all = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic());
            return Some(Value::bool(all));
        }
        ("split", 0) => {
            let words = text.split_whitespace().map(Value::str);
            return Some(Container::sequence(words).into());
        }
        ("split", 1) if !argument(0)?.is_empty() => {
            let words = text.split(argument(0)?).map(Value::str);
            return Some(Container::sequence(words).into());
        }
        _ => return None,
    };
    (out.len() <= LONGEST).then(|| Value::str(&out))
}

/// A text of which only some characters are known, made of `parts`; nothing when none is.
pub(super) fn pattern<'v>(parts: impl IntoIterator<Item = &'v Value>) -> Option<Atom> {
    let mut out = String::new();
    let mut known = false;
    let mut is_bytes = false;
    for part in parts {
        let text = part.atoms().iter().find_map(|atom| match atom {
            Atom::Const(Const::Bytes(text)) => {
                is_bytes = true;
                Some(Rc::clone(text))
            }
            Atom::Const(Const::Str(text)) | Atom::Pattern(text) => Some(Rc::clone(text)),
            Atom::Made(made) => path_of(made),
            Atom::Untrusted(taint) => taint.text.clone(),
            _ => None,
        });
        match text {
            Some(text) if part.atoms().len() == 1 || text.contains('\0') => {
                known |= text.chars().any(|c| c != '\0');
                out.push_str(&text);
            }
            _ => out.push('\0'),
        }
    }
    known |= false;
    (known && out.len() <= LONGEST).then(|| match out.contains('\0') {
        true => Atom::Pattern(out.into()),
        false if is_bytes => Atom::Const(Const::Bytes(out.into())),
        false => Atom::Const(Const::Str(out.into())),
    })
}

/// `text[lower:upper]` of a text with holes, where that is known.
pub(super) fn known_part(
    text: Option<&str>,
    lower: Option<i64>,
    upper: Option<i64>,
) -> Option<Const> {
    let text = text?;
    let before: Vec<char> = text.split('\0').next()?.chars().collect();
    let after: Vec<char> = text.rsplit('\0').next()?.chars().collect();
    let size = |n: i64| usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    let part: String = match (lower.unwrap_or(0), upper) {
        (lower, Some(upper)) if lower >= 0 && upper >= 0 && size(upper) <= before.len() => before
            .get(size(lower)..size(upper).max(size(lower)))?
            .iter()
            .collect(),
        (lower, None) if lower < 0 && size(lower) <= after.len() => {
            after.get(after.len() - size(lower)..)?.iter().collect()
        }
        (lower, Some(upper)) if lower < 0 && upper < 0 && size(lower) <= after.len() => {
            let from = after.len() - size(lower);
            after
                .get(from..(after.len() - size(upper)).max(from))?
                .iter()
                .collect()
        }
        _ => return None,
    };
    Some(Const::Str(part.into()))
}

/// What `text.split(separator)` gives of a text with holes: the first and the last piece, where they are known.
pub(super) fn known_pieces(text: &str, separator: &str) -> (Option<Const>, Option<Const>) {
    if separator.is_empty() {
        return (None, None);
    }
    let before = text.split('\0').next().unwrap_or("");
    let after = text.rsplit('\0').next().unwrap_or("");
    let first = before
        .split_once(separator)
        .map(|(first, _)| Const::Str(first.into()));
    let last = after
        .rsplit_once(separator)
        .map(|(_, last)| Const::Str(last.into()));
    (first, last)
}

/// The path that a path object was made with.
fn path_of(made: &super::value::Made) -> Option<Rc<str>> {
    let is_path = made.name.starts_with("pathlib.") && made.name.ends_with("Path");
    let first = made.arguments.positional.first().filter(|_| is_path)?;
    first.atoms().iter().find_map(|atom| match atom {
        Atom::Const(Const::Str(text)) | Atom::Pattern(text) => Some(Rc::clone(text)),
        _ => None,
    })
}

/// The text that a path, a key or a path object is, as far as it is known.
pub(super) fn key_text(value: &Value) -> Rc<str> {
    match pattern([value]) {
        Some(Atom::Const(Const::Str(text)) | Atom::Pattern(text)) => text,
        _ => "\0".into(),
    }
}

/// Whether `key` can be the text of which `pattern` says some characters.
pub(super) fn fits(pattern: &str, key: &Const) -> bool {
    let Const::Str(text) = key else {
        // Of a key that is no text nothing is said.
        return true;
    };
    let mut pieces = pattern.split('\0');
    let Some(rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut rest = rest;
    let mut last = "";
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else {
            return false;
        };
        rest = after;
        last = piece;
    }
    text.ends_with(last)
}

/// Path objects and texts joined as file systems do.
pub(super) fn joined_path<'v>(parts: impl IntoIterator<Item = &'v Value>) -> Option<Atom> {
    let separator = Value::str("/");
    let mut all: Vec<&Value> = Vec::new();
    for part in parts {
        if !all.is_empty() {
            all.push(&separator);
        }
        all.push(part);
    }
    match pattern(all) {
        Some(Atom::Const(Const::Str(path))) => Some(Atom::Const(Const::Str(tidy(&path)))),
        Some(Atom::Pattern(path)) => Some(Atom::Pattern(tidy(&path))),
        other => other,
    }
}

fn tidy(path: &str) -> Rc<str> {
    path.replace("//", "/").replace("/./", "/").into()
}
