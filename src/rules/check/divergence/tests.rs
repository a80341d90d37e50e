//! False alarms on made-up healthy losses, and delays on sick ones.

use super::INFO;
use crate::model::{Quantity, Severity};
use crate::rules::check::Judgement;
use crate::rules::check::bench::{Bench, Noise};
use crate::rules::check::families::{falling_losses, odd_losses};

fn bench(values: impl IntoIterator<Item = f64>) -> Bench {
    let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
    bench.push_all(values);
    bench
}

#[test]
fn healthy_losses_are_quiet() {
    let (mut runs, mut alarms) = (0, Vec::new());
    for seed in 11..=14 {
        for (name, run) in falling_losses(seed).into_iter().chain(odd_losses(seed)) {
            let mut bench = bench(run);
            bench.finish();
            runs += 1;
            if bench.severity() >= Some(Severity::Warning) {
                alarms.push(name);
            }
        }
    }
    // A wander of AR(.9) noise by almost six standard deviations from its lowest to its highest is a rise to anyone
    // who sees the loss alone: one in a thousand of these harsh runs may do it.
    assert!(
        1000 * alarms.len() <= runs,
        "{} of {runs}: {alarms:#?}",
        alarms.len()
    );
}

fn noisy(seed: u64, length: usize, sd: f64, level: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut noise = Noise(seed);
    (0..length)
        .map(|i| level(i as f64 / length as f64) * (sd * noise.normal()).exp())
        .collect()
}

fn fall(t: f64) -> f64 {
    0.4 + 2.0 * (-8.0 * t).exp()
}

#[test]
fn a_jump_that_stays_is_a_warning_at_once_and_critical_later() {
    for (seed, length, sd) in [(1, 30, 0.05), (2, 60, 0.1), (3, 400, 0.1), (4, 3000, 0.2)] {
        for height in [2.3, 8.0, 1e6] {
            let mut bench = bench(noisy(seed, length, sd, fall));
            bench.push_all(noisy(seed + 9, 40, sd, |_| height));
            let (warned, lost) = (bench.first(Severity::Warning), bench.first(Severity::Critical));
            let delay = |step: Option<i64>| step.map(|it| it - length as i64);
            assert!(
                delay(warned).is_some_and(|it| (2..=6).contains(&it)),
                "{length} {height}: {warned:?}"
            );
            assert!(
                delay(lost).is_some_and(|it| it <= 20),
                "{length} {height}: {lost:?}"
            );
            assert_eq!(bench.severity(), Some(Severity::Critical));
        }
    }
}

#[test]
fn a_rise_that_comes_back_is_a_warning_in_the_end() {
    for (length, decay) in [(60, 5.0), (300, 10.0), (300, 30.0)] {
        let mut bench = bench(noisy(5, length, 0.05, fall));
        bench.push_all((0..200).map(|i| 0.4 + 8.0 * (-f64::from(i) / decay).exp()));
        bench.finish();
        assert_eq!(bench.severity(), Some(Severity::Warning), "{length} {decay}");
    }
}

#[test]
fn two_outlier_batches_say_nothing() {
    let mut bench = bench(noisy(6, 100, 0.05, fall));
    bench
        .push_all([50.0, 60.0])
        .push_all(noisy(7, 100, 0.05, |_| 0.4));
    assert_eq!(bench.severity(), None);
}

#[test]
fn a_language_model_that_began_at_11_is_seen_at_6() {
    let mut bench = bench(noisy(8, 500, 0.02, |t| 2.2 + 9.0 * (-20.0 * t).exp()));
    bench.push_all(noisy(9, 20, 0.05, |_| 6.4));
    assert!(bench.first(Severity::Warning).is_some_and(|it| it <= 518));
}

#[test]
fn a_negative_loss_is_judged_by_its_fall() {
    let mut noise = Noise(3);
    let mut bench =
        bench((0..200).map(|i| 3.0 - 12.0 * (f64::from(i) / 100.0).min(1.0) + 0.3 * noise.normal()));
    assert_eq!(bench.severity(), None);
    bench.push_all((0..30).map(|_| 2.0 + 0.3 * noise.normal()));
    assert_eq!(bench.severity(), Some(Severity::Critical));
}

#[test]
fn a_run_that_explodes_from_its_start_is_seen() {
    let bench = bench((0..20).map(|i| 2.3 * 1.8_f64.powi(i)));
    assert_eq!(bench.severity(), Some(Severity::Critical));
    assert!(
        bench.first(Severity::Warning).is_some_and(|it| it <= 10),
        "{:?}",
        bench.said
    );
}

#[test]
fn a_slow_creep_and_a_growing_oscillation_are_warnings() {
    let creep = bench(noisy(4, 2000, 0.03, |t| fall(4.0 * t) + 1.2 * (t - 0.4).max(0.0)));
    assert_eq!(creep.severity(), Some(Severity::Warning));
    let swing = bench((0..80).map(|i| {
        let level = 1.0 + 2.0 * (-f64::from(i) / 5.0).exp();
        level + 0.01 * 1.07_f64.powi(i) * if i % 2 == 0 { 1.0 } else { -1.0 }
    }));
    assert_eq!(swing.severity(), Some(Severity::Warning));
}

#[test]
fn a_restart_takes_back_the_rise_and_keeps_the_start() {
    let mut bench = bench(noisy(2, 200, 0.05, fall));
    bench.push_all(noisy(3, 4, 0.05, |_| 3.0));
    bench.rewind(150);
    bench.said.clear();
    bench.push_all(noisy(4, 50, 0.05, |_| 0.4));
    assert_eq!(bench.severity(), None);
    bench.push_all(noisy(5, 40, 0.05, |_| 2.5));
    assert_eq!(bench.severity(), Some(Severity::Critical));
}

#[test]
fn values_that_are_not_finite_are_passed_over() {
    let mut bench = bench(noisy(2, 100, 0.05, fall));
    bench
        .push_all([f64::NAN, f64::INFINITY])
        .push_all(noisy(4, 50, 0.05, |_| 0.4));
    assert_eq!(bench.severity(), None);
}

#[test]
fn a_rise_that_comes_again_is_told_again() {
    let mut bench = bench(noisy(5, 150, 0.03, fall));
    bench.push_all(noisy(6, 8, 0.03, |_| 2.3));
    bench.push_all(noisy(7, 100, 0.03, |_| 0.41));
    let healed = |bench: &Bench| {
        bench
            .said
            .iter()
            .filter(|it| matches!(it.1, Judgement::Healed(_)))
            .count()
    };
    assert_eq!(healed(&bench), 1);
    bench.push_all(noisy(8, 60, 0.03, |_| 2.3));
    assert_eq!((healed(&bench), bench.severity()), (1, Some(Severity::Critical)));
}

#[test]
fn a_rise_near_zero_is_small_however_many_times_it_is() {
    let mut bench = bench(noisy(9, 200, 0.05, |t| 0.03 + 3.2 * (-20.0 * t).exp()));
    bench.push_all(noisy(10, 20, 0.05, |_| 0.6));
    bench.push_all(noisy(11, 60, 0.05, |_| 0.03));
    assert_eq!(bench.severity(), None);
}

#[test]
fn all_progress_undone_is_a_divergence_whatever_the_ratio() {
    let mut bench = bench(noisy(12, 100, 0.01, |t| 2.3 - 0.75 * t));
    bench.push_all(noisy(13, 40, 0.002, |_| 2.302));
    assert_eq!(bench.severity(), Some(Severity::Critical));
}

#[test]
fn losses_of_a_game_rise_in_good_health() {
    let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
    bench.facts.is_game = true;
    bench.push_all(noisy(14, 100, 0.05, |t| 0.65 - 0.2 * t));
    bench.push_all(noisy(15, 100, 0.05, |_| 1.2));
    assert_eq!(bench.severity(), None);
    bench.push_all(noisy(16, 100, 0.05, |_| 30.0));
    assert_eq!(bench.severity(), Some(Severity::Critical));
}
