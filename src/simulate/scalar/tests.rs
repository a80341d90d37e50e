//! The scalar chain: closed form against finite differences, formats against measured layers.
//!
//! In: chains from property tests. Out: assertions. Invariant: expectations come from formulas or published
//! measurements, never from the code under test.

use proptest::prelude::{prop_assert, proptest};

use super::{NumberFormat, Regime, ScalarChain, SimulateError, fate};

fn output(weights: &[f64], biases: &[f64], x: f64) -> f64 {
    weights.iter().zip(biases).fold(x, |a, (w, b)| w * a + b)
}

/// Central difference of the output in one parameter; exact up to rounding, `y` is linear in each.
fn slope_in(values: &[f64], k: usize, run: impl Fn(&[f64]) -> f64) -> f64 {
    let moved = |by: f64| {
        let mut copy = values.to_vec();
        copy[k] += by;
        run(&copy)
    };
    (moved(0.5) - moved(-0.5)) / 1.0
}

proptest! {
    #[test]
    fn closed_form_is_the_slope_of_the_output(
        params in proptest::collection::vec((-1.5f64..1.5, -1.0f64..1.0), 1..12),
        x in -2.0f64..2.0,
    ) {
        let (weights, biases): (Vec<f64>, Vec<f64>) = params.into_iter().unzip();
        let chain = ScalarChain::listed(weights.clone(), biases.clone(), x).unwrap();
        for k in 0..weights.len() {
            let layer = chain.closed_form(k + 1).unwrap();
            let by_weight = slope_in(&weights, k, |w| output(w, &biases, x));
            let by_bias = slope_in(&biases, k, |b| output(&weights, b, x));
            prop_assert!((layer.grad_weight.to_f64() - by_weight).abs() < 1e-9);
            prop_assert!((layer.grad_bias.to_f64() - by_bias).abs() < 1e-9);
        }
    }

    #[test]
    fn loss_gradient_is_the_slope_of_the_loss(w in -1.5f64..1.5, b in -1.0f64..1.0, t in -2.0f64..2.0) {
        let loss = |b: f64| 0.5 * (output(&[w; 5], &[b; 5], 1.0) - t).powi(2);
        let pass = ScalarChain::homogeneous(5, w, b, 1.0).unwrap().loss_pass(t).unwrap();
        prop_assert!((pass.loss.to_f64() - loss(b)).abs() < 1e-9 * (1.0 + loss(b)));
        // The loss is quadratic in a shift of all biases: the central difference is exact.
        let all: f64 = pass.layers.iter().map(|layer| layer.grad_bias.to_f64()).sum();
        let slope = (loss(b + 0.25) - loss(b - 0.25)) / 0.5;
        prop_assert!((all - slope).abs() < 1e-7 * (1.0 + slope.abs()), "{} {}", all, slope);
    }

    #[test]
    fn weight_gradients_of_a_chain_without_biases_are_flat(n in 2usize..200, w in 0.3f64..3.0) {
        let layers = ScalarChain::homogeneous(n, w, 0.0, 1.0).unwrap().output_pass();
        let level = (n - 1) as f64 * w.ln();
        for layer in &layers {
            prop_assert!((layer.grad_weight.ln_abs() - level).abs() < 1e-11 * (1.0 + level.abs()));
        }
    }
}

#[test]
fn a_hundred_thousand_layers_are_a_number() {
    for w in [0.01, 0.5, 0.999, 1.0, 1.001, 3.0, 1e300] {
        let chain = ScalarChain::homogeneous(100_000, w, 1.0, 1.0).unwrap();
        let layers = chain.output_pass();
        let (first, last) = (&layers[0], &layers[99_999]);
        let expected = 99_999.0 * w.ln();
        assert!(
            (first.grad_bias.ln_abs() - expected).abs() < 1e-11 * (1.0 + expected.abs()),
            "{w}"
        );
        assert!(last.activation.ln_abs().is_finite(), "{w}");
    }
}

#[test]
fn drift_and_fixed_point_are_those_of_the_text() {
    let drift = ScalarChain::homogeneous(1_000, 1.0, 0.5, 2.0)
        .unwrap()
        .closed_form(1_000)
        .unwrap();
    assert_eq!(drift.activation.to_f64(), 502.0);
    let pulled = ScalarChain::homogeneous(500, 0.5, 3.0, -7.0)
        .unwrap()
        .closed_form(500)
        .unwrap();
    assert!((pulled.activation.to_f64() - 6.0).abs() < 1e-12);
    assert_eq!(Regime::of(-0.5), Regime::Vanishing);
    assert_eq!(Regime::of(-1.0), Regime::Stable);
    assert_eq!(Regime::of(1.0 + f64::EPSILON), Regime::Exploding);
}

/// Layers at which `x = 1`, `b = 0` first overflows, measured by emulation (float64: `ceil(ln MAX / ln w)`).
#[test]
fn formats_overflow_at_the_measured_layer() {
    let measured: [(NumberFormat, &[(f64, usize)]); 4] = [
        (
            NumberFormat::Float16,
            &[(1.05, 229), (1.1, 117), (1.25, 50), (2.0, 16)],
        ),
        (
            NumberFormat::Float32,
            &[(1.05, 1_819), (1.1, 931), (1.25, 398), (2.0, 128)],
        ),
        (
            NumberFormat::Bfloat16,
            &[(1.046_875, 1_946), (1.05, 1_946), (2.0, 128)],
        ),
        (
            NumberFormat::Float64,
            &[(1.05, 14_548), (1.1, 7_448), (1.25, 3_181), (2.0, 1_024)],
        ),
    ];
    for (format, rows) in measured {
        for &(w, layer) in rows {
            let chain = ScalarChain::homogeneous(layer + 3, w, 0.0, 1.0).unwrap();
            let values = chain.rounded_pass(format).into_iter().map(|l| l.activation);
            let first = fate(format, values).infinite;
            assert_eq!(first, Some(layer), "{} w {w}", format.name());
        }
    }
}

/// Between 1/2 and 1 a half-precision chain sticks at a subnormal and is never zero.
#[test]
fn half_precision_sticks_at_the_measured_subnormal() {
    for (w, layer, value) in [(0.8, 72, 1.19e-7), (0.9, 143, 2.4e-7), (0.95, 280, 6e-7)] {
        let chain = ScalarChain::homogeneous(400, w, 0.0, 1.0).unwrap();
        let pass = chain.rounded_pass(NumberFormat::Float16);
        let activations = fate(NumberFormat::Float16, pass.iter().map(|l| l.activation));
        let (since, kept) = activations.stuck.unwrap();
        assert!(since.abs_diff(layer) <= 1, "w {w}: stuck since {since}");
        assert!((kept / value - 1.0).abs() < 0.02, "w {w}: stuck at {kept:e}");
        assert_eq!(activations.zero, None);
        let gradients = fate(NumberFormat::Float16, pass.iter().rev().map(|l| l.grad_bias));
        assert!(gradients.stuck.is_some());
    }
    let halved = ScalarChain::homogeneous(40, 0.5, 0.0, 1.0)
        .unwrap()
        .rounded_pass(NumberFormat::Float16);
    assert_eq!(
        fate(NumberFormat::Float16, halved.iter().map(|l| l.activation)).zero,
        Some(25)
    );
}

#[test]
fn infinity_becomes_nan_at_a_zero_weight() {
    let mut weights = vec![2.0; 20];
    weights.push(0.0);
    let chain = ScalarChain::listed(weights, vec![0.0; 21], 1.0).unwrap();
    let pass = chain.rounded_pass(NumberFormat::Float16);
    let activations = fate(NumberFormat::Float16, pass.iter().map(|l| l.activation));
    assert_eq!((activations.infinite, activations.nan), (Some(16), Some(21)));
}

#[test]
fn bad_arguments_are_refused_in_a_sentence() {
    let sentence = |result: Result<ScalarChain, SimulateError>| result.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        sentence(ScalarChain::homogeneous(0, 1.0, 0.0, 1.0)),
        "a chain needs at least 1 layer"
    );
    assert!(sentence(ScalarChain::homogeneous(usize::MAX, 1.0, 0.0, 1.0)).contains("layers are more than"));
    let nan = sentence(ScalarChain::listed(vec![1.0, f64::NAN], vec![0.0; 2], 1.0));
    assert_eq!(nan, "weight 2 must be a finite number, not NaN");
    let unequal = sentence(ScalarChain::listed(vec![1.0], vec![], 1.0));
    assert_eq!(unequal, "1 weights do not go with 0 biases: list as many of each");
    let chain = ScalarChain::homogeneous(3, 1.0, 0.0, 1.0).unwrap();
    assert!(chain.loss_pass(f64::INFINITY).is_err());
    assert!(chain.closed_form(0).is_none() && chain.closed_form(4).is_none());
}
