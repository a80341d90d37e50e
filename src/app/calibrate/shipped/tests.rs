//! The document says what the command prints.
//!
//! In: `docs/calibration.md`, made with `--repetitions 400 --seed 1`. Out: assertions on a share of its cells that
//! takes seconds. Invariant: cells are computed by the code of the command.

use super::runs::{self, When};
use super::{look_row, shipped_rule};
use crate::calibrate::shipped_ensembles;

const REPETITIONS: u32 = 400;
const SEED: u64 = 1;

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/calibration.md")).unwrap()
}

#[test]
fn the_document_has_the_rows_of_one_profile() {
    let [(name, spec), ..] = shipped_ensembles(8, 64);
    let row = look_row(&shipped_rule().unwrap(), (name, &spec), REPETITIONS, SEED).unwrap();
    assert!(document().lines().any(|line| line == row), "{row}");
}

/// The cell of a rule's table.
fn cell(rule: &str, row: &str, gain: f64) -> f64 {
    let document = document();
    let (_, table) = document.split_once(&format!("`{rule}`: ")).unwrap();
    let mut lines = table.lines().filter(|line| line.starts_with("| "));
    let column = format!("x{gain}");
    let place = lines
        .next()
        .unwrap()
        .split(" | ")
        .position(|it| it == column)
        .unwrap();
    let line = lines.find(|line| line.starts_with(row)).unwrap();
    line.split(" | ").nth(place).unwrap().parse().unwrap()
}

#[test]
fn the_document_has_the_cells_of_whole_runs() {
    let rules = runs::depth_rules();
    let [(_, spec), ..] = shipped_ensembles(8, 64);
    for (when, gain) in [(When::FromTheStart, 0.25), (When::InTraining, 4.0)] {
        let power = runs::power(&rules, &spec, when, gain, REPETITIONS, SEED).unwrap();
        let kind = if gain < 1.0 { "vanishing" } else { "exploding" };
        for (rule, power) in rules
            .iter()
            .zip(power)
            .filter(|(rule, _)| rule.kind.is_empty() || rule.kind == kind)
        {
            let row = format!("| gauss | 8 | {} |", when.words());
            let stated = cell(&rule.id, &row, gain);
            assert!(
                (stated - power).abs() < 0.005_000_1,
                "{} {row} x{gain}: {power}, stated {stated}",
                rule.id
            );
        }
    }
}

/// Every shipped depth rule has a table, and a bound on its false alarms that keeps what the rules promise: one in
/// fifty.
#[test]
fn the_document_has_every_depth_rule_within_its_promise() {
    let document = document();
    for rule in runs::depth_rules() {
        let head = format!("`{}`: ", rule.id);
        let line = document.lines().find(|line| line.starts_with(&head)).unwrap();
        let (_, bound) = line.split_once(", below ").unwrap();
        let bound: f64 = bound.split(' ').next().unwrap().parse().unwrap();
        assert!(bound < 0.02, "{line}");
    }
    assert!(document.contains("gradwatch calibrate --shipped --repetitions 400 --seed 1"));
}
