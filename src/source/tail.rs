//! One file that changes under the reader, followed by polling.
//!
//! In: a path, looked at again with every [`Tail::poll`]. Out: [`Change`]s: new bytes in file order, and what became
//! of the file. Invariants: bytes are handed on only after the content before them was found unchanged, so bytes of
//! two generations are never glued; nothing hangs on the times of a file, which only save work; a file in which
//! nothing changed costs one `stat`; between polls at most [`HELD_FILES_MAX`] descriptors per [`TailPool`] are open.
//!
//! What is a new generation, read from byte 0: a file that was truncated (unless it is empty: that says nothing yet),
//! refilled, overwritten, or replaced, and whose content up to the offset is not what it was. A file with the same
//! content up to the offset goes on, whatever its inode. The file that was followed is read to its end first when
//! it was renamed: by its descriptor if that is still held, else by its inode in the same directory. Of several
//! rotations between two polls only the first and the last file can be found, and what was written before a
//! copy-and-truncate and after the last poll is in the copy only. While nothing stands at the path, what is added to
//! the renamed file is read as long as its descriptor is held, and again when another file takes the path. A rewrite that leaves size, times and the
//! fingerprint's bytes as they were cannot be told from no change.

mod back_off;
mod look;
mod loss;
mod pool;
#[cfg(test)]
mod tests;

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::identity::{FileId, Fingerprint};
use super::read::refuse_endless;
use super::walk::words_for;
use crate::model::Problem;

use back_off::BackOff;
use look::{Stamp, find_sibling, is_absence, open_if, read_some};
use pool::Held;

pub(super) use look::Seen;
pub use pool::{HELD_FILES_MAX, TailPool};

/// Bytes that one poll hands on at most, so that no file starves another.
pub const POLL_BYTES_MAX: u64 = 1 << 20;

/// Polls without news after which a file's descriptor is given back.
pub const IDLE_POLLS_HELD: u32 = 5;

/// What became of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// The next bytes, one at least and one block ([`super::BLOCK_BYTES`]) at most.
    Bytes {
        /// Offset of the first one in its file.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The content is another one: what follows is a new generation from byte 0.
    Rewritten {
        /// Bytes of the old generation that were handed on.
        read_bytes: u64,
        /// Bytes of the old generation that are known to have been there and were not.
        unread_bytes: u64,
    },
    /// Another file stands at the path and has the same content up to the offset: reading goes on.
    Continued,
    /// No file stands at the path any more, or yet.
    Gone,
    /// A file stands at the path again.
    Back,
    /// The file cannot be read. Said once; looking goes on, more rarely.
    Failed(Problem),
}

/// What a poll leaves to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Nothing was read.
    Idle,
    /// Bytes were read, up to the present end.
    Read,
    /// There is more to read now.
    More,
}

/// How far a file was read: what a restarted reader needs to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The path that was followed.
    pub path: PathBuf,
    /// The file that stood there.
    pub id: FileId,
    /// Its content up to the offset.
    pub fingerprint: Fingerprint,
    /// How often it had been rewritten.
    pub generation: u64,
}

/// Follows one path.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// The file that is read; it may have left the path.
    followed: Option<FileId>,
    /// Its content up to the offset.
    print: Fingerprint,
    generation: u64,
    /// The path's file when it was last read to its end.
    seen: Option<Seen>,
    size_seen: u64,
    is_gone: bool,
    /// The content before the offset could not be read again.
    is_suspect: bool,
    held: Option<Held>,
    n_idle: u32,
    back_off: BackOff,
}

/// One poll: where bytes go and how many may.
struct Turn<'t> {
    pool: &'t mut TailPool,
    on: &'t mut dyn FnMut(Change<'_>),
    bytes_left: u64,
}

enum Reached {
    End,
    /// The poll has read enough.
    Limit,
    /// The content before the offset is not what was read.
    OtherContent,
}

impl Tail {
    /// Follows `path` from its first byte; it need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            followed: None,
            print: Fingerprint::START,
            generation: 0,
            seen: None,
            size_seen: 0,
            is_gone: false,
            is_suspect: false,
            held: None,
            n_idle: 0,
            back_off: BackOff::default(),
        }
    }

    /// Goes on where a reader stopped.
    #[must_use]
    pub fn resume(cursor: Cursor) -> Self {
        Self {
            followed: Some(cursor.id),
            print: cursor.fingerprint,
            generation: cursor.generation,
            size_seen: cursor.fingerprint.offset,
            ..Self::new(cursor.path)
        }
    }

    /// Begins at `offset` of the file that stands at the path now; what is before it is not handed on. Only before
    /// the first [`poll`](Self::poll). False when that is not possible, and nothing has changed.
    pub fn start_at(&mut self, offset: u64) -> bool {
        let open = || {
            let file = File::open(&self.path)?;
            let metadata = file.metadata()?;
            let print = Fingerprint::at(&file, offset)?;
            Ok::<_, io::Error>((metadata, print))
        };
        let Ok((metadata, Some(print))) = open() else {
            return false;
        };
        if self.followed.is_some() || !metadata.is_file() {
            return false;
        }
        (self.followed, self.print) = (Some(FileId::of(&metadata)), print);
        true
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.print.offset
    }

    /// How often the file was rewritten.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The file that is read, once one was found.
    #[must_use]
    pub fn file_id(&self) -> Option<FileId> {
        self.followed
    }

    /// A cursor at `offset`, which must not lie behind [`offset`](Self::offset): the start of a record of which only
    /// a part was there. `None` when no file was read yet or it has not the content it had.
    #[must_use]
    pub fn cursor_at(&self, offset: u64) -> Option<Cursor> {
        Some(Cursor {
            path: self.path.clone(),
            id: self.followed?,
            fingerprint: self.print_at(offset)?,
            generation: self.generation,
        })
    }

    /// Gives the bytes from `offset` on again when the file has changed: they may be overwritten, as zeros that were
    /// not yet written are. An offset that was not reached yet changes nothing.
    pub fn reread_from(&mut self, offset: u64) {
        if offset >= self.offset() {
            return;
        }
        match self.print_at(offset) {
            Some(print) => self.print = print,
            None => self.is_suspect = true,
        }
    }

    /// Looks at the file and tells what changed. After [`Polled::More`] it should be called again soon.
    pub fn poll(&mut self, pool: &mut TailPool, on: &mut dyn FnMut(Change<'_>)) -> Polled {
        if self.back_off.is_waiting() {
            return Polled::Idle;
        }
        let poll_bytes_max = pool.poll_bytes_max();
        let mut turn = Turn {
            pool,
            on,
            bytes_left: poll_bytes_max,
        };
        let looked = self.look(&mut turn);
        let has_read = turn.bytes_left < poll_bytes_max;
        self.release_when_idle(has_read);
        match looked {
            Ok(Reached::Limit) => {
                self.back_off.succeeded();
                Polled::More
            }
            Ok(_) => {
                self.back_off.succeeded();
                if has_read { Polled::Read } else { Polled::Idle }
            }
            Err(problem) => {
                // A stale handle stays stale: the file is opened anew.
                (self.held, self.seen) = (None, None);
                if self.back_off.failed(&problem.what) {
                    on(Change::Failed(problem));
                }
                Polled::Idle
            }
        }
    }

    fn look(&mut self, turn: &mut Turn<'_>) -> Result<Reached, Problem> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(self.absent(turn)),
            Err(error) => return Err(self.problem(&error)),
        };
        refuse_endless(&self.path, self.offset(), &metadata)?;
        if std::mem::take(&mut self.is_gone) {
            (turn.on)(Change::Back);
        }
        if self.is_unchanged(&Stamp::of(&metadata)) {
            return Ok(Reached::End);
        }
        let old = self.old_file(&metadata);
        let (file, metadata) = match self.open(&metadata) {
            Ok(opened) => opened,
            // It went between two calls: the next poll says so.
            Err(error) if is_absence(&error) => return Ok(Reached::End),
            Err(error) => return Err(self.problem(&error)),
        };
        refuse_endless(&self.path, self.offset(), &metadata)?;
        self.read_path(old, file, &metadata, turn)
            .map_err(|it| self.problem(&it))
    }

    fn is_unchanged(&self, stamp: &Stamp) -> bool {
        // While an empty successor stands at the path, the writer may still have the old file open.
        let may_grow_elsewhere = self.held.is_some() && self.followed != Some(stamp.id);
        let is_same = |it: &Seen| it.stamp == *stamp && !it.is_fresh;
        !may_grow_elsewhere && !self.is_suspect && self.seen.as_ref().is_some_and(is_same)
    }

    /// The file that was read, when another one has taken its path and it can still be found.
    fn old_file(&mut self, at_path: &Metadata) -> Option<File> {
        let followed = self.followed.filter(|it| *it != FileId::of(at_path))?;
        match self.held.take() {
            Some(held) => Some(held.file),
            None => find_sibling(&self.path, followed),
        }
    }

    /// The file at the path, by the descriptor that is held if it is the same.
    fn open(&mut self, at_path: &Metadata) -> io::Result<(File, Metadata)> {
        let file = match self.held.take() {
            Some(held) if self.followed == Some(FileId::of(at_path)) => held.file,
            _ => File::open(&self.path)?,
        };
        let metadata = file.metadata()?;
        Ok((file, metadata))
    }

    fn read_path(
        &mut self,
        old: Option<File>,
        file: File,
        metadata: &Metadata,
        turn: &mut Turn<'_>,
    ) -> io::Result<Reached> {
        let seen = Seen::of(metadata);
        if let Some(old) = old {
            // What keeps the old file from being read must not keep the new one from it.
            let reached = self.read_old(&old, &file, turn).unwrap_or_else(|error| {
                (turn.on)(Change::Failed(self.problem(&error)));
                Reached::OtherContent
            });
            // An empty file says nothing yet, and whoever wrote the old one may still do so.
            let is_readable = !matches!(reached, Reached::OtherContent);
            if matches!(reached, Reached::Limit) || (metadata.len() == 0 && is_readable) {
                self.hold(old, turn);
                self.seen = Some(seen).filter(|_| matches!(reached, Reached::End));
                return Ok(reached);
            }
        }
        if metadata.len() == 0 && self.offset() > 0 {
            self.seen = Some(seen);
            return Ok(Reached::End);
        }
        let reached = self.read_new(&file, &seen, turn)?;
        self.size_seen = metadata.len();
        self.seen = Some(seen).filter(|_| matches!(reached, Reached::End));
        self.hold(file, turn);
        Ok(reached)
    }

    /// Reads the rest of the file that was followed, unless its successor holds that too.
    fn read_old(&mut self, old: &File, successor: &File, turn: &mut Turn<'_>) -> io::Result<Reached> {
        // Renamed over: what was not read of it may well stand in the new one. Renamed away: it may not.
        let is_unlinked = old.metadata()?.nlink() == 0;
        if is_unlinked && self.offset() > 0 && self.print.check(successor)?.is_some() {
            return Ok(Reached::End);
        }
        self.read_on(old, turn)
    }

    /// Reads the path's own file from the offset, or from byte 0 if it is another one.
    fn read_new(&mut self, file: &File, seen: &Seen, turn: &mut Turn<'_>) -> io::Result<Reached> {
        let is_other_file = self.followed.replace(seen.stamp.id) != Some(seen.stamp.id);
        let is_known = self.offset() > 0;
        if !self.is_suspect {
            if is_known && is_other_file && self.print.check(file)?.is_some() {
                (turn.on)(Change::Continued);
            }
            match self.read_on(file, turn)? {
                Reached::OtherContent => {}
                reached => return Ok(reached),
            }
        }
        self.start_generation(turn);
        self.read_on(file, turn)
    }

    fn start_generation(&mut self, turn: &mut Turn<'_>) {
        let read_bytes = self.offset();
        self.generation += 1;
        self.print = Fingerprint::START;
        self.is_suspect = false;
        (turn.on)(Change::Rewritten {
            read_bytes,
            unread_bytes: self.size_seen.saturating_sub(read_bytes),
        });
        self.size_seen = 0;
    }

    fn read_on(&mut self, file: &File, turn: &mut Turn<'_>) -> io::Result<Reached> {
        loop {
            let room = usize::try_from(turn.bytes_left).unwrap_or(usize::MAX);
            let n = read_some(file, turn.pool.buffer(room), self.offset())?;
            // Checked behind the reading: what replaced the old content before it cannot have been missed.
            let Some(before) = self.print.check(file)? else {
                return Ok(Reached::OtherContent);
            };
            if n == 0 {
                return Ok(if room == 0 { Reached::Limit } else { Reached::End });
            }
            let bytes = &*turn.pool.buffer(n);
            (turn.on)(Change::Bytes {
                offset: self.offset(),
                bytes,
            });
            self.print.extend(&before, bytes);
            self.size_seen = self.size_seen.max(self.offset());
            turn.bytes_left = turn.bytes_left.saturating_sub(n as u64);
        }
    }

    /// Nothing stands at the path: what is left of the file that stood there is read.
    fn absent(&mut self, turn: &mut Turn<'_>) -> Reached {
        let held = self.held.take().map(|it| it.file);
        let is_news = !self.is_gone;
        let find = || find_sibling(&self.path, self.followed?);
        if let Some(old) = held.or_else(|| if is_news { find() } else { None }) {
            match self.read_on(&old, turn) {
                Ok(Reached::OtherContent) => {}
                Ok(Reached::End) => self.hold(old, turn),
                Ok(Reached::Limit) => {
                    self.hold(old, turn);
                    return Reached::Limit;
                }
                Err(error) => (turn.on)(Change::Failed(self.problem(&error))),
            }
        }
        self.seen = None;
        if is_news {
            self.is_gone = true;
            (turn.on)(Change::Gone);
        }
        Reached::End
    }

    fn hold(&mut self, file: File, turn: &Turn<'_>) {
        self.held = turn.pool.hold(file);
    }

    fn release_when_idle(&mut self, has_read: bool) {
        self.n_idle = if has_read {
            0
        } else {
            self.n_idle.saturating_add(1)
        };
        if self.n_idle >= IDLE_POLLS_HELD {
            self.held = None;
        }
    }

    /// The fingerprint at an offset that was passed, if the file can be read and has the content it had.
    fn print_at(&self, offset: u64) -> Option<Fingerprint> {
        if offset == self.offset() || offset == 0 {
            return Some(if offset == 0 {
                Fingerprint::START
            } else {
                self.print
            });
        }
        let opened;
        let file = if let Some(held) = &self.held {
            &held.file
        } else {
            opened = open_if(&self.path, self.followed?)?;
            &opened
        };
        self.print.earlier(file, offset).ok().flatten()
    }

    fn problem(&self, error: &io::Error) -> Problem {
        let offset = Some(self.offset()).filter(|it| *it > 0);
        Problem {
            offset,
            ..Problem::path(self.path.to_string_lossy(), words_for(error))
        }
    }
}
