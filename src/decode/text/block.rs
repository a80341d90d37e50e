//! Records over several lines: indented blocks under a header, boxed tables, tables with a header line.
//!
//! In: lines in order. Out: points. Invariants: a block ends at the first line that does not belong to it; a
//! boxed table is read when it is closed; what is held is bounded.

use super::emit::{Emitter, Naming, Place, is_axis};
use super::keyvalue::has_metric_word;
use super::token::integer;
use crate::decode::Sink;
use crate::decode::number::{self, Number};
use crate::model::Smoothing;

/// Name of the format of boxed tables.
pub(super) const BOXED_NAME: &str = "text-boxed-table";

/// Name of the format of tables with a header line.
pub(super) const COLUMNS_NAME: &str = "text-columns";

/// Most rows of a boxed table, most columns of a table.
const N_ROWS_MAX: usize = 512;

/// Longest key of a row.
const KEY_BYTES_MAX: usize = 200;

/// Keys of a boxed table that hold the step, best first.
const STEP_KEYS: [&str; 13] = [
    "step",
    "time/total_timesteps",
    "total_timesteps",
    "total timesteps",
    "TimestepsSoFar",
    "timesteps",
    "misc/total_timesteps",
    "steps",
    "nupdates",
    "misc/nupdates",
    "iteration",
    "iterations",
    "time/iterations",
];

/// A row of a boxed table.
#[derive(Debug)]
struct Row {
    key: String,
    number: Number,
}

/// The boxed tables of one file: `| key | value |` between lines of dashes (stable-baselines).
#[derive(Debug, Default)]
pub(super) struct Boxed {
    is_open: bool,
    section: String,
    rows: Vec<Row>,
    place: Option<Place>,
    n_tables: i64,
    last_step: Option<i64>,
    /// Steps between two tables, while they were printed exactly.
    stride: i64,
}

impl Boxed {
    /// Whether rows may follow.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes a line; the number of points when it belongs to a table.
    pub(super) fn line(
        &mut self,
        text: &str,
        place: Place,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> Option<u64> {
        let is_rule = text.len() >= 8 && text.bytes().all(|b| b == b'-');
        if is_rule {
            let n_points = self.close(emitter, sink);
            self.is_open = true;
            self.place = Some(place);
            return Some(n_points);
        }
        if !self.is_open {
            return None;
        }
        let row = text
            .strip_prefix('|')
            .and_then(|t| t.strip_suffix('|'))
            .and_then(|t| t.split_once('|'));
        let Some((key, value)) = row.filter(|_| self.rows.len() < N_ROWS_MAX) else {
            self.is_open = false;
            self.rows.clear();
            return None;
        };
        self.row(key, value.trim());
        Some(0)
    }

    fn row(&mut self, key: &str, value: &str) {
        let is_inside = key.starts_with("   ");
        let key = key.trim();
        if key.len() > KEY_BYTES_MAX {
            return;
        }
        if value.is_empty() {
            self.section.clear();
            self.section.push_str(if key.ends_with('/') { key } else { "" });
        } else if let Some(number) = number::parse_all(value.as_bytes()) {
            let section = if is_inside { self.section.as_str() } else { "" };
            self.rows.push(Row {
                key: format!("{section}{key}"),
                number,
            });
        }
    }

    fn close(&mut self, emitter: &mut Emitter, sink: &mut dyn Sink) -> u64 {
        self.section.clear();
        let rows = std::mem::take(&mut self.rows);
        let place = self.place.take().unwrap_or(Place {
            offset: 0,
            wall_time: None,
        });
        if rows.is_empty() {
            return 0;
        }
        let own = STEP_KEYS
            .iter()
            .find_map(|key| rows.iter().find(|row| row.key == *key));
        let step = own.map_or(self.n_tables, |row| self.exact_step(row.number));
        if own.is_none() {
            emitter.ordinal_steps(sink);
        }
        self.n_tables = self.n_tables.saturating_add(1);
        let mut n_points = 0;
        for row in rows.iter().filter(|row| !is_axis(&row.key)) {
            emitter.point(sink, &row.key, step, row.number, place);
            n_points += 1;
        }
        n_points
    }
}

impl Boxed {
    /// Three digits are printed (`1.23e+04`): between two printed steps the tables go on as they did before.
    fn exact_step(&mut self, printed: Number) -> i64 {
        let step = printed.value as i64;
        let last = self.last_step.replace(step);
        let Some(last) = last else {
            return step;
        };
        let next = last.saturating_add(self.stride);
        let is_rounded = printed.resolution > 1.0 && self.stride > 0;
        if is_rounded && (next as f64 - printed.value).abs() <= printed.resolution {
            self.last_step = Some(next);
            return next;
        }
        if !is_rounded && printed.resolution <= 1.0 {
            self.stride = step.saturating_sub(last);
        }
        step
    }
}

/// The indented lines under a header with the step (`OLMo`, Composer).
#[derive(Debug, Default)]
pub(super) struct Block {
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    step: i64,
    wall_time: Option<f64>,
    is_guarded: bool,
}

const NAMING: Naming = Naming {
    prefix: "",
    rename: &[],
    skip: &[],
    smoothed: None,
};

impl Block {
    /// Whether lines of the block may follow.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A header was read.
    pub(super) fn open(&mut self, step: i64, wall_time: Option<f64>, is_guarded: bool) {
        self.open = Some(Open {
            step,
            wall_time,
            is_guarded,
        });
    }

    /// Takes a line; the number of points when it belongs to the block.
    pub(super) fn line(
        &mut self,
        text: &str,
        is_indented: bool,
        offset: u64,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> Option<u64> {
        let open = self.open?;
        let is_member = if open.is_guarded {
            !text.contains(['{', '}', '"', '\'', ';'])
                && super::scan::Pairs::of(text)
                    .next()
                    .is_some_and(|p| p.from < 2 && has_metric_word(p.key))
        } else {
            is_indented && text.contains(['=', ':'])
        };
        if !is_member {
            self.open = None;
            return None;
        }
        let place = Place {
            offset,
            wall_time: open.wall_time,
        };
        Some(
            emitter
                .fields(sink, text, open.step, &NAMING, None, place)
                .n_points,
        )
    }
}

/// Tables with a header line and a row per epoch (ultralytics, fastai).
#[derive(Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
}

/// Columns that are no metric.
const NO_METRICS: [&str; 5] = ["time", "gpu_mem", "instances", "size", "labels"];

impl Columns {
    /// Whether rows may follow.
    pub(super) fn is_known(&self) -> bool {
        !self.names.is_empty()
    }

    /// Takes a header line: `Epoch  GPU_mem  box_loss ...`.
    pub(super) fn header(&mut self, text: &str) -> bool {
        if !text.starts_with(['e', 'E']) {
            return false;
        }
        let first = text.split_whitespace().next().unwrap_or_default();
        let is_header = first.eq_ignore_ascii_case("epoch")
            && text.contains("loss")
            && !text.contains([':', '=', '|', ',', '(', '\'', '"'])
            && !text
                .bytes()
                .any(|b| b.is_ascii_digit() && text.split_whitespace().any(|w| w.as_bytes() == [b]));
        if is_header {
            self.names.clear();
            self.names
                .extend(text.split_whitespace().take(N_ROWS_MAX).map(str::to_owned));
        }
        is_header
    }

    /// Takes a row; the number of points when it is one.
    pub(super) fn row(
        &mut self,
        text: &str,
        place: Place,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> Option<u64> {
        if self.names.is_empty() || !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let n_words = text.split_whitespace().count();
        let (epoch, used) = integer(text.as_bytes())?;
        let behind = text.get(used..)?;
        let total = behind
            .strip_prefix('/')
            .and_then(|b| integer(b.as_bytes()))
            .map(|(total, _)| total);
        if n_words != self.names.len() || !(behind.starts_with([' ', '/']) || behind.is_empty()) {
            return None;
        }
        emitter.epoch_steps(sink);
        emitter.planned(sink, total);
        let is_fastai = self.names.iter().any(|it| it == "train_loss");
        let smoothing = if is_fastai {
            Smoothing::MovingAverage
        } else {
            Smoothing::EpochMean
        };
        let mut n_points = 0;
        for (name, word) in self.names.iter().zip(text.split_whitespace()).skip(1) {
            let is_metric = !NO_METRICS.iter().any(|n| n.eq_ignore_ascii_case(name));
            if let Some(number) = number::parse_all(word.as_bytes()).filter(|_| is_metric) {
                emitter.point(sink, name, epoch, number, place);
                emitter.smoothed(sink, name, smoothing);
                n_points += 1;
            }
        }
        Some(n_points)
    }
}

/// The lines of Keras: `Epoch 3/20`, then bars or one line with the metrics of the epoch.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    epoch: Option<i64>,
    shown: String,
    place: Option<Place>,
}

/// Name of the format.
pub(super) const EPOCHS_NAME: &str = "text-keras";

impl Epochs {
    /// Whether bars of an epoch may follow.
    pub(super) fn is_counting(&self) -> bool {
        self.epoch.is_some()
    }

    /// Whether no drawn bar waits to be settled.
    pub(super) fn is_idle(&self) -> bool {
        self.place.is_none()
    }

    /// An epoch begins. Keras prints from one; its CSV and event files count from zero, and so do we, so that
    /// the same number in two files of a run has one step.
    pub(super) fn begin(
        &mut self,
        epoch: i64,
        planned: Option<i64>,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> u64 {
        let n_points = self.settle(emitter, sink);
        self.epoch = Some(epoch.saturating_sub(1));
        emitter.planned(sink, planned);
        n_points
    }

    /// Takes a drawn state of the bar: `32/63 ... - accuracy: 0.91 - loss: 0.27`.
    pub(super) fn bar(&mut self, text: &str, place: Place) -> bool {
        if self.epoch.is_none() || !text.starts_with(|c: char| c.is_ascii_digit()) {
            return false;
        }
        let Some((done, total, fields)) = keras_bar(text) else {
            return false;
        };
        if done == total {
            self.shown.clear();
            self.shown.push_str(fields);
            self.place = Some(place);
        }
        true
    }

    /// The bar will not change any more: hands on what it showed last.
    pub(super) fn settle(&mut self, emitter: &mut Emitter, sink: &mut dyn Sink) -> u64 {
        let (Some(epoch), Some(place)) = (self.epoch, self.place.take()) else {
            return 0;
        };
        emitter.epoch_steps(sink);
        let naming = Naming {
            smoothed: Some(Smoothing::EpochMean),
            ..NAMING
        };
        emitter
            .fields(sink, &self.shown, epoch, &naming, None, place)
            .n_points
    }
}

fn keras_bar(text: &str) -> Option<(i64, i64, &str)> {
    let (done, used) = integer(text.as_bytes())?;
    let rest = text.get(used..)?.strip_prefix('/')?;
    let (total, used) = integer(rest.as_bytes())?;
    let rest = rest.get(used..)?;
    let fields = rest.get(memchr::memmem::find(rest.as_bytes(), b" - ")?..)?;
    rest.starts_with(' ').then_some((done, total, fields))
}
