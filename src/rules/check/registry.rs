//! The detectors by name.
//!
//! In: the name that a rule file gives. Out: what the check declares. Invariant: names and, within a check,
//! parameter names are unique, and every default lies within its range (tested).

use super::{
    CheckInfo, baseline, clip_saturation, dead_layer, decay, depth_trend, divergence, frozen_layer, gain,
    gradient_level, growth, layer_outlier, learning_rate, log_integrity, log_pattern, loss_scale, masked,
    no_progress, non_finite, overfit, silence, skipped_steps, spike, stall, threshold, throughput,
    update_ratio, weight_drift,
};

/// Every check that a rule can name.
pub static CHECKS: &[&CheckInfo] = &[
    &non_finite::INFO,
    &masked::INFO,
    &depth_trend::INFO,
    &gain::INFO,
    &gradient_level::INFO,
    &dead_layer::INFO,
    &frozen_layer::INFO,
    &layer_outlier::INFO,
    &divergence::INFO,
    &spike::INFO,
    &no_progress::INFO,
    &overfit::INFO,
    &growth::INFO,
    &weight_drift::INFO,
    &decay::INFO,
    &learning_rate::INFO,
    &update_ratio::INFO,
    &clip_saturation::INFO,
    &loss_scale::INFO,
    &skipped_steps::INFO,
    &baseline::INFO,
    &silence::INFO,
    &stall::INFO,
    &log_pattern::INFO,
    &log_integrity::INFO,
    &throughput::INFO,
    &threshold::INFO,
];

/// The check with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static CheckInfo> {
    CHECKS.iter().copied().find(|it| it.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{CHECKS, find};

    #[test]
    fn names_are_unique_kebab_case_and_found() {
        let mut seen = HashSet::new();
        for check in CHECKS {
            assert!(seen.insert(check.name), "{} twice", check.name);
            assert!(
                check
                    .name
                    .bytes()
                    .all(|it| it.is_ascii_lowercase() || it == b'-' || it.is_ascii_digit())
            );
            assert!(find(check.name).is_some_and(|it| std::ptr::eq(it, *check)));
            assert!(!check.doc.is_empty(), "{} says nothing", check.name);
        }
        assert!(find("no-such-check").is_none());
    }

    #[test]
    fn parameters_are_unique_documented_and_in_range() {
        for check in CHECKS {
            let mut seen = HashSet::new();
            for param in check.params {
                let name = format!("{}.{}", check.name, param.name);
                assert!(seen.insert(param.name), "{name} twice");
                assert!(
                    (param.min..=param.max).contains(&param.default),
                    "{name}: default out of range"
                );
                assert!(!param.doc.is_empty(), "{name} says nothing");
                assert!(
                    !crate::rules::validate::KEYS.contains(&param.name),
                    "{name} is also a key of every rule"
                );
            }
        }
    }
}
