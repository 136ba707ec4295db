//! A change held against its attack: both sides are run, and attacked in the same way.
//!
//! Invariant: what did not run proves nothing. `proven` needs the attack to run before, and both sides to answer.
#![expect(
    clippy::disallowed_methods,
    reason = "runs the application that is asked for, and nothing else"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::delivery::Delivery;
use super::verdict::{Side, judged, unproven_before};
use crate::pack::{Model, Proof as Sent};

/// What runs there, as a package that no application has.
const PROGRAMS: [(&str, &str); 6] = [
    ("prove.py", include_str!("prove.py")),
    ("tested.py", include_str!("tested.py")),
    ("sandbox.py", include_str!("sandbox.py")),
    ("driver.py", include_str!("driver.py")),
    ("frameworks.py", include_str!("frameworks.py")),
    ("payloads.py", include_str!("payloads.py")),
];

/// What the program gets beyond its own bound, to end what it started.
const GRACE: Duration = Duration::from_secs(20);

/// What the execution came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The attack ran before the change, and is refused after it.
    Proven,
    /// One side did not run, or the attack did not run before.
    NotRun,
    /// The attack runs after the change, or what should be answered is not.
    Disproven,
}

impl Verdict {
    /// The word used in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Proven => "proven",
            Verdict::NotRun => "not-run",
            Verdict::Disproven => "disproven",
        }
    }
}

/// The outcome for one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// What it came to.
    pub verdict: Verdict,
    /// Kebab-case code of why it is not proven.
    pub reason: Option<String>,
    /// In words.
    pub message: String,
    /// The request, as far as it is known.
    pub request: Option<String>,
    /// Attacks that ran before, by protocol.
    pub ran_before: Vec<String>,
    /// What attacks were answered with after, by protocol.
    pub answers_after: BTreeMap<String, Value>,
    /// Whether good data is answered as it was; absent when no good data is known.
    pub same_for_good: Option<bool>,
    /// Why the application could have reached the network, if it could.
    pub open_network: Option<String>,
}

impl Proof {
    /// Nothing was run, for the reason `code`.
    pub fn not_run(code: &str, message: String) -> Proof {
        Proof {
            verdict: Verdict::NotRun,
            reason: Some(code.to_owned()),
            message,
            request: None,
            ran_before: Vec::new(),
            answers_after: BTreeMap::new(),
            same_for_good: None,
            open_network: None,
        }
    }
}

/// Where the sides are, and how they are run.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The Python that has what the application needs.
    pub python: &'a Path,
    /// A folder for programs, homes and what is written: it is gone afterwards.
    pub scratch: &'a Path,
    /// The project before.
    pub before: &'a Path,
    /// The project after.
    pub after: &'a Path,
    /// Seconds that one side has.
    pub seconds: u64,
    /// Names and values of the environment.
    pub environment: &'a [(String, String)],
}

/// Attacks both sides by `delivery`, as `sent` says.
pub fn prove(model: &Model, delivery: &Delivery, sent: &Sent, order: &Order<'_>) -> Proof {
    let framework = model.frameworks.iter().find(|f| f.id == delivery.framework);
    let serves = framework.map_or(&[][..], |framework| &framework.serves);
    if serves.is_empty() {
        let title = framework.map_or("its framework", |framework| framework.title.as_str());
        let message = format!("how to run an application of {title} is not known");
        return Proof::not_run("framework-not-run", message);
    }
    let mut last = None;
    // One framework may have applications of several kinds.
    for serve in serves {
        let job = |side: &str, root: &Path, request: &Value, good: &str| {
            json!({
                "root": root, "side": side, "seconds": order.seconds,
                "attack": sent.attack, "good": good, "sample": delivery.sample,
                "find": {
                    "run": serve.run, "types": serve.types, "handler": serve.handler,
                    "factories": serve.factories, "file": delivery.file, "name": delivery.handler,
                },
                "prefixes": delivery.prefixes, "request": request,
            })
        };
        let request = json!({
            "method": delivery.method, "path": delivery.path, "channel": delivery.channel,
            "name": delivery.name, "wrap": delivery.wrapping,
        });
        let before = run(&job("before", order.before, &request, &sent.before), order);
        if before.error.as_deref() == Some("no-app") && serves.len() > 1 {
            last = Some(Proof::not_run("no-app", before.message));
            continue;
        }
        if let Some(proof) = unproven_before(&before) {
            return proof;
        }
        let noun = match sent.attack.as_str() {
            "pickle" | "protobuf" => "pickles",
            _ => "attacks",
        };
        let after = run(
            &job("after", order.after, &before.request, &sent.after),
            order,
        );
        return judged(&before, &after, noun);
    }
    last.unwrap_or_else(|| Proof::not_run("no-app", "no application is found".to_owned()))
}

/// What the program gives for `job`. It ends what it started; and if it does not end itself, it is ended.
fn run(job: &Value, order: &Order<'_>) -> Side {
    match outcome("prove", job, order) {
        Ok(side) => side,
        Err(message) => Side::failed(message),
    }
}

/// What a run of tests came to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tested {
    /// The exit code.
    pub code: i64,
    /// The end of what was printed.
    pub said: String,
}

/// Runs Python with `command` in the copy `root`.
///
/// # Errors
/// Why it did not come to an end.
pub fn tested(command: &[String], root: &Path, order: &Order<'_>) -> Result<Tested, String> {
    let job = json!({"root": root, "command": command, "seconds": order.seconds});
    let said: Value = outcome("tested", &job, order)?;
    let why = said["message"]
        .as_str()
        .unwrap_or("it did not end")
        .to_owned();
    serde_json::from_value(said).map_err(|_| why)
}

/// What `program` gives for `job`.
fn outcome<T: DeserializeOwned>(
    program: &str,
    job: &Value,
    order: &Order<'_>,
) -> Result<T, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", order.python.display());
    let programs = order.scratch.join("programs");
    let package = programs.join("depickle_prove");
    let home = tempfile::tempdir_in(order.scratch).map_err(failed)?;
    std::fs::create_dir_all(&package).map_err(failed)?;
    for (name, text) in PROGRAMS {
        std::fs::write(package.join(name), text).map_err(failed)?;
    }
    // What is given comes after what is run.
    let given = order.environment.iter();
    let given = given.filter(|(name, _)| name == "PYTHONPATH");
    let given = given.flat_map(|(_, value)| std::env::split_paths(value));
    let modules = std::env::join_paths(std::iter::once(programs).chain(given));
    let modules = modules.map_err(|error| error.to_string())?;
    let mut command = Command::new(order.python);
    // Nothing of the environment goes along: it may hold secrets.
    command
        .args(["-B", "-m", &format!("depickle_prove.{program}")])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .env("PYTHONPATH", modules)
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(failed)?;
    let stdin = child.stdin.take();
    let text = job.to_string();
    if let Some(mut stdin) = stdin {
        // A program that ends before it has read says why.
        let _ = stdin.write_all(text.as_bytes());
    }
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(pipe) = pipe {
                // What was read until an error counts.
                let _ = pipe.take(16 << 20).read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let until = Instant::now() + Duration::from_secs(order.seconds) + GRACE;
    loop {
        match child.try_wait().map_err(failed)? {
            Some(_) => break,
            None if Instant::now() > until => {
                child.kill().map_err(failed)?;
                child.wait().map_err(failed)?;
                return Err("it did not come to an end, and was killed".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    let stdout = stdout.join().unwrap_or_default();
    match serde_json::from_slice(&stdout) {
        Ok(side) => Ok(side),
        Err(_) => {
            let said = stderr.join().unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let last = said.trim().lines().last().unwrap_or("it said nothing");
            Err(format!("{}: {last}", order.python.display()))
        }
    }
}
