//! Persistent, transient and start-up NaN.

use super::INFO;
use crate::model::{Quantity, Severity};
use crate::rules::check::Judgement;
use crate::rules::check::bench::Bench;

const GRADIENT: &[(&str, f64)] = &[("startup_steps", 50.0), ("patience", 1.0)];

fn gradients(values: &[(f64, f64)]) -> Bench {
    let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
    for (value, loss) in values {
        bench.push_beside_loss(*value, *loss);
    }
    bench
}

#[test]
fn loss_is_critical_at_the_first_point() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for before in [0, 1, 100] {
            let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
            bench.push_all(vec![1.0; before]).push_all([bad; 30]);
            assert_eq!(bench.first(Severity::Critical), Some(before as i64));
            assert_eq!(bench.severity(), Some(Severity::Critical));
        }
    }
}

#[test]
fn a_loss_that_heals_at_once_ends_as_warning() {
    let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
    bench
        .push_all(vec![1.0; 30])
        .push_all([f64::NAN])
        .push_all(vec![1.0; 30]);
    assert_eq!(bench.severity(), Some(Severity::Warning));
    assert_eq!(
        bench
            .said
            .iter()
            .filter(|it| matches!(it.1, Judgement::Healed(_)))
            .count(),
        1
    );
}

#[test]
fn a_loss_that_flickers_stays_critical() {
    let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
    bench.push_all(vec![1.0; 30]);
    for _ in 0..20 {
        bench.push_all([f64::NAN, 1.0, 1.0]);
    }
    assert_eq!(bench.severity(), Some(Severity::Critical));
}

#[test]
fn loss_scale_search_is_info() {
    let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
    for step in 0..60 {
        bench.facts.loss_scale = Some(if step < 6 {
            65536.0 / f64::from(1 << step)
        } else {
            1024.0
        });
        bench.push_beside_loss(if step < 6 { f64::INFINITY } else { 2.0 }, 2.3);
    }
    assert_eq!(bench.severity(), Some(Severity::Info));
}

#[test]
fn a_search_without_a_logged_scale_ends_as_info() {
    let mut run = vec![(f64::INFINITY, 2.3); 3];
    run.extend([(2.0, 2.2); 40]);
    let bench = gradients(&run);
    assert_eq!(bench.severity(), Some(Severity::Info));
    assert_eq!(bench.first(Severity::Critical), None);
}

#[test]
fn a_skipped_step_is_a_warning_and_info_when_the_scale_shows_it() {
    let mut run = vec![(1.0, 2.3); 100];
    run.push((f64::INFINITY, 2.3));
    run.extend([(1.0, 2.3); 20]);
    let bench = gradients(&run);
    assert_eq!(bench.severity(), Some(Severity::Warning));
    assert_eq!(bench.first(Severity::Critical), None);
    let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
    for step in 0..200 {
        bench.facts.loss_scale = Some(if step > 150 { 1024.0 } else { 2048.0 });
        bench.push_beside_loss(if step == 150 { f64::INFINITY } else { 2.0 }, 2.3);
    }
    assert_eq!(bench.severity(), Some(Severity::Info));
}

#[test]
fn gradients_that_stay_nan_are_critical_though_the_loss_looks_fine() {
    let mut run = vec![(1.0, 2.3); 100];
    run.extend([(f64::NAN, 2.3); 10]);
    let bench = gradients(&run);
    assert_eq!(bench.first(Severity::Warning), Some(100));
    assert_eq!(bench.first(Severity::Critical), Some(101));
}

#[test]
fn gradients_without_a_loss_are_critical_at_once() {
    let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
    bench.push_all(vec![1.0; 60]).push_all([f64::NAN]);
    assert_eq!(bench.first(Severity::Critical), Some(60));
}

#[test]
fn a_metric_that_never_applied_is_info() {
    let mut bench = Bench::new(&INFO, Quantity::Throughput, &[("needs_finite", 1.0)]);
    bench.push_all([f64::NAN; 30]);
    assert_eq!(bench.severity(), Some(Severity::Info));
}

#[test]
fn a_restart_forgets() {
    let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
    bench.push_all(vec![1.0; 30]).push_all([f64::NAN; 5]);
    bench.rewind(20);
    assert_eq!(bench.push(1.0), Judgement::Good);
    assert_eq!(bench.push(1.0), Judgement::Good);
}

#[test]
fn a_gradient_that_was_finite_before_is_not_in_the_start_up_search() {
    let mut early = vec![(0.5, 2.0); 17];
    early.extend([(f64::NAN, 0.0); 12]);
    assert_eq!(gradients(&early).severity(), Some(Severity::Critical));
}
