//! A branch as a file, for those who may read and not write; and what a base is, without a clone.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use super::{FETCH, FetchError, Fetched, Git, Url, fails};

/// Hexadecimal digits of an id.
const DIGITS: usize = 40;

/// The commit that `base` names at `url` now; its HEAD when there is none.
///
/// # Errors
/// See [`FetchError`].
pub fn tip(
    url: &Url,
    base: Option<&str>,
    ask: bool,
    patience: Duration,
) -> Result<String, FetchError> {
    let wanted = base.unwrap_or("HEAD");
    let hex = |c: char| c.is_ascii_hexdigit();
    if wanted.len() == DIGITS && wanted.chars().all(hex) {
        return Ok(wanted.to_ascii_lowercase());
    }
    let scratch = tempfile::tempdir().map_err(fails("make", &std::env::temp_dir()))?;
    let told = scratch.path().join("told");
    let output = File::create(&told).map_err(fails("write", &told))?;
    let git = Git {
        dir: scratch.path(),
        lock: &output,
        ask,
        patience,
    };
    git.patiently(&["ls-remote", "--quiet", "--", url.text()], None)?;
    let text = fs::read_to_string(&told).map_err(fails("read", &told))?;
    let rows: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    // A tag is what it points to.
    let names = [
        wanted.to_owned(),
        format!("refs/heads/{wanted}"),
        format!("refs/tags/{wanted}^{{}}"),
        format!("refs/tags/{wanted}"),
    ];
    let found = names
        .iter()
        .find_map(|name| rows.iter().find(|(_, known)| known == name));
    // In the words of git, when it is to fetch such a thing.
    let none = || FetchError::Git {
        said: format!("couldn't find remote ref {wanted}"),
    };
    found.map(|(id, _)| (*id).to_owned()).ok_or_else(none)
}

impl Fetched {
    /// Writes the branch `reference`, which starts from `base`, into the file `to`: whole, or not at all.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn bundle(
        &self,
        reference: &str,
        base: &str,
        to: &Path,
        patience: Duration,
    ) -> Result<(), FetchError> {
        let folder = to.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<tempfile::TempPath> {
            fs::create_dir_all(folder)?;
            Ok(tempfile::NamedTempFile::new_in(folder)?.into_temp_path())
        };
        let part = write().map_err(fails("write", to))?;
        let name = part.to_string_lossy().into_owned();
        let without = format!("^{base}");
        let create = ["bundle", "create", "--quiet", &name, reference, &without];
        self.git(patience).run(&create, None)?;
        File::open(&part)
            .and_then(|file| file.sync_all())
            .map_err(fails("write", to))?;
        part.persist(to)
            .map_err(|error| fails("write", to)(error.error))
    }

    /// Brings the branch `reference` of the file `from`, and gives the commit that it is at. No branch is made.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn unbundle(
        &self,
        reference: &str,
        from: &Path,
        patience: Duration,
    ) -> Result<String, FetchError> {
        let name = from.to_string_lossy();
        let kept = "refs/depickle/bundle";
        let refs = format!("+{reference}:{kept}");
        let git = self.git(patience);
        git.run(&[&FETCH[..], &[&name, &refs]].concat(), None)?;
        let repo = crate::repo::Repo::open(&self.path)?;
        Ok(repo.resolve(Some(kept))?.commit)
    }

    fn git(&self, patience: Duration) -> Git<'_> {
        Git {
            dir: &self.path,
            lock: &self.lock,
            ask: false,
            patience,
        }
    }
}
