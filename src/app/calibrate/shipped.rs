//! The table of the shipped depth rule, as Markdown.
//!
//! In: repetitions and a seed. Out: rows as they are measured. Invariant: the bounds are those of the shipped
//! rule, read from the rule itself.

use std::io::Write;

use crate::app::chain::ChainFailure;
use crate::calibrate::{
    DepthRule, SHIPPED_DEPTHS, SHIPPED_GAINS, SHIPPED_WIDTHS, check_repetitions, shipped_ensembles,
    shipped_row,
};
use crate::rules::builtin;

pub(super) fn print(repetitions: u32, seed: u64, out: &mut dyn Write) -> Result<(), ChainFailure> {
    check_repetitions(repetitions)?;
    let rule = shipped_rule()?;
    writeln!(
        out,
        "Rule: ratio per layer >= {}, total ratio >= {}, |tau| >= {}; {repetitions} healthy networks per row, seed {seed}; \
         one look, any of three channels.\n",
        rule.ratio_per_layer, rule.total_ratio, rule.tau
    )?;
    let gains = SHIPPED_GAINS.map(|gain| format!("x{gain}")).join(" | ");
    writeln!(
        out,
        "| ensemble | width | layers | false alarms | below (95 %) | {gains} | weight gradients alone, x0.8 |"
    )?;
    writeln!(
        out,
        "|---|---|---|---|---|{}---|",
        "---|".repeat(SHIPPED_GAINS.len())
    )?;
    for width in SHIPPED_WIDTHS {
        for index in 0..shipped_ensembles(1, width).len() {
            for depth in SHIPPED_DEPTHS {
                let ensembles = shipped_ensembles(depth, width);
                let Some((name, spec)) = ensembles.get(index) else {
                    continue;
                };
                let row = shipped_row(&rule, (name, spec), repetitions, seed)?;
                let power = row.power.map(|it| format!("{it:.2}")).join(" | ");
                let [_, weight, ..] = row.weight_power;
                writeln!(
                    out,
                    "| {name} | {width} | {depth} | {} of {} | {:.1e} | {power} | {weight:.2} |",
                    row.healthy.1, row.healthy.0, row.false_alarm_upper
                )?;
            }
        }
    }
    Ok(())
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
