//! Healthy and exponential growth, and the forecast.

use super::INFO;
use crate::model::{Quantity, Severity};
use crate::rules::check::Judgement;
use crate::rules::check::bench::{Bench, Noise};
use crate::rules::check::families::{Shape, gradient_norms};

const GRADIENTS: &[(&str, f64)] = &[("ratio", 30.0), ("shift_ratio", 3.0), ("needs_loss_unwell", 1.0)];

fn grown(changed: &[(&str, f64)], values: impl IntoIterator<Item = f64>) -> Bench {
    let mut bench = Bench::new(&INFO, Quantity::WeightNorm, changed);
    bench.push_all(values);
    bench
}

/// Weights as healthy runs have them.
fn weights(seed: u64) -> Vec<(String, Vec<f64>)> {
    let shapes: &[Shape] = &[
        ("root", |t| (1.0 + 80.0 * t).sqrt()),
        ("line", |t| 1.0 + 12.0 * t),
        ("from zero", |t| 1e-3 + 3.0 * (1.0 - (-6.0 * t).exp())),
        ("from zero, slowly", |t| 0.05 * (300.0 * t).powf(0.8)),
        ("logistic x4", |t| 4.0 / (1.0 + 3.0 * (-12.0 * t).exp())),
        ("decays", |t| 10.0 * (-2.0 * t).exp()),
        ("flat", |_| 7.0),
    ];
    let mut noise = Noise(seed);
    let mut runs = Vec::new();
    for (name, level) in shapes {
        for sd in [0.0, 1e-3, 0.02] {
            for length in [10, 40, 100, 1000, 5000] {
                let run = (0..length)
                    .map(|i| level(f64::from(i) / f64::from(length)) * (sd * noise.normal()).exp());
                runs.push((format!("{name}, sd {sd}, {length} points"), run.collect()));
            }
        }
    }
    runs
}

#[test]
fn healthy_weights_and_gradients_are_quiet() {
    let mut alarms = Vec::new();
    for seed in 1..=3 {
        for (name, run) in weights(seed) {
            if grown(&[], run).severity().is_some() {
                alarms.push(name);
            }
        }
        for (name, run) in gradient_norms(seed) {
            let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENTS);
            for (i, norm) in run.into_iter().enumerate() {
                bench.push_beside_loss(norm, 1.0 + 2.0 / (1.0 + 0.01 * i as f64));
            }
            if bench.severity().is_some() {
                alarms.push(name);
            }
        }
    }
    assert!(alarms.is_empty(), "{}: {alarms:#?}", alarms.len());
}

#[test]
fn exponential_growth_is_found_with_a_forecast() {
    for (rate, length) in [(0.1, 60), (0.02, 300), (0.002, 3000)] {
        for onset in [0, length / 3] {
            let mut noise = Noise(3);
            let bench = grown(
                &[],
                (0..length)
                    .map(|i| 9.0 * (rate * f64::from((i - onset).max(0)) + 0.01 * noise.normal()).exp()),
            );
            assert_eq!(bench.severity(), Some(Severity::Critical), "{rate} {onset}");
            let overflow = f64::from(onset) + ((3.4e38_f64).ln() - 9.0_f64.ln()) / rate;
            let Some(Judgement::Bad(seen)) = bench.said.last().map(|it| it.1.clone()) else {
                panic!("nothing at the end");
            };
            let forecast = seen.forecast_step.unwrap_or(0) as f64;
            assert!(
                (forecast / overflow - 1.0).abs() < 0.1,
                "{rate} {onset}: {forecast} {overflow}"
            );
        }
    }
}

#[test]
fn faster_than_exponential_has_no_forecast() {
    let bench = grown(
        &[],
        (0..60).map(|i| (1e-3 * f64::from(i * i) + 5e-7 * f64::from(i * i * i * i)).exp()),
    );
    assert!(bench.severity().is_some());
    assert!(
        bench
            .said
            .iter()
            .all(|it| !matches!(&it.1, Judgement::Bad(seen) if seen.forecast_step.is_some()) || it.0 < 59)
    );
}

#[test]
fn a_lasting_shift_of_gradients_is_a_warning_when_the_loss_suffers() {
    for (is_unwell, expected) in [(true, Some(Severity::Warning)), (false, None)] {
        let mut noise = Noise(5);
        let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENTS);
        for i in 0..600 {
            let loss = 2.0 / f64::from(1 + i).sqrt() + if is_unwell && i > 500 { 1.0 } else { 0.0 };
            let norm = (0.2 * noise.normal()).exp() * if i > 500 { 5.0 } else { 1.0 };
            bench.push_beside_loss(norm, loss);
        }
        assert_eq!(bench.severity(), expected);
    }
}

#[test]
fn a_restart_forgets_what_it_superseded() {
    let mut bench = grown(
        &[],
        (0..100).map(|i| {
            if i < 50 {
                1.0
            } else {
                (0.1 * f64::from(i - 50)).exp()
            }
        }),
    );
    bench.rewind(50);
    bench.said.clear();
    bench.push_all((0..50).map(|i| 1.0 + 1e-3 * f64::from(i)));
    assert_eq!(bench.severity(), None);
}

#[test]
fn what_starts_at_zero_grows_by_any_factor() {
    let mut bench = Bench::new(&INFO, Quantity::WeightNorm, &[]);
    bench.push(0.0);
    bench.push_all((0..300).map(|i| 0.01 * (0.02 * f64::from(i)).exp()));
    assert_eq!(bench.severity(), None);
    let mut bench = Bench::new(&INFO, Quantity::WeightNorm, &[]);
    bench.push_all((0..300).map(|i| 0.01 * (0.02 * f64::from(i)).exp()));
    assert!(bench.severity().is_some());
}
