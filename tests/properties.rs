//! Invariants that hold for all input: edits on text, and reading and rewriting of any bytes.

use std::collections::HashMap;

use depickle::pack::Model;
use depickle::plan::Order;
use depickle::project::{FileId, Project};
use depickle::python::SourceFile;
use depickle::text::{Edit, EditSet, LineIndex, Span};
use proptest::prelude::*;

/// Edits of a text of `length` ASCII bytes, in no order; they may overlap.
fn edits(length: usize) -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..=length, 0..4usize, -2..2i32, "[a-z]{0,3}").prop_map(
        move |(start, size, order, text)| Edit {
            span: Span::new(start, (start + size).min(length)),
            order,
            text,
        },
    );
    proptest::collection::vec(edit, 0..6)
}

fn text_and_edits() -> impl Strategy<Value = (String, Vec<Edit>)> {
    "[A-Z\\n]{0,20}".prop_flat_map(|text| {
        let length = text.len();
        (Just(text), edits(length))
    })
}

proptest! {
    #[test]
    fn an_edit_set_is_sorted_and_free_of_overlaps((_, edits) in text_and_edits()) {
        if let Ok(set) = EditSet::new(edits) {
            for pair in set.edits().windows(2) {
                prop_assert!(pair[0].span.end <= pair[1].span.start);
            }
        }
    }

    #[test]
    fn the_order_in_which_edits_are_found_does_not_matter((text, edits) in text_and_edits()) {
        let mut backwards = edits.clone();
        backwards.reverse();
        match (EditSet::new(edits), EditSet::new(backwards)) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one.apply(&text), other.apply(&text)),
            (one, other) => prop_assert_eq!(one.is_err(), other.is_err()),
        }
    }

    #[test]
    fn bytes_outside_the_edits_stay((text, edits) in text_and_edits()) {
        if let Ok(set) = EditSet::new(edits) {
            // Upper case is the text's, lower case the edits'.
            let kept: String = text
                .char_indices()
                .filter(|(n, _)| !set.edits().iter().any(|e| e.span.start <= *n && *n < e.span.end))
                .map(|(_, c)| c)
                .collect();
            let after: String = set.apply(&text).chars().filter(|c| !c.is_lowercase()).collect();
            prop_assert_eq!(kept, after);
        }
    }

    #[test]
    fn a_union_is_both_or_neither((text, edits) in text_and_edits(), cut in 0..6usize) {
        let (left, right) = edits.split_at(cut.min(edits.len()));
        if let (Ok(left), Ok(right)) = (EditSet::new(left.to_vec()), EditSet::new(right.to_vec())) {
            let together = EditSet::new(edits.clone());
            prop_assert_eq!(left.union(&right).map(|s| s.apply(&text)), together.map(|s| s.apply(&text)));
        }
    }

    #[test]
    fn one_set_then_another_is_one_set((text, edits) in text_and_edits(), cut in proptest::collection::vec((0..30usize, 0..4usize, "[0-9]{0,3}"), 0..4)) {
        if let Ok(first) = EditSet::new(edits) {
            let between = first.apply(&text);
            let at = |n: usize| n.min(between.len());
            let next = cut.into_iter().map(|(start, size, text)| Edit::replace(Span::new(at(start), at(start + size)), text));
            if let Ok(next) = EditSet::new(next.collect()) {
                prop_assert_eq!(first.then(&text, &next).apply(&text), next.apply(&between));
            }
        }
    }

    #[test]
    fn line_starts_and_ends_enclose_their_offset(text in "[ab\\r\\n]{0,30}", at in 0..30usize) {
        let at = at.min(text.len());
        let index = LineIndex::new(&text);
        let (start, end) = (index.line_start(at), index.line_end(&text, at));
        prop_assert!(start <= at && at <= end);
        prop_assert!(!text[start..at].contains('\n'));
        prop_assert!(index.next_line(&text, at) >= end);
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_encode_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let file = SourceFile::read("a.py", &bytes);
        if file.unparsed().is_none() {
            prop_assert_eq!(file.encode(file.text()), Ok(bytes));
        }
    }

    #[test]
    fn declared_encodings_come_back_byte_for_byte(text in "[a-zéü ]{0,20}", latin in any::<bool>()) {
        let (name, body): (_, Vec<u8>) = match latin {
            true => ("latin-1", text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()),
            false => ("utf-8", text.clone().into_bytes()),
        };
        let bytes = [format!("# -*- coding: {name} -*-\nx = '").into_bytes(), body, b"'\n".to_vec()].concat();
        let file = SourceFile::read("a.py", &bytes);
        prop_assert!(file.unparsed().is_none());
        prop_assert_eq!(file.encode(file.text()), Ok(bytes));
    }
}

/// Pieces of programs that name pickle: put together at random they rarely make sense, and must never do harm.
fn program() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "import pickle\n",
        "from flask import Flask, request\napp = Flask(__name__)\n",
        "@app.route('/')\ndef f():\n    x = pickle.loads(request.data)\n    return x\n",
        "@app.route('/')\ndef g():\n    return h(request.data)\n",
        "def h(a, *b, c=1, **d):\n    return pickle.loads(a)\n",
        "class A(A):\n    def m(self):\n        return self.m(pickle.loads(self.x))\n",
        "for i in range(3):\n    try:\n        pickle.load(open(i))\n    finally:\n        pass\n",
        "x = y = (pickle.loads)(b'')\n",
        "x = [pickle.loads(i) for i in j if (k := i)]\n",
        "lambda: pickle.loads(x)\n",
        "match x:\n    case {'a': pickle}:\n        pass\n",
        "def f(",
        "    ",
        "\"\"\"",
        "x = f'{pickle.loads(request.data)!r:>{y}}'\n",
        "global x\n",
        "while True: pickle.loads(x); break\n",
        "async def k(r):\n    async with r as s:\n        yield pickle.loads(await s.read())\n",
    ]);
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_program_is_rewritten_once_or_not_at_all(text in program()) {
        // Analysis costs stack, here as in the program.
        let worker = std::thread::Builder::new().stack_size(depickle::cli::STACK);
        let worker = worker.spawn(move || rewritten_once(text)).expect("a thread");
        prop_assert_eq!(worker.join().expect("no panic"), Ok(()));
    }
}

fn rewritten_once(text: String) -> Result<(), &'static str> {
    let model = Model::builtin().expect("packs");
    let project = Project::new([("app.py".to_owned(), text.into_bytes())], Vec::new());
    let order = Order::default();
    let checked = depickle::migrate(&project, &model, &order, None);
    if checked.findings.len() != checked.decisions.len() {
        return Err("a finding without a decision");
    }
    let files = checked.changeset.files().iter();
    let changes: HashMap<FileId, Vec<u8>> =
        files.map(|file| (FileId(0), file.after.clone())).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let after = project.with(&changes);
    if after.source(FileId(0)).unparsed().is_some() {
        return Err("the rewritten program does not parse");
    }
    match depickle::migrate(&after, &model, &order, None)
        .changeset
        .files()
        .is_empty()
    {
        true => Ok(()),
        false => Err("rewriting again changes something"),
    }
}
