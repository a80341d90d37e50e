//! Hints of the operating system that something has changed.
//!
//! In: the directories that a walk entered. Out: [`Hints`], and a wake-up when there are new ones. Invariants: a hint
//! only says where it is worth to look: whoever follows files looks at all of them from time to time anyway, so that a
//! lost hint costs a delay; the thread of the operating system's events only takes notes; what is noted is bounded.
//!
//! Each directory is watched by itself, as the walk finds it. Watching trees as a whole has holes that were measured
//! (`notify` 8.2.2): files written at once into a new nested directory give no event in 192 of 200 tries, a tree that
//! reaches the limit of watches stays watched in part, directories that were made while the queue overflowed stay
//! unwatched, and symlinks that come later are not followed.

mod board;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};

use super::identity::FileId;
use super::volume::Volumes;
use super::{Directory, walk};

use board::{Board, Shared};

pub use board::{HINTED_FILES_MAX, Hints};

/// Directories that are only polled, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degraded {
    /// The first such directory.
    pub path: PathBuf,
    /// Why, a fragment.
    pub why: String,
    /// How many directories.
    pub n_directories: u64,
}

/// Watches directories for changes.
pub struct ChangeHints {
    board: Arc<Shared>,
    watcher: Option<RecommendedWatcher>,
    /// Why nothing is watched at all.
    refusal: Option<String>,
    /// Absolute paths of what is watched.
    watched: HashMap<PathBuf, FileId>,
    /// Paths, as given, of what is watched.
    covered: HashSet<PathBuf>,
    volumes: Volumes,
    /// By reason.
    degraded: BTreeMap<String, Degraded>,
    /// What was to be covered the last time, when all of it could be.
    last: (BTreeMap<PathBuf, Option<FileId>>, Vec<Directory>),
}

/// What should be watched under one absolute path.
struct Wanted {
    id: FileId,
    /// All paths, as given, that lead there.
    names: Vec<PathBuf>,
}

impl ChangeHints {
    /// Watches nothing yet. `wake` is called from another thread when there are hints and there were none.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + 'static) -> Self {
        let board = Arc::new(Shared::new(Board::default()));
        let (notes, mut wake) = (Arc::clone(&board), Some(wake));
        let made = recommended_watcher(move |event| {
            if board::note(&notes, event)
                && let Some(wake) = &mut wake
            {
                wake();
            }
        });
        let (watcher, refusal) = match made {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(words_for(&error))),
        };
        Self {
            board,
            watcher,
            refusal,
            watched: HashMap::new(),
            covered: HashSet::new(),
            volumes: Volumes::default(),
            degraded: BTreeMap::new(),
            last: (BTreeMap::new(), Vec::new()),
        }
    }

    /// Gives no hints at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            board: Arc::new(Shared::new(Board::default())),
            watcher: None,
            refusal: None,
            watched: HashMap::new(),
            covered: HashSet::new(),
            volumes: Volumes::default(),
            degraded: BTreeMap::new(),
            last: (BTreeMap::new(), Vec::new()),
        }
    }

    /// Takes what was hinted since the last time.
    pub fn take(&mut self) -> Hints {
        board::locked(&self.board).take()
    }

    /// What is only polled, by reason. Nothing is listed when hints were not asked for.
    pub fn degraded(&self) -> impl Iterator<Item = &Degraded> {
        self.degraded.values()
    }

    /// Directories that are watched.
    #[must_use]
    pub fn n_watched(&self) -> usize {
        self.watched.len()
    }

    /// Whether changes in a directory are hinted at, by a path under which a walk entered it.
    #[must_use]
    pub fn covers(&self, directory: &Path) -> bool {
        self.covered.contains(directory)
    }

    /// Watches these directories, which a walk entered under these roots, and no others. True when some are watched
    /// that were not: what came into them before is told by another walk only.
    pub fn cover(&mut self, roots: &[PathBuf], directories: &[Directory]) -> bool {
        let gates = gates_of(roots);
        let gate_ids: BTreeMap<PathBuf, Option<FileId>> =
            gates.keys().map(|it| (it.clone(), id_of(it))).collect();
        let is_same = self.last.0 == gate_ids && self.last.1 == directories;
        if is_same && self.degraded.is_empty() && !board::locked(&self.board).has_dead() {
            return false;
        }
        self.last = (gate_ids, directories.to_owned());
        self.degraded.clear();
        if let (None, Some(why)) = (&self.watcher, self.refusal.clone()) {
            for directory in directories {
                self.degrade(&directory.path, &why);
            }
            return false;
        }
        if self.watcher.is_none() {
            return false;
        }
        self.volumes.forget();
        let mut wanted = self.wanted(directories);
        for gate in gates.keys() {
            if let Some(id) = id_of(gate) {
                let names = Vec::new();
                wanted.entry(gate.clone()).or_insert(Wanted { id, names });
            }
        }
        self.drop_unwanted(&wanted);
        self.tell_board(&wanted, &gates);
        let has_new = self.watch_new(&wanted);
        self.covered = wanted
            .into_iter()
            .filter(|(path, _)| self.watched.contains_key(path))
            .flat_map(|(_, it)| it.names)
            .collect();
        has_new
    }

    /// By absolute path; of several paths to one directory the first stands for all, because the operating system
    /// keeps one watch per directory.
    fn wanted(&mut self, directories: &[Directory]) -> HashMap<PathBuf, Wanted> {
        let mut first: HashMap<FileId, PathBuf> = HashMap::new();
        let mut wanted: HashMap<PathBuf, Wanted> = HashMap::new();
        for directory in directories {
            if let Some(name) = self.volumes.remote_name(&directory.path, directory.id.dev) {
                self.degrade(&directory.path, &format!("changes on {name} come without a hint"));
                continue;
            }
            let absolute = std::path::absolute(&directory.path).unwrap_or_else(|_| directory.path.clone());
            let place = first.entry(directory.id).or_insert(absolute).clone();
            let names = &mut wanted
                .entry(place)
                .or_insert_with(|| Wanted {
                    id: directory.id,
                    names: Vec::new(),
                })
                .names;
            names.push(directory.path.clone());
        }
        wanted
    }

    /// Before any is added: a directory that was renamed keeps its watch under its old name.
    fn drop_unwanted(&mut self, wanted: &HashMap<PathBuf, Wanted>) {
        let (dead, is_lost) = board::locked(&self.board).take_dead();
        let is_kept = |path: &Path, id: &FileId| {
            let is_dead = is_lost || path.ancestors().any(|it| dead.contains(it));
            !is_dead && wanted.get(path).is_some_and(|it| it.id == *id)
        };
        let gone: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, id)| !is_kept(path, id))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.watched.remove(&path);
            // One that was removed from the file system is not watched any more.
            let _ = self.ask(|watcher| watcher.unwatch(&path));
        }
    }

    fn tell_board(&self, wanted: &HashMap<PathBuf, Wanted>, gates: &HashMap<PathBuf, Vec<PathBuf>>) {
        let names = wanted
            .iter()
            .filter(|(_, it)| !it.names.is_empty())
            .map(|(path, it)| (path.clone(), it.names.clone()))
            .collect();
        board::locked(&self.board).expect(names, gates.values().flatten().cloned().collect());
    }

    fn watch_new(&mut self, wanted: &HashMap<PathBuf, Wanted>) -> bool {
        let mut new: Vec<(&PathBuf, &Wanted)> = wanted
            .iter()
            .filter(|(path, _)| !self.watched.contains_key(*path))
            .collect();
        new.sort_by_key(|(path, _)| *path);
        let mut has_new = false;
        // Once it is reached, trying the rest would only cost.
        let mut limit: Option<String> = None;
        for (path, it) in new {
            let asked = match &limit {
                Some(why) => Err(why.clone()),
                None => self.ask(|watcher| watcher.watch(path, RecursiveMode::NonRecursive)),
            };
            match asked {
                Ok(()) => {
                    self.watched.insert(path.clone(), it.id);
                    has_new |= !it.names.is_empty();
                }
                // The next walk says so.
                Err(why) if why.is_empty() => {}
                Err(why) => {
                    self.degrade(path, &why);
                    limit = Some(why).filter(|it| *it == words_for_limit());
                }
            }
        }
        has_new
    }

    /// Asks the watcher's thread. When that has died, no hints come any more.
    fn ask(
        &mut self,
        question: impl FnOnce(&mut RecommendedWatcher) -> notify::Result<()>,
    ) -> Result<(), String> {
        let Some(watcher) = &mut self.watcher else {
            return Err(self.refusal.clone().unwrap_or_default());
        };
        match catch_unwind(AssertUnwindSafe(|| question(watcher))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(words_for(&error)),
            Err(_) => {
                let why = "the thread that hears of changes has ended".to_owned();
                self.watcher = None;
                self.watched.clear();
                self.covered.clear();
                self.refusal = Some(why.clone());
                Err(why)
            }
        }
    }

    fn degrade(&mut self, path: &Path, why: &str) {
        let entry = self.degraded.entry(why.to_owned()).or_insert_with(|| Degraded {
            path: path.to_owned(),
            why: why.to_owned(),
            n_directories: 0,
        });
        entry.n_directories += 1;
    }
}

fn id_of(path: &Path) -> Option<FileId> {
    let metadata = path.metadata().ok()?;
    Some(FileId {
        dev: metadata.dev(),
        ino: metadata.ino(),
    })
}

/// Directories in which a root can come back, with the paths that are waited for there: the roots, and where a root's
/// directory is missing too, the next part of its path.
fn gates_of(roots: &[PathBuf]) -> HashMap<PathBuf, Vec<PathBuf>> {
    let mut gates: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
    for root in roots {
        let Ok(absolute) = std::path::absolute(root) else {
            continue;
        };
        let steps = absolute.ancestors().zip(absolute.ancestors().skip(1));
        for (path, parent) in steps {
            if parent.is_dir() {
                gates.entry(parent.to_owned()).or_default().push(path.to_owned());
                break;
            }
        }
    }
    gates
}

fn words_for_limit() -> String {
    "the limit of watches (fs.inotify.max_user_watches) is reached".to_owned()
}

/// Nothing for a directory that is not there any more or cannot be read: whoever walks says so.
fn words_for(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => words_for_limit(),
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => String::new(),
        ErrorKind::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            String::new()
        }
        // EMFILE and ENFILE: the limit of instances looks like one of descriptors.
        ErrorKind::Io(error) if matches!(error.raw_os_error(), Some(23 | 24)) => {
            "no watch can be made: the limit of descriptors or of instances (fs.inotify.max_user_instances) \
             is reached"
                .to_owned()
        }
        ErrorKind::Io(error) => walk::words_for(error),
        other => format!("{other:?}").to_lowercase(),
    }
}
