//! Texts that many hold: a thousand runs of one program have the same two hundred names.
//!
//! In: texts, and what goes with them. Out: the same for all who ask, held once. Invariant: what nobody holds any more
//! is forgotten before the table grows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;

/// Entries beyond which those that nobody holds are forgotten.
const CROWDED: usize = 4096;

/// A table of texts, for all threads.
#[derive(Debug)]
pub struct Kept<V>(Mutex<Table<V>>);

#[derive(Debug)]
struct Table<V> {
    entries: HashMap<Arc<str>, V, FixedState>,
    crowded: usize,
}

impl<V: Clone> Kept<V> {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Table {
            entries: HashMap::with_hasher(FixedState::with_seed(0)),
            crowded: CROWDED,
        }))
    }

    /// The text and what goes with it, which is made when it is not known. It is held until nobody has the text.
    pub fn get(&self, text: &str, make: impl FnOnce(&str) -> V) -> (Arc<str>, V) {
        if let Some(entry) = self.lock().find(text) {
            return entry;
        }
        // Not while others wait.
        let value = make(text);
        self.lock().keep(text, value)
    }

    fn lock(&self) -> MutexGuard<'_, Table<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> Default for Kept<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Clone> Table<V> {
    fn find(&self, text: &str) -> Option<(Arc<str>, V)> {
        let (text, value) = self.entries.get_key_value(text)?;
        Some((Arc::clone(text), value.clone()))
    }

    fn keep(&mut self, text: &str, value: V) -> (Arc<str>, V) {
        // Another thread may have been first.
        if let Some(entry) = self.find(text) {
            return entry;
        }
        if self.entries.len() >= self.crowded {
            self.entries.retain(|text, _| Arc::strong_count(text) > 1);
            self.crowded = (2 * self.entries.len()).max(CROWDED);
        }
        let text: Arc<str> = text.into();
        self.entries.insert(Arc::clone(&text), value.clone());
        (text, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_held_once_and_its_value_made_once() {
        let kept = Kept::new();
        let (first, one) = kept.get("a", |_| 1);
        let (second, again) = kept.get("a", |_| 2);
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((one, again), (1, 1));
    }

    #[test]
    fn what_nobody_holds_is_forgotten_before_the_table_grows() {
        let kept = Kept::new();
        let held: Vec<Arc<str>> = (0..100)
            .map(|i| kept.get(&format!("held/{i}"), |_| ()).0)
            .collect();
        for i in 0..5 * CROWDED {
            let _ = kept.get(&format!("dropped/{i}"), |_| ());
        }
        assert!(kept.lock().entries.len() <= CROWDED + held.len());
        for text in &held {
            assert!(Arc::ptr_eq(&kept.get(text, |_| ()).0, text));
        }
    }
}
