//! Runs in little, from their files: for `compare`, and for `--baseline` of `audit` and `watch`.
//!
//! In: a path with one run in it. Out: its report and its [`Portrait`]. Invariant: read by the same engine as
//! every audit; a path with no run or several is refused in a sentence that says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::InForce;
use super::pipeline::judge_run;
use crate::report::RunReport;
use crate::series::{Baseline, Portrait, PortraitTap, Tap};
use crate::source::{RunFiles, discover};

/// One run, read.
#[derive(Debug)]
pub struct Portrayed {
    /// Its files, as they are on disk.
    pub files: Vec<PathBuf>,
    /// What an audit says of it.
    pub report: RunReport,
    /// The run in little.
    pub portrait: Portrait,
}

/// Why a path cannot be compared.
#[derive(Debug, Error)]
pub enum NotOneRun {
    /// Nothing in it can be read.
    #[error("{0}")]
    Nothing(String),
    /// It holds several runs.
    #[error("{0}")]
    Several(String),
}

/// A baseline, and the files that it was read from.
#[derive(Debug, Clone)]
pub struct NamedBaseline {
    baseline: Arc<Baseline>,
    files: BTreeSet<PathBuf>,
}

impl NamedBaseline {
    /// Reads the one run at a path.
    ///
    /// # Errors
    /// As [`portray_path`].
    pub fn read<'r>(path: &Path, by: impl Into<InForce<'r>>) -> Result<Self, NotOneRun> {
        let portrayed = portray_path(path, by)?;
        Ok(Self {
            files: portrayed.files.iter().map(|it| real_path(it)).collect(),
            baseline: Arc::new(portrayed.into_baseline(path.display().to_string())),
        })
    }

    /// The run in little.
    #[must_use]
    pub fn get(&self) -> &Arc<Baseline> {
        &self.baseline
    }

    /// What a run is to be compared with: nothing, when it is the baseline itself, or has files of it.
    #[must_use]
    pub fn beside(&self, run: &RunFiles) -> Option<&Arc<Baseline>> {
        let mut files = run.streams.iter().flat_map(|it| &it.files);
        let is_it = files.any(|it| self.files.contains(&real_path(it)));
        (!is_it).then_some(&self.baseline)
    }
}

fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Reads the one run at a path.
///
/// # Errors
/// When no run with a training loss or norms of layers is there, or more than one.
pub fn portray_path<'r>(path: &Path, by: impl Into<InForce<'r>>) -> Result<Portrayed, NotOneRun> {
    let by = by.into();
    let found = discover(&[path.to_owned()]);
    let mut runs: Vec<Portrayed> = found
        .runs
        .iter()
        .map(|run| portray(run, by))
        .filter(|it| !it.portrait.is_empty())
        .collect();
    if runs.len() > 1 {
        let names: Vec<&str> = runs.iter().map(|it| it.report.run.as_str()).collect();
        let shown = path.display();
        return Err(NotOneRun::Several(format!(
            "{shown} holds {} runs: name one of {}",
            names.len(),
            names.join(", ")
        )));
    }
    runs.pop().ok_or_else(|| {
        let why = found.problems.first().map_or_else(
            || "no training loss and no norms of layers".to_owned(),
            |it| it.what.clone(),
        );
        NotOneRun::Nothing(format!("nothing to compare in {}: {why}", path.display()))
    })
}

fn portray(run: &RunFiles, by: InForce<'_>) -> Portrayed {
    let taps: Mutex<Vec<(Option<u32>, PortraitTap)>> = Mutex::default();
    let report = judge_run(
        run,
        by,
        &|stream| {
            let tap = PortraitTap::default();
            let mut taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            taps.push((stream.rank, tap.clone()));
            Some(Box::new(tap) as Box<dyn Tap>)
        },
        &|_| (),
    );
    let mut taps = taps.into_inner().unwrap_or_else(PoisonError::into_inner);
    taps.sort_by_key(|(rank, _)| *rank);
    let mut portrait = Portrait::default();
    for (_, tap) in taps {
        portrait.join(tap.take());
    }
    let files = run
        .streams
        .iter()
        .flat_map(|it| it.files.iter().cloned())
        .collect();
    Portrayed {
        files,
        report,
        portrait,
    }
}

impl Portrayed {
    /// This run as a baseline. Its troubles are the findings that a learning rate of 0 tells apart.
    #[must_use]
    pub fn into_baseline(self, name: String) -> Baseline {
        Baseline::new(name, self.portrait, &self.report.findings)
    }
}

/// The same files under whatever names: a run is not compared with itself.
#[must_use]
pub fn are_same_files(a: &[PathBuf], b: &[PathBuf]) -> bool {
    let real = |paths: &[PathBuf]| {
        let mut real: Vec<PathBuf> = paths.iter().map(|it| real_path(it)).collect();
        real.sort();
        real
    };
    real(a) == real(b)
}
