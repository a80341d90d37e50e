//! Listens to the points of one stream and keeps pictures of them.
//!
//! In: points and restarts. Out: a [`Recording`], handed over when the recorder is dropped, or copied while it goes on
//! (`shared`). Invariants: at most [`LINES_MAX`] curves of [`SPANS_MAX`] spans and, per quantity, a grid of
//! [`COLUMNS_MAX`] columns; no more than its [`Limits`] allow; what is beyond is counted.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::grid::Grid;
use super::trace::Trace;
use crate::model::{Meaning, Quantity, Slot};
use crate::series::{SeriesInfo, Tap};

/// Curves of one stream.
pub const LINES_MAX: usize = 48;
/// Spans of one curve.
pub const SPANS_MAX: usize = 512;
/// Columns of one grid.
pub const COLUMNS_MAX: usize = 256;
/// Restarts that are kept.
const RESTARTS_MAX: usize = 64;

/// A series that is not of a layer.
#[derive(Debug, Clone)]
pub struct Line {
    /// The tag as logged.
    pub tag: Arc<str>,
    /// What it means.
    pub meaning: Arc<Meaning>,
    /// Points of all attempts.
    pub points: u64,
    /// Its course.
    pub trace: Trace,
}

/// How much a recorder keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Cells of all grids together: 40 bytes each. A grid keeps 8 columns whatever the number of its rows.
    pub cells: usize,
    /// Spans of each curve: 56 bytes each.
    pub spans: usize,
}

impl Default for Limits {
    /// As much as can be shown.
    fn default() -> Self {
        Self {
            cells: usize::MAX,
            spans: SPANS_MAX,
        }
    }
}

/// Columns that a grid keeps however many rows there are.
const COLUMNS_MIN: usize = 8;

/// The pictures of one stream.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Loss, learning rate, totals and other curves, in the order of first appearance.
    pub lines: Vec<Line>,
    /// Per-layer quantities.
    pub grids: Vec<Grid>,
    /// Restarts: from which step back to which.
    pub restarts: Vec<(i64, i64)>,
    /// Several processes write into this log: its steps go back and forth, which is no restart.
    pub has_several_writers: bool,
    /// Series beyond the limits.
    pub n_left_out: u64,
}

impl Recording {
    /// Joins steps until the grids hold at most `cells` cells together and each curve at most `spans` spans.
    pub fn shrink_to(&mut self, cells: usize, spans: usize) {
        let columns = self.columns_within(cells);
        self.grids.iter_mut().for_each(|it| it.shrink_to(columns));
        self.lines.iter_mut().for_each(|it| it.trace.shrink_to(spans));
    }

    fn columns_within(&self, cells: usize) -> usize {
        let n_rows: usize = self.grids.iter().map(|it| it.rows().len()).sum();
        (cells / n_rows.max(1)).clamp(COLUMNS_MIN, COLUMNS_MAX)
    }
}

/// Where a recorder leaves its recording.
#[derive(Debug, Clone, Default)]
pub struct RecordingSlot(Arc<Mutex<Option<Recording>>>);

impl RecordingSlot {
    /// Takes the recording; `None` while the recorder still listens, and the second time.
    #[must_use]
    pub fn take(&self) -> Option<Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Unseen,
    Nowhere,
    Line(usize),
    Row(usize, usize),
}

/// A listener that keeps pictures.
#[derive(Debug)]
pub struct Recorder {
    targets: Vec<Target>,
    /// For each series the attempt in which its last point came.
    spoke_in: Vec<u32>,
    /// Restarts so far.
    attempt: u32,
    /// The furthest step of the present attempt.
    reach: Option<i64>,
    recording: Recording,
    slot: RecordingSlot,
    limits: Limits,
    /// Columns that the rows of now leave room for.
    columns: usize,
}

impl Recorder {
    /// A recorder, and the place where its recording will be once it is dropped.
    #[must_use]
    pub fn new() -> (Self, RecordingSlot) {
        let recorder = Self::within(Limits::default());
        let slot = recorder.slot.clone();
        (recorder, slot)
    }

    /// A recorder that keeps no more than this.
    pub(super) fn within(limits: Limits) -> Self {
        Self {
            targets: Vec::new(),
            spoke_in: Vec::new(),
            attempt: 0,
            reach: None,
            recording: Recording::default(),
            slot: RecordingSlot::default(),
            limits,
            columns: COLUMNS_MAX,
        }
    }

    /// What was recorded so far.
    pub(super) fn recording(&self) -> &Recording {
        &self.recording
    }

    fn target(&mut self, id: u32, series: &SeriesInfo) -> Target {
        let index = id as usize;
        if self.targets.len() <= index {
            self.targets.resize(index + 1, Target::Unseen);
            self.spoke_in.resize(index + 1, 0);
        }
        match self.targets.get(index).copied() {
            Some(Target::Unseen) | None => {
                let target = self.place(series);
                if let Some(it) = self.targets.get_mut(index) {
                    *it = target;
                }
                target
            }
            Some(known) => known,
        }
    }

    fn place(&mut self, series: &SeriesInfo) -> Target {
        let meaning = &series.meaning;
        let target = match &meaning.layer {
            Some(layer) if meaning.quantity.is_per_layer() => {
                let slot = Slot {
                    layer: layer.clone(),
                    n_elements: series.n_elements,
                    resolution: series.resolution,
                    is_estimate: series.is_estimate,
                };
                self.place_row(series, slot)
            }
            Some(_) => return Target::Nowhere,
            None if meaning.quantity == Quantity::Other => return Target::Nowhere,
            None => self.place_line(series),
        };
        target.unwrap_or_else(|| {
            self.recording.n_left_out += 1;
            Target::Nowhere
        })
    }

    /// One mark for all series of a restart: one that has not spoken since the last mark is late for it, because it
    /// is logged more rarely.
    fn note_restart(&mut self, id: u32, to: i64) {
        let is_late = self.spoke_in.get(id as usize).is_none_or(|it| *it < self.attempt);
        let Some(from) = self.reach.filter(|from| !is_late && *from >= to) else {
            return;
        };
        self.attempt += 1;
        self.reach = Some(to);
        if self.recording.restarts.len() < RESTARTS_MAX && !self.recording.has_several_writers {
            self.recording.restarts.push((from, to));
        }
    }

    fn place_row(&mut self, series: &SeriesInfo, slot: Slot) -> Option<Target> {
        let key = (series.meaning.quantity, series.meaning.split);
        let grids = &mut self.recording.grids;
        let index = grids.iter().position(|it| it.key() == key).unwrap_or(grids.len());
        if index == grids.len() {
            grids.push(Grid::new(key.0, key.1, self.columns));
        }
        let row = grids.get_mut(index)?.add_row(Arc::clone(&series.tag), slot)?;
        self.make_room();
        Some(Target::Row(index, row))
    }

    /// More rows leave room for fewer columns; halved, so that thousands of rows cost a few turns.
    fn make_room(&mut self) {
        let allowed = self.recording.columns_within(self.limits.cells);
        if allowed >= self.columns {
            return;
        }
        while self.columns > allowed {
            self.columns = (self.columns / 2).max(COLUMNS_MIN);
        }
        let columns = self.columns;
        self.recording
            .grids
            .iter_mut()
            .for_each(|it| it.shrink_to(columns));
    }

    fn place_line(&mut self, series: &SeriesInfo) -> Option<Target> {
        let spans = self.limits.spans.min(SPANS_MAX);
        let lines = &mut self.recording.lines;
        if lines.len() >= LINES_MAX {
            return None;
        }
        let (tag, meaning) = (series.tag.clone(), series.meaning.clone());
        lines.push(Line {
            tag,
            meaning,
            points: 0,
            trace: Trace::new(spans),
        });
        Some(Target::Line(lines.len() - 1))
    }
}

impl Tap for Recorder {
    fn point(&mut self, id: u32, series: &SeriesInfo, step: i64, _wall_time: Option<f64>, value: f64) {
        let target = self.target(id, series);
        if let Some(it) = self.spoke_in.get_mut(id as usize) {
            *it = self.attempt;
        }
        self.reach = self.reach.max(Some(step));
        match target {
            Target::Unseen | Target::Nowhere => {}
            Target::Line(index) => {
                if let Some(line) = self.recording.lines.get_mut(index) {
                    line.points += 1;
                    line.trace.add(step, value);
                }
            }
            Target::Row(grid, row) => {
                if let Some(grid) = self.recording.grids.get_mut(grid) {
                    grid.put(row, step, value);
                }
            }
        }
    }

    fn rewind(&mut self, id: u32, step: i64) {
        match self.targets.get(id as usize).copied() {
            Some(Target::Line(index)) => {
                if let Some(line) = self.recording.lines.get_mut(index) {
                    line.trace.rewind(step);
                }
            }
            Some(Target::Row(grid, row)) => {
                if let Some(grid) = self.recording.grids.get_mut(grid) {
                    grid.rewind(row, step);
                }
            }
            Some(Target::Unseen | Target::Nowhere) | None => return,
        }
        self.note_restart(id, step);
    }

    fn several_writers(&mut self) {
        self.recording.has_several_writers = true;
        self.recording.restarts.clear();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let recording = mem::take(&mut self.recording);
        *self.slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(recording);
    }
}
