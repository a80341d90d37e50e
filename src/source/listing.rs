//! What stood in directories when they were last read, so that walking an unchanged tree costs one `stat` a directory.
//!
//! In: directories as they are walked. Out: their entries. Invariants: a listing is only used again where the time of
//! a directory tells every change of its entries (local file systems), and when that time is old enough that no change
//! can hide behind it; a directory with symlinks is always read again, because what they lead to changes without it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Discovery;
use super::group::TRAINER_STATE;
use super::tail::Seen;
use super::volume::Volumes;
use super::walk::LogFile;

/// The entries of a directory that are of interest.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) files: Vec<LogFile>,
    pub(super) directories: Vec<OsString>,
    /// Files seen, logs or not.
    pub(super) n_files: u64,
    /// It holds symlinks, or something that could not be looked at: what stands here may change without the directory.
    pub(super) is_volatile: bool,
}

#[derive(Debug)]
struct Known {
    seen: Seen,
    listing: Listing,
    round: u64,
}

/// Listings by path, from one walk to the next.
#[derive(Debug, Default)]
pub struct Listings {
    known: HashMap<PathBuf, Known>,
    volumes: Volumes,
    round: u64,
    /// Everything that the last walk met stands here, and decides what is found.
    is_complete: bool,
}

impl Listings {
    /// Whether another walk would find what the last one found: one `stat` per directory.
    pub(super) fn is_unchanged(&self) -> bool {
        let is_same = |path: &PathBuf, it: &Known| path.metadata().is_ok_and(|now| it.seen.is_same(&now));
        self.is_complete && self.known.iter().all(|(path, it)| is_same(path, it))
    }

    /// What is not met again until [`end`](Self::end) is forgotten.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// `found` is what the walk found.
    pub(super) fn end(&mut self, paths: &[PathBuf], found: &Discovery) {
        let round = self.round;
        self.known.retain(|_, it| it.round == round);
        self.volumes.forget();
        let is_known = |it: &PathBuf| self.known.contains_key(it);
        // Of several copies of this log the largest counts, which no directory tells.
        let is_by_name = |it: &Known| it.listing.files.iter().all(|file| file.name != TRAINER_STATE);
        self.is_complete = found.problems.is_empty()
            && paths.iter().all(is_known)
            && found.directories.iter().all(|it| is_known(&it.path))
            && self.known.values().all(is_by_name);
    }

    /// The entries as they were, if they are still the same.
    pub(super) fn find(&mut self, path: &Path, metadata: &Metadata) -> Option<Listing> {
        let known = self.known.get_mut(path)?;
        if !known.seen.is_same(metadata) {
            return None;
        }
        known.round = self.round;
        Some(known.listing.clone())
    }

    /// `metadata` must be from before the directory was read.
    pub(super) fn keep(&mut self, path: &Path, metadata: &Metadata, listing: &Listing) {
        if listing.is_volatile || self.volumes.remote_name(path, metadata.dev()).is_some() {
            self.known.remove(path);
            return;
        }
        let known = Known {
            seen: Seen::of(metadata),
            listing: listing.clone(),
            round: self.round,
        };
        self.known.insert(path.to_owned(), known);
    }
}

#[cfg(test)]
mod tests {
    use super::Listings;
    use crate::source::{Discovery, discover, discover_again};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// What a walk finds that remembers the last one, and one that does not.
    fn both(dir: &Path, listings: &mut Listings) -> (Discovery, Discovery) {
        let paths = [dir.to_owned()];
        let anew = discover(&paths);
        (
            discover_again(&paths, listings).unwrap_or_else(|| anew.clone()),
            anew,
        )
    }

    /// So old that a listing of it may be kept.
    fn age(dir: &Path) {
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::open(dir).unwrap().set_modified(long_ago).unwrap();
    }

    #[test]
    fn a_tree_that_was_walked_before_is_seen_as_one_that_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut listings = Listings::default();
        for name in ["a/one.log", "a/b/two.log", "c/metrics.csv"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x\n").unwrap();
            let (again, anew) = both(dir.path(), &mut listings);
            assert_eq!(again, anew, "after {name}");
        }
        for sub in ["a", "a/b", "c"] {
            age(&dir.path().join(sub));
        }
        age(dir.path());
        both(dir.path(), &mut listings);
        fs::rename(
            dir.path().join("c/metrics.csv"),
            dir.path().join("c/progress.csv"),
        )
        .unwrap();
        fs::remove_file(dir.path().join("a/b/two.log")).unwrap();
        fs::write(dir.path().join("a/b/three.log"), "x\n").unwrap();
        let (again, anew) = both(dir.path(), &mut listings);
        assert_eq!(again, anew);
        fs::remove_dir_all(dir.path().join("a")).unwrap();
        let (again, anew) = both(dir.path(), &mut listings);
        assert_eq!(again, anew);
        assert!(listings.known.len() <= 2);
    }

    #[test]
    fn a_link_whose_target_comes_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("one.log"), "x\n").unwrap();
        symlink(elsewhere.path().join("run"), dir.path().join("linked")).unwrap();
        let mut listings = Listings::default();
        assert_eq!(both(dir.path(), &mut listings).0.runs.len(), 1);
        fs::create_dir(elsewhere.path().join("run")).unwrap();
        fs::write(elsewhere.path().join("run/metrics.csv"), "x\n").unwrap();
        let (again, anew) = both(dir.path(), &mut listings);
        assert_eq!((again.runs.len(), &again), (2, &anew));
    }
}
