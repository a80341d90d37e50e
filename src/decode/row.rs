//! Rows (JSON lines, table lines) to samples.
//!
//! In: the cells of a row, one after the other. Out: samples in the order of the cells, and marks. Invariants:
//! the step, the time and the words that say what the row is about are no samples; buffers are reused, so
//! nothing is allocated per row; names are bounded by the key table.
//!
//! Three shapes: wide (each number under its key), long (`name` and `value`), and about one layer (`layer`
//! beside several numbers: `grad_norm/fc1`). A word for the split goes before the name: `val/loss`.

mod head;
mod tag;

use std::ops::Range;

use super::axis::{StepAxis, integer};
use super::json::{Buckets, Hear, Named, Scalar};
use super::key::{FIRST_UNSURE_STEP, Key, Keys, Role};
use super::number::{Number, parse_all};
use super::regroup::Regroup;
use super::wall_time;
use super::{Settled, Sink};
use crate::model::{Form, Mark, Sample};
use head::Head;
use tag::{Layer, TagBuffer};

/// Half of a cache line together with its key: rows are long.
#[derive(Debug, Clone)]
enum Value {
    Number {
        value: f64,
        resolution: f64,
    },
    Text(Range<usize>),
    /// The place among the histograms of the row.
    Histogram(usize),
}

#[derive(Debug, Clone)]
struct Cell {
    key: u32,
    value: Value,
}

/// Collects the cells of a row and hands the row on.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) keys: Keys,
    cells: Vec<Cell>,
    /// Places of the cells that may say what the row is about.
    special: Vec<usize>,
    /// Whether a number of a plain metric is among the cells.
    has_metric: bool,
    histograms: Vec<Buckets>,
    text: String,
    axis: StepAxis,
    planned: Option<i64>,
    tag: TagBuffer,
    /// Whether the last row was a long one.
    is_long: bool,
    /// For files whose rows may be sorted by something else than the step.
    regroup: Option<Regroup>,
}

impl Rows {
    /// For a file that may be sorted by metric or layer: [`Self::finish`] has to be called at its end.
    pub(crate) fn of_any_order() -> Self {
        Self {
            regroup: Some(Regroup::default()),
            ..Self::default()
        }
    }

    /// All that is there of a live file was fed.
    pub(crate) fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        self.regroup.as_mut().map_or(Settled::Whole, |it| it.settle(sink))
    }

    /// The file is at its end: gives the rows that are held.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        if let Some(regroup) = &mut self.regroup {
            regroup.finish(sink);
        }
    }

    /// Gives the buffers back, between rows.
    pub(crate) fn rest(&mut self) {
        self.cells = Vec::new();
        self.special = Vec::new();
        self.histograms = Vec::new();
        self.text = String::new();
        self.keys.rest();
    }

    /// Starts a row; cells of an unfinished one are dropped.
    pub(crate) fn start(&mut self) {
        self.cells.clear();
        self.special.clear();
        self.has_metric = false;
        self.histograms.clear();
        self.text.clear();
        self.keys.start_row();
    }

    /// Whether the last row was one number with its name.
    pub(crate) fn is_long(&self) -> bool {
        self.is_long
    }

    fn value(&mut self, key: u32, scalar: Scalar<'_>) {
        match scalar {
            Scalar::Number(number) => self.add_number(key, &number),
            Scalar::Text(text) => self.word(key, &text),
            Scalar::Histogram(buckets) => {
                let value = Value::Histogram(self.histograms.len());
                self.histograms.push(buckets);
                self.push(key, value);
            }
            Scalar::Null | Scalar::Bool(_) => {}
        }
    }

    /// Adds a number.
    #[inline]
    pub(crate) fn add_number(&mut self, key: u32, number: &Number) {
        let value = Value::Number {
            value: number.value,
            resolution: number.resolution_of_shortest(),
        };
        self.push(key, value);
    }

    #[inline]
    fn push(&mut self, key: u32, value: Value) {
        let is_metric = self.keys.get(key).is_some_and(|it| it.role == Role::Metric);
        if is_metric {
            self.has_metric = true;
        } else {
            self.special.push(self.cells.len());
        }
        self.cells.push(Cell { key, value });
    }

    /// Adds a text: a number when all of it is one, kept only where a text says what the row is about.
    pub(crate) fn word(&mut self, key: u32, text: &str) {
        let Some(role) = self.keys.get(key).map(|k| k.role) else {
            return;
        };
        let value = match role {
            Role::Ignored => return,
            Role::Split | Role::Name { .. } | Role::Layer => self.keep(text),
            Role::Time(_) => match wall_time::from_text(text) {
                Some(value) => Value::Number {
                    value,
                    resolution: 0.0,
                },
                None => return,
            },
            _ => match starts_like_a_number(text)
                .then(|| parse_all(text.as_bytes()))
                .flatten()
            {
                Some(n) => Value::Number {
                    value: n.value,
                    resolution: n.resolution_of_shortest(),
                },
                None => return,
            },
        };
        self.push(key, value);
    }

    fn keep(&mut self, text: &str) -> Value {
        let start = self.text.len();
        self.text.push_str(text);
        Value::Text(start..self.text.len())
    }

    /// Ends the row that starts at `offset`: hands its samples on. False when it held no number.
    pub(crate) fn emit(&mut self, offset: u64, sink: &mut dyn Sink) -> bool {
        let head = self.head();
        if head
            .planned
            .is_some_and(|steps| steps > 0 && self.planned != Some(steps))
        {
            self.planned = head.planned;
            sink.mark(Mark::PlannedSteps(head.planned.unwrap_or_default()));
        }
        self.is_long = head.name.is_some() && head.value.is_some();
        if !self.has_samples(&head) {
            return false;
        }
        let step = self.axis.place(head.step.map(|(_, step)| step), head.epoch, sink);
        let place = Place {
            step,
            wall_time: head.time.map(|(_, time)| time),
            offset,
        };
        self.emit_cells(&head, &place, sink);
        true
    }

    /// Whether the row at hand says where it stands (a step or an epoch), as a configuration does not.
    pub(crate) fn is_placed(&self) -> bool {
        let head = self.head();
        head.epoch.is_some() || head.step.is_some_and(|(rank, _)| rank < FIRST_UNSURE_STEP)
    }

    /// Takes back the values of the row at hand whose name is that of a member of an object.
    pub(crate) fn remove_under(&mut self, is_member: impl Fn(&str) -> bool) {
        let keys = &self.keys;
        let mut cells = std::mem::take(&mut self.cells);
        cells.retain(|cell| keys.get(cell.key).is_none_or(|key| !is_member(&key.name)));
        self.special.clear();
        self.has_metric = false;
        for cell in cells {
            self.push(cell.key, cell.value);
        }
    }

    /// The step of the last row that held a number.
    pub(crate) fn last_step(&self) -> Option<i64> {
        self.axis.last_step()
    }

    fn head(&self) -> Head {
        let mut head = Head::default();
        for &at in &self.special {
            let Some((cell, key)) = self
                .cells
                .get(at)
                .and_then(|it| Some((it, self.keys.get(it.key)?)))
            else {
                continue;
            };
            match &cell.value {
                Value::Number { value, .. } => head.take_number(at, key, *value),
                Value::Text(range) => {
                    head.take_text(key, range, self.text.get(range.clone()).unwrap_or_default());
                }
                Value::Histogram(_) => {}
            }
        }
        head
    }

    fn has_samples(&self, head: &Head) -> bool {
        let is_long = head.name.is_some() && head.value.is_some();
        if self.has_metric && !is_long {
            return true;
        }
        self.cells.iter().any(|cell| {
            self.keys
                .get(cell.key)
                .is_some_and(|key| is_sample(cell, key, head))
        })
    }

    /// Whether a number of the whole run is in the row.
    fn has_run_level(&self) -> bool {
        let is_number = |cell: &&Cell| matches!(cell.value, Value::Number { .. });
        let mut keys = self
            .cells
            .iter()
            .filter(is_number)
            .filter_map(|it| self.keys.get(it.key));
        keys.any(|key| key.is_run_level)
    }

    fn emit_cells(&mut self, head: &Head, place: &Place, sink: &mut dyn Sink) {
        let text = |range: &Option<Range<usize>>| range.clone().and_then(|r| self.text.get(r));
        let name = text(&head.name);
        let about_layer = match (text(&head.layer), head.layer_index) {
            (None, Some(index)) => Layer::Index(index),
            (Some(layer), _) => Layer::Path(layer),
            (None, None) if head.is_layer_name && !self.is_long && !self.has_run_level() => {
                name.map_or(Layer::None, Layer::Path)
            }
            (None, None) => Layer::None,
        };
        let long_name = name.filter(|_| self.is_long);
        let mut out = Out {
            sink,
            regroup: self.regroup.as_mut().filter(|it| !it.is_decided()),
        };
        if let Some(regroup) = &mut out.regroup {
            let is_labelled = long_name.is_some() || !matches!(about_layer, Layer::None);
            let label = long_name.unwrap_or_default();
            let label = if is_labelled {
                self.tag.name(head.split, label, &about_layer)
            } else {
                ""
            };
            regroup.row(label, place.step, out.sink);
        }
        if let Some(name) = long_name {
            if let Some(cell) = head.value.and_then(|at| self.cells.get(at)) {
                place.emit(
                    self.tag.name(head.split, name, &about_layer),
                    &cell.value,
                    &self.histograms,
                    &mut out,
                );
            }
            return;
        }
        for cell in &self.cells {
            if let Some(key) = self.keys.get(cell.key)
                && is_sample(cell, key, head)
            {
                place.emit(
                    self.tag.name(head.split, &key.name, &about_layer),
                    &cell.value,
                    &self.histograms,
                    &mut out,
                );
            }
        }
    }
}

impl Hear for Rows {
    /// Adds a value under a path. Flags and nulls are not measured; texts that are numbers are.
    fn scalar(&mut self, path: &str, scalar: Scalar<'_>) {
        if matches!(scalar, Scalar::Null | Scalar::Bool(_)) {
            return;
        }
        if let Some(key) = self.keys.intern(path) {
            self.value(key, scalar);
        }
    }

    #[inline]
    fn number(&mut self, named: Named<'_>, number: &Number) {
        if let Some(key) = named.memo.get() {
            return self.add_number(key, number);
        }
        if let Some(key) = self.keys.intern(named.path) {
            named.memo.set(Some(key));
            self.add_number(key, number);
        }
    }
}

/// Where the samples of a row go: on, or to be held until the order of the rows is known.
struct Out<'a> {
    sink: &'a mut dyn Sink,
    regroup: Option<&'a mut Regroup>,
}

impl Out<'_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        match &mut self.regroup {
            Some(regroup) if regroup.takes_values() => regroup.hold(sample, self.sink),
            _ => self.sink.sample(sample),
        }
    }
}

fn starts_like_a_number(text: &str) -> bool {
    matches!(
        text.trim_start().as_bytes().first(),
        Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'n' | b'N' | b'i' | b'I' | b't')
    )
}

fn is_sample(cell: &Cell, key: &Key, head: &Head) -> bool {
    if head.name.is_some() && head.value.is_some() {
        return key.role == Role::Value;
    }
    let Value::Number { value, .. } = cell.value else {
        return matches!(cell.value, Value::Histogram(_));
    };
    match key.role {
        Role::Metric | Role::Value | Role::Split | Role::Name { .. } => true,
        Role::Time(_) => wall_time::from_number(value).is_none(),
        Role::Layer => integer(value).is_none(),
        Role::Step(_) | Role::Epoch | Role::Planned | Role::Ignored => false,
    }
}

/// What all samples of a row share.
struct Place {
    step: i64,
    wall_time: Option<f64>,
    offset: u64,
}

impl Place {
    fn emit(&self, tag: &str, value: &Value, histograms: &[Buckets], out: &mut Out<'_>) {
        let (value, form) = match value {
            Value::Number { value, resolution } => (
                *value,
                Form::Number {
                    resolution: *resolution,
                },
            ),
            Value::Histogram(at) => match histograms.get(*at) {
                Some(b) => (
                    b.norm,
                    Form::Buckets {
                        low: b.low,
                        high: b.high,
                        max_abs: b.max_abs,
                        n_elements: b.n_elements,
                    },
                ),
                None => return,
            },
            Value::Text(_) => return,
        };
        out.sample(&Sample {
            tag,
            step: self.step,
            wall_time: self.wall_time,
            value,
            form,
            offset: self.offset,
        });
    }
}
