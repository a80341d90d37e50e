//! Pre-norm residual blocks: `x_k = x_{k-1} + W_k f(N(x_{k-1})) + b_k`, without building `W_k`.
//!
//! In: a specification of square layers, random numbers. Out: norms per block and step. Invariant: the block
//! draws what the plain layer draws (see the parent); only what is added around it differs. `N` divides each
//! sample by its root mean square (Zhang and Sennrich 2019), without epsilon: its input is never small.

use super::{
    Panel, gaussian_back, group_norms, orthogonal_back, random_frame, scale, spread_overflow,
    without_overflow,
};
use crate::simulate::dense::{LayerNorms, round_all, scaled_normal};
use crate::simulate::linalg::{add_scaled, dot};
use crate::simulate::spec::{ChainSpec, Init};
use crate::simulate::{Matrix, Rng};

/// What the forward pass keeps of a block.
#[derive(Debug)]
struct SeenBlock {
    /// `x_k`.
    output: Panel,
    /// `f(N(x_{k-1}))`, what the weights see.
    branch: Panel,
    /// `N(x_{k-1})`.
    normalised: Matrix,
    /// Root mean square of every sample of `x_{k-1}`.
    roots: Vec<f64>,
    /// `W Q`.
    frame: Matrix,
}

pub(super) fn simulate(spec: &ChainSpec, input: &Panel, steps: usize, rng: &mut Rng) -> Vec<Vec<LayerNorms>> {
    let mut seen: Vec<SeenBlock> = Vec::with_capacity(spec.depth());
    for (width, _) in spec.shapes() {
        let below = seen.last().map_or(&input.matrix, |block| &block.output.matrix);
        let block = forward_block(spec, below, width, rng);
        seen.push(block);
    }
    backward(spec, &seen, steps, rng)
}

fn forward_block(spec: &ChainSpec, below: &Matrix, width: usize, rng: &mut Rng) -> SeenBlock {
    let (normalised, roots) = normalise(below);
    let mut branch = normalised.clone();
    for value in branch.values_mut() {
        *value = spec.format.round(spec.activation.apply(*value));
    }
    let (visible, overflows) = without_overflow(&branch);
    let qr = visible.thin_qr();
    let frame = random_frame(spec, width, width, qr.basis.cols(), rng);
    let mut output = frame.times(&qr.coefficients);
    spread_overflow(&overflows, &mut output, rng);
    let bias: Vec<f64> = (0..width).map(|_| scaled_normal(spec.bias_sd, rng)).collect();
    for col in 0..output.cols() {
        add_scaled(output.column_mut(col), &bias, 1.0);
    }
    output.add(below);
    round_all(spec.format, output.values_mut());
    let plain = |matrix| Panel { matrix, exponent: 0 };
    SeenBlock {
        output: plain(output),
        branch: plain(branch),
        normalised,
        roots,
        frame,
    }
}

fn backward(spec: &ChainSpec, seen: &[SeenBlock], steps: usize, rng: &mut Rng) -> Vec<Vec<LayerNorms>> {
    let width = spec.widths.last().copied().unwrap_or(1);
    let mut delta = Panel::normal(width, spec.batch * steps, 1.0 / spec.batch as f64, rng);
    round_all(spec.format, delta.matrix.values_mut());
    let mut norms = vec![Vec::with_capacity(seen.len()); steps];
    for (k, block) in (1..).zip(seen).collect::<Vec<_>>().into_iter().rev() {
        let basis = without_overflow(&block.branch.matrix).0.thin_qr().basis;
        let (visible, overflows) = without_overflow(&delta.matrix);
        let (mut back, weight) = if spec.init == Init::Orthogonal {
            orthogonal_back(spec.gain, &basis, &block.frame, &visible, width, rng)
        } else {
            let sd = spec.init.weight_sd(spec.gain, width);
            gaussian_back(sd, &basis, &block.frame, &visible, (width, width), rng)
        };
        spread_overflow(&overflows, &mut back, rng);
        for (step, norms) in norms.iter_mut().enumerate() {
            norms.push(group_norms(
                k,
                weight,
                &block.output,
                &block.branch,
                &delta,
                (step, spec.batch),
            ));
        }
        for (value, u) in back.values_mut().iter_mut().zip(block.normalised.values()) {
            *value *= spec.activation.slope(*u);
        }
        through_normalisation(&mut back, block);
        delta.matrix.add(&back);
        delta = delta.stored_gradient(spec.format);
    }
    for norms in &mut norms {
        norms.reverse();
    }
    norms
}

/// Every column with mean square 1, and the roots that were divided out. A column of zeros stays.
fn normalise(matrix: &Matrix) -> (Matrix, Vec<f64>) {
    let mut normalised = matrix.clone();
    let roots = (0..matrix.cols()).map(|col| {
        let column = normalised.column_mut(col);
        let count = column.len() as f64;
        let root = (dot(column, column) / count).sqrt();
        let factor = if root == 0.0 { 0.0 } else { 1.0 / root };
        scale(column, factor);
        root
    });
    let roots = roots.collect();
    (normalised, roots)
}

/// The gradient before the normalisation: `(g - u mean(g u)) / root` per column.
fn through_normalisation(gradient: &mut Matrix, block: &SeenBlock) {
    for (col, root) in block.roots.iter().enumerate() {
        let u = block.normalised.column(col);
        let g = gradient.column_mut(col);
        let count = g.len() as f64;
        let along = dot(g, u) / count;
        let factor = if *root == 0.0 { 0.0 } else { 1.0 / root };
        for (value, u) in g.iter_mut().zip(u) {
            *value = (*value - u * along) * factor;
        }
    }
}
