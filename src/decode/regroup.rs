//! Tables that are sorted by metric or by layer, given by step.
//!
//! In: rows with a label (the name of a metric, a layer), in file order. Out: their samples, by step where the file
//! is sorted by label. Invariants: a file that is written step by step is passed on as it is; at most
//! [`HELD_MAX`] values are held, and a table that has more is said to be too long; what was given does not depend on
//! where the bytes were split.
//!
//! An export sorted by tag gives all steps of the first layer, then all steps of the second: no step ever has two
//! layers, and nothing over depth could be seen. A label that comes back behind another one proves that rows
//! come by step. A step that goes back at a label that was never seen proves that they come by label.

use super::key::Keys;
use super::{Settled, Sink};
use crate::model::{Form, Problem, Sample};

/// Values that are held at most, 56 bytes each: 200 layers of 2,600 steps.
pub(crate) const HELD_MAX: usize = 1 << 19;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// No row had a label yet.
    #[default]
    Plain,
    /// One label after the other, no step went back yet: the rows are held, unless what is there had to be given.
    Undecided { is_given: bool },
    /// In the order of steps: nothing is held.
    ByStep,
    /// One label after the other: held up to the end, unless what is there had to be given.
    ByLabel { is_given: bool },
    /// By label, which came out too late: what was given has to be read again.
    Void,
}

#[derive(Debug)]
struct Held {
    tag: u32,
    step: i64,
    /// NaN where there is none.
    wall_time: f64,
    value: Value,
    offset: u64,
}

#[derive(Debug)]
enum Value {
    Number { value: f64, resolution: f64 },
    Histogram(Box<(f64, Form)>),
}

/// Holds rows until it is known in which order they come.
#[derive(Debug, Default)]
pub(crate) struct Regroup {
    state: State,
    labels: Keys,
    tags: Keys,
    held: Vec<Held>,
    last_label: Option<u32>,
    last_step: i64,
    n_superseded: u64,
}

impl Regroup {
    /// Whether rows with labels need to be told; once their order is known they need not.
    pub(crate) fn is_decided(&self) -> bool {
        self.state == State::ByStep
    }

    /// Whether values are to be held back, or not wanted.
    pub(crate) fn takes_values(&self) -> bool {
        !matches!(
            self.state,
            State::Plain | State::ByStep | State::Undecided { is_given: true }
        )
    }

    /// A row with this label (empty when it has none in a file where others have one) begins.
    pub(crate) fn row(&mut self, label: &str, step: i64, sink: &mut dyn Sink) {
        if self.state == State::Plain {
            if label.is_empty() {
                return;
            }
            self.state = State::Undecided { is_given: false };
        }
        if let State::Undecided { is_given } = self.state {
            self.decide(label, step, is_given, sink);
        }
    }

    fn decide(&mut self, label: &str, step: i64, is_given: bool, sink: &mut dyn Sink) {
        let n_known = self.labels.len();
        self.labels.start_row();
        let label = self.labels.intern(label);
        let is_new = self.labels.len() > n_known;
        let has_changed = self.last_label.is_some() && label != self.last_label;
        if has_changed && !is_new {
            self.state = State::ByStep;
            self.release(sink);
        } else if has_changed && step < self.last_step {
            self.state = if is_given {
                State::Void
            } else {
                State::ByLabel { is_given: false }
            };
        }
        (self.last_label, self.last_step) = (label, step);
    }

    /// A value of the row at hand.
    pub(crate) fn hold(&mut self, sample: &Sample<'_>, sink: &mut dyn Sink) {
        if matches!(self.state, State::Void | State::ByLabel { is_given: true }) {
            return;
        }
        if self.held.len() >= HELD_MAX {
            self.give_up(sample.offset, sink);
            return sink.sample(sample);
        }
        self.tags.start_row();
        let Some(tag) = self.tags.intern(sample.tag) else {
            return sink.sample(sample);
        };
        let value = match sample.form {
            Form::Number { resolution } => Value::Number {
                value: sample.value,
                resolution,
            },
            form => Value::Histogram(Box::new((sample.value, form))),
        };
        self.held.push(Held {
            tag,
            step: sample.step,
            wall_time: sample.wall_time.unwrap_or(f64::NAN),
            value,
            offset: sample.offset,
        });
    }

    /// The table is longer than what can be held.
    fn give_up(&mut self, offset: u64, sink: &mut dyn Sink) {
        if matches!(self.state, State::ByLabel { .. }) {
            self.give_by_step(sink);
            let what = format!(
                "sorted by metric or layer and longer than {HELD_MAX} values: from here on rows are read in file \
                 order, and rules over depth see one layer at a time; sort the table by step"
            );
            sink.problem(Problem {
                is_note: false,
                ..Problem::note(offset, what)
            });
        } else {
            self.release(sink);
        }
        self.state = State::ByStep;
    }

    /// All that is there of a live file was fed.
    pub(crate) fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        match self.state {
            State::Plain | State::ByStep => Settled::Whole,
            State::Undecided { .. } => {
                self.release(sink);
                self.state = State::Undecided { is_given: true };
                Settled::Whole
            }
            State::ByLabel { is_given } => {
                if !is_given {
                    self.give_by_step(sink);
                    self.state = State::ByLabel { is_given: true };
                }
                Settled::SoFar
            }
            State::Void => Settled::Void,
        }
    }

    /// The file is at its end.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        match self.state {
            State::ByLabel { is_given: false } => self.give_by_step(sink),
            _ => self.release(sink),
        }
        self.state = State::ByStep;
    }

    /// Gives what is held in file order.
    fn release(&mut self, sink: &mut dyn Sink) {
        for held in std::mem::take(&mut self.held) {
            give(&held, &self.tags, sink);
        }
    }

    /// Gives what is held by step; of equal steps in the order of the labels.
    fn give_by_step(&mut self, sink: &mut dyn Sink) {
        let mut held = self.without_earlier_attempts();
        held.sort_by_key(|it| it.step);
        let again = match self.n_superseded {
            0 => String::new(),
            n => format!("; {n} values that a restart replaced are left out"),
        };
        sink.problem(Problem::note(
            0,
            format!("sorted by metric or layer and not by step: read as a whole and judged by step{again}"),
        ));
        for held in held {
            give(&held, &self.tags, sink);
        }
    }

    /// Drops values at steps that the same series went back behind later on.
    fn without_earlier_attempts(&mut self) -> Vec<Held> {
        let mut least_later = vec![i64::MAX; self.tags.len()];
        let mut kept = Vec::with_capacity(self.held.len());
        for held in std::mem::take(&mut self.held).into_iter().rev() {
            let Some(least) = least_later.get_mut(held.tag as usize) else {
                continue;
            };
            if held.step > *least {
                self.n_superseded = self.n_superseded.saturating_add(1);
                continue;
            }
            *least = held.step;
            kept.push(held);
        }
        kept.reverse();
        kept
    }
}

fn give(held: &Held, tags: &Keys, sink: &mut dyn Sink) {
    let Some(tag) = tags.get(held.tag) else { return };
    let (value, form) = match &held.value {
        Value::Number { value, resolution } => (
            *value,
            Form::Number {
                resolution: *resolution,
            },
        ),
        Value::Histogram(it) => **it,
    };
    sink.sample(&Sample {
        tag: &tag.name,
        step: held.step,
        wall_time: Some(held.wall_time).filter(|it| !it.is_nan()),
        value,
        form,
        offset: held.offset,
    });
}

#[cfg(test)]
mod tests;
