//! The program: parse, call, exit code.

use std::io::Write;
use std::process::ExitCode;

// Syntax trees are made and dropped by the thousand on all threads: a third of the time less (benches/README.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Deeply nested code costs stack: the analysis runs on a thread with plenty.
    let run = || depickle::cli::main(std::env::args_os());
    let worker = std::thread::Builder::new()
        .stack_size(depickle::cli::STACK)
        .spawn(run);
    match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => {
            // A full or closed standard error is no reason for another panic.
            let _ = writeln!(
                std::io::stderr(),
                "error: depickle stopped unexpectedly; please report this with the command that you ran"
            );
            ExitCode::from(2)
        }
    }
}
