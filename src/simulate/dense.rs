//! Matrix chains with explicit weights: forward, backward, norms, also in number formats.
//!
//! In: weights, biases, a batch as columns, a target or a gradient of the output. Out: activations,
//! gradients, norms per layer. Invariants: the loss is `sum (y - t)^2 / (2 B)` for B samples; results are
//! rounded to the format when stored, while sums within one product are wide, as accelerators keep them.

use super::linalg::{largest_magnitude, norm};
use super::spec::{Block, ChainSpec, Init};
use super::{Activation, Matrix, NumberFormat, Rng, Scaled, SimulateError};

#[cfg(test)]
mod oracle_tests;

/// Weights (outputs x inputs) and biases of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseLayer {
    /// `W_k`.
    pub weight: Matrix,
    /// `b_k`.
    pub bias: Vec<f64>,
}

/// A chain of layers `a_k = f(W_k a_{k-1} + b_k)`.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixChain {
    layers: Vec<DenseLayer>,
    activation: Activation,
    format: NumberFormat,
}

/// What a pass leaves at a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerPass {
    /// `a_k`, a column per sample.
    pub activation: Matrix,
    /// Gradient with respect to `a_k`.
    pub delta: Matrix,
    /// Gradient with respect to `W_k`.
    pub grad_weight: Matrix,
    /// Gradient with respect to `b_k`.
    pub grad_bias: Vec<f64>,
}

/// The norms that a training run logs of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorms {
    /// Layer, from 1 at the input.
    pub k: usize,
    /// Frobenius norm of `W_k`.
    pub weight: f64,
    /// Root mean square of `a_k` over units and samples.
    pub activation_rms: Scaled,
    /// Frobenius norm of the gradient with respect to `W_k`.
    pub grad_weight: Scaled,
    /// Norm of the gradient with respect to `b_k`.
    pub grad_bias: Scaled,
}

impl MatrixChain {
    /// A chain of the given layers.
    ///
    /// # Errors
    /// No layers, an empty matrix, biases that do not match, widths that do not chain.
    pub fn new(
        layers: Vec<DenseLayer>,
        activation: Activation,
        format: NumberFormat,
    ) -> Result<Self, SimulateError> {
        if layers.is_empty() {
            return Err(SimulateError::NoLayers);
        }
        for (k, layer) in (1..).zip(&layers) {
            check_layer(k, layer)?;
        }
        for (k, pair) in (2..).zip(layers.windows(2)) {
            let (given, takes) = (pair[0].weight.rows(), pair[1].weight.cols());
            if given != takes {
                return Err(SimulateError::WidthsDoNotChain {
                    layer: k,
                    takes,
                    given,
                });
            }
        }
        Ok(Self {
            layers,
            activation,
            format,
        })
    }

    /// Draws the weights that `spec` describes, rounded to its format.
    ///
    /// # Errors
    /// What [`ChainSpec::check`] refuses, and blocks that are not plain.
    pub fn random(spec: &ChainSpec, rng: &mut Rng) -> Result<Self, SimulateError> {
        spec.check()?;
        if spec.block != Block::Plain {
            return Err(SimulateError::BlockNotTrained);
        }
        let layers = spec
            .shapes()
            .map(|(m_in, m_out)| {
                let mut weight = random_weight(spec.init, spec.gain, m_in, m_out, rng);
                round_all(spec.format, weight.values_mut());
                let mut bias: Vec<f64> = (0..m_out).map(|_| scaled_normal(spec.bias_sd, rng)).collect();
                round_all(spec.format, &mut bias);
                DenseLayer { weight, bias }
            })
            .collect();
        Self::new(layers, spec.activation, spec.format)
    }

    /// The layers, input side first.
    #[must_use]
    pub fn layers(&self) -> &[DenseLayer] {
        &self.layers
    }

    /// The layers, for an optimiser.
    pub(crate) fn layers_mut(&mut self) -> &mut [DenseLayer] {
        &mut self.layers
    }

    /// Format in which results are stored.
    #[must_use]
    pub fn format(&self) -> NumberFormat {
        self.format
    }

    /// Number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.weight.cols())
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.weight.rows())
    }

    /// The output for a batch.
    ///
    /// # Errors
    /// A batch whose rows are not the chain's inputs.
    pub fn output(&self, x: &Matrix) -> Result<Matrix, SimulateError> {
        let mut stages = self.forward(x)?;
        Ok(stages.pop().map_or_else(|| x.clone(), |stage| stage.activation))
    }

    /// Loss `sum (y - t)^2 / (2 B)` and its gradients.
    ///
    /// # Errors
    /// A batch or target of the wrong size.
    pub fn loss_pass(&self, x: &Matrix, target: &Matrix) -> Result<(f64, Vec<LayerPass>), SimulateError> {
        let stages = self.forward(x)?;
        let output = stages.last().map_or(x, |stage| &stage.activation);
        check_shape("the target", target, output.rows(), output.cols())?;
        let samples = x.cols() as f64;
        let residual = Matrix::from_fn(output.rows(), output.cols(), |r, c| {
            self.format.round(output.get(r, c) - target.get(r, c))
        });
        // A square beyond f64 is an infinite loss, as in practice.
        let squares: f64 = residual.values().iter().map(|v| v * v).sum();
        let loss = self.format.round(squares / (2.0 * samples));
        let delta = Matrix::from_fn(output.rows(), output.cols(), |r, c| residual.get(r, c) / samples);
        Ok((loss, self.backward(x, &stages, delta)))
    }

    /// Gradients of `sum (delta * y)`: a random linear readout instead of a loss.
    ///
    /// # Errors
    /// A batch or gradient of the wrong size.
    pub fn readout_pass(&self, x: &Matrix, delta: Matrix) -> Result<Vec<LayerPass>, SimulateError> {
        check_shape("the gradient of the output", &delta, self.outputs(), x.cols())?;
        let stages = self.forward(x)?;
        Ok(self.backward(x, &stages, delta))
    }

    /// The norms of a pass.
    #[must_use]
    pub fn norms(&self, passes: &[LayerPass]) -> Vec<LayerNorms> {
        (1..)
            .zip(self.layers.iter().zip(passes))
            .map(|(k, (layer, pass))| LayerNorms {
                k,
                weight: layer.weight.frobenius(),
                activation_rms: Scaled::new(rms(&pass.activation)),
                grad_weight: Scaled::new(pass.grad_weight.frobenius()),
                grad_bias: Scaled::new(norm(&pass.grad_bias)),
            })
            .collect()
    }

    fn forward(&self, x: &Matrix) -> Result<Vec<Stage>, SimulateError> {
        check_shape("the batch", x, self.inputs(), x.cols().max(1))?;
        let mut stages: Vec<Stage> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let below = stages.last().map_or(x, |stage| &stage.activation);
            let mut z = layer.weight.times(below);
            round_all(self.format, z.values_mut());
            for col in 0..z.cols() {
                for (value, bias) in z.column_mut(col).iter_mut().zip(&layer.bias) {
                    *value = self.format.round(*value + bias);
                }
            }
            let mut activation = z.clone();
            for value in activation.values_mut() {
                *value = self.format.round(self.activation.apply(*value));
            }
            stages.push(Stage { z, activation });
        }
        Ok(stages)
    }

    fn backward(&self, x: &Matrix, stages: &[Stage], delta_out: Matrix) -> Vec<LayerPass> {
        let mut passes = Vec::with_capacity(stages.len());
        let mut delta = delta_out;
        round_all(self.format, delta.values_mut());
        for (k, (layer, stage)) in self.layers.iter().zip(stages).enumerate().rev() {
            let below = k
                .checked_sub(1)
                .and_then(|j| stages.get(j))
                .map_or(x, |stage| &stage.activation);
            let mut delta_z = delta.clone();
            for (value, z) in delta_z.values_mut().iter_mut().zip(stage.z.values()) {
                *value = self.format.round(*value * self.activation.slope(*z));
            }
            let mut grad_weight = delta_z.times_transposed(below);
            round_all(self.format, grad_weight.values_mut());
            let mut grad_bias = delta_z.row_sums();
            round_all(self.format, &mut grad_bias);
            let mut next = layer.weight.transposed_times(&delta_z);
            round_all(self.format, next.values_mut());
            let activation = stage.activation.clone();
            passes.push(LayerPass {
                activation,
                delta,
                grad_weight,
                grad_bias,
            });
            delta = next;
        }
        passes.reverse();
        passes
    }
}

#[derive(Debug, Clone)]
struct Stage {
    z: Matrix,
    activation: Matrix,
}

fn check_layer(k: usize, layer: &DenseLayer) -> Result<(), SimulateError> {
    let (rows, cols) = (layer.weight.rows(), layer.weight.cols());
    if rows == 0 || cols == 0 {
        return Err(SimulateError::WrongSize {
            what: "a width",
            given: 0,
            expected: "at least 1".into(),
        });
    }
    if layer.bias.len() != rows {
        let expected = format!("{rows}, one per output of layer {k}");
        return Err(SimulateError::WrongSize {
            what: "the number of biases",
            given: layer.bias.len(),
            expected,
        });
    }
    super::error::finite(
        format!("a weight of layer {k}"),
        largest_magnitude(layer.weight.values()),
    )?;
    super::error::finite(format!("a bias of layer {k}"), largest_magnitude(&layer.bias))?;
    Ok(())
}

fn check_shape(what: &'static str, matrix: &Matrix, rows: usize, cols: usize) -> Result<(), SimulateError> {
    if matrix.rows() == rows && matrix.cols() == cols {
        return Ok(());
    }
    let expected = format!("{rows} x {cols}; rows are units, columns are samples");
    Err(SimulateError::WrongSize {
        what,
        given: matrix.rows(),
        expected,
    })
}

fn random_weight(init: Init, gain: f64, m_in: usize, m_out: usize, rng: &mut Rng) -> Matrix {
    if init != Init::Orthogonal {
        let sd = init.weight_sd(gain, m_in);
        return Matrix::from_fn(m_out, m_in, |_, _| sd * rng.normal());
    }
    // A frame of Gram-Schmidt with positive coefficients on normal columns is uniformly distributed.
    let (long, short) = (m_in.max(m_out), m_in.min(m_out));
    let frame = Matrix::from_fn(long, short, |_, _| rng.normal()).thin_qr().basis;
    let mut weight = if m_out >= m_in { frame } else { frame.transposed() };
    weight.values_mut().iter_mut().for_each(|value| *value *= gain);
    weight
}

pub(crate) fn scaled_normal(sd: f64, rng: &mut Rng) -> f64 {
    if sd == 0.0 { 0.0 } else { sd * rng.normal() }
}

pub(crate) fn round_all(format: NumberFormat, values: &mut [f64]) {
    if format != NumberFormat::Float64 {
        for value in values {
            *value = format.round(*value);
        }
    }
}

fn rms(matrix: &Matrix) -> f64 {
    matrix.frobenius() / (matrix.values().len() as f64).sqrt()
}
