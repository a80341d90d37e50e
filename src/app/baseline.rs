//! Runs in little, from their files: for `compare` and for `audit --baseline`.
//!
//! In: a path with one run in it. Out: its report and its [`Portrait`]. Invariant: read by the same engine as
//! every audit; a path with no run or several is refused in a sentence that says so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::pipeline::judge_run;
use crate::model::{Family, Severity};
use crate::report::RunReport;
use crate::rules::Rule;
use crate::series::{Baseline, Portrait, SeriesInfo, Tap, Trouble};
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
#[derive(Debug)]
pub enum NotOneRun {
    /// Nothing in it can be read.
    Nothing(String),
    /// It holds several runs.
    Several(String),
}

/// Reads the one run at a path.
///
/// # Errors
/// When no run with a training loss or norms of layers is there, or more than one.
pub fn portray_path(path: &Path, rules: &[Rule]) -> Result<Portrayed, NotOneRun> {
    let found = discover(&[path.to_owned()]);
    let mut runs: Vec<Portrayed> = found
        .runs
        .iter()
        .map(|run| portray(run, rules))
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

fn portray(run: &RunFiles, rules: &[Rule]) -> Portrayed {
    let portraits: Mutex<Vec<(Option<u32>, SharedPortrait)>> = Mutex::default();
    let report = judge_run(
        run,
        rules,
        &|stream| {
            let portrait = Arc::new(Mutex::new(Portrait::default()));
            portraits
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((stream.rank, Arc::clone(&portrait)));
            Some(Box::new(PortraitTap(portrait)) as Box<dyn Tap>)
        },
        &|_| (),
    );
    let mut parts = portraits.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_by_key(|(rank, _)| *rank);
    let mut portrait = Portrait::default();
    for (_, part) in parts {
        portrait.join(std::mem::take(
            &mut *part.lock().unwrap_or_else(PoisonError::into_inner),
        ));
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
        let is_trouble = |family| matches!(family, Family::Nonfinite | Family::Depth);
        let findings = self.report.findings.iter();
        let troubles = findings
            .filter(|it| is_trouble(it.family) && it.severity >= Severity::Warning && !it.is_superseded)
            .map(|it| Trouble {
                family: it.family,
                kind: it.kind,
                rule: it.rule.clone(),
                message: it.message.clone(),
            })
            .collect();
        Baseline {
            name,
            portrait: self.portrait,
            troubles,
        }
    }
}

/// The same files under whatever names: a run is not compared with itself.
#[must_use]
pub fn are_same_files(a: &[PathBuf], b: &[PathBuf]) -> bool {
    let real = |paths: &[PathBuf]| {
        let mut real: Vec<PathBuf> = paths
            .iter()
            .map(|it| it.canonicalize().unwrap_or_else(|_| it.clone()))
            .collect();
        real.sort();
        real
    };
    real(a) == real(b)
}

/// A portrait that its tap and its reader hold.
type SharedPortrait = Arc<Mutex<Portrait>>;

struct PortraitTap(SharedPortrait);

impl Tap for PortraitTap {
    fn point(&mut self, _id: u32, series: &SeriesInfo, step: i64, _wall_time: Option<f64>, value: f64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(series, step, value);
    }
    fn rewind(&mut self, _id: u32, step: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rewind(step);
    }
}
