//! Servers for tests, ended with them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::home::{Home, git};

/// A server, ended with the test.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked, and not killed: some have children to end.
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// A port that is free, and given to nobody else of these tests; nor is it one of those that systems give to who connects, as
/// another test may by the time it is listened to.
pub fn free() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let random = RandomState::new().hash_one(std::process::id());
        let port = 10_000 + u16::try_from(random % 20_000).unwrap();
        let new = GIVEN.lock().unwrap().insert(port);
        if new && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The server of `command`, once it answers at `port`.
pub fn started(mut command: Command, port: u16) -> Server {
    command.stdout(Stdio::null());
    started_telling(command, port)
}

/// [`started`], and what the server tells goes where `command` says.
pub fn started_telling(mut command: Command, port: u16) -> Server {
    let child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut server = Server { child, port };
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.child.try_wait().unwrap();
        assert!(ended.is_none(), "{command:?} at {port}: {ended:?}");
        let waited = begun.elapsed() < Duration::from_secs(120);
        assert!(waited, "{command:?} does not answer at {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

/// `git daemon` for what is `served`, with `more` options: the program itself, which the other would leave behind when
/// it is ended.
pub fn daemon(home: &Home, port: u16, more: &[&str]) -> Server {
    let folder = git(home.0.path(), &["--exec-path"]);
    let mut command = Command::new(Path::new(folder.trim()).join("git-daemon"));
    let base = home.path("served");
    command
        .args(["--reuseaddr", "--export-all", "--listen=127.0.0.1"])
        .args(more)
        .arg(format!("--port={port}"))
        .arg(format!("--base-path={}", base.display()))
        .arg(&base);
    started(command, port)
}

/// A server written in Python, for what is `served`; see the script `name` beside this file.
pub fn script(home: &Home, name: &str) -> Server {
    let port = free();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support");
    let mut command = Command::new("python3");
    command
        .arg(folder.join(name))
        .arg(port.to_string())
        .arg(home.path("served"));
    started(command, port)
}

/// `git http-backend` behind Python's web server: `me` with the password `secret` gets in.
pub fn web(home: &Home) -> Server {
    script(home, "git_http.py")
}
