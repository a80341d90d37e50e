//! A new file in an empty or new directory, all or nothing.
//!
//! In: a directory and a name. Out: a buffered writer, and the file under its name once finished. Invariant:
//! dropped before it is finished, it removes its temporary file and the directories it made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::simulate::SimulateError;

/// A file that has not got its name yet.
#[derive(Debug)]
pub(super) struct NewFile {
    writer: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
    made: MadeDirectories,
    finished: bool,
}

/// Directories that were made, outermost first; removed on drop while they are empty, unless kept.
#[derive(Debug, Default)]
struct MadeDirectories(Vec<PathBuf>);

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        for dir in self.0.iter().rev() {
            // Not empty: somebody else has put something there meanwhile.
            if fs::remove_dir(dir).is_err() {
                return;
            }
        }
    }
}

impl NewFile {
    /// Makes the directory where needed and starts a temporary file in it.
    pub(super) fn create(dir: &Path, name: &str) -> Result<Self, SimulateError> {
        let failed = |source| SimulateError::Write {
            path: dir.to_path_buf(),
            source,
        };
        let made = make_directory(dir).map_err(failed)?;
        if fs::read_dir(dir).map_err(failed)?.next().is_some() {
            return Err(SimulateError::NotEmpty(dir.to_path_buf()));
        }
        let temporary = dir.join(format!(".{name}.partial"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(failed)?;
        Ok(Self {
            writer: BufWriter::new(file),
            temporary,
            path: dir.join(name),
            made,
            finished: false,
        })
    }

    pub(super) fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }

    pub(super) fn error(&self, source: io::Error) -> SimulateError {
        SimulateError::Write {
            path: self.path.clone(),
            source,
        }
    }

    /// Sends what follows to another file, so that a test can let the disk be full.
    #[cfg(test)]
    pub(super) fn redirect(&mut self, path: &Path) {
        if let Ok(file) = OpenOptions::new().write(true).open(path) {
            self.writer = BufWriter::new(file);
        }
    }

    /// Flushes, syncs, renames.
    pub(super) fn finish(mut self) -> Result<PathBuf, SimulateError> {
        let renamed = self
            .writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.path));
        renamed.map_err(|source| self.error(source))?;
        self.finished = true;
        self.made.0.clear();
        Ok(self.path.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the error that led here is already on its way to the user.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn make_directory(dir: &Path) -> io::Result<MadeDirectories> {
    let mut missing: Vec<&Path> = dir.ancestors().take_while(|path| !exists(path)).collect();
    missing.reverse();
    let mut made = MadeDirectories::default();
    for path in missing {
        fs::create_dir(path)?;
        made.0.push(path.to_path_buf());
    }
    Ok(made)
}

/// The empty path is what lies above a relative one: the working directory.
fn exists(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}
