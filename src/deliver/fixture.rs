//! Made-up bulletins for the tests of wording.
//!
//! In: nothing. Out: a bulletin about a loss that is NaN. Invariant: compiled for tests only.

use jiff::Timestamp;

use crate::alert::{Alarm, Bulletin, Fingerprint, Occasion, Standing};
use crate::model::{Family, Finding, Quantity, Severity};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

pub(super) fn finding() -> Finding {
    Finding {
        rule: "non-finite-loss".to_owned(),
        check: "non-finite",
        family: Family::Nonfinite,
        kind: "",
        severity: Severity::Critical,
        quantity: Quantity::Loss,
        tag: Some("train/loss".to_owned()),
        layers: Vec::new(),
        rank: None,
        first_step: Some(12_345),
        last_step: Some(12_400),
        count: 5,
        value: Some(f64::NAN),
        bound: None,
        forecast_step: None,
        message: "loss is NaN at step 12,345".to_owned(),
        diagnosis: "Plot the weight and gradient norms per layer before step 12,345.".to_owned(),
        remedy: vec![
            "lower the learning rate".to_owned(),
            "rarely: the initialisation".to_owned(),
        ],
        caused_by: None,
        is_superseded: false,
        has_healed: false,
    }
}

/// A finding about layers.
pub(super) fn vanishing(n_layers: usize) -> Finding {
    Finding {
        rule: "vanishing-gradients".to_owned(),
        check: "depth-trend",
        family: Family::Depth,
        kind: "vanishing",
        severity: Severity::Warning,
        quantity: Quantity::GradNorm,
        tag: None,
        layers: (0..n_layers).map(|it| format!("h.{it}.mlp.fc")).collect(),
        value: Some(0.61),
        bound: Some(0.9),
        message: "gradients shrink by x0.61 per layer".to_owned(),
        ..finding()
    }
}

pub(super) fn alarm(finding: Finding) -> Alarm {
    Alarm {
        fingerprint: Fingerprint::of("gpt/run-7", &finding),
        finding,
        since: at(0),
        standing: Standing::Firing,
    }
}

pub(super) fn bulletin() -> Bulletin {
    Bulletin {
        occasion: Occasion::Firing,
        run: "gpt/run-7".to_owned(),
        root: "/data/runs".to_owned(),
        incident: "a1b2c3-4".to_owned(),
        sequence: 0,
        at: at(30),
        roots: vec![alarm(finding())],
        consequences: vec![alarm(vanishing(4))],
    }
}
