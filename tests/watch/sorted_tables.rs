//! Tables that are sorted by metric or by layer and not by step, as an export or a `melt` writes them.
//!
//! In: the same numbers in both orders. Out: the same findings; and the same again when the file is followed while it
//! grows. Invariant: no order of rows hides what happens over depth.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use gradwatch::rules::load_builtin;

use super::same::{Findings, audited, compare_files};

const N_LAYERS: usize = 12;
const N_STEPS: i64 = 120;

/// Gradients that lose half their size per layer toward the input, and a loss that goes NaN.
fn value(metric: usize, step: i64) -> f64 {
    let wave = 1.0 + 0.1 * (step as f64 * 0.7 + metric as f64).sin();
    match metric {
        0 if step >= 100 => f64::NAN,
        0 => 2.0 * wave,
        layer => wave * 0.2_f64.powi((N_LAYERS - layer) as i32),
    }
}

fn name(metric: usize) -> String {
    match metric {
        0 => "loss".to_owned(),
        layer => format!("grad_norm/layer_{:02}.weight", layer - 1),
    }
}

/// `write` makes a row from step, name and value.
fn rows(is_by_step: bool, write: &dyn Fn(i64, &str, f64) -> String) -> String {
    let mut cells: Vec<(i64, usize)> = (0..=N_LAYERS)
        .flat_map(|metric| (0..N_STEPS).map(move |step| (step, metric)))
        .collect();
    if is_by_step {
        cells.sort_unstable();
    }
    cells.into_iter().fold(String::new(), |mut text, (step, metric)| {
        writeln!(text, "{}", write(step, &name(metric), value(metric, step))).unwrap();
        text
    })
}

fn csv(is_by_step: bool) -> String {
    "step,tag,value\n".to_owned() + &rows(is_by_step, &|step, name, value| format!("{step},{name},{value}"))
}

fn jsonl(is_by_step: bool) -> String {
    rows(is_by_step, &|step, name, value| {
        format!("{{\"tag\": \"{name}\", \"step\": {step}, \"value\": {value}}}")
    })
}

fn findings_of(name: &str, text: &str) -> Findings {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), text).unwrap();
    audited(dir.path(), &load_builtin().unwrap().rules)
}

#[test]
fn the_order_of_the_rows_changes_no_finding() {
    for (file, sorted, by_step) in [
        ("metrics.csv", csv(false), csv(true)),
        ("metrics.jsonl", jsonl(false), jsonl(true)),
    ] {
        let (sorted, by_step) = (findings_of(file, &sorted), findings_of(file, &by_step));
        let rules: Vec<&str> = sorted
            .iter()
            .flat_map(|(_, it)| it.iter().map(|it| it.rule.as_str()))
            .collect();
        assert!(rules.contains(&"vanishing-gradients"), "{file}: {rules:?}");
        assert!(rules.contains(&"non-finite-loss"), "{file}: {rules:?}");
        assert_eq!(format!("{sorted:?}"), format!("{by_step:?}"), "{file}");
    }
}

#[test]
fn a_sorted_table_that_is_followed_is_judged_as_a_finished_one() {
    let rules = load_builtin().unwrap();
    for (file, text) in [("metrics.csv", csv(false)), ("metrics.jsonl", jsonl(false))] {
        let files = [(PathBuf::from(file), text.into_bytes())];
        let problems = compare_files(file, &files, 0..6, &rules.rules);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
