//! Printed Python dicts: Hugging Face's `{'loss': 1.14, 'grad_norm': 2.7, ...}` and `EasyLM`'s dicts over lines.
//!
//! In: dict lines and the training bar around them. Out: points. Invariant: the step is the dict's own, else
//! that of the bar which tqdm draws again right behind the line, else the ordinal of the dict, and this is
//! said with a mark; a file never mixes bars and ordinals.

use super::bar::Bar;
use super::emit::{Emitter, Naming, Place};
use super::keyvalue::has_metric_word;
use super::scan::Pairs;
use crate::decode::Sink;

/// Name of the format.
pub(super) const NAME: &str = "text-python-dict";

/// Most bytes of a dict over several lines.
const DICT_BYTES_MAX: usize = 1 << 16;

/// Keys that hold the step.
const STEP_KEYS: [&str; 6] = [
    "step",
    "global_step",
    "iteration",
    "num_updates",
    "iter",
    "train/global_step",
];

const NAMING: Naming = Naming {
    prefix: "",
    rename: &[],
    skip: &[],
    smoothed: None,
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Steps {
    #[default]
    Unknown,
    /// From the bar with this total.
    Bar(i64),
    Ordinals,
}

/// The dicts of one file.
#[derive(Debug, Default)]
pub(super) struct Dicts {
    steps: Steps,
    /// The dict over several lines that is not closed yet.
    open: String,
    open_place: Option<Place>,
    /// The dict that waits for the bar behind it.
    held: String,
    held_place: Option<Place>,
    n_records: i64,
    last_step: Option<i64>,
    /// Steps between the last two dicts.
    stride: i64,
    /// Where the bar without a description stood last.
    bar: Option<(i64, i64)>,
}

/// Whether a dict line was taken, and how many points it gave.
pub(super) enum Dict {
    /// Not a dict.
    No,
    /// Taken; its points, or those of a dict before it, are counted here.
    Taken(u64),
}

impl Dicts {
    /// Whether no dict waits for its step.
    pub(super) fn is_idle(&self) -> bool {
        self.held_place.is_none()
    }

    /// Whether a dict goes on in the next line.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a line.
    pub(super) fn line(
        &mut self,
        text: &str,
        place: Place,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> Dict {
        if !self.open.is_empty() {
            return self.continue_open(text, emitter, sink);
        }
        let is_start = text.starts_with("{'") || text.starts_with("{\"") || text == "{";
        if !is_start {
            return Dict::No;
        }
        if text.ends_with('}') {
            return self.whole(text, place, emitter, sink);
        }
        if text == "{" || text.ends_with(',') {
            self.open.push_str(text);
            self.open_place = Some(place);
            return Dict::Taken(0);
        }
        Dict::No
    }

    fn continue_open(&mut self, text: &str, emitter: &mut Emitter, sink: &mut dyn Sink) -> Dict {
        self.open.push(' ');
        self.open.push_str(text);
        let is_closed = text.ends_with('}');
        if !is_closed && text.ends_with(',') && self.open.len() <= DICT_BYTES_MAX {
            return Dict::Taken(0);
        }
        let dict = std::mem::take(&mut self.open);
        match self.open_place.take() {
            Some(place) if is_closed => self.whole(&dict, place, emitter, sink),
            _ => Dict::No,
        }
    }

    fn whole(&mut self, text: &str, place: Place, emitter: &mut Emitter, sink: &mut dyn Sink) -> Dict {
        let mut n_points = self.resolve(emitter, sink);
        if text.contains("'train_runtime'") || text.contains("\"train_runtime\"") {
            emitter.finished(sink);
            return Dict::Taken(n_points);
        }
        if !Pairs::of(text).any(|p| has_metric_word(p.key) || p.key == "learning_rate") {
            return Dict::No;
        }
        // Most dicts have no step; a look at the bytes spares reading all numbers twice.
        let may_have_step = ["step", "iter", "num_updates"]
            .iter()
            .any(|word| text.contains(word));
        let own = may_have_step
            .then(|| Pairs::of(text).find(|p| STEP_KEYS.contains(&p.key)))
            .flatten()
            .map(|p| p.number.value as i64);
        if let Some(step) = own {
            n_points += emitter.fields(sink, text, step, &NAMING, None, place).n_points;
        } else if is_evaluation(text) {
            let step = self.evaluation_step(emitter, sink);
            n_points += emitter.fields(sink, text, step, &NAMING, None, place).n_points;
        } else if self.bar.is_some() && self.steps != Steps::Ordinals {
            self.held.push_str(text);
            self.held_place = Some(place);
        } else {
            self.steps = Steps::Ordinals;
            n_points += self.emit_ordinal(text, place, emitter, sink);
        }
        Dict::Taken(n_points)
    }

    fn emit_ordinal(&mut self, text: &str, place: Place, emitter: &mut Emitter, sink: &mut dyn Sink) -> u64 {
        emitter.ordinal_steps(sink);
        self.emit(text, self.n_records, place, emitter, sink)
    }

    fn emit(
        &mut self,
        text: &str,
        step: i64,
        place: Place,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> u64 {
        if let Some(last) = self.last_step {
            self.stride = step.saturating_sub(last);
        }
        self.last_step = Some(step);
        self.n_records = self.n_records.saturating_add(1);
        emitter.fields(sink, text, step, &NAMING, None, place).n_points
    }

    fn evaluation_step(&mut self, emitter: &mut Emitter, sink: &mut dyn Sink) -> i64 {
        if let (Steps::Bar(total), Some((done, bar_total))) = (self.steps, self.bar)
            && total == bar_total
        {
            return done;
        }
        if self.steps != Steps::Ordinals && self.last_step.is_none() {
            emitter.ordinal_steps(sink);
        }
        self.last_step.unwrap_or(0)
    }

    /// Takes the state of a bar; a dict that waits gets its step from the first bar behind it.
    pub(super) fn bar(&mut self, bar: &Bar<'_>, emitter: &mut Emitter, sink: &mut dyn Sink) -> u64 {
        let Some(total) = bar.total.filter(|_| bar.desc.is_empty()) else {
            return 0;
        };
        if matches!(self.steps, Steps::Bar(known) if known != total) {
            return 0;
        }
        let mut n_points = 0;
        if self.bar.is_some_and(|(done, of)| of == total && bar.done < done) {
            // A run that was resumed: its bar begins anew and jumps to the step of the checkpoint.
            n_points = self.resolve(emitter, sink);
            self.last_step = None;
        }
        self.bar = Some((bar.done, total));
        let is_new = self.last_step.is_none_or(|last| bar.done > last);
        if self.held_place.is_some() && is_new {
            self.steps = Steps::Bar(total);
            emitter.planned(sink, Some(total));
            n_points += self.emit_held(bar.done, emitter, sink);
        }
        n_points
    }

    /// No bar came behind the dict that waits: its step is where the bar stood, or goes on as before.
    pub(super) fn resolve(&mut self, emitter: &mut Emitter, sink: &mut dyn Sink) -> u64 {
        if self.held_place.is_none() {
            return 0;
        }
        if self.steps == Steps::Unknown {
            // Standard output was buffered: bars and dicts are not in step with each other.
            self.steps = Steps::Ordinals;
            emitter.ordinal_steps(sink);
            return self.emit_held(self.n_records, emitter, sink);
        }
        let stood_at = self
            .bar
            .map(|(done, _)| done)
            .filter(|done| self.last_step.is_none_or(|last| *done > last));
        let step = stood_at.unwrap_or_else(|| self.last_step.unwrap_or(0).saturating_add(self.stride.max(1)));
        self.emit_held(step, emitter, sink)
    }

    fn emit_held(&mut self, step: i64, emitter: &mut Emitter, sink: &mut dyn Sink) -> u64 {
        let mut held = std::mem::take(&mut self.held);
        let place = self.held_place.take().unwrap_or(Place {
            offset: 0,
            wall_time: None,
        });
        let n_points = self.emit(&held, step, place, emitter, sink);
        held.clear();
        self.held = held;
        n_points
    }
}

/// Whether every metric of the dict is one of an evaluation.
fn is_evaluation(text: &str) -> bool {
    let mut keys = Pairs::of(text).filter(|p| has_metric_word(p.key));
    keys.all(|p| p.key.starts_with("eval") || p.key.starts_with("test"))
}
