//! Requests as GitHub describes them: prism holds each against the description, and says which do not fit.

use std::io::Read;

use super::requests::Hosts;
use super::*;

/// `npm install --prefix /tmp/prism @stoplight/prism-cli@5.16.0 @octokit/openapi@23.0.2` (460 MB), then
/// `DEPICKLE_PRISM=/tmp/prism cargo test --test push -- --ignored as_github_describes`
#[test]
#[ignore = "wants prism and a description of GitHub's interface"]
fn requests_are_as_github_describes_them() {
    let modules = std::env::var("DEPICKLE_PRISM").expect("the folder that npm installed into");
    let modules = Path::new(&modules).join("node_modules");
    let hosts = Hosts::new(&["shop"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/cut_openapi.py");
    let cut = Command::new("python3")
        .arg(script)
        .arg(modules.join("@octokit/openapi/generated/api.github.com.json"))
        .output()
        .unwrap();
    assert!(cut.status.success(), "{}", stderr(&cut));
    hosts.home.write("github.json", cut.stdout);
    let port = free();
    let mut prism = Command::new("node");
    let log = fs::File::create(hosts.home.path("prism.log")).unwrap();
    prism
        .arg(modules.join("@stoplight/prism-cli/dist/index.js"))
        .args(["mock", "-p", &port.to_string()])
        .arg(hosts.home.path("github.json"))
        .stdout(log);
    let prism = servers::started_telling(prism, port);
    let told = || {
        let mut text = String::new();
        let mut file = fs::File::open(hosts.home.path("prism.log")).unwrap();
        file.read_to_string(&mut text).unwrap();
        let wrong = ["did not pass the validation", "Request terminated"];
        assert!(!wrong.iter().any(|word| text.contains(word)), "{text}");
        text.matches("The request passed the validation").count()
    };
    let run = hosts.stage(&["shop"]);
    let api = format!("http://127.0.0.1:{port}/api/v3");
    let push = ["push", &run, "--open", "--forge", "github", "--api", &api];
    let more = ["--labels", "bug", "--reviewers", "octocat", "--draft"];
    let pushed = hosts.run(&[&push[..], &more].concat(), &[]);
    assert_eq!(code(&pushed), 0, "{}", said(&pushed));
    // Looked for, the repository asked, opened, its text, labels and reviewers.
    assert_eq!(told(), 6);
    assert_eq!(code(&hosts.run(&push, &[])), 0);
    assert_eq!(told(), 9);
    let undone = hosts.run(&["rollback", &run], &[]);
    assert_eq!(code(&undone), 0, "{}", said(&undone));
    // Asked for, told why, closed.
    assert_eq!(told(), 12);
    for from in ["team", "?q=language:python pickle"] {
        let from = format!("github:http://127.0.0.1:{port}/{from}");
        hosts.run(&["scan", "--from", &from, "--name", "none"], &[]);
    }
    assert!(told() >= 14);
    drop(prism);
}
