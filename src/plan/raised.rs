//! What a guarded region can raise on bad input, and so what has to be caught.

use super::names::{Need, says_module, spell};
use super::{Planner, Reason};
use crate::pack::{Rewrite, Shape, Sink};
use crate::project::FileId;
use crate::python::ast::visitor::source_order::{self, SourceOrderVisitor};
use crate::python::ast::{self, Expr};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, HopKind, Place, Route, TaintPath};

/// One exception that has to be caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raised {
    /// As the file writes it: `ValueError`, `YAMLError`.
    pub text: String,
    /// Its name; qualified, where it is not built in: `yaml.YAMLError`.
    pub name: String,
}

impl Raised {
    fn builtin(name: &str) -> Raised {
        Raised {
            text: name.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Whether catching one of the classes `names` catches it.
    pub fn caught_by(&self, names: &[String]) -> bool {
        names
            .iter()
            .any(|name| *name == self.name || ancestors(&self.name).contains(&name.as_str()))
    }
}

/// What a guarded region can raise.
#[derive(Debug, Default)]
pub(super) struct Catch {
    /// All of it, in the order in which it is written.
    pub all: Vec<Raised>,
    /// What a handler that stands there already has to catch, to stay as it is.
    pub refusal: Vec<Raised>,
    /// Imports that naming it needs.
    pub needs: Vec<Need>,
    /// Names of the file that it uses.
    pub kept: Vec<String>,
}

impl Catch {
    fn add(&mut self, error: Raised) {
        let named: Vec<String> = self.all.iter().map(qualified).collect();
        if !error.caught_by(&named) {
            self.all
                .retain(|other| !other.caught_by(&[qualified(&error)]));
            self.all.push(error);
        }
    }
}

/// The name of `error`, with its module.
pub(super) fn qualified(error: &Raised) -> String {
    match error.name.contains('.') {
        true => error.name.clone(),
        false => format!("builtins.{}", error.name),
    }
}

/// `error` and its base classes, as CPython has them.
fn ancestors(error: &str) -> &'static [&'static str] {
    match error {
        "ValueError" => &[
            "builtins.ValueError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "TypeError" => &[
            "builtins.TypeError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "RecursionError" => &[
            "builtins.RecursionError",
            "builtins.RuntimeError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "KeyError" => &[
            "builtins.KeyError",
            "builtins.LookupError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "AttributeError" => &[
            "builtins.AttributeError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "IndexError" => &[
            "builtins.IndexError",
            "builtins.LookupError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "LookupError" => &[
            "builtins.LookupError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "OverflowError" => &[
            "builtins.OverflowError",
            "builtins.ArithmeticError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "EOFError" => &[
            "builtins.EOFError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "ImportError" => &[
            "builtins.ImportError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "MemoryError" => &[
            "builtins.MemoryError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        "OSError" => &[
            "builtins.OSError",
            "builtins.Exception",
            "builtins.BaseException",
        ],
        _ => &["builtins.Exception", "builtins.BaseException"],
    }
}

/// Whose errors are caught, and where.
#[derive(Clone, Copy)]
pub(super) struct Cause<'c> {
    /// The file in which they are caught.
    pub file: FileId,
    /// The load that raises them.
    pub finding: &'c Finding,
    /// Only on the ways through this call.
    pub by: Option<Place>,
    /// Its sink.
    pub sink: &'c Sink,
    /// What takes its place.
    pub rewrite: &'c Rewrite,
}

impl Planner<'_> {
    /// What `region` can raise on bad input.
    pub(super) fn catch(&self, cause: &Cause<'_>, region: Span) -> Result<Catch, Reason> {
        let Cause {
            file: id,
            finding,
            by,
            sink,
            rewrite,
        } = *cause;
        let file = self.project.source(id);
        let region_place = Place {
            file: id,
            span: region,
        };
        let taken = |route: &&Route| {
            by.is_none_or(|by| route.chain.first().is_some_and(|call| call.place == by))
        };
        let below = self.below(finding, by);
        let within = |place: Place| {
            let mut regions = std::iter::once(&region_place).chain(&below);
            regions.any(|region| region.file == place.file && region.span.contains(place.span))
        };
        let mut paths = finding
            .routes
            .iter()
            .filter(taken)
            .flat_map(|route| &route.paths);
        let missing = finding.maybe_none || paths.any(|path| may_be_missing(path, within));
        let mut catch = Catch::default();
        self.raised_by_steps(file, region)
            .into_iter()
            .for_each(|error| catch.add(error));
        self.raised_below(finding, &below, file, region, &mut catch)?;
        let taken = finding.routes.iter().filter(taken);
        for hop in taken
            .flat_map(|route| &route.paths)
            .flat_map(|path| path.hops())
        {
            for error in hop.raises.iter().filter(|_| within(hop.place)) {
                catch.add(Raised::builtin(error));
            }
        }
        if missing {
            let missing = sink
                .catch_missing
                .as_ref()
                .unwrap_or(&rewrite.catch_missing);
            catch.add(Raised::builtin(missing));
        }
        let own = match sink.catch.is_empty() {
            true => &rewrite.catch,
            false => &sink.catch,
        };
        catch.refusal = catch.all.clone();
        for name in own {
            let error = match name.rsplit_once('.') {
                None => Raised::builtin(name),
                Some((module, error)) => {
                    let by_module = says_module(file, module);
                    let spelled = spell(file, region.start, module, error, by_module)?;
                    catch.kept.extend(spelled.kept());
                    catch.needs.extend(spelled.need);
                    Raised {
                        text: spelled.text,
                        name: name.clone(),
                    }
                }
            };
            if rewrite.refusal.is_empty() {
                catch.refusal.push(error.clone());
            }
            catch.add(error);
        }
        let scopes = file.scopes();
        let is_own = |error: &Raised| {
            let scope = scopes.at(region.start);
            !error.name.contains('.') && scopes.lookup(scope, &error.text).is_some()
        };
        if catch.all.iter().any(is_own) {
            return Err(Reason::NameTaken);
        }
        // Never written, only looked for.
        let refusal = rewrite.refusal.iter().map(|name| Raised::builtin(name));
        catch.refusal.extend(refusal);
        Ok(catch)
    }

    /// Exceptions that decoding steps inside `region` raise and that are no `ValueError`, as the file can name them.
    pub(super) fn raised_by_steps(&self, file: &SourceFile, region: Span) -> Vec<Raised> {
        let scopes = file.scopes();
        let mut raised: Vec<Raised> = Vec::new();
        for chain in scopes.chains().iter().filter(|c| region.contains(c.span)) {
            for name in scopes.resolve(chain.scope, &chain.parts) {
                let error = self.model.step(&name).and_then(|step| step.raises.as_ref());
                let Some((name, (module, error))) =
                    error.and_then(|e| Some((e, e.rsplit_once('.')?)))
                else {
                    continue;
                };
                let spelled = spell(file, region.start, module, error, true);
                if let Ok(spelled) = spelled
                    && spelled.need.is_none()
                {
                    raised.push(Raised {
                        text: spelled.text,
                        name: name.clone(),
                    });
                }
            }
        }
        raised
    }

    /// The functions through which the call `by` comes to the load: what they raise rises through it.
    fn below(&self, finding: &Finding, by: Option<Place>) -> Vec<Place> {
        let through = |route: &&Route| {
            by.is_some_and(|by| route.chain.first().is_some_and(|call| call.place == by))
        };
        let routes = finding.routes.iter().filter(through);
        let definitions = routes.flat_map(|route| {
            let callers = route.chain.iter().skip(1).map(|call| call.caller);
            callers.chain([route.holder]).flatten()
        });
        definitions
            .filter_map(|def| {
                let home = self.project.source(def.file);
                let function = home.innermost_function(Span::new(def.start, def.start + 1))?;
                Some(Place {
                    file: def.file,
                    span: span(function),
                })
            })
            .collect()
    }

    /// What decoding steps on the way to the load raise in the functions `below`, as `file` can name it.
    fn raised_below(
        &self,
        finding: &Finding,
        below: &[Place],
        file: &SourceFile,
        region: Span,
        catch: &mut Catch,
    ) -> Result<(), Reason> {
        let paths = finding.routes.iter().flat_map(|route| &route.paths);
        let hops: Vec<Place> = paths
            .flat_map(|path| path.hops())
            .map(|hop| hop.place)
            .collect();
        for place in below {
            let home = self.project.source(place.file);
            let on_the_way = |chain: Span| {
                hops.iter()
                    .any(|hop| hop.file == place.file && hop.span.contains(chain))
            };
            let chains = home.scopes().chains().iter();
            for chain in chains.filter(|c| place.span.contains(c.span) && on_the_way(c.span)) {
                for name in home.scopes().resolve(chain.scope, &chain.parts) {
                    let error = self.model.step(&name).and_then(|step| step.raises.as_ref());
                    let Some((name, (module, error))) =
                        error.and_then(|e| Some((e, e.rsplit_once('.')?)))
                    else {
                        continue;
                    };
                    let by_module = says_module(file, module);
                    let spelled = spell(file, region.start, module, error, by_module)?;
                    catch.kept.extend(spelled.kept());
                    catch.needs.extend(spelled.need);
                    catch.add(Raised {
                        text: spelled.text,
                        name: name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether `call` is known to only read and decode what arrives.
    pub(super) fn reads_only(&self, file: &SourceFile, call: &ast::ExprCall) -> bool {
        let model = self.model;
        let scope = file.scopes().at(span(call).start);
        let names = file.names(scope, &call.func);
        let named = names
            .iter()
            .any(|name| model.step(name).is_some() || model.source(name).is_some());
        let method = call.func.as_attribute_expr().is_some_and(|attribute| {
            let attr = attribute.attr.as_str();
            let listed = model.frameworks.iter().any(|framework| {
                let objects = &framework.objects;
                objects.iter().any(|o| o.members.contains_key(attr))
            });
            model.method_step(attr).is_some() || listed
        });
        named || method
    }

    /// Whether `argument` holds calls that are not known to only read and decode.
    pub(super) fn argument_to_hoist(&self, file: &SourceFile, argument: Span) -> bool {
        struct Calls<'c> {
            argument: Span,
            known: &'c dyn Fn(&ast::ExprCall) -> bool,
            found: bool,
        }
        impl<'a> SourceOrderVisitor<'a> for Calls<'_> {
            fn visit_expr(&mut self, expr: &'a Expr) {
                let here = span(expr);
                if self.argument.contains(here)
                    && let Expr::Call(call) = expr
                {
                    self.found |= !(self.known)(call);
                }
                source_order::walk_expr(self, expr);
            }
        }
        let known = |call: &ast::ExprCall| self.reads_only(file, call);
        let mut calls = Calls {
            argument,
            known: &known,
            found: false,
        };
        // A function may have thousands of statements: only the one that holds it is walked.
        let mut around = file.ancestors(argument).into_iter().rev();
        if let Some(statement) = around.find(|node| node.is_statement()) {
            source_order::walk_node(&mut calls, statement);
        }
        calls.found
    }
}

/// Whether a value on `path` can be `None` where it is read or decoded `inside` a region.
fn may_be_missing(path: &TaintPath, inside: impl Fn(Place) -> bool) -> bool {
    // The form in which the value enters the region, unless it has its source there.
    let mut entering = None;
    for hop in path.hops().iter().filter(|hop| hop.kind != HopKind::Sink) {
        if !inside(hop.place) {
            entering = Some(hop.shape);
        } else {
            // A value that enters is read by the first step inside.
            if hop.shape == Shape::Any || entering.take() == Some(Shape::Any) {
                return true;
            }
        }
    }
    entering == Some(Shape::Any)
}
