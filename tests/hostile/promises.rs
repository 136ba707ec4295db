//! `SECURITY.md` names a test for each promise, and every one of them is there.

use std::fs;
use std::path::{Path, PathBuf};

fn tests(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            *found += &fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = String::new();
    for folder in ["tests", "src"] {
        tests(&root.join(folder), &mut found);
    }
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let promises = text
        .split("## Promises")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let mut count = 0;
    for promise in promises.split("\n- ").skip(1) {
        let named: Vec<_> = promise
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.matches('_').count() > 2)
            .collect();
        assert!(!named.is_empty(), "no test is named: {promise}");
        for test in named {
            assert!(found.contains(&format!("fn {test}(")), "{test} is no test");
            count += 1;
        }
    }
    assert!(count > 10);
}
