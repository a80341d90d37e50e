//! Tags that were understood before: a thousand runs of one program have the same two hundred tags.
//!
//! In: a tag, and whether it names a histogram. Out: the tag and its meaning, shared by all who ask while anybody
//! holds them. Invariants: the answer is that of [`understand`](super::understand); what nobody holds is forgotten
//! before the table grows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;

use crate::model::Meaning;

/// Entries beyond which those that nobody holds are forgotten.
const CROWDED: usize = 4096;

/// A tag and what it means.
pub type Known = (Arc<str>, Meaning);

/// Answers by tag.
struct Table {
    known: HashMap<Arc<str>, Meaning, FixedState>,
    crowded: usize,
}

static NUMBERS: Mutex<Table> = Mutex::new(Table::EMPTY);
static HISTOGRAMS: Mutex<Table> = Mutex::new(Table::EMPTY);

impl Table {
    const EMPTY: Self = Self {
        known: HashMap::with_hasher(FixedState::with_seed(0)),
        crowded: CROWDED,
    };

    fn find(&self, tag: &str) -> Option<Known> {
        let (tag, meaning) = self.known.get_key_value(tag)?;
        Some((Arc::clone(tag), meaning.clone()))
    }

    fn keep(&mut self, tag: &str, meaning: Meaning) -> Known {
        // Another thread may have been first.
        if let Some(known) = self.find(tag) {
            return known;
        }
        if self.known.len() >= self.crowded {
            self.known.retain(|tag, _| Arc::strong_count(tag) > 1);
            self.crowded = (2 * self.known.len()).max(CROWDED);
        }
        let tag: Arc<str> = tag.into();
        self.known.insert(Arc::clone(&tag), meaning.clone());
        (tag, meaning)
    }
}

/// What the tag of a number means.
#[must_use]
pub fn known(tag: &str) -> Known {
    look_up(&NUMBERS, tag, super::understand)
}

/// What the tag of a histogram means.
#[must_use]
pub fn known_histogram(tag: &str) -> Known {
    look_up(&HISTOGRAMS, tag, super::understand_histogram)
}

fn look_up(table: &Mutex<Table>, tag: &str, understand: fn(&str) -> Meaning) -> Known {
    if let Some(known) = lock(table).find(tag) {
        return known;
    }
    // Not while others wait: it takes microseconds.
    let meaning = understand(tag);
    lock(table).keep(tag, meaning)
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::{understand, understand_histogram};

    #[test]
    fn the_answer_is_shared_and_that_of_the_function() {
        let tag = "grad_norm/layers.3.attn.weight";
        let ((first, meaning), (second, again)) = (known(tag), known(tag));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((&meaning, &*first), (&understand(tag), tag));
        let (Some(a), Some(b)) = (&meaning.layer, &again.layer) else {
            panic!("no layer");
        };
        assert!(Arc::ptr_eq(a, b));
        assert_eq!(
            known_histogram("fc1.weight").1,
            understand_histogram("fc1.weight")
        );
        assert_eq!(known("fc1.weight").1, understand("fc1.weight"));
    }

    #[test]
    fn what_nobody_holds_is_forgotten_before_the_table_grows() {
        let table = Mutex::new(Table::EMPTY);
        let held: Vec<Known> = (0..100)
            .map(|i| look_up(&table, &format!("held/{i}"), understand))
            .collect();
        for i in 0..5 * CROWDED {
            let _ = look_up(&table, &format!("dropped/{i}"), understand);
        }
        assert!(lock(&table).known.len() <= CROWDED + 100);
        for (tag, _) in &held {
            assert!(lock(&table).find(tag).is_some_and(|it| Arc::ptr_eq(&it.0, tag)));
        }
    }
}
