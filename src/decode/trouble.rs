//! Keeps the reports about damaged rows short.
//!
//! In: problems as they are met. Out: the first [`REPORTS_MAX`] of them to the sink, the rest as one count at the
//! end. Invariant: every problem is counted.

use super::Sink;
use crate::model::Problem;

/// Damaged rows of one file that are reported one by one.
const REPORTS_MAX: u64 = 20;

/// Counts the problems of one file.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    n_problems: u64,
    /// Bytes and place of the first problem that was not reported.
    unreported: Option<(u64, u64)>,
}

impl Trouble {
    /// Reports a part of the input that was lost, or counts it when many were reported.
    pub(crate) fn lost(&mut self, offset: u64, bytes: u64, what: impl Into<String>, sink: &mut dyn Sink) {
        self.n_problems = self.n_problems.saturating_add(1);
        if self.n_problems <= REPORTS_MAX {
            sink.problem(Problem::lost(offset, bytes, what));
        } else {
            let (first, total) = self.unreported.unwrap_or((offset, 0));
            self.unreported = Some((first, total.saturating_add(bytes)));
        }
    }

    /// Reports what was only counted.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        if let Some((first, bytes)) = self.unreported.take() {
            let n = self.n_problems.saturating_sub(REPORTS_MAX);
            sink.problem(Problem::lost(
                first,
                bytes,
                format!("{n} more rows could not be read from here on"),
            ));
        }
    }
}
