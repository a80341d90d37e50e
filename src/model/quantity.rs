//! The words for what a number is: its kind, the quantity that rules name, the split it belongs to.
//!
//! In: nothing. Out: enums with their spelling. Invariant: every `Kind` maps to exactly one `Quantity`; what
//! no rule watches by default is `Quantity::Other`.

use std::sync::Arc;

use super::Layer;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* #[doc = concat!("`", $word, "`")] $variant,)* }

        impl $name {
            /// All of them, in the order of their definition.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word as it stands in rule files and reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The value with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a rule can look at.
    Quantity {
        Loss = "loss",
        EvalLoss = "eval_loss",
        GradNorm = "grad_norm",
        GradNormTotal = "grad_norm_total",
        WeightNorm = "weight_norm",
        WeightNormTotal = "weight_norm_total",
        UpdateNorm = "update_norm",
        ActivationNorm = "activation_norm",
        UpdateRatio = "update_ratio",
        LearningRate = "learning_rate",
        LossScale = "loss_scale",
        SkippedSteps = "skipped_steps",
        NanSteps = "nan_steps",
        Throughput = "throughput",
        StepTime = "step_time",
        ZeroFraction = "zero_fraction",
        Other = "other",
    }
}

words! {
    /// What a tag was recognised as; finer than [`Quantity`].
    Kind {
        Loss = "loss",
        Perplexity = "perplexity",
        GradNorm = "grad_norm",
        GradNormGlobal = "grad_norm_global",
        WeightNorm = "weight_norm",
        WeightNormGlobal = "weight_norm_global",
        UpdateNorm = "update_norm",
        UpdateNormGlobal = "update_norm_global",
        MomentNorm = "moment_norm",
        MomentNormGlobal = "moment_norm_global",
        ActNorm = "act_norm",
        ActNormGlobal = "act_norm_global",
        ActStat = "act_stat",
        UpdateRatio = "update_ratio",
        Lr = "lr",
        LossScale = "loss_scale",
        Skipped = "skipped",
        NanSteps = "nan_steps",
        Throughput = "throughput",
        Time = "time",
        ZeroFrac = "zero_frac",
        StatMin = "stat_min",
        StatMax = "stat_max",
        StatAvg = "stat_avg",
        StatMean = "stat_mean",
        StatStd = "stat_std",
        StatAbsMean = "stat_abs_mean",
        StatHistogram = "stat_histogram",
        Other = "other",
    }
}

words! {
    /// The data that a number was measured on.
    Split {
        Train = "train",
        Eval = "eval",
        Test = "test",
        /// The log does not say; treated as training.
        Unknown = "unknown",
    }
}

impl Quantity {
    /// Whether a NaN or an infinity in it means trouble by default. Side metrics are NaN by nature.
    #[must_use]
    pub fn is_watched_for_nan(self) -> bool {
        !matches!(self, Quantity::ZeroFraction | Quantity::Other)
    }

    /// Whether it is a norm of one layer, so that a profile over depth makes sense.
    #[must_use]
    pub fn is_per_layer(self) -> bool {
        matches!(
            self,
            Quantity::GradNorm
                | Quantity::WeightNorm
                | Quantity::UpdateNorm
                | Quantity::ActivationNorm
                | Quantity::UpdateRatio
        )
    }
}

impl Kind {
    /// The quantity that rules name for this kind on this split.
    #[must_use]
    pub fn quantity(self, split: Split) -> Quantity {
        match self {
            Kind::Loss if matches!(split, Split::Eval | Split::Test) => Quantity::EvalLoss,
            Kind::Loss => Quantity::Loss,
            Kind::GradNorm => Quantity::GradNorm,
            Kind::GradNormGlobal => Quantity::GradNormTotal,
            Kind::WeightNorm => Quantity::WeightNorm,
            Kind::WeightNormGlobal => Quantity::WeightNormTotal,
            Kind::UpdateNorm => Quantity::UpdateNorm,
            Kind::ActNorm => Quantity::ActivationNorm,
            Kind::UpdateRatio => Quantity::UpdateRatio,
            Kind::Lr => Quantity::LearningRate,
            Kind::LossScale => Quantity::LossScale,
            Kind::Skipped => Quantity::SkippedSteps,
            Kind::NanSteps => Quantity::NanSteps,
            Kind::Throughput => Quantity::Throughput,
            Kind::Time => Quantity::StepTime,
            Kind::ZeroFrac => Quantity::ZeroFraction,
            _ => Quantity::Other,
        }
    }
}

/// What a tag means.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// What it was recognised as.
    pub kind: Kind,
    /// The quantity that rules name: the kind's, or a narrower one where the tag tells more.
    pub quantity: Quantity,
    /// The data it was measured on.
    pub split: Split,
    /// The layer it belongs to.
    pub layer: Option<Arc<Layer>>,
    /// The name of the pattern that recognised it, for `inspect` and tests; empty when none did.
    pub pattern: &'static str,
}
