//! The tables of the shipped depth rules, as Markdown.
//!
//! In: repetitions, a seed, one depth or all. Out: rows as they are measured. Invariant: bounds and rules are those
//! that are shipped, read from the rules themselves.

use std::io::{self, Write};

use indicatif::ProgressBar;

use crate::app::chain::ChainFailure;
use crate::app::progress;
use crate::calibrate::{
    DepthRule, SHIPPED_DEPTHS, SHIPPED_GAINS, SHIPPED_WIDTHS, check_repetitions, shipped_ensembles,
    shipped_row,
};
use crate::rules::{Rule, builtin};
use crate::simulate::ChainSpec;
use crate::stats::clopper_pearson_upper;

mod runs;
#[cfg(test)]
mod tests;

use runs::{HIGH_GAINS, LOW_GAINS, Measured, When};

/// Depths and width of the whole runs, whose weights are built.
const RUN_DEPTHS: [usize; 2] = [8, 32];
const RUN_WIDTH: usize = 64;
/// Those of the ensembles that can be trained: all but the pre-norm one.
const RUN_ENSEMBLES: usize = 3;
/// The power that counts as found, and the confidence of upper limits.
const FOUND: f64 = 0.9;
const CONFIDENCE: f64 = 0.95;

pub(super) fn print(
    repetitions: u32,
    seed: u64,
    only_depth: Option<usize>,
    out: &mut dyn Write,
) -> Result<(), ChainFailure> {
    check_repetitions(repetitions)?;
    let wants = |depth: &usize| only_depth.is_none_or(|only| only == *depth);
    let depths: Vec<usize> = SHIPPED_DEPTHS.into_iter().filter(wants).collect();
    if depths.is_empty() {
        return Err(ChainFailure::Contradiction(format!(
            "--shipped has tables for {} layers",
            SHIPPED_DEPTHS.map(|it| it.to_string()).join(", ")
        )));
    }
    let run_depths: Vec<usize> = RUN_DEPTHS.into_iter().filter(wants).collect();
    let ensembles = shipped_ensembles(1, 1).len();
    let look_rows = SHIPPED_WIDTHS.len() * ensembles * depths.len();
    let run_rows = RUN_ENSEMBLES * run_depths.len() * When::ALL.len();
    let bar = progress::bar((look_rows + run_rows) as u64, "rows");
    one_look(repetitions, seed, &depths, &bar, out)?;
    if !run_depths.is_empty() {
        whole_runs(repetitions, seed, &run_depths, &bar, out)?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn one_look(
    repetitions: u32,
    seed: u64,
    depths: &[usize],
    bar: &ProgressBar,
    out: &mut dyn Write,
) -> Result<(), ChainFailure> {
    let rule = shipped_rule()?;
    writeln!(
        out,
        "### One profile\n\nRule: ratio per layer >= {}, total ratio >= {}, |tau| >= {}; {repetitions} healthy networks per \
         row, seed {seed}; one look, any of three channels.\n",
        rule.ratio_per_layer, rule.total_ratio, rule.tau
    )?;
    let gains = SHIPPED_GAINS.map(|gain| format!("x{gain}"));
    let mut head = vec!["ensemble", "width", "layers", "false alarms", "below (95 %)"];
    head.extend(gains.iter().map(String::as_str));
    head.push("weight gradients alone, x0.8");
    table_head(&head, out)?;
    for width in SHIPPED_WIDTHS {
        for index in 0..shipped_ensembles(1, width).len() {
            for depth in depths {
                let ensembles = shipped_ensembles(*depth, width);
                if let Some((name, spec)) = ensembles.get(index) {
                    let row = look_row(&rule, (name, spec), repetitions, seed)?;
                    bar.inc(1);
                    // Both may be the same terminal.
                    bar.suspend(|| writeln!(out, "{row}"))?;
                }
            }
        }
    }
    Ok(())
}

fn look_row(
    rule: &DepthRule,
    (name, spec): (&'static str, &ChainSpec),
    repetitions: u32,
    seed: u64,
) -> Result<String, ChainFailure> {
    let row = shipped_row(rule, (name, spec), repetitions, seed)?;
    let power = row.power.map(|it| format!("{it:.2}")).join(" | ");
    let [_, weight, ..] = row.weight_power;
    Ok(format!(
        "| {name} | {} | {} | {} of {} | {:.1e} | {power} | {weight:.2} |",
        row.width, row.depth, row.healthy.1, row.healthy.0, row.false_alarm_upper
    ))
}

/// One ensemble at one depth, with a gain that goes off at one time.
struct RunRow {
    ensemble: &'static str,
    depth: usize,
    when: When,
    measured: Measured,
}

fn whole_runs(
    repetitions: u32,
    seed: u64,
    depths: &[usize],
    bar: &ProgressBar,
    out: &mut dyn Write,
) -> Result<(), ChainFailure> {
    let rules = runs::depth_rules();
    let mut rows = Vec::new();
    for index in 0..RUN_ENSEMBLES {
        for depth in depths {
            for when in When::ALL {
                if let Some((ensemble, spec)) = shipped_ensembles(*depth, RUN_WIDTH).get(index) {
                    let measured = runs::measure(&rules, spec, when, repetitions, seed)?;
                    bar.inc(1);
                    rows.push(RunRow {
                        ensemble,
                        depth: *depth,
                        when,
                        measured,
                    });
                }
            }
        }
    }
    writeln!(
        out,
        "\n### Whole runs\n\nWidth {RUN_WIDTH}; {} profiles per run, {} sick runs per gain, seed {seed}; all shipped depth \
         rules in force as they are shipped.",
        runs::LOOKS,
        runs::n_sick(repetitions)
    )?;
    for (index, rule) in rules.iter().enumerate() {
        rule_table(rule, index, &rows, out)?;
    }
    Ok(())
}

fn rule_table(rule: &Rule, index: usize, rows: &[RunRow], out: &mut dyn Write) -> io::Result<()> {
    let (sees_low, sees_high) = (rule.kind != "exploding", rule.kind != "vanishing");
    let flagged: u64 = rows
        .iter()
        .filter_map(|row| row.measured.flagged.get(index))
        .sum();
    let healthy: u64 = rows.iter().map(|row| row.measured.n_healthy).sum();
    writeln!(
        out,
        "\n`{}`: {flagged} false alarms in all {healthy} healthy runs, below {:.1e} (95 %).\n",
        rule.id,
        clopper_pearson_upper(flagged, healthy, CONFIDENCE)
    )?;
    let gains: Vec<String> = shown_gains(sees_low, sees_high)
        .map(|gain| format!("x{gain}"))
        .collect();
    let mut head = vec![
        "ensemble",
        "layers",
        "gain is off",
        "false alarms",
        "below (95 %)",
    ];
    head.extend(gains.iter().map(String::as_str));
    head.push("found with 0.9");
    table_head(&head, out)?;
    for row in rows {
        writeln!(out, "{}", run_row(row, index, sees_low, sees_high))?;
    }
    Ok(())
}

/// From the smallest to the largest.
fn shown_gains(low: bool, high: bool) -> impl Iterator<Item = f64> {
    let low = LOW_GAINS.into_iter().filter(move |_| low);
    low.chain(HIGH_GAINS.into_iter().rev().filter(move |_| high))
}

fn run_row(row: &RunRow, index: usize, sees_low: bool, sees_high: bool) -> String {
    let measured = &row.measured;
    let of_rule = |powers: &[Vec<f64>]| -> Vec<f64> {
        powers
            .iter()
            .filter_map(|by_rule| by_rule.get(index).copied())
            .collect()
    };
    let (low, high) = (of_rule(&measured.low), of_rule(&measured.high));
    let mut shown = Vec::new();
    let mut found = Vec::new();
    if sees_low {
        shown.extend(low.iter().copied());
        found.extend(smallest_found(&LOW_GAINS, &low).map(|gain| format!("up to x{gain}")));
    }
    if sees_high {
        shown.extend(high.iter().rev().copied());
        found.extend(smallest_found(&HIGH_GAINS, &high).map(|gain| format!("from x{gain}")));
    }
    let found = if found.is_empty() {
        "none".to_owned()
    } else {
        found.join(", ")
    };
    let flagged = measured.flagged.get(index).copied().unwrap_or(0);
    let power: Vec<String> = shown.iter().map(|it| format!("{it:.2}")).collect();
    format!(
        "| {} | {} | {} | {flagged} of {} | {:.1e} | {} | {found} |",
        row.ensemble,
        row.depth,
        row.when.words(),
        measured.n_healthy,
        clopper_pearson_upper(flagged, measured.n_healthy, CONFIDENCE),
        power.join(" | ")
    )
}

/// The gain closest to 1 that is found with probability 0.9, as are all that lie further from 1.
fn smallest_found(gains: &[f64], power: &[f64]) -> Option<f64> {
    let found = gains.iter().zip(power).take_while(|(_, power)| **power >= FOUND);
    found.last().map(|(gain, _)| *gain)
}

fn table_head(columns: &[&str], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| {} |", columns.join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(columns.len()))
}

fn shipped_rule() -> Result<DepthRule, ChainFailure> {
    let rule = builtin()
        .find("vanishing-gradients")
        .ok_or_else(|| ChainFailure::Logs("no shipped depth rule".to_owned()))?;
    let get = |name| rule.params.get(name);
    Ok(DepthRule {
        ratio_per_layer: get("ratio_per_layer"),
        total_ratio: get("total_ratio"),
        tau: get("tau"),
    })
}
