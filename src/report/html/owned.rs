//! Which stream's picture stands for a series that several files of a run hold.
//!
//! In: the series of a report, each once. Out: the series that a recorded tag belongs to, given away once. Invariant:
//! a series is claimed at most once, by a recording of the same rank, tag and number of points.

use std::collections::HashMap;

use crate::series::SeriesInfo;

/// The series of a report that no picture was claimed for yet.
pub(super) struct Owned<'a> {
    free: HashMap<&'a str, Vec<(Option<u32>, &'a SeriesInfo)>>,
}

impl<'a> Owned<'a> {
    pub(super) fn new(series: &'a [(Option<u32>, SeriesInfo)]) -> Self {
        let mut free: HashMap<_, Vec<_>> = HashMap::new();
        for (rank, info) in series {
            free.entry(&*info.tag).or_default().push((*rank, info));
        }
        Self { free }
    }

    /// The series, when the report has it from a stream like this one.
    pub(super) fn claim(&mut self, rank: Option<u32>, tag: &str, points: u64) -> Option<&'a SeriesInfo> {
        let free = self.free.get_mut(tag)?;
        let index = free.iter().position(|it| it.0 == rank && it.1.points == points)?;
        Some(free.swap_remove(index).1)
    }
}
