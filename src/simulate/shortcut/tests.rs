//! The shortcut against explicit matrices, by two-sample Kolmogorov-Smirnov tests.
//!
//! In: fixed seeds. Out: assertions on the distributions of norms and depth slopes. Invariant: a test fails
//! when its statistic has a probability below 1e-4 under equality; seeds are fixed, so the outcome is too.

use super::simulate_norms;
use crate::simulate::{
    Activation, Block, ChainSpec, Init, LayerNorms, Matrix, MatrixChain, NumberFormat, Rng, Scaled,
};

const REPETITIONS: u64 = 400;

fn explicit_norms(spec: &ChainSpec, rng: &mut Rng) -> Vec<LayerNorms> {
    let chain = MatrixChain::random(spec, rng).unwrap();
    let x = Matrix::from_fn(chain.inputs(), spec.batch, |_, _| rng.normal());
    let delta = Matrix::from_fn(chain.outputs(), spec.batch, |_, _| {
        rng.normal() / spec.batch as f64
    });
    chain.norms(&chain.readout_pass(&x, delta).unwrap())
}

/// Statistics of one repetition: logs at both ends, the slope between them, and the weight norm.
fn statistics(norms: &[LayerNorms]) -> Vec<f64> {
    let (first, last) = (&norms[0], &norms[norms.len() - 1]);
    let channels: [fn(&LayerNorms) -> f64; 3] = [
        |n| n.activation_rms.ln_abs(),
        |n| n.grad_weight.ln_abs(),
        |n| n.grad_bias.ln_abs(),
    ];
    let mut out: Vec<f64> = channels
        .iter()
        .flat_map(|ln| [ln(first), ln(last), ln(last) - ln(first)])
        .collect();
    out.extend([first.weight, last.weight]);
    // Dependence between channels, not only their margins.
    out.push(last.activation_rms.ln_abs() - first.grad_weight.ln_abs());
    out.push(last.activation_rms.ln_abs() - last.grad_weight.ln_abs());
    out.push(first.grad_bias.ln_abs() - first.weight);
    out
}

/// Largest difference of two empirical distribution functions.
fn ks_distance(a: &mut [f64], b: &mut [f64]) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j, mut worst) = (0, 0, 0f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        while i < a.len() && a[i] <= value + 1e-9 {
            i += 1;
        }
        while j < b.len() && b[j] <= value + 1e-9 {
            j += 1;
        }
        worst = worst.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    worst
}

/// A network of pre-norm blocks with explicit weights, one sample: rms of the stream, gradients.
fn explicit_residual(width: usize, depth: usize, rng: &mut Rng) -> Vec<LayerNorms> {
    let mut stream = vec![Matrix::from_fn(width, 1, |_, _| rng.normal())];
    let (mut branches, mut weights) = (Vec::new(), Vec::new());
    for k in 0..depth {
        let sd = (1.0 / width as f64).sqrt();
        let weight = Matrix::from_fn(width, width, |_, _| sd * rng.normal());
        let root = rms(&stream[k]);
        let branch = Matrix::from_fn(width, 1, |row, _| (stream[k].get(row, 0) / root).max(0.0));
        let mut next = weight.times(&branch);
        next.add(&stream[k]);
        stream.push(next);
        branches.push(branch);
        weights.push(weight);
    }
    let mut delta = Matrix::from_fn(width, 1, |_, _| rng.normal());
    let mut norms = Vec::new();
    for k in (0..depth).rev() {
        norms.push(LayerNorms {
            k: k + 1,
            weight: weights[k].frobenius(),
            activation_rms: Scaled::new(rms(&stream[k + 1])),
            grad_weight: Scaled::new(delta.times_transposed(&branches[k]).frobenius()),
            grad_bias: Scaled::new(delta.frobenius()),
        });
        // The derivative of x / rms(x) is (I - u u^T / m) / rms(x), as an explicit matrix.
        let root = rms(&stream[k]);
        let u = |row: usize| stream[k].get(row, 0) / root;
        let jacobian = Matrix::from_fn(width, width, |row, col| {
            let slope = if u(row) > 0.0 { 1.0 } else { 0.0 };
            slope * (f64::from(u8::from(row == col)) - u(row) * u(col) / width as f64) / root
        });
        delta.add(&jacobian.transposed_times(&weights[k].transposed_times(&delta)));
    }
    norms.reverse();
    norms
}

fn rms(matrix: &Matrix) -> f64 {
    matrix.frobenius() / (matrix.values().len() as f64).sqrt()
}

#[test]
fn pre_norm_blocks_agree() {
    let blocks = ChainSpec {
        block: Block::PreNorm,
        ..spec(&[12; 7], Init::Gaussian, Activation::Relu, 1)
    };
    assert_agree(&blocks, &|rng| simulate_norms(&blocks, rng).unwrap(), &|rng| {
        explicit_residual(12, 6, rng)
    });
    let ragged = ChainSpec {
        widths: vec![4, 5],
        ..blocks.clone()
    };
    let sentence = simulate_norms(&ragged, &mut Rng::new(1)).unwrap_err().to_string();
    assert_eq!(
        sentence,
        "residual block 1 takes 4 numbers and adds 5: give all layers one width"
    );
    assert!(MatrixChain::random(&blocks, &mut Rng::new(1)).is_err());
}

fn assert_same_distribution(spec: &ChainSpec) {
    assert_agree(spec, &|rng| simulate_norms(spec, rng).unwrap(), &|rng| {
        explicit_norms(spec, rng)
    });
}

/// Draws the norms of one network.
type Draw<'a> = &'a dyn Fn(&mut Rng) -> Vec<LayerNorms>;

fn assert_agree(spec: &ChainSpec, shortcut: Draw<'_>, explicit: Draw<'_>) {
    let sample = |draw: Draw<'_>, seed: u64| -> Vec<Vec<f64>> {
        let runs: Vec<Vec<f64>> = (0..REPETITIONS)
            .map(|index| statistics(&draw(&mut Rng::stream(seed, index))))
            .collect();
        (0..runs[0].len())
            .map(|s| runs.iter().map(|run| run[s]).collect())
            .collect()
    };
    let mut short = sample(shortcut, 11);
    let mut long = sample(explicit, 12);
    // sqrt(-ln(p / 2) / n) for two samples of n at p = 1e-4 (asymptotic, Smirnov 1948).
    let limit = (-(1e-4f64 / 2.0).ln() / REPETITIONS as f64).sqrt();
    for (index, (a, b)) in short.iter_mut().zip(&mut long).enumerate() {
        let distance = ks_distance(a, b);
        assert!(
            distance < limit,
            "{spec:?} statistic {index}: {distance} above {limit}"
        );
    }
}

fn spec(widths: &[usize], init: Init, activation: Activation, batch: usize) -> ChainSpec {
    ChainSpec {
        widths: widths.to_vec(),
        init,
        activation,
        batch,
        ..ChainSpec::uniform(1, 1)
    }
}

#[test]
fn gaussian_linear_chains_agree() {
    assert_same_distribution(&spec(&[8; 7], Init::Gaussian, Activation::Linear, 3));
    assert_same_distribution(&spec(&[5, 9, 4, 7], Init::Gaussian, Activation::Linear, 2));
}

#[test]
fn batches_wider_than_the_layers_agree() {
    assert_same_distribution(&spec(&[3, 2, 4, 3], Init::Gaussian, Activation::Linear, 6));
    assert_same_distribution(&spec(&[1; 5], Init::Gaussian, Activation::Linear, 2));
}

#[test]
fn relu_and_smooth_activations_agree() {
    assert_same_distribution(&spec(&[16; 6], Init::He, Activation::Relu, 4));
    let tanh = ChainSpec {
        bias_sd: 0.3,
        gain: 1.2,
        ..spec(&[8; 6], Init::Gaussian, Activation::Tanh, 2)
    };
    assert_same_distribution(&tanh);
    assert_same_distribution(&spec(&[8; 4], Init::Gaussian, Activation::Gelu, 2));
    assert_same_distribution(&spec(&[8; 4], Init::He, Activation::Sigmoid, 2));
}

#[test]
fn orthogonal_chains_of_any_shape_agree() {
    assert_same_distribution(&spec(&[6; 5], Init::Orthogonal, Activation::Linear, 2));
    assert_same_distribution(&spec(&[4, 7, 5, 5, 3], Init::Orthogonal, Activation::Linear, 2));
    assert_same_distribution(&spec(&[6; 5], Init::Orthogonal, Activation::Tanh, 3));
    assert_same_distribution(&spec(&[3, 5, 2], Init::Orthogonal, Activation::Tanh, 5));
}

#[test]
fn the_test_itself_sees_a_gain_of_two_percent() {
    let base = spec(&[32; 9], Init::Orthogonal, Activation::Linear, 2);
    let draw = |gain: f64| -> Vec<f64> {
        let changed = ChainSpec { gain, ..base.clone() };
        (0..REPETITIONS)
            .map(|i| {
                simulate_norms(&changed, &mut Rng::stream(1, i)).unwrap()[7]
                    .activation_rms
                    .ln_abs()
            })
            .collect()
    };
    assert!(ks_distance(&mut draw(1.0), &mut draw(1.02)) > 0.5);
}

#[test]
fn orthogonal_chains_have_no_slope_at_all() {
    let norms = simulate_norms(
        &spec(&[64; 33], Init::Orthogonal, Activation::Linear, 4),
        &mut Rng::new(5),
    )
    .unwrap();
    for layer in &norms[1..] {
        assert!((layer.grad_bias.ln_abs() - norms[0].grad_bias.ln_abs()).abs() < 1e-12);
        assert!((layer.grad_weight.ln_abs() - norms[0].grad_weight.ln_abs()).abs() < 1e-12);
        assert!((layer.activation_rms.ln_abs() - norms[0].activation_rms.ln_abs()).abs() < 1e-12);
    }
}

#[test]
fn a_thousand_layers_at_gain_three_are_numbers() {
    let deep = ChainSpec {
        gain: 3.0,
        ..spec(&[4; 1_001], Init::Gaussian, Activation::Linear, 1)
    };
    let norms = simulate_norms(&deep, &mut Rng::new(9)).unwrap();
    let mean = 1_000.0 * crate::simulate::log_gain(4, 4, 3.0).mean;
    let spread = (1_000.0 * crate::simulate::log_gain(4, 4, 3.0).variance).sqrt();
    assert!((norms[999].activation_rms.ln_abs() - mean).abs() < 6.0 * spread);
    let half = ChainSpec {
        format: NumberFormat::Float16,
        ..deep
    };
    let norms = simulate_norms(&half, &mut Rng::new(9)).unwrap();
    assert!(!norms[999].activation_rms.to_f64().is_finite());
}

#[test]
fn what_cannot_be_built_is_refused() {
    let refused = |spec: &ChainSpec| simulate_norms(spec, &mut Rng::new(1)).unwrap_err().to_string();
    assert_eq!(
        refused(&spec(&[4], Init::Gaussian, Activation::Linear, 1)),
        "a chain needs at least 1 layer"
    );
    assert!(refused(&spec(&[4, 0], Init::Gaussian, Activation::Linear, 1)).starts_with("a width is 0"));
    assert!(refused(&spec(&[4, 4], Init::Gaussian, Activation::Linear, 0)).starts_with("the batch is 0"));
    let nan = ChainSpec {
        gain: f64::NAN,
        ..ChainSpec::uniform(2, 2)
    };
    assert_eq!(refused(&nan), "the gain must be a finite number, not NaN");
    let negative = ChainSpec {
        bias_sd: -1.0,
        ..ChainSpec::uniform(2, 2)
    };
    assert!(refused(&negative).ends_with("must be 0 or more, not -1"));
    assert!(refused(&ChainSpec::uniform(usize::MAX, 2)).contains("layers are more than"));
    assert!(
        refused(&ChainSpec {
            batch: 1 << 20,
            ..ChainSpec::uniform(50_000, 1 << 20)
        })
        .contains("activations")
    );
}
