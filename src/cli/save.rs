//! A file that somebody asked for by name: whole, or as it was before.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::repo::{FULL, is_full};
use crate::text::printable;

/// Writes `bytes` to the file `path`; `hint` is what to do when that cannot be for want of anything but room.
///
/// # Errors
/// It cannot be written: then what was there is there still.
pub(super) fn save(path: &Path, bytes: &[u8], hint: &str) -> anyhow::Result<()> {
    whole(path, bytes).map_err(|error| {
        let hint = match is_full(&error.to_string()) {
            true => FULL,
            false => hint,
        };
        let path = printable(&path.display().to_string());
        anyhow::Error::new(error).context(format!("{path}: cannot be written; {hint}"))
    })
}

fn whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a link leads to is written, and the link stays.
    let at = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = match fs::symlink_metadata(&at) {
        Ok(meta) if meta.is_file() => Some(meta.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // A pipe, a terminal, /dev/stdout; a folder says so itself.
        _ => return fs::write(path, bytes),
    };
    let folder = at.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".depickle-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let made = builder.tempfile_in(folder);
    let mut file = match made {
        // Its folder takes no other file.
        Err(error) if before.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
            return fs::write(path, bytes);
        }
        made => made?,
    };
    if let Some(before) = before {
        if before.readonly() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        file.as_file().set_permissions(before)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&at).map_err(|error| error.error)?;
    Ok(())
}
