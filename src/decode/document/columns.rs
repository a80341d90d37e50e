//! Lists of values under keys, turned into rows.
//!
//! In: the elements of lists, list by list. Out: samples step by step. Invariants: at most [`VALUES_MAX`] numbers
//! are held; values of one step are handed on together, so that profiles over layers are complete.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::decode::axis::integer;
use crate::decode::number::Number;
use crate::decode::{Sink, wall_time};
use crate::model::{Form, Mark, Sample};

/// Most values of all lists of a document, 24 bytes each.
pub const VALUES_MAX: usize = 1 << 20;

/// Last parts of a path that hold the steps of the lists beside them.
const STEP_LISTS: [&str; 8] = [
    "steps",
    "step",
    "iterations",
    "iteration",
    "iters",
    "iter",
    "global_step",
    "global_steps",
];
const EPOCH_LISTS: [&str; 2] = ["epochs", "epoch"];
const TIME_LISTS: [&str; 4] = ["timestamps", "timestamp", "wall_time", "times"];
const VALUE_LISTS: [&str; 2] = ["values", "value"];

/// Words in the names of lists that make a document a log even without a list of steps.
const LOG_WORDS: [&str; 4] = ["loss", "grad", "norm", "acc"];

#[derive(Debug)]
struct Column {
    path: String,
    values: Vec<Option<(f64, f64)>>,
}

/// The lists of one document.
#[derive(Debug, Default)]
pub(super) struct Columns {
    all: Vec<Column>,
    by_path: HashMap<String, usize, RandomState>,
    last: usize,
    n_values: usize,
}

/// What a list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Steps,
    Epochs,
    Times,
    Values,
}

impl Column {
    /// The part and the key whose list it is.
    fn part(&self) -> (Part, &str) {
        let (owner, word) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let lower = word.to_ascii_lowercase();
        let is_in = |words: &[&str]| words.contains(&lower.as_str());
        match () {
            () if is_in(&STEP_LISTS) => (Part::Steps, owner),
            () if is_in(&EPOCH_LISTS) => (Part::Epochs, owner),
            () if is_in(&TIME_LISTS) => (Part::Times, owner),
            () if is_in(&VALUE_LISTS) && !owner.is_empty() => (Part::Values, owner),
            () => (Part::Values, &self.path),
        }
    }

    fn number(&self, row: usize) -> Option<f64> {
        self.values.get(row).copied().flatten().map(|(value, _)| value)
    }
}

impl Columns {
    /// Whether the lists are a log: one holds steps or epochs, or one has a name that only logs have.
    pub(super) fn is_log(&self) -> bool {
        self.all.iter().any(|column| {
            let (part, path) = column.part();
            let lower = path.to_ascii_lowercase();
            part != Part::Values || LOG_WORDS.iter().any(|word| lower.contains(word))
        })
    }

    /// Forgets the lists that are members of an object.
    pub(super) fn remove_under(&mut self, is_member: impl Fn(&str) -> bool) {
        self.all.retain(|column| !is_member(&column.path));
        // The places have changed; nothing is pushed any more to the lists of this document.
        self.by_path.clear();
        self.last = self.all.len();
    }

    /// Forgets all lists.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds the next element of a list; false when there is no room.
    pub(super) fn push(&mut self, path: &str, number: Option<Number>) -> bool {
        if self.n_values >= VALUES_MAX {
            return false;
        }
        self.n_values += 1;
        if self.all.get(self.last).is_none_or(|column| column.path != path) {
            self.last = *self.by_path.entry(path.to_owned()).or_insert(self.all.len());
        }
        if self.last == self.all.len() {
            self.all.push(Column {
                path: path.to_owned(),
                values: Vec::new(),
            });
        }
        if let Some(column) = self.all.get_mut(self.last) {
            column
                .values
                .push(number.map(|n| (n.value, n.resolution_of_shortest())));
        }
        true
    }

    /// Hands all values on in the order of their steps, then forgets them. Returns the number of steps.
    pub(super) fn emit(&mut self, offset: u64, sink: &mut dyn Sink) -> u64 {
        let is_log = self.is_log();
        let columns = std::mem::take(self).all;
        if !is_log {
            return 0;
        }
        let mut points = Vec::new();
        let mut times = Vec::with_capacity(columns.len());
        let (mut has_ordinals, mut has_epochs) = (false, false);
        for (at, column) in columns.iter().enumerate() {
            let (part, owner) = column.part();
            times.push(nearest(&columns, Part::Times, owner));
            if part != Part::Values {
                continue;
            }
            let steps = nearest(&columns, Part::Steps, owner);
            let axis = steps.or_else(|| nearest(&columns, Part::Epochs, owner));
            has_ordinals |= axis.is_none();
            has_epochs |= axis.is_some() && steps.is_none();
            for row in 0..column.values.len() {
                let step = axis.map_or(Some(row as i64), |axis| axis.number(row).and_then(integer));
                points.extend(step.map(|step| (step, at as u32, row as u32)));
            }
        }
        if has_ordinals {
            sink.mark(Mark::OrdinalSteps);
        } else if has_epochs {
            sink.mark(Mark::EpochSteps);
        }
        // Stable, so that a list that goes back keeps its order within a step.
        points.sort_by_key(|(step, at, _)| (*step, *at));
        let mut n_steps = 0;
        let mut last = None;
        for (step, at, row) in points {
            n_steps += u64::from(last != Some(step));
            last = Some(step);
            let (at, row) = (at as usize, row as usize);
            let Some(column) = columns.get(at) else { continue };
            let Some((value, resolution)) = column.values.get(row).copied().flatten() else {
                continue;
            };
            let time = times
                .get(at)
                .copied()
                .flatten()
                .and_then(|times: &Column| times.number(row));
            let (_, path) = column.part();
            sink.sample(&Sample {
                tag: path.strip_prefix("history/").unwrap_or(path),
                step,
                wall_time: time.and_then(wall_time::from_number),
                value,
                form: Form::Number { resolution },
                offset,
            });
        }
        n_steps
    }
}

/// The list of this part that stands beside the list `path`, or else nearest above it.
fn nearest<'a>(columns: &'a [Column], part: Part, path: &str) -> Option<&'a Column> {
    let mut owner = path;
    loop {
        if let Some(found) = columns.iter().find(|column| column.part() == (part, owner)) {
            return Some(found);
        }
        if owner.is_empty() {
            return None;
        }
        owner = owner.rsplit_once('/').map_or("", |(above, _)| above);
    }
}
