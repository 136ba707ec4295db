//! Where a job or a hook goes in a YAML file that people wrote: added as lines, so that nothing of theirs changes.
//!
//! Invariant: a file that is not plainly laid out in blocks is not touched.

/// `text` with the GitLab job `job` at its end.
pub(super) fn job(text: &str, job: &str) -> Option<String> {
    let blocks = |line: &str| {
        let key = line.split('#').next().unwrap_or_default().trim_end();
        key.is_empty() || key == "---" || line.starts_with(' ') || is_key(key) || is_item(line)
    };
    let after_start = text.lines().skip_while(|line| is_empty(line)).skip(1);
    if !text.lines().all(blocks) || after_start.into_iter().any(|line| line.starts_with("---")) {
        return None;
    }
    // Where the stages are named, `test`, which a job is in by default, has to be among them.
    let lines = || text.lines();
    let stages = lines().skip_while(|line| !line.starts_with("stages:"));
    let mut stages = stages.enumerate();
    let named = stages
        .by_ref()
        .take_while(|(n, line)| *n == 0 || is_empty(line) || line.starts_with([' ', '-']))
        .flat_map(|(_, line)| line.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_'))
        .any(|word| word == "test");
    let has_stages = lines().any(|line| line.starts_with("stages:"));
    let job = match has_stages && !named {
        true => job.replacen("  script:", "  stage: .pre\n  script:", 1),
        false => job.to_owned(),
    };
    let gap = if text.is_empty() { "" } else { "\n" };
    Some(joined(text, &format!("{gap}{job}"), text.len()))
}

/// `text` with `hook` at the end of the list `repos:`.
pub(super) fn hook(text: &str, hook: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some(joined(text, &format!("repos:\n{hook}"), text.len()));
    }
    let mut lines = text.split_inclusive('\n');
    let mut at = 0;
    let list = |line: &str| {
        let key = line.split('#').next().unwrap_or_default();
        key.trim_end() == "repos:"
    };
    for line in lines.by_ref() {
        at += line.len();
        if list(line) {
            break;
        }
    }
    let rest: Vec<&str> = lines.collect();
    let first = rest.iter().find(|line| !is_empty(line))?;
    let indent = first.len() - first.trim_start_matches(' ').len();
    if !is_item(first)
        || rest
            .iter()
            .any(|line| line.starts_with("---") || list(line))
    {
        return None;
    }
    let mut end = at;
    for line in rest {
        at += line.len();
        if is_empty(line) {
            continue;
        }
        let deep = line.len() - line.trim_start_matches(' ').len();
        if deep < indent || (deep == indent && !is_item(line)) {
            break;
        }
        end = at;
    }
    let indented: Vec<String> = hook
        .lines()
        .map(|line| format!("{}{line}\n", " ".repeat(indent)))
        .collect();
    Some(joined(text, &indented.concat(), end))
}

/// `command` as one YAML scalar.
pub(super) fn scalar(command: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_./=@+~".contains(c);
    match command.starts_with(|c: char| c.is_ascii_alphanumeric()) && command.chars().all(plain) {
        true => command.trim_end().to_owned(),
        false => format!("'{}'", command.replace('\'', "''")),
    }
}

/// `text` with whole lines `more` at `at`, in its way of ending lines.
fn joined(text: &str, more: &str, at: usize) -> String {
    let (before, after) = text.split_at(at);
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let open = match before.is_empty() || before.ends_with('\n') {
        true => "",
        false => end,
    };
    format!("{before}{open}{}{after}", more.replace('\n', end))
}

fn is_empty(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn is_item(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with("- ")
}

/// Whether `line` is `key:` or `key: value` at the outermost level.
fn is_key(line: &str) -> bool {
    let odd = |c: char| c == '{' || c == '[' || c == '\t';
    !line.starts_with(odd) && (line.ends_with(':') || line.contains(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_goes_to_the_end_of_the_list_and_nothing_else_moves() {
        let text = "repos:\n  - repo: a\n    hooks:\n      - id: b\n\n# ours\nci:\n  skip: []\n";
        assert_eq!(
            hook(text, "- repo: local\n  hooks: []\n").unwrap(),
            "repos:\n  - repo: a\n    hooks:\n      - id: b\n  - repo: local\n    hooks: []\n\n# ours\nci:\n  skip: []\n"
        );
        assert_eq!(
            hook("repos: # all\r\n- repo: a", "- x\n").unwrap(),
            "repos: # all\r\n- repo: a\r\n- x\r\n"
        );
        assert_eq!(hook("", "- x\n").unwrap(), "repos:\n- x\n");
        for odd in [
            "repos: []\n",
            "{repos: []}\n",
            "ci:\n  a: b\n",
            "repos:\n- a\n---\nrepos:\n- b\n",
        ] {
            assert_eq!(hook(odd, "- x\n"), None, "{odd}");
        }
    }

    #[test]
    fn a_job_goes_to_the_end_in_a_stage_that_is_there() {
        let new = "depickle:\n  script:\n    - x\n";
        assert_eq!(job("", new).unwrap(), new);
        assert_eq!(
            job("a:\n  script: b\n", new).unwrap(),
            format!("a:\n  script: b\n\n{new}")
        );
        let staged = job("stages: [build, test]\na:\n  script: b\n", new).unwrap();
        assert!(!staged.contains("stage: "), "{staged}");
        for without in [
            "stages: [build]\n",
            "stages:\n- build\n\ntest:\n  script: b\n",
        ] {
            let staged = job(without, new).unwrap();
            assert!(
                staged.contains("depickle:\n  stage: .pre\n  script:"),
                "{staged}"
            );
        }
        for odd in [
            "{a: {script: b}}\n",
            "a:\n\tscript: b\n",
            "spec:\n  inputs: {}\n---\na:\n  script: b\n",
        ] {
            assert_eq!(job(odd, new), None, "{odd}");
        }
    }

    #[test]
    fn a_command_is_one_scalar() {
        assert_eq!(scalar("pip install depickle"), "pip install depickle");
        assert_eq!(scalar("echo 'a: b' # c"), "'echo ''a: b'' # c'");
    }
}
