//! Help: `-h` fits a screen, `--help` says all there is, with examples.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::Cli;

/// What most people need, in the order in which they need it.
const MAIN: [&str; 9] = [
    "demo", "scan", "explain", "diff", "stage", "verify", "push", "rollback", "apply",
];

/// The other commands, by what they are about; those that are not named here come last.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Only what is new", &["init", "baseline"]),
    (
        "Plans and runs",
        &["approve", "runs", "cache", "config", "fleet"],
    ),
    ("Stored pickles", &["inspect", "convert", "bench"]),
    ("Past attacks", &["hunt"]),
    ("For a machine", &["completions", "man"]),
];

const EXITS: &str = "\
Exit codes: 0 clean or done, 1 findings (scan) or a patch that is not empty
(diff), 2 wrong use or tool error, 3 something could not be read.";

/// Headings of options that many commands have.
#[rustfmt::skip]
const HEADINGS: [(&str, &[&str]); 5] = [
    ("Where to look", &[
        "repos", "within", "submodules", "from", "archived", "forks", "language", "topic", "name", "ssh", "base", "include",
        "exclude", "no_ignore", "include_tests", "config", "pack", "no_repo_config",
        "cache_dir", "per_host", "timeout", "jobs",
    ]),
    ("Which loads", &["trust", "baseline", "baseline_commit", "add_ignore", "only", "prune"]),
    ("What they become", &["to", "message", "log_rejects", "dual_read", "finish_dual_read", "suggestions"]),
    ("What is committed", &[
        "branch", "split", "signoff", "author", "committer", "no_gpg_sign", "window", "plan", "require_approval", "approvals",
        "save", "interactive", "resume", "retry_failed", "with_tests", "execute", "python", "environment",
        "test_timeout", "allow_dirty",
    ]),
    ("What is printed", &["format", "output", "report", "explain", "verbose", "quiet", "show_suppressed", "color"]),
];

/// Of these, options that only `--help` lists.
#[rustfmt::skip]
const RARE: [&str; 39] = [
    "exclude", "jobs", "show_suppressed", "submodules", "archived", "forks", "language", "topic", "name", "ssh",
    "include", "no_ignore", "config", "cache_dir", "per_host", "timeout", "message", "log_rejects",
    "finish_dual_read", "author", "committer", "no_gpg_sign", "window", "approvals", "execute", "python",
    "test_timeout", "color", "only", "signoff", "retry_failed", "quiet", "dual_read", "within", "require_approval",
    "include_tests", "pack", "no_repo_config", "environment",
];

/// What to type, for each command.
const EXAMPLES: [(&str, &str); 22] = [
    (
        "fleet",
        "\
  depickle fleet plan --from github:acme --shards 200 -o plan.json
  depickle fleet submit plan.json --workers 50   # to Slurm
  depickle fleet status plan.json
  depickle fleet merge plan.json --report html=run.html",
    ),
    (
        "scan",
        "\
  depickle scan                                # this folder
  depickle scan shop --explain                 # with the code on each path
  depickle scan --repos list.txt --report html=run.html
  depickle scan --trust http,network,stored    # databases and caches, too
  depickle scan --baseline depickle-baseline.json",
    ),
    (
        "baseline",
        "\
  depickle baseline               # writes depickle-baseline.json
  depickle baseline --prune       # only takes out what is gone",
    ),
    (
        "init",
        "\
  depickle init --dry-run         # what would be written
  depickle init --github --install 'pip install depickle'",
    ),
    (
        "diff",
        "\
  depickle diff shop              # git apply reads it
  depickle diff shop --suggestions
  depickle diff -i --save plan.json              # asks about each part
  depickle diff --repos list.txt --save plan.json
  depickle diff shop --add-ignore 'behind the VPN, until March'",
    ),
    (
        "approve",
        "\
  depickle approve plan.json                     # by your git signing key
  depickle approve plan.json --key ~/.ssh/id_ed25519",
    ),
    (
        "stage",
        "\
  depickle stage shop
  depickle stage --from github:acme --language python
  depickle stage shop --split owner --branch 'security/{transform}-{date}'
  depickle stage shop --with-tests --execute     # and regression tests
  depickle stage --plan plan.json --require-approval allowed
  depickle stage --resume 20261123T150212-4663",
    ),
    (
        "apply",
        "\
  depickle apply shop             # also of folders without git
  depickle apply shop --add-ignore 'ours alone' --only 3f2a91c0
  depickle rollback               # every byte back",
    ),
    (
        "verify",
        "\
  depickle verify                 # the last run that staged here
  depickle verify --run 20261123T150212-4663
  depickle verify shop --execute --python shop/.venv/bin/python",
    ),
    (
        "push",
        "\
  depickle push 20261123T150212-4663
  depickle push 20261123T150212-4663 --open --draft --reviewers alice,bob",
    ),
    (
        "rollback",
        "\
  depickle rollback               # the last run
  depickle rollback 20261123T150212-4663",
    ),
    (
        "runs",
        "\
  depickle runs                   # all
  depickle runs 20261123T150212-4663 --format csv",
    ),
    (
        "cache",
        "\
  depickle cache                  # lists the clones
  depickle cache prune --max-age 7d --max-size 5G
  depickle cache clear",
    ),
    (
        "config",
        "\
  depickle config                 # what holds here, and where it is from
  depickle config shop",
    ),
    (
        "completions",
        "  depickle completions bash       # to be put where bash looks for it",
    ),
    (
        "man",
        "  depickle man man1               # one page for each command",
    ),
    (
        "explain",
        "\
  depickle explain                # everything that has an id
  depickle explain pickle-to-json
  depickle explain shared-helper  # a reason, with code that shows it
  depickle explain app.py:15      # a load, with its path and its patch
  depickle explain flask",
    ),
    (
        "inspect",
        "\
  depickle inspect model.pkl
  depickle inspect --ops --format json cache/session.bin",
    ),
    (
        "convert",
        "\
  depickle convert data           # what could be converted, and what not
  depickle convert data --write   # a.pkl.json beside a.pkl
  depickle convert data --in-place
  depickle rollback               # the pickles back",
    ),
    (
        "hunt",
        "\
  depickle hunt /var/log/nginx app.log.gz
  depickle hunt --queries shop    # searches for grep, Splunk, Elastic",
    ),
    (
        "bench",
        "\
  depickle bench
  depickle bench data --python .venv/bin/python --format markdown",
    ),
    (
        "demo",
        "\
  depickle demo
  depickle demo --keep somewhere",
    ),
];

/// The command line with its help.
pub(super) fn command() -> Command {
    let mut command = Cli::command();
    let names: Vec<String> = command
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    for name in &names {
        command = command.mut_subcommand(name, with_help);
    }
    let (short, long) = (short(&command), long(&command));
    command
        .help_template(
            "{about-with-newline}\n{usage-heading} depickle COMMAND [OPTIONS]{after-help}",
        )
        .after_help(short)
        .after_long_help(long)
}

/// `command` with its options under headings, the rare ones out of the short help, and its examples.
fn with_help(command: Command) -> Command {
    let name = command.get_name().to_owned();
    let pipeline = command.get_arguments().any(|arg| arg.get_id() == "repos");
    let command = command.mut_args(|arg| {
        let id = arg.get_id().as_str();
        let rare = RARE.contains(&id);
        let heading = HEADINGS.iter().find(|(_, ids)| ids.contains(&id));
        match heading.filter(|_| pipeline && !arg.is_positional()) {
            Some((heading, _)) => arg.help_heading(*heading).hide_short_help(rare),
            None => arg,
        }
    });
    match EXAMPLES.iter().find(|(of, _)| *of == name) {
        Some((_, examples)) => command
            .after_help("--help lists all options, and has examples")
            .after_long_help(format!("Examples:\n{examples}")),
        None => command,
    }
}

/// All commands on one screen.
fn short(command: &Command) -> String {
    let mut out = String::new();
    for name in MAIN {
        list(&mut out, command, name);
    }
    out.push('\n');
    for (group, names) in groups(command) {
        let _ = writeln!(out, "  {group:<18}{}", names.join(", "));
    }
    let _ = write!(
        out,
        "\n{EXITS}\ndepickle COMMAND -h: its options; --help: all of them, with examples"
    );
    out
}

/// All commands, each with what it does.
fn long(command: &Command) -> String {
    let mut out = String::new();
    for name in MAIN {
        list(&mut out, command, name);
    }
    for (group, names) in groups(command) {
        let _ = writeln!(out, "\n{group}:");
        for name in names {
            list(&mut out, command, &name);
        }
    }
    let _ = write!(
        out,
        "\n{EXITS}\n\nExamples:\n  depickle demo                   # all of it on a small vulnerable shop\n  depickle scan shop\n  \
         depickle diff shop\n  depickle stage shop\n  depickle rollback\n\ndepickle COMMAND --help has more."
    );
    out
}

fn list(out: &mut String, command: &Command, name: &str) {
    let found = command.get_subcommands().find(|one| one.get_name() == name);
    let about = found.and_then(Command::get_about);
    let _ = writeln!(
        out,
        "  {name:<9} {}",
        about.map(ToString::to_string).unwrap_or_default()
    );
}

/// [`GROUPS`], and the commands that stand in none.
fn groups(command: &Command) -> Vec<(&'static str, Vec<String>)> {
    let grouped = GROUPS
        .iter()
        .map(|(group, names)| (*group, names.iter().map(|n| (*n).to_owned()).collect()));
    let mut groups: Vec<(&str, Vec<String>)> = grouped.collect();
    let named =
        |name: &str| MAIN.contains(&name) || GROUPS.iter().any(|(_, names)| names.contains(&name));
    let others = command.get_subcommands().filter(|one| !one.is_hide_set());
    let others: Vec<String> = others
        .map(|one| one.get_name().to_owned())
        .filter(|name| !named(name))
        .collect();
    if !others.is_empty() {
        groups.push(("Besides", others));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{HEADINGS, MAIN, RARE, command};

    /// The lines of a help on a terminal of 80 columns.
    fn lines(command: clap::Command, long: bool) -> String {
        let mut command = command.term_width(80);
        match long {
            true => command.render_long_help(),
            false => command.render_help(),
        }
        .to_string()
    }

    /// A line of examples as a shell would split it.
    fn words(line: &str) -> Vec<String> {
        let line = line.split("  # ").next().unwrap_or(line).trim();
        let parts = line.split('\'').enumerate();
        let parts = parts.flat_map(|(n, part)| match n % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        parts.collect()
    }

    #[test]
    fn short_help_fits_a_screen() {
        let program = lines(command(), false);
        assert!(
            program.lines().count() <= 24,
            "{}\n{program}",
            program.lines().count()
        );
        assert!(
            program.lines().all(|line| line.chars().count() <= 80),
            "{program}"
        );
        for one in command().get_subcommands() {
            let name = one.get_name();
            assert!(
                program.contains(name),
                "{name} stands in no group of cli/help.rs"
            );
            let help = lines(one.clone(), false);
            assert!(
                help.lines().count() <= 45,
                "{name}: {}\n{help}",
                help.lines().count()
            );
        }
    }

    #[test]
    fn long_help_lists_everything_and_has_examples_that_parse() {
        let program = lines(command(), true);
        for one in command().get_subcommands() {
            let name = one.get_name();
            assert!(program.contains(&format!("\n  {name} ")), "{name}");
            let help = lines(one.clone(), true);
            let (_, examples) = help
                .split_once("Examples:\n")
                .unwrap_or_else(|| panic!("{name}: give it examples in cli/help.rs"));
            let examples: Vec<&str> = examples.lines().collect();
            assert!(
                examples
                    .iter()
                    .any(|line| line.contains(&format!("depickle {name}"))),
                "{name}"
            );
            for arg in one.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let Some(long) = arg.get_long() else { continue };
                assert!(help.contains(&format!("--{long}")), "{name} --{long}");
            }
            for line in examples {
                let parsed = command().try_get_matches_from(words(line));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
        let examples = program.split_once("Examples:\n").unwrap().1;
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            assert!(
                command().try_get_matches_from(words(line)).is_ok(),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_named_here_is_there() {
        let command = command();
        let known = |id: &&str| {
            let mut all = command
                .get_subcommands()
                .flat_map(|one| one.get_arguments());
            all.any(|arg| arg.get_id() == *id)
        };
        let all = HEADINGS.iter().flat_map(|(_, ids)| ids.iter());
        let gone: Vec<&&str> = all.chain(&RARE).filter(|id| !known(id)).collect();
        assert!(gone.is_empty(), "{gone:?}");
        for name in MAIN {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }
}
