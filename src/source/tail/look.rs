//! What a look at the file system tells: has a file changed, where is it now.
//!
//! In: paths and metadata. Out: [`Stamp`]s to compare, files found by their inode. Invariant: an equal stamp only
//! saves work when it is old enough that no change can hide behind it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::source::identity::FileId;

/// A file that changed this shortly before it was looked at may change again without a new time: some file systems
/// keep whole seconds (FAT two). Its content is checked once more.
const TIME_GRAIN: Duration = Duration::from_secs(2);

/// Entries of a directory among which a renamed file is looked for.
const SIBLINGS_MAX: usize = 10_000;

/// What `stat` tells about content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct Stamp {
    pub(super) id: FileId,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file as it was before it was last read to its end.
#[derive(Debug, Clone, Copy)]
pub(in crate::source) struct Seen {
    pub(super) stamp: Stamp,
    /// The stamp was so young that another change may hide behind it.
    pub(super) is_fresh: bool,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            id: FileId::of(metadata),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the last change was less than [`TIME_GRAIN`] ago, or in the future of this machine's clock.
    fn is_fresh(&self) -> bool {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since_epoch.map_or(0, |it| it.as_secs());
        let changed = u64::try_from(self.changed.0).unwrap_or(0);
        now <= changed.saturating_add(TIME_GRAIN.as_secs())
    }
}

impl Seen {
    pub(in crate::source) fn of(metadata: &Metadata) -> Self {
        let stamp = Stamp::of(metadata);
        Self {
            stamp,
            is_fresh: stamp.is_fresh(),
        }
    }

    /// Whether nothing can have changed since.
    pub(in crate::source) fn is_same(&self, metadata: &Metadata) -> bool {
        !self.is_fresh && self.stamp == Stamp::of(metadata)
    }
}

/// A directory of the path that is gone, or that became a file, leaves no file either.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The file `id` under another name in the same directory.
pub(super) fn find_sibling(path: &Path, id: FileId) -> Option<File> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let entries = fs::read_dir(directory.unwrap_or(Path::new("."))).ok()?;
    let is_it =
        |entry: &fs::DirEntry| entry.ino() == id.ino && entry.file_type().is_ok_and(|it| it.is_file());
    let found = entries.take(SIBLINGS_MAX).flatten().find(is_it)?;
    open_if(&found.path(), id)
}

/// Opens the file if it is the one meant.
pub(super) fn open_if(path: &Path, id: FileId) -> Option<File> {
    let is_it = |it: &Metadata| it.is_file() && FileId::of(it) == id;
    fs::metadata(path).ok().filter(is_it)?;
    let file = File::open(path).ok()?;
    file.metadata().ok().filter(is_it)?;
    Some(file)
}

pub(super) fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
