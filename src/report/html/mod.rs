//! The report as one page that opens from disk: every run with its curves, its layers over steps and its profiles.
//!
//! In: an [`AuditReport`] and the recordings of its runs. Out: one HTML document without any outside part; or, for a
//! server, the same page empty ([`live_page`]) and the data that it asks for one by one. Invariants: text from logs is
//! data, never markup; the page has a bound on its size that does not depend on the length of the logs; the same report
//! gives the same bytes.

mod baseline;
mod fit;
mod overview;
mod owned;
mod page;
mod payload;
mod quads;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use super::run::{AuditReport, RunReport};
use super::summary::RunSummary;
use crate::model::Problem;
use crate::series::Baseline;

pub(crate) use fit::depth_line;
pub use payload::RankRecording;

/// Cells of all heat maps of a page; 12 bytes each at most.
const CELLS_PER_PAGE: usize = 2_400_000;
/// Cells of the heat maps of one run.
const CELLS_PER_RUN: usize = 260_000;
/// Spans of each curve, of all runs together.
const SPANS_PER_PAGE: usize = 16_384;

/// How much of each run a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    cells: usize,
    spans: usize,
}

impl Detail {
    /// The detail of a page of this many runs: full for a few, coarser for hundreds.
    #[must_use]
    pub fn of_runs(n_runs: usize) -> Self {
        let n_runs = n_runs.max(1);
        Self {
            cells: (CELLS_PER_PAGE / n_runs).clamp(2_000, CELLS_PER_RUN),
            spans: (SPANS_PER_PAGE / n_runs).clamp(48, 512),
        }
    }
}

/// One run, ready for the page. Made while the other runs are still read, so that recordings need not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPage(String);

/// Prepares one run; the recordings are those of its streams. A run that `is_compared` is shown beside the baseline of
/// the page.
#[must_use]
pub fn run_page(
    report: &RunReport,
    recordings: Vec<RankRecording>,
    detail: Detail,
    is_compared: bool,
) -> RunPage {
    RunPage(payload::run(
        report,
        recordings,
        (detail.cells, detail.spans),
        is_compared,
    ))
}

/// Writes the page; `runs` are parallel to the runs of the report.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_page(
    report: &AuditReport,
    runs: &[RunPage],
    baseline: Option<&Baseline>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let lines: Vec<RunSummary> = report.runs.iter().map(RunSummary::of).collect();
    let mut parts = vec![(
        "overview".to_owned(),
        overview::overview(lines.iter(), &report.problems).to_string(),
    )];
    parts.extend(baseline.map(|it| ("baseline".to_owned(), baseline_json(it))));
    let runs = runs.iter().enumerate();
    let runs = runs.map(|(index, it)| (format!("run-{index}"), it.0.as_str()));
    let parts = parts.iter().map(|(id, json)| (id.clone(), json.as_str()));
    page::write(parts.chain(runs), out)
}

impl RunPage {
    /// The data of the run as the page reads it: JSON.
    #[must_use]
    pub fn into_json(self) -> String {
        self.0
    }
}

/// The table of all runs as the page reads it: JSON.
pub fn overview_json<'a>(runs: impl Iterator<Item = &'a RunSummary>, problems: &[Problem]) -> String {
    overview::overview(runs, problems).to_string()
}

/// What runs are compared with, as the page reads it: JSON.
#[must_use]
pub fn baseline_json(baseline: &Baseline) -> String {
    baseline::baseline(baseline).to_string()
}

/// The page without data, for a server: it asks for `data/overview`, `data/baseline` and `data/run?run=KEY` beside
/// itself, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePage {
    /// The document.
    pub html: String,
    /// The Content-Security-Policy that it is to be sent with.
    pub policy: String,
}

/// The page for a server.
#[must_use]
pub fn live_page() -> LivePage {
    let (html, policy) = page::live();
    LivePage { html, policy }
}
