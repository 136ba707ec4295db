//! `demo`: the whole way on a small vulnerable shop, with the real commands on a real repository.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use include_dir::{Dir, include_dir};

use super::Exit;
use crate::repo::{Person, Repo};

static SHOP: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/cli/demo/shop");

/// The shop's commit is dated, so that its id is the same everywhere: 23 November 2026.
const SHOP_TIME: i64 = 1_795_392_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the shop there and keep it, instead of to a temporary folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(super) fn demo(args: &Args) -> anyhow::Result<Exit> {
    let temporary = tempfile::tempdir().context(
        "no temporary folder can be made; set TMPDIR to one with space, or name one with --keep",
    )?;
    let home = args
        .keep
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let shop = home.join("shop");
    if shop.exists() {
        anyhow::bail!(
            "{}: is there already; name another folder after --keep",
            shop.display()
        );
    }
    write(&SHOP, &shop)?;
    let author = Person {
        name: "Shop".to_owned(),
        email: "shop@localhost".to_owned(),
    };
    Repo::create(&shop, &author, SHOP_TIME, "A small shop")?;
    let say = |text: &str| outln!("\n{text}");

    outln!(
        "A small Flask shop, in a git repository of its own: {}",
        shop.display()
    );
    say(
        "1. Which loads can an attacker reach, and how? Four of five: a request's body, a cookie, an\n   uploaded file, and a body that a helper in another file loads. The cache file is not theirs.",
    );
    step(&["scan", "shop"], &home)?;
    say("2. What would change? Nothing is written yet.");
    step(&["diff", "shop"], &home)?;
    say("3. Commit exactly that on a branch of its own. Work tree and index stay as they are.");
    step(&["stage", "shop"], &home)?;
    say(
        "4. Is every load gone, and none new? With `--execute`, and `--python` for one that has Flask, the shop is\n   also run before and after the change, and attacked.",
    );
    step(&["verify", "shop"], &home)?;
    say("5. After review it would be merged. Here it is taken back.");
    step(&["runs"], &home)?;
    step(&["rollback"], &home)?;
    if args.keep.is_some() {
        say(&format!(
            "The shop is yours to play with: {}",
            shop.display()
        ));
    }
    Ok(Exit::Done)
}

/// Runs one command as the user would type it, in the demo's folder and with a record of runs of its own.
fn step(words: &[&str], home: &Path) -> anyhow::Result<()> {
    outln!("\n$ depickle {}", words.join(" "));
    std::io::stdout().flush()?;
    let program = std::env::current_exe()
        .context("this program's own file is not known; start it by its full path")?;
    let status = std::process::Command::new(program)
        .args(words)
        .current_dir(home)
        .env("DEPICKLE_STATE_DIR", home.join("state"))
        .status()
        .context("this program cannot be started again; start it by its full path")?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => anyhow::bail!(
            "`depickle {}` failed: {status}; please report this",
            words.join(" ")
        ),
    }
}

fn write(dir: &Dir<'_>, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| {
        format!(
            "{}: cannot be made; name another folder with --keep",
            to.display()
        )
    })?;
    for file in dir.files() {
        let name = file.path().file_name().unwrap_or_default();
        std::fs::write(to.join(name), file.contents()).with_context(|| {
            format!(
                "{}: cannot be written; name another folder with --keep",
                to.join(name).display()
            )
        })?;
    }
    for below in dir.dirs() {
        let name = below.path().file_name().unwrap_or_default();
        write(below, &to.join(name))?;
    }
    Ok(())
}
