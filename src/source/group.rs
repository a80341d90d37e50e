//! Files that may be logs to runs and streams.
//!
//! In: the folders of one root, with the names of their files. Out: runs, named by directory. Invariants: every
//! file is in exactly one stream, but for older checkpoints' copies of a log that the newest one repeats; the
//! order does not depend on the file system.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::names::{
    checkpoint_step, is_canonical, is_event_file, is_lightning_version, rank_of, stem_of_stream_pair,
};
use super::trackers::{Layout, Trackers};
use super::walk::{Folder, LogFile};
use super::{RunFiles, StreamFiles};

pub(super) const TRAINER_STATE: &str = "trainer_state.json";

/// Sorts the files of one root into runs. `name_of` makes a run's name of the directories that lead to it.
pub(super) fn group_into_runs(
    root: &Path,
    folders: Vec<Folder>,
    name_of: &dyn Fn(&[String]) -> String,
) -> Vec<RunFiles> {
    let folders = lift_checkpoints(folders);
    let places = Places::of(&folders);
    let mut runs: BTreeMap<Vec<String>, Vec<StreamFiles>> = BTreeMap::new();
    let trackers = Trackers::of(root, &folders);
    let mut metrics: BTreeMap<(Vec<String>, Option<u32>), Vec<PathBuf>> = BTreeMap::new();
    for folder in folders {
        let place_of = |n_parts: usize| places.place(folder.parts.get(..n_parts).unwrap_or_default());
        let (run, rank) = match trackers.layout(&folder.parts) {
            Layout::Foreign => continue,
            Layout::Metrics(n_parts) => {
                let files = folder.files.into_iter().map(|it| it.path);
                metrics.entry(place_of(n_parts)).or_default().extend(files);
                continue;
            }
            Layout::PartOf(n_parts) => place_of(n_parts),
            Layout::Plain => places.place(&folder.parts),
        };
        for (own_name, streams) in streams_of(folder.files, rank) {
            let mut parts = run.clone();
            parts.extend(own_name);
            runs.entry(parts).or_default().extend(streams);
        }
    }
    for ((parts, rank), mut files) in metrics {
        files.sort();
        let stream = StreamFiles {
            rank,
            files,
            is_event_files: false,
        };
        runs.entry(parts).or_default().push(stream);
    }
    runs.into_iter()
        .map(|(parts, mut streams)| {
            streams.sort_by(|a, b| (a.rank, &a.files).cmp(&(b.rank, &b.files)));
            RunFiles {
                name: name_of(&parts),
                root: root.to_path_buf(),
                streams,
            }
        })
        .collect()
}

/// Hugging Face writes the whole log again into every `checkpoint-N`: the newest stands for all, in the parent.
fn lift_checkpoints(folders: Vec<Folder>) -> Vec<Folder> {
    let mut newest: BTreeMap<Vec<String>, (u64, Option<std::time::SystemTime>, LogFile)> = BTreeMap::new();
    let mut kept: BTreeMap<Vec<String>, Vec<LogFile>> = BTreeMap::new();
    for folder in folders {
        let step = folder.parts.last().and_then(|it| checkpoint_step(it));
        let state = folder.files.iter().find(|it| it.name == TRAINER_STATE).cloned();
        let (Some(step), Some(state)) = (step, state) else {
            kept.insert(folder.parts, folder.files);
            continue;
        };
        let parent = folder.parts[..folder.parts.len() - 1].to_vec();
        let changed = fs::metadata(&state.path).and_then(|it| it.modified()).ok();
        let is_newer = newest
            .get(&parent)
            .is_none_or(|it| (step, changed) > (it.0, it.1));
        if is_newer {
            newest.insert(parent, (step, changed, state));
        }
        // A tokenizer's vocabulary lies there too, but what is plainly a log is one of its own.
        let is_log =
            |it: &LogFile| it.name != TRAINER_STATE && (is_event_file(&it.name) || is_canonical(&it.name));
        let others: Vec<LogFile> = folder.files.into_iter().filter(is_log).collect();
        if !others.is_empty() {
            kept.insert(folder.parts, others);
        }
    }
    for (parent, (_, _, state)) in newest {
        let files = kept.entry(parent).or_default();
        lift_state(files, state);
    }
    kept.into_iter()
        .map(|(parts, files)| Folder { parts, files })
        .collect()
}

/// Puts a checkpoint's log into the parent's files. Where the parent has one of its own, the longer of the two
/// stays: the log only grows, so that it holds the other.
fn lift_state(files: &mut Vec<LogFile>, state: LogFile) {
    let len = |file: &LogFile| fs::metadata(&file.path).map_or(0, |it| it.len());
    match files.iter_mut().find(|it| it.name == TRAINER_STATE) {
        Some(own) if len(own) < len(&state) => *own = state,
        Some(_) => {}
        None => files.push(state),
    }
}

/// Which directories are ranks or loggers of one run rather than runs.
struct Places {
    /// Parent directory and family of names, with the ranks met.
    ranks: BTreeMap<(Vec<String>, String), BTreeSet<u32>>,
    /// Directories of Lightning's loggers, with the run they belong to.
    merged: BTreeMap<Vec<String>, Vec<String>>,
}

impl Places {
    fn of(folders: &[Folder]) -> Self {
        let mut ranks: BTreeMap<(Vec<String>, String), BTreeSet<u32>> = BTreeMap::new();
        for folder in folders {
            for (at, part) in folder.parts.iter().enumerate() {
                if let Some((family, rank)) = rank_of(part) {
                    ranks
                        .entry((folder.parts[..at].to_vec(), family))
                        .or_default()
                        .insert(rank);
                }
            }
        }
        Self {
            ranks,
            merged: merge_lightning(folders),
        }
    }

    /// The run that a directory belongs to, and the rank it stands for.
    fn place(&self, parts: &[String]) -> (Vec<String>, Option<u32>) {
        let parts_of_run = self.merged.get(parts).map_or(parts, Vec::as_slice);
        let (mut run, mut rank) = (Vec::new(), None);
        for (at, part) in parts_of_run.iter().enumerate() {
            match self.rank_at(&parts_of_run[..at], part) {
                Some(found) if rank.is_none() => rank = Some(found),
                _ => run.push(part.clone()),
            }
        }
        (run, rank)
    }

    /// One directory called `rank_0` is a name; two with different numbers are ranks.
    fn rank_at(&self, parent: &[String], part: &str) -> Option<u32> {
        let (family, rank) = rank_of(part)?;
        let siblings = self.ranks.get(&(parent.to_vec(), family))?;
        (siblings.len() > 1).then_some(rank)
    }
}

/// Two loggers of one Lightning run write `tb/version_0` and `csv/version_0` side by side. Directories that hold
/// the same kind of log are two experiments.
fn merge_lightning(folders: &[Folder]) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut versions: BTreeMap<(&[String], &str), Vec<&Folder>> = BTreeMap::new();
    for folder in folders {
        if let [parent @ .., _logger, version] = folder.parts.as_slice()
            && is_lightning_version(version)
        {
            versions.entry((parent, version)).or_default().push(folder);
        }
    }
    let has_events = |it: &Folder| it.files.iter().any(|file| is_event_file(&file.name));
    let has_table = |it: &Folder| it.files.iter().any(|file| file.name == "metrics.csv");
    versions.retain(|_, loggers| {
        loggers.len() == 2
            && loggers
                .iter()
                .filter(|it| has_events(it) && !has_table(it))
                .count()
                == 1
            && loggers
                .iter()
                .filter(|it| has_table(it) && !has_events(it))
                .count()
                == 1
    });
    let mut n_versions: BTreeMap<&[String], usize> = BTreeMap::new();
    for (parent, _) in versions.keys() {
        *n_versions.entry(parent).or_default() += 1;
    }
    let mut merged = BTreeMap::new();
    for ((parent, version), loggers) in &versions {
        let mut run = parent.to_vec();
        if n_versions.get(parent).is_some_and(|it| *it > 1) {
            run.push((*version).to_owned());
        }
        for logger in loggers {
            merged.insert(logger.parts.clone(), run.clone());
        }
    }
    merged
}

/// A run's own name below its directory, if it has one, and its streams.
type NamedStreams = (Option<String>, Vec<StreamFiles>);

/// The streams of one directory's files. Files of a run that writes several belong together; files of which none
/// is an event file, a log with a customary name or a rank's are as many runs.
fn streams_of(files: Vec<LogFile>, rank: Option<u32>) -> Vec<NamedStreams> {
    let (events, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|it| is_event_file(&it.name));
    let ranks = rank_files(&others);
    let is_one_run =
        !events.is_empty() || !ranks.is_empty() || others.iter().any(|it| is_canonical(&it.name));
    let mut streams: Vec<StreamFiles> = Vec::new();
    if !events.is_empty() {
        let mut files: Vec<_> = events.into_iter().map(|it| it.path).collect();
        files.sort();
        streams.push(StreamFiles {
            rank,
            files,
            is_event_files: true,
        });
    }
    let stream = |file: &LogFile| StreamFiles {
        rank: rank.or_else(|| ranks.get(&file.name).copied()),
        files: vec![file.path.clone()],
        is_event_files: false,
    };
    let mut named: BTreeMap<String, Vec<StreamFiles>> = BTreeMap::new();
    for file in &others {
        let stem = stem_of_stream_pair(&file.name).unwrap_or(&file.name);
        named.entry(stem.to_owned()).or_default().push(stream(file));
    }
    if is_one_run || named.len() == 1 {
        streams.extend(named.into_values().flatten());
        return vec![(None, streams)];
    }
    let own_name = |streams: &[StreamFiles]| {
        let file = streams
            .last()
            .and_then(|it| it.files.first())
            .and_then(|it| it.file_name());
        file.map(|it| it.to_string_lossy().into_owned())
    };
    named
        .into_values()
        .map(|streams| (own_name(&streams), streams))
        .collect()
}

/// The ranks of files side by side that differ in their rank alone.
fn rank_files(files: &[LogFile]) -> BTreeMap<String, u32> {
    let mut families: BTreeMap<String, Vec<(&LogFile, u32)>> = BTreeMap::new();
    for file in files {
        if let Some((family, rank)) = rank_of(&file.name) {
            families.entry(family).or_default().push((file, rank));
        }
    }
    families
        .into_values()
        .filter(|family| family.iter().map(|(_, rank)| rank).collect::<BTreeSet<_>>().len() > 1)
        .flatten()
        .map(|(file, rank)| (file.name.clone(), rank))
        .collect()
}
