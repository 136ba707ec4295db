//! One writer rewritten: `pickle.dumps(x)` becomes `json.dumps(x).encode()`, bytes where bytes were.
//!
//! Invariant: what it gives has the type that it had, and nothing that it was told is lost unseen.

use std::collections::BTreeSet;

use super::call::{call_at, drop_extra, method_call};
use super::content::{Judge, Judged};
use super::names::spell;
use super::once::within;
use super::wrap::{in_lines, statement_of};
use super::{Draft, Planner, Reason};
use crate::pack::{Rewrite, Writer};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};
use crate::trace::{Content, Place, Writing};

/// Encodings in which JSON, which is ASCII, is the same.
const ASCII: [&str; 8] = [
    "ascii",
    "latin1",
    "latin-1",
    "utf-8",
    "utf8",
    "iso-8859-1",
    "us-ascii",
    "cp1252",
];

impl<'p> Planner<'p> {
    /// The rewrite of the writer at `place`, and what becomes of its value.
    pub(super) fn writer(
        &self,
        writing: Option<&Writing>,
        place: Place,
        by: &BTreeSet<String>,
    ) -> Result<(Draft, Judged), Reason> {
        const STAYS: Reason = Reason::WriterNotRewritten;
        let file = self.project.source(place.file);
        if file.unparsed().is_some() {
            return Err(STAYS);
        }
        let call = call_at(file, place.span).ok_or(STAYS)?;
        let names = file.names(file.scopes().at(place.span.start), &call.func);
        let (rewrite, row) = names
            .iter()
            .find_map(|name| self.model.writer_row(name))
            .ok_or(STAYS)?;
        if by.iter().any(|id| *id != rewrite.id) {
            // The loads become something else than this writer can.
            return Err(STAYS);
        }
        let rewrite: &Rewrite = rewrite.rewrite.as_ref().ok_or(STAYS)?;
        let becomes = row
            .becomes
            .as_deref()
            .and_then(|name| name.rsplit_once('.'));
        let (module, name) = becomes.ok_or(STAYS)?;

        let mut draft = Draft::default();
        let spelled = spell(file, place.span.start, module, name, true)?;
        draft.keep(place.file, spelled.kept());
        draft.need(place.file, spelled.need.clone());
        draft.gone.push((place.file, span(&*call.func)));
        // `pickle.Pickler(file).dump(value)` is one call as `pickle.dump(value, file)` is.
        let (whole, dumping) = match &row.method {
            Some(method) => {
                let whole = method_call(file, place.span, method).ok_or(STAYS)?;
                (whole, call_at(file, whole).ok_or(STAYS)?)
            }
            None => (place.span, call),
        };
        let (value, stream) = given(file, call, dumping, row)?;
        let kept = [row.keyword.as_str(), "file"];
        let (mut edits, gone) =
            drop_extra(file, call, &row.parameters, &row.droppable, &kept).map_err(|_| STAYS)?;
        draft
            .gone
            .extend(gone.into_iter().map(|at| (place.file, at)));
        let to_file = writing.is_some_and(|w| w.channels.iter().any(|c| c == "local-file"));
        match stream {
            None => {
                single_write(file, place.span, to_file)?;
                edits.push(Edit::replace(span(&*call.func), spelled.text));
                edits.extend(unnamed(call, value));
                edits.extend(match decoded(file, place.span) {
                    _ if row.text => None,
                    Some(outer) => Some(Edit::replace(Span::new(place.span.end, outer.end), "")),
                    None => Some(Edit::insert(place.span.end, 0, ".encode()")),
                });
            }
            Some(stream) => {
                let alone = file.ancestors(whole).into_iter().any(
                    |node| matches!(node, AnyNodeRef::StmtExpr(node) if span(&*node.value) == whole),
                );
                let text = file.slice(whole);
                let simple = matches!(stream, Expr::Name(_) | Expr::Attribute(_));
                if !alone || !simple || text.contains('#') {
                    return Err(STAYS);
                }
                written_once(file, whole, stream)?;
                let (stream, value) = (file.slice(span(stream)), file.slice(span(value)));
                let encoded = if row.text { "" } else { ".encode()" };
                let text = format!("{stream}.write({}({value}){encoded})", spelled.text);
                edits = vec![Edit::replace(whole, text)];
            }
        }
        let alone = self.changes_alone(file, place);
        draft.edit(
            place.file,
            match alone {
                true => in_lines(file, place.span, edits),
                false => edits,
            },
        );

        let judge = Judge {
            file,
            id: place.file,
            rewrite,
            texts: writing.map_or(&[], |writing| &writing.texts),
        };
        let mut judged = judge.judge(value);
        let traced = writing.map_or(Content::Unknown, |writing| writing.value);
        let better =
            judged.content == Content::Unknown && traced == Content::Plain && !judged.changed;
        if better || traced > Content::Unknown && traced > judged.content {
            judged.content = traced;
        }
        Ok((draft, judged))
    }

    /// Whether nothing else changes in the statement around the writer at `place`.
    fn changes_alone(&self, file: &SourceFile, place: Place) -> bool {
        let Some((statement, _)) = statement_of(file, place.span) else {
            return false;
        };
        let inside = |at: &Span| statement.contains(*at) && !place.span.contains(*at);
        !within(self.loads_in(place.file), statement)
            .iter()
            .any(inside)
            && !within(&self.writing_in(place.file), statement)
                .iter()
                .any(inside)
    }
}

/// The value that `dumping` is given, and the file that `call`, which may be the same, writes into.
fn given<'f>(
    file: &SourceFile,
    call: &'f ast::ExprCall,
    dumping: &'f ast::ExprCall,
    row: &Writer,
) -> Result<(&'f Expr, Option<&'f Expr>), Reason> {
    let positional = &call.arguments.args;
    let spread = |call: &ast::ExprCall| {
        let starred = call.arguments.args.iter().any(Expr::is_starred_expr);
        starred || call.arguments.keywords.iter().any(|k| k.arg.is_none())
    };
    if spread(call) || spread(dumping) {
        return Err(Reason::WriterNotRewritten);
    }
    let in_call = |call: &'f ast::ExprCall, name: &str| {
        let mut keywords = call.arguments.keywords.iter();
        let found = keywords.find(|k| k.arg.as_ref().is_some_and(|a| *a == *name));
        found.map(|k| &k.value)
    };
    let named = |name: &str| in_call(call, name);
    let value = dumping.arguments.args.first();
    let value = value.or_else(|| in_call(dumping, &row.keyword));
    let value = value.ok_or(Reason::WriterNotRewritten)?;
    if matches!(value, Expr::Yield(_) | Expr::YieldFrom(_) | Expr::Named(_))
        || file.slice(span(value)).is_empty()
    {
        return Err(Reason::WriterNotRewritten);
    }
    match row.into {
        None => Ok((value, None)),
        Some(into) => {
            let stream = positional.get(into).or_else(|| named("file"));
            Ok((value, Some(stream.ok_or(Reason::WriterNotRewritten)?)))
        }
    }
}

/// Takes the keyword from `value`: the new call may have another name for it.
fn unnamed(call: &ast::ExprCall, value: &Expr) -> Option<Edit> {
    let mut keywords = call.arguments.keywords.iter();
    let keyword = keywords.find(|keyword| span(&keyword.value) == span(value))?;
    let before = Span::new(span(keyword).start, span(value).start);
    Some(Edit::replace(before, ""))
}

/// `<inner>.decode("ascii")` around `inner`, which then is text already.
fn decoded(file: &SourceFile, inner: Span) -> Option<Span> {
    let mut is_method = false;
    for node in file.ancestors(inner).into_iter().rev() {
        match node {
            AnyNodeRef::ExprAttribute(node) if span(&*node.value) == inner => {
                is_method = node.attr == *"decode";
            }
            AnyNodeRef::ExprCall(call) if is_method && span(&*call.func).contains(inner) => {
                let ascii = |expr: &Expr| {
                    let text = expr.as_string_literal_expr();
                    text.is_some_and(|t| ASCII.contains(&t.value.to_str().to_lowercase().as_str()))
                };
                let plain = call.arguments.keywords.is_empty()
                    && match call.arguments.args.as_ref() {
                        [] => true,
                        [one] => ascii(one),
                        _ => false,
                    };
                return plain.then(|| span(call));
            }
            _ if span(&node) == inner => {}
            _ => return None,
        }
    }
    None
}

/// Several pickles may stand in one file, one after the other; several JSON texts may not.
fn single_write(file: &SourceFile, writer: Span, to_file: bool) -> Result<(), Reason> {
    let mut kept = None;
    for node in file.ancestors(writer).into_iter().rev() {
        match node {
            AnyNodeRef::ExprCall(call) => {
                let within = |arg: &Expr| span(arg).contains(writer);
                if let Expr::Attribute(method) = &*call.func
                    && call.arguments.args.iter().any(within)
                {
                    match method.attr.as_str() {
                        "write" => return written_once(file, span(call), &method.value),
                        // It replaces what was there.
                        "write_bytes" | "write_text" => return Ok(()),
                        _ => {}
                    }
                }
            }
            AnyNodeRef::StmtAssign(node) => {
                kept = node.targets.first().and_then(Expr::as_name_expr);
            }
            AnyNodeRef::StmtFunctionDef(_) | AnyNodeRef::ExprLambda(_) => break,
            _ => {}
        }
    }
    if !to_file {
        return Ok(());
    }
    // Kept under a name first: `data = pickle.dumps(x)`, then `f.write(data)`.
    let name = kept.ok_or(Reason::WriterNotRewritten)?;
    let body = file
        .innermost_function(writer)
        .map_or(&file.module().body, |f| &f.body);
    let mut writes = Writes {
        name: &name.id,
        calls: Vec::new(),
        replaces: false,
    };
    writes.visit_body(body);
    match writes.calls.as_slice() {
        [] if writes.replaces => Ok(()),
        [call] => match &*call.func {
            Expr::Attribute(method) => written_once(file, span(*call), &method.value),
            _ => Err(Reason::WriterNotRewritten),
        },
        _ => Err(Reason::WriterNotRewritten),
    }
}

/// Calls that write what a name holds into a file.
struct Writes<'n, 'f> {
    name: &'n str,
    calls: Vec<&'f ast::ExprCall>,
    replaces: bool,
}

impl<'f> Visitor<'f> for Writes<'_, 'f> {
    fn visit_expr(&mut self, expr: &'f Expr) {
        if let Expr::Call(call) = expr
            && let Expr::Attribute(method) = &*call.func
            && let [Expr::Name(argument)] = call.arguments.args.as_ref()
            && *argument.id == *self.name
        {
            match method.attr.as_str() {
                "write" => self.calls.push(call),
                "write_bytes" | "write_text" => self.replaces = true,
                _ => {}
            }
        }
        visitor::walk_expr(self, expr);
    }
}

/// Whether `stream` is opened anew for this one `write`.
fn written_once(file: &SourceFile, write: Span, stream: &Expr) -> Result<(), Reason> {
    const STAYS: Result<(), Reason> = Err(Reason::WriterNotRewritten);
    let Expr::Name(name) = stream else {
        return STAYS;
    };
    let body = file
        .innermost_function(write)
        .map_or(&file.module().body, |f| &f.body);
    let mut opened = Opened {
        file,
        name: &name.id,
        extents: Vec::new(),
        others: 0,
        appends: false,
        write,
    };
    opened.visit_body(body);
    let [extent] = opened.extents.as_slice() else {
        return STAYS;
    };
    if opened.others > 0 || opened.appends {
        return STAYS;
    }
    for node in file.ancestors(write).into_iter().rev() {
        let here = span(&node);
        match node {
            AnyNodeRef::StmtFunctionDef(_) => break,
            // In each turn of the loop it is opened anew.
            AnyNodeRef::StmtFor(_) | AnyNodeRef::StmtWhile(_) if here.contains(*extent) => {}
            AnyNodeRef::StmtFor(_)
            | AnyNodeRef::StmtWhile(_)
            | AnyNodeRef::ExprListComp(_)
            | AnyNodeRef::ExprLambda(_)
            | AnyNodeRef::ExprGenerator(_) => return STAYS,
            _ => {}
        }
    }
    Ok(())
}

/// Where a file is opened under a name, and what else is done with it.
struct Opened<'f> {
    file: &'f SourceFile,
    name: &'f str,
    write: Span,
    extents: Vec<Span>,
    others: usize,
    appends: bool,
}

impl Opened<'_> {
    fn is_name(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Name(name) if *name.id == *self.name)
    }

    /// `open(path, "wb")`, `path.open("wb")`, `io.BytesIO()`.
    fn opens(&mut self, value: &Expr) -> bool {
        let Expr::Call(call) = value else {
            return false;
        };
        let names = self
            .file
            .names(self.file.scopes().at(span(value).start), &call.func);
        let method = call.func.as_attribute_expr();
        let known = |name: &String| {
            matches!(
                name.as_str(),
                "builtins.open" | "io.open" | "io.BytesIO" | "gzip.open" | "bz2.open" | "lzma.open"
            )
        };
        let keywords = call.arguments.keywords.iter().map(|k| &k.value);
        for argument in call.arguments.args.iter().chain(keywords) {
            if let Expr::StringLiteral(text) = argument {
                let text = text.value.to_str();
                self.appends |= text.len() <= 3 && text.contains(['a', '+', 'r']);
            }
        }
        names.iter().any(known) || method.is_some_and(|m| m.attr == *"open")
    }
}

impl<'a> Visitor<'a> for Opened<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::With(node) => {
                for item in &node.items {
                    let bound = item.optional_vars.as_deref();
                    if bound.is_some_and(|bound| self.is_name(bound)) {
                        match self.opens(&item.context_expr) {
                            true => self.extents.push(span(stmt)),
                            false => self.others += 1,
                        }
                    }
                }
            }
            Stmt::Assign(node) if node.targets.iter().any(|t| self.is_name(t)) => {
                match self.opens(&node.value) {
                    true => self.extents.push(span(stmt)),
                    false => self.others += 1,
                }
            }
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr
            && let Expr::Attribute(method) = &*call.func
            && self.is_name(&method.value)
        {
            let reads = matches!(
                method.attr.as_str(),
                "close" | "flush" | "getvalue" | "getbuffer" | "fileno" | "read" | "seek" | "tell"
            );
            if span(expr) != self.write && !reads {
                self.others += 1;
            }
            for argument in &call.arguments.args {
                self.visit_expr(argument);
            }
            return;
        }
        if let Expr::Name(name) = expr
            && self.is_name(expr)
            && name.ctx == ast::ExprContext::Load
            && !self.write.contains(span(expr))
        {
            // Handed to somebody else, who may write as well.
            self.others += 1;
        }
        visitor::walk_expr(self, expr);
    }
}
