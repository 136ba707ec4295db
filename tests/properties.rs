//! Invariants that hold for all input: edits on text, and reading and rewriting of any bytes.

#[path = "support/holds.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod holds;
#[path = "support/holds_journal.rs"]
mod holds_journal;

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
    fn what_is_added_is_in_with_the_rest_or_not_at_all((text, edits) in text_and_edits(), cut in 0..6usize) {
        let (left, right) = edits.split_at(cut.min(edits.len()));
        if let (Ok(mut left), Ok(right)) = (EditSet::new(left.to_vec()), EditSet::new(right.to_vec())) {
            let together = EditSet::new(edits.clone()).ok();
            let added = left.add(&right).ok();
            prop_assert_eq!(added.map(|()| left.apply(&text)), together.map(|s| s.apply(&text)));
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
            prop_assert_eq!(file.rewritten(&EditSet::default()), Ok(bytes));
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
        prop_assert_eq!(file.rewritten(&EditSet::default()), Ok(bytes));
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
        holds::program(text.as_bytes());
    }
}

/// `text` with bytes of its own, of others and of `pieces` put in, left out and written over.
fn mutated(text: &[u8], changes: &[(usize, usize, usize)], pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = text.to_vec();
    for (at, kind, from) in changes {
        let at = at % (out.len() + 1);
        let end = (at + kind % 40).min(out.len());
        let start = from % (text.len() + 1);
        let own = &text[start..(start + from % 30).min(text.len())];
        let piece = pieces[from % pieces.len()];
        match kind % 4 {
            0 => drop(out.splice(at..end, [])),
            1 => drop(out.splice(at..end, own.to_vec())),
            2 => drop(out.splice(at..at, piece.to_vec())),
            _ => drop(out.splice(at..end, piece.to_vec())),
        }
    }
    out
}

fn changes() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    proptest::collection::vec((any::<usize>(), any::<usize>(), any::<usize>()), 1..5)
}

/// The programs of the corpus.
fn programs() -> Vec<&'static str> {
    let kept = [
        include_str!("corpus/between.md"),
        include_str!("corpus/guards.md"),
        include_str!("corpus/ledger.md"),
        include_str!("corpus/sinks.md"),
        include_str!("corpus/storage.md"),
        include_str!("corpus/within.md"),
    ];
    let blocks = kept
        .iter()
        .flat_map(|text| text.split("```").skip(1).step_by(2));
    let programs = blocks.filter_map(|block| Some(block.split_once('\n')?.1));
    programs.collect()
}

/// Each kind of entry once, or nearly, as a journal has them.
const JOURNAL: &str = include_str!("support/journal.jsonl");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn mutated_real_programs_are_rewritten_once_or_not_at_all(which in any::<usize>(), changes in changes()) {
        let programs = programs();
        let pieces: &[&[u8]] = &[
            b"pickle.loads(", b"request.data", b"\n    ", b"\n", b")", b"(", b":", b"'", b"\"\"\"", b"async ", b"yield ", b"\xff", b"\0",
            b"lambda: ", b"# ", b"f'{", b"global x\n", b"import pickle as p\n", b"\\\n", b"\r", b"\x0c", b";", b"=", b"*",
        ];
        holds::program(&mutated(programs[which % programs.len()].as_bytes(), &changes, pieces));
    }

    #[test]
    fn any_bytes_are_a_program_or_unparsed(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        holds::program(&bytes);
    }

    #[test]
    fn mutated_packs_are_models_or_errors(which in any::<usize>(), changes in changes()) {
        let pieces: &[&[u8]] = &[b"[[sink]]\n", b"name = \"\"\n", b"\"", b"[", b"]", b"=", b"\n", b"$", b"{}", b"{value}", b"true", b"-1", b"\xc3\xa4"];
        let (_, text) = holds::PACKS[which % 2];
        let text = mutated(text.as_bytes(), &changes, pieces);
        holds::pack(&String::from_utf8_lossy(&text), which);
    }

    #[test]
    fn mutated_configurations_are_read_or_errors(changes in changes()) {
        let text = b"trust = [\"http\"]\nexclude = [\"a/*\"]\njobs = 2\n[cache]\nmax-size = \"20G\"\nmax-age = \"3d\"\n[[repo]]\npath = \"a\"\nbase = \"b\"\n";
        let pieces: &[&[u8]] = &[b"\"", b"9", b"T", b"\xc3\xa4", b"[[repo]]\n", b"url = \"https://a/b\"\n", b"=", b"]"];
        holds_journal::configuration(&String::from_utf8_lossy(&mutated(text, &changes, pieces)));
    }

    #[test]
    fn mutated_journals_are_records_or_errors(changes in changes()) {
        let pieces: &[&[u8]] = &[b"\"", b"\n", b"{", b"}", b"null", b"rolled-back", b"refs/heads/x", b"\xff", b"-1", b"[]"];
        holds_journal::journal(&mutated(JOURNAL.as_bytes(), &changes, pieces));
    }
}

#[test]
fn the_journal_here_is_one() {
    holds_journal::journal(JOURNAL.as_bytes());
    for line in JOURNAL.lines() {
        let entry: Result<depickle::journal::Entry, _> = serde_json::from_str(line);
        assert!(entry.is_ok(), "{line}: {entry:?}");
    }
}
