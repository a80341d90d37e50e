//! What a row says about itself: where it stands, and what its numbers are about.
//!
//! In: its cells whose keys are no plain metrics. Out: step, epoch, time, split, layer, name. Invariant: of several steps or
//! times the surest name is taken.

use std::ops::Range;

use crate::decode::axis::integer;
use crate::decode::key::{Key, Role};
use crate::decode::wall_time;

/// What the cells of a row say about the row itself.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) step: Option<(u8, i64)>,
    pub(super) epoch: Option<f64>,
    pub(super) time: Option<(u8, f64)>,
    pub(super) planned: Option<i64>,
    pub(super) split: Option<&'static str>,
    pub(super) layer: Option<Range<usize>>,
    pub(super) layer_index: Option<i64>,
    pub(super) name: Option<Range<usize>>,
    pub(super) is_layer_name: bool,
    pub(super) value: Option<usize>,
}

impl Head {
    /// Takes note of the number of the cell at `at`.
    pub(super) fn take_number(&mut self, at: usize, key: &Key, value: f64) {
        match key.role {
            Role::Step(rank) if self.step.is_none_or(|(best, _)| rank < best) => {
                self.step = integer(value).map(|step| (rank, step)).or(self.step);
            }
            Role::Epoch => self.epoch = value.is_finite().then_some(value),
            Role::Time(rank) if self.time.is_none_or(|(best, _)| rank < best) => {
                self.time = wall_time::from_number(value)
                    .map(|time| (rank, time))
                    .or(self.time);
            }
            Role::Planned => self.planned = integer(value),
            Role::Layer => self.layer_index = integer(value),
            Role::Value => self.value = Some(at),
            _ => {}
        }
    }

    /// Takes note of a text, and of where it is kept.
    pub(super) fn take_text(&mut self, key: &Key, range: &Range<usize>, text: &str) {
        match key.role {
            Role::Split => self.split = split_word(text).or(self.split),
            Role::Layer if text.bytes().all(|b| b.is_ascii_digit()) => self.layer_index = text.parse().ok(),
            Role::Layer => self.layer = Some(range.clone()),
            Role::Name { is_layer_word } if !text.is_empty() => {
                self.name = Some(range.clone());
                self.is_layer_name = is_layer_word;
            }
            _ => {}
        }
    }
}

fn split_word(text: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 9] = [
        ("train", "train"),
        ("training", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("validation", "val"),
        ("dev", "val"),
        ("eval", "eval"),
        ("evaluation", "eval"),
        ("test", "test"),
    ];
    WORDS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, split)| *split)
}
