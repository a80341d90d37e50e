//! A new file in an empty or new directory, all or nothing.
//!
//! In: a directory and a name. Out: a buffered writer, and the directory with the file once finished. Invariants:
//! dropped before it is finished, it removes its temporary files and the directories it made; killed, it leaves at
//! most a hidden directory or file with `gradwatch-partial` in its name, which no reader of logs takes for a run.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::simulate::SimulateError;

/// A file that has not got its name yet.
#[derive(Debug)]
pub(super) struct NewFile {
    writer: BufWriter<File>,
    temporary: PathBuf,
    /// The file under its own name, in the directory where it is written.
    named: PathBuf,
    /// That directory, where it is a temporary one, and what it becomes.
    rename: Option<(PathBuf, PathBuf)>,
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
    /// Starts a temporary file: in a temporary directory beside a new one, or in the empty directory that is there.
    pub(super) fn create(dir: &Path, name: &str) -> Result<Self, SimulateError> {
        let failed = |source| SimulateError::Write {
            path: dir.to_path_buf(),
            source,
        };
        let path = dir.join(name);
        let mut made = MadeDirectories::default();
        let (place, rename) = if exists(dir) {
            if fs::read_dir(dir).map_err(failed)?.next().is_some() {
                return Err(SimulateError::NotEmpty(dir.to_path_buf()));
            }
            (dir.to_path_buf(), None)
        } else {
            let partial = dir.with_file_name(partial_name(dir.file_name().unwrap_or(name.as_ref())));
            make_directories(&partial, &mut made).map_err(failed)?;
            (partial.clone(), Some((partial, dir.to_path_buf())))
        };
        let temporary = place.join(partial_name(name.as_ref()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(failed)?;
        Ok(Self {
            writer: BufWriter::new(file),
            temporary,
            named: place.join(name),
            rename,
            path,
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
            .and_then(|()| fs::rename(&self.temporary, &self.named))
            .and_then(|()| {
                self.rename
                    .as_ref()
                    .map_or(Ok(()), |(from, to)| fs::rename(from, to))
            });
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
            if self.rename.is_some() {
                let _ = fs::remove_file(&self.named);
            }
        }
    }
}

/// Hidden, and without the words by which TensorBoard and others recognise logs.
fn partial_name(name: &OsStr) -> OsString {
    let shown = name.to_string_lossy().replace("tfevents", "events");
    format!(".{shown}.gradwatch-partial-{}", std::process::id()).into()
}

fn make_directories(dir: &Path, made: &mut MadeDirectories) -> io::Result<()> {
    let mut missing: Vec<&Path> = dir.ancestors().take_while(|path| !exists(path)).collect();
    missing.reverse();
    for path in missing {
        fs::create_dir(path)?;
        made.0.push(path.to_path_buf());
    }
    Ok(())
}

/// The empty path is what lies above a relative one: the working directory. A dangling link is something, too.
fn exists(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.symlink_metadata().is_ok()
}
