//! A file that is there whole or not at all.
//!
//! In: a path and what to write. Out: the file, replaced by a rename. Invariant: a reader never sees half a file, and
//! a failure leaves what was there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Names tried beside the target before giving up.
const NAMES_MAX: u32 = 100;

/// Writes the file under a temporary name beside it, and renames.
///
/// # Errors
/// When the path is a directory, its directory is not there, or it cannot be written.
pub fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    check(path)?;
    let (temporary, file) =
        create_beside(path).with_context(|| format!("failed to create a file beside {}", path.display()))?;
    let mut out = BufWriter::new(file);
    let written = fill(&mut out)
        .and_then(|()| out.flush())
        .and_then(|()| out.get_ref().sync_all());
    let moved = written.and_then(|()| fs::rename(&temporary, path));
    if moved.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    moved.with_context(|| format!("failed to write {}", path.display()))
}

/// Refuses early what cannot end well, before hours of reading.
///
/// # Errors
/// When the path is a directory, or its directory is not there.
pub fn check(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() || path.file_name().is_none() {
        bail!("{} is a directory; name a file in it", path.display());
    }
    let dir = directory_of(path);
    if !dir.is_dir() {
        bail!(
            "{} is not there; make the directory {} first",
            path.display(),
            dir.display()
        );
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut n = 0;
    loop {
        let temporary = directory_of(path).join(format!(".{name}.{}-{n}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && n < NAMES_MAX => n += 1,
            Err(error) => return Err(error),
        }
    }
}
