//! Directory trees to the files in them that may be logs.
//!
//! In: one directory. Out: a [`Folder`] for each directory that holds such files, in order of path. Invariants:
//! symlinks are followed, but a directory is never entered below itself; depth and number of files are bounded;
//! what cannot be read is a problem and the rest is walked.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Directory;
use super::identity::FileId;
use super::listing::{Listing, Listings};
use super::names::{may_be_log, may_hold_logs};
use crate::model::Problem;

/// Directories deeper than this below a root are not entered.
pub const MAX_DEPTH: usize = 64;

/// Files beyond this number are not looked at.
pub const MAX_FILES: u64 = 1_000_000;

/// Paths over which one directory is entered. Symlinks from each of `n` directories twice into the next make
/// 2^n paths of n directories.
const MAX_ALIASES: u32 = 16;

/// A file that may be a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// A directory with files that may be logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Names of the directories from the root to here; empty for the root.
    pub(super) parts: Vec<String>,
    /// By name.
    pub(super) files: Vec<LogFile>,
}

/// A walk under way.
#[derive(Debug)]
pub(super) struct Walk<'l> {
    pub(super) folders: Vec<Folder>,
    pub(super) problems: Vec<Problem>,
    pub(super) n_files: u64,
    /// Those that were entered.
    pub(super) directories: Vec<Directory>,
    max_files: u64,
    entered: HashMap<FileId, u32>,
    listings: &'l mut Listings,
}

impl<'l> Walk<'l> {
    pub(super) fn new(max_files: u64, listings: &'l mut Listings) -> Self {
        Self {
            folders: Vec::new(),
            problems: Vec::new(),
            n_files: 0,
            directories: Vec::new(),
            max_files,
            entered: HashMap::new(),
            listings,
        }
    }

    /// Walks the tree under `root`.
    pub(super) fn tree(&mut self, root: &Path) {
        self.directory(root, &mut Vec::new(), &mut Vec::new());
    }

    fn directory(&mut self, path: &Path, parts: &mut Vec<String>, ancestors: &mut Vec<FileId>) {
        let Listing {
            files, directories, ..
        } = match self.enter(path, ancestors) {
            Ok(listing) => listing,
            Err(what) => return self.problems.extend(what.map(|it| problem(path, it))),
        };
        if !files.is_empty() {
            self.folders.push(Folder {
                parts: parts.clone(),
                files,
            });
        }
        if parts.len() >= MAX_DEPTH && !directories.is_empty() {
            self.problems.push(problem(
                path,
                format!("directories below depth {MAX_DEPTH} are not entered"),
            ));
        } else {
            for name in directories {
                parts.push(name.to_string_lossy().into_owned());
                self.directory(&path.join(&name), parts, ancestors);
                parts.pop();
            }
        }
        ancestors.pop();
    }

    /// Lists a directory and puts it on the list of ancestors; else says why not, where that is not yet known.
    fn enter(&mut self, path: &Path, ancestors: &mut Vec<FileId>) -> Result<Listing, Option<String>> {
        let metadata = fs::metadata(path).map_err(|it| Some(words_for(&it)))?;
        let id = FileId::of(&metadata);
        if ancestors.contains(&id) {
            return Err(Some(
                "symlink loop cut: the directory is one of those it lies in".to_owned(),
            ));
        }
        let n_entered = self.entered.entry(id).or_default();
        *n_entered += 1;
        if *n_entered > MAX_ALIASES {
            let what = format!(
                "symlinks lead here over more than {MAX_ALIASES} paths: further ones are not followed"
            );
            return Err((*n_entered == MAX_ALIASES + 1).then_some(what));
        }
        self.directories.push(Directory {
            path: path.to_owned(),
            id,
        });
        let listing = match self.listings.find(path, &metadata) {
            Some(listing) => {
                self.n_files += listing.n_files;
                listing
            }
            None => self.read(path, &metadata)?,
        };
        ancestors.push(id);
        Ok(listing)
    }

    fn read(&mut self, path: &Path, metadata: &fs::Metadata) -> Result<Listing, Option<String>> {
        let mut entries: Vec<fs::DirEntry> = Vec::new();
        for entry in fs::read_dir(path).map_err(|it| Some(words_for(&it)))? {
            if self.n_files + entries.len() as u64 >= self.max_files {
                break;
            }
            entries.push(entry.map_err(|it| Some(words_for(&it)))?);
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        let listing = self.sort_out(path, entries);
        self.listings.keep(path, metadata, &listing);
        Ok(listing)
    }

    fn sort_out(&mut self, path: &Path, entries: Vec<fs::DirEntry>) -> Listing {
        let mut listing = Listing::default();
        let n_before = self.n_files;
        for entry in entries {
            let name = entry.file_name();
            listing.is_volatile |= entry.file_type().map_or(true, |it| it.is_symlink());
            match self.kind_of(&entry, &name) {
                Some(EntryKind::Directory) => listing.directories.push(name),
                Some(EntryKind::File) => {
                    let name = name.to_string_lossy().into_owned();
                    listing.files.push(LogFile {
                        name,
                        path: entry.path(),
                    });
                }
                None => {}
            }
        }
        listing.n_files = self.n_files - n_before;
        if self.n_files >= self.max_files {
            listing.is_volatile = true;
            if !self.problems.iter().any(|it| it.what.starts_with("more than")) {
                let what = format!("more than {} files: the rest is not looked at", self.max_files);
                self.problems.push(problem(path, what));
            }
        }
        listing
    }

    /// What an entry is, if it is of interest. Pipes, sockets and devices are not.
    fn kind_of(&mut self, entry: &fs::DirEntry, name: &OsStr) -> Option<EntryKind> {
        let name = name.to_string_lossy();
        let mut file_type = entry.file_type().ok()?;
        let is_link = file_type.is_symlink();
        if is_link {
            if !may_hold_logs(&name) {
                return None;
            }
            if is_link_of_wandb(&entry.path(), &name) {
                return None;
            }
            match fs::metadata(entry.path()) {
                Ok(target) => file_type = target.file_type(),
                // A link that leads nowhere is no lost log; one that leads to itself deserves a line.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => {
                    self.problems.push(problem(&entry.path(), words_for(&error)));
                    return None;
                }
            }
        }
        if file_type.is_dir() {
            if is_link && leads_to_a_sibling(&entry.path()) {
                return None;
            }
            return may_hold_logs(&name).then_some(EntryKind::Directory);
        }
        if !file_type.is_file() {
            return None;
        }
        self.n_files += 1;
        may_be_log(&name).then_some(EntryKind::File)
    }
}

/// Weights & Biases links the debug log of the latest run (its own, not the training's) into `wandb`.
fn is_link_of_wandb(path: &Path, name: &str) -> bool {
    name.starts_with("debug") && path.parent().is_some_and(|it| it.ends_with("wandb"))
}

/// Whether a link stands for a directory beside it (`latest-run`), which is walked anyway.
fn leads_to_a_sibling(link: &Path) -> bool {
    let target = fs::canonicalize(link).ok();
    let home = link.parent().and_then(|it| fs::canonicalize(it).ok());
    target
        .as_deref()
        .and_then(Path::parent)
        .is_some_and(|parent| home.as_deref() == Some(parent))
}

enum EntryKind {
    File,
    Directory,
}

pub(super) fn problem(path: &Path, what: impl Into<String>) -> Problem {
    Problem::path(path.to_string_lossy(), what)
}

/// The error number of a symlink that leads to itself; the standard library has no stable name for it.
const ELOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

/// An error of the operating system as a fragment that fits a problem.
pub(super) fn words_for(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ if error.raw_os_error() == Some(ELOOP) => "symlink loop cut: the link leads to itself".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}
