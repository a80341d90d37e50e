//! Explicit matrix chains against 50-digit arithmetic.
//!
//! In: `fixtures/oracles/matrix.csv`, an excerpt, and the whole table where the shared data directory lies
//! beside the checkout. Invariant: every row of every kind is compared, relative to the largest magnitude of
//! its kind and layer: 1e-12 (sums of at most eight factors); values beyond f64 must be infinite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{DenseLayer, MatrixChain};
use crate::simulate::{Activation, Matrix, NumberFormat};

/// Values of one kind and layer by row and column.
type Table = BTreeMap<(String, usize), Vec<(usize, usize, f64)>>;

fn read(path: &Path) -> BTreeMap<u32, Table> {
    let mut cases: BTreeMap<u32, Table> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines().skip(1) {
        let field: Vec<&str> = line.split(',').collect();
        let index = |text: &str| if text.is_empty() { 0 } else { text.parse().unwrap() };
        let table = cases.entry(field[0].parse().unwrap()).or_default();
        let key = (field[2].to_owned(), index(field[3]));
        table
            .entry(key)
            .or_default()
            .push((index(field[4]), index(field[5]), field[6].parse().unwrap()));
    }
    cases
}

fn matrix(cells: &[(usize, usize, f64)]) -> Matrix {
    let rows = cells.iter().map(|cell| cell.0).max().unwrap() + 1;
    let cols = cells.iter().map(|cell| cell.1).max().unwrap() + 1;
    let mut matrix = Matrix::zeros(rows, cols);
    for (row, col, value) in cells {
        matrix.column_mut(*col)[*row] = *value;
    }
    matrix
}

fn column(values: &[f64]) -> Matrix {
    Matrix::from_fn(values.len(), 1, |row, _| values[row])
}

fn answers(table: &Table) -> Table {
    let n = table.keys().filter(|(kind, _)| kind == "W").count();
    let part = |kind: &str, layer: usize| matrix(&table[&(kind.to_owned(), layer)]);
    let layers = (1..=n).map(|k| DenseLayer {
        weight: part("W", k),
        bias: part("b", k).values().to_vec(),
    });
    let chain = MatrixChain::new(layers.collect(), Activation::Linear, NumberFormat::Float64).unwrap();
    let (loss, passes) = chain.loss_pass(&part("x", 0), &part("t", n)).unwrap();
    let norms = chain.norms(&passes);
    let mut answers = Table::new();
    let mut put = |kind: &str, layer: usize, matrix: &Matrix| {
        let cells = (0..matrix.cols())
            .flat_map(|col| (0..matrix.rows()).map(move |row| (row, col)))
            .map(|(row, col)| (row, col, matrix.get(row, col)));
        answers.insert((kind.to_owned(), layer), cells.collect());
    };
    put("loss", 0, &column(&[loss]));
    let mut product: Option<Matrix> = None;
    for (k, ((layer, pass), norm)) in (1..).zip(chain.layers().iter().zip(&passes).zip(&norms)) {
        let w = &layer.weight;
        let all = product.map_or_else(|| w.clone(), |below| w.times(&below));
        put("a", k, &pass.activation);
        put("gradW", k, &pass.grad_weight);
        put("gradb", k, &column(&pass.grad_bias));
        let scalars = [
            ("norm_W_fro", norm.weight),
            ("norm_W_spec", w.spectral()),
            ("norm_a_fro", pass.activation.frobenius()),
            ("rms_a", norm.activation_rms.to_f64()),
            ("norm_delta_fro", pass.delta.frobenius()),
            ("norm_gradW_fro", norm.grad_weight.to_f64()),
            ("norm_gradb", norm.grad_bias.to_f64()),
            ("norm_prod_1_to_k_fro", all.frobenius()),
            ("norm_prod_1_to_k_spec", all.spectral()),
            ("iso_gain_fwd", norm.weight / (w.cols() as f64).sqrt()),
            ("iso_gain_bwd", norm.weight / (w.rows() as f64).sqrt()),
        ];
        for (kind, value) in scalars {
            put(kind, k, &column(&[value]));
        }
        product = Some(all);
    }
    answers
}

fn compare(case: u32, key: &(String, usize), expected: &[(usize, usize, f64)], got: &[(usize, usize, f64)]) {
    let scale = expected.iter().map(|cell| cell.2.abs()).fold(0.0, f64::max);
    for (row, col, value) in expected {
        let cell = got.iter().find(|cell| cell.0 == *row && cell.1 == *col);
        let at = format!("case {case} {key:?} [{row}, {col}]");
        let got = cell.unwrap_or_else(|| panic!("{at} is missing")).2;
        if value.is_finite() {
            assert!(
                (got - value).abs() <= 1e-12 * scale,
                "{at}: {got} instead of {value}"
            );
        } else {
            assert!(!got.is_finite(), "{at}: {got} instead of {value}");
        }
    }
}

fn check_table(path: &Path) -> usize {
    let mut rows = 0;
    for (case, table) in read(path) {
        let answers = answers(&table);
        for (key, expected) in table
            .iter()
            .filter(|((kind, _), _)| !["W", "b", "x", "t"].contains(&kind.as_str()))
        {
            compare(case, key, expected, &answers[key]);
            rows += expected.len();
        }
    }
    rows
}

#[test]
fn excerpt_of_the_oracle_agrees() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/oracles/matrix.csv"
    ));
    let rows = check_table(&path);
    eprintln!("{rows} rows of the excerpt agree");
    assert!(rows >= 150, "{rows}");
}

#[test]
fn every_row_of_the_oracle_agrees() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/oracles/oracle_matrix.csv"
    ));
    if !path.exists() {
        eprintln!("skipped: no shared data directory beside the checkout");
        return;
    }
    // Of 2,006 rows, 671 are weights, biases, inputs and targets.
    let rows = check_table(&path);
    eprintln!("{rows} rows agree");
    assert_eq!(rows, 1_335);
}
