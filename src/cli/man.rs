//! `man`: the manual pages, one for each command, from the very definitions that read the command line.

use std::path::PathBuf;

use anyhow::Context;

use super::Exit;
use super::help::command;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the pages go, such as ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn man(args: &Args) -> anyhow::Result<Exit> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command(), folder))
        .with_context(|| format!("{}: pages cannot be written", folder.display()))?;
    Ok(Exit::Done)
}
