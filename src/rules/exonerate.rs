//! What the baseline at learning rate 0 shows too is not the learning rate's fault.
//!
//! In: the findings of a run and its baseline. Out: the same findings; those that the baseline shares lose the
//! remedies that name the learning rate. Invariant: nothing changes unless the baseline's log shows that its
//! learning rate was 0.

use crate::model::Finding;
use crate::series::Baseline;

/// Rewords the findings of a run that its baseline at learning rate 0 shows too.
pub fn exonerate(findings: &mut [Finding], baseline: &Baseline) {
    if baseline.portrait.is_at_rate_zero() != Some(true) {
        return;
    }
    let is_shared = |it: &Finding| {
        baseline
            .troubles
            .iter()
            .any(|trouble| trouble.family == it.family && trouble.kind == it.kind)
    };
    for finding in findings.iter_mut().filter(|it| is_shared(it)) {
        finding
            .remedy
            .retain(|line| !line.to_lowercase().contains("learning rate"));
        finding.diagnosis = format!(
            "The baseline {} shows it at learning rate 0 too, so it is not the learning rate but the initialisation, the \
             architecture or the data. {}",
            baseline.name, finding.diagnosis
        );
    }
}

#[cfg(test)]
mod tests {
    use super::exonerate;
    use crate::model::{Family, Finding, Quantity, Severity};
    use crate::series::{Baseline, Portrait, Trouble};

    fn finding(kind: &'static str) -> Finding {
        Finding {
            rule: "exploding-gradients".to_owned(),
            check: "depth-trend",
            family: Family::Depth,
            kind,
            severity: Severity::Critical,
            quantity: Quantity::GradNorm,
            tag: None,
            layers: Vec::new(),
            rank: None,
            first_step: Some(1),
            last_step: Some(1),
            count: 1,
            value: None,
            bound: None,
            forecast_step: None,
            message: String::new(),
            diagnosis: "Plot.".to_owned(),
            remedy: vec![
                "Reduce the learning rate".to_owned(),
                "change the architecture".to_owned(),
            ],
            caused_by: None,
            is_superseded: false,
            has_healed: false,
        }
    }

    #[test]
    fn only_shared_trouble_of_a_baseline_at_zero_is_reworded() {
        let trouble = Trouble {
            family: Family::Depth,
            kind: "exploding",
            rule: String::new(),
            message: String::new(),
        };
        let at = |rate| Baseline {
            name: "lr0".to_owned(),
            portrait: Portrait {
                learning_rate: rate,
                ..Portrait::default()
            },
            troubles: vec![trouble.clone()],
        };
        for rate in [None, Some((0.0, 0.1))] {
            let mut findings = [finding("exploding")];
            exonerate(&mut findings, &at(rate));
            assert_eq!(findings[0], finding("exploding"));
        }
        let mut findings = [finding("exploding"), finding("vanishing")];
        exonerate(&mut findings, &at(Some((0.0, 0.0))));
        assert_eq!(findings[0].remedy, ["change the architecture"]);
        assert!(
            findings[0]
                .diagnosis
                .starts_with("The baseline lr0 shows it at learning rate 0 too")
        );
        assert_eq!(findings[1], finding("vanishing"));
    }
}
