//! Gradient descent on a chain, as a training run would log it.
//!
//! In: a chain, data, an optimiser's settings. Out: one `StepRecord` per step. Invariants: the record of a
//! step holds the loss and the gradients before the update (gradients unclipped, as PyTorch's
//! `clip_grad_norm_` returns them); parameters, momenta and gradients are rounded to the chain's format when
//! stored; 0 times infinity is NaN, so that a learning rate of 0 does not protect from a broken gradient.

use super::dense::{DenseLayer, round_all};
use super::error::finite;
use super::linalg::norm;
use super::{Matrix, MatrixChain, NumberFormat, Rng, SimulateError};

#[cfg(test)]
mod tests;

/// More weights than this are not built explicitly for training (8 GiB with momentum and gradients).
pub const TRAINED_WEIGHTS_MAX: usize = 1 << 28;

/// Settings of plain stochastic gradient descent (the update rule of `torch.optim.SGD`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Step size; 0 computes everything and changes nothing.
    pub learning_rate: f64,
    /// Momentum: `v = momentum v + g`.
    pub momentum: f64,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
    /// Total gradient norm above which gradients are scaled down; none for no clipping.
    pub clip_norm: Option<f64>,
    /// Whether biases are trained.
    pub train_biases: bool,
}

impl Sgd {
    /// Plain descent with a learning rate.
    #[must_use]
    pub fn plain(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            momentum: 0.0,
            weight_decay: 0.0,
            clip_norm: None,
            train_biases: true,
        }
    }

    fn check(&self) -> Result<(), SimulateError> {
        not_negative("the learning rate", self.learning_rate)?;
        not_negative("the momentum", self.momentum)?;
        not_negative("the weight decay", self.weight_decay)?;
        if let Some(limit) = self.clip_norm
            && (limit.is_nan() || limit <= 0.0)
        {
            return Err(SimulateError::OutOfRange {
                what: "the clipping norm",
                allowed: "above 0",
                value: limit,
            });
        }
        Ok(())
    }
}

/// As `torch.optim.SGD` does.
fn not_negative(what: &'static str, value: f64) -> Result<(), SimulateError> {
    finite(what, value)?;
    if value < 0.0 {
        let allowed = "0 or more";
        return Err(SimulateError::OutOfRange { what, allowed, value });
    }
    Ok(())
}

/// Where a step's batch comes from.
#[derive(Debug, Clone)]
pub enum Batches {
    /// The same batch and target at every step.
    Fixed {
        /// Inputs, a column per sample.
        x: Matrix,
        /// Targets, a column per sample.
        target: Matrix,
    },
    /// Fresh `N(0, scale^2)` inputs; targets are a fixed random linear map of them.
    Fresh {
        /// Samples per step.
        batch: usize,
        /// Standard deviation of the inputs.
        scale: f64,
        /// The map, outputs x inputs.
        teacher: Matrix,
        /// Source of the inputs.
        rng: Rng,
    },
}

impl Batches {
    /// Fresh batches for a chain, from a seed; the teacher keeps the mean square.
    #[must_use]
    pub fn fresh(chain: &MatrixChain, batch: usize, seed: u64) -> Self {
        let sd = (1.0 / chain.inputs().max(1) as f64).sqrt();
        // Streams far from those that draw weights.
        let mut teacher_rng = Rng::stream(seed, u64::MAX);
        let teacher = Matrix::from_fn(chain.outputs(), chain.inputs(), |_, _| sd * teacher_rng.normal());
        Self::Fresh {
            batch,
            scale: 1.0,
            teacher,
            rng: Rng::stream(seed, u64::MAX - 1),
        }
    }

    /// The same batches with inputs of another standard deviation; a fixed batch is left as it is.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        if let Self::Fresh { scale, .. } = &mut self {
            *scale = factor;
        }
        self
    }

    fn next(&mut self) -> (Matrix, Matrix) {
        match self {
            Self::Fixed { x, target } => (x.clone(), target.clone()),
            Self::Fresh {
                batch,
                scale,
                teacher,
                rng,
            } => {
                let x = Matrix::from_fn(teacher.cols(), *batch, |_, _| *scale * rng.normal());
                let target = teacher.times(&x);
                (x, target)
            }
        }
    }
}

/// A batch that is unlike the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BadBatch {
    /// The step, from 0.
    pub step: i64,
    /// Its inputs and targets are multiplied by this; NaN makes a broken batch.
    pub factor: f64,
}

/// The norms of a layer at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerRecord {
    /// Layer, from 1 at the input.
    pub k: usize,
    /// Norm of the weights before the update.
    pub weight: f64,
    /// Norm of the biases before the update.
    pub bias: f64,
    /// Norm of the weights' gradient.
    pub grad_weight: f64,
    /// Norm of the biases' gradient.
    pub grad_bias: f64,
    /// Norm of the change of the weights.
    pub update: f64,
    /// Root mean square of the activations.
    pub activation: f64,
}

/// What a step would log.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// Step, from 0.
    pub step: i64,
    /// Loss before the update.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// The layers, input side first.
    pub layers: Vec<LayerRecord>,
}

/// A training run in progress.
#[derive(Debug, Clone)]
pub struct Trainer {
    chain: MatrixChain,
    velocity: Vec<DenseLayer>,
    batches: Batches,
    sgd: Sgd,
    bad_batch: Option<BadBatch>,
    step: i64,
}

impl Trainer {
    /// A run at step 0.
    ///
    /// # Errors
    /// Settings out of range, data that does not fit the chain.
    pub fn new(
        chain: MatrixChain,
        batches: Batches,
        sgd: Sgd,
        bad_batch: Option<BadBatch>,
    ) -> Result<Self, SimulateError> {
        sgd.check()?;
        let (x, target) = batches.clone().next();
        let output = chain.output(&x)?;
        if (output.rows(), output.cols()) != (target.rows(), target.cols()) {
            let expected = format!("{} x {}", output.rows(), output.cols());
            return Err(SimulateError::WrongSize {
                what: "the target",
                given: target.rows(),
                expected,
            });
        }
        let velocity = chain.layers().iter().map(zeros_like).collect();
        Ok(Self {
            chain,
            velocity,
            batches,
            sgd,
            bad_batch,
            step: 0,
        })
    }

    /// The chain as it is now.
    #[must_use]
    pub fn chain(&self) -> &MatrixChain {
        &self.chain
    }

    /// Computes a step, updates the parameters, and gives what it would log.
    ///
    /// # Errors
    /// None once [`Self::new`] has accepted the data.
    pub fn step(&mut self) -> Result<StepRecord, SimulateError> {
        let (mut x, mut target) = self.batches.next();
        if let Some(bad) = self.bad_batch.filter(|bad| bad.step == self.step) {
            for value in x.values_mut().iter_mut().chain(target.values_mut()) {
                *value *= bad.factor;
            }
        }
        let (loss, passes) = self.chain.loss_pass(&x, &target)?;
        let norms = self.chain.norms(&passes);
        let grad_norm = norm(
            &norms
                .iter()
                .flat_map(|n| [n.grad_weight.to_f64(), n.grad_bias.to_f64()])
                .collect::<Vec<_>>(),
        );
        let clip = clip_factor(self.sgd.clip_norm, grad_norm);
        let mut layers = Vec::with_capacity(norms.len());
        let format = self.chain.format();
        let targets = self.chain.layers_mut().iter_mut().zip(&mut self.velocity);
        for ((layer, velocity), (pass, norms)) in targets.zip(passes.iter().zip(&norms)) {
            let rule = Rule {
                sgd: &self.sgd,
                clip,
                format,
            };
            let bias = norm(&layer.bias);
            let update = rule.apply(
                layer.weight.values_mut(),
                velocity.weight.values_mut(),
                pass.grad_weight.values(),
            );
            if self.sgd.train_biases {
                rule.apply(&mut layer.bias, &mut velocity.bias, &pass.grad_bias);
            }
            layers.push(LayerRecord {
                k: norms.k,
                weight: norms.weight,
                bias,
                grad_weight: norms.grad_weight.to_f64(),
                grad_bias: norms.grad_bias.to_f64(),
                update,
                activation: norms.activation_rms.to_f64(),
            });
        }
        let record = StepRecord {
            step: self.step,
            loss,
            learning_rate: self.sgd.learning_rate,
            grad_norm,
            layers,
        };
        self.step += 1;
        Ok(record)
    }
}

struct Rule<'a> {
    sgd: &'a Sgd,
    clip: Option<f64>,
    format: NumberFormat,
}

impl Rule<'_> {
    /// Updates one tensor; gives the norm of its change.
    fn apply(&self, values: &mut [f64], velocity: &mut [f64], gradient: &[f64]) -> f64 {
        let mut square = 0.0;
        for ((value, velocity), gradient) in values.iter_mut().zip(velocity).zip(gradient) {
            let clipped = self
                .clip
                .map_or(*gradient, |factor| self.format.round(gradient * factor));
            let decayed = self.format.round(clipped + self.sgd.weight_decay * *value);
            *velocity = self.format.round(self.sgd.momentum * *velocity + decayed);
            let next = self.format.round(*value - self.sgd.learning_rate * *velocity);
            square += (next - *value).powi(2);
            *value = next;
        }
        square.sqrt()
    }
}

/// The factor of `clip_grad_norm_`: none when in bounds; 0 for an infinite norm and NaN for a NaN norm, so
/// that both break the parameters as in practice.
fn clip_factor(limit: Option<f64>, grad_norm: f64) -> Option<f64> {
    let factor = limit? / (grad_norm + 1e-6);
    (factor.is_nan() || factor < 1.0).then_some(factor)
}

fn zeros_like(layer: &DenseLayer) -> DenseLayer {
    let mut zeros = layer.clone();
    zeros.weight.values_mut().fill(0.0);
    zeros.bias.fill(0.0);
    zeros
}

/// A scalar chain as a matrix chain of width 1, for training.
///
/// # Errors
/// None for a [`super::ScalarChain`], whose numbers are finite; a weight may be infinite in a narrow format.
pub fn width_one(chain: &super::ScalarChain, format: NumberFormat) -> Result<MatrixChain, SimulateError> {
    let layers = chain.weights().iter().zip(chain.biases()).map(|(w, b)| {
        let mut params = [*w, *b];
        round_all(format, &mut params);
        DenseLayer {
            weight: Matrix::from_fn(1, 1, |_, _| params[0]),
            bias: vec![params[1]],
        }
    });
    MatrixChain::new(layers.collect(), super::Activation::Linear, format)
}
