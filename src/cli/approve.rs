//! `approve`: signs a plan as its approver; and who of those who may has signed it.
//!
//! Invariant: only `ssh-keygen` and `gpg` from the user's own path are run, and no configuration of a repository is
//! read. A signature counts only if its key stands in the file of who may.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context;

use super::Exit;
use super::pinned::Pinned;
use crate::cli::save::save;
use crate::journal::digest;
use crate::text::printable;

/// An SSH signature for this is good for nothing else, and none for something else is good for this.
const NAMESPACE: &str = "depickle";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `depickle diff --save` wrote; the signature is put beside it, after those that are there
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// SSH key to sign with: a file, or key::... for one that an agent has; your git configuration names it by default
    #[arg(long, value_name = "KEY", conflicts_with = "gpg_key")]
    key: Option<String>,
    /// OpenPGP key to sign with, by gpg
    #[arg(long, value_name = "ID")]
    gpg_key: Option<String>,
}

/// What is signed with.
enum Key {
    Ssh(String),
    /// None is gpg's own choice.
    Pgp(Option<String>),
}

pub(super) fn approve(args: &Args) -> anyhow::Result<Exit> {
    let (plan, bytes) = Pinned::read(&args.plan)?;
    let key = match (&args.key, &args.gpg_key) {
        (Some(key), _) => Key::Ssh(key.clone()),
        (None, Some(id)) => Key::Pgp(Some(id.clone())),
        (None, None) => configured()?,
    };
    let new = key.sign(&bytes)?;
    let path = signatures(&args.plan);
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    if !text.contains(new.trim()) {
        text += &new;
        save(
            &path,
            text.as_bytes(),
            "check the permissions of its folder",
        )?;
    }
    for one in &plan.repositories {
        let line = format!("  {} at {}", one.target.name(), one.commit);
        outln!("{}", printable(&line));
    }
    outln!("approved sha256 {}: {}", digest(&bytes), path.display());
    Ok(Exit::Done)
}

/// Who of those in the file `allowed` signed the plan `bytes` that is at `plan`; at least `wanted`, each counted once.
pub(super) fn approvers(
    plan: &Path,
    bytes: &[u8],
    allowed: &Path,
    wanted: usize,
) -> anyhow::Result<BTreeSet<String>> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).with_context(|| {
            format!(
                "{}: cannot be read; `depickle approve {}` signs the plan",
                file.display(),
                plan.display()
            )
        })
    };
    let signed = read(&signatures(plan))?;
    let may = read(allowed)?;
    let folder = tempfile::Builder::new().prefix("depickle-").tempdir()?;
    let (keys, lines) = blocks(&may);
    let ring = Ring {
        folder: folder.path(),
        keys: keys.iter().map(|(_, key)| format!("{key}\n")).collect(),
        lines,
    };
    let mut who = BTreeSet::new();
    for (kind, signature) in blocks(&signed).0 {
        match kind {
            "SSH SIGNATURE" => who.extend(ring.ssh(signature, bytes)?),
            "PGP SIGNATURE" => who.extend(ring.pgp(signature, bytes)?),
            _ => {}
        }
    }
    let (plan, allowed) = (plan.display(), allowed.display());
    match who.len() {
        0 => {
            anyhow::bail!("{plan}: nobody in {allowed} signed this plan; have it approved as it is")
        }
        n if n < wanted => anyhow::bail!(
            "{plan}: {n} of {wanted} in {allowed} signed this plan: {}; have it approved by others as well",
            Vec::from_iter(who).join(", ")
        ),
        _ => Ok(who),
    }
}

impl Key {
    fn sign(&self, bytes: &[u8]) -> anyhow::Result<String> {
        let signed = match self {
            Key::Ssh(key) => {
                let flags = ["-Y", "sign", "-n", NAMESPACE, "-f"].map(OsStr::new);
                let literal = key.strip_prefix("key::").or_else(|| {
                    let known = ["ssh-", "ecdsa-", "sk-"];
                    Some(key.as_str()).filter(|key| known.iter().any(|kind| key.starts_with(kind)))
                });
                match literal.filter(|key| key.contains(' ')) {
                    None => run(
                        "ssh-keygen",
                        &[&flags[..], &[OsStr::new(key)]].concat(),
                        bytes,
                    )?,
                    // The public half; the other is an agent's.
                    Some(public) => {
                        let mut file = tempfile::NamedTempFile::new()?;
                        writeln!(file, "{public}")?;
                        let path = file.path().as_os_str();
                        let agent = OsStr::new("-U");
                        run("ssh-keygen", &[&flags[..], &[path, agent]].concat(), bytes)?
                    }
                }
            }
            Key::Pgp(id) => {
                let mut args = vec!["--detach-sign", "--armor"];
                if let Some(id) = id {
                    args.extend(["--local-user", id]);
                }
                let args: Vec<&OsStr> = args.into_iter().map(OsStr::new).collect();
                run("gpg", &args, bytes)?
            }
        };
        if !signed.status.success() {
            let said = String::from_utf8_lossy(&signed.stderr);
            let (program, option) = match self {
                Key::Ssh(_) => ("ssh-keygen", "--key"),
                Key::Pgp(_) => ("gpg", "--gpg-key"),
            };
            anyhow::bail!(
                "{program} did not sign: {}; {option} names another key",
                said.trim()
            );
        }
        Ok(String::from_utf8(signed.stdout)?)
    }
}

/// Who may approve.
struct Ring<'a> {
    folder: &'a Path,
    /// OpenPGP keys, armored.
    keys: String,
    /// In the form of ssh-keygen's allowed signers.
    lines: String,
}

impl Ring<'_> {
    fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Whose SSH signature it is.
    fn ssh(&self, signature: &str, bytes: &[u8]) -> anyhow::Result<Option<String>> {
        let signature = self.file("sig", &format!("{signature}\n"))?;
        let allowed = self.file("allowed", &self.lines)?;
        let (signature, allowed) = (signature.as_os_str(), allowed.as_os_str());
        let last = [signature, OsStr::new("-f"), allowed];
        let ask = ["-Y", "find-principals", "-s"].map(OsStr::new);
        let found = run("ssh-keygen", &[&ask[..], &last].concat(), b"")?;
        let names = String::from_utf8_lossy(&found.stdout).into_owned();
        let names = names.lines().filter(|_| found.status.success());
        for name in names.map(str::trim).filter(|name| !name.is_empty()) {
            let flags = ["-Y", "verify", "-n", NAMESPACE, "-I", name, "-s"].map(OsStr::new);
            let verified = run("ssh-keygen", &[&flags[..], &last].concat(), bytes)?;
            if verified.status.success() {
                return Ok(Some(name.to_lowercase()));
            }
        }
        Ok(None)
    }

    /// Whose OpenPGP signature it is. In a home of its own gpg knows those keys and no others.
    fn pgp(&self, signature: &str, bytes: &[u8]) -> anyhow::Result<Option<String>> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let home = self.folder.as_os_str();
        let keys = self.file("keys", &self.keys)?;
        let signature = self.file("sig", &format!("{signature}\n"))?;
        let flags = ["--batch", "--no-autostart", "--quiet", "--status-fd", "1"].map(OsStr::new);
        let flags = [&[OsStr::new("--homedir"), home][..], &flags].concat();
        let import = [OsStr::new("--import"), keys.as_os_str()];
        run("gpg", &[&flags[..], &import].concat(), b"")?;
        let verify = [
            OsStr::new("--verify"),
            signature.as_os_str(),
            OsStr::new("-"),
        ];
        let said = run("gpg", &[&flags[..], &verify].concat(), bytes)?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        // One that is good, of a key that is neither revoked nor out of date: gpg has other words for those.
        let mut good = said
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] GOODSIG "));
        let valid = said
            .lines()
            .any(|line| line.starts_with("[GNUPG:] VALIDSIG "));
        let (Some(good), None, true) = (good.next(), good.next(), valid) else {
            return Ok(None);
        };
        let name = good.split_once(' ').map_or(good, |(_, name)| name);
        let mail = name
            .rsplit_once('<')
            .and_then(|(_, mail)| mail.strip_suffix('>'));
        // The same person with two kinds of keys is one.
        Ok(Some(mail.unwrap_or(name).to_lowercase()))
    }
}

/// The armored blocks of `text`, each with what it is, and what stands between them.
fn blocks(text: &str) -> (Vec<(&str, &str)>, String) {
    let (mut found, mut rest) = (Vec::new(), String::new());
    let mut left = text;
    while let Some((before, kind, after)) = left.find("-----BEGIN ").and_then(|at| {
        let (kind, _) = left[at + 11..].split_once("-----")?;
        let end = format!("-----END {kind}-----");
        let end = at + left[at..].find(&end)? + end.len();
        Some((at, kind, end))
    }) {
        rest += &left[..before];
        found.push((kind, &left[before..after]));
        left = &left[after..];
    }
    (found, rest + left)
}

fn signatures(plan: &Path) -> PathBuf {
    let mut name = plan.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// The key that the user's own git configuration signs with.
fn configured() -> anyhow::Result<Key> {
    let get = |key: &str| -> anyhow::Result<String> {
        let said = Command::new("git")
            .args(["config", "--global", "--includes", "--get", key])
            .output()
            .context(
                "git cannot be started to ask for your key; install it, or name a key with --key",
            )?;
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    let (format, key) = (get("gpg.format")?, get("user.signingkey")?);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match (format.as_str(), key.as_str()) {
        ("openpgp", "") => Ok(Key::Pgp(None)),
        // What git takes when nothing is said.
        ("openpgp" | "", id) if !id.is_empty() => Ok(Key::Pgp(Some(key))),
        ("ssh", file) if !file.is_empty() => Ok(Key::Ssh(match (file.strip_prefix("~/"), home) {
            (Some(below), Some(home)) => home.join(below).display().to_string(),
            _ => key,
        })),
        _ => anyhow::bail!(
            "your git configuration names no key to sign with (gpg.format, user.signingkey); --key names one of SSH, \
             --gpg-key one of OpenPGP"
        ),
    }
}

fn run(program: &str, args: &[&OsStr], input: &[u8]) -> anyhow::Result<Output> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be started; it comes with OpenSSH or GnuPG"))?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // Beside, so that neither waits for the other to read.
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // One that did not read to the end says why.
                let _ = stdin.write_all(input);
            }
        });
        Ok(child.wait_with_output()?)
    })
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn blocks_are_told_from_lines() {
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n-----END PGP PUBLIC KEY BLOCK-----";
        let text = format!(
            "# who may\na@h ssh-ed25519 AAAA\n{key}\nb@h ssh-ed25519 BBBB\n-----BEGIN X-----"
        );
        let (found, rest) = blocks(&text);
        assert_eq!(found, [("PGP PUBLIC KEY BLOCK", key)]);
        assert_eq!(
            rest,
            "# who may\na@h ssh-ed25519 AAAA\n\nb@h ssh-ed25519 BBBB\n-----BEGIN X-----"
        );
    }
}
