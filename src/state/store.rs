//! The state of a daemon on disk, whatever becomes of the disk.
//!
//! In: a directory, batches. Out: what was stored, and what was lost of it. Invariants: a file that is damaged or from a
//! newer version is kept aside, never overwritten; the copy of an earlier time that stands in for it was complete;
//! while nothing can be written, reading and asking go on.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::batch::{Batch, Memory, StoredAck, StoredSilence};
use super::database::{Database, Way};
use super::place::{self, Lock};
use super::{StateError, Words};
use crate::alert::{Fingerprint, Silence};

const NAME: &str = "gradwatch.db";
const COPY: &str = "gradwatch.db.previous";
const UNFINISHED: &str = "gradwatch.db.unfinished";

/// What a daemon found in its state directory.
#[derive(Debug, Default)]
pub struct Opening {
    /// What was stored.
    pub memory: Memory,
    /// What is not as it was left, one sentence each.
    pub losses: Vec<String>,
}

/// What people acknowledged and silenced.
pub type Wishes = (Vec<StoredAck>, Vec<Silence>);

/// The state directory of a daemon.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    database: Option<Database>,
    /// Device and inode of the database file.
    identity: Option<(u64, u64)>,
    /// A database was made in place of one that was used: all that is known must be stored again.
    is_blank: bool,
    _lock: Option<Lock>,
}

impl Store {
    /// Takes a directory for a daemon.
    ///
    /// # Errors
    /// When another daemon has it, or it cannot be made or locked. A database that cannot be opened is no error: what
    /// happens is kept in memory until it can.
    pub fn open(dir: &Path, words: Words<'_>) -> Result<(Self, Opening), StateError> {
        place::make(dir)?;
        let mut store = Self {
            dir: dir.to_owned(),
            database: None,
            identity: None,
            is_blank: false,
            _lock: Some(place::lock(dir)?),
        };
        // What was not finished is worth nothing.
        let _ = fs::remove_file(store.path(UNFINISHED));
        let mut opening = Opening::default();
        store.recover(words, &mut opening);
        // What was found is known; it is stored again where it is not.
        store.is_blank = !opening.losses.is_empty();
        Ok((store, opening))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn recover(&mut self, words: Words<'_>, opening: &mut Opening) {
        let is_there = self.path(NAME).exists();
        let loss = match self.open_database(Way::Daemon).and_then(|it| it.memory(words)) {
            Ok(memory) if is_there || !self.path(COPY).exists() => {
                opening.memory = memory;
                return;
            }
            Ok(_) => "the database is gone".to_owned(),
            Err(error) if error.is_loss() => {
                self.database = None;
                self.set_aside(&error)
            }
            Err(error) => {
                self.database = None;
                opening.losses.push(format!("cannot be written: {error}"));
                self.read_alone(words, opening);
                return;
            }
        };
        self.database = None;
        let found = self.restore(words);
        let what = if found.is_some() {
            "a copy of an earlier time stands in"
        } else {
            "there is no earlier copy; alarms that are found again are told in one message"
        };
        opening.losses.push(format!("{loss}; {what}"));
        opening.memory = found.unwrap_or_default();
        opening.memory.ledger.is_recovering = true;
        if let Err(error) = self.open_database(Way::Daemon) {
            opening.losses.push(format!("cannot be written: {error}"));
        }
    }

    fn open_database(&mut self, way: Way) -> Result<&Database, StateError> {
        let path = self.path(NAME);
        if !path.exists() {
            create(&self.dir)?;
            self.is_blank = true;
        }
        let database = Database::open(&path, way)?;
        self.identity = identity(&path);
        Ok(self.database.insert(database))
    }

    /// Reads what is there although nothing can be written.
    fn read_alone(&mut self, words: Words<'_>, opening: &mut Opening) {
        let read = self.open_database(Way::Alone).and_then(|it| it.memory(words));
        self.database = None;
        match read {
            Ok(memory) => opening.memory = memory,
            Err(error) => {
                opening.losses.push(format!("cannot be read: {error}"));
                opening.memory.ledger.is_recovering = true;
            }
        }
    }

    /// Keeps what is of no use as it is out of the way; what happened, in words.
    fn set_aside(&self, error: &StateError) -> String {
        let number = (1..u32::MAX)
            .find(|it| !self.path(&format!("{NAME}.corrupt-{it}")).exists())
            .unwrap_or(u32::MAX);
        let kept = format!("{NAME}.corrupt-{number}");
        for end in ["-wal", "-shm", ""] {
            let moved = fs::rename(
                self.path(&format!("{NAME}{end}")),
                self.path(&format!("{kept}{end}")),
            );
            if let Err(problem) = moved.or_else(absent_is_fine) {
                return format!("{error}; it cannot be set aside: {problem}");
            }
        }
        sync(&self.dir);
        format!("{error}; kept as {kept}")
    }

    /// Puts the copy of an earlier time in place.
    fn restore(&self, words: Words<'_>) -> Option<Memory> {
        let copy = self.path(COPY);
        let memory = Database::open_copy(&copy).and_then(|it| it.memory(words)).ok()?;
        let unfinished = self.path(UNFINISHED);
        let placed = fs::copy(&copy, &unfinished)
            .and_then(|_| File::open(&unfinished)?.sync_all())
            .and_then(|()| fs::rename(&unfinished, self.path(NAME)));
        sync(&self.dir);
        // Without room for it, what was read still counts.
        let _ = placed;
        Some(memory)
    }

    /// Stores a batch.
    ///
    /// # Errors
    /// When nothing was stored.
    pub fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StateError> {
        if self.database.is_none() {
            self.open_database(Way::Daemon)?;
        }
        if self.is_blank {
            return Err(StateError::Blank);
        }
        let Some(database) = &mut self.database else {
            return Err(StateError::Unavailable("not open".to_owned()));
        };
        database.commit(batch).inspect_err(|_| {
            // An error of the disk leaves a connection of which nothing is known.
            self.database = None;
        })
    }

    /// Whether all that is known must be stored again; from now on it may be.
    pub fn take_blank(&mut self) -> bool {
        std::mem::take(&mut self.is_blank)
    }

    /// Whether the file that is written is no longer the one in the directory; a new one is made then, and all that is
    /// known must be stored again.
    pub fn is_replaced(&mut self) -> bool {
        let is_other = self.database.is_some() && identity(&self.path(NAME)) != self.identity;
        if is_other {
            self.database = None;
        }
        is_other
    }

    /// Sets aside a database that turned out to be damaged while it was used; what happened, in words.
    pub fn give_up(&mut self, error: &StateError) -> String {
        self.database = None;
        self.set_aside(error)
    }

    /// Another number when somebody else has changed something.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn version(&self) -> Result<Option<i64>, StateError> {
        self.database.as_ref().map(Database::version).transpose()
    }

    /// The bytes of a message.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn body(&self, id: i64) -> Result<Option<Vec<u8>>, StateError> {
        match &self.database {
            Some(database) => database.body(id),
            None => Err(StateError::Unavailable("not open".to_owned())),
        }
    }

    /// What people acknowledged and silenced.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn wishes(&self) -> Result<Option<Wishes>, StateError> {
        match &self.database {
            Some(database) => Ok(Some((database.acks()?, database.silences()?))),
            None => Ok(None),
        }
    }

    /// Keeps a copy of everything, which stands in when the database is damaged.
    ///
    /// # Errors
    /// When the copy could not be made; the one before stays.
    pub fn keep_copy(&mut self) -> Result<(), StateError> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        let unfinished = self.path(UNFINISHED);
        let _ = fs::remove_file(&unfinished);
        let made = database.copy_to(&unfinished).and_then(|()| {
            File::open(&unfinished)
                .and_then(|it| it.sync_all())
                .and_then(|()| fs::rename(&unfinished, self.path(COPY)))
                .map_err(|error| place::unavailable(&self.dir, &error))
        });
        if made.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        sync(&self.dir);
        made
    }

    /// Ends in order: everything in one file.
    ///
    /// # Errors
    /// When something could not be written; what was committed is safe.
    pub fn close(self) -> Result<(), StateError> {
        self.database.as_ref().map_or(Ok(()), Database::checkpoint)
    }
}

/// Puts an empty database in place, unless another process was faster.
fn create(dir: &Path) -> Result<(), StateError> {
    let unfinished = dir.join(format!("{NAME}.{}", std::process::id()));
    let made = Database::create(&unfinished).and_then(|()| {
        File::open(&unfinished)
            .and_then(|it| it.sync_all())
            .and_then(|()| match fs::hard_link(&unfinished, dir.join(NAME)) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                // Not every file system has links.
                Err(_) => fs::rename(&unfinished, dir.join(NAME)),
                Ok(()) => Ok(()),
            })
            .map_err(|error| place::unavailable(dir, &error))
    });
    let _ = fs::remove_file(&unfinished);
    sync(dir);
    made
}

fn absent_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// Makes the names in a directory last. A file system that cannot is none that a name could be lost on.
fn sync(dir: &Path) {
    let _ = File::open(dir).and_then(|it| it.sync_all());
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The state directory as others than the daemon see it.
#[derive(Debug)]
pub struct Beside {
    database: Database,
}

impl Beside {
    /// Opens the database beside a daemon; makes it when there is none and `is_made` says so.
    ///
    /// # Errors
    /// When it is damaged, from a newer version, or cannot be read.
    pub fn open(dir: &Path, is_made: bool) -> Result<Option<Self>, StateError> {
        let path = dir.join(NAME);
        if !path.exists() && !is_made {
            return Ok(None);
        }
        place::make(dir)?;
        if !path.exists() {
            create(dir)?;
        }
        let database = Database::open(&path, Way::Beside)?;
        Ok(Some(Self { database }))
    }

    /// Everything.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn memory(&self, words: Words<'_>) -> Result<Memory, StateError> {
        self.database.memory(words)
    }

    /// Silences, also those that are over.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn silences(&self) -> Result<Vec<Silence>, StateError> {
        self.database.silences()
    }

    /// Acknowledges an alarm, or takes that back; whether anything changed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_ack(&self, ack: &StoredAck, is_on: bool) -> Result<bool, StateError> {
        self.database.set_ack(ack, is_on)
    }

    /// Adds a silence; gives its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_silence(&self, silence: &StoredSilence<'_>, now: Timestamp) -> Result<i64, StateError> {
        self.database.add_silence(silence, now)
    }

    /// Ends a silence; whether there was one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_silence(&self, id: i64) -> Result<bool, StateError> {
        self.database.remove_silence(id)
    }

    /// The alarms of whom a text may speak: a name of an incident, a run, or the first digits of an alarm.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn alarms_named(
        &self,
        name: &str,
        words: Words<'_>,
    ) -> Result<Vec<(Fingerprint, String, crate::alert::Life)>, StateError> {
        const DIGITS_MIN: usize = 4;
        let cases = self.database.memory(words)?.cases;
        let mut found = Vec::new();
        for (key, case) in cases {
            let is_case = key.run == name || case.incident.as_ref().is_some_and(|it| it.name == name);
            for (fingerprint, life) in case.lives {
                let is_alarm = name.len() >= DIGITS_MIN && fingerprint.to_string().starts_with(name);
                if (is_case || is_alarm) && life.stands() {
                    found.push((fingerprint, key.run.clone(), life));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
