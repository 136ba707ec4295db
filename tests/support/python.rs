//! The driver of law 8: one side of a case, run against the real framework.
#![expect(clippy::disallowed_methods, reason = "runs the real Python")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use super::venv::python;

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
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/drive.py");
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
