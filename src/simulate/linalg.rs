//! Dense matrices by columns, and the few operations that the chain needs.
//!
//! In: numbers. Out: products, norms, an orthonormal basis. Invariants: `values.len() == rows * cols`, column
//! after column; norms neither overflow nor underflow before their result does.

/// A matrix stored by columns; the columns of a batch are its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
}

/// `matrix = basis * coefficients` with orthonormal columns in `basis`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ThinQr {
    pub(crate) basis: Matrix,
    pub(crate) coefficients: Matrix,
}

/// A column whose part outside the span is smaller than this share of it lies in the span.
const DEPENDENT: f64 = 1e-13;

impl Matrix {
    /// All zeros.
    #[must_use]
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self {
            rows,
            cols,
            values: vec![0.0; rows * cols],
        }
    }

    /// Value by value, down the columns.
    pub fn from_fn(rows: usize, cols: usize, mut value: impl FnMut(usize, usize) -> f64) -> Self {
        let mut matrix = Self::zeros(rows, cols);
        for col in 0..cols {
            for (row, slot) in matrix.column_mut(col).iter_mut().enumerate() {
                *slot = value(row, col);
            }
        }
        matrix
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All values, column after column.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// All values, to change in place.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// Column `col`, empty when there is no such column.
    #[must_use]
    pub fn column(&self, col: usize) -> &[f64] {
        self.values
            .get(col * self.rows..(col + 1) * self.rows)
            .unwrap_or(&[])
    }

    /// Column `col` to change in place.
    pub fn column_mut(&mut self, col: usize) -> &mut [f64] {
        self.values
            .get_mut(col * self.rows..(col + 1) * self.rows)
            .unwrap_or(&mut [])
    }

    /// A copy of `count` columns from `first` on.
    pub(crate) fn columns(&self, first: usize, count: usize) -> Self {
        Self::from_fn(self.rows, count, |row, col| self.get(row, first + col))
    }

    /// Element, NaN when out of range.
    #[must_use]
    pub fn get(&self, row: usize, col: usize) -> f64 {
        self.column(col).get(row).copied().unwrap_or(f64::NAN)
    }

    /// `self * right`.
    #[must_use]
    pub fn times(&self, right: &Self) -> Self {
        debug_assert_eq!(self.cols, right.rows);
        let mut product = Self::zeros(self.rows, right.cols);
        for col in 0..right.cols {
            let target = product.column_mut(col);
            for (inner, factor) in right.column(col).iter().enumerate() {
                // No shortcut for a zero factor: 0 * inf is NaN here as it is in practice.
                add_scaled(target, self.column(inner), *factor);
            }
        }
        product
    }

    /// `self^T * right`.
    #[must_use]
    pub fn transposed_times(&self, right: &Self) -> Self {
        debug_assert_eq!(self.rows, right.rows);
        Self::from_fn(self.cols, right.cols, |row, col| {
            dot(self.column(row), right.column(col))
        })
    }

    /// `self * right^T`.
    #[must_use]
    pub fn times_transposed(&self, right: &Self) -> Self {
        debug_assert_eq!(self.cols, right.cols);
        let mut product = Self::zeros(self.rows, right.rows);
        for inner in 0..self.cols {
            for (col, factor) in right.column(inner).iter().enumerate() {
                add_scaled(product.column_mut(col), self.column(inner), *factor);
            }
        }
        product
    }

    /// Sum of the columns.
    #[must_use]
    pub fn row_sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.rows];
        for col in 0..self.cols {
            add_scaled(&mut sums, self.column(col), 1.0);
        }
        sums
    }

    /// Frobenius norm.
    #[must_use]
    pub fn frobenius(&self) -> f64 {
        norm(&self.values)
    }

    /// Largest singular value, by one-sided Jacobi rotations (Hestenes 1958); NaN for non-finite input.
    #[must_use]
    pub fn spectral(&self) -> f64 {
        let largest = largest_magnitude(&self.values);
        if largest == 0.0 || !largest.is_finite() {
            return if largest == 0.0 { 0.0 } else { f64::NAN };
        }
        let mut work = if self.cols <= self.rows {
            self.clone()
        } else {
            self.transposed()
        };
        for value in &mut work.values {
            *value /= largest;
        }
        work.orthogonalise_columns();
        let top = (0..work.cols)
            .map(|col| norm(work.column(col)))
            .fold(0.0, f64::max);
        top * largest
    }

    /// The transposed matrix.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |row, col| self.get(col, row))
    }

    /// The first `rows` rows, or more rows filled with zeros.
    pub(crate) fn with_rows(&self, rows: usize) -> Self {
        Self::from_fn(rows, self.cols, |row, col| {
            if row < self.rows { self.get(row, col) } else { 0.0 }
        })
    }

    /// `self - basis (basis^T self)`: the part outside the span of an orthonormal basis.
    pub(crate) fn remove_span(&mut self, basis: &Self) {
        for col in 0..self.cols {
            let column = self.column_mut(col);
            for axis in 0..basis.cols {
                let share = dot(basis.column(axis), column);
                add_scaled(column, basis.column(axis), -share);
            }
        }
    }

    /// `self += other`.
    pub(crate) fn add(&mut self, other: &Self) {
        add_scaled(&mut self.values, &other.values, 1.0);
    }

    /// Gram-Schmidt, each column twice ("twice is enough": Giraud et al. 2005); dependent columns add nothing
    /// to the basis.
    pub(crate) fn thin_qr(&self) -> ThinQr {
        let mut basis = Self {
            rows: self.rows,
            cols: 0,
            values: Vec::new(),
        };
        let mut coefficients = Self::zeros(self.cols.min(self.rows), self.cols);
        for col in 0..self.cols {
            let mut rest = self.column(col).to_vec();
            let size = norm(&rest);
            for _ in 0..2 {
                for axis in 0..basis.cols {
                    let share = dot(basis.column(axis), &rest);
                    add_scaled(&mut rest, basis.column(axis), -share);
                    if let Some(slot) = coefficients.column_mut(col).get_mut(axis) {
                        *slot += share;
                    }
                }
            }
            let left = norm(&rest);
            if basis.cols < coefficients.rows && left > DEPENDENT * size {
                if let Some(slot) = coefficients.column_mut(col).get_mut(basis.cols) {
                    *slot = left;
                }
                basis.values.extend(rest.iter().map(|value| value / left));
                basis.cols += 1;
            }
        }
        let coefficients = coefficients.with_rows(basis.cols);
        ThinQr { basis, coefficients }
    }

    fn orthogonalise_columns(&mut self) {
        const SWEEPS_MAX: usize = 60;
        for _ in 0..SWEEPS_MAX {
            let mut rotated = false;
            for left in 0..self.cols {
                for right in left + 1..self.cols {
                    rotated |= self.rotate(left, right);
                }
            }
            if !rotated {
                return;
            }
        }
    }

    fn rotate(&mut self, left: usize, right: usize) -> bool {
        let (a, b) = (self.column(left), self.column(right));
        let (alpha, beta, gamma) = (dot(a, a), dot(b, b), dot(a, b));
        if gamma.abs() <= 1e-15 * (alpha * beta).sqrt() {
            return false;
        }
        let zeta = (beta - alpha) / (2.0 * gamma);
        let tangent = 1f64.copysign(zeta) / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
        let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
        let sine = cosine * tangent;
        for row in 0..self.rows {
            let (p, q) = (self.get(row, left), self.get(row, right));
            self.values[left * self.rows + row] = cosine * p - sine * q;
            self.values[right * self.rows + row] = sine * p + cosine * q;
        }
        true
    }
}

/// Euclidean norm; infinite or NaN where an element is.
pub(crate) fn norm(values: &[f64]) -> f64 {
    let plain = dot(values, values);
    if plain.is_normal() && plain < 1e300 && plain > 1e-280 {
        return plain.sqrt();
    }
    let largest = largest_magnitude(values);
    if largest == 0.0 || !largest.is_finite() {
        return if largest.is_nan() || values.iter().any(|v| v.is_nan()) {
            f64::NAN
        } else {
            largest
        };
    }
    values
        .iter()
        .map(|value| (value / largest).powi(2))
        .sum::<f64>()
        .sqrt()
        * largest
}

pub(crate) fn largest_magnitude(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |top, value| {
        if value.abs() > top || value.is_nan() {
            value.abs()
        } else {
            top
        }
    })
}

/// Four partial sums, so that the compiler may use vector registers.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a_parts, b_parts) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a_parts
        .remainder()
        .iter()
        .zip(b_parts.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_parts.zip(b_parts) {
        for (sum, (p, q)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += p * q;
        }
    }
    sums.iter().sum::<f64>() + rest
}

pub(crate) fn add_scaled(target: &mut [f64], source: &[f64], factor: f64) {
    for (slot, value) in target.iter_mut().zip(source) {
        *slot += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, norm};
    use crate::simulate::rng::Rng;

    fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
        let mut rng = Rng::new(seed);
        Matrix::from_fn(rows, cols, |_, _| rng.normal())
    }

    #[test]
    fn thin_qr_gives_the_matrix_back() {
        for (rows, cols) in [(7, 3), (3, 7), (5, 5), (1, 4)] {
            let matrix = random(rows, cols, 5);
            let qr = matrix.thin_qr();
            let mut rest = qr.basis.times(&qr.coefficients);
            rest.values_mut().iter_mut().for_each(|value| *value = -*value);
            rest.add(&matrix);
            assert!(rest.frobenius() < 1e-14, "{rows}x{cols}");
            let gram = qr.basis.transposed_times(&qr.basis);
            let identity = Matrix::from_fn(gram.rows(), gram.cols(), |r, c| f64::from(u8::from(r == c)));
            let worst = gram
                .values()
                .iter()
                .zip(identity.values())
                .map(|(a, b)| (a - b).abs());
            assert!(worst.fold(0.0, f64::max) < 1e-14);
        }
    }

    #[test]
    fn dependent_columns_do_not_enter_the_basis() {
        let column = random(6, 1, 1);
        let matrix = Matrix::from_fn(6, 4, |row, col| column.get(row, 0) * (col as f64));
        assert_eq!(matrix.thin_qr().basis.cols(), 1);
        assert_eq!(Matrix::zeros(4, 2).thin_qr().basis.cols(), 0);
    }

    #[test]
    fn spectral_norm_of_known_matrices() {
        let rotation_and_stretch = Matrix::from_fn(2, 2, |r, c| [[0.0, -3.0], [2.0, 0.0]][r][c]);
        assert!((rotation_and_stretch.spectral() - 3.0).abs() < 1e-14);
        let rank_one = random(5, 1, 2).times_transposed(&random(8, 1, 3));
        assert!((rank_one.spectral() / rank_one.frobenius() - 1.0).abs() < 1e-13);
        assert_eq!(Matrix::zeros(3, 2).spectral(), 0.0);
    }

    #[test]
    fn norms_do_not_overflow_before_their_result() {
        assert!((norm(&[3e200, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm(&[3e-200, 4e-200]) / 5e-200 - 1.0).abs() < 1e-15);
        assert_eq!(norm(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(norm(&[f64::NAN, f64::INFINITY]).is_nan() && norm(&[f64::INFINITY, f64::NAN]).is_nan());
        assert_eq!(norm(&[]), 0.0);
    }

    #[test]
    fn products_agree_with_their_definition() {
        let (a, b) = (random(4, 3, 8), random(3, 5, 9));
        let product = a.times(&b);
        let other = a.transposed().transposed_times(&b);
        let third = a.times_transposed(&b.transposed());
        for ((p, q), r) in product.values().iter().zip(other.values()).zip(third.values()) {
            assert!((p - q).abs() < 1e-14 && (p - r).abs() < 1e-14);
        }
        let by_hand: f64 = (0..3).map(|i| a.get(2, i) * b.get(i, 4)).sum();
        assert!((product.get(2, 4) - by_hand).abs() < 1e-14);
    }
}
