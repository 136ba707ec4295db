//! The real Python and the real frameworks that law 8 runs against, in an environment of the tests' own.
#![expect(clippy::disallowed_methods, reason = "runs the real Python")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

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

/// Compiles each of `files` (`name`, `source`); what is wrong with them, in their order.
pub fn compile(files: &Value) -> Result<Value, String> {
    let mut driver = Driver::start(&["--compile"])?;
    let bytes = serde_json::to_vec(files).map_err(|error| error.to_string())?;
    let Driver {
        child,
        stdin,
        stdout,
    } = &mut driver;
    let mut stdin = stdin.take().ok_or("no standard input")?;
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let outcome = serde_json::from_reader(stdout).map_err(|error| error.to_string());
    let _ = writer.join();
    let _ = child.wait();
    outcome
}

/// Runs `job` in a driver: one that has imported its frameworks already, if one is idle.
pub fn drive(job: &Value) -> Result<Value, String> {
    static IDLE: Mutex<Vec<Driver>> = Mutex::new(Vec::new());
    let idle = || IDLE.lock().map_err(|error| error.to_string());
    let waiting = idle()?.pop();
    let mut driver = match waiting {
        Some(driver) => driver,
        None => Driver::start(&[])?,
    };
    let outcome = driver.run(job)?;
    idle()?.push(driver);
    match outcome["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(outcome),
    }
}

/// A running driver. It ends when its standard input does.
struct Driver {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Driver {
    fn start(args: &[&str]) -> Result<Driver, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/prove/driver.py");
        let mut child = Command::new(python())
            .arg("-B")
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        Ok(Driver {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    fn run(&mut self, job: &Value) -> Result<Value, String> {
        let stdin = self.stdin.as_mut().ok_or("no standard input")?;
        writeln!(stdin, "{job}").map_err(|error| error.to_string())?;
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("the driver answers {line:?}: {error}"))
    }
}
