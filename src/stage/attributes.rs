//! Extended attributes of a file that is replaced, and its access control list, which is one of them.

use std::fs::File;
use std::io;

/// Gives `to` what `from` has.
///
/// # Errors
/// When one cannot be kept: then the file is not replaced.
#[cfg(unix)]
pub(super) fn keep(from: &File, to: &File) -> io::Result<()> {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
    use rustix::io::Errno;

    /// What Linux has at most, of a list and of a value.
    const MOST: usize = 64 << 10;
    let mut names = vec![0; MOST];
    match flistxattr(from, &mut names[..]) {
        Ok(length) => names.truncate(length),
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let value = |file: &File, name: &[u8]| {
        let mut value = vec![0; MOST];
        let length = fgetxattr(file, name, &mut value[..])?;
        value.truncate(length);
        Ok::<_, Errno>(value)
    };
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let kept = value(from, name).and_then(|value_of| match value(to, name) {
            // What the system gives to every file.
            Ok(there) if there == value_of => Ok(()),
            _ => fsetxattr(to, name, &value_of, XattrFlags::empty()),
        });
        kept.map_err(|error| {
            let name = String::from_utf8_lossy(name);
            let error = io::Error::from(error);
            io::Error::new(
                error.kind(),
                format!("its attribute {name} is not kept: {error}"),
            )
        })?;
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn keep(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}
