//! The step axis of files made of rows.
//!
//! In: the step and the epoch of a row, as far as it has them. Out: its step. Invariants: a row without a step
//! in a file that has steps stays at the last one; the kind of axis is told once; a step that starts anew with
//! every epoch is counted on, a step that goes back for any other reason is handed on as it is (a restart).

use super::Sink;
use crate::model::Mark;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    Steps,
    Epochs,
    Ordinals,
}

/// Where the rows of a file stand on the step axis.
#[derive(Debug, Default)]
pub(crate) struct StepAxis {
    kind: Kind,
    last_step: i64,
    last_raw_step: Option<i64>,
    last_epoch: Option<f64>,
    /// Steps of the finished epochs, for steps that start anew with every epoch.
    epochs_before: i64,
    n_rows: i64,
}

impl StepAxis {
    /// The step of the next row.
    pub(crate) fn place(&mut self, step: Option<i64>, epoch: Option<f64>, sink: &mut dyn Sink) -> i64 {
        let ordinal = self.n_rows;
        self.n_rows = self.n_rows.saturating_add(1);
        self.last_step = match (step, epoch.and_then(integer)) {
            (Some(step), _) => {
                self.kind = Kind::Steps;
                self.unwrap_epoch(step, epoch)
            }
            (None, _) if self.kind == Kind::Steps => self.last_step,
            (None, Some(epoch)) if self.kind != Kind::Ordinals => {
                self.turn_to(Kind::Epochs, sink);
                epoch
            }
            // Fractions of an epoch order the rows but are no steps.
            (None, _) if epoch.is_some() || self.kind != Kind::Epochs => {
                self.turn_to(Kind::Ordinals, sink);
                ordinal
            }
            (None, _) => self.last_step,
        };
        if epoch.is_some() {
            self.last_epoch = epoch;
        }
        self.last_step
    }

    /// The step of the last row that was placed.
    pub(crate) fn last_step(&self) -> Option<i64> {
        (self.n_rows > 0).then_some(self.last_step)
    }

    fn turn_to(&mut self, kind: Kind, sink: &mut dyn Sink) {
        if self.kind != kind {
            self.kind = kind;
            sink.mark(if kind == Kind::Epochs {
                Mark::EpochSteps
            } else {
                Mark::OrdinalSteps
            });
        }
    }

    fn unwrap_epoch(&mut self, raw: i64, epoch: Option<f64>) -> i64 {
        let is_next_epoch = matches!((epoch, self.last_epoch), (Some(now), Some(last)) if now == last + 1.0);
        if let Some(last_raw) = self.last_raw_step
            && is_next_epoch
            && raw < last_raw
            && raw <= last_raw / 2
        {
            // A step that starts at 0 is one behind the last of the epoch before, one that starts later
            // (every tenth batch is logged) as far behind it as it is from 0.
            self.epochs_before = self.last_step.saturating_add(i64::from(raw == 0));
        } else if self.last_raw_step.is_some_and(|last| raw < last) && !is_next_epoch {
            self.epochs_before = 0;
        }
        self.last_raw_step = Some(raw);
        self.epochs_before.saturating_add(raw)
    }
}

/// The integer that a float is, if any; beyond 2^53 a float is no count.
pub(crate) fn integer(value: f64) -> Option<i64> {
    // Not `fract`, which is a library call: this runs for every row. A NaN is below nothing.
    let is_count = value.abs() < 9.007_199_254_740_992e15 && (value as i64) as f64 == value;
    is_count.then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::{StepAxis, integer};
    use crate::decode::Sink;
    use crate::model::{Mark, Problem, Sample, TextLine};

    #[derive(Default)]
    struct Marks(Vec<String>);

    impl Sink for Marks {
        fn sample(&mut self, _: &Sample<'_>) {}
        fn line(&mut self, _: &TextLine<'_>) {}
        fn mark(&mut self, mark: Mark<'_>) {
            self.0.push(format!("{mark:?}"));
        }
        fn problem(&mut self, _: Problem) {}
    }

    fn place(rows: &[(Option<i64>, Option<f64>)]) -> (Vec<i64>, Vec<String>) {
        let mut axis = StepAxis::default();
        let mut marks = Marks::default();
        let steps = rows
            .iter()
            .map(|(step, epoch)| axis.place(*step, *epoch, &mut marks))
            .collect();
        (steps, marks.0)
    }

    #[test]
    fn steps_are_taken_as_they_are_even_when_they_go_back() {
        let (steps, marks) = place(&[
            (Some(5), Some(0.1)),
            (None, Some(0.2)),
            (Some(3), None),
            (Some(4), None),
        ]);
        assert_eq!(steps, [5, 5, 3, 4]);
        assert!(marks.is_empty());
    }

    #[test]
    fn whole_epochs_are_an_axis_and_fractions_are_not() {
        let (steps, marks) = place(&[
            (None, Some(1.0)),
            (None, Some(1.0)),
            (None, Some(2.0)),
            (None, None),
        ]);
        assert_eq!((steps, marks), (vec![1, 1, 2, 2], vec!["EpochSteps".to_owned()]));
        let (steps, marks) = place(&[(None, Some(0.0)), (None, Some(0.01)), (None, Some(1.0))]);
        assert_eq!(steps, [0, 1, 2]);
        assert_eq!(marks, ["EpochSteps", "OrdinalSteps"]);
    }

    #[test]
    fn rows_without_anything_are_counted() {
        let (steps, marks) = place(&[(None, None), (None, None), (Some(100), None), (None, None)]);
        assert_eq!(
            (steps, marks),
            (vec![0, 1, 100, 100], vec!["OrdinalSteps".to_owned()])
        );
    }

    #[test]
    fn steps_within_an_epoch_are_counted_on() {
        let row = |step, epoch| (Some(step), Some(epoch));
        let zero_based = [
            row(0, 0.0),
            row(1, 0.0),
            row(2, 0.0),
            row(0, 1.0),
            row(1, 1.0),
            row(2, 1.0),
            row(0, 2.0),
        ];
        assert_eq!(place(&zero_based).0, [0, 1, 2, 3, 4, 5, 6]);
        let every_ten = [
            row(10, 1.0),
            row(20, 1.0),
            row(10, 2.0),
            row(20, 2.0),
            row(10, 3.0),
        ];
        assert_eq!(place(&every_ten).0, [10, 20, 30, 40, 50]);
        let restart = [
            row(10, 1.0),
            row(20, 1.0),
            row(30, 2.0),
            row(15, 1.0),
            row(30, 2.0),
        ];
        assert_eq!(place(&restart).0, [10, 20, 30, 15, 30]);
    }

    #[test]
    fn only_whole_numbers_are_steps() {
        assert_eq!(integer(10.0), Some(10));
        assert_eq!(integer(-1.0), Some(-1));
        for value in [0.416, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(integer(value), None);
        }
    }
}
