//! Which stream's picture stands for a series that several files of a run hold.
//!
//! In: the series of a report, each once, and the recordings of its streams. Out: the series that a recorded tag stands
//! for. Invariants: a series is drawn from one recording at most, of the same rank, tag and number of points; where two
//! files hold the same points and one of them has no steps but rows, from the one whose steps the report has.

use std::collections::{HashMap, HashSet};

use super::payload::RankRecording;
use crate::series::SeriesInfo;
use crate::series::record::{Grid, Row, Trace};

/// The steps of the first and of the last thing that is kept of a series.
type Ends = [(i64, i64); 2];

/// The series of a report by the recording that shows them.
pub(super) struct Owned<'a> {
    owners: HashMap<(usize, &'a str), &'a SeriesInfo>,
}

/// What a recording has of a tag.
struct Shown {
    points: u64,
    ends: Option<Ends>,
}

impl<'a> Owned<'a> {
    pub(super) fn new(series: &'a [(Option<u32>, SeriesInfo)], recordings: &[RankRecording]) -> Self {
        let shown: Vec<HashMap<&str, Shown>> = recordings.iter().map(|it| shown_in(it)).collect();
        let mut owners = HashMap::new();
        let mut taken: HashSet<(usize, &str)> = HashSet::new();
        for (rank, info) in series {
            let tag: &'a str = &info.tag;
            let candidates =
                (0..)
                    .zip(recordings.iter().zip(&shown))
                    .filter(|(index, (recording, shown))| {
                        let is_it = shown.get(tag).is_some_and(|it| it.points == info.points);
                        recording.0 == *rank && is_it && !taken.contains(&(*index, tag))
                    });
            // The first one of those that fit best.
            let best = candidates.max_by_key(|(index, (_, shown))| {
                let ends = shown.get(tag).and_then(|it| it.ends);
                (
                    ends.is_some_and(|it| is_within(info, it)),
                    std::cmp::Reverse(*index),
                )
            });
            if let Some((index, _)) = best {
                taken.insert((index, tag));
                owners.insert((index, tag), info);
            }
        }
        Self { owners }
    }

    /// The series, when the recording of this number shows it.
    pub(super) fn of(&self, recording: usize, tag: &str) -> Option<&'a SeriesInfo> {
        self.owners.get(&(recording, tag)).copied()
    }
}

fn is_within(info: &SeriesInfo, [first, last]: Ends) -> bool {
    (first.0..=first.1).contains(&info.first_step) && (last.0..=last.1).contains(&info.last_step)
}

fn shown_in((_, recording): &RankRecording) -> HashMap<&str, Shown> {
    let lines = recording.lines.iter().map(|it| {
        let shown = Shown {
            points: it.points,
            ends: ends_of_trace(&it.trace),
        };
        (&*it.tag, shown)
    });
    let rows = recording.grids.iter().flat_map(|grid| {
        grid.rows().iter().map(move |it| {
            let shown = Shown {
                points: it.points,
                ends: ends_of_row(grid, it),
            };
            (&*it.tag, shown)
        })
    });
    lines.chain(rows).collect()
}

fn ends_of_trace(trace: &Trace) -> Option<Ends> {
    let (first, last) = (trace.spans().first()?, trace.spans().last()?);
    Some([
        (first.first_step, first.last_step),
        (last.first_step, last.last_step),
    ])
}

fn ends_of_row(grid: &Grid, row: &Row) -> Option<Ends> {
    let mut filled = grid
        .columns()
        .iter()
        .zip(&row.cells)
        .filter(|(_, cell)| !cell.is_empty())
        .map(|(column, _)| (column.first_step, column.last_step));
    let first = filled.next()?;
    Some([first, filled.next_back().unwrap_or(first)])
}
