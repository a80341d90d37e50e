//! A sink for tests that keeps every call, and the check that calls do not depend on byte splits.
//!
//! In: a decoder and bytes. Out: its calls as values that can be compared. Invariant: NaN equals NaN here.

use super::{Decode, Sink};
use crate::model::{Mark, Problem, Sample, TextLine};

/// A sample that owns its tag.
#[derive(Debug, Clone)]
pub(crate) struct OwnedSample {
    pub(crate) shown: String,
    pub(crate) resolution: f64,
}

/// Every call in order.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: Vec<(String, Option<OwnedSample>)>,
}

impl Calls {
    pub(crate) fn samples(&self) -> impl Iterator<Item = &OwnedSample> {
        self.all.iter().filter_map(|(_, sample)| sample.as_ref())
    }
}

impl Sink for Calls {
    fn sample(&mut self, sample: &Sample<'_>) {
        let time = sample.wall_time.map(|t| format!(" @{t}")).unwrap_or_default();
        let shown = format!("{} {}={}{time}", sample.step, sample.tag, sample.value);
        let exact = format!("{shown} {:?} {}", sample.form, sample.offset);
        let resolution = sample.form.resolution();
        self.all.push((exact, Some(OwnedSample { shown, resolution })));
    }

    fn line(&mut self, line: &TextLine<'_>) {
        self.all.push((format!("{line:?}"), None));
    }

    fn mark(&mut self, mark: Mark<'_>) {
        self.all.push((format!("{mark:?}"), None));
    }

    fn problem(&mut self, problem: Problem) {
        let (offset, bytes) = (
            problem.offset.unwrap_or_default(),
            problem.bytes.unwrap_or_default(),
        );
        self.all.push((
            format!("problem at {offset}, {bytes} bytes: {}", problem.what),
            None,
        ));
    }
}

/// Feeds the pieces and finishes.
pub(crate) fn record(decoder: &mut dyn Decode, pieces: &[&[u8]]) -> Calls {
    let mut calls = Calls::default();
    for piece in pieces {
        decoder.feed(piece, &mut calls);
    }
    decoder.finish(&mut calls);
    calls
}

/// The calls in short form: `step tag=value @time`, marks and problems as they are.
pub(crate) fn lines_of(calls: &Calls) -> Vec<String> {
    let short = |(exact, sample): &(String, Option<OwnedSample>)| {
        sample.as_ref().map_or_else(|| exact.clone(), |s| s.shown.clone())
    };
    calls.all.iter().map(short).collect()
}

/// Feeds `file` cut in two at every byte, and byte by byte: the calls must be those of the whole.
pub(crate) fn check_splits(make: &dyn Fn() -> Box<dyn Decode>, file: &[u8]) {
    let exact = |calls: Calls| calls.all.into_iter().map(|(exact, _)| exact).collect::<Vec<_>>();
    let whole = exact(record(make().as_mut(), &[file]));
    for at in 0..=file.len() {
        let (left, right) = file.split_at(at);
        assert_eq!(
            exact(record(make().as_mut(), &[left, right])),
            whole,
            "split at byte {at}"
        );
    }
    let single: Vec<&[u8]> = file.chunks(1).collect();
    assert_eq!(exact(record(make().as_mut(), &single)), whole, "byte by byte");
}
