//! Signing commits, as the configuration of their repository asks for it.
//!
//! Invariant: that configuration says whether, how and with which key. Which program does it, only the user's own
//! configuration says: nothing of a repository chooses what is run.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::program::git;
use super::{Person, Repo, RepoError};

/// What signs the commits of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    format: Format,
    program: OsString,
    key: Option<String>,
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    OpenPgp,
    X509,
    Ssh,
}

/// `git config --list -z --show-scope`: scope, key and value, the last of a key counts.
struct Configured(Vec<(String, String, Option<String>)>);

impl Configured {
    fn parse(text: &str) -> Configured {
        let mut words = text.split('\0');
        let mut all = Vec::new();
        while let (Some(scope), Some(entry)) = (words.next(), words.next()) {
            let (key, value) = match entry.split_once('\n') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (entry, None),
            };
            all.push((scope.to_owned(), key.to_owned(), value));
        }
        Configured(all)
    }

    fn last(&self, key: &str, own: bool) -> Option<&Option<String>> {
        let of_user = |scope: &str| matches!(scope, "system" | "global" | "command");
        let mut fitting = self.0.iter().rev();
        fitting
            .find(|(scope, name, _)| name == key && (!own || of_user(scope)))
            .map(|(_, _, value)| value)
    }

    fn get(&self, key: &str) -> Option<String> {
        self.last(key, false)?.clone().filter(|v| !v.is_empty())
    }

    /// What the user's own configuration says, whatever the repository's does.
    fn own(&self, key: &str) -> Option<String> {
        self.last(key, true)?.clone().filter(|v| !v.is_empty())
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        let Some(value) = self.last(key, false) else {
            return Ok(false);
        };
        // A key alone means yes.
        let Some(value) = value else { return Ok(true) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" | "" => Ok(false),
            number => match number.parse::<i64>() {
                Ok(number) => Ok(number != 0),
                Err(_) => Err(format!("{key} is {value:?}, neither true nor false")),
            },
        }
    }
}

impl Repo {
    /// What signs commits here, if `commit.gpgsign` says that they are signed.
    ///
    /// # Errors
    /// [`RepoError::NotSigned`] when that cannot be told, or not be done.
    pub fn signer(&self) -> Result<Option<Signer>, RepoError> {
        self.asked_for().map_err(|why| RepoError::NotSigned {
            path: self.root().to_owned(),
            why,
        })
    }

    fn asked_for(&self) -> Result<Option<Signer>, String> {
        let mut git = git();
        git.arg("--git-dir").arg(self.own_git_dir());
        let said = git
            .args(["config", "--list", "-z", "--show-scope"])
            .output()
            .map_err(|error| format!("the git program cannot be started: {error}"))?;
        if !said.status.success() {
            let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            return Err(format!("git cannot read its configuration: {why}"));
        }
        let all = Configured::parse(&String::from_utf8_lossy(&said.stdout));
        if !all.flag("commit.gpgsign")? {
            return Ok(None);
        }
        let (format, program, default) = match all.get("gpg.format").as_deref() {
            None | Some("openpgp") => {
                let program = all.own("gpg.openpgp.program").or(all.own("gpg.program"));
                (Format::OpenPgp, program, "gpg")
            }
            Some("x509") => (Format::X509, all.own("gpg.x509.program"), "gpgsm"),
            Some("ssh") => (Format::Ssh, all.own("gpg.ssh.program"), "ssh-keygen"),
            Some(other) => return Err(format!("gpg.format is {other:?}, which git does not know")),
        };
        let key = all.get("user.signingkey");
        if format == Format::Ssh && key.is_none() {
            return Err("gpg.format is ssh, and user.signingkey is not set".to_owned());
        }
        Ok(Some(Signer {
            format,
            program: program.map_or_else(|| default.into(), |program| home(&program).into()),
            key,
            root: self.root().to_owned(),
        }))
    }
}

impl Signer {
    /// The signature of `commit`, made by `committer`, in armour.
    ///
    /// # Errors
    /// [`RepoError::NotSigned`].
    pub fn sign(&self, commit: &[u8], committer: &Person) -> Result<String, RepoError> {
        let signed = match self.format {
            Format::Ssh => self.by_ssh(commit),
            Format::OpenPgp | Format::X509 => self.by_gpg(commit, committer),
        };
        signed.map_err(|why| RepoError::NotSigned {
            path: self.root.clone(),
            why,
        })
    }

    fn by_gpg(&self, commit: &[u8], committer: &Person) -> Result<String, String> {
        let whose = format!("{} <{}>", committer.name, committer.email);
        let key = self.key.as_deref().unwrap_or(&whose);
        let args = [
            "--batch",
            "--status-fd=2",
            "--detach-sign",
            "--armor",
            "--local-user",
            key,
        ];
        let (signature, said) = self.run(&args.map(OsStr::new), commit)?;
        match said
            .lines()
            .any(|line| line.starts_with("[GNUPG:] SIG_CREATED "))
        {
            true => Ok(signature),
            false => Err(self.refused(&said)),
        }
    }

    fn by_ssh(&self, commit: &[u8]) -> Result<String, String> {
        let key = self.key.as_deref().unwrap_or_default();
        let literal = key
            .strip_prefix("key::")
            .or(key.starts_with("ssh-").then_some(key));
        let sign = ["-Y", "sign", "-n", "git", "-f"].map(OsStr::new);
        let (signature, _) = match literal {
            Some(public) => {
                // The agent has the other half.
                let made = tempfile::NamedTempFile::new().and_then(|mut file| {
                    writeln!(file, "{public}")?;
                    Ok(file)
                });
                let file = made.map_err(|error| format!("the key cannot be written: {error}"))?;
                let rest = [file.path().as_os_str(), OsStr::new("-U")];
                self.run(&[&sign[..], &rest].concat(), commit)?
            }
            None => {
                let path = self.root.join(home(key));
                self.run(&[&sign[..], &[path.as_os_str()]].concat(), commit)?
            }
        };
        Ok(signature)
    }

    /// What the program gives for `input`, and what it says besides.
    fn run(&self, args: &[&OsStr], input: &[u8]) -> Result<(String, String), String> {
        let name = Path::new(&self.program).display();
        let started = Command::new(&self.program)
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.map_err(|error| format!("{name} cannot be started: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that did not read to the end says why.
            let _ = stdin.write_all(input);
        }
        let output = child
            .wait_with_output()
            .map_err(|error| format!("{name}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let signature = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        match output.status.success() && signature.starts_with("-----BEGIN ") {
            true => Ok((signature, said)),
            false => Err(self.refused(&said)),
        }
    }

    fn refused(&self, said: &str) -> String {
        let lines = said.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("[GNUPG:]"));
        let said: Vec<&str> = lines.take(3).collect();
        let name = Path::new(&self.program).display();
        match said.is_empty() {
            true => format!("{name} gave no signature, and no reason"),
            false => format!("{name} says: {}", said.join("; ")),
        }
    }
}

/// `path` with the user's home in the place of `~/`.
fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::Configured;

    #[test]
    fn the_last_word_counts_and_a_program_only_of_the_users_own() {
        let all = Configured::parse(
            "global\0gpg.program\nmine\0global\0commit.gpgsign\nfalse\0local\0commit.gpgsign\0\
             local\0gpg.program\ntheirs\0worktree\0gpg.program\ntheirs\0local\0gpg.ssh.program\ntheirs\0",
        );
        assert_eq!(all.flag("commit.gpgsign"), Ok(true));
        assert_eq!(all.own("gpg.program").as_deref(), Some("mine"));
        assert_eq!(all.own("gpg.ssh.program"), None);
        assert_eq!(all.get("gpg.program").as_deref(), Some("theirs"));
        let flag = |value: &str| Configured::parse(&format!("local\0a.b\n{value}\0")).flag("a.b");
        for (value, meant) in [
            ("On", true),
            ("2", true),
            ("0", false),
            ("", false),
            ("no", false),
        ] {
            assert_eq!(flag(value), Ok(meant), "{value}");
        }
        assert!(flag("maybe").is_err());
    }
}
