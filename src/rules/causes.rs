//! Which finding explains which: one sick run is one alert with one root cause.
//!
//! In: the findings of one run. Out: the same, ordered, with `caused_by` set. Invariants: a cause starts no
//! later than its effect; there are no cycles, because a finding is explained only by one that comes before it
//! in the order; nothing is dropped.

use std::cmp::Reverse;

use crate::model::{Family, Finding, Severity};

/// What can follow from what: cause, effects. Sources: the order of events in measured divergences (loss or
/// weights overflow, then everything is NaN), dead units and vanishing gradients stop the loss, a learning
/// rate that jumps makes the loss diverge.
const EFFECTS: &[(Family, &[Family])] = &[
    (
        Family::Lr,
        &[
            Family::Loss,
            Family::Spike,
            Family::Growth,
            Family::Nonfinite,
            Family::Plateau,
            Family::Dead,
        ],
    ),
    (
        Family::Outlier,
        &[
            Family::Loss,
            Family::Spike,
            Family::Depth,
            Family::Growth,
            Family::Nonfinite,
            Family::Dead,
        ],
    ),
    (
        Family::Growth,
        &[
            Family::Depth,
            Family::Loss,
            Family::Spike,
            Family::Nonfinite,
            Family::Dead,
            Family::Plateau,
        ],
    ),
    (
        Family::Depth,
        &[
            Family::Nonfinite,
            Family::Loss,
            Family::Spike,
            Family::Dead,
            Family::Plateau,
            Family::Growth,
        ],
    ),
    (
        Family::Nonfinite,
        &[
            Family::Loss,
            Family::Spike,
            Family::Dead,
            Family::Plateau,
            Family::Precision,
            Family::Liveness,
            Family::Depth,
            Family::Growth,
            Family::Outlier,
            Family::Nonfinite,
        ],
    ),
    (
        Family::Loss,
        &[
            Family::Spike,
            Family::Nonfinite,
            Family::Dead,
            Family::Plateau,
            Family::Outlier,
        ],
    ),
    (Family::Dead, &[Family::Plateau, Family::Depth]),
    (
        Family::Precision,
        &[Family::Nonfinite, Family::Loss, Family::Precision],
    ),
];

/// At the same step the cause stands before the effect in this order; within a family the finding that names
/// layers stands first, because it says where to look.
const ORDER: &[Family] = &[
    Family::Lr,
    Family::Outlier,
    Family::Growth,
    Family::Nonfinite,
    Family::Depth,
    Family::Precision,
    Family::Loss,
    Family::Dead,
    Family::Spike,
    Family::Plateau,
];

/// Orders the findings (root causes first, then by urgency and step) and links effects to their causes.
pub(super) fn explain(findings: &mut [Finding]) {
    findings.sort_by(|a, b| key(a).cmp(&key(b)));
    for index in 0..findings.len() {
        let cause = (0..index).find(|before| causes(&findings[*before], &findings[index]));
        findings[index].caused_by = cause.map(|before| root(findings, before).rule.clone());
    }
    findings.sort_by_key(|it| (Reverse(it.severity), it.caused_by.is_some()));
}

/// Follows the chain of causes to its start.
fn root(findings: &[Finding], mut index: usize) -> &Finding {
    // Each step goes to an earlier finding, so the walk ends.
    while let Some(cause) = &findings[index].caused_by {
        match findings[..index].iter().position(|it| it.rule == *cause) {
            Some(earlier) => index = earlier,
            None => break,
        }
    }
    &findings[index]
}

fn key(finding: &Finding) -> (i64, usize, bool, Reverse<Severity>, &str) {
    (
        start(finding),
        rank(finding.family),
        finding.layers.is_empty(),
        Reverse(finding.severity),
        &finding.rule,
    )
}

fn start(finding: &Finding) -> i64 {
    finding.first_step.unwrap_or(i64::MIN)
}

fn rank(family: Family) -> usize {
    ORDER.iter().position(|it| *it == family).unwrap_or(ORDER.len())
}

fn causes(cause: &Finding, effect: &Finding) -> bool {
    let can = EFFECTS
        .iter()
        .any(|(family, effects)| *family == cause.family && effects.contains(&effect.family));
    // What is a note at most is never told by itself: it would take the effect with it into silence.
    let is_heavy = cause.severity >= Severity::Warning;
    can && is_heavy
        && !cause.is_superseded
        && !effect.is_superseded
        && cause.rule != effect.rule
        && is_vanishing_order(cause, effect)
}

/// Gradients that vanish do not overflow.
fn is_vanishing_order(cause: &Finding, effect: &Finding) -> bool {
    !(cause.kind == "vanishing" && matches!(effect.family, Family::Nonfinite | Family::Loss | Family::Spike))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Quantity;

    fn finding(rule: &str, family: Family, kind: &'static str, severity: Severity, step: i64) -> Finding {
        Finding {
            rule: rule.to_owned(),
            check: "test",
            family,
            kind,
            severity,
            quantity: Quantity::Loss,
            tag: None,
            layers: Vec::new(),
            rank: None,
            first_step: Some(step),
            last_step: Some(step),
            count: 1,
            value: None,
            bound: None,
            forecast_step: None,
            message: String::new(),
            diagnosis: String::new(),
            remedy: Vec::new(),
            caused_by: None,
            is_superseded: false,
            has_healed: false,
        }
    }

    #[test]
    fn a_nan_is_the_root_of_what_follows() {
        let mut findings = vec![
            finding("plateau", Family::Plateau, "", Severity::Warning, 90),
            finding("nan", Family::Nonfinite, "", Severity::Critical, 50),
            finding("dead", Family::Dead, "", Severity::Critical, 60),
        ];
        explain(&mut findings);
        let causes: Vec<_> = findings
            .iter()
            .map(|it| (it.rule.as_str(), it.caused_by.as_deref()))
            .collect();
        assert_eq!(
            causes,
            [("nan", None), ("dead", Some("nan")), ("plateau", Some("nan"))]
        );
    }

    #[test]
    fn an_explosion_explains_the_nan_and_vanishing_does_not() {
        let mut findings = vec![
            finding("nan", Family::Nonfinite, "", Severity::Critical, 5),
            finding("exploding", Family::Depth, "exploding", Severity::Critical, 1),
        ];
        explain(&mut findings);
        assert_eq!(findings[0].rule, "exploding");
        assert_eq!(findings[1].caused_by.as_deref(), Some("exploding"));
        findings[0].kind = "vanishing";
        explain(&mut findings);
        assert!(findings.iter().all(|it| it.caused_by.is_none()));
    }

    #[test]
    fn a_nan_that_names_its_layers_is_the_root_of_the_others() {
        let mut findings = vec![
            finding("nan-loss", Family::Nonfinite, "", Severity::Critical, 50),
            finding("nan-weights", Family::Nonfinite, "", Severity::Critical, 51),
            finding("nan-gradients", Family::Nonfinite, "", Severity::Critical, 50),
        ];
        findings[2].layers = vec!["h.3".to_owned()];
        explain(&mut findings);
        let roots: Vec<_> = findings
            .iter()
            .filter(|it| it.caused_by.is_none())
            .map(|it| it.rule.as_str())
            .collect();
        assert_eq!(roots, ["nan-gradients"]);
    }

    #[test]
    fn a_note_silences_nothing() {
        let mut findings = vec![
            finding("learning-rate-jump", Family::Lr, "jump", Severity::Info, 10),
            finding("nan", Family::Nonfinite, "", Severity::Critical, 50),
        ];
        explain(&mut findings);
        assert!(findings.iter().all(|it| it.caused_by.is_none()));
    }

    #[test]
    fn a_later_finding_causes_nothing() {
        let mut findings = vec![
            finding("nan", Family::Nonfinite, "", Severity::Critical, 50),
            finding("spike", Family::Spike, "", Severity::Warning, 10),
        ];
        explain(&mut findings);
        assert!(findings.iter().all(|it| it.caused_by.is_none()));
    }
}
