//! The tag of a histogram to its meaning.
//!
//! In: the tag of a record that carries a tensor's histogram. Out: its [`Meaning`]. Invariant: what says that it is
//! a norm of something is read as for numbers; only then do the forms count that histograms alone have.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::guard::guarded;
use super::layer::ends_in_parameter;
use super::split::without_namespace;
use super::tag::{Hit, classify, is_norm, kind_of_word, meaning, settle_layer};
use crate::model::{Kind, Meaning};

/// What the tag of a histogram means: a bare path that ends in a parameter is that parameter's values.
///
/// A histogram gives the norm of its tensor, so that `fc1.weight` is a weight norm and `fc1.weight.grad` a
/// gradient norm, while the same names on a number say nothing.
#[must_use]
pub fn understand_histogram(tag: &str) -> Meaning {
    meaning(tag, classify_histogram(tag.trim()))
}

macro_rules! hist {
    () => {
        r"(?:histograms?|hists?|distributions?|dist|values?)"
    };
}

/// Forms of tags that only histograms have, tried in this order.
pub(super) static HISTOGRAM_FORMS: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    [
        (
            "hist_grad_first",
            concat!(
                "^(?:",
                hist!(),
                r"[/_])?(?P<w>grads?|gradients?|d_?l_?/?d_?w)(?:[_ ]",
                hist!(),
                r")?[/:._ ](?:",
                hist!(),
                r"[/_])?(?P<layer>.+?)(?:/",
                hist!(),
                ")?$"
            ),
        ),
        (
            "hist_grad_last",
            concat!(
                "^(?:",
                hist!(),
                r"[/_])?(?P<layer>.+?)[/:._](?P<w>grads?|gradients?)(?:[/_]",
                hist!(),
                ")?$"
            ),
        ),
        (
            "hist_act_first",
            concat!(
                "^(?:",
                hist!(),
                r"[/_])?(?P<w>activations?|acts?)(?:[_ ]",
                hist!(),
                r")?[/:. ](?:",
                hist!(),
                r"[/_])?(?P<layer>.+?)(?:/",
                hist!(),
                ")?$"
            ),
        ),
        (
            "hist_update_first",
            concat!(
                "^(?:",
                hist!(),
                r"[/_])?(?P<w>updates?)[/:](?:",
                hist!(),
                r"[/_])?(?P<layer>.+?)(?:/",
                hist!(),
                ")?$"
            ),
        ),
        (
            "hist_weight_first",
            concat!(
                "^(?:",
                hist!(),
                r"[/_])?(?P<w>weights?|params?|parameters?|vars?|variables?|biases)(?:[_ ]",
                hist!(),
                r")?[/: ](?:",
                hist!(),
                r"[/_])?(?P<layer>.+?)(?:/",
                hist!(),
                ")?$"
            ),
        ),
        (
            "hist_parameter",
            concat!("^(?:", hist!(), r"[/_])?(?P<layer>.+?)(?:[/_]", hist!(), ")?$"),
        ),
        (
            "hist_act_last",
            concat!(
                "^(?:",
                hist!(),
                r"[/_])?(?P<layer>.+?)[/:._](?P<w>activations?|acts?|outputs?(?:_\d+)?)(?:[/_]",
                hist!(),
                ")?$"
            ),
        ),
        (
            "hist_output_first",
            concat!(
                "^(?:",
                hist!(),
                r"[/_])?(?P<w>outputs?|features?)[/:](?P<layer>.+?)(?:/",
                hist!(),
                ")?$"
            ),
        ),
    ]
    .into_iter()
    .filter_map(|(name, regex)| Some((name, Regex::new(&super::compiled_form(regex)).ok()?)))
    .collect()
});

pub(super) fn classify_histogram(tag: &str) -> Hit<'_> {
    if let Some(reason) = guarded(tag).filter(|it| *it != "count") {
        return Hit::other(reason);
    }
    let by_name = classify(tag);
    if is_norm(by_name.kind) && by_name.layer.is_some() && by_name.pattern != "keras_hist" {
        return by_name;
    }
    let short = without_namespace(tag);
    HISTOGRAM_FORMS
        .iter()
        .find_map(|(name, regex)| read_histogram(name, &regex.captures(short)?))
        .unwrap_or(Hit::other(""))
}

fn read_histogram<'t>(name: &'static str, groups: &Captures<'t>) -> Option<Hit<'t>> {
    let layer = groups.name("layer")?.as_str();
    let is_bare = name == "hist_parameter";
    if is_bare && !ends_in_parameter(layer) {
        return None;
    }
    let kind = groups
        .name("w")
        .map_or(Kind::WeightNorm, |it| kind_of_word(it.as_str()));
    Some(settle_layer(Hit {
        kind,
        layer: Some(layer),
        pattern: name,
    }))
}
