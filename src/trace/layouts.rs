//! Values laid out in bytes and texts by a format: `struct`, `string.Template`; and numbers, which carry bytes as well.

use std::rc::Rc;

use super::at::At;
use super::machine::Machine;
use super::taint::Taint;
use super::value::{Arguments, Atom, Const, Container, Made, Role, Value};
use crate::pack::Shape;

/// More fields than this are not told apart.
const MOST_FIELDS: usize = 64;

impl<'a> Machine<'a> {
    /// What calling `name` gives, where a format says what each part is.
    pub(super) fn laid_out(
        &mut self,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Option<Value> {
        let made_with = || {
            receiver.atoms().iter().find_map(|atom| match atom {
                Atom::Made(made) => made.arguments.positional.first()?.text(),
                _ => None,
            })
        };
        match name {
            "struct.unpack" | "struct.unpack_from" | "struct.iter_unpack" => {
                let format = arguments.positional.first()?.text()?;
                self.unpacked(name, &format, arguments.positional.get(1)?, at)
            }
            "struct.Struct.unpack" | "struct.Struct.unpack_from" | "struct.Struct.iter_unpack" => {
                let data = arguments.positional.first()?;
                self.unpacked(name, &made_with()?, data, at)
            }
            "struct.pack" | "struct.Struct.pack" => {
                let harmless = |value: &Value| {
                    let is = |a: &Atom| matches!(a, Atom::Const(_) | Atom::Number(_));
                    !value.is_empty() && value.atoms().iter().all(is)
                };
                let all = arguments.positional.iter().all(harmless);
                (all && arguments.spread.is_empty()).then(Value::clean)
            }
            "string.Template" => {
                let given = arguments.first()?;
                given.text()?;
                Some(
                    Atom::Made(Rc::new(Made {
                        name: name.into(),
                        arguments: Arguments::one(given.clone()),
                    }))
                    .into(),
                )
            }
            "string.Template.substitute" | "string.Template.safe_substitute" => {
                let template = made_with()?;
                let parts = self.substitutes(&template, arguments, at);
                Some(self.combined(&parts))
            }
            "builtins.int" | "builtins.int.from_bytes" | "builtins.ord" => {
                let numbers = numbers(&arguments.any());
                (!numbers.is_empty()).then_some(numbers)
            }
            "builtins.bytes" | "builtins.bytearray" | "builtins.chr" => {
                let first = arguments.positional.first()?;
                let elements = match name {
                    "builtins.chr" => first.clone(),
                    _ => {
                        let lists = first.atoms().iter().map(|atom| match atom {
                            Atom::Container(container) if !container.is_buffer() => container.any(),
                            _ => Value::unknown(),
                        });
                        lists.fold(Value::unknown(), |all, one| all.join(&one))
                    }
                };
                let carried = carried(&elements);
                match carried.is_empty() {
                    true => None,
                    false => {
                        Some(self.stepped(&carried, Some(name), Shape::Bytes, false, at.place))
                    }
                }
            }
            _ => None,
        }
    }

    fn unpacked(&mut self, name: &str, format: &str, data: &Value, at: At<'a>) -> Option<Value> {
        let step = self.model.step(name)?;
        let fields = fields(format)?;
        let bytes = self.stepped(data, Some(name), step.shape, step.quiet, at.place);
        let numbers = numbers(data).join(&Value::clean());
        let values = fields.into_iter().map(|is_bytes| match is_bytes {
            true => bytes.clone(),
            false => numbers.clone(),
        });
        let tuple = Container::sequence(values).with(Role::Tuple);
        Some(match name.ends_with("iter_unpack") {
            true => Container::some(tuple.into()).with(Role::Iterator).into(),
            false => tuple.into(),
        })
    }

    /// The parts of `template` with what is given in place of `$name`.
    fn substitutes(&mut self, template: &str, arguments: &Arguments, at: At<'a>) -> Vec<Value> {
        let mut parts = Vec::new();
        let mut pieces = template.split('$');
        parts.push(Value::str(pieces.next().unwrap_or_default()));
        while let Some(piece) = pieces.next() {
            if piece.is_empty() {
                // `$$`.
                parts.push(Value::str("$"));
                parts.push(Value::str(pieces.next().unwrap_or_default()));
                continue;
            }
            let (name, rest) = match piece.strip_prefix('{').and_then(|p| p.split_once('}')) {
                Some(braced) => braced,
                None => {
                    let is_name = |c: char| c.is_alphanumeric() || c == '_';
                    let end = piece.find(|c| !is_name(c)).unwrap_or(piece.len());
                    piece.split_at(end)
                }
            };
            let value = match arguments.named(name) {
                Some(value) => value.clone(),
                None => {
                    let key = Const::Str(name.into());
                    let mapping = arguments.positional.first().cloned().unwrap_or_default();
                    let found = self.item(&mapping, Some(&key), at.place);
                    found.join(&arguments.spread)
                }
            };
            parts.push(value);
            parts.push(Value::str(rest));
        }
        parts
    }
}

/// Numbers that are made of the untrusted parts of `value`.
pub(super) fn numbers(value: &Value) -> Value {
    let taints = value.taints().into_iter().cloned();
    let known = value.atoms().iter().filter_map(|atom| match atom {
        Atom::Number(taint) => Some((**taint).clone()),
        _ => None,
    });
    let all: Vec<Taint> = taints.chain(known).collect();
    all.into_iter()
        .map(|taint| Atom::Number(Rc::new(taint)))
        .collect()
}

/// The data that is in the numbers of `value`.
pub(super) fn carried(value: &Value) -> Value {
    let numbers = value.atoms().iter().filter_map(|atom| match atom {
        Atom::Number(taint) => Some(Atom::Untrusted((**taint).clone())),
        _ => None,
    });
    numbers.collect()
}

/// The fields of a `struct` format: whether each is bytes, or else a number.
fn fields(format: &str) -> Option<Vec<bool>> {
    let mut fields = Vec::new();
    let mut count = String::new();
    for c in format.chars() {
        if c.is_ascii_digit() {
            count.push(c);
            continue;
        }
        let times: usize = match count.is_empty() {
            true => 1,
            false => count.parse().ok()?,
        };
        count.clear();
        match c {
            '@' | '=' | '<' | '>' | '!' | 'x' | ' ' => {}
            's' | 'p' => fields.push(true),
            _ if times > MOST_FIELDS => return None,
            'c' => fields.extend(std::iter::repeat_n(true, times)),
            _ => fields.extend(std::iter::repeat_n(false, times)),
        }
        if fields.len() > MOST_FIELDS {
            return None;
        }
    }
    Some(fields)
}
