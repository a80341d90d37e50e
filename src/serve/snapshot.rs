//! The state of all followed runs at one moment.
//!
//! In: what the loop knows. Out: a value that is never changed again. Invariant: small for each run; what is large
//! (pictures) is made for single runs, when somebody looks.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use jiff::Timestamp;

use crate::alert::Fingerprint;
use crate::model::{Finding, Problem, Severity};
use crate::report::RunSummary;
use crate::report::html::overview_json;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// Records that could not be read.
    pub skipped: u64,
    /// Parts that could not be read, and files.
    pub problems: u64,
}

impl Totals {
    /// Takes those of another file.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.records += other.records;
        self.skipped += other.skipped;
        self.problems += other.problems;
    }

    /// What came since `before`. A count that is smaller than before has begun anew.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let grown = |now: u64, before: u64| if now < before { now } else { now - before };
        Self {
            files: grown(self.files, before.files),
            bytes: grown(self.bytes, before.bytes),
            records: grown(self.records, before.records),
            skipped: grown(self.skipped, before.skipped),
            problems: grown(self.problems, before.problems),
        }
    }
}

/// How often something was said of an alarm since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// New alarms.
    pub alarms: u64,
    /// Alarms that became worse.
    pub worse: u64,
    /// Alarms that were over.
    pub resolved: u64,
}

/// One followed run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// What the table of runs shows.
    pub summary: RunSummary,
    /// The findings as they stand, root causes first.
    pub findings: Arc<[Finding]>,
    /// What was read of it.
    pub totals: Totals,
    /// When its files last changed, by the clock of the file system.
    pub changed_at: Option<Timestamp>,
}

impl RunRow {
    /// The alarms that stand: each once, as the journal tells them.
    #[must_use]
    pub fn alarms(&self) -> Vec<(Fingerprint, &Finding)> {
        let mut alarms: Vec<(Fingerprint, &Finding)> = Vec::new();
        let stands = |it: &&Finding| it.severity >= Severity::Warning && !it.is_superseded && !it.has_healed;
        for finding in self.findings.iter().filter(stands) {
            let id = Fingerprint::of(&self.summary.run, finding);
            match alarms.iter_mut().find(|(other, _)| *other == id) {
                Some((_, known)) if finding.severity > known.severity => *known = finding,
                Some(_) => {}
                None => alarms.push((id, finding)),
            }
        }
        alarms
    }
}

/// All followed runs.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Another number for each snapshot.
    pub revision: u64,
    /// The runs, in the order of their names.
    pub runs: Vec<Arc<RunRow>>,
    /// Paths that could not be read at the last walk.
    pub problems: Vec<Problem>,
    /// What was read since the start, whatever became of it.
    pub read: Totals,
    /// What was said since the start.
    pub said: Said,
    overview: OnceLock<Bytes>,
}

impl Snapshot {
    /// A snapshot.
    #[must_use]
    pub fn new(
        revision: u64,
        runs: Vec<Arc<RunRow>>,
        problems: Vec<Problem>,
        read: Totals,
        said: Said,
    ) -> Self {
        Self {
            revision,
            runs,
            problems,
            read,
            said,
            overview: OnceLock::new(),
        }
    }

    /// The run of this name.
    #[must_use]
    pub fn run(&self, name: &str) -> Option<&Arc<RunRow>> {
        let at = self.runs.binary_search_by(|it| it.summary.run.as_str().cmp(name));
        self.runs.get(at.ok()?)
    }

    /// The table of all runs as the page reads it; made once.
    #[must_use]
    pub fn overview(&self) -> Bytes {
        let make = || overview_json(self.runs.iter().map(|it| &it.summary), &self.problems).into();
        self.overview.get_or_init(make).clone()
    }
}
