//! The scalar chain against 50-digit arithmetic.
//!
//! In: `fixtures/oracles/scalar_chain.csv`, an excerpt, and the whole table where the shared data directory
//! lies beside the checkout. Invariant: the tolerance is the table's own: |error of ln| <= 4e-16 cond k +
//! 1e-13 (1 + |ln|), signs exact.

use std::path::{Path, PathBuf};

use super::{ScalarChain, ScalarLayer};
use crate::simulate::Scaled;

struct Row {
    case: u32,
    n: usize,
    homogeneous: bool,
    x: f64,
    k: usize,
    w: f64,
    b: f64,
    signs: [i8; 3],
    logs: [f64; 3],
    cond_activation: f64,
    cond_below: f64,
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number"))
}

fn read(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let field: Vec<&str> = line.split(',').collect();
            Row {
                case: number(field[0]),
                n: number(field[2]),
                homogeneous: field[3] == "1",
                x: number(field[4]),
                k: number(field[5]),
                w: number(field[6]),
                b: number(field[7]),
                signs: [number(field[12]), number(field[14]), number(field[16])],
                logs: [number(field[13]), number(field[15]), number(field[17])],
                cond_activation: number(field[19]),
                cond_below: number(field[20]),
            }
        })
        .collect()
}

fn chain_of(rows: &[Row]) -> ScalarChain {
    let first = &rows[0];
    if first.homogeneous {
        return ScalarChain::homogeneous(first.n, first.w, first.b, first.x).unwrap();
    }
    assert_eq!(rows.len(), first.n, "heterogeneous cases list every layer");
    let weights = rows.iter().map(|row| row.w).collect();
    ScalarChain::listed(weights, rows.iter().map(|row| row.b).collect(), first.x).unwrap()
}

fn agree(what: &str, row: &Row, index: usize, got: Scaled, condition: f64) {
    let (expected, sign) = (row.logs[index], row.signs[index]);
    let at = format!("case {} n {} k {} {what}", row.case, row.n, row.k);
    let tolerance = 4e-16 * condition * row.k as f64 + 1e-13 * (1.0 + expected.abs());
    // A sum that cancels to nothing has neither a sign nor a logarithm in any 53-bit arithmetic.
    if sign != 0 && condition > 1e15 {
        return;
    }
    assert_eq!(got.sign(), sign, "{at}");
    if sign == 0 {
        assert_eq!(got.ln_abs(), f64::NEG_INFINITY, "{at}");
        return;
    }
    let error = (got.ln_abs() - expected).abs();
    assert!(error <= tolerance, "{at}: error {error:e} above {tolerance:e}");
}

fn check(row: &Row, layer: &ScalarLayer, way: &str) {
    agree(
        &format!("{way} activation"),
        row,
        0,
        layer.activation,
        row.cond_activation,
    );
    agree(
        &format!("{way} grad_weight"),
        row,
        1,
        layer.grad_weight,
        row.cond_below,
    );
    agree(&format!("{way} grad_bias"), row, 2, layer.grad_bias, 1.0);
}

fn check_table(path: &Path) -> usize {
    let rows = read(path);
    for case in rows.chunk_by(|a, b| a.case == b.case) {
        let chain = chain_of(case);
        let layers = chain.output_pass();
        for row in case {
            check(row, &layers[row.k - 1], "pass");
            check(row, &chain.closed_form(row.k).unwrap(), "closed form");
        }
    }
    rows.len()
}

#[test]
fn excerpt_of_the_oracle_agrees() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/oracles/scalar_chain.csv"
    ));
    assert!(check_table(&path) >= 100);
}

#[test]
fn every_row_of_the_oracle_agrees() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/oracles/oracle_scalar_chain.csv"
    ));
    if !path.exists() {
        eprintln!("skipped: no shared data directory beside the checkout");
        return;
    }
    let rows = check_table(&path);
    eprintln!("{rows} rows agree, each by the pass and by the closed form");
    assert_eq!(rows, 2_169);
}
