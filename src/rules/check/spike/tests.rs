//! False alarms on made-up healthy runs, and spikes of known size.

use super::INFO;
use crate::model::{Quantity, Severity};
use crate::rules::check::bench::{Bench, Noise};
use crate::rules::check::families::{falling_losses, gradient_norms, odd_losses};

const LOSS: &[(&str, f64)] = &[("ratio", 1.1), ("setback", 0.35), ("needs_loss_unwell", 0.0)];

fn loss(values: impl IntoIterator<Item = f64>) -> Bench {
    let mut bench = Bench::with_severity(&INFO, Quantity::Loss, LOSS, Severity::Warning);
    bench.push_all(values);
    bench
}

fn norms(values: impl IntoIterator<Item = f64>) -> Bench {
    let mut bench = Bench::with_severity(&INFO, Quantity::GradNorm, &[], Severity::Warning);
    bench.push_all(values);
    bench
}

#[test]
fn healthy_losses_are_quiet() {
    let (mut runs, mut alarms) = (0, Vec::new());
    for seed in 11..=14 {
        for (name, run) in falling_losses(seed).into_iter().chain(odd_losses(seed)) {
            runs += 1;
            if loss(run).severity() >= Some(Severity::Warning) {
                alarms.push(name);
            }
        }
    }
    assert!(alarms.is_empty(), "{} of {runs}: {alarms:#?}", alarms.len());
}

#[test]
fn healthy_gradient_norms_are_quiet() {
    let (mut runs, mut alarms) = (0, Vec::new());
    for seed in 1..=5 {
        for (name, run) in gradient_norms(seed) {
            runs += 1;
            if norms(run).severity() >= Some(Severity::Warning) {
                alarms.push(name);
            }
        }
    }
    assert!(alarms.is_empty(), "{} of {runs}: {alarms:#?}", alarms.len());
}

fn noisy(seed: u64, length: usize, sd: f64, level: f64) -> Vec<f64> {
    let mut noise = Noise(seed);
    (0..length).map(|_| level * (sd * noise.normal()).exp()).collect()
}

#[test]
fn one_outlier_is_info_and_three_of_five_are_a_warning() {
    for history in [16, 40, 400] {
        let mut bench = loss(noisy(1, history, 0.03, 2.5));
        bench.push_all([6.0]).push_all(noisy(2, 40, 0.03, 2.5));
        assert_eq!(bench.severity(), Some(Severity::Info), "{history}");
        bench
            .push_all([6.0, 6.1, 2.5, 5.5])
            .push_all(noisy(3, 40, 0.03, 2.5));
        assert_eq!(bench.severity(), Some(Severity::Warning), "{history}");
    }
}

#[test]
fn a_huge_outlier_that_lingers_is_a_warning() {
    let mut bench = loss(noisy(1, 60, 0.03, 2.0));
    bench.push_all([200.0, 3.1]).push_all(noisy(2, 40, 0.03, 2.0));
    assert_eq!(bench.first(Severity::Warning), Some(61));
}

/// The nine lines of BLOOM-176B's spike at iterations 31214 to 31222, after 600 quiet points.
#[test]
fn the_gradient_norm_of_a_published_spike_is_seen_before_its_loss() {
    let mut bench = norms(noisy(7, 600, 0.15, 0.2));
    bench.push_all([0.242, 0.947, 2.39, 15.9, 145.0, 960.0]);
    let said = |from: i64| {
        bench
            .said
            .iter()
            .find(|it| it.0 >= from && matches!(it.1, crate::rules::check::Judgement::Bad(_)))
    };
    assert_eq!(said(600).map(|it| it.0), Some(601));
}

#[test]
fn large_gradients_of_a_run_that_learns_are_info() {
    let (mut bench, mut loss) = (norms([]), 2.3);
    for i in 0..120 {
        // A plateau, then learning begins with gradients 30 times as large.
        let norm = if i < 60 {
            0.1 + 0.001 * f64::from(i % 7)
        } else {
            3.0
        };
        loss = if i < 60 {
            2.3 - 0.003 * f64::from(i)
        } else {
            loss * 0.97
        };
        bench.push_beside_loss(norm, loss);
    }
    assert_eq!(bench.severity(), Some(Severity::Info));
}

#[test]
fn a_restart_forgets_the_level() {
    let mut bench = loss(noisy(1, 100, 0.03, 2.0));
    bench.rewind(50);
    bench.said.clear();
    bench.push_all(noisy(2, 40, 0.03, 4.0));
    assert_eq!(bench.severity(), None);
}

#[test]
fn a_new_level_is_learnt_after_sixteen_points() {
    let mut bench = norms(noisy(1, 200, 0.1, 1.0));
    bench.push_all(noisy(2, 60, 0.1, 40.0));
    bench.said.clear();
    bench.push_all(noisy(3, 60, 0.1, 40.0));
    assert_eq!(bench.severity(), None);
}

#[test]
fn a_burst_in_a_log_of_few_points_is_told_beside_a_loss_that_rises() {
    let before = [95e3, 85e3, 122e3, 90e3, 230e3, 180e3, 89e3];
    let after = [1.5e6, 3.3e6, 1.8e6, 1.4e6];
    let run = |loss: f64| {
        let mut bench = Bench::with_severity(&INFO, Quantity::GradNorm, &[], Severity::Warning);
        let points = before
            .map(|norm| (norm, 3.3))
            .into_iter()
            .chain(after.map(|norm| (norm, loss)));
        for (norm, loss) in points {
            bench.push_beside_loss(norm, loss);
        }
        bench.severity()
    };
    assert_eq!(run(7.4), Some(Severity::Warning));
    assert_eq!(run(3.4), None, "the loss does not mind");
}
