//! The ordered table of tag patterns.
//!
//! In: nothing. Out: [`PATTERNS`], tried from the top. Invariant: the first pattern that hits and whose layer, if
//! it must be one, looks like a layer, decides. The first part of the table was read off the sources of the
//! frameworks and is kept in their order (`fixtures/tags/patterns.tsv`); where a pattern is narrower than there,
//! the comment says which wrong hit it gave.

use crate::model::Kind;

/// What a hit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// This kind.
    Kind(Kind),
    /// The group `stat` if it took part (a statistic, not a norm), else the group `w` by [`super::tag::kind_of_word`].
    Word,
    /// As `Word`, but only if the layer looks like one: the rest of the pattern proves too little.
    WordIfLayer,
    /// As `Word`, for the whole model.
    WordGlobal,
}

/// One family of names.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Shown by `inspect`.
    pub(super) name: &'static str,
    /// What a hit means.
    pub(super) gives: Gives,
    /// Case-insensitive, searched; groups `layer`, `w`, `stat`, `p`.
    pub(super) regex: &'static str,
}

const fn pattern(name: &'static str, gives: Gives, regex: &'static str) -> Pattern {
    Pattern { name, gives, regex }
}

macro_rules! grad {
    () => {
        r"grads?|gradients?"
    };
}
macro_rules! weight {
    () => {
        r"params?|parameters?|weights?|vars?|variables?"
    };
}
/// Words that name a tensor of a layer, in any spelling people use.
macro_rules! word {
    () => {
        r"(?P<w>grads?|gradients?|d_?l_?/?d_?w|dw|params?|parameters?|weights?|vars?|variables?|thetas?|acts?|activations?|outputs?|features?|hidden(?:[ _]states?)?|updates?|delta_?w|moments?|exp_avg(?:_sq)?)"
    };
}
/// Words for the size of a tensor.
macro_rules! size {
    () => {
        r"(?:(?:l2|fro(?:benius)?|rms)[ _-]?)?(?:norms?|l2|rms|magnitudes?)(?:[ _-]?(?:l2|fro|rms))?"
    };
}
/// A tensor word and a size word as one word: `gnorm`, `w_norm`, `gradient_l2_norm`, `norm_grad`, `||g||`.
macro_rules! mark {
    () => {
        concat!(
            r"(?P<w>(?:grads?|gradients?|g|dw|d_?l_?d_?w|params?|parameters?|weights?|w|p|thetas?|vars?|variables?|acts?|activations?|outputs?|features?|hidden(?:[ _]states?)?|updates?|upd|u)[ _.-]?",
            r"(?:(?:l2|fro(?:benius)?|rms)[ _-]?)?(?:norms?|l2|rms|magnitudes?)(?:[ _-]?(?:l2|fro|rms))?",
            r"|(?:l2[ _-]?)?norms?[ _-](?:of[ _-])?(?:grads?|gradients?|params?|parameters?|weights?|acts?|activations?|updates?)",
            r"|l2[ _-](?:grads?|gradients?|params?|parameters?|weights?|acts?|activations?|updates?)",
            r"|\|{1,2}(?:g|grads?|dw|d_?l/?d_?w|w|weights?|theta|u|a|h)\|{1,2}(?:_?2)?)"
        )
    };
}

/// The table.
pub(super) const PATTERNS: &[Pattern] = &[
    // `params/fc1/grad_norm` is the gradient of a parameter: the word beside the size decides, not the group.
    pattern(
        "grad_of_param",
        Gives::Word,
        concat!(
            "^(?:",
            weight!(),
            r")[/:](?P<layer>.+?)[/:._-](?P<w>",
            grad!(),
            ")[/:. _-]?",
            size!(),
            "$"
        ),
    ),
    pattern(
        "stats_between",
        Gives::Word,
        concat!(
            "^",
            word!(),
            r"[ _-]?(?:stats?|statistics|info|summary)[/:.](?P<layer>.+)[/:._]",
            size!(),
            "$"
        ),
    ),
    pattern(
        "stat_suffix",
        Gives::Word,
        concat!(
            "^(?:",
            grad!(),
            "|",
            weight!(),
            r"|exp_avg(?:_sq)?|step|updates?)[/_.](?P<layer>.+)[._/](?P<stat>min|max|avg|mean|std|abs_mean|histogram)$"
        ),
    ),
    pattern(
        "allen_stat",
        Gives::Word,
        r"^(?P<w>parameter|gradient)_(?P<stat>mean|std)/(?P<layer>.+)$",
    ),
    // `percentage_nonzero` counts the opposite and is left to `Other`.
    pattern(
        "pct_zero",
        Gives::Kind(Kind::ZeroFrac),
        r"^pct_grad_zeros/(?P<layer>.+)$",
    ),
    pattern(
        "composer",
        Gives::Word,
        r"^l2_norm/(?P<w>grad|param|update|moment)/(?P<layer>.+)$",
    ),
    pattern(
        "composer_act",
        Gives::Kind(Kind::ActNorm),
        r"^activations/l2_norm/(?P<layer>.+)$",
    ),
    pattern(
        "olmo",
        Gives::Word,
        r"^(?P<w>grad|param|step|exp_avg|exp_avg_sq)/(?P<layer>.+)\.norm$",
    ),
    pattern(
        "levanter",
        Gives::Word,
        r"^(?P<w>grad|params|updates|opt_state(?:/\w+)?)/norm/(?P<layer>.+)$",
    ),
    pattern(
        "neox",
        Gives::Word,
        r"^(?P<w>gradient_norms|parameter_norms|optimizer_state_norms)/(?:(?:by|per)_(?:layer|param|module)s?/)?(?P<layer>.+)$",
    ),
    pattern(
        "lightning",
        Gives::Word,
        r"^(?P<w>grad|weight|param)_(?P<p>[\d.]+|inf)_norm/(?P<layer>.+)$",
    ),
    pattern(
        "lightning_tot",
        Gives::WordGlobal,
        r"^(?P<w>grad|weight|param)_(?P<p>[\d.]+|inf)_norm_total$",
    ),
    pattern(
        "act_stat",
        Gives::Kind(Kind::ActStat),
        r"^(?:acts?|activations?)(?:/(?:mean|std|average|max|min|kurtosis|median)/|_(?:mean|std|average|max|min|kurtosis)/)(?P<layer>.+)$",
    ),
    pattern(
        "size_between",
        Gives::Word,
        concat!("^", word!(), "[/.:]", size!(), "[/.:](?P<layer>.+)$"),
    ),
    pattern(
        "stat_between",
        Gives::Word,
        concat!(
            "^",
            word!(),
            r"[/_](?P<stat>min|max|avg|mean|std|abs_mean)[/:](?P<layer>.+)$"
        ),
    ),
    // The whole path must look like a layer: `parameters/trainable` is a count.
    pattern(
        "wandb_watch",
        Gives::WordIfLayer,
        r"^(?P<w>gradients|parameters)/(?:graph_\d+)?(?P<layer>.+)$",
    ),
    pattern(
        "wandb_alert",
        Gives::Word,
        concat!(
            "^(?P<w>",
            grad!(),
            "|",
            weight!(),
            r"|activations?|acts?|updates?)[ _-]?(?:l2[_-]?)?norms?(?:[_ ]l2)?[/:. ](?P<layer>.+)$"
        ),
    ),
    pattern(
        "norm_first",
        Gives::Word,
        concat!(
            r"^(?:l2[_-]?)?norms?[/:._](?P<w>",
            grad!(),
            "|",
            weight!(),
            r"|activations?|acts?|updates?)[/:._](?P<layer>.+)$"
        ),
    ),
    pattern(
        "g_grad",
        Gives::Kind(Kind::GradNormGlobal),
        r"^(?:optim/)?(?:train(?:ing)?_)?(?:total[ _]|global[ _]|raw_|clipped_|unclipped_|max_|avg_|mean_)?(?:grad|gradient)[ _.-]?g?norm(?:[ _./-](?:total|global|before[_ ]clip\w*|after[_ ]clip\w*|l2|mean))?$|^(?:train(?:ing)?_)?g_?norm$|^norm$|^grad_gnorm$|^l2_norm/grad/global$|^grad/norm/total$",
    ),
    pattern(
        "g_param",
        Gives::Kind(Kind::WeightNormGlobal),
        r"^(?:total[ _]|global[ _])?(?:params?|parameters?|weights?|var)[ _.-]?g?norm(?:[ _./-](?:total|global))?$|^params/norm/total$|^p_?norm$",
    ),
    pattern(
        "g_update",
        Gives::Kind(Kind::UpdateNormGlobal),
        r"^(?:updates?|step)[ _.-]?norm$|^updates/norm/total$",
    ),
    pattern(
        "global_norm",
        Gives::Kind(Kind::GradNormGlobal),
        r"^(?:(?:grads?|gradients?)[ _./-])?(?:global|total)[ _-]?norm$",
    ),
    pattern(
        "global_mark",
        Gives::WordGlobal,
        concat!(
            r"^(?:(?:total|global|overall|raw|clipped|unclipped|max|avg|mean|average|all|full|model|l2)[ _./-])*(?:",
            mark!(),
            r"|(?P<w2>",
            grad!(),
            "|",
            weight!(),
            r"|updates?)[/.:](?:(?:global|total)[ _-]?)?(?:(?:l2|rms)[ _-]?)?(?:norms?|l2|rms))(?:[ _./-]*\(?(?:total|global|overall|all|mean|avg|sum|l2|(?:pre|post|before|after|un)[ _-]?clip\w*|unclipped|clipped|raw|step|epoch)\)?)*$"
        ),
    ),
    pattern(
        "dotted",
        Gives::Word,
        r"^(?P<w>grads?|gradients?|params?|parameters?)\.(?P<layer>.+)\.(?:l2_?)?norm$",
    ),
    pattern(
        "norm_last",
        Gives::Word,
        concat!(
            "^(?P<w>",
            grad!(),
            "|",
            weight!(),
            r"|activations?|acts?|updates?)[/:](?P<layer>.+)[/:._](?:l2[_-]?)?norm$"
        ),
    ),
    pattern(
        "layer_first",
        Gives::Word,
        concat!(
            r"^(?P<layer>.+)[/.:_](?P<w>",
            grad!(),
            "|",
            weight!(),
            r"|activations?|acts?|updates?)[/.:_](?:l2[_-]?)?norm$"
        ),
    ),
    pattern(
        "layer_gradnorm",
        Gives::Word,
        concat!(
            r"^(?P<layer>.+)[/:._](?P<w>",
            grad!(),
            "|",
            weight!(),
            r"|activations?|updates?)_?norm$"
        ),
    ),
    pattern(
        "mark_first",
        Gives::Word,
        concat!("^", mark!(), "[/:](?P<layer>.+)$"),
    ),
    pattern(
        "per_layer_mark",
        Gives::Word,
        concat!(
            r"^(?:per[ _-]?)?(?:layer|module|param(?:eter)?|block)(?:s|[ _-]?wise)?[ _/-]",
            mark!(),
            "[/:.](?P<layer>.+)$"
        ),
    ),
    pattern(
        "mark_per_layer",
        Gives::Word,
        concat!(
            "^",
            mark!(),
            r"[ _/.-](?:per|by|of)[ _-]?(?:layer|module|param(?:eter)?|block|tensor)s?[/:.](?P<layer>.+)$"
        ),
    ),
    pattern(
        "per_layer_word",
        Gives::WordIfLayer,
        concat!(
            r"^(?:per[ _-]?)?layer(?:s|[ _-]?wise)?[ _-](?P<w>",
            grad!(),
            "|",
            weight!(),
            r")[/:](?P<layer>.+)$"
        ),
    ),
    pattern(
        "bracketed",
        Gives::WordIfLayer,
        concat!("^", mark!(), r"[ _]?[\[({<](?P<layer>[^\[\](){}<>]+)[\])}>]$"),
    ),
    // `gn` and `wn`, but `gn1.weight` is a group normalisation.
    pattern(
        "two_letters",
        Gives::WordIfLayer,
        r"^(?P<w>g|w|p|u)n[/:_](?P<layer>.+)$",
    ),
    // A bare `W2` may as well be a distance of Wasserstein: only the derivative says what it is.
    pattern(
        "derivative_index",
        Gives::Word,
        r"^(?P<w>dW|d_?l_?/?d_?w|grad_?w)[_.]?(?P<layer>\d+)$",
    ),
    pattern(
        "norm_of_letter",
        Gives::WordIfLayer,
        r"^(?:l2[_-]?)?norms?[/:._](?P<w>dw|d_?l_?d_?w|w)[/:._](?P<layer>.+)$",
    ),
    pattern(
        "mark_first_blank",
        Gives::WordIfLayer,
        concat!("^", mark!(), "[_ .](?P<layer>.+)$"),
    ),
    pattern(
        "mark_last",
        Gives::Word,
        concat!("^(?P<layer>.+)[/:]", mark!(), "$"),
    ),
    pattern(
        "mark_last_blank",
        Gives::WordIfLayer,
        concat!("^(?P<layer>.+)[_ .]", mark!(), "$"),
    ),
    pattern(
        "size_last",
        Gives::Word,
        concat!("^", word!(), "[/.:](?P<layer>.+)[/.:]", size!(), "$"),
    ),
    pattern(
        "size_first",
        Gives::Word,
        concat!("^", size!(), "[/.:_]", word!(), "[/.:](?P<layer>.+)$"),
    ),
    pattern(
        "word_size_last",
        Gives::WordIfLayer,
        concat!("^(?P<layer>.+)[/.:_]", word!(), "[/.:_]", size!(), "$"),
    ),
    pattern(
        "allen_update",
        Gives::Kind(Kind::UpdateRatio),
        r"^(?:gradient_update|update_ratios?|(?:weight_)?update_to_(?:weight|param|data)(?:_ratio)?|(?:weight|param)_update_ratio|relative_updates?)[/:](?P<layer>.+)$",
    ),
    pattern(
        "update_last",
        Gives::Kind(Kind::UpdateRatio),
        r"^(?P<layer>.+)[/:](?:update_ratios?|update_to_(?:weight|param|data)(?:_ratio)?|(?:weight|param)_update_ratio|relative_update)$",
    ),
    pattern(
        "zero_first",
        Gives::Kind(Kind::ZeroFrac),
        r"^(?:zero_?frac(?:tion)?s?|frac(?:tion)?_zeros?|(?:frac(?:tion)?_)?dead_?(?:relus?|neurons?|units?)(?:_frac(?:tion)?|_ratio)?|sparsity)[/:](?P<layer>.+)$",
    ),
    pattern(
        "zero_last",
        Gives::Kind(Kind::ZeroFrac),
        r"^(?P<layer>.+)[/:](?:zero_?frac(?:tion)?|frac(?:tion)?_zeros?|dead_?(?:relus?|neurons?|units?)(?:_frac(?:tion)?|_ratio)?|sparsity)$",
    ),
    pattern(
        "allen_hist",
        Gives::Word,
        r"^(?P<w>parameter|activation|gradient)_histogram/(?P<layer>.+)$",
    ),
    pattern(
        "keras_hist",
        Gives::Word,
        r"^(?P<layer>.+)/(?P<w>gradient)?/?histogram$",
    ),
    // As a number `policy_grad` or `requires_grad` is no gradient of a layer.
    pattern(
        "torch_hist_g",
        Gives::WordIfLayer,
        r"^(?P<layer>.+)[./_](?P<w>grad|gradient|gradients)$",
    ),
    pattern(
        "word_layer",
        Gives::WordIfLayer,
        r"^(?P<w>grads?|gradients?|d_?l_?/?d_?w|weights?|params?|parameters?|updates?)[/:](?P<layer>.+)$",
    ),
    pattern(
        "maxtext_act",
        Gives::Kind(Kind::ActStat),
        r"^activ_(?:mean|stdev|fraction_zero)/(?P<layer>.+)$",
    ),
    // A bare `scale` at the end of a path is a layer norm's gain or CLIP's temperature.
    pattern(
        "loss_scale",
        Gives::Kind(Kind::LossScale),
        r"(?:^|[/ _-])(?:loss[ _-]?scaler?|grad_?scaler?)$|^(?:amp|fp16|scaler|dynamic)[/_ ]scaler?$|^scaler?$",
    ),
    // `lr.*` would take `lrm` (a multiplier) and every name that begins so.
    pattern(
        "lr",
        Gives::Kind(Kind::Lr),
        r"^(?:lr|learning[ _.-]?rate|lrate|lr[/-].+|lr[ _]?\(.*\)|lr_?\d+|lr_\w+|lr .+|learning[ _-]?rate[/_ ].+|(?:.*[/_ .])?cur(?:rent)?_lr|.*[/_ .]lr(?:[ _/]?(?:group|pg)?_?\d+)?|.*[/_ .]learning[ _]?rate(?:[ _/]?(?:group|pg)?_?\d+)?)$",
    ),
    // `num zeros` is a count of gradient entries.
    pattern(
        "skipped",
        Gives::Kind(Kind::Skipped),
        r"^(?:(?:num(?:ber)?[ _])?(?:of[ _])?(?:skipped|nan)[ _-](?:train[ _-])?(?:iters?|iterations|samples|steps|batches|updates)|(?:steps?|iterations?|updates?|batches)[ _]skipped|skipped|(?:num_)?overflow(?:ed)?_(?:steps|iters|iterations|count))$",
    ),
    pattern(
        "ppl",
        Gives::Kind(Kind::Perplexity),
        r"(?:^|[/_ ])(?:ppl|perplexity|LanguagePerplexity)(?:[/_ ](?:train|val|valid|validation|eval|test|step|epoch))?$",
    ),
    pattern(
        "loss",
        Gives::Kind(Kind::Loss),
        r"(?:^|[/_ .:-])(?:loss(?:es)?|xent|nll|trl|tel|bpb|cross[_-]?entropy(?:loss)?|LanguageCrossEntropy|CE)(?:[/_ (].*|_\w+|-\w+|\d*)?$",
    ),
    pattern(
        "loss_name",
        Gives::Kind(Kind::Loss),
        r"(?:^|[/_ .:-])(?:mse|bce|nelbo|neg(?:ative)?_elbo|elbo_loss|sparse_categorical_crossentropy|binary_crossentropy|categorical_crossentropy|m?log_?loss|objective|criterion|cost)(?:[/_ ](?:train|val|valid|validation|eval|test|step|epoch|total|mean|avg))?$|(?:train|val|valid|validation|test|eval|total|batch|epoch|avg|mean|lm|mse|ce|bce|kl)loss$|(?-i:[a-z0-9]Loss(?:es)?)(?:[/_].*)?$",
    ),
    // `tok(en)s` alone is a count; a rate has `per` or `/`.
    pattern(
        "throughput",
        Gives::Kind(Kind::Throughput),
        r"(?:^|[^a-z])(?:(?:tok(?:en)?s?|samples?|examples?|imgs?|images?|seqs?|sequences?|steps?|iters?|iterations?|its?|batch(?:es)?|words?|frames?|updates?|env_steps|timesteps)[/_ ]?(?:/|per|_per_|p)[/_ ]?(?:s|secs?|seconds?|sec\w*)(?:_per_\w+)?|tflops?|mfu|tps|wps|ups|fps)(?:$|[^a-z])|samplespersec|(?:^|[/_ ])throughput(?:$|[ (])",
    ),
    pattern(
        "time",
        Gives::Kind(Kind::Time),
        r"^(?:time|dt|elapsed.*|.*[_ ]time(?:_s|_ms| ?\(m?s\))?|time[ _]per[ _]\w+|(?:ms|secs?|seconds)[ _/](?:per[ _])?(?:step|iter\w*|it|batch)|step_avg|step_timing.*|train_step_timing.*|time_this_iter_s|etas?|eta_\w+|.*runtime)$",
    ),
];
