//! What a decoder hands on: named numbers, lines of text, and marks such as a restart.
//!
//! In: nothing. Out: borrowed values that live as long as the decoder's buffer. Invariant: a value is kept
//! as the log has it; NaN and infinity are never dropped.

/// A named number as the log has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// The name under which the run logged it (tag, column, key path joined with `/`).
    pub tag: &'a str,
    /// Training step as logged, or the ordinal of the row when the log has none (see [`Mark::OrdinalSteps`]).
    pub step: i64,
    /// Unix seconds; `None` when the log has no time or an unusable one.
    pub wall_time: Option<f64>,
    /// The number; for histograms the L2 norm of the tensor.
    pub value: f64,
    /// What the value was made from.
    pub form: Form,
    /// Byte offset of the record or line in its file.
    pub offset: u64,
}

/// What a sample's value was made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// A number as logged.
    Number {
        /// Smallest step of the printed decimals (`0.0001` for four), 0 for binary or full precision:
        /// a printed 0.0000 proves nothing below it.
        resolution: f64,
    },
    /// A tensor with an exact sum of squares (`HistogramProto`): the value is its exact L2 norm.
    Tensor {
        /// Number of elements, so that the RMS is `value / sqrt(n_elements)`.
        n_elements: f64,
    },
    /// A histogram of buckets only (TF2): the value is an estimate of the L2 norm.
    Buckets {
        /// Rigorous lower bound of the norm.
        low: f64,
        /// Rigorous upper bound of the norm.
        high: f64,
        /// Largest absolute element, exact.
        max_abs: f64,
        /// Number of elements.
        n_elements: f64,
    },
}

impl Form {
    /// A number at full precision.
    pub const EXACT: Form = Form::Number { resolution: 0.0 };

    /// Whether the value is an estimate only.
    #[must_use]
    pub fn is_estimate(&self) -> bool {
        matches!(self, Form::Buckets { .. })
    }

    /// Smallest difference that the printed digits can show; 0 when not limited by printing.
    #[must_use]
    pub fn resolution(&self) -> f64 {
        match self {
            Form::Number { resolution } => *resolution,
            Form::Tensor { .. } | Form::Buckets { .. } => 0.0,
        }
    }

    /// Number of tensor elements where the log tells it.
    #[must_use]
    pub fn n_elements(&self) -> Option<f64> {
        match self {
            Form::Number { .. } => None,
            Form::Tensor { n_elements } | Form::Buckets { n_elements, .. } => Some(*n_elements),
        }
    }
}

/// A line of a text log, for rules that look at words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLine<'a> {
    /// The text without line end and without ANSI sequences; invalid UTF-8 replaced.
    pub text: &'a str,
    /// Byte offset of its first byte in the file.
    pub offset: u64,
    /// Line number, from 1.
    pub number: u64,
    /// The step that was last seen in the file, if any.
    pub step: Option<i64>,
}

/// Something a decoder knows beside numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark<'a> {
    /// The writer says that a session starts at `step` (TensorBoard `SessionLog` START): points of all
    /// tags at or after `step` are superseded.
    SessionStart {
        /// First step of the new session.
        step: i64,
    },
    /// The log states how many steps the run is to have (`iteration 5/ 100`, a progress bar, `max_steps`).
    PlannedSteps(i64),
    /// The log has no step numbers: steps are ordinals of rows.
    OrdinalSteps,
    /// The step axis counts epochs.
    EpochSteps,
    /// A line of a kind that always carries `tag` lacks it at `step` (Megatron drops a NaN loss).
    FieldMissing {
        /// The tag that is missing.
        tag: &'a str,
        /// The step of the line.
        step: i64,
    },
    /// What follows was written by this rank; `None`: by nobody who gives a rank. Said when it changes.
    Rank(Option<u32>),
    /// The program that writes this format smooths `tag` before it prints it: a spike of one step is smeared or gone.
    /// Comes behind the first point of the tag.
    Smoothed {
        /// The tag.
        tag: &'a str,
        /// How.
        by: Smoothing,
    },
    /// The log says that the run has ended in good order.
    Finished,
}

super::quantity::words! {
    /// What a logged number is of the numbers of single steps.
    Smoothing {
        EpochMean = "mean of the epoch",
        MovingAverage = "moving average",
        Median = "median of a window",
    }
}
