//! Repositories that are elsewhere: file addresses, `git daemon`, and `git http-backend` behind a web server that wants
//! a password.

use std::net::TcpListener;
use std::process::Command;

use super::servers::{Server, daemon, free, script, started, web};
use super::*;

/// The server program `name` of Debian's packages; a machine without it says so and leaves the test out.
fn installed(name: &str) -> Option<PathBuf> {
    let found = Path::new("/usr/sbin").join(name);
    if !found.is_file() {
        eprintln!("{name} is not installed: this is not tested here");
    }
    found.is_file().then_some(found)
}

/// `git http-backend` behind Apache, with the same password.
fn apache(home: &Home, program: &Path) -> Server {
    let port = free();
    let root = home.0.path().display();
    let backend = git(home.0.path(), &["--exec-path"]);
    let modules = [
        "mpm_event",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        "auth_basic",
        "alias",
        "env",
        "cgid",
    ];
    let modules: String = modules
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    home.write("apache/users", "me:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    let config = format!(
        "{modules}ServerRoot {root}/apache\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {root}/apache/pid\n\
         ErrorLog {root}/apache/log\nScriptSock {root}/apache/sock\nUser www-data\nGroup www-data\n\
         SetEnv GIT_PROJECT_ROOT {root}/served\nSetEnv GIT_HTTP_EXPORT_ALL 1\nSetEnv GIT_CONFIG_COUNT 1\n\
         SetEnv GIT_CONFIG_KEY_0 safe.directory\nSetEnv GIT_CONFIG_VALUE_0 *\n\
         ScriptAlias / {}/git-http-backend/\n<Location />\nAuthType Basic\nAuthName git\n\
         AuthUserFile {root}/apache/users\nRequire valid-user\n</Location>\n",
        backend.trim()
    );
    home.write("apache/conf", config);
    // Apache gives up its rights, and must still find the way.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(home.0.path(), mode).unwrap();
    let mut command = Command::new(program);
    command
        .arg("-DFOREGROUND")
        .arg("-f")
        .arg(home.path("apache/conf"));
    started(command, port)
}

/// OpenSSH's server, for the key `client`; gives the command that git reaches it with.
fn sshd(home: &Home, program: &Path) -> (Server, String) {
    let port = free();
    let root = home.0.path().display();
    for key in ["host", "client"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(home.path(key));
        assert!(keygen.status().unwrap().success());
    }
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {root}/host\nAuthorizedKeysFile {root}/client.pub\n\
         StrictModes no\nPasswordAuthentication no\nAcceptEnv GIT_PROTOCOL\nPidFile none\n"
    );
    home.write("sshd.conf", config);
    let host = fs::read_to_string(home.path("host.pub")).unwrap();
    home.write("known", format!("[127.0.0.1]:{port} {host}"));
    let mut command = Command::new(program);
    command.arg("-D").arg("-f").arg(home.path("sshd.conf"));
    let ssh = format!(
        "ssh -F none -i {root}/client -o UserKnownHostsFile={root}/known -o StrictHostKeyChecking=yes -o BatchMode=yes"
    );
    (started(command, port), ssh)
}

/// A forge of each kind, whose `team` has what is served; see the script.
fn forge(home: &Home) -> Server {
    script(home, "forge.py")
}

/// A home that serves `served/NAME.git` for each name, with one good file, one large one and one of another kind.
fn serving(names: &[&str]) -> Home {
    let home = Home::new();
    for name in names {
        let files = [
            ("app.py", GUIDE),
            ("sub/more.py", GUIDE),
            ("notes.txt", "notes\n"),
            (".gitattributes", "*.x -text\n"),
        ];
        let root = home.repo(name, &files);
        git(&root, &["tag", "-a", "v1", "-m", "first"]);
        let bare = format!("served/{name}.git");
        git(home.0.path(), &["clone", "-q", "--bare", name, &bare]);
        git(
            &home.path(&bare),
            &["config", "uploadpack.allowFilter", "true"],
        );
    }
    home
}

/// Another commit for `name`.
fn another(home: &Home, name: &str, file: &str, text: &str) -> String {
    home.write(&format!("{name}/{file}"), text);
    let root = home.path(name);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "more"]);
    git(
        &root,
        &[
            "push",
            "-q",
            &home
                .path(&format!("served/{name}.git"))
                .display()
                .to_string(),
            "HEAD:main",
        ],
    );
    git(&root, &["rev-parse", "HEAD"]).trim().to_owned()
}

fn clone_of(home: &Home) -> PathBuf {
    let entries = fs::read_dir(home.path("cache/clones"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter(|path| path.extension().is_some_and(|end| end == "git"))
        .min()
        .unwrap()
}

/// How many objects a clone has, and how many of its files are not there.
fn inside(clone: &Path) -> (usize, usize) {
    let listed = git(
        clone,
        &["rev-list", "--objects", "--missing=print", "--all"],
    );
    let missing = listed.lines().filter(|line| line.starts_with('?')).count();
    (listed.lines().count() - missing, missing)
}

#[test]
fn a_url_is_scanned_staged_and_taken_back_and_only_what_is_read_is_fetched() {
    let home = serving(&["shop"]);
    let server = daemon(&home, free(), &[]);
    let url = format!("git://127.0.0.1:{}/shop.git", server.port);
    let local = home.json(&["scan", "shop", "--format", "json"]);
    let remote = home.json(&["scan", &url, "--format", "json"]);
    assert_eq!(
        remote["projects"][0]["findings"],
        local["projects"][0]["findings"]
    );
    assert_eq!(
        remote["projects"][0]["files"]["skipped"],
        Value::Array(vec![])
    );
    let clone = clone_of(&home);
    // The commit, two folders, two files (equal, so one), the attributes; not the notes.
    assert_eq!(inside(&clone), (5, 1));
    let start = refs(home.0.path());
    assert_eq!(code(&home.run(&["stage", &url])), 0);
    let run = id(&home);
    assert_eq!(states(&home), [(url.clone(), "staged".to_owned())]);
    let names = git(
        &clone,
        &[
            "diff",
            "--name-only",
            remote["projects"][0]["commit"].as_str().unwrap(),
            BRANCH,
        ],
    );
    assert_eq!(names, "app.py\nsub/more.py\n");
    let shown = git(&clone, &["show", &format!("{BRANCH}:sub/more.py")]);
    assert!(shown.contains("json.loads"), "{shown}");
    // A clone that holds a branch stays, whatever is asked for.
    let cleared = home.run(&["cache", "clear"]);
    assert_eq!(
        (code(&cleared), clone.is_dir()),
        (3, true),
        "{}",
        stdout(&cleared)
    );
    home.run(&["cache", "prune", "--max-size", "0", "--max-age", "0d"]);
    assert!(stdout(&home.run(&["cache"])).contains(BRANCH));
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
    assert_eq!(refs(home.0.path()), start);
    // The next run sees what is new.
    let new = another(&home, "shop", "app.py", "x = 1\n");
    let remote = home.json(&["scan", &url, "--format", "json"]);
    assert_eq!(remote["projects"][0]["commit"], *new);
    assert_eq!(
        remote["projects"][0]["findings"].as_array().unwrap().len(),
        1
    );
    assert_eq!(code(&home.run(&["cache", "clear"])), 0);
    assert!(!clone.is_dir());
    assert!(stdout(&home.run(&["cache"])).contains("no clone"));
}

#[test]
fn a_base_and_a_folder_can_be_each_repositorys_own() {
    let home = serving(&["shop"]);
    let first = git(&home.path("shop"), &["rev-parse", "HEAD"])
        .trim()
        .to_owned();
    another(&home, "shop", "app.py", "x = 1\n");
    let url = format!("file://{}", home.path("served/shop.git").display());
    let config = format!(
        "[[repo]]\nurl = \"{url}\"\nbase = \"v1\"\n[[repo]]\nurl = \"{url}\"\nwithin = \"sub\"\n\
         [[repo]]\npath = \"served/shop.git\"\nbase = \"{first}\"\nwithin = \"app.py\"\n[[repo]]\npath = \"shop\"\nwithin = \"sub\"\n"
    );
    home.write("depickle.toml", config);
    let run = home.json(&["scan", "--format", "json"]);
    let rows = run["projects"].as_array().unwrap();
    let found = |row: &Value| -> Vec<String> {
        let files = row["findings"].as_array().unwrap().iter();
        files
            .map(|finding| finding["file"].as_str().unwrap().to_owned())
            .collect()
    };
    let files: Vec<_> = rows.iter().map(found).collect();
    assert_eq!(
        files,
        [
            vec!["app.py", "sub/more.py"],
            vec!["more.py"],
            vec!["app.py"],
            vec!["more.py"]
        ],
        "{run}"
    );
    assert_eq!(rows[0]["commit"], *first);
    // The same through a list, and a base that is not there.
    home.write(
        "list.txt",
        format!("{url} {first}\nshop\tv1 # comment\n{url} nothing\n"),
    );
    let output = home.run(&["scan", "--repos", "list.txt", "--format", "json"]);
    assert_eq!(code(&output), 3);
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["projects"][0]["commit"], *first);
    assert_eq!(run["projects"][1]["commit"], *first);
    assert!(
        run["projects"][2]["error"]
            .as_str()
            .unwrap()
            .contains("by the name of the base"),
        "{run}"
    );
}

/// `url` wants the password that `me` has.
fn wants_a_password(home: &Home, server: &Server) {
    let text = "#!/bin/sh\ncase \"$1\" in Username*) echo me;; *) echo secret;; esac\n";
    let ask = home.script("ask", text).display().to_string();
    let own = home.0.path().display().to_string();
    let url = format!("http://127.0.0.1:{}/shop.git", server.port);
    let refused = home.run_with(&["scan", &url], &[("HOME", &own)]);
    assert_eq!(code(&refused), 3);
    assert!(
        stdout(&refused).contains("credential helper"),
        "{}",
        stdout(&refused)
    );
    let staged = home.run_with(&["stage", &url], &[("HOME", &own), ("GIT_ASKPASS", &ask)]);
    assert_eq!(code(&staged), 0, "{}", stdout(&staged));
    assert_eq!(states(home), [(url, "staged".to_owned())]);
    assert_eq!(inside(&clone_of(home)).1, 1);
    for folder in ["cache", "state"] {
        let found = Command::new("grep")
            .args(["-r", "secret"])
            .arg(home.path(folder))
            .output()
            .unwrap();
        assert!(found.stdout.is_empty());
    }
}

#[test]
fn a_password_comes_from_git_and_stands_nowhere() {
    let home = serving(&["shop"]);
    wants_a_password(&home, &web(&home));
}

#[test]
fn apache_is_as_good_a_server() {
    let Some(program) = installed("apache2") else {
        return;
    };
    let home = serving(&["shop"]);
    wants_a_password(&home, &apache(&home, &program));
}

#[test]
fn ssh_is_as_git_has_it() {
    let Some(program) = installed("sshd") else {
        return;
    };
    let home = serving(&["shop"]);
    let (server, ssh) = sshd(&home, &program);
    let who = Command::new("id").arg("-un").output().unwrap();
    let path = home.path("served/shop.git").display().to_string();
    let url = format!(
        "ssh://{}@127.0.0.1:{}{path}",
        stdout(&who).trim(),
        server.port
    );
    let staged = home.run_with(&["stage", &url], &[("GIT_SSH_COMMAND", &ssh)]);
    assert_eq!(code(&staged), 0, "{}", stdout(&staged));
    assert_eq!(inside(&clone_of(&home)).1, 1);
    let strange = ssh.replace("/client ", "/host ");
    let refused = home.run_with(&["scan", &url], &[("GIT_SSH_COMMAND", &strange)]);
    assert_eq!(code(&refused), 3);
    assert!(
        stdout(&refused).contains("Permission denied"),
        "{}",
        stdout(&refused)
    );
}

#[test]
fn a_server_that_went_away_is_a_failed_row_and_can_be_tried_again() {
    let home = serving(&["one", "two"]);
    home.repo("here", &[("app.py", GUIDE)]);
    let port = free();
    let urls = ["one", "two"].map(|name| format!("git://127.0.0.1:{port}/{name}.git"));
    let stage = ["stage", &urls[0], "here", &urls[1]];
    assert_eq!(code(&home.run(&stage)), 3);
    let words =
        |home: &Home| -> Vec<String> { states(home).into_iter().map(|(_, state)| state).collect() };
    assert_eq!(words(&home), ["failed", "staged", "failed"]);
    let _server = daemon(&home, port, &[]);
    assert_eq!(code(&home.run(&["stage", "--retry-failed", &id(&home)])), 0);
    assert_eq!(words(&home), ["staged", "staged", "staged"]);
}

#[test]
fn servers_that_cannot_leave_files_out_give_all_of_them() {
    let home = serving(&["shop"]);
    git(
        &home.path("served/shop.git"),
        &["config", "uploadpack.allowFilter", "false"],
    );
    let url = format!("file://{}", home.path("served/shop.git").display());
    let run = home.json(&["scan", &url, "--format", "json"]);
    assert_eq!(run["projects"][0]["status"], "ok", "{run}");
    assert_eq!(inside(&clone_of(&home)).1, 0);
}

#[test]
fn servers_that_leave_files_out_and_then_give_none_alone_are_asked_for_all() {
    let home = serving(&["shop"]);
    let url = format!("file://{}", home.path("served/shop.git").display());
    // The first version of git's protocol gives only what a ref names.
    let old = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "protocol.version"),
        ("GIT_CONFIG_VALUE_0", "0"),
    ];
    let output = home.run_with(&["scan", &url, "--format", "json"], &old);
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["projects"][0]["status"], "ok", "{run}");
    assert_eq!(run["projects"][0]["findings"].as_array().unwrap().len(), 2);
}

#[test]
fn a_server_of_plain_files_will_do() {
    let home = serving(&["shop"]);
    git(&home.path("served/shop.git"), &["update-server-info"]);
    let port = free();
    let mut command = Command::new("python3");
    command.args([
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        &port.to_string(),
    ]);
    command.current_dir(home.path("served"));
    let _server = started(command, port);
    let run = home.json(&[
        "scan",
        &format!("http://127.0.0.1:{port}/shop.git"),
        "--format",
        "json",
    ]);
    assert_eq!(run["projects"][0]["status"], "ok", "{run}");
    assert_eq!(run["projects"][0]["findings"].as_array().unwrap().len(), 2);
}

#[test]
fn what_a_user_has_git_make_is_no_clone() {
    let home = serving(&["shop"]);
    let text = "[init]\n\tdefaultObjectFormat = sha256\n\tdefaultRefFormat = reftable\n[safe]\n\tbareRepository = explicit\n";
    home.write(".gitconfig", text);
    let url = format!("file://{}", home.path("served/shop.git").display());
    for _ in 0..2 {
        let staged = home.run(&["stage", &url]);
        assert_eq!(code(&staged), 0, "{}", stdout(&staged));
        let pushed = home.run(&["push", &id(&home)]);
        assert_eq!(code(&pushed), 0, "{}", stdout(&pushed));
        assert_eq!(code(&home.run(&["rollback"])), 0);
    }
}

#[test]
fn a_server_that_never_answers_holds_up_nobody() {
    let home = Home::new();
    home.repo("here", &[("app.py", GUIDE)]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "git://127.0.0.1:{}/shop.git",
        silent.local_addr().unwrap().port()
    );
    assert_eq!(
        code(&home.run(&["stage", &url, "here", "--timeout", "1"])),
        3
    );
    let run = run(&home);
    let row = |n: usize| run["repositories"][n].clone();
    assert_eq!(
        (row(0)["state"].clone(), row(1)["state"].clone()),
        ("failed".into(), "staged".into())
    );
    assert!(
        row(0)["detail"]
            .as_str()
            .unwrap()
            .contains("did not finish within 1 s"),
        "{run}"
    );
}

#[test]
fn an_empty_repository_and_a_half_made_clone_are_no_obstacle() {
    let home = serving(&["shop"]);
    git(home.0.path(), &["init", "-q", "--bare", "served/empty.git"]);
    let url = |name: &str| {
        format!(
            "file://{}",
            home.path(&format!("served/{name}.git")).display()
        )
    };
    let empty = home.json(&["scan", &url("empty"), "--format", "json"]);
    assert!(
        empty["projects"][0]["error"]
            .as_str()
            .unwrap()
            .contains("no commit yet"),
        "{empty}"
    );
    home.run(&["cache", "clear"]);
    let good = |home: &Home| {
        let run = home.json(&["scan", &url("shop"), "--format", "json"]);
        assert_eq!(run["projects"][0]["status"], "ok", "{run}");
    };
    good(&home);
    let clone = clone_of(&home);
    // Stopped while it was made, and while git held its own locks.
    fs::remove_file(clone.join("depickle")).unwrap();
    fs::remove_file(clone.join("config")).unwrap();
    good(&home);
    for lock in ["shallow.lock", "config.lock", "packed-refs.lock"] {
        fs::write(clone.join(lock), "").unwrap();
    }
    another(&home, "shop", "new.py", "x = 1\n");
    good(&home);
}

#[test]
fn the_cache_has_limits_and_leaves_what_is_in_use() {
    let home = serving(&["shop"]);
    let url = format!("file://{}", home.path("served/shop.git").display());
    home.run(&["scan", &url]);
    let clone = clone_of(&home);
    // Within the limits nothing goes, and nothing that another process has.
    home.run(&["cache", "prune"]);
    let lock = fs::File::create(clone.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let kept = home.run(&["cache", "clear"]);
    assert_eq!(code(&kept), 3);
    assert!(
        stdout(&kept).contains("another depickle uses it"),
        "{}",
        stdout(&kept)
    );
    home.run(&["cache", "prune", "--max-age", "0d"]);
    assert!(clone.is_dir());
    drop(lock);
    let pruned = home.run(&["cache", "prune", "--max-size", "1K"]);
    assert!(
        stdout(&pruned).contains(&url) && !clone.is_dir(),
        "{}",
        stdout(&pruned)
    );
    assert_eq!(
        code(&home.run(&["cache", "prune", "--max-size", "much"])),
        2
    );
    // The limits of the configuration hold after every run.
    home.write("depickle.toml", "[cache]\nmax-size = \"0\"\n");
    assert_eq!(code(&home.run(&["scan", &url])), 1);
    assert!(!clone.is_dir());
    assert_eq!(code(&home.run(&["stage", &url])), 0);
    assert!(clone.is_dir(), "a staged branch is kept");
}

#[test]
fn what_the_environment_says_of_another_repository_does_not_count() {
    let home = serving(&["shop", "other"]);
    let url = format!("file://{}", home.path("served/shop.git").display());
    let other = home.path("other/.git").display().to_string();
    let before = refs(&home.path("other"));
    let output = home.run_with(
        &["scan", &url],
        &[("GIT_DIR", &other), ("GIT_OBJECT_DIRECTORY", &other)],
    );
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    assert_eq!(refs(&home.path("other")), before);
}

#[test]
fn a_forge_lists_what_somebody_has_and_says_what_is_left_out() {
    let home = serving(&["shop", "cart", "site", "old", "copy", "mine"]);
    let server = forge(&home);
    let at = |kind: &str, owner: &str| format!("{kind}:http://127.0.0.1:{}/{owner}", server.port);
    let names = |args: &[&str]| -> Vec<String> {
        let output = home.run(&[&["scan", "--format", "json"], args].concat());
        let run: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let rows = run["projects"].as_array().unwrap().iter();
        rows.map(|row| {
            row["root"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .replace(".git", "")
        })
        .collect()
    };
    // One asks to wait first; one is no organisation but a person; one tells languages in answers of their own.
    for source in [
        at("github", "team"),
        at("gitea", "team"),
        at("gitlab", "team/sub"),
    ] {
        let from = ["--from", source.as_str()];
        assert_eq!(names(&from), ["shop", "cart", "site"], "{source}");
        assert_eq!(
            names(&[&from[..], &["--archived", "--forks"]].concat()),
            ["shop", "cart", "site", "old", "copy", "mine"]
        );
        assert_eq!(
            names(&[&from[..], &["--language", "python", "--topic", "web"]].concat()),
            ["shop"]
        );
        assert_eq!(names(&[&from[..], &["--name", "c*"]].concat()), ["cart"]);
    }
    let said = stderr(&home.run(&["stage", "--from", &at("github", "team"), "--name", "shop"]));
    assert!(
        said.contains("1 repositories, 2 of other names left out, 1 archived left out"),
        "{said}"
    );
    let refused = |source: &str, why: &str| {
        let output = home.run_with(&["scan", "--from", source], &[("GITEA_TOKEN", "wrong")]);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    };
    refused(&at("gitea", "nobody"), "knows no nobody");
    refused(&at("gitea", "private"), "GITEA_TOKEN");
    refused(&at("gitea", "spent"), "too many requests");
    refused("gitea:team", "gitea:HOST/ORG");
    let output = home.run_with(
        &[
            "scan",
            "--from",
            &at("gitea", "private"),
            "--format",
            "json",
        ],
        &[("GITEA_TOKEN", "secret")],
    );
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(
        code(&home.run(&["scan", "--from", &at("github", "team"), "--name", "x"])),
        2
    );
}

#[test]
fn a_search_tells_what_it_does_not_tell() {
    let home = serving(&["shop", "cart", "site"]);
    let server = forge(&home);
    let from = |query: &str| format!("github:http://127.0.0.1:{}/{query}", server.port);
    let scan =
        |query: &str, more: &[&str]| home.run(&[&["scan", "--from", &from(query)], more].concat());
    let few = scan("?q=language:python org:a/b", &[]);
    assert_eq!(code(&few), 1, "{}", stderr(&few));
    assert!(
        stderr(&few).contains(": 3 repositories\n"),
        "{}",
        stderr(&few)
    );
    let many = scan("?q=pickle language:python", &["--name", "shop"]);
    assert_eq!(code(&many), 1, "{}", stderr(&many));
    let told = "1 repositories, 207 beyond the 1,000 that a search tells left out, 999 of other names left out";
    assert!(stderr(&many).contains(told), "{}", stderr(&many));
    let slow = scan("?q=slow", &[]);
    assert_eq!(code(&slow), 2);
    assert!(
        stderr(&slow).contains("did not search to its end"),
        "{}",
        stderr(&slow)
    );
    // One that has answered enough says when it answers again.
    let later = scan("later", &["--name", "shop"]);
    assert_eq!(code(&later), 1, "{}", stderr(&later));
}
