//! Tag to meaning by the ordered table of patterns.
//!
//! In: a tag. Out: its [`Meaning`]. Steps: names that would be misread are set aside; the tag without its
//! namespace is tried, then the tag as it is; the first pattern that hits decides the kind; words such as `total`
//! in the place of a layer make it the whole model's. Invariant: the layer is a part of the tag as logged.

use std::sync::{Arc, LazyLock, OnceLock};

use regex::{Captures, Regex, RegexSet};

use super::guard::guarded;
use super::layer::{looks_like_layer, parse_layer};
use super::patterns::{Gives, PATTERNS};
use super::split::{is_namespace, split_of, without_namespace};
use crate::model::{Kind, Meaning, Quantity};

/// What the table says of a tag, before the layer is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit<'a> {
    pub(super) kind: Kind,
    pub(super) layer: Option<&'a str>,
    pub(super) pattern: &'static str,
}

impl Hit<'_> {
    pub(super) const fn other(pattern: &'static str) -> Self {
        Hit {
            kind: Kind::Other,
            layer: None,
            pattern,
        }
    }
}

/// What a tag means. Costs a few microseconds: call it once per tag and keep the answer.
#[must_use]
pub fn understand(tag: &str) -> Meaning {
    meaning(tag, classify(tag.trim()))
}

pub(super) fn meaning(tag: &str, hit: Hit<'_>) -> Meaning {
    let split = split_of(hit.layer.and_then(|it| tag.split(it).next()).unwrap_or(tag));
    Meaning {
        kind: hit.kind,
        quantity: narrow(hit.kind, tag).unwrap_or_else(|| hit.kind.quantity(split)),
        split,
        layer: hit.layer.map(|it| Arc::new(parse_layer(it))),
        pattern: hit.pattern,
    }
}

static STEP_TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(?:step|iter(?:ation)?|batch|update)s?[ _-]?(?:time|timing|duration)|time[ _-]?(?:per|/)[ _-]?(?:step|iter|batch|update)|(?:ms|secs?|seconds)[ _]?(?:per|/)[ _]?(?:step|iter|batch|it)|(?:^|/)dt$|step_avg|time_this_iter",
    )
    .ok()
});

/// The quantity where it is narrower than the kind's: a clock that runs on is no step time, and Megatron's count
/// of NaN iterations, which its table of kinds calls `skipped`, is not one of skipped steps.
fn narrow(kind: Kind, tag: &str) -> Option<Quantity> {
    match kind {
        Kind::Time if !STEP_TIME.as_ref().is_some_and(|it| it.is_match(tag)) => Some(Quantity::Other),
        Kind::Skipped if tag.to_ascii_lowercase().contains("nan") => Some(Quantity::NanSteps),
        // Megatron counts skipped samples too: another unit.
        Kind::Skipped if tag.to_ascii_lowercase().contains("sample") => Some(Quantity::Other),
        _ => None,
    }
}

/// The table, compiled: all patterns at once to find the hits, each by itself, when first hit, for its groups.
struct Compiled {
    all: RegexSet,
    each: Vec<OnceLock<Option<Regex>>>,
}

static TABLE: LazyLock<Option<Compiled>> = LazyLock::new(|| {
    let all = RegexSet::new(PATTERNS.iter().map(|it| super::compiled_form(it.regex))).ok()?;
    let each = PATTERNS.iter().map(|_| OnceLock::new()).collect();
    Some(Compiled { all, each })
});

impl Compiled {
    fn captures<'t>(&self, index: usize, text: &'t str) -> Option<Captures<'t>> {
        let pattern = PATTERNS.get(index)?;
        let compile = || Regex::new(&super::compiled_form(pattern.regex)).ok();
        self.each
            .get(index)?
            .get_or_init(compile)
            .as_ref()?
            .captures(text)
    }
}

pub(super) fn classify(tag: &str) -> Hit<'_> {
    if let Some(reason) = guarded(tag) {
        return Hit::other(reason);
    }
    let short = without_namespace(tag);
    let hit = first_hit(short, looks_like_layer);
    let hit = if hit.is_none() && short.len() < tag.len() {
        first_hit(tag, looks_like_layer)
    } else {
        hit
    };
    // Keras' TensorBoard callback puts `epoch_` or `batch_` before every metric that a model reports.
    let hit = hit.or_else(|| {
        let bare = ["epoch_", "batch_"]
            .iter()
            .find_map(|it| short.strip_prefix(it))?;
        first_hit(bare, looks_like_layer)
    });
    hit.unwrap_or(Hit::other(""))
}

fn first_hit(text: &str, is_layer: fn(&str) -> bool) -> Option<Hit<'_>> {
    let table = TABLE.as_ref()?;
    table
        .all
        .matches(text)
        .iter()
        .find_map(|index| read_hit(index, &table.captures(index, text)?, is_layer))
}

fn read_hit<'t>(index: usize, groups: &Captures<'t>, is_layer: fn(&str) -> bool) -> Option<Hit<'t>> {
    let pattern = PATTERNS.get(index)?;
    let layer = groups.name("layer").map(|it| it.as_str());
    if pattern.gives == Gives::WordIfLayer && !layer.is_some_and(is_layer) {
        return None;
    }
    let word = || {
        groups
            .name("w")
            .or_else(|| groups.name("w2"))
            .map_or("", |it| it.as_str())
    };
    let kind = match (pattern.gives, groups.name("stat")) {
        (Gives::Kind(kind), _) => kind,
        (_, Some(stat)) => Kind::from_word(&format!("stat_{}", stat.as_str().to_ascii_lowercase()))?,
        (Gives::WordGlobal, None) => global(kind_of_word(word())),
        (Gives::Word | Gives::WordIfLayer, None) => kind_of_word(word()),
    };
    Some(settle_layer(Hit {
        kind,
        layer,
        pattern: pattern.name,
    }))
}

/// The kind of norm that a word for a tensor makes. No word (Keras histograms) is a weight.
pub(super) fn kind_of_word(word: &str) -> Kind {
    let word = word.to_ascii_lowercase();
    let bare = word
        .trim_start_matches('|')
        .trim_start_matches("l2_")
        .trim_start_matches("norm_of_");
    let has = |part: &str| word.contains(part);
    if has("moment") || has("exp_avg") || has("opt_state") || has("optimizer_state") {
        Kind::MomentNorm
    } else if has("grad") || bare.starts_with(['g', 'd']) && !bare.starts_with("delta") {
        Kind::GradNorm
    } else if has("upd") || has("step") || bare.starts_with('u') || bare.starts_with("delta") {
        Kind::UpdateNorm
    } else if has("act") || has("output") || has("feature") || bare.starts_with(['h', 'a']) {
        Kind::ActNorm
    } else {
        Kind::WeightNorm
    }
}

fn global(kind: Kind) -> Kind {
    match kind {
        Kind::GradNorm => Kind::GradNormGlobal,
        Kind::WeightNorm => Kind::WeightNormGlobal,
        Kind::UpdateNorm => Kind::UpdateNormGlobal,
        Kind::MomentNorm => Kind::MomentNormGlobal,
        Kind::ActNorm => Kind::ActNormGlobal,
        other => other,
    }
}

pub(super) fn is_norm(kind: Kind) -> bool {
    global(kind) != kind
}

/// Words in the place of a layer that mean the whole model.
const WHOLE: &[&str] = &[
    "total",
    "global",
    "global_norm",
    "total_norm",
    "overall",
    "all",
    "sum",
    "norm",
    "raw",
    "clipped",
    "unclipped",
    "before_clip",
    "before_clipping",
    "after_clip",
    "after_clipping",
    "pre_clip",
    "post_clip",
    "preclip",
    "postclip",
    "epoch",
    "step",
    "batch",
    "current",
    "cur",
    "last",
    "ema",
    "smoothed",
    "model",
    "net",
    "network",
    "full",
    "whole",
    "loss",
    "losses",
    "actor",
    "critic",
    "policy",
    "value",
    "agent",
    "generator",
    "discriminator",
    "student",
    "teacher",
];

/// Words in the place of a layer that make the number a statistic over layers.
const STATISTICS: &[(&str, Kind)] = &[
    ("mean", Kind::StatMean),
    ("avg", Kind::StatAvg),
    ("average", Kind::StatAvg),
    ("median", Kind::StatAvg),
    ("min", Kind::StatMin),
    ("max", Kind::StatMax),
    ("std", Kind::StatStd),
    ("var", Kind::StatStd),
];

/// Tells layers from words for the whole model and from statistics that stand in their place.
pub(super) fn settle_layer(hit: Hit<'_>) -> Hit<'_> {
    let Some(layer) = hit.layer else { return hit };
    if !is_norm(hit.kind) {
        // `grad_norm/max`: what stands before the statistic is the rest of the word.
        let rest = layer
            .strip_prefix("norms")
            .or_else(|| layer.strip_prefix("norm"))
            .unwrap_or(layer);
        let layer = if rest.is_empty() {
            None
        } else {
            Some(rest.strip_prefix('/').unwrap_or(layer))
        };
        return Hit { layer, ..hit };
    }
    let layer = layer.trim_matches(['(', ')', ' ']);
    let is = |word: &&str| word.eq_ignore_ascii_case(layer);
    if WHOLE.iter().any(is) || is_namespace(layer) {
        return Hit {
            kind: global(hit.kind),
            layer: None,
            ..hit
        };
    }
    let last = layer.rsplit('/').next().unwrap_or(layer);
    let statistic = STATISTICS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(last));
    if let Some((_, kind)) = statistic {
        return Hit {
            kind: *kind,
            layer: None,
            ..hit
        };
    }
    let is_ratio = ["ratio", "coef", "count", "num", "lr", "scale_factor"].contains(&last);
    if is_ratio || layer.is_empty() {
        Hit::other("about_norm")
    } else {
        hit
    }
}

#[cfg(test)]
#[path = "tag/tests.rs"]
mod tests;
