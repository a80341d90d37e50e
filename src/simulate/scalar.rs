//! The scalar chain: `a_0 = x`, `a_k = w_k a_{k-1} + b_k`, output `y = a_n`.
//!
//! In: weights, biases, the input. Out: every activation and the gradients `dy/dw_k = a_{k-1} w_{k+1}..w_n`
//! and `dy/db_k = w_{k+1}..w_n`, by passes forward and backward and by closed form. Invariant: no value
//! overflows or underflows (see `Scaled`); what a number format makes of the chain is asked for separately.

use super::error::finite;
use super::{NumberFormat, Scaled, SimulateError};

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;

/// Most layers of a chain: 16 million take about 2 GB.
pub const LAYERS_MAX: usize = 1 << 24;

/// Within this distance of 1 the geometric sum takes the form with `expm1` (measured: worst relative error
/// 6e-15 over 3,000 random pairs with k up to 1,000).
const NEAR_ONE: f64 = 0.1;

/// A chain of scalar layers.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalarChain {
    weights: Vec<f64>,
    biases: Vec<f64>,
    x: f64,
    shared: Option<(f64, f64)>,
}

/// What the chain does at layer `k`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalarLayer {
    /// Layer, from 1 at the input.
    pub k: usize,
    /// `a_k`.
    pub activation: Scaled,
    /// `dy/dw_k`, or `dL/dw_k` of a loss.
    pub grad_weight: Scaled,
    /// `dy/db_k`, or `dL/db_k` of a loss.
    pub grad_bias: Scaled,
}

/// The loss `(y - t)^2 / 2` and its gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct LossPass {
    /// The loss.
    pub loss: Scaled,
    /// The layers, with gradients of the loss.
    pub layers: Vec<ScalarLayer>,
}

/// The three cases of a homogeneous chain, by the magnitude of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// `|w| < 1`: the influence of the input vanishes, `a_n` tends to `b / (1 - w)`.
    Vanishing,
    /// `|w| = 1`: gradients are stable, `a_n = x + n b` drifts (for `w = 1`).
    Stable,
    /// `|w| > 1`: activations and gradients explode.
    Exploding,
}

impl Regime {
    /// The regime of a weight.
    #[must_use]
    pub fn of(weight: f64) -> Self {
        let magnitude = weight.abs();
        if magnitude < 1.0 {
            Self::Vanishing
        } else if magnitude == 1.0 {
            Self::Stable
        } else {
            Self::Exploding
        }
    }
}

impl ScalarChain {
    /// `n` layers that share `w` and `b`.
    ///
    /// # Errors
    /// No layers, too many, or a number that is not finite.
    pub fn homogeneous(n: usize, w: f64, b: f64, x: f64) -> Result<Self, SimulateError> {
        check_layers(n)?;
        finite("the weight", w)?;
        finite("the bias", b)?;
        finite("the input", x)?;
        Ok(Self {
            weights: vec![w; n],
            biases: vec![b; n],
            x,
            shared: Some((w, b)),
        })
    }

    /// Layers as listed.
    ///
    /// # Errors
    /// As [`Self::homogeneous`], and lists of unequal length.
    pub fn listed(weights: Vec<f64>, biases: Vec<f64>, x: f64) -> Result<Self, SimulateError> {
        check_layers(weights.len())?;
        if weights.len() != biases.len() {
            return Err(SimulateError::UnequalLists {
                weights: weights.len(),
                biases: biases.len(),
            });
        }
        for (k, (w, b)) in (1..).zip(weights.iter().zip(&biases)) {
            finite(format!("weight {k}"), *w)?;
            finite(format!("bias {k}"), *b)?;
        }
        finite("the input", x)?;
        let shared = shared_by_all(&weights, &biases);
        Ok(Self {
            weights,
            biases,
            x,
            shared,
        })
    }

    /// Weights, input side first.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Biases, input side first.
    #[must_use]
    pub fn biases(&self) -> &[f64] {
        &self.biases
    }

    /// The input `x = a_0`.
    #[must_use]
    pub fn input(&self) -> f64 {
        self.x
    }

    /// Number of layers.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.weights.len()
    }

    /// The shared weight and bias when all layers have the same.
    #[must_use]
    pub fn shared(&self) -> Option<(f64, f64)> {
        self.shared
    }

    /// Forward and backward pass; gradients of the output `y`.
    #[must_use]
    pub fn output_pass(&self) -> Vec<ScalarLayer> {
        let mut layers = self.forward();
        self.backward(&mut layers, Scaled::ONE);
        layers
    }

    /// Forward and backward pass; gradients of the loss `(y - target)^2 / 2`.
    ///
    /// # Errors
    /// A target that is not finite.
    pub fn loss_pass(&self, target: f64) -> Result<LossPass, SimulateError> {
        finite("the target", target)?;
        let mut layers = self.forward();
        let output = layers.last().map_or(Scaled::ZERO, |layer| layer.activation);
        let residual = output - Scaled::new(target);
        self.backward(&mut layers, residual);
        Ok(LossPass {
            loss: residual * residual * Scaled::new(0.5),
            layers,
        })
    }

    /// Layer `k` by closed form, `None` when there is no such layer. O(ln n) for a homogeneous
    /// chain, O(n) otherwise.
    ///
    /// `a_k = P(1..k) x + sum_j b_j P(j+1..k)` with `P(i..j) = w_i .. w_j`.
    #[must_use]
    pub fn closed_form(&self, k: usize) -> Option<ScalarLayer> {
        let below = k.checked_sub(1)?;
        let weights_above = self.weights.get(k..)?;
        let (before, here, grad_bias) = if let Some((w, b)) = self.shared() {
            let activation = |count| homogeneous_activation(w, b, self.x, count);
            (
                activation(below),
                activation(k),
                Scaled::new(w).powi(weights_above.len() as u64),
            )
        } else {
            (
                self.summed_activation(below),
                self.summed_activation(k),
                product(weights_above),
            )
        };
        Some(ScalarLayer {
            k,
            activation: here,
            grad_weight: before * grad_bias,
            grad_bias,
        })
    }

    fn forward(&self) -> Vec<ScalarLayer> {
        let mut activation = Scaled::new(self.x);
        let params = self.weights.iter().zip(&self.biases);
        (1..)
            .zip(params)
            .map(|(k, (w, b))| {
                activation = Scaled::new(*w) * activation + Scaled::new(*b);
                ScalarLayer {
                    k,
                    activation,
                    grad_weight: Scaled::ZERO,
                    grad_bias: Scaled::ZERO,
                }
            })
            .collect()
    }

    fn backward(&self, layers: &mut [ScalarLayer], delta_out: Scaled) {
        let mut below = Scaled::new(self.x);
        for layer in layers.iter_mut() {
            layer.grad_weight = below;
            below = layer.activation;
        }
        let mut delta = delta_out;
        for (layer, w) in layers.iter_mut().zip(&self.weights).rev() {
            layer.grad_weight = layer.grad_weight * delta;
            layer.grad_bias = delta;
            delta = delta * Scaled::new(*w);
        }
    }

    fn summed_activation(&self, k: usize) -> Scaled {
        let (mut sum, mut factor) = (Scaled::ZERO, Scaled::ONE);
        for (w, b) in self.weights.iter().zip(&self.biases).take(k).rev() {
            sum = sum + Scaled::new(*b) * factor;
            factor = factor * Scaled::new(*w);
        }
        factor * Scaled::new(self.x) + sum
    }

    /// The same passes in a number format: parameters and every product and sum rounded.
    #[must_use]
    pub fn rounded_pass(&self, format: NumberFormat) -> Vec<RoundedLayer> {
        let mut before = format.round(self.x);
        let mut layers = Vec::with_capacity(self.depth());
        for (w, b) in self.weights.iter().zip(&self.biases) {
            let product = format.round(format.round(*w) * before);
            let activation = format.round(product + format.round(*b));
            layers.push(RoundedLayer {
                activation,
                grad_weight: before,
                grad_bias: 0.0,
            });
            before = activation;
        }
        let mut delta = 1.0;
        for (layer, w) in layers.iter_mut().zip(&self.weights).rev() {
            layer.grad_weight = format.round(layer.grad_weight * delta);
            layer.grad_bias = delta;
            delta = format.round(format.round(*w) * delta);
        }
        layers
    }
}

fn check_layers(n: usize) -> Result<(), SimulateError> {
    match n {
        0 => Err(SimulateError::NoLayers),
        given if given > LAYERS_MAX => Err(SimulateError::TooManyLayers {
            given,
            max: LAYERS_MAX,
        }),
        _ => Ok(()),
    }
}

fn shared_by_all(weights: &[f64], biases: &[f64]) -> Option<(f64, f64)> {
    let (w, b) = (*weights.first()?, *biases.first()?);
    let same = weights.iter().all(|v| *v == w) && biases.iter().all(|v| *v == b);
    same.then_some((w, b))
}

fn product(weights: &[f64]) -> Scaled {
    weights.iter().fold(Scaled::ONE, |all, w| all * Scaled::new(*w))
}

/// `a_k = w^k x + b S_k`.
fn homogeneous_activation(w: f64, b: f64, x: f64, k: usize) -> Scaled {
    Scaled::new(w).powi(k as u64) * Scaled::new(x) + Scaled::new(b) * geometric_sum(w, k)
}

/// `S_k = 1 + w + .. + w^(k-1)`.
fn geometric_sum(w: f64, k: usize) -> Scaled {
    let above_one = w - 1.0;
    if above_one == 0.0 {
        return Scaled::new(k as f64);
    }
    let ln_power = k as f64 * above_one.ln_1p();
    // Far from 1 the power form loses nothing, and expm1 would overflow.
    if above_one.abs() < NEAR_ONE && ln_power.abs() < 30.0 {
        return Scaled::new(ln_power.exp_m1() / above_one);
    }
    (Scaled::new(w).powi(k as u64) - Scaled::ONE) / Scaled::new(above_one)
}

/// A layer in a number format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundedLayer {
    /// `a_k`.
    pub activation: f64,
    /// `dy/dw_k`.
    pub grad_weight: f64,
    /// `dy/db_k`.
    pub grad_bias: f64,
}

/// At which layer, counted in the order of the pass from 1, a quantity first shows each kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fate {
    /// First infinity.
    pub infinite: Option<usize>,
    /// First NaN.
    pub nan: Option<usize>,
    /// First exact zero.
    pub zero: Option<usize>,
    /// First number below the format's smallest normal one, zero excluded.
    pub subnormal: Option<usize>,
    /// Where a subnormal is reached that never changes again, and its value: round-to-nearest keeps it,
    /// so that a rule for `norm == 0` never fires.
    pub stuck: Option<(usize, f64)>,
}

/// The fate of a quantity in the order of the pass (input to output for activations, reversed for gradients).
#[must_use]
pub fn fate(format: NumberFormat, values: impl Iterator<Item = f64>) -> Fate {
    let mut fate = Fate::default();
    let mut previous = None;
    for (position, value) in (1..).zip(values) {
        let is_subnormal = value != 0.0 && value.abs() < format.min_normal();
        let first = |slot: &mut Option<usize>, seen: bool| {
            if seen && slot.is_none() {
                *slot = Some(position);
            }
        };
        first(&mut fate.infinite, value.is_infinite());
        first(&mut fate.nan, value.is_nan());
        first(&mut fate.zero, value == 0.0);
        first(&mut fate.subnormal, is_subnormal);
        fate.stuck = match fate.stuck {
            Some((since, kept)) if kept == value => Some((since, kept)),
            _ if is_subnormal && previous == Some(value) => Some((position - 1, value)),
            _ => None,
        };
        previous = Some(value);
    }
    fate
}
