//! Histograms: the L2 norm of the tensor that was logged.
//!
//! In: a `HistogramProto`, or the `[k, 3]` tensor of a TF2 histogram (left edge, right edge, count). Out: the
//! norm and its [`Form`]. Invariant: a norm is called exact only when it comes from `sum_squares`; a tensor
//! that held a NaN has norm NaN; an empty tensor has none.
//!
//! Source: `tensorboard/compat/proto/histogram.proto` (fields that are 0 are absent on the wire) and
//! `tensorboard/plugins/histogram/summary_v2.py`.

use super::proto::{Malformed, Wire, for_each_field};
use super::tensor::Tensor;
use crate::model::Form;

/// Below this the square of an element is 0 in an `f64`, so that `sum_squares` proves nothing.
const SQUARE_UNDERFLOW: f64 = 1e-150;

/// A norm and what it was made from; `None` when the tensor had no elements.
pub(crate) type Norm = Option<(f64, Form)>;

/// The scalar fields of a `HistogramProto`, and where its buckets are.
#[derive(Debug, Default, Clone, Copy)]
struct Histogram<'a> {
    min: f64,
    max: f64,
    n_elements: f64,
    sum_squares: f64,
    limits: &'a [u8],
    counts: &'a [u8],
}

/// The norm of a `HistogramProto`: exact from `sum_squares`, estimated from the buckets when it is missing.
pub(crate) fn read_histogram(message: &[u8]) -> Result<Norm, Malformed> {
    let mut histogram = Histogram::default();
    for_each_field(message, |number, wire| {
        match (number, wire) {
            (1, Wire::Fixed64(bits)) => histogram.min = f64::from_bits(bits),
            (2, Wire::Fixed64(bits)) => histogram.max = f64::from_bits(bits),
            (3, Wire::Fixed64(bits)) => histogram.n_elements = f64::from_bits(bits),
            (5, Wire::Fixed64(bits)) => histogram.sum_squares = f64::from_bits(bits),
            (6, Wire::Bytes(limits)) => histogram.limits = limits,
            (7, Wire::Bytes(counts)) => histogram.counts = counts,
            _ => {}
        }
        Ok(())
    })?;
    histogram.norm()
}

impl Histogram<'_> {
    fn norm(&self) -> Result<Norm, Malformed> {
        if self.sum_squares < 0.0 || self.n_elements < 0.0 {
            return Err(Malformed);
        }
        if self.sum_squares == 0.0 {
            if self.n_elements == 0.0 {
                return Ok(None);
            }
            if self.is_sum_squares_missing() {
                return self.bucket_norm();
            }
        }
        Ok(Some((
            self.sum_squares.sqrt(),
            Form::Tensor {
                n_elements: self.n_elements,
            },
        )))
    }

    /// Some writers leave `sum_squares` out; with elements that are not zero it cannot be 0.
    fn is_sum_squares_missing(&self) -> bool {
        let max_abs = self.min.abs().max(self.max.abs());
        max_abs > SQUARE_UNDERFLOW || self.min.is_nan() || self.max.is_nan()
    }

    fn bucket_norm(&self) -> Result<Norm, Malformed> {
        let mut buckets = Buckets::default();
        buckets.take_edges(self.min, self.max);
        let mut left = self.min;
        let (limits, counts) = (self.limits.chunks_exact(8), self.counts.chunks_exact(8));
        if limits.len() != counts.len() || !limits.remainder().is_empty() || !counts.remainder().is_empty() {
            return Err(Malformed);
        }
        for (limit, count) in limits.zip(counts) {
            // The outer limits of most writers are far outside the data; min and max are tighter.
            let right = f64_from(limit)?.clamp_between(self.min, self.max);
            buckets.take(left, right, f64_from(count)?);
            left = right;
        }
        Ok(buckets.norm())
    }
}

/// Clamping that leaves everything alone when the bounds are not ordered or not numbers.
trait ClampBetween {
    fn clamp_between(self, low: f64, high: f64) -> f64;
}

impl ClampBetween for f64 {
    fn clamp_between(self, low: f64, high: f64) -> f64 {
        if low <= high { self.clamp(low, high) } else { self }
    }
}

fn f64_from(bytes: &[u8]) -> Result<f64, Malformed> {
    bytes
        .first_chunk::<8>()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .ok_or(Malformed)
}

/// The norm of a TF2 histogram; `None` in the outer option when the tensor is not a `[k, 3]` matrix.
pub(crate) fn read_bucket_tensor(tensor: &Tensor<'_>) -> Result<Option<Norm>, Malformed> {
    let mut buckets = Buckets::default();
    let is_matrix = tensor.for_each_triple(|[left, right, count]| buckets.take(left, right, count))?;
    Ok(is_matrix.then(|| buckets.norm()))
}

/// Sums over buckets: what the norm is at least, at most, and if every element sat in the middle.
///
/// Measured error of the midpoint on normal data is +0.4 %, on heavy tails (Student t, 3 degrees) +41 %.
#[derive(Debug, Default, Clone, Copy)]
struct Buckets {
    low: f64,
    middle: f64,
    high: f64,
    max_abs: f64,
    n_elements: f64,
    has_nan: bool,
    has_infinity: bool,
}

impl Buckets {
    fn take(&mut self, left: f64, right: f64, count: f64) {
        self.take_edges(left, right);
        self.has_nan |= count.is_nan();
        if count > 0.0 {
            let (smaller, larger) = (left.abs().min(right.abs()), left.abs().max(right.abs()));
            let holds_zero = left <= 0.0 && right >= 0.0;
            let middle = f64::midpoint(left, right);
            self.low += if holds_zero {
                0.0
            } else {
                count * smaller * smaller
            };
            self.middle += count * middle * middle;
            self.high += count * larger * larger;
            self.max_abs = self.max_abs.max(larger);
            self.n_elements += count;
        }
    }

    fn take_edges(&mut self, left: f64, right: f64) {
        self.has_nan |= left.is_nan() || right.is_nan();
        self.has_infinity |= left.is_infinite() || right.is_infinite();
    }

    fn norm(self) -> Norm {
        if self.has_nan {
            return Some((f64::NAN, self.form(f64::NAN, f64::NAN, f64::NAN)));
        }
        if self.has_infinity {
            return Some((
                f64::INFINITY,
                self.form(self.low.sqrt(), f64::INFINITY, f64::INFINITY),
            ));
        }
        let form = self.form(self.low.sqrt(), self.high.sqrt(), self.max_abs);
        (self.n_elements > 0.0).then_some((self.middle.sqrt(), form))
    }

    fn form(&self, low: f64, high: f64, max_abs: f64) -> Form {
        Form::Buckets {
            low,
            high,
            max_abs,
            n_elements: self.n_elements,
        }
    }
}

#[cfg(test)]
mod tests;
