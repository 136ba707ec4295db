//! The real Python and the real frameworks that applications are run with, in an environment of the tests' own.
#![expect(clippy::disallowed_methods, reason = "makes the environment")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The environment's Python, made on first use; an error says what to install.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match environment() {
        Ok(python) => python,
        Err(error) => panic!("law 8 runs the cases against real frameworks: {error}"),
    })
}

fn environment() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = root.join("target/case-venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == REQUIREMENTS) {
        return Ok(python);
    }
    let run = |command: &mut Command, hint: &str| -> Result<(), String> {
        let output = command
            .output()
            .map_err(|error| format!("{error}; {hint}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "{}; {hint}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    };
    run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv),
        "install Python 3.11 or newer with venv (Debian: apt-get install python3 python3-venv)",
    )?;
    let list = root.join("tests/support/requirements.txt");
    run(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(list),
        "pip must reach a package index (Debian: apt-get install python3-pip)",
    )?;
    std::fs::write(&stamp, REQUIREMENTS).map_err(|error| error.to_string())?;
    Ok(python)
}
