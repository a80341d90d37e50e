//! The series of one stream, found by tag.
//!
//! In: tags as logged. Out: a dense id per tag, with its meaning worked out once. Invariant: at most
//! [`SERIES_MAX`] series; tags beyond are counted, never stored.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::SeriesInfo;
use crate::extract::{self, Known};
use crate::model::{Form, Split};

/// Series of one stream beyond which new tags are only counted. A 1,000-layer model that logs weight,
/// gradient, update and activation norms of weight and bias needs 8,000.
pub const SERIES_MAX: usize = 65_536;

/// The series of one stream.
#[derive(Debug)]
pub struct Store {
    series: Vec<SeriesInfo>,
    by_tag: HashTable<u32>,
    hasher: FixedState,
    /// `next[i]` is the series that last followed series `i`: writers repeat their tags in one order, so the
    /// next tag can nearly always be found by one comparison.
    next: Vec<u32>,
    last: u32,
    overflow: u64,
    /// The split that the run's name tells, for tags that tell none.
    split: Split,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            series: Vec::new(),
            by_tag: HashTable::new(),
            hasher: FixedState::default(),
            next: Vec::new(),
            last: 0,
            overflow: 0,
            split: Split::Unknown,
        }
    }
}

impl Store {
    /// A store for the run of this name: what `validation/` holds was not measured in training, whatever its tags are
    /// called (Keras, and TensorBoard's `add_scalars`, tell the split by the directory alone).
    #[must_use]
    pub fn for_run(run: &str) -> Self {
        Self {
            split: extract::split_of_run(run),
            ..Self::default()
        }
    }

    /// The id of the series with this tag, and whether it is new; `None` beyond [`SERIES_MAX`].
    pub fn id(&mut self, tag: &str, form: &Form) -> Option<(u32, bool)> {
        if let Some(&guess) = self.next.get(self.last as usize)
            && self.series.get(guess as usize).is_some_and(|it| *it.tag == *tag)
        {
            self.last = guess;
            return Some((guess, false));
        }
        if let Some(id) = self.find(tag) {
            self.follow(id);
            return Some((id, false));
        }
        if self.series.len() >= SERIES_MAX {
            self.overflow += 1;
            return None;
        }
        let id = self.series.len() as u32;
        let (tag, meaning) = self.known(tag, form);
        let hash = self.hasher.hash_one(&*tag);
        self.series.push(SeriesInfo::new(tag, meaning));
        let (series, hasher) = (&self.series, &self.hasher);
        let hash_of = |id: &u32| series.get(*id as usize).map_or(0, |it| hasher.hash_one(&*it.tag));
        self.by_tag.insert_unique(hash, id, hash_of);
        self.next.push(0);
        self.follow(id);
        Some((id, true))
    }

    fn known(&self, tag: &str, form: &Form) -> Known {
        let (tag, meaning) = match form {
            Form::Number { .. } => extract::known(tag),
            Form::Tensor { .. } | Form::Buckets { .. } => extract::known_histogram(tag),
        };
        if meaning.split == Split::Unknown && self.split != Split::Unknown {
            return (tag, Arc::new(extract::on_split((*meaning).clone(), self.split)));
        }
        (tag, meaning)
    }

    fn follow(&mut self, id: u32) {
        if let Some(slot) = self.next.get_mut(self.last as usize) {
            *slot = id;
        }
        self.last = id;
    }

    /// The series with this id.
    ///
    /// # Panics
    /// When the id is not from this store.
    #[must_use]
    pub fn get(&self, id: u32) -> &SeriesInfo {
        &self.series[id as usize]
    }

    /// The series with this id, to be changed.
    ///
    /// # Panics
    /// When the id is not from this store.
    pub fn get_mut(&mut self, id: u32) -> &mut SeriesInfo {
        &mut self.series[id as usize]
    }

    /// All series in the order of first appearance.
    #[must_use]
    pub fn all(&self) -> &[SeriesInfo] {
        &self.series
    }

    /// The id of the series with this tag, when there is one.
    #[must_use]
    pub fn find(&self, tag: &str) -> Option<u32> {
        let is_it = |id: &u32| self.series.get(*id as usize).is_some_and(|it| *it.tag == *tag);
        self.by_tag.find(self.hasher.hash_one(tag), is_it).copied()
    }

    /// Gives room back that was kept for further series.
    pub fn trim(&mut self) {
        self.series.shrink_to_fit();
        self.next.shrink_to_fit();
    }

    /// Counts a value that cannot be taken.
    pub fn pass_over(&mut self) {
        self.overflow += 1;
    }

    /// Values that were not taken because there were too many series.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }
}
