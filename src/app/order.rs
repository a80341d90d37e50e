//! In which order several files of one stream are read.
//!
//! In: how each file begins, and the wall time of its next item. Out: which file goes on, and until when. Invariant:
//! the order depends on the content of the files alone, so a log that is read at once and one that is followed give
//! the same findings when the followed one came in order.

use std::collections::VecDeque;

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Begin {
    /// Wall time of its first point; -infinity when it has none.
    pub(super) time: f64,
    /// Whether its first item is a session start.
    pub(super) is_session: bool,
}

impl Begin {
    /// Of a file that cannot be read, or holds nothing.
    pub(super) const UNKNOWN: Begin = Begin {
        time: f64::NEG_INFINITY,
        is_session: false,
    };
}

/// Files by wall time; of equal times the file that was named first goes first. A file that begins with a session
/// start is a later attempt: it waits for every file that began before it, whose points at or after its first step
/// it replaces whatever their times say.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By the time at which they begin.
    waiting: VecDeque<(usize, Begin)>,
    active: Vec<usize>,
}

impl Order {
    /// A file that has not had its turn yet.
    pub(super) fn wait(&mut self, index: usize, begin: Begin) {
        let at = self
            .waiting
            .partition_point(|(_, it)| it.time.total_cmp(&begin.time).is_le());
        self.waiting.insert(at, (index, begin));
    }

    /// A file that was at its end and goes on.
    pub(super) fn resume(&mut self, index: usize) {
        self.active.push(index);
    }

    /// The file that goes on, and the wall time up to which it may; `None` when all are at their end. `head` gives
    /// the wall time of a file's next item, `None` at its end.
    pub(super) fn next(&mut self, head: &mut dyn FnMut(usize) -> Option<f64>) -> Option<(usize, f64)> {
        loop {
            let mut heads: Vec<(f64, usize)> = Vec::with_capacity(self.active.len());
            self.active.retain(|index| {
                let time = head(*index);
                heads.extend(time.map(|time| (time, *index)));
                time.is_some()
            });
            let first = heads
                .iter()
                .copied()
                .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let is_due =
                |begin: &Begin| first.is_none_or(|(time, _)| !begin.is_session && begin.time <= time);
            if self.waiting.front().is_some_and(|(_, begin)| is_due(begin)) {
                self.active
                    .extend(self.waiting.pop_front().map(|(index, _)| index));
                continue;
            }
            let (_, index) = first?;
            let others = heads.iter().filter(|(_, it)| *it != index).map(|(time, _)| *time);
            let next_begin = self
                .waiting
                .front()
                .filter(|(_, begin)| !begin.is_session)
                .map(|(_, begin)| begin.time);
            return Some((index, others.chain(next_begin).fold(f64::INFINITY, f64::min)));
        }
    }
}
