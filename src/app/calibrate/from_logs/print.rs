//! What healthy logs show, in words, JSON and the header of a rule file.
//!
//! In: what is known of the runs. Out: text. Invariant: the header states every number that a bound was made from.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{ACTIVATIONS, Known};
use crate::calibrate::{HealthyCalibration, HealthyNull, SpikeNull, TAU, TimeNoise};
use crate::cli::CalibrateArgs;

pub(super) fn header(args: &CalibrateArgs, known: &Known) -> String {
    let from: Vec<String> = args.from.iter().map(|it| it.display().to_string()).collect();
    let mut text = format!(
        "# Bounds of the depth and spike rules, made by `gradwatch calibrate --from` {}.\n# {} healthy runs under {}.\n\
         # False alarms: at most {} per run of {} looks and rule, spreads at their upper 95 % limits.\n",
        env!("CARGO_PKG_VERSION"),
        known.runs,
        from.join(", "),
        args.false_alarm(),
        args.looks()
    );
    let warnings = known.warnings.iter().map(|it| format!("Warning: {it}."));
    for row in depth_rows(known)
        .into_iter()
        .chain(time_rows(known))
        .chain(warnings)
    {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "# {row}");
    }
    text
}

fn depth_rows(known: &Known) -> Vec<String> {
    let row = |it: &HealthyNull| {
        format!(
            "{:>3}: {} stacks, {} profiles; slope {:+.5} +- {:.5} between and {:.5} within stacks, look correlation {:.2}; \
             bounds x{:.4} per layer, x{:.3e} in total",
            it.name,
            it.stacks,
            it.looks,
            it.drift,
            it.between,
            it.within,
            it.look_correlation,
            it.slope_per_run.exp(),
            it.total_per_run.exp()
        )
    };
    known.depth.iter().flat_map(|it| &it.channels).map(row).collect()
}

fn noise_words(noise: &TimeNoise) -> String {
    format!(
        "noise in time (ln) MAD sd {:.3}, lag-1 {:.2}, excess kurtosis {:.1}",
        noise.mad_sd, noise.lag1, noise.excess_kurtosis
    )
}

fn time_rows(known: &Known) -> Vec<String> {
    let spike = |it: &SpikeNull| {
        format!(
            "{}: {} series, {} points; {}; three points of five stray beyond x{:.3} or {:.1} deviations by chance only",
            it.name,
            it.series,
            it.noise.looks,
            noise_words(&it.noise),
            it.ratio,
            it.z
        )
    };
    let mut rows: Vec<String> = known.spikes.iter().map(spike).collect();
    rows.extend(known.activations.iter().map(|noise| {
        format!(
            "{ACTIVATIONS}: {} points; {}; no rule looks at their spikes",
            noise.looks,
            noise_words(noise)
        )
    }));
    rows
}

pub(super) fn print_text(args: &CalibrateArgs, known: &Known, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} healthy runs\n", known.runs)?;
    for row in depth_rows(known).iter().chain(&time_rows(known)) {
        writeln!(out, "{row}")?;
    }
    writeln!(
        out,
        "\nfor {} false alarms per run of {} looks:",
        args.false_alarm(),
        args.looks()
    )?;
    if let Some(depth) = &known.depth {
        writeln!(
            out,
            "bounds over depth: ratio per layer {:.4}, total ratio {:.2e}, critical {:.2e}",
            depth.ratio_per_layer, depth.total_ratio, depth.critical_ratio
        )?;
    }
    for spike in &known.spikes {
        writeln!(
            out,
            "bounds of spikes, {}: x{:.3}, z {:.1}",
            spike.name, spike.ratio, spike.z
        )?;
    }
    for warning in &known.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

pub(super) fn to_json(args: &CalibrateArgs, known: &Known, rules: &str) -> Value {
    let channel = |it: &HealthyNull| {
        json!({
            "channel": it.name, "stacks": it.stacks, "looks": it.looks, "drift": it.drift, "sd_between": it.between,
            "sd_within": it.within, "look_correlation": it.look_correlation, "abs_slope_per_run": it.slope_per_run,
            "abs_total_per_run": it.total_per_run,
        })
    };
    let noise = |it: &TimeNoise| {
        json!({
            "mad_sd": it.mad_sd, "lag1": it.lag1, "excess_kurtosis": it.excess_kurtosis, "points": it.looks,
        })
    };
    let spike = |it: &SpikeNull| json!({ "of": it.name, "series": it.series, "noise": noise(&it.noise), "ratio": it.ratio, "z": it.z });
    let bounds = |it: &HealthyCalibration| {
        json!({
            "ratio_per_layer": it.ratio_per_layer, "total_ratio": it.total_ratio,
            "critical_ratio": it.critical_ratio, "tau": TAU,
        })
    };
    let channels = known.depth.iter().flat_map(|it| &it.channels);
    json!({
        "schema": "gradwatch.calibrate/1", "version": env!("CARGO_PKG_VERSION"), "source": "logs",
        "runs": known.runs, "false_alarm": args.false_alarm(), "looks": args.looks(),
        "channels": channels.map(channel).collect::<Vec<_>>(), "bounds": known.depth.as_ref().map(bounds),
        "spikes": known.spikes.iter().map(spike).collect::<Vec<_>>(),
        "activation_noise": known.activations.as_ref().map(noise),
        "warnings": known.warnings, "rules": rules,
    })
}
