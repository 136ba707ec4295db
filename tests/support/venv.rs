//! The real Python and the real frameworks that applications are run with, in an environment of the tests' own; and
//! one with the tools that packaging is checked with.
#![expect(clippy::disallowed_methods, reason = "makes the environments")]
#![allow(dead_code, reason = "each test uses one of them")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The Python of the environment with frameworks, made on first use; an error says what to install.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(
        || match environment("case-venv", include_str!("requirements.txt")) {
            Ok(venv) => venv.join("bin/python"),
            Err(error) => panic!("law 8 runs the cases against real frameworks: {error}"),
        },
    )
}

/// The programs of the environment with tools, likewise.
pub fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(
        || match environment("tool-venv", include_str!("tools.txt")) {
            Ok(venv) => venv.join("bin"),
            Err(error) => panic!("packages and hooks are tried with real tools: {error}"),
        },
    )
}

fn environment(name: &str, requirements: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = root.join("target").join(name);
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == requirements) {
        return Ok(venv);
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
    let list = venv.join("wanted.txt");
    std::fs::write(&list, requirements).map_err(|error| error.to_string())?;
    run(
        Command::new(venv.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(&list),
        "pip must reach a package index (Debian: apt-get install python3-pip)",
    )?;
    std::fs::rename(&list, &stamp).map_err(|error| error.to_string())?;
    Ok(venv)
}
