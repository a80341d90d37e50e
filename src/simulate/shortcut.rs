//! Norms of a random matrix chain without its matrices: exact in distribution, O(m B^2) per layer.
//!
//! In: a specification and random numbers. Out: the norms of every layer. The weights are never built; only
//! what a batch of B columns can see of them is drawn, as it is seen. Forward: with the thin QR `A = Q R` of the layer's input,
//! `W A = F R` where `F = W Q` has independent `N(0, s^2)` entries. Backward: `W^T D = Q F^T D + (I - Q Q^T) E R_D`
//! with `D = Q_D R_D` and fresh `N(0, s^2)` entries in `E`. Orthogonal layers draw uniform frames instead.
//! Invariant: norms have the joint distribution of those of explicit matrices (held by Kolmogorov-Smirnov tests).

use super::dense::{LayerNorms, round_all, scaled_normal};
use super::linalg::norm;
use super::spec::{Block, ChainSpec, Init};
use super::{Matrix, NumberFormat, Rng, Scaled, SimulateError};

mod residual;
#[cfg(test)]
mod tests;

/// A matrix times a power of two.
#[derive(Debug, Clone)]
struct Panel {
    matrix: Matrix,
    exponent: i64,
}

/// What the forward pass keeps of a layer.
#[derive(Debug)]
struct Seen {
    /// `a_k`.
    output: Panel,
    /// `f'(z_k)`, empty when it is 1 everywhere.
    slopes: Vec<f64>,
    /// `W Q`, in units of the weights.
    frame: Matrix,
}

/// Draws inputs `N(0, 1)`, weights, biases and a random readout `N(0, 1) / B` of the outputs, and gives the
/// norms per layer.
///
/// # Errors
/// What [`ChainSpec::check`] refuses.
pub fn simulate_norms(spec: &ChainSpec, rng: &mut Rng) -> Result<Vec<LayerNorms>, SimulateError> {
    let mut steps = simulate_steps(spec, 1, rng)?;
    Ok(steps.pop().unwrap_or_default())
}

/// The norms at several steps of one network whose weights do not move: each step has a batch of its own.
///
/// # Errors
/// What [`ChainSpec::check`] refuses.
pub fn simulate_steps(
    spec: &ChainSpec,
    steps: usize,
    rng: &mut Rng,
) -> Result<Vec<Vec<LayerNorms>>, SimulateError> {
    // All steps see the same weights, so they are one wide batch of which norms are taken part by part.
    let samples = spec.batch.saturating_mul(steps);
    ChainSpec {
        batch: samples,
        ..spec.clone()
    }
    .check()?;
    let input = Panel::normal(spec.widths.first().copied().unwrap_or(1), samples, 1.0, rng).stored(spec);
    if spec.block == Block::PreNorm {
        return Ok(residual::simulate(spec, &input, steps, rng));
    }
    let seen = forward(spec, &input, rng);
    Ok(backward(spec, &input, &seen, steps, rng))
}

fn forward(spec: &ChainSpec, input: &Panel, rng: &mut Rng) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::with_capacity(spec.depth());
    for (m_in, m_out) in spec.shapes() {
        let below = all.last().map_or(input, |seen| &seen.output);
        let layer = forward_layer(spec, below, m_in, m_out, rng);
        all.push(layer);
    }
    all
}

fn forward_layer(spec: &ChainSpec, below: &Panel, m_in: usize, m_out: usize, rng: &mut Rng) -> Seen {
    let (visible, overflows) = without_overflow(&below.matrix);
    let qr = visible.thin_qr();
    let frame = random_frame(spec, m_in, m_out, qr.basis.cols(), rng);
    let mut z = frame.with_rows(m_out).times(&qr.coefficients);
    spread_overflow(&overflows, &mut z, rng);
    round_all(spec.format, z.values_mut());
    if spec.bias_sd > 0.0 {
        let bias: Vec<f64> = (0..m_out).map(|_| scaled_normal(spec.bias_sd, rng)).collect();
        for col in 0..z.cols() {
            super::linalg::add_scaled(z.column_mut(col), &bias, 1.0);
        }
        round_all(spec.format, z.values_mut());
    }
    let slopes = match spec.activation {
        super::Activation::Linear => Vec::new(),
        activation => z.values().iter().map(|value| activation.slope(*value)).collect(),
    };
    for value in z.values_mut() {
        *value = spec.activation.apply(*value);
    }
    Seen {
        output: Panel {
            matrix: z,
            exponent: below.exponent,
        }
        .stored(spec),
        slopes,
        frame,
    }
}

/// `W Q` for a basis of `rank` columns; for orthogonal weights with `max(m_in, m_out)` rows.
fn random_frame(spec: &ChainSpec, m_in: usize, m_out: usize, rank: usize, rng: &mut Rng) -> Matrix {
    if spec.init == Init::Orthogonal {
        let side = m_in.max(m_out);
        let mut frame = Matrix::from_fn(side, rank, |_, _| rng.normal()).thin_qr().basis;
        scale(frame.values_mut(), spec.gain);
        return frame;
    }
    let sd = spec.init.weight_sd(spec.gain, m_in);
    Matrix::from_fn(m_out, rank, |_, _| sd * rng.normal())
}

fn backward(
    spec: &ChainSpec,
    input: &Panel,
    seen: &[Seen],
    steps: usize,
    rng: &mut Rng,
) -> Vec<Vec<LayerNorms>> {
    let outputs = spec.widths.last().copied().unwrap_or(1);
    let mut delta = Panel::normal(outputs, spec.batch * steps, 1.0 / spec.batch as f64, rng).stored(spec);
    let mut norms = vec![Vec::with_capacity(seen.len()); steps];
    for (index, ((m_in, m_out), layer)) in spec.shapes().zip(seen).enumerate().rev() {
        let below = index
            .checked_sub(1)
            .and_then(|j| seen.get(j))
            .map_or(input, |seen| &seen.output);
        for (value, slope) in delta.matrix.values_mut().iter_mut().zip(&layer.slopes) {
            *value *= slope;
        }
        let basis = without_overflow(&below.matrix).0.thin_qr().basis;
        let (visible, overflows) = without_overflow(&delta.matrix);
        let (mut next, weight) = match spec.init {
            Init::Orthogonal => orthogonal_back(spec.gain, &basis, &layer.frame, &visible, m_in, rng),
            Init::Gaussian | Init::He => {
                let sd = spec.init.weight_sd(spec.gain, m_in);
                gaussian_back(sd, &basis, &layer.frame, &visible, (m_in, m_out), rng)
            }
        };
        spread_overflow(&overflows, &mut next, rng);
        for (step, norms) in norms.iter_mut().enumerate() {
            norms.push(group_norms(
                index + 1,
                weight,
                &layer.output,
                below,
                &delta,
                (step, spec.batch),
            ));
        }
        delta = Panel {
            matrix: next,
            exponent: delta.exponent,
        }
        .stored_gradient(spec.format);
    }
    for norms in &mut norms {
        norms.reverse();
    }
    norms
}

/// The norms of one step: of the columns of one batch.
fn group_norms(
    k: usize,
    weight: f64,
    output: &Panel,
    below: &Panel,
    delta: &Panel,
    (step, batch): (usize, usize),
) -> LayerNorms {
    let part = |panel: &Panel| panel.columns(step * batch, batch);
    let delta = part(delta);
    LayerNorms {
        k,
        weight,
        activation_rms: part(output).rms(),
        grad_weight: outer_norm(&delta, &part(below)),
        grad_bias: Scaled::with_exponent(norm(&delta.matrix.row_sums()), delta.exponent),
    }
}

/// `W^T D` and `|W|`, for weights of standard deviation `sd` of which `frame = W basis` is known.
fn gaussian_back(
    sd: f64,
    basis: &Matrix,
    frame: &Matrix,
    delta: &Matrix,
    (m_in, m_out): (usize, usize),
    rng: &mut Rng,
) -> (Matrix, f64) {
    let delta_qr = delta.thin_qr();
    let mut unseen = Matrix::from_fn(m_in, delta_qr.basis.cols(), |_, _| sd * rng.normal());
    unseen.remove_span(basis);
    let mut back = basis.times(&frame.transposed_times(delta));
    back.add(&unseen.times(&delta_qr.coefficients));
    // |W|^2 is what the forward pass saw, what the backward pass saw beside it, and the rest.
    let unseen_rows = (m_out - delta_qr.basis.cols()) as f64;
    let unseen_cols = (m_in - basis.cols()) as f64;
    let rest = sd.abs() * rng.chi_squared(unseen_rows * unseen_cols).sqrt();
    (back, norm(&[frame.frobenius(), unseen.frobenius(), rest]))
}

/// The same for a gain times a uniformly random orthogonal matrix of side `max(m_in, m_out)`, cut to shape:
/// inputs or gradients are filled up with zeros.
fn orthogonal_back(
    gain: f64,
    basis: &Matrix,
    frame: &Matrix,
    delta: &Matrix,
    m_in: usize,
    rng: &mut Rng,
) -> (Matrix, f64) {
    let (side, m_out) = (frame.rows(), delta.rows());
    let (basis, delta) = (basis.with_rows(side), delta.with_rows(side));
    let mut unit_frame = frame.clone();
    scale(
        unit_frame.values_mut(),
        if gain == 0.0 { 0.0 } else { 1.0 / gain },
    );
    let mut outside = delta.clone();
    outside.remove_span(&unit_frame);
    outside.remove_span(&unit_frame);
    let outside_qr = outside.thin_qr();
    // As many columns as fit beside the basis; more are rounding noise of a full space.
    let columns = outside_qr.basis.cols().min(side - basis.cols());
    let mut images = Matrix::from_fn(side, columns, |_, _| rng.normal());
    images.remove_span(&basis);
    let images = images.thin_qr().basis;
    let mut back = basis.times(&unit_frame.transposed_times(&delta));
    back.add(&images.times(&outside_qr.coefficients.with_rows(images.cols())));
    scale(back.values_mut(), gain);
    (back.with_rows(m_in), gain.abs() * (m_in.min(m_out) as f64).sqrt())
}

/// `|D A^T|_F = sqrt(tr(D^T D A^T A))`, from two B x B products.
fn outer_norm(delta: &Panel, below: &Panel) -> Scaled {
    let (delta_gram, below_gram) = (
        delta.matrix.transposed_times(&delta.matrix),
        below.matrix.transposed_times(&below.matrix),
    );
    let square = super::linalg::dot(delta_gram.values(), below_gram.values());
    // Rounding may leave a product that is 0 a hair below it.
    Scaled::with_exponent(
        square.max(0.0).sqrt(),
        delta.exponent.saturating_add(below.exponent),
    )
}

/// Infinities in a column, or NaN.
#[derive(Debug, Clone, Copy)]
struct Overflow {
    col: usize,
    infinities: i32,
    has_nan: bool,
}

/// The columns that are finite, the others zero and listed.
fn without_overflow(matrix: &Matrix) -> (Matrix, Vec<Overflow>) {
    let mut visible = matrix.clone();
    let mut overflows = Vec::new();
    for col in 0..matrix.cols() {
        let column = matrix.column(col);
        if column.iter().any(|value| !value.is_finite()) {
            let infinities = column.iter().filter(|value| value.is_infinite()).count() as i32;
            overflows.push(Overflow {
                col,
                infinities,
                has_nan: column.iter().any(|value| value.is_nan()),
            });
            visible.column_mut(col).fill(0.0);
        }
    }
    (visible, overflows)
}

/// A random matrix times a column with j infinities: all j products agree in sign with probability 2^(1-j),
/// else infinity minus infinity is NaN.
fn spread_overflow(overflows: &[Overflow], product: &mut Matrix, rng: &mut Rng) {
    for overflow in overflows {
        let agree = 2f64.powi(1 - overflow.infinities);
        for value in product.column_mut(overflow.col) {
            let is_infinite = !overflow.has_nan && rng.uniform() < agree;
            let sign = if rng.uniform() < 0.5 { -1.0 } else { 1.0 };
            *value = if is_infinite {
                sign * f64::INFINITY
            } else {
                f64::NAN
            };
        }
    }
}

fn scale(values: &mut [f64], factor: f64) {
    for value in values {
        *value *= factor;
    }
}

impl Panel {
    fn normal(rows: usize, cols: usize, sd: f64, rng: &mut Rng) -> Self {
        Self {
            matrix: Matrix::from_fn(rows, cols, |_, _| sd * rng.normal()),
            exponent: 0,
        }
    }

    /// Rounded to the format; in float64 a chain that may be rescaled is, so that no depth overflows.
    fn stored(mut self, spec: &ChainSpec) -> Self {
        round_all(spec.format, self.matrix.values_mut());
        if spec.format == NumberFormat::Float64 && spec.activation.is_homogeneous() && spec.bias_sd == 0.0 {
            self.rescale();
        }
        self
    }

    /// Gradients are linear in the readout: they may always be rescaled in float64.
    fn stored_gradient(mut self, format: NumberFormat) -> Self {
        round_all(format, self.matrix.values_mut());
        if format == NumberFormat::Float64 {
            self.rescale();
        }
        self
    }

    fn columns(&self, first: usize, count: usize) -> Self {
        Self {
            matrix: self.matrix.columns(first, count),
            exponent: self.exponent,
        }
    }

    fn rescale(&mut self) {
        let largest = super::linalg::largest_magnitude(self.matrix.values());
        if largest == 0.0 || !largest.is_finite() || (1e-30..1e30).contains(&largest) {
            return;
        }
        let shift = largest.log2().floor() as i64;
        // Two factors: 2^-shift itself may be beyond f64.
        let half = shift / 2;
        scale(self.matrix.values_mut(), 2f64.powi(-(half as i32)));
        scale(self.matrix.values_mut(), 2f64.powi(-((shift - half) as i32)));
        self.exponent = self.exponent.saturating_add(shift);
    }

    fn rms(&self) -> Scaled {
        let count = self.matrix.values().len() as f64;
        Scaled::with_exponent(self.matrix.frobenius() / count.sqrt(), self.exponent)
    }
}
