//! What the thread of the operating system's events writes down, and whoever follows files picks up.
//!
//! In: events. Out: [`Hints`]. Invariants: noting takes a lock that is held for no longer than a few look-ups, and no
//! other lock is taken under it; reading a file is no change of it, whatever events that gives; at most
//! [`HINTED_FILES_MAX`] files are noted, and more of them mean "look at all".

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{Event, EventKind};

use crate::source::names::{may_be_log, may_hold_logs};

/// Files that are noted by name; when more have changed all are looked at.
pub const HINTED_FILES_MAX: usize = 4096;

/// Where it is worth to look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Files that were written, by the paths under which a walk finds them.
    pub files: BTreeSet<PathBuf>,
    /// Something came, went or was renamed.
    pub wants_walk: bool,
    /// Hints were lost, or there were too many: everything is to be looked at.
    pub wants_all: bool,
}

/// Notes, behind a lock.
pub(super) type Shared = Mutex<Board>;

/// Notes and what decides about them.
#[derive(Debug, Default)]
pub(super) struct Board {
    hints: Hints,
    /// Watched directories, with every path that leads there.
    names: HashMap<PathBuf, Vec<PathBuf>>,
    /// Paths that are waited for in a directory which is watched for their sake alone.
    awaited: HashSet<PathBuf>,
    /// Watched directories that went or were renamed: their watch is gone or has a wrong name.
    dead: HashSet<PathBuf>,
    /// Any watch may have died without a note.
    is_lost: bool,
}

/// What an event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Content,
    /// A name came or went; of what, where that is known.
    Name {
        is_folder: Option<bool>,
    },
}

impl Hints {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.wants_walk && !self.wants_all
    }
}

/// A thread that died while it took notes leaves notes that are still true.
pub(super) fn locked(board: &Shared) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes note of an event; true when there are hints now and there were none.
pub(super) fn note(board: &Shared, event: notify::Result<Event>) -> bool {
    let mut board = locked(board);
    let was_empty = board.hints.is_empty();
    match event {
        Ok(event) if event.need_rescan() => board.lose(),
        Ok(event) => board.take_note(&event),
        Err(_) => board.lose(),
    }
    was_empty && !board.hints.is_empty()
}

impl Board {
    pub(super) fn take(&mut self) -> Hints {
        std::mem::take(&mut self.hints)
    }

    pub(super) fn has_dead(&self) -> bool {
        self.is_lost || !self.dead.is_empty()
    }

    pub(super) fn take_dead(&mut self) -> (HashSet<PathBuf>, bool) {
        (std::mem::take(&mut self.dead), std::mem::take(&mut self.is_lost))
    }

    pub(super) fn expect(&mut self, names: HashMap<PathBuf, Vec<PathBuf>>, awaited: HashSet<PathBuf>) {
        (self.names, self.awaited) = (names, awaited);
    }

    fn lose(&mut self) {
        self.hints.wants_all = true;
        self.hints.wants_walk = true;
        self.is_lost = true;
    }

    fn take_note(&mut self, event: &Event) {
        let meaning = meaning_of(event.kind);
        if meaning == Meaning::Nothing {
            return;
        }
        for path in &event.paths {
            self.take_path(path, meaning);
        }
    }

    fn take_path(&mut self, path: &Path, meaning: Meaning) {
        if self.names.contains_key(path) {
            // The directory itself: its rights, its name, its end.
            if meaning != Meaning::Content {
                self.dead.insert(path.to_owned());
            }
            self.hints.wants_walk = true;
            return;
        }
        let is_awaited = self.awaited.contains(path);
        let Some(name) = path.file_name().and_then(|it| it.to_str()) else {
            // A name that is not UTF-8 is walked to, and read, like any other.
            self.hints.wants_walk = true;
            return;
        };
        let may_be_file = is_awaited || may_be_log(name);
        let places = path.parent().and_then(|it| self.names.get(it));
        match meaning {
            Meaning::Name { is_folder } if is_awaited || places.is_some() => {
                let is_relevant = match is_folder {
                    Some(true) => may_hold_logs(name),
                    Some(false) => may_be_file,
                    None => may_be_file || may_hold_logs(name),
                };
                self.hints.wants_walk |= is_awaited || is_relevant;
            }
            Meaning::Name { .. } | Meaning::Content | Meaning::Nothing => {}
        }
        if !may_be_file {
            return;
        }
        let places: Vec<PathBuf> = places.into_iter().flatten().map(|it| it.join(name)).collect();
        let itself = is_awaited.then(|| path.to_owned());
        for file in places.into_iter().chain(itself) {
            if self.hints.files.len() >= HINTED_FILES_MAX {
                self.hints.wants_all = true;
                self.hints.files.clear();
            }
            if !self.hints.wants_all {
                self.hints.files.insert(file);
            }
        }
    }
}

fn meaning_of(kind: EventKind) -> Meaning {
    match kind {
        // Writing to mapped memory is told by the closing alone.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Meaning::Content,
        // Reading is no change: to act on it would be to act on one's own reading for ever.
        EventKind::Access(_) => Meaning::Nothing,
        EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder) => Meaning::Name {
            is_folder: Some(true),
        },
        EventKind::Create(CreateKind::File) | EventKind::Remove(RemoveKind::File) => Meaning::Name {
            is_folder: Some(false),
        },
        // With its rights a directory can be entered that could not.
        EventKind::Create(_)
        | EventKind::Remove(_)
        | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_)) => {
            Meaning::Name { is_folder: None }
        }
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => Meaning::Content,
    }
}
