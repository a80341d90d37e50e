//! Calibration keeps what it promises.
//!
//! In: small ensembles with fixed seeds. Out: assertions. Invariant: probabilities are checked by counting in
//! fresh networks, and formulas against independent ones.

use super::{CalibrateSpec, calibrate, rule_file, run_z};
use crate::simulate::{Activation, ChainSpec, Channel, Init, Rng, simulate_ensemble};
use crate::stats::normal_upper_quantile;

fn spec(depth: usize, width: usize) -> CalibrateSpec {
    CalibrateSpec {
        chain: ChainSpec {
            batch: 2,
            ..ChainSpec::uniform(depth, width)
        },
        repetitions: 300,
        seed: 1,
        false_alarm: 0.02,
        looks: 100,
    }
}

#[test]
fn z_of_a_run_has_its_known_limits() {
    let single = normal_upper_quantile(5e-4);
    assert!((run_z(1e-3, 1, 0.3) - single).abs() < 1e-12);
    assert!((run_z(1e-3, 1_000, 1.0) - single).abs() < 1e-12);
    // Independent looks: 1 - (1 - q)^looks = p.
    let per_look = -((1.0f64 - 1e-3).ln() / 1_000.0).exp_m1();
    assert!((run_z(1e-3, 1_000, 0.0) - normal_upper_quantile(per_look / 2.0)).abs() < 1e-6);
    let middle = run_z(1e-3, 1_000, 0.5);
    assert!(single < middle && middle < run_z(1e-3, 1_000, 0.1));
    assert!(run_z(1e-9, u64::MAX, 0.2).is_finite());
}

/// `P(max of 20 correlated |z| > z)` counted in 20,000 draws, within five standard errors.
#[test]
fn z_of_a_run_is_exceeded_as_often_as_stated() {
    let (p, looks, rho) = (0.1, 20, 0.4);
    let z = run_z(p, looks, rho);
    let mut rng = Rng::new(8);
    let exceeded = (0..20_000).filter(|_| {
        let own = rng.normal() * f64::sqrt(rho);
        (0..looks)
            .map(|_| own + rng.normal() * f64::sqrt(1.0 - rho))
            .any(|value| value.abs() > z)
    });
    let share = exceeded.count() as f64 / 20_000.0;
    assert!(
        (share - p).abs() < 5.0 * (p * (1.0 - p) / 20_000.0).sqrt(),
        "{share}"
    );
}

#[test]
fn fresh_healthy_networks_stay_below_the_bounds() {
    let asked = spec(12, 32);
    let result = calibrate(&asked, &|_| ()).unwrap();
    let fresh = simulate_ensemble(&asked.chain, 1_000, 99, &|_| ()).unwrap();
    let flagged = fresh.iter().filter(|network| {
        Channel::ALL.iter().any(|c| {
            network
                .trend(*c)
                .is_some_and(|t| result.bounds.flag(&t, super::TAU))
        })
    });
    // One look must be far rarer than the 2 % of a whole run.
    assert!(flagged.count() <= 20);
    for channel in &result.channels {
        assert!(channel.false_alarm_upper > 0.0 && channel.usable == 300);
        assert!(channel.slope_per_run > channel.slope_per_look);
    }
    // Theory: v = 0.5 for the bias gradients of a linear Gaussian chain, times 1 +- sqrt(2 / 300).
    assert!(
        (result.channels[0].v_hat - 0.5).abs() < 0.3,
        "{}",
        result.channels[0].v_hat
    );
    // iso-gain: sd sqrt(n / 2) / m.
    assert!(
        (result.iso_gain.1 / ((12.0f64 / 2.0).sqrt() / 32.0) - 1.0).abs() < 0.25,
        "{:?}",
        result.iso_gain
    );
}

#[test]
fn weight_gradients_are_reported_blind_and_bias_gradients_see() {
    let asked = CalibrateSpec {
        repetitions: 100,
        ..spec(16, 64)
    };
    let result = calibrate(&asked, &|_| ()).unwrap();
    assert!(
        result
            .warnings
            .iter()
            .any(|w| w.starts_with("channel gw is blind")),
        "{:?}",
        result.warnings
    );
    let smallest = &result.smallest[0];
    assert!(
        smallest.below >= Some(0.8) && smallest.above <= Some(1.4),
        "{smallest:?}"
    );
    assert_eq!((result.smallest[2].below, result.smallest[2].above), (None, None));
}

#[test]
fn narrow_networks_are_warned_of() {
    let narrow = CalibrateSpec {
        repetitions: 60,
        ..spec(24, 4)
    };
    let result = calibrate(&narrow, &|_| ()).unwrap();
    assert!(
        result.warnings[0].starts_with("depth / width is 6.00"),
        "{:?}",
        result.warnings
    );
}

#[test]
fn the_same_seed_gives_the_same_rule_file() {
    let chain = ChainSpec {
        init: Init::He,
        activation: Activation::Relu,
        ..spec(8, 16).chain
    };
    let asked = CalibrateSpec {
        chain,
        repetitions: 60,
        ..spec(8, 16)
    };
    let (first, second) = (
        calibrate(&asked, &|_| ()).unwrap(),
        calibrate(&asked, &|_| ()).unwrap(),
    );
    let text = rule_file(&first);
    assert_eq!(text, rule_file(&second));
    assert!(text.contains("60 repetitions, seed 1."), "{text}");
    let table: toml::Table = text.parse().unwrap();
    let rules = table["rule"].as_array().unwrap();
    assert_eq!(rules.len(), 2);
    let total = rules[0]["total_ratio"].as_float().unwrap();
    assert_eq!(rules[0]["id"].as_str(), Some("vanishing-gradients"));
    assert!(
        (total / first.bounds.total_ratio - 1.0).abs() < 1e-9 && total > 1.0,
        "{total} {:?}",
        first.bounds
    );
}

#[test]
fn nonsense_is_refused() {
    let refused = |spec: &CalibrateSpec| calibrate(spec, &|_| ()).unwrap_err().to_string();
    let good = spec(8, 8);
    assert!(
        refused(&CalibrateSpec {
            false_alarm: 0.0,
            ..good.clone()
        })
        .starts_with("the false-alarm probability")
    );
    assert!(
        refused(&CalibrateSpec {
            false_alarm: f64::NAN,
            ..good.clone()
        })
        .contains("NaN")
    );
    assert!(
        refused(&CalibrateSpec {
            looks: 0,
            ..good.clone()
        })
        .contains("looks")
    );
    assert!(
        refused(&CalibrateSpec {
            repetitions: 3,
            ..good.clone()
        })
        .ends_with("at least 50, not 3")
    );
    assert!(refused(&spec(2, 8)).contains("layers to calibrate"));
}
