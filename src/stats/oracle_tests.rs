//! The functions of this module against tables that were computed with 50 digits.
//!
//! In: `fixtures/oracles` (part of the table) and, where it is there, the whole table in the shared data
//! directory beside the checkout. Out: assertions. Invariant: every number of every row is compared.

use std::collections::BTreeMap;
use std::path::Path;

use super::{
    Line, digamma, endpoint_slope, lag1_of_residuals, mad, mean_square_step, median, ols, pair_fit,
    student_t_two_sided, trigamma,
};

type Table = Vec<BTreeMap<String, f64>>;

fn read_table(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines
        .map(|line| {
            let cells = line.split(',').map(|cell| cell.parse::<f64>().unwrap());
            names.iter().map(|name| (*name).to_owned()).zip(cells).collect()
        })
        .collect()
}

fn same(what: &str, ours: f64, oracle: f64, tolerance: f64) {
    let is_same =
        (ours.is_nan() && oracle.is_nan()) || (ours - oracle).abs() <= tolerance * oracle.abs().max(1.0);
    assert!(is_same, "{what}: {ours} instead of {oracle}");
}

fn check_line(row: &BTreeMap<String, f64>, x: &[f64], y: &[f64], line: &Line) {
    let id = row["series"];
    same(&format!("{id} ols"), line.slope, row["ols_slope"], 1e-13);
    same(
        &format!("{id} intercept"),
        line.intercept,
        row["intercept"],
        1e-13,
    );
    same(
        &format!("{id} variance"),
        line.residual_variance(),
        row["resid_var"],
        1e-13,
    );
    same(&format!("{id} se"), line.se, row["se_slope"], 1e-13);
    if !row["t"].is_nan() {
        let t = line.slope / line.se;
        same(&format!("{id} t"), t, row["t"], 1e-9);
        let p = student_t_two_sided(t, line.n as f64 - 2.0);
        same(&format!("{id} p"), p, row["p_two_sided"], 1e-10);
        same(
            &format!("{id} lag one"),
            lag1_of_residuals(x, y, line),
            row["lag1_resid"],
            1e-10,
        );
    }
}

fn check_series(row: &BTreeMap<String, f64>, y: &[f64]) {
    let id = row["series"];
    let x: Vec<f64> = (0..y.len()).map(|i| i as f64).collect();
    let mut scratch = Vec::new();
    assert_eq!(y.len() as f64, row["n"], "series {id}");
    check_line(row, &x, y, &ols(&x, y).unwrap());
    let pairs = pair_fit(&x, y, &mut scratch).unwrap();
    same(&format!("{id} theil-sen"), pairs.slope, row["theil_sen"], 1e-13);
    assert_eq!(pairs.kendall_s as f64, row["kendall_S"], "series {id}");
    same(
        &format!("{id} endpoints"),
        endpoint_slope(&x, y).unwrap(),
        row["endpoint_slope"],
        1e-13,
    );
    same(
        &format!("{id} steps"),
        mean_square_step(y).unwrap(),
        row["mean_sq_diff"],
        1e-13,
    );
    let center = median(&mut y.to_vec()).unwrap();
    same(&format!("{id} median"), center, row["median"], 1e-13);
    same(
        &format!("{id} mad"),
        mad(y, center, &mut scratch).unwrap(),
        row["mad"],
        1e-13,
    );
}

fn check_tables(stats: &Path, series: &Path) -> usize {
    let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for row in read_table(series) {
        values.entry(row["series"] as u64).or_default().push(row["y"]);
    }
    let rows = read_table(stats);
    for row in &rows {
        check_series(row, &values[&(row["series"] as u64)]);
    }
    rows.len()
}

fn check_lyapunov(path: &Path) -> usize {
    let rows = read_table(path);
    for row in &rows {
        let (m_out, m_in, g) = (row["m_out"], row["m_in"], row["g"]);
        let lambda = g.ln() + 0.5 * (digamma(m_out / 2.0) + (2.0 / m_in).ln());
        same("lambda", lambda, row["lambda"], 1e-13);
        same(
            "variance",
            trigamma(m_out / 2.0) / 4.0,
            row["var_per_layer"],
            1e-14,
        );
    }
    rows.len()
}

#[test]
fn kept_rows_of_the_tables_agree() {
    let kept = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/oracles"));
    assert_eq!(
        check_tables(&kept.join("stats.csv"), &kept.join("stats_series.csv")),
        10
    );
    assert!(check_lyapunov(&kept.join("lyapunov.csv")) >= 4);
}

#[test]
fn whole_tables_agree_where_they_are_present() {
    let oracles = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/oracles"));
    if !oracles.is_dir() {
        eprintln!("skipped: no shared data directory beside the checkout");
        return;
    }
    let n = check_tables(
        &oracles.join("oracle_stats.csv"),
        &oracles.join("oracle_stats_series.csv"),
    );
    assert_eq!(n, 25);
    assert!(check_lyapunov(&oracles.join("oracle_lyapunov.csv")) > 30);
}
