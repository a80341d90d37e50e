//! Steps that go back: a training run was resumed from an earlier checkpoint.
//!
//! In: from where and to where the steps of a series went. Out: one note per restart. Invariant: at most
//! [`NOTES_MAX`] are kept, the rest counted.

use crate::model::Problem;

/// Restarts that are listed one by one.
const NOTES_MAX: usize = 16;

/// The restarts of one stream.
#[derive(Debug, Default)]
pub struct Restarts {
    seen: Vec<(i64, i64)>,
    further: u64,
    has_several_writers: bool,
}

impl Restarts {
    /// The steps of a series went from `from` back to `to`.
    pub fn went_back(&mut self, from: i64, to: i64) {
        // A step that is only repeated is told by the series that went back to before it.
        if from <= to {
            return;
        }
        // The other series of the same restart follow: one note for all of them.
        if let Some((last_from, _)) = self.seen.iter_mut().find(|(_, it)| *it == to) {
            *last_from = (*last_from).max(from);
        } else if self.seen.len() < NOTES_MAX {
            self.seen.push((from, to));
        } else {
            self.further += 1;
        }
    }

    /// The steps go back and forth.
    pub fn are_several_writers(&mut self) {
        self.has_several_writers = true;
    }

    /// One sentence per restart.
    #[must_use]
    pub fn notes(&self) -> Vec<Problem> {
        if self.has_several_writers {
            // What looked like restarts was none.
            return vec![Problem::note(
                0,
                "the steps go back and forth all the time: several processes write into this log; their numbers are \
                 judged as one series (a rank in front of each line, `[rank0]: `, tells them apart)"
                    .to_owned(),
            )];
        }
        let note = |(from, to): &(i64, i64)| {
            Problem::note(
                0,
                format!(
                    "restart at step {to}: the steps went back from {from}, later points replace the earlier ones"
                ),
            )
        };
        let mut notes: Vec<Problem> = self.seen.iter().map(note).collect();
        if self.further > 0 {
            notes.push(Problem::note(
                0,
                format!("the steps went back {} more times", self.further),
            ));
        }
        notes
    }

    /// Whether any step went back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}
