//! Pull requests on a forge of each kind: opened once, kept up to date, closed by rollback.

use serde_json::Value;

use super::*;

/// A forge that has what is served, and `git daemon` beside it.
pub struct Hosts {
    pub home: Home,
    forge: u16,
    git: u16,
    _servers: [Server; 2],
}

impl Hosts {
    /// With the repositories `team/NAME`.
    pub fn new(names: &[&str]) -> Hosts {
        let home = Home::new();
        for name in names {
            cloned(&home, &format!("team/{name}"));
        }
        let git = free();
        let server = servers::script(&home, "forge_requests.py");
        let forge = server.port;
        let _servers = [server, daemon(&home, git)];
        Hosts {
            home,
            forge,
            git,
            _servers,
        }
    }

    pub fn stage(&self, names: &[&str]) -> String {
        let urls = names
            .iter()
            .map(|name| format!("git://127.0.0.1:{}/team/{name}.git", self.git));
        let urls: Vec<String> = urls.collect();
        let paths: Vec<&str> = urls.iter().map(String::as_str).collect();
        stage(&self.home, &paths)
    }

    pub fn api(&self, version: &str) -> String {
        format!("http://127.0.0.1:{}/api/{version}", self.forge)
    }

    pub fn run(&self, args: &[&str], env: &[(&str, &str)]) -> std::process::Output {
        let tokens =
            ["GH_ENTERPRISE_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN"].map(|name| (name, "secret"));
        self.home.run_with(args, &[&tokens, env].concat())
    }

    fn state(&self) -> Value {
        let text = fs::read_to_string(self.home.path("served/state.json")).unwrap_or("{}".into());
        serde_json::from_str(&text).unwrap()
    }

    pub fn requests(&self) -> Vec<Value> {
        self.state()["requests"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }
}

pub const KINDS: [(&str, &str); 3] = [("github", "v3"), ("gitlab", "v4"), ("gitea", "v1")];

#[test]
fn a_request_is_opened_once_and_closed_by_rollback() {
    for (kind, version) in KINDS {
        let hosts = Hosts::new(&["shop"]);
        let start = refs(&hosts.home);
        let run = hosts.stage(&["shop"]);
        let api = hosts.api(version);
        assert_eq!(code(&hosts.run(&["verify", "--run", &run], &[])), 0);
        let push = [
            "push",
            &run,
            "--open",
            "--forge",
            kind,
            "--api",
            &api,
            "--labels",
            "security",
            "--reviewers",
            "ann",
            "--draft",
        ];
        let pushed = hosts.run(&push, &[]);
        assert_eq!(code(&pushed), 0, "{kind}: {}", said(&pushed));
        assert!(
            stdout(&pushed).contains("; opened http"),
            "{}",
            said(&pushed)
        );
        let requests = hosts.requests();
        assert_eq!(requests.len(), 1, "{kind}");
        let one = &requests[0];
        let title = one["title"].as_str().unwrap();
        let body = one["body"]
            .as_str()
            .or(one["description"].as_str())
            .unwrap();
        for words in [
            "`app.py:",
            "`pickle.loads`",
            "## What clients must change",
            "## How to verify",
            "depickle rollback",
            "## Proof\n\n`depickle verify` of `",
            "`: 1 of 1 loads are gone, none is new.",
            "depickle verify --run",
        ] {
            assert!(body.contains(words), "{kind} {words}: {body}");
        }
        let (mark, labels, reviewers) = match kind {
            "github" => (
                "",
                serde_json::json!(["security"]),
                one["reviewers"] == serde_json::json!(["ann"]),
            ),
            "gitlab" => (
                "Draft: ",
                Value::Null,
                one["reviewer_ids"] == serde_json::json!([7]) && one["add_labels"] == "security",
            ),
            _ => (
                "WIP: ",
                serde_json::json!([5]),
                one["reviewers"] == serde_json::json!(["ann"]),
            ),
        };
        assert!(title.starts_with(mark) && reviewers, "{kind}: {one}");
        assert_eq!(one["labels"], labels, "{kind}");
        assert!(kind != "github" || one["draft"] == true);
        assert_eq!(states(&hosts.home), ["opened"]);
        // Again: the same request, up to date.
        let again = hosts.run(&push, &[]);
        assert_eq!(code(&again), 0, "{kind}: {}", said(&again));
        assert!(
            stdout(&again).contains("; brought up to date http"),
            "{}",
            said(&again)
        );
        assert_eq!(hosts.requests().len(), 1, "{kind}");
        // A second at least from one write to the next of a process.
        let writes = hosts.state()["writes"].as_array().unwrap().clone();
        let at: Vec<f64> = writes
            .iter()
            .map(|write| write["at"].as_f64().unwrap())
            .collect();
        assert!(
            at.windows(2).filter(|two| two[1] - two[0] < 0.9).count() <= 1,
            "{kind}: {at:?}"
        );
        let journal =
            fs::read_to_string(hosts.home.path(&format!("state/runs/{run}.jsonl"))).unwrap();
        assert!(!journal.contains("secret"), "{journal}");
        for _ in 0..2 {
            let undone = hosts.run(&["rollback", &run], &[]);
            assert_eq!(code(&undone), 0, "{kind}: {}", said(&undone));
        }
        let one = &hosts.requests()[0];
        assert_eq!(one["state"], "closed", "{kind}: {one}");
        assert!(
            one["comments"][0].as_str().unwrap().contains("Taken back"),
            "{kind}"
        );
        assert_eq!(one["comments"].as_array().unwrap().len(), 1, "{kind}");
        assert_eq!(refs(&hosts.home), start);
        assert_eq!(states(&hosts.home), ["rolled-back"]);
    }
}

#[test]
fn what_the_forge_refuses_is_a_row_and_no_more_are_opened_than_asked_for() {
    let hosts = Hosts::new(&["shop", "cart"]);
    let run = hosts.stage(&["shop", "cart"]);
    let api = hosts.api("v3");
    let push = ["push", &run, "--open", "--forge", "github", "--api", &api];
    let wrong = hosts.run(&push, &[("GH_ENTERPRISE_TOKEN", "wrong")]);
    assert_eq!(code(&wrong), 3, "{}", said(&wrong));
    assert!(stdout(&wrong).contains("no pull request: ") && !said(&wrong).contains("wrong"));
    // Pushed they are.
    assert_eq!(states(&hosts.home), ["pushed", "pushed"]);
    let unnamed = hosts.run(&["push", &run, "--open"], &[]);
    assert_eq!(code(&unnamed), 3);
    assert!(
        stdout(&unnamed).contains("name it with --forge"),
        "{}",
        said(&unnamed)
    );
    let first = hosts.run(&[&push[..], &["--max-open", "1"]].concat(), &[]);
    assert_eq!(code(&first), 0, "{}", said(&first));
    assert!(
        stdout(&first).contains("no pull request yet: --max-open"),
        "{}",
        said(&first)
    );
    // Whichever was staged first.
    let mut halfway = states(&hosts.home);
    halfway.sort();
    assert_eq!(halfway, ["opened", "pushed"]);
    let second = hosts.run(&push, &[]);
    assert_eq!(code(&second), 0, "{}", said(&second));
    assert_eq!(states(&hosts.home), ["opened", "opened"]);
    assert_eq!(hosts.requests().len(), 2);
}

#[test]
fn a_request_that_changes_nothing_any_more_is_closed() {
    let hosts = Hosts::new(&["shop"]);
    let run = hosts.stage(&["shop"]);
    let api = hosts.api("v3");
    let push = ["push", &run, "--open", "--forge", "github", "--api", &api];
    assert_eq!(code(&hosts.run(&push, &[])), 0);
    hosts.home.write("served/empty", "");
    let again = hosts.run(&push, &[]);
    assert_eq!(code(&again), 0, "{}", said(&again));
    assert_eq!(hosts.requests()[0]["state"], "closed");
    assert!(
        hosts.requests()[0]["comments"][0]
            .as_str()
            .unwrap()
            .contains("Nothing is left")
    );
    assert_eq!(states(&hosts.home), ["closed"]);
    // What was closed stays so.
    let last = hosts.run(&push, &[]);
    assert_eq!(code(&last), 0, "{}", said(&last));
    assert_eq!(hosts.requests().len(), 1);
}

#[test]
fn a_stop_at_every_step_of_opening_opens_one() {
    if !cfg!(debug_assertions) {
        return;
    }
    let hosts = Hosts::new(&["shop"]);
    let start = refs(&hosts.home);
    let api = hosts.api("v3");
    let mut opened = 0;
    for what in ["before", "after"] {
        for step in 1..=4 {
            for going_on in [true, false] {
                let _ = fs::remove_dir_all(hosts.home.path("state"));
                let run = hosts.stage(&["shop"]);
                let push = ["push", &run, "--open", "--forge", "github", "--api", &api];
                let at = format!("{what}:{step}");
                let stopped = hosts.run(&push, &[("DEPICKLE_FAULT", &at)]);
                assert_eq!(stopped.status.code(), None, "{at}: {}", said(&stopped));
                if going_on {
                    let again = hosts.run(&push, &[]);
                    assert_eq!(code(&again), 0, "{at}: {}", said(&again));
                    let requests = hosts.requests();
                    let open = requests.iter().filter(|one| one["state"] == "open").count();
                    assert_eq!(open, 1, "{at}");
                    assert!(requests.len() <= opened + 1, "{at}");
                }
                let undone = hosts.run(&["rollback", &run], &[]);
                assert_eq!(code(&undone), 0, "{at}: {}", said(&undone));
                assert_eq!(refs(&hosts.home), start, "{at}");
                opened = hosts.requests().len();
                assert!(
                    hosts.requests().iter().all(|one| one["state"] == "closed"),
                    "{at}"
                );
            }
        }
    }
}

#[test]
fn a_token_comes_from_gits_credential_helpers() {
    let hosts = Hosts::new(&["shop"]);
    let run = hosts.stage(&["shop"]);
    let api = hosts.api("v1");
    let push = ["push", &run, "--open", "--forge", "gitea", "--api", &api];
    let config = hosts.home.path("gitconfig");
    let env = [
        ("GITEA_TOKEN", ""),
        ("GIT_CONFIG_GLOBAL", config.to_str().unwrap()),
    ];
    let without = hosts.run(&push, &env);
    assert_eq!(code(&without), 3, "{}", said(&without));
    assert!(
        stdout(&without).contains("there is no token for 127.0.0.1"),
        "{}",
        said(&without)
    );
    let helper = "!f() { echo username=me; echo password=secret; }; f";
    hosts.home.write(
        "gitconfig",
        format!("[credential]\n\thelper = \"{helper}\"\n"),
    );
    // Among temporary files anybody may put a repository, whose helper would be asked too.
    let temporary = hosts.home.path("temporary");
    for name in ["depickle-no-repository", "."] {
        let evil = temporary.join(name);
        git(
            hosts.home.0.path(),
            &["init", "-q", "--bare", evil.to_str().unwrap()],
        );
        let ran = format!("!touch {}", hosts.home.path("ran").display());
        git(&evil, &["config", "credential.helper", &ran]);
    }
    let env = [&env[..], &[("TMPDIR", temporary.to_str().unwrap())]].concat();
    let opened = hosts.run(&push, &env);
    assert_eq!(code(&opened), 0, "{}", said(&opened));
    assert_eq!(hosts.requests().len(), 1);
    assert!(!hosts.home.path("ran").exists());
}

#[test]
fn kill_dash_nine_while_opening_opens_one_for_each() {
    let names = ["shop", "cart", "pay"];
    let hosts = Hosts::new(&names);
    let start = refs(&hosts.home);
    let api = hosts.api("v3");
    for n in 0..3 {
        let run = hosts.stage(&names);
        let push = ["push", &run, "--open", "--forge", "github", "--api", &api];
        let token = [("GH_ENTERPRISE_TOKEN", "secret")];
        let later = std::time::Duration::from_millis(20 * n as u64);
        let entries = hosts.home.entries() + 3 + 2 * n;
        hosts.home.killed(&push, &token, entries, later);
        if n != 1 {
            let again = hosts.home.run_alone(&push, &token);
            assert_eq!(code(&again), 0, "{n}: {}", said(&again));
            let requests = hosts.requests();
            let open = requests.iter().filter(|one| one["state"] == "open");
            let mut paths: Vec<&str> = open.map(|one| one["path"].as_str().unwrap()).collect();
            paths.sort();
            assert_eq!(paths, ["team/cart", "team/pay", "team/shop"], "{n}");
        }
        let undone = hosts.home.run_alone(&["rollback", &run], &token);
        assert_eq!(code(&undone), 0, "{n}: {}", said(&undone));
        assert!(
            hosts.requests().iter().all(|one| one["state"] == "closed"),
            "{n}"
        );
        assert_eq!(refs(&hosts.home), start, "{n}");
        fs::remove_dir_all(hosts.home.path("state")).unwrap();
    }
}
