//! The paths a user gave to runs.
//!
//! In: files and directories. Out: [`Discovery`]. Invariants: the answer depends on the paths and the names in
//! them, not on the order of the file system; a path given twice counts once, and a run below two of the paths too;
//! a file given by name is a log whatever its name.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::group::group_into_runs;
use super::listing::Listings;
use super::names::is_event_file;
use super::walk::{MAX_FILES, Walk, problem, words_for};
use super::{Discovery, RunFiles, StreamFiles};

/// Finds the runs under the paths given.
#[must_use]
pub fn discover(paths: &[PathBuf]) -> Discovery {
    discover_at_most(paths, MAX_FILES, &mut Listings::default())
}

/// Finds the runs under the paths given, as [`discover`] does; `None` when nothing has changed since the last time.
/// Directories in which nothing came or went are not read again.
#[must_use]
pub fn discover_again(paths: &[PathBuf], listings: &mut Listings) -> Option<Discovery> {
    if listings.is_unchanged() {
        return None;
    }
    listings.begin();
    let found = discover_at_most(paths, MAX_FILES, listings);
    listings.end(paths, &found);
    Some(found)
}

fn discover_at_most(paths: &[PathBuf], max_files: u64, listings: &mut Listings) -> Discovery {
    let mut found = Discovery::default();
    let mut seen = BTreeSet::new();
    let is_only_root = paths.iter().collect::<BTreeSet<_>>().len() == 1;
    for path in paths {
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if !seen.insert(identity) {
            continue;
        }
        match fs::metadata(path) {
            Err(error) => found.problems.push(problem(path, words_for(&error))),
            Ok(it) if it.is_dir() => {
                let left = max_files.saturating_sub(found.n_files_seen);
                add_directory(path, is_only_root, left, listings, &mut found);
            }
            Ok(_) => add_file(path, is_only_root, &mut found),
        }
    }
    if seen.len() > 1 {
        leave_out_repeated(&mut found);
    }
    found
}

/// Roots may lie in each other: of runs with the same files the first one stays, and none that is part of another.
fn leave_out_repeated(found: &mut Discovery) {
    let files_of = |run: &RunFiles| -> BTreeSet<PathBuf> {
        let files = run.streams.iter().flat_map(|it| &it.files);
        files
            .map(|it| fs::canonicalize(it).unwrap_or_else(|_| it.clone()))
            .collect()
    };
    let files: Vec<BTreeSet<PathBuf>> = found.runs.iter().map(files_of).collect();
    let mut homes: HashMap<&Path, Vec<usize>> = HashMap::new();
    for (run, path) in files
        .iter()
        .enumerate()
        .flat_map(|(run, it)| it.iter().map(move |path| (run, path)))
    {
        homes.entry(path).or_default().push(run);
    }
    let is_repeated = |run: usize, own: &BTreeSet<PathBuf>| {
        let others = own
            .first()
            .and_then(|it| homes.get(it.as_path()))
            .into_iter()
            .flatten();
        others.filter(|it| **it != run).any(|other| {
            files
                .get(*other)
                .is_some_and(|it| own.is_subset(it) && (own.len() < it.len() || *other < run))
        })
    };
    let mut repeated = files.iter().enumerate().map(|(run, own)| is_repeated(run, own));
    found.runs.retain(|_| !repeated.next().unwrap_or(false));
    let mut said = BTreeSet::new();
    found.problems.retain(|it| said.insert(it.to_string()));
}

fn add_file(path: &Path, is_only_root: bool, found: &mut Discovery) {
    let base = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = if is_only_root {
        base.clone().into_owned()
    } else {
        path.to_string_lossy().into_owned()
    };
    let stream = StreamFiles {
        rank: None,
        files: vec![path.to_path_buf()],
        is_event_files: is_event_file(&base),
    };
    found.n_files_seen += 1;
    found.runs.push(RunFiles {
        name,
        root: path.to_path_buf(),
        streams: vec![stream],
    });
}

fn add_directory(
    root: &Path,
    is_only_root: bool,
    max_files: u64,
    listings: &mut Listings,
    found: &mut Discovery,
) {
    let mut walk = Walk::new(max_files, listings);
    walk.tree(root);
    found.n_files_seen += walk.n_files;
    if walk.folders.is_empty() && walk.problems.is_empty() {
        found
            .problems
            .push(problem(root, "directory holds no files that look like logs"));
    }
    found.problems.append(&mut walk.problems);
    found.directories.append(&mut walk.directories);
    let prefix = if is_only_root {
        String::new()
    } else {
        root_as_prefix(root)
    };
    let name_of = |parts: &[String]| run_name(&prefix, parts);
    found.runs.extend(group_into_runs(root, walk.folders, &name_of));
}

fn root_as_prefix(root: &Path) -> String {
    let text = root.to_string_lossy();
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() {
        text.into_owned()
    } else {
        trimmed.to_owned()
    }
}

fn run_name(prefix: &str, parts: &[String]) -> String {
    match (prefix, parts) {
        ("", []) => ".".to_owned(),
        (prefix, []) => prefix.to_owned(),
        ("", parts) => parts.join("/"),
        (prefix, parts) => format!("{}/{}", prefix.trim_end_matches('/'), parts.join("/")),
    }
}

#[cfg(test)]
#[path = "discover/tests.rs"]
mod tests;
