//! Every trouble mixed into one run: each repository has its row, and nothing hides another.

use std::process::Stdio;

use super::*;

/// What a kind of repository comes to: its state, and whether all of it could be read.
type Fate = (&'static str, bool);

const STAGED: Fate = ("staged", true);
const FAILED: Fate = ("failed", true);

/// Makes repository `n`, and gives its line for the list and its fate.
fn make(home: &Home, n: usize) -> (String, Fate) {
    let name = format!("shop-{n}");
    let good = |name: &str| home.repo(name, &[("app.py", GUIDE)]);
    let fate = match n % 17 {
        0 => (good(&name), STAGED).1,
        1 => (home.repo(&name, &[("app.py", "x = 1\n")]), ("clean", true)).1,
        2 => {
            fs::create_dir_all(home.path(&name)).unwrap();
            FAILED
        }
        3 => {
            let full = good(&format!("full-{n}"));
            git(
                home.0.path(),
                &["clone", "-q", "--bare", full.to_str().unwrap(), &name],
            );
            STAGED
        }
        4 => {
            let broken = good(&name);
            fs::write(broken.join(".git/HEAD"), "nonsense").unwrap();
            FAILED
        }
        5 => {
            let lost = good(&name);
            let head = git(&lost, &["rev-parse", "HEAD"]);
            fs::remove_file(
                lost.join(".git/objects")
                    .join(&head[..2])
                    .join(head[2..].trim()),
            )
            .unwrap();
            FAILED
        }
        6 => {
            git(home.0.path(), &["init", "-q", &name]);
            FAILED
        }
        7 => {
            git(&good(&name), &["branch", BRANCH]);
            FAILED
        }
        8 => {
            let old = "import pickle\nprint \"old\"\n";
            (
                home.repo(&name, &[("app.py", GUIDE), ("old.py", old)]),
                ("staged", false),
            )
                .1
        }
        9 => {
            let huge = "# a comment of some length\n".repeat(400_000);
            (
                home.repo(&name, &[("app.py", GUIDE), ("huge.py", &huge)]),
                ("staged", false),
            )
                .1
        }
        10 => {
            let inner = good(&format!("inner-{n}"));
            let outer = good(&name);
            let add = [
                "-c",
                "protocol.file.allow=always",
                "submodule",
                "--quiet",
                "add",
            ];
            git(
                &outer,
                &[&add[..], &[inner.to_str().unwrap(), "inner"]].concat(),
            );
            git(&outer, &["commit", "-q", "-m", "submodule"]);
            ("staged", false)
        }
        11 => {
            let hooked = good(&name);
            for hook in ["pre-commit", "post-commit", "reference-transaction"] {
                let hook = hooked.join(".git/hooks").join(hook);
                let text = "#!/bin/sh\ntouch \"$GIT_DIR/ran\"\nexit 1\n";
                home.script(hook.to_str().unwrap(), text);
            }
            STAGED
        }
        12 => {
            let name = format!("Geschäft {n} № 1");
            good(&name);
            return (name, STAGED);
        }
        13 => return (format!("file://{}", good(&name).display()), STAGED),
        14 => return (format!("ext::touch-ran-{n}"), FAILED),
        15 => {
            let denied = good(&name);
            // Root may read everything, but opens nothing of others.
            match std::os::unix::fs::chown(denied.join(".git"), Some(12_345), None) {
                Ok(()) => std::os::unix::fs::chown(&denied, Some(12_345), None).unwrap(),
                Err(_) => {
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
                    fs::set_permissions(denied.join(".git/objects"), mode).unwrap();
                }
            }
            FAILED
        }
        _ => FAILED,
    };
    (name, fate)
}

/// The program over `count` repositories, and the most memory that it took, in KiB.
fn mixed(count: usize) -> usize {
    let home = Home::new();
    let made: Vec<(String, Fate)> = (0..count).map(|n| make(&home, n)).collect();
    let list: Vec<&str> = made.iter().map(|(line, _)| line.as_str()).collect();
    home.write("list.txt", list.join("\n"));
    let readable = |home: &Home| -> BTreeMap<usize, String> {
        let kinds = [0, 1, 3, 7, 8, 9, 10, 11, 12, 13];
        let there = (0..count).filter(|n| kinds.contains(&(n % 17)));
        there
            .map(|n| {
                (
                    n,
                    made[n]
                        .0
                        .strip_prefix("file://")
                        .map_or_else(|| home.path(&made[n].0), PathBuf::from),
                )
            })
            .map(|(n, path)| (n, git(&path, &["for-each-ref"])))
            .collect()
    };
    let start = readable(&home);
    let mut child = home.program(&[
        "stage", "--repos", "list.txt", "--format", "json", "-o", "out.json",
    ]);
    let mut child = child.stderr(Stdio::null()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    let exit = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak = peak.max(now.unwrap_or(0));
        match child.try_wait().unwrap() {
            Some(exit) => break exit,
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    assert_eq!(exit.code(), Some(3));
    let rows: Value =
        serde_json::from_str(&fs::read_to_string(home.path("out.json")).unwrap()).unwrap();
    let rows = rows["projects"].as_array().unwrap();
    let recorded = run(&home)["repositories"].as_array().unwrap().clone();
    assert_eq!((rows.len(), recorded.len()), (count, count));
    for (n, (line, (state, complete))) in made.iter().enumerate() {
        let (row, record) = (&rows[n], &recorded[n]);
        assert_eq!(row["root"], **line);
        assert_eq!(record["repository"], **line);
        assert_eq!(
            (&record["state"], &record["complete"]),
            (&Value::from(*state), &Value::from(*complete)),
            "{row} {record}"
        );
        let word = match (*state, *complete) {
            ("failed", _) => "failed",
            (_, true) => "ok",
            (_, false) => "incomplete",
        };
        assert_eq!(row["status"], word, "{line}");
        assert_eq!(row["error"].is_string(), word == "failed", "{line}");
        assert_eq!(row["branch"] == BRANCH, *state == "staged", "{line}");
        let ran = home.path(line).join(".git/ran");
        assert!(
            !ran.exists() && !home.path(&format!("touch-ran-{n}")).exists(),
            "{line}: something ran"
        );
    }
    let id = id(&home);
    let csv = stdout(&home.run(&["runs", &id, "--format", "csv"]));
    assert_eq!(csv.lines().count(), count + 1);
    assert_eq!(stdout(&home.run(&["runs", &id])).lines().count(), count + 2);
    let undone = home.run(&["rollback", &id]);
    assert_eq!(code(&undone), 0, "{}", stdout(&undone));
    assert_eq!(readable(&home), start);
    peak
}

#[test]
fn every_one_of_sixty_eight_has_its_row() {
    mixed(68);
}

/// `cargo test --test many -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes; says how much memory it took"]
fn every_one_of_three_hundred_has_its_row_in_little_memory() {
    let peak = mixed(300);
    println!("peak resident memory: {} MiB", peak / 1024);
    assert!(peak > 0 && peak < 300 * 1024, "{peak} KiB");
}
