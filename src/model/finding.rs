//! What a rule saw, in the words of the report.
//!
//! In: nothing. Out: the value that reports, alerts and programs read. Invariant: `severity` orders
//! `Info < Warning < Critical`; a verdict is the worst severity, and `Info` leaves a run healthy.

use super::Quantity;
use super::quantity::words;

words! {
    /// How urgent a finding is.
    Severity {
        /// Worth a line in a report, never a mail.
        Info = "info",
        /// A person should look today.
        Warning = "warning",
        /// The run is lost or wasting its time now.
        Critical = "critical",
    }
}

words! {
    /// The kind of trouble, for people and programs that read a finding first by its family.
    Family {
        Nonfinite = "nonfinite",
        Depth = "depth",
        Loss = "loss",
        Spike = "spike",
        Dead = "dead",
        Plateau = "plateau",
        Growth = "growth",
        Outlier = "outlier",
        Liveness = "liveness",
        Lr = "lr",
        Precision = "precision",
        Ranks = "ranks",
        Overfit = "overfit",
        Throughput = "throughput",
        Integrity = "integrity",
        Baseline = "baseline",
        Custom = "custom",
    }
}

words! {
    /// The judgement over one run or a whole report.
    Verdict {
        NoData = "no-data",
        Healthy = "healthy",
        Warning = "warning",
        Critical = "critical",
    }
}

impl Verdict {
    /// The verdict that a finding of this severity leads to.
    #[must_use]
    pub fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info => Verdict::Healthy,
            Severity::Warning => Verdict::Warning,
            Severity::Critical => Verdict::Critical,
        }
    }
}

/// What a rule saw: one per rule, quantity and kind in a run; the layers are gathered in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Id of the rule, e.g. `vanishing-gradients`.
    pub rule: String,
    /// Name of the check, e.g. `depth-trend`.
    pub check: &'static str,
    /// Family of the trouble.
    pub family: Family,
    /// The form of the trouble within the check, e.g. `vanishing`; empty when there is only one.
    pub kind: &'static str,
    /// How urgent.
    pub severity: Severity,
    /// The quantity it was seen in.
    pub quantity: Quantity,
    /// The tag, when the quantity is not per layer.
    pub tag: Option<String>,
    /// Layers concerned, in depth order where known.
    pub layers: Vec<String>,
    /// The rank, when only one rank of several shows it.
    pub rank: Option<u32>,
    /// The step of the alarm in a live run; `None` when the log has no step numbers.
    pub first_step: Option<i64>,
    /// The last step at which it was seen.
    pub last_step: Option<i64>,
    /// How many points or profiles showed it.
    pub count: u64,
    /// The number that is out of bounds.
    pub value: Option<f64>,
    /// The bound.
    pub bound: Option<f64>,
    /// The step at which the number format is forecast to overflow.
    pub forecast_step: Option<i64>,
    /// What the numbers do, one sentence.
    pub message: String,
    /// What to plot or compare to know more.
    pub diagnosis: String,
    /// What to do, most promising first.
    pub remedy: Vec<String>,
    /// Id of the rule whose finding explains this one.
    pub caused_by: Option<String>,
    /// True when a restart from an earlier step has replaced the steps in which it was seen.
    pub is_superseded: bool,
    /// True when all that it is about has healed by itself: it is told, but it is over.
    pub has_healed: bool,
}
