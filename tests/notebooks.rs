//! Notebooks, and Python that is in no `.py` file: what is found, where, and what becomes of every byte.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real files and runs programs"
)]

#[path = "support/home.rs"]
mod home;
#[path = "support/venv.rs"]
mod venv;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use depickle::python::SourceFile;
use depickle::text::{Edit, EditSet, Span};
use home::{GUIDE, Home, code, git, stderr, stdout};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Writes one notebook in every form there is, or holds what became of them against what nbformat would have written.
const FORMS: &str = r##"
import json, sys, pathlib, nbformat
from nbformat.v4 import new_notebook, new_code_cell, new_markdown_cell, new_output
do, folder = sys.argv[1], pathlib.Path(sys.argv[2])
IMPORTS = "%matplotlib inline\nimport pickle\n\nfrom flask import Flask, request\n\napp = Flask(__name__)"
LOAD = '# grüße 🥒 "quoted" \\ back\n@app.route("/load", methods=["POST"])\ndef load():\n    cart = pickle.loads(request.get_data())\n    return {"n": len(cart)}'
SHELL = "!ls\nfiles = !ls *.py\nload?\n%timeit -n 1 sum(range(3))"
NEW = LOAD.replace("    cart = pickle.loads(request.get_data())\n", '''    try:
        cart = json.loads(request.get_data())
    except (ValueError, RecursionError):
        # Not JSON: refuse it, never fall back to pickle.
        return "Invalid input", 400
''')
def book(after):
    out = new_output("stream", name="stdout", text="pickle.loads(ü) \x1b[31m\n")
    big = new_output("display_data", data={"image/png": "iVBOR" * 40, "text/plain": ["a", "b"]})
    imports, load = (IMPORTS.replace("import pickle", "import json"), NEW) if after else (IMPORTS, LOAD)
    cells = [new_markdown_cell("# Title\npickle.loads(x)"), new_code_cell(imports, outputs=[out]),
             new_code_cell("%%bash\necho 'pickle.loads(' \"", id="bash"), new_code_cell(load, outputs=[big], id="load"),
             new_code_cell(SHELL, id="shell"), new_code_cell("", id="empty")]
    cells[0]["id"], cells[1]["id"] = "title", "imports"
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python"}, "zeta": 1, "alpha": {"b": [1.0, 1e-7]}})
def lines(nb, how):
    nb = json.loads(nbformat.writes(nb))
    for cell in nb["cells"]:
        cell["source"] = how("".join(cell["source"]))
    return nb
forms = {
    "four": lambda nb: nbformat.writes(nb),
    "three": lambda nb: nbformat.writes(nbformat.convert(nb, 3), version=3),
    "ascii": lambda nb: json.dumps(json.loads(nbformat.writes(nb)), indent=4),
    "compact": lambda nb: json.dumps(json.loads(nbformat.writes(nb)), separators=(",", ":"), ensure_ascii=False),
    "text": lambda nb: json.dumps(lines(nb, str), indent=1, ensure_ascii=False) + "\n\n",
    "one": lambda nb: json.dumps(lines(nb, lambda text: [text]), indent=2, ensure_ascii=False),
    "tabs": lambda nb: json.dumps(json.loads(nbformat.writes(nb)), indent="\t", ensure_ascii=False) + "\r\n",
}
for name, write in forms.items():
    path = folder / f"{name}.ipynb"
    if do == "write":
        path.write_bytes(write(book(False)).encode())
    else:
        got = path.read_bytes().decode()
        nbformat.validate(nbformat.reads(got, as_version=4))
        wanted = write(book(True))
        if got != wanted:
            import difflib
            sys.exit(name + "\n" + "\n".join(difflib.unified_diff(wanted.split("\n"), got.split("\n"), "wanted", "got")))
"##;

fn forms(home: &Home, what: &str) {
    let output = Command::new(venv::python())
        .args(["-c", FORMS, what])
        .arg(home.path("books"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_form_of_a_notebook_is_rewritten_as_nbformat_would_write_it() {
    let home = Home::new();
    fs::create_dir(home.path("books")).unwrap();
    forms(&home, "write");
    let before = |name: &str| fs::read(home.path("books").join(name)).unwrap();
    let names = ["four", "three", "ascii", "compact", "text", "one", "tabs"];
    let files = names.map(|name| format!("{name}.ipynb"));
    let was = files.each_ref().map(|name| before(name));
    let applied = home.run(&["apply", "books"]);
    assert_eq!(
        code(&applied),
        0,
        "{}{}",
        stdout(&applied),
        stderr(&applied)
    );
    forms(&home, "hold");
    let again = home.run(&["diff", "books"]);
    assert_eq!((code(&again), stdout(&again).as_str()), (0, ""));
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(files.each_ref().map(|name| before(name)), was);
}

/// A notebook as nbformat writes it.
fn notebook(cells: &[(&str, &str)]) -> String {
    let cell = |(n, (kind, source)): (usize, &(&str, &str))| {
        let lines: Vec<&str> = source.split_inclusive('\n').collect();
        let mut cell =
            json!({"cell_type": kind, "id": format!("c{n}"), "metadata": {}, "source": lines});
        if *kind == "code" {
            cell["execution_count"] = Value::Null;
            cell["outputs"] = json!([]);
        }
        cell
    };
    let cells: Vec<Value> = cells.iter().enumerate().map(cell).collect();
    let book = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
    serde_json::to_string_pretty(&book).unwrap() + "\n"
}

#[test]
fn a_finding_has_its_place_in_the_file_and_in_the_cell() {
    let home = Home::new();
    let (head, load) = GUIDE.split_at(GUIDE.find("@app").unwrap());
    let book = notebook(&[("markdown", "# x"), ("code", head), ("code", load)]);
    home.repo("shop", &[("book.ipynb", &book)]);
    let run = home.json(&["scan", "shop", "--format", "json"]);
    let finding = &run["projects"][0]["findings"][0];
    let line = book
        .lines()
        .position(|line| line.contains("pickle.loads"))
        .unwrap()
        + 1;
    assert_eq!(finding["line"], line);
    let text = book.lines().nth(line - 1).unwrap();
    assert_eq!(finding["column"], text.find("pickle.loads").unwrap() + 1);
    let cell = json!({"number": 3, "line": 4, "column": 22, "end_line": 4, "end_column": 40});
    assert_eq!(finding["cell"], cell);
    assert_eq!(finding["path"][0]["cell"]["line"], 3);
    let said = stdout(&home.run(&["scan", "shop"]));
    for part in [
        "it becomes a JSON load that answers 400 (cell 3, line 4)",
        "      4 |     unpickled_data = pickle.loads(data)\n        |                      ^^^^^^^^^^^^^^^^^^\n",
        "request.get_data() (cell 3, line 3)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let sarif = home.json(&["scan", "shop", "--format", "sarif"]);
    let result = &sarif["runs"][0]["results"][0];
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region["startLine"], line);
    assert!(
        result["message"]["text"]
            .as_str()
            .unwrap()
            .contains("cell 3, line 4")
    );
    // What is staged is what git would apply.
    assert_eq!(code(&home.run(&["diff", "shop", "-o", "change.patch"])), 1);
    assert_eq!(code(&home.run(&["stage", "shop"])), 0);
    let root = home.path("shop");
    git(
        &root,
        &["apply", home.path("change.patch").to_str().unwrap()],
    );
    assert_eq!(
        git(&root, &["diff", "--stat", "depickle/pickle-to-json"]),
        ""
    );
}

#[test]
fn cells_that_are_no_python_hide_no_others_and_are_said() {
    let home = Home::new();
    let broken = notebook(&[
        ("code", GUIDE),
        ("code", "print 'two'\n"),
        ("code", "x = (\n"),
    ]);
    home.write("broken/book.ipynb", broken);
    let output = home.run(&["scan", "broken"]);
    assert_eq!(code(&output), 3);
    let said = stdout(&output);
    for part in [
        "refuse [file-not-parsed]  http",
        "not parsed (cell-not-parsed): line 1 of cell 2 does not parse",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // One in another language has no Python in it; one that is none says so, when it is of interest.
    let r = notebook(&[("code", "library(pickle)\nx <- pickle.loads(")]);
    home.write(
        "r/book.ipynb",
        r.replace(
            "\"metadata\": {},\n  \"nbformat\"",
            "\"metadata\": {\"kernelspec\": {\"language\": \"R\"}},\n  \"nbformat\"",
        ),
    );
    assert_eq!(code(&home.run(&["scan", "r"])), 0);
    home.write("none/book.ipynb", "{\"pickle.loads\": ");
    let none = home.run(&["scan", "none"]);
    assert_eq!(code(&none), 3);
    assert!(
        stdout(&none).contains("not parsed (not-a-notebook)"),
        "{}",
        stdout(&none)
    );
}

#[test]
fn a_script_is_found_by_its_first_line_and_a_stub_is_counted() {
    let home = Home::new();
    let script = format!("#!/usr/bin/env -S python3 -u\n{GUIDE}");
    let files = [
        ("bin/serve", script.as_str()),
        ("bin/other", "#!/bin/sh\nimport pickle; pickle.loads(x)\n"),
        ("bin/data", script.as_str()),
        ("gui.pyw", GUIDE),
        ("types.pyi", "import pickle\npickle.loads(b'')\n"),
        (
            "fast.pyx",
            "import pickle\ncdef int n = 3\n\ndef f(data):\n    return pickle.loads(data)\n",
        ),
    ];
    for (path, text) in files {
        home.write(&format!("shop/{path}"), text);
    }
    for name in ["serve", "other"] {
        let path = home.path(&format!("shop/bin/{name}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let root = home.repo("shop", &[]);
    let base = git(&root, &["rev-parse", "HEAD"]);
    let url = format!("file://{}", root.display());
    git(&root, &["config", "uploadpack.allowFilter", "true"]);
    git(&root, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    for args in [
        vec!["shop"],
        vec!["shop", "--base", base.trim()],
        vec![&url],
    ] {
        let run = home.json(&[&["scan", "--format", "json"][..], &args].concat());
        let row = &run["projects"][0];
        let findings = row["findings"].as_array().unwrap().iter();
        let found: Vec<_> = findings
            .map(|one| {
                (
                    one["file"].as_str().unwrap(),
                    one["status"].as_str().unwrap(),
                    one["reason"].as_str().unwrap_or(""),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("bin/serve", "rewrite", ""),
                ("fast.pyx", "refuse", "file-not-parsed"),
                ("gui.pyw", "rewrite", "")
            ],
            "{args:?}"
        );
        assert_eq!(
            (&row["files"]["seen"], &row["files"]["stubs"]),
            (&json!(3), &json!(1)),
            "{args:?}"
        );
        assert_eq!(row["files"]["unparsed"][0]["reason"], "cython");
        assert_eq!(row["status"], "incomplete");
    }
    let patch = stdout(&home.run(&["diff", "shop"]));
    assert!(
        patch.contains("+++ b/bin/serve") && !patch.contains("fast.pyx"),
        "{patch}"
    );
    assert!(stdout(&home.run(&["scan", "shop"])).contains("1 stub (.pyi) skipped"));
    // It keeps its mode; and is seen where it changed.
    assert_eq!(code(&home.run(&["stage", "shop"])), 3);
    let staged = git(&root, &["ls-tree", "depickle/pickle-to-json", "bin/serve"]);
    assert!(staged.starts_with("100755"), "{staged}");
    assert_eq!(code(&home.run(&["rollback"])), 0);
    home.write("shop/bin/serve", format!("{script}\n"));
    assert!(stdout(&home.run(&["stage", "shop"])).contains("bin/serve"));
}

/// A line of a cell: any text, also what JSON has to spell out.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        3 => "[ a-z0-9=()#.]{0,12}",
        2 => "[\"\\\\/üß🥒\u{7f}\t\u{1}\u{2028} a%!?]{0,8}",
    ];
    prop::collection::vec(line, 0..6)
}

fn text(lines: &[String], ended: bool) -> String {
    let mut text = lines.join("\n");
    if ended && !text.is_empty() {
        text.push('\n');
    }
    text
}

/// `value` as JSON in one of several layouts.
fn laid_out(value: &Value, layout: usize) -> String {
    let text = match layout % 3 {
        0 => serde_json::to_string_pretty(value).unwrap(),
        1 => serde_json::to_string(value).unwrap(),
        _ => serde_json::to_string_pretty(value)
            .unwrap()
            .replace('\n', "\r\n"),
    };
    match layout / 3 % 2 {
        0 => text,
        _ => {
            let mut out = String::new();
            for c in text.chars() {
                match c.is_ascii() && c != '\u{7f}' {
                    true => out.push(c),
                    false => {
                        let units = c
                            .encode_utf16(&mut [0; 2])
                            .iter()
                            .map(|unit| format!("\\u{unit:04x}"))
                            .collect::<String>();
                        out.push_str(&units);
                    }
                }
            }
            out
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Broken in any way it is read or said to be none, and stays as it is.
    #[test]
    fn any_bytes_are_read_and_come_back(
        source in "[%!?a-z=()'\"\\\\ #\n\\[]{0,40}",
        at in any::<prop::sample::Index>(),
        put in prop::collection::vec(any::<u8>(), 0..3),
        gone in 0..3_usize,
    ) {
        let mut bytes = notebook(&[("code", &source), ("markdown", "x"), ("code", "y = 1")]).into_bytes();
        let from = at.index(bytes.len());
        let to = (from + gone).min(bytes.len());
        bytes.splice(from..to, put);
        let file = SourceFile::read("a.ipynb", &bytes);
        for offset in (0..=file.text().len()).filter(|at| file.text().is_char_boundary(*at)) {
            let at = file.position(offset);
            prop_assert!(at.line > 0 && at.column > 0);
        }
        if !matches!(file.unparsed(), Some(depickle::python::Unparsed::Notebook(_))) {
            prop_assert_eq!(file.rewritten(&EditSet::default()).unwrap(), bytes);
        }
    }

    /// Whatever lines are replaced: the file says exactly that, and every byte before and after the source stays.
    #[test]
    fn an_edit_changes_the_lines_it_is_about_and_nothing_else(
        cells in prop::collection::vec((lines(), any::<bool>(), any::<bool>()), 1..4),
        layout in 0..6_usize,
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>(), lines()), 0..3),
    ) {
        let sources: Vec<String> = cells.iter().map(|(lines, ended, _)| text(lines, *ended)).collect();
        let written = |sources: &[String]| -> Vec<Value> {
            sources.iter().zip(&cells).map(|(source, (_, _, whole))| match whole {
                true => json!(source),
                false => json!(source.split_inclusive('\n').collect::<Vec<_>>()),
            }).collect()
        };
        let book = |sources: &[Value]| {
            let cells: Vec<Value> = sources.iter().map(|source| json!({
                "zeta": "pickle", "cell_type": "code", "source": source, "outputs": ["ü", 1.5], "metadata": {"é": "\u{2028}"},
            })).collect();
            json!({"nbformat_minor": 4, "cells": cells, "metadata": {}, "nbformat": 4})
        };
        let raw = laid_out(&book(&written(&sources)), layout);
        let file = SourceFile::read("a.ipynb", raw.as_bytes());
        prop_assert_eq!(file.rewritten(&EditSet::default()).unwrap(), raw.as_bytes());

        // One edit a cell at most: replace some of its lines.
        let mut after = sources.clone();
        let mut edits = Vec::new();
        let mut start = 0;
        let starts: Vec<usize> = sources.iter().map(|source| {
            let at = start;
            start += source.len() + usize::from(!source.ends_with('\n')) + 1;
            at
        }).collect();
        let mut taken = Vec::new();
        for (cell, line, insert, new) in &picks {
            let n = cell.index(sources.len());
            if taken.contains(&n) || sources[n].is_empty() {
                continue;
            }
            taken.push(n);
            let own: Vec<&str> = sources[n].split_inclusive('\n').collect();
            let at = line.index(own.len());
            let before: String = own[..at].concat();
            let gone = if *insert { "" } else { own[at] };
            let last = !*insert && at + 1 == own.len() && !gone.ends_with('\n');
            let put = text(new, true);
            let width = gone.len() + usize::from(last);
            let from = starts[n] + before.len();
            edits.push(Edit::replace(Span::new(from, from + width), put.clone()));
            let rest = &sources[n][before.len() + gone.len()..];
            after[n] = match last {
                true => format!("{before}{}", put.strip_suffix('\n').unwrap_or(&put)),
                false => format!("{before}{put}{rest}"),
            };
        }
        let edits = EditSet::new(edits).unwrap();
        // To take out all of a cell, or to leave a line that only the view ends, may be refused; never be wrong.
        let Ok(new) = file.rewritten(&edits) else {
            return Ok(());
        };
        let new = String::from_utf8(new).unwrap();
        let got: Value = serde_json::from_str(&new).unwrap();
        let joined = |value: &Value| match value {
            Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect::<String>(),
            other => other.as_str().unwrap().to_owned(),
        };
        for (n, wanted) in after.iter().enumerate() {
            prop_assert_eq!(&joined(&got["cells"][n]["source"]), wanted);
        }
        // Laid out as who wrote it would have: the same bytes, where the form of lists is kept.
        let forms = written(&after);
        if got == book(&forms) {
            prop_assert_eq!(new, laid_out(&book(&forms), layout));
        }
    }
}
