//! The load's own call, as it stands and as it will stand: another name, other arguments, or other code.
//!
//! Invariant: an argument that the data of the sink says nothing of refuses.

use super::names::{Filled, fill, spell};
use super::wrap::changed;
use super::{Draft, Reason};
use crate::pack::{Change, Rewrite, Sink};
use crate::project::FileId;
use crate::python::ast::{self, AnyNodeRef, Expr};
use crate::python::{Bound, SourceFile, span};
use crate::text::{Edit, Span};
use crate::trace::Finding;

/// The load as it stands and as it will stand.
#[derive(Debug)]
pub(super) struct Load {
    /// The whole expression: `pickle.loads(data)`, `pickle.Unpickler(f).load()`.
    pub whole: Span,
    /// The argument by which the data arrives.
    pub argument: Span,
    /// The old function's name.
    pub callee: Span,
    new: New,
}

#[derive(Debug)]
enum New {
    /// The call stays, with these edits outside of the argument.
    Edits(Vec<Edit>),
    /// Other code, around the argument at `{argument}`.
    Code(String),
}

const ARGUMENT: &str = "{argument}";

impl Load {
    /// The same, given bytes where a buffer arrives: not every call reads one.
    pub fn of_bytes(self, file: &SourceFile) -> Result<Load, Reason> {
        let New::Edits(edits) = &self.new else {
            return Ok(self);
        };
        let scopes = file.scopes();
        let bound = scopes.lookup(scopes.at(self.whole.start), "bytes");
        if bound.is_some() {
            return Err(Reason::NameTaken);
        }
        let mut edits = edits.clone();
        edits.push(Edit::replace(self.argument, format!("bytes({ARGUMENT})")));
        let text = changed(file, self.whole, edits).ok_or(Reason::ExtraArguments)?;
        let new = New::Code(text);
        Ok(Load { new, ..self })
    }

    /// The edits that give the new call where the old one stands; `argument` takes the place of its own.
    pub fn in_place(&self, file: &SourceFile, argument: Option<&str>) -> Vec<Edit> {
        match &self.new {
            New::Code(code) => {
                let argument = argument.unwrap_or_else(|| file.slice(self.argument));
                vec![Edit::replace(self.whole, code.replace(ARGUMENT, argument))]
            }
            New::Edits(edits) => {
                let mut edits = edits.clone();
                edits.extend(argument.map(|name| Edit::replace(self.argument, name)));
                edits
            }
        }
    }
}

/// The whole expression that loads, where it is one.
pub(super) fn whole(file: &SourceFile, finding: &Finding, sink: &Sink) -> Result<Span, Reason> {
    if !sink.rewritable() {
        return Err(Reason::NoRewrite);
    }
    let place = finding.place.span;
    call_at(file, place).ok_or(Reason::IndirectCall)?;
    let whole = match &sink.method {
        Some(method) => {
            let whole = method_call(file, place, method).ok_or(Reason::UnpicklerInAVariable)?;
            let call = call_at(file, whole).ok_or(Reason::UnpicklerInAVariable)?;
            if !call.arguments.is_empty() {
                return Err(Reason::UnpicklerInAVariable);
            }
            whole
        }
        None => place,
    };
    match sink.lazy {
        true => consumed(file, whole).ok_or(Reason::LazyLoad),
        false => Ok(whole),
    }
}

/// Names of the module's own that new code uses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own<'n> {
    /// Of the class that it makes.
    pub class: &'n str,
    /// Of a function that is called where the new call would be.
    pub reader: Option<&'n str>,
}

/// The load of `finding`, if its form is one that can be rewritten; what it needs goes into `draft`.
pub(super) fn load(
    file: &SourceFile,
    finding: &Finding,
    sink: &Sink,
    rewrite: &Rewrite,
    own: Own<'_>,
    draft: &mut Draft,
) -> Result<Load, Reason> {
    let whole = whole(file, finding, sink)?;
    let place = finding.place;
    let call = call_at(file, place.span).ok_or(Reason::IndirectCall)?;
    let arguments = arguments(call, sink)?;
    let (data, others) = arguments.split_first().ok_or(Reason::ExtraArguments)?;
    let mut edits = treat(file, call, others, place.file, sink, rewrite, draft)?;
    let at = place.span.start;
    let new = match becomes(&sink.becomes) {
        Becomes::Same => New::Edits(edits),
        Becomes::Name(module, name) => {
            let spelled = spell(file, at, module, name, !taken_by_name(file, call, module))?;
            draft.keep(place.file, spelled.kept());
            draft.need(place.file, spelled.need);
            draft.gone.push((place.file, span(&*call.func)));
            let text = own.reader.map_or(spelled.text, str::to_owned);
            if sink.method.is_none() {
                edits.push(Edit::replace(span(&*call.func), text));
                edits.extend(unnamed(data));
                New::Edits(edits)
            } else {
                New::Code(format!("{text}({ARGUMENT})"))
            }
        }
        Becomes::Code(code) => {
            let filled = fill(file, at, code, true, |placeholder| match placeholder {
                "class" => own.class.to_owned(),
                _ => format!("{{{placeholder}}}"),
            })?;
            draft.gone.push((place.file, span(&*call.func)));
            New::Code(draft.take(place.file, filled))
        }
    };
    Ok(Load {
        whole,
        argument: span(data.value),
        callee: span(&*call.func),
        new,
    })
}

impl Draft {
    /// The text of `filled`, whose needs are noted.
    pub(super) fn take(&mut self, file: FileId, filled: Filled) -> String {
        self.need(file, filled.needs);
        self.keep(file, filled.kept);
        filled.text
    }
}

enum Becomes<'s> {
    Same,
    Name(&'s str, &'s str),
    Code(&'s str),
}

fn becomes(text: &str) -> Becomes<'_> {
    match text.rsplit_once('.') {
        _ if text.contains('{') => Becomes::Code(text),
        Some((module, name)) => Becomes::Name(module, name),
        None => Becomes::Same,
    }
}

/// Whether the file takes the old function from `module` by its name: `from yaml import load`.
fn taken_by_name(file: &SourceFile, call: &ast::ExprCall, module: &str) -> bool {
    let Expr::Name(name) = &*call.func else {
        return false;
    };
    let scopes = file.scopes();
    let found = scopes.lookup(scopes.at(span(call).start), name.id.as_str());
    found.is_some_and(|(_, bounds)| {
        bounds.iter().any(|bound| match bound {
            Bound::Import(import) => {
                let of = import.target.rsplit_once('.').map(|(module, _)| module);
                import.from && of == Some(module)
            }
            _ => false,
        })
    })
}

/// One argument of a call.
struct Argument<'a> {
    /// Its name, where it has one or its position is known.
    name: Option<&'a str>,
    /// With its keyword.
    extent: Span,
    value: &'a Expr,
    keyword: bool,
}

/// The arguments of `call`, what arrives first.
fn arguments<'a>(call: &'a ast::ExprCall, sink: &'a Sink) -> Result<Vec<Argument<'a>>, Reason> {
    let mut all = Vec::new();
    for (n, value) in call.arguments.args.iter().enumerate() {
        if value.is_starred_expr() {
            return Err(Reason::ExtraArguments);
        }
        all.push(Argument {
            name: sink.parameters.get(n).map(String::as_str),
            extent: span(value),
            value,
            keyword: false,
        });
    }
    for keyword in &call.arguments.keywords {
        let name = keyword.arg.as_ref().ok_or(Reason::ExtraArguments)?;
        all.push(Argument {
            name: Some(name.as_str()),
            extent: span(keyword),
            value: &keyword.value,
            keyword: true,
        });
    }
    let named = |argument: &Argument<'_>| {
        argument.keyword
            && sink
                .keyword
                .as_deref()
                .is_some_and(|k| argument.name == Some(k))
    };
    let data = match all.iter().position(named) {
        Some(data) => data,
        None if sink.argument < call.arguments.args.len() => sink.argument,
        // The only argument there is, whatever the library calls it.
        None if call.arguments.args.is_empty() && sink.keyword.is_none() && !all.is_empty() => 0,
        None => return Err(Reason::ExtraArguments),
    };
    let data = all.remove(data);
    all.insert(0, data);
    Ok(all)
}

/// What becomes of the arguments besides the data.
fn treat(
    file: &SourceFile,
    call: &ast::ExprCall,
    others: &[Argument<'_>],
    id: FileId,
    sink: &Sink,
    rewrite: &Rewrite,
    draft: &mut Draft,
) -> Result<Vec<Edit>, Reason> {
    let mut edits = Vec::new();
    let at = span(call).start;
    for argument in others {
        let name = argument.name.ok_or(Reason::ExtraArguments)?;
        let mut rows = sink
            .changes
            .iter()
            .filter(|row| row.keyword == name)
            .peekable();
        if rows.peek().is_some() {
            let row = rows
                .find(|row| was(file, argument.value, row))
                .ok_or(Reason::ExtraArguments)?;
            match &row.set {
                Some(code) => {
                    let filled = fill(file, at, code, true, str::to_owned)?;
                    let text = draft.take(id, filled);
                    edits.push(Edit::replace(span(argument.value), text));
                }
                None => edits.push(drop_argument(file, call, argument)?),
            }
            draft.gone.push((id, span(argument.value)));
        } else if argument.keyword
            && rewrite.droppable.iter().any(|d| d == name)
            && argument.value.is_literal_expr()
            && !gives_bytes(argument.value)
        {
            edits.push(drop_argument(file, call, argument)?);
        } else if !sink.keeps.iter().any(|k| k == name) {
            return Err(Reason::ExtraArguments);
        }
    }
    let given = |row: &&Change| !others.iter().any(|a| a.name == Some(row.keyword.as_str()));
    for row in sink.changes.iter().filter(|row| row.add).filter(given) {
        if let Some(code) = &row.set {
            let filled = fill(file, at, code, true, str::to_owned)?;
            let text = draft.take(id, filled);
            edits.push(add_argument(file, call, &row.keyword, &text)?);
        }
    }
    Ok(edits)
}

/// Whether `value` is one that `row` speaks of.
fn was(file: &SourceFile, value: &Expr, row: &Change) -> bool {
    let text = file.slice(span(value));
    let literal = value.is_literal_expr() && row.values.iter().any(|v| v == text);
    let names = file.names(file.scopes().at(span(value).start), value);
    let named = !names.is_empty() && names.iter().all(|name| row.names.contains(name));
    literal || named
}

/// Takes the arguments of `call` that are `droppable` out of it; any other but `kept` refuses. Gives where they stood too.
pub(super) fn drop_extra(
    file: &SourceFile,
    call: &ast::ExprCall,
    parameters: &[String],
    droppable: &[String],
    kept: &[&str],
) -> Result<(Vec<Edit>, Vec<Span>), Reason> {
    let positional = call.arguments.args.iter().enumerate().skip(1);
    let positional = positional.map(|(n, value)| Argument {
        name: n
            .checked_sub(1)
            .and_then(|n| parameters.get(n))
            .map(String::as_str),
        extent: span(value),
        value,
        keyword: false,
    });
    let named = call.arguments.keywords.iter().map(|keyword| Argument {
        name: keyword.arg.as_ref().map(|name| name.as_str()),
        extent: span(keyword),
        value: &keyword.value,
        keyword: true,
    });
    let mut edits = Vec::new();
    let mut gone = Vec::new();
    for argument in positional.chain(named) {
        let name = argument.name.ok_or(Reason::ExtraArguments)?;
        if kept.contains(&name) {
            continue;
        }
        let value = match argument.value {
            Expr::UnaryOp(node) => &node.operand,
            value => value,
        };
        let has_no_effect =
            value.is_literal_expr() || value.is_name_expr() || value.is_attribute_expr();
        if !has_no_effect || !droppable.iter().any(|d| d == name) {
            return Err(Reason::ExtraArguments);
        }
        edits.push(drop_argument(file, call, &argument)?);
        gone.push(argument.extent);
    }
    Ok((edits, gone))
}

/// `encoding="bytes"`: bytes come, and no text.
fn gives_bytes(value: &Expr) -> bool {
    matches!(value, Expr::StringLiteral(text) if text.value == *"bytes")
}

/// Takes `argument` out of `call`, with the comma before it.
fn drop_argument(
    file: &SourceFile,
    call: &ast::ExprCall,
    argument: &Argument<'_>,
) -> Result<Edit, Reason> {
    let open = span(&*call.func).end;
    let close = span(call).end.saturating_sub(1);
    let before = file.slice(Span::new(open, argument.extent.start));
    let after = file.slice(Span::new(argument.extent.end, close));
    let opened = before.trim_end_matches(|c: char| c.is_whitespace() || c == '(');
    let closed = after.len()
        - after
            .trim_start_matches(|c: char| c.is_whitespace() || c == ')')
            .len();
    let closed = after.get(..closed).map_or(0, |text| text.trim_end().len());
    let end = argument.extent.end + closed;
    let cut = match opened.strip_suffix(',') {
        Some(kept) => Span::new(open + kept.len(), end),
        // The first argument goes with the comma after it.
        None => {
            let rest = after.get(closed..).unwrap_or_default();
            let comma = rest
                .trim_start()
                .strip_prefix(',')
                .ok_or(Reason::ExtraArguments)?;
            Span::new(argument.extent.start, close - comma.trim_start().len())
        }
    };
    // A comment that explains the argument would go with it.
    match file.slice(cut).contains('#') {
        true => Err(Reason::ExtraArguments),
        false => Ok(Edit::replace(cut, "")),
    }
}

/// Puts `name=code` behind the last argument of `call`.
fn add_argument(
    file: &SourceFile,
    call: &ast::ExprCall,
    name: &str,
    code: &str,
) -> Result<Edit, Reason> {
    let arguments = &call.arguments;
    let positional = arguments.args.iter().map(span);
    let all = positional.chain(arguments.keywords.iter().map(span));
    let last = all.max().ok_or(Reason::ExtraArguments)?;
    let close = span(call).end.saturating_sub(1);
    let rest = file.slice(Span::new(last.end, close));
    // Behind the parentheses around the last argument.
    let code_only = rest.split(['#', ',']).next().unwrap_or_default();
    let behind = code_only.rfind(')').map_or(0, |at| at + 1);
    let line = file.index().line_start(last.start);
    let margin = file.slice(Span::new(line, last.start));
    let own_line = line > span(call).start && margin.trim().is_empty() && rest.contains(',');
    let gap = match own_line {
        true => format!("{}{margin}", file.style().newline),
        false => " ".to_owned(),
    };
    Ok(Edit::insert(
        last.end + behind,
        0,
        format!(",{gap}{name}={code}"),
    ))
}

/// Takes the keyword from the data: the safe call may have another name for it.
fn unnamed(data: &Argument<'_>) -> Option<Edit> {
    let start = span(data.value).start;
    data.keyword
        .then(|| Edit::replace(Span::new(data.extent.start, start), ""))
}

/// The call expression at `place`.
pub(super) fn call_at(file: &SourceFile, place: Span) -> Option<&ast::ExprCall> {
    file.ancestors(place)
        .into_iter()
        .rev()
        .find_map(|node| match node {
            AnyNodeRef::ExprCall(call) if span(call) == place => Some(call),
            _ => None,
        })
}

/// The call around the generator `inner` that takes all of it at once: `list(inner)`.
fn consumed(file: &SourceFile, inner: Span) -> Option<Span> {
    const CONSUMERS: [&str; 3] = ["builtins.list", "builtins.tuple", "builtins.sorted"];
    let around = file.ancestors(inner).into_iter().rev();
    let parents = around.filter(|node| span(node) != inner);
    // The node of the arguments lies between.
    parents.take(2).find_map(|node| match node {
        AnyNodeRef::ExprCall(call) => {
            let names = file.names(file.scopes().at(inner.start), &call.func);
            let first = call.arguments.args.first().map(span);
            let takes = names.iter().any(|name| CONSUMERS.contains(&name.as_str()));
            (takes && first == Some(inner)).then(|| span(call))
        }
        _ => None,
    })
}

/// The call `<inner>.method(...)` around `inner`.
pub(super) fn method_call(file: &SourceFile, inner: Span, method: &str) -> Option<Span> {
    let mut is_method = false;
    for node in file.ancestors(inner).into_iter().rev() {
        match node {
            AnyNodeRef::ExprAttribute(node) if span(&*node.value) == inner => {
                is_method = node.attr == *method;
            }
            AnyNodeRef::ExprCall(node) if is_method && span(&*node.func).contains(inner) => {
                return Some(span(node));
            }
            _ if span(&node) == inner => {}
            _ => return None,
        }
    }
    None
}
