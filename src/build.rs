//! Rebuilds when `transforms/` changes: `include_dir!` alone goes stale, and a new case would silently not run.

fn main() {
    println!("cargo::rerun-if-changed=transforms");
}
