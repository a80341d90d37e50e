//! Where every point of a text log passes: tags are built, steps and planned steps remembered.
//!
//! In: a key, a number and the place it was read from. Out: calls on the sink. Invariant: no allocation per
//! point once the tag buffer has grown.

use super::norm;
use super::scan::{Pair, Pairs};
use super::template::Must;
use crate::decode::Sink;
use crate::decode::number::Number;
use crate::model::{Form, Mark, Sample, Smoothing};

/// Where and when something was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Byte offset of the line.
    pub offset: u64,
    /// Unix seconds.
    pub wall_time: Option<f64>,
}

/// How the keys of a line become tags.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Naming {
    /// Put before every tag.
    pub prefix: &'static str,
    /// Keys that get another tag.
    pub rename: &'static [(&'static str, &'static str)],
    /// Keys that are no metric.
    pub skip: &'static [&'static str],
    /// What the training losses are, where the program smooths them.
    pub smoothed: Option<Smoothing>,
}

/// Keys that count or place the line itself.
const AXIS_KEYS: [&str; 25] = [
    "step",
    "steps",
    "iter",
    "iters",
    "iteration",
    "iterations",
    "it",
    "epoch",
    "epochs",
    "ep",
    "update",
    "batch",
    "batch_idx",
    "global_step",
    "global step",
    "train_step",
    "train step",
    "training step",
    "train epoch",
    "num_updates",
    "train_num_updates",
    "valid_num_updates",
    "eta",
    "rank",
    "v_num",
];

/// Keys whose text value or number names a layer.
const LAYER_KEYS: [&str; 6] = ["layer", "param", "parameter", "module", "name", "block"];

/// Longest path of a layer.
const LAYER_BYTES_MAX: usize = 200;

/// Smoothed losses of one file that are told.
const SMOOTHED_MAX: usize = 64;

/// State of the points of one file.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    /// The step that was seen last.
    pub last_step: Option<i64>,
    planned: Option<i64>,
    has_epoch_steps: bool,
    has_ordinal_steps: bool,
    has_finished: bool,
    /// Tags of which it was said that they are smoothed.
    smoothed: Vec<String>,
    tag: String,
    layer: String,
}

/// What the fields of a line gave.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Points that were handed on.
    pub n_points: u64,
    /// Where a second record begins that was glued to this one.
    pub glued_at: Option<usize>,
    /// Whether the tag that must be there was.
    pub has_must: bool,
    /// Whether the key that stands behind it was.
    pub has_witness: bool,
}

/// Smallest step of the printed decimals. A bare `0` has none: `%g` prints it for an exact zero, and fixed decimals show.
fn resolution(number: Number) -> f64 {
    let is_bare_zero = number.value == 0.0 && number.resolution >= 1.0;
    if is_bare_zero { 0.0 } else { number.resolution }
}

impl Emitter {
    /// One point with its tag as it is.
    pub(super) fn point(&mut self, sink: &mut dyn Sink, tag: &str, step: i64, number: Number, place: Place) {
        self.last_step = Some(step);
        sink.sample(&Sample {
            tag,
            step,
            wall_time: place.wall_time,
            value: number.value,
            form: Form::Number {
                resolution: resolution(number),
            },
            offset: place.offset,
        });
    }

    /// The value of a layer under a tag that says which norm it is.
    pub(super) fn layer_point(
        &mut self,
        sink: &mut dyn Sink,
        (kind, layer): (&str, &str),
        step: i64,
        number: Number,
        place: Place,
    ) {
        let mut tag = std::mem::take(&mut self.tag);
        tag.clear();
        tag.push_str(kind);
        tag.push('/');
        tag.push_str(layer);
        self.point(sink, &tag, step, number, place);
        self.tag = tag;
    }

    /// A point whose tag is a prefix and a key.
    fn prefixed_point(
        &mut self,
        sink: &mut dyn Sink,
        (prefix, key): (&str, &str),
        step: i64,
        number: Number,
        place: Place,
    ) {
        if prefix.is_empty() || key.starts_with(prefix) {
            return self.point(sink, key, step, number, place);
        }
        let mut tag = std::mem::take(&mut self.tag);
        tag.clear();
        tag.push_str(prefix);
        tag.push_str(key);
        self.point(sink, &tag, step, number, place);
        self.tag = tag;
    }

    /// All fields of a text. Stops where a second record is glued on: a counter of steps with its total.
    pub(super) fn fields(
        &mut self,
        sink: &mut dyn Sink,
        text: &str,
        step: i64,
        naming: &Naming,
        must: Option<Must>,
        place: Place,
    ) -> Taken {
        let mut taken = Taken::default();
        let mut layer = std::mem::take(&mut self.layer);
        layer.clear();
        for pair in Pairs::of(text) {
            if pair.total.is_some()
                && pair.key.ends_with("iteration")
                && (must.is_some() || taken.n_points > 0)
            {
                taken.glued_at = Some(pair.from);
                break;
            }
            note_layer(&pair, &mut layer);
            if pair.total.is_some() || is_axis(pair.key) || naming.skip.contains(&pair.key) {
                continue;
            }
            let key = renamed(pair.key, naming);
            if let Some(must) = must {
                taken.has_must |= ends_with_word(key, must.word);
                taken.has_witness |= key == must.witness;
            }
            if let Some(named) = norm::of_key(key) {
                self.layer_point(sink, named, step, pair.number, place);
            } else if layer.is_empty() {
                self.prefixed_point(sink, (naming.prefix, key), step, pair.number, place);
            } else if is_layer_key(key) {
                continue;
            } else if let Some(kind) = norm::kind(key) {
                self.layer_point(sink, (kind, &layer), step, pair.number, place);
            } else {
                self.prefixed_point(sink, (naming.prefix, key), step, pair.number, place);
            }
            taken.n_points += 1;
            if let Some(by) = naming.smoothed
                && naming.prefix.is_empty()
            {
                self.smoothed(sink, key, by);
            }
        }
        self.layer = layer;
        taken
    }

    /// A loss of training that the program smooths before it prints it; said once per tag.
    pub(super) fn smoothed(&mut self, sink: &mut dyn Sink, tag: &str, by: Smoothing) {
        let is_known = self.smoothed.iter().any(|it| it == tag);
        let is_training_loss = !is_known && tag.contains("loss") && !tag.starts_with("val");
        if is_training_loss && self.smoothed.len() < SMOOTHED_MAX {
            self.smoothed.push(tag.to_owned());
            sink.mark(Mark::Smoothed { tag, by });
        }
    }

    /// The log says how long the run is to be.
    pub(super) fn planned(&mut self, sink: &mut dyn Sink, steps: Option<i64>) {
        let is_new = steps.is_some() && steps != self.planned;
        if let Some(steps) = steps.filter(|s| is_new && *s > 0) {
            self.planned = Some(steps);
            sink.mark(Mark::PlannedSteps(steps));
        }
    }

    /// The step axis counts epochs.
    pub(super) fn epoch_steps(&mut self, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.has_epoch_steps, true) {
            sink.mark(Mark::EpochSteps);
        }
    }

    /// The log has no steps.
    pub(super) fn ordinal_steps(&mut self, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.has_ordinal_steps, true) {
            sink.mark(Mark::OrdinalSteps);
        }
    }

    /// The log says that the run is over.
    pub(super) fn finished(&mut self, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.has_finished, true) {
            sink.mark(Mark::Finished);
        }
    }
}

/// Remembers the layer that the rest of the line is about: `layer=h.0` or `layer=3`.
fn note_layer(pair: &Pair<'_>, layer: &mut String) {
    if let Some((key, value)) = pair.label
        && is_layer_key(key)
        && value.len() <= LAYER_BYTES_MAX
    {
        layer.clear();
        layer.push_str(value);
    }
    if matches!(pair.key, "layer" | "block" | "Layer" | "Block") && pair.number.value.fract() == 0.0 {
        layer.clear();
        // Writing to a string cannot fail.
        let _ = std::fmt::Write::write_fmt(layer, format_args!("layers.{}", pair.number.value));
    }
}

fn is_layer_key(key: &str) -> bool {
    LAYER_KEYS.iter().any(|k| k.eq_ignore_ascii_case(key))
}

/// Whether a key counts steps or epochs rather than being a metric.
pub(super) fn is_axis(key: &str) -> bool {
    // A look at the first letter spares most keys the list.
    let may_be = key.bytes().next().is_some_and(|b| {
        matches!(
            b.to_ascii_lowercase(),
            b's' | b'i' | b'e' | b'u' | b'b' | b'g' | b't' | b'n' | b'v' | b'r'
        )
    });
    may_be && AXIS_KEYS.iter().any(|k| k.eq_ignore_ascii_case(key))
}

fn renamed<'a>(key: &'a str, naming: &Naming) -> &'a str {
    let found = naming.rename.iter().find(|(from, _)| *from == key);
    found.map_or(key, |(_, to)| to)
}

/// `lm loss` and `lm-loss` end with the word `loss`, `gloss` does not.
pub(super) fn ends_with_word(key: &str, word: &str) -> bool {
    key.strip_suffix(word)
        .is_some_and(|head| !head.ends_with(|c: char| c.is_ascii_alphanumeric()))
}
