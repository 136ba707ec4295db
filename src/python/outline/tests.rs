use proptest::prelude::*;
use rustpython_ast::comparable::ComparableStmt;
use rustpython_ast::visitor::transformer::{self, Transformer};
use rustpython_parser::{Mode, ParseOptions, parse_unchecked};

use super::super::ast::{self, ModModule, Stmt};
use super::super::{Scopes, span};
use super::Outline;

/// All that the parser sees, and whether it is sure.
fn whole(text: &str) -> (ModModule, bool) {
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    let sure = parsed.errors().is_empty();
    match parsed.into_syntax() {
        ast::Mod::Module(module) => (module, sure),
        ast::Mod::Expression(_) => (super::super::empty_module(), sure),
    }
}

/// Puts the bodies of functions back; notes whether all parse alone.
struct Filled<'o>(&'o Outline, std::cell::Cell<bool>);

impl Transformer for Filled<'_> {
    fn visit_stmt(&self, stmt: &mut Stmt) {
        if let Stmt::FunctionDef(node) = stmt
            && self.0.is_hollow(span(node).start)
        {
            match self.0.function(span(node).start) {
                Some(function) => *node = function.clone(),
                None => self.1.set(false),
            }
            return;
        }
        transformer::walk_stmt(self, stmt);
    }
}

/// Functions wherever they are, with their places.
fn said(body: &[Stmt], out: &mut Vec<String>) {
    for stmt in body {
        match stmt {
            Stmt::ClassDef(node) => said(&node.body, out),
            Stmt::If(node) => said(&node.body, out),
            Stmt::For(node) => said(&node.body, out),
            Stmt::While(node) => said(&node.body, out),
            Stmt::With(node) => said(&node.body, out),
            Stmt::Try(node) => said(&node.body, out),
            stmt => out.push(format!("{stmt:?}")),
        }
    }
}

/// What module level binds, and what is imported anywhere.
fn bound(scopes: &Scopes) -> Vec<String> {
    let names = scopes
        .names_in(0)
        .map(|(name, bound)| format!("{name} {bound:?}"));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Whether the outline of `text` is what the parser sees; nothing when there is none.
fn agrees(text: &str) -> Option<bool> {
    let mut outline = Outline::of(text.to_owned())?;
    outline.most_passed = usize::MAX;
    let (module, sure) = whole(text);
    let filled = Filled(&outline, std::cell::Cell::new(true));
    let mut body = outline.body().to_vec();
    body.iter_mut().for_each(|stmt| filled.visit_stmt(stmt));
    if !sure || !filled.1.get() {
        // What does not parse is told by who asks for it.
        return Some(sure == filled.1.get());
    }
    let same = |a: &[Stmt], b: &[Stmt]| {
        let (a, b) = (
            a.iter().map(ComparableStmt::from),
            b.iter().map(ComparableStmt::from),
        );
        a.eq(b)
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    said(&body, &mut ours);
    said(&module.body, &mut theirs);
    let scopes = Scopes::of(&module);
    let mut imports: Vec<_> = scopes.imports().collect();
    let mut found = outline.imports()?;
    imports.sort_by_key(|import| (import.alias.start, import.target.clone()));
    found.sort_by_key(|import| (import.alias.start, import.target.clone()));
    Some(
        same(&body, &module.body)
            && ours == theirs
            && bound(outline.scopes()) == bound(&scopes)
            && imports == found,
    )
}

#[test]
fn functions_lack_their_bodies_and_nothing_else() {
    let text = "import a\n@b\ndef f(x=1):\n    y = x\n\n# c\nclass C:\n    z = 1\n    def g(self): # d\n        return f\nw = 2\n";
    assert_eq!(agrees(text), Some(true));
    let outline = Outline::of(text.to_owned()).unwrap();
    assert_eq!(outline.functions.len(), 2);
    let names = |name: &str| !outline.scopes().bound_in(0, name).is_empty();
    assert!(names("f") && names("C") && names("w") && names("a"));
    let start = text.find("@b").unwrap();
    assert_eq!(outline.function(start).unwrap().body.len(), 1);
    assert!(
        outline
            .scopes_at(start)
            .unwrap()
            .names_in(1)
            .any(|(name, _)| name == "y")
    );
}

#[test]
fn what_is_in_doubt_has_no_outline() {
    for text in [
        "x = 1\n",
        "def f(): return 1\n",
        "def f():\n    global x\n    x = 1\n",
        "def f():\n    return (1\n",
        "def f():\n    return 1)\n",
        "def f():\n    return 'a\n",
        "def f():\n    x = (1,\ndef g():\n    y = 2)\n",
        "def f():\n    x = 1\nif a:\n\ty = 1\n",
        "def f():\nx = 1\n",
        "def f() -> lambda: 0:\n    x = 1\n",
        "def f():\n\x0c    x = 1\n",
        "def f():\n    x = f'{a['b']}'\n",
        "def f():\n    x = 1\nx = = 1\n",
    ] {
        assert!(Outline::of(text.to_owned()).is_none(), "{text:?}");
    }
}

#[test]
fn a_function_that_does_not_parse_is_nothing() {
    let text = "def f():\n    x = = 1\ndef g():\n    y = 1\n";
    let outline = Outline::of(text.to_owned()).unwrap();
    assert!(outline.function(0).is_none());
    assert!(outline.function(text.find("def g").unwrap()).is_some());
}

#[test]
fn passing_over_much_is_given_up() {
    let functions: String = (0..400)
        .map(|n| format!("def f{n}():\n    pass\n"))
        .collect();
    let outline = Outline::of(functions).unwrap();
    let alone = |f: &&super::Hollow| outline.function(f.start).is_some();
    let parsed = outline.functions.iter().filter(alone).count();
    assert!((100..300).contains(&parsed), "{parsed}");
}

/// Statements, some of many lines, and heads of blocks; `@` stands for the indentation.
const LINES: [&str; 26] = [
    "x = 1",
    "import os, a.b as c",
    "from a import (b,\n c)",
    "s = \"\"\"\ndef f():\n  \"\"\"",
    "y = [1,\n2,\n  3]",
    "z = 1 + \\\n  2",
    "w = f'{a:>{b}}' # def g():",
    "w = f'''{a}\ndef g():\n{b\n}'''",
    "# def h():",
    "",
    "\n# odd",
    "global g; g = 2",
    "x: int = 3; y = 4",
    "lambda: [i for i in x]",
    "def h(): return 1",
    "class K: pass",
    "print('def', r'\\'', b\"#\")",
    "return",
    "async with a: pass",
    "t = '\\\ndef'",
    "(v := 1)",
    "\x0cq = 1",
    "d = {'a':\n(1)}",
    "@deco",
    "raise x\r",
    "x = 1;",
];

const HEADS: [&str; 12] = [
    "def f(a, b=lambda: 1):",
    "async def g(x: int = {1: 2}[1], *,\n  y) -> 'z':",
    "class A(B, metaclass=C):",
    "if x:",
    "while x: # why",
    "for i in y:",
    "with a as b:",
    "def k() -> lambda: 0:",
    "def long(\n  a,\n  b,\n):  # note",
    "@property\n@def p(self):",
    "@a.b(\nc)\n\n@# between\n@async def  q(self) :",
    "def\tr():",
];

/// A program of such lines: how many blocks end before each, which it is, and whether one begins with it.
fn program(lines: &[(usize, usize, bool)], unit: &str, end: &str) -> String {
    let (mut depth, mut begun) = (0_usize, false);
    let mut text = String::new();
    for (fewer, which, block) in lines {
        let ends = (*fewer).min(depth);
        if begun && ends > 0 {
            text.push_str(&format!("{}pass{end}", unit.repeat(depth)));
        }
        depth -= ends;
        let indent = unit.repeat(depth);
        let some: &[&str] = if *block { &HEADS } else { &LINES };
        let line = some[which % some.len()];
        // A decorator's own sign comes first.
        let (first, rest) = line.split_at(line.len().min(1));
        let line = format!("{first}{}", rest.replace("\n@", &format!("\n{indent}")));
        text.push_str(&format!("{indent}{}{end}", line.replace('\n', end)));
        begun =
            *block || (begun && ends == 0 && matches!(line.trim(), "" | "# odd" | "# def h():"));
        depth += usize::from(*block);
    }
    if begun {
        text.push_str(&format!("{}pass", unit.repeat(depth)));
    }
    text
}

fn lines() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    prop::collection::vec((0_usize..3, 0_usize..100, prop::bool::weighted(0.4)), 1..14)
}

const CHAOS: [&str; 16] = [
    "(", ")", "\"", "'", "\"\"\"", "\n", "\\", "\\\n", "{", "f'{", " ", "\t", "\r", "def ", ":",
    "#",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn an_outline_is_what_the_parser_sees(
        lines in lines(),
        unit in prop::sample::select(&["    ", "\t", " "][..]),
        end in prop::sample::select(&["\n", "\r\n", "\r"][..]),
    ) {
        let text = program(&lines, unit, end);
        prop_assert!(agrees(&text) != Some(false), "{text:?}");
    }

    #[test]
    fn also_of_what_is_broken(
        lines in lines(),
        chaos in prop::collection::vec((prop::sample::select(&CHAOS[..]), any::<prop::sample::Index>()), 1..4),
    ) {
        let mut text = program(&lines, "  ", "\n");
        for (piece, at) in chaos {
            let at = at.index(text.len() + 1);
            if text.is_char_boundary(at) {
                text.insert_str(at, piece);
            }
        }
        prop_assert!(agrees(&text) != Some(false), "{text:?}");
    }
}
