//! Training chains behave as measured: edges of stability, divergence, vanishing, learning rate 0.
//!
//! In: fixed chains. Out: assertions. Invariant: expectations are the published measurements and formulas.

use super::{BadBatch, Batches, Sgd, StepRecord, Trainer, width_one};
use crate::simulate::{ChainSpec, Init, Matrix, MatrixChain, NumberFormat, Rng, ScalarChain, SimulateError};

fn scalar_run(n: usize, w: f64, target: f64, sgd: Sgd, format: NumberFormat) -> Trainer {
    let chain = width_one(&ScalarChain::homogeneous(n, w, 0.0, 1.0).unwrap(), format).unwrap();
    let one = |value: f64| Matrix::from_fn(1, 1, |_, _| value);
    Trainer::new(
        chain,
        Batches::Fixed {
            x: one(1.0),
            target: one(target),
        },
        sgd,
        None,
    )
    .unwrap()
}

fn steps(trainer: &mut Trainer, count: usize) -> Vec<StepRecord> {
    (0..count).map(|_| trainer.step().unwrap()).collect()
}

fn frozen_biases(learning_rate: f64) -> Sgd {
    Sgd {
        train_biases: false,
        ..Sgd::plain(learning_rate)
    }
}

/// `lambda = n` at w = 1, x = 1, biases frozen: descent is stable below a learning rate of 2 / n.
#[test]
fn edge_of_stability_is_two_over_depth() {
    for n in [2usize, 5, 10, 20] {
        let edge = 2.0 / n as f64;
        let last = |factor: f64| {
            let mut run = scalar_run(n, 1.001, 1.0, frozen_biases(factor * edge), NumberFormat::Float64);
            steps(&mut run, 1_500).pop().unwrap().loss
        };
        assert!(last(0.97) < 1e-20, "n {n}: {:e}", last(0.97));
        let above = last(1.03);
        assert!(
            above > 1e-8 && above < 1.0,
            "n {n}: oscillates, neither converges nor diverges: {above:e}"
        );
    }
}

/// float32, n = 5, w = 1.3, learning rate 0.4: the loss passes ten times its minimum and is non-finite within
/// 1 to 5 steps; infinity comes first, NaN one or two steps later.
#[test]
fn too_large_a_learning_rate_ends_in_nan_within_steps() {
    for (n, w, lr) in [(5, 1.3, 0.4), (5, 1.3, 0.8), (10, 1.2, 0.5), (20, 1.1, 0.5)] {
        let mut run = scalar_run(n, w, 1.0, Sgd::plain(lr), NumberFormat::Float32);
        let records = steps(&mut run, 60);
        let first = |test: &dyn Fn(f64) -> bool| records.iter().position(|r| test(r.loss));
        let infinite = first(&|loss| loss.is_infinite()).unwrap();
        let nan = first(&|loss| loss.is_nan()).unwrap();
        assert!(
            (1..=2).contains(&(nan - infinite)),
            "n {n} w {w} lr {lr}: inf {infinite} nan {nan}"
        );
        let mut least = f64::INFINITY;
        let onset = records.iter().position(|r| {
            least = least.min(r.loss);
            r.loss > 10.0 * least
        });
        let warning = infinite - onset.unwrap().min(infinite);
        assert!(
            warning <= 5,
            "n {n} w {w} lr {lr}: onset {onset:?} inf {infinite}"
        );
        assert!(
            records[infinite].layers.iter().all(|l| l.weight.is_finite()),
            "weights break one step later"
        );
    }
}

/// n = 30, w = 0.5: the loss falls from 2 to 0 through the last layers while the first does not move.
#[test]
fn a_vanishing_chain_learns_without_its_first_layers() {
    let mut run = scalar_run(30, 0.5, 2.0, Sgd::plain(0.1), NumberFormat::Float64);
    let first_weight = run.chain().layers()[0].weight.get(0, 0);
    let records = steps(&mut run, 500);
    assert!((records[0].loss - 2.0).abs() < 1e-6);
    assert!(records[499].loss < 1e-4, "{}", records[499].loss);
    let moved = |k: usize| (run.chain().layers()[k].weight.get(0, 0) - 0.5).abs();
    assert!(
        moved(0) < 1e-7 && moved(29) > 1e-2,
        "{:e} {:e}",
        moved(0),
        moved(29)
    );
    assert_eq!(first_weight, 0.5);
    let (first, last) = (&records[0].layers[0], &records[0].layers[29]);
    assert!((last.grad_bias / first.grad_bias / 2f64.powi(29) - 1.0).abs() < 1e-12);
}

/// A learning rate of 0 changes nothing, unless a gradient is broken: 0 times infinity is NaN.
#[test]
fn learning_rate_zero_freezes_a_sound_chain_and_breaks_a_broken_one() {
    let mut sound = scalar_run(10, 0.9, 1.0, Sgd::plain(0.0), NumberFormat::Float16);
    let records = steps(&mut sound, 5);
    assert!(
        records
            .iter()
            .all(|r| r.loss == records[0].loss && r.layers.iter().all(|l| l.update == 0.0))
    );
    let mut broken = scalar_run(50, 1.25, 1.0, Sgd::plain(0.0), NumberFormat::Float16);
    let records = steps(&mut broken, 2);
    assert!(records[0].loss.is_infinite() && records[0].layers[0].weight == 1.25);
    assert!(records[1].layers[0].weight.is_nan());
}

#[test]
fn clipping_bounds_the_update_and_momentum_carries_on() {
    let clipped = Sgd {
        clip_norm: Some(0.5),
        ..Sgd::plain(0.1)
    };
    let mut run = scalar_run(5, 1.3, 100.0, clipped, NumberFormat::Float64);
    let record = run.step().unwrap();
    let total: f64 = record.layers.iter().map(|l| l.update.powi(2)).sum::<f64>().sqrt();
    assert!(
        record.grad_norm > 100.0 && total <= 0.05 + 1e-12,
        "{} {total}",
        record.grad_norm
    );
    let heavy = Sgd {
        momentum: 0.9,
        ..Sgd::plain(1e-3)
    };
    let mut run = scalar_run(3, 0.9, 1.0, heavy, NumberFormat::Float64);
    let records = steps(&mut run, 2);
    let (first, second) = (&records[0].layers[0], &records[1].layers[0]);
    let expected = 1e-3 * (0.9 * first.grad_weight + second.grad_weight);
    assert!((second.update / expected - 1.0).abs() < 1e-9);
    let decay = Sgd {
        weight_decay: 0.5,
        train_biases: false,
        ..Sgd::plain(0.1)
    };
    let mut run = scalar_run(2, 1.0, 1.0, decay, NumberFormat::Float64);
    run.step().unwrap();
    assert!(
        (run.chain().layers()[0].weight.get(0, 0) - 0.95).abs() < 1e-12,
        "no residual: decay alone acts"
    );
}

#[test]
fn matrix_chains_learn_and_bad_batches_show() {
    let spec = ChainSpec {
        init: Init::Orthogonal,
        batch: 16,
        ..ChainSpec::uniform(4, 6)
    };
    let chain = MatrixChain::random(&spec, &mut Rng::new(3)).unwrap();
    let batches = Batches::fresh(&chain, 16, 3);
    let bad = BadBatch {
        step: 150,
        factor: 100.0,
    };
    let mut run = Trainer::new(chain.clone(), batches.clone(), Sgd::plain(0.02), Some(bad)).unwrap();
    let records = steps(&mut run, 151);
    assert!(
        records[149].loss < 0.5 * records[0].loss,
        "{} {}",
        records[0].loss,
        records[149].loss
    );
    assert!(records[150].loss > 100.0 * records[149].loss);
    let broken = BadBatch {
        step: 1,
        factor: f64::NAN,
    };
    let mut run = Trainer::new(chain, batches, Sgd::plain(0.02), Some(broken)).unwrap();
    let records = steps(&mut run, 3);
    assert!(records[0].loss.is_finite() && records[1].loss.is_nan() && records[2].layers[0].weight.is_nan());
}

#[test]
fn settings_and_data_that_do_not_fit_are_refused() {
    let chain = width_one(
        &ScalarChain::homogeneous(2, 1.0, 0.0, 1.0).unwrap(),
        NumberFormat::Float32,
    )
    .unwrap();
    let fixed = |rows: usize| Batches::Fixed {
        x: Matrix::zeros(rows, 1),
        target: Matrix::zeros(1, 1),
    };
    let refuse =
        |batches, sgd| -> SimulateError { Trainer::new(chain.clone(), batches, sgd, None).unwrap_err() };
    assert!(
        refuse(fixed(2), Sgd::plain(0.1))
            .to_string()
            .starts_with("the batch is 2, expected 1 x 1")
    );
    let nan = refuse(fixed(1), Sgd::plain(f64::NAN)).to_string();
    assert_eq!(nan, "the learning rate must be a finite number, not NaN");
    let clip = refuse(
        fixed(1),
        Sgd {
            clip_norm: Some(0.0),
            ..Sgd::plain(0.1)
        },
    )
    .to_string();
    assert_eq!(clip, "the clipping norm must be above 0, not 0");
}
