//! `approve`: signs a plan as its approver; and whether a signature is from somebody who may.
//!
//! Invariant: only `ssh-keygen` from the user's own path is run, and no configuration of a repository is read.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context;

use super::Exit;
use super::pinned::Pinned;
use crate::journal::digest;
use crate::text::printable;

/// A signature for this is good for nothing else, and none for something else is good for this.
const NAMESPACE: &str = "depickle";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `depickle diff --save` wrote; the signature is put beside it
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// SSH key to sign with; user.signingkey of your git configuration by default
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) fn approve(args: &Args) -> anyhow::Result<Exit> {
    let (plan, bytes) = Pinned::read(&args.plan)?;
    let key = match &args.key {
        Some(key) => key.clone(),
        None => configured()?,
    };
    let flags = ["-Y", "sign", "-n", NAMESPACE, "-f"].map(OsStr::new);
    let signed = ssh_keygen(&[&flags[..], &[key.as_os_str()]].concat(), &bytes)?;
    if !signed.status.success() {
        let said = String::from_utf8_lossy(&signed.stderr);
        anyhow::bail!(
            "ssh-keygen did not sign: {}; --key names another key",
            said.trim()
        );
    }
    let path = signature(&args.plan);
    std::fs::write(&path, &signed.stdout)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    for one in &plan.repositories {
        let line = format!("  {} at {}", one.target.name(), one.commit);
        anstream::println!("{}", printable(&line));
    }
    anstream::println!("approved sha256 {}: {}", digest(&bytes), path.display());
    Ok(Exit::Done)
}

/// Who of those in the file `allowed` signed the plan `bytes` that is at `plan`.
pub(super) fn approver(plan: &Path, bytes: &[u8], allowed: &Path) -> anyhow::Result<String> {
    let signature = signature(plan);
    for file in [&signature, allowed] {
        // ssh-keygen says no more than that something failed.
        std::fs::File::open(file).with_context(|| {
            format!(
                "{}: cannot be read; `depickle approve {}` signs the plan",
                file.display(),
                plan.display()
            )
        })?;
    }
    let (signature, allowed) = (signature.as_os_str(), allowed.as_os_str());
    let ask = ["-Y", "find-principals", "-s"].map(OsStr::new);
    let found = ssh_keygen(
        &[&ask[..], &[signature, OsStr::new("-f"), allowed]].concat(),
        b"",
    )?;
    let names = String::from_utf8_lossy(&found.stdout).into_owned();
    let names = names.lines().filter(|_| found.status.success());
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        let flags = ["-Y", "verify", "-n", NAMESPACE, "-I", name, "-s"].map(OsStr::new);
        let all = [&flags[..], &[signature, OsStr::new("-f"), allowed]].concat();
        if ssh_keygen(&all, bytes)?.status.success() {
            return Ok(name.to_owned());
        }
    }
    anyhow::bail!(
        "{}: nobody in {} signed this plan; have it approved as it is",
        plan.display(),
        Path::new(allowed).display()
    )
}

fn signature(plan: &Path) -> PathBuf {
    let mut name = plan.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// The key that the user's own git configuration signs with.
fn configured() -> anyhow::Result<PathBuf> {
    let get = |key: &str| -> anyhow::Result<String> {
        let said = Command::new("git")
            .args(["config", "--global", "--includes", "--get", key])
            .output()
            .context("git cannot be started")?;
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    let key = get("user.signingkey")?;
    if get("gpg.format")? != "ssh"
        || key.is_empty()
        || key.starts_with("key::")
        || key.starts_with("ssh-")
    {
        anyhow::bail!(
            "your git configuration names no file with an SSH key (gpg.format, user.signingkey); approvals are SSH \
             signatures: --key names one"
        );
    }
    Ok(match (key.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(below), Some(home)) => PathBuf::from(home).join(below),
        _ => PathBuf::from(key),
    })
}

fn ssh_keygen(args: &[&OsStr], input: &[u8]) -> anyhow::Result<Output> {
    let mut child = Command::new("ssh-keygen")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("ssh-keygen cannot be started; it comes with OpenSSH")?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that did not read to the end says why.
        let _ = stdin.write_all(input);
    }
    Ok(child.wait_with_output()?)
}
