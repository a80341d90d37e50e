//! Names that a pattern would take and must not.
//!
//! In: a tag. Out: the reason why it is `Other`, if there is one. Invariant: every reason names a number that a
//! rule would misread, not a framework or a run.

use std::sync::LazyLock;

use regex::RegexSet;

/// Reason and pattern (case-insensitive, searched).
const GUARDS: &[(&str, &str)] = &[
    // The same values on another axis (Megatron writes each twice).
    (
        "twin",
        r"[ _-]vs[ _.-]+(?:samples|tokens|flops|time|hours|gpu.*|wall\w*|epochs?)$",
    ),
    // A square doubles every slope and ratio over depth and time: the bounds, stated for norms, do not hold.
    (
        "squared",
        r"norms?[ _-]?(?:squared?|sq|\^2)(?:$|[/:._ ])|(?:squared?|sq|sqr)[ _-](?:l2[ _-])?(?:grads?|gradients?|norms?|params?|weights?)(?:$|[/:._ ])|(?:grads?|gradients?)[ _-]?(?:squared?|sq)(?:$|[/:._ ])",
    ),
    // The logarithm of a norm is negative and its ratios are differences.
    (
        "logarithm",
        r"(?:^|[/_ .])(?:log10|log2?|ln)[ _-](?:total_|global_)?(?:grads?|gradients?|weights?|params?)[ _-]?norm",
    ),
    ("running", r"norms?[ _](?:exp_avg|ema|running\w*)(?:$|[/_ .])"),
    // Settings are constants: a learning rate or a clip bound among them is not the run's.
    (
        "setting",
        r"^(?:config|hparams?|hyper_?param\w*|args|cfg|settings)[/.]",
    ),
    (
        "setting",
        r"(?:^|[/_ .-])(?:min|max|base|initial|init|peak|end|final|target|warmup|default)[ _-]?(?:lr|learning[ _]?rate)$",
    ),
    (
        "setting",
        r"(?:^|[/_ .-])(?:lr|learning[ _]?rate)[ _-](?:scale\w*|mult\w*|decay\w*|factor|ratio|schedul\w*|patience|gamma|warmup\w*|min|max|base|init\w*|step\w*|policy)$",
    ),
    ("setting", r"^lr-.*[-_/](?:momentum|weight_decay|betas?\d*)$"),
    ("setting", r"layerwise_lr/"),
    ("decay", r"(?:weights?|params?|l2)[ _-]?decay"),
    (
        "clip",
        r"clip(?:ping|ped)?[ _/-]?(?:coef\w*|ratio|frac\w*|rate|threshold|value|factor|percent\w*|max|by|count|norm|grads?\w*|gradients?\w*)$|norms?[ _/](?:clip(?:ping)?|clip(?:ping)?_(?:coef\w*|ratio|threshold|value|frac\w*)|threshold|limit|max_norm)$",
    ),
    // Numbers of parameters, not sizes of them.
    (
        "count",
        r"(?:^|[/_ .])(?:num|n|number|count|total|trainable|non_?trainable|frozen|active)[ _](?:of[ _])?(?:(?:trainable|model|total|active)[ _])?(?:params?|parameters?|weights?|vars?|variables?)(?:[ _/(]*(?:count|m|b|k|millions?|billions?)\)?)?$",
    ),
    (
        "count",
        r"(?:^|[/_ .])(?:params?|parameters?|weights?|variables?)[ _/](?:count|total|num\w*|size|trainable|non_?trainable|frozen|millions?|m|b|mb|gb|memory\w*|bytes|all)$",
    ),
    (
        "penalty",
        r"(?:^|[/_ .])(?:reg|regulari[sz]\w*|penalt(?:y|ies))(?:[/_ .]|$)",
    ),
    ("penalty", r"norms?[ _/-](?:penalt\w*|regulari\w*|reg)$"),
    // State of a layer that is not trained.
    (
        "buffer",
        r"(?:moving|running)_(?:mean|var|variance)|num_batches_tracked|seed_generator",
    ),
    // What is logged beside a loss: weights, counts, spreads, records.
    (
        "about_loss",
        r"loss(?:es)?[ _/-](?:weights?|coeffs?\w*|coefs?\w*|ratio|mask\w*|count\w*|time\w*|num\w*|n|std\w*|stdev|var|variance|min|max|delta|diff|gap|improve\w*|spikes?|threshold|patience)$",
    ),
    (
        "about_loss",
        r"loss(?:es)?/(?:.*/)?(?:num|count|std|var|min|max|acc|accuracy|f1|auc|iou|psnr|ssim|epoch|step|time)$",
    ),
    ("about_loss", r"loss(?:es)?/(?:scores|signs)/"),
    (
        "about_loss",
        r"(?:^|[/_ .-])(?:best|min|lowest|minimum|stop|target)[ _-](?:so[ _]far[ _-])?(?:\w+[ _-])?loss$",
    ),
];

static SET: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    let patterns = GUARDS.iter().map(|(_, regex)| super::compiled_form(regex));
    RegexSet::new(patterns).ok()
});

/// Why the tag is none of the quantities that rules look at, if it is so.
pub(super) fn guarded(tag: &str) -> Option<&'static str> {
    let hits = SET.as_ref()?.matches(tag);
    // A penalty that says it is a loss is one of the losses.
    let is_loss = tag.to_ascii_lowercase().contains("loss");
    hits.iter()
        .filter_map(|hit| GUARDS.get(hit).map(|(reason, _)| *reason))
        .find(|reason| !(is_loss && *reason == "penalty"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_guard_compiles() {
        assert!(super::SET.is_some());
    }
}
