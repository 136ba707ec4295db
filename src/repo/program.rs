//! The git program, as it is run on repositories that nobody vouches for.

use std::process::Command;

/// Where the environment could lead git elsewhere: what `git rev-parse --local-env-vars` lists of places.
const PLACES: [&str; 10] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
];

/// `git` without hooks, monitors, lazy fetches and other places than it is told, to be completed.
pub(crate) fn git() -> Command {
    let mut git = Command::new("git");
    for place in PLACES {
        git.env_remove(place);
    }
    git.env("LC_ALL", "C")
        .env("GIT_NO_LAZY_FETCH", "1")
        .args(["-c", "core.hooksPath=/dev/null"])
        .args(["-c", "core.fsmonitor=false", "-c", "gc.auto=0"]);
    git
}
