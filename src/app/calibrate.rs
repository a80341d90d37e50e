//! `gradwatch calibrate`: bounds for a stated false-alarm probability, printed and as a rule file.
//!
//! In: an ensemble's arguments. Out: a table or `gradwatch.calibrate/1` JSON, and the rule file where `--out`
//! asks for one. Invariant: the rule file is complete or not there, and never replaces an existing one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::chain::{self, ChainFailure};
use super::progress;
use crate::calibrate::{CalibrateSpec, Calibration, QUANTILES, calibrate, describe, rule_file};
use crate::cli::{CalibrateArgs, PrintFormat};
use crate::exit::ExitStatus;
use crate::simulate::Channel;

mod flags;
mod from_logs;
mod shipped;
#[cfg(test)]
mod tests;

/// Layers and width of the healthy networks when none are named.
const LAYERS: usize = 32;
const WIDTH: usize = 64;

/// Runs the command.
///
/// # Errors
/// A bad argument, a rule file that exists or cannot be written, or `out` cannot be written.
pub fn run(args: &CalibrateArgs, out: &mut dyn Write) -> Result<ExitStatus, ChainFailure> {
    flags::check(args)?;
    if let Some(path) = args.out.as_deref().filter(|path| path.exists()) {
        // Before the work, not after it.
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(ChainFailure::RuleFile {
            path: path.to_path_buf(),
            source,
        });
    }
    if args.shipped {
        shipped::print(args.repetitions(), args.seed(), args.ensemble.layers, out)?;
        return Ok(ExitStatus::Clean);
    }
    if !args.from.is_empty() {
        return from_logs::run(args, out);
    }
    let spec = spec_of(args)?;
    let bar = progress::bar(spec.networks(), "networks");
    let result = calibrate(&spec, &|done| bar.inc(done));
    bar.finish_and_clear();
    let result = result?;
    match args.format() {
        PrintFormat::Text => print_text(&result, out)?,
        PrintFormat::Json => writeln!(out, "{}", to_json(&result))?,
    }
    if let Some(path) = &args.out {
        write_new(path, &rule_file(&result)).map_err(|source| ChainFailure::RuleFile {
            path: path.clone(),
            source,
        })?;
        if args.format() == PrintFormat::Text {
            writeln!(out, "wrote {}", path.display())?;
        }
    }
    Ok(ExitStatus::Clean)
}

fn spec_of(args: &CalibrateArgs) -> Result<CalibrateSpec, ChainFailure> {
    Ok(CalibrateSpec {
        chain: chain::chain_spec(&args.ensemble, LAYERS, WIDTH)?,
        repetitions: args.repetitions(),
        seed: args.seed(),
        false_alarm: args.false_alarm(),
        looks: args.looks(),
    })
}

/// Writes beside the target and links it into place, so that neither a half file nor another's file is lost.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let shown = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!(".{shown}.gradwatch-partial-{}", std::process::id());
    let temporary = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    written.and(removed)
}

fn print_text(result: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    let spec = &result.spec;
    writeln!(
        out,
        "healthy: {}; {} networks, seed {}\n",
        describe(&spec.chain),
        spec.repetitions,
        spec.seed
    )?;
    print_channels(result, out)?;
    let bounds = &result.bounds;
    writeln!(
        out,
        "\nbounds for {} false alarms per run of {} looks: ratio per layer {:.4}, total ratio {:.2e}, critical {:.2e}, \
         |tau| {}",
        spec.false_alarm,
        spec.looks,
        bounds.ratio_per_layer,
        bounds.total_ratio,
        bounds.critical_ratio,
        crate::calibrate::TAU
    )?;
    writeln!(
        out,
        "sum of ln(|W|/sqrt(m)): {:+.5} +- {:.5}\n",
        result.iso_gain.0, result.iso_gain.1
    )?;
    print_power(result, out)?;
    for warning in &result.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn print_channels(result: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>7}  {:>9}  {:>9}  {:>6}  {:>8}  {:>8}  {:>8}  {:>8}  {:>5}  {:>8}  {:>8}  {:>14}",
        "channel",
        "drift",
        "sd",
        "v",
        "|s| 50%",
        "95%",
        "99%",
        "99.9%",
        "corr",
        "per look",
        "per run",
        "flagged < 95%"
    )?;
    for channel in &result.channels {
        let [q50, q95, q99, q999] = channel.slope_quantiles;
        writeln!(
            out,
            "{:>7}  {:>+9.5}  {:>9.5}  {:>6.3}  {q50:>8.5}  {q95:>8.5}  {q99:>8.5}  {q999:>8.5}  {:>5.2}  {:>8.5}  \
             {:>8.5}  {:>14}",
            channel.channel.name(),
            channel.drift,
            channel.sd,
            channel.v_hat,
            channel.look_correlation,
            channel.slope_per_look,
            channel.slope_per_run,
            format!("{} < {:.1e}", channel.false_alarms, channel.false_alarm_upper)
        )?;
    }
    Ok(())
}

fn print_power(result: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    let [gb, act, gw] = Channel::ALL.map(Channel::name);
    writeln!(
        out,
        "{:>7}  {gb:>6}  {act:>6}  {gw:>6}  (power at one look)",
        "gain"
    )?;
    for row in &result.power {
        write!(out, "{:>7}", row.gain)?;
        for power in &row.power {
            write!(out, "  {power:>6.3}")?;
        }
        writeln!(out)?;
    }
    for gains in &result.smallest {
        let side = |gain: Option<f64>| gain.map_or_else(|| "none tried".to_owned(), |gain| gain.to_string());
        writeln!(
            out,
            "{:>7}  detected with probability 0.9: gains up to {}, and from {}",
            gains.channel.name(),
            side(gains.below),
            side(gains.above)
        )?;
    }
    Ok(())
}

fn to_json(result: &Calibration) -> Value {
    let spec = &result.spec;
    let steps = spec.chain.depth().saturating_sub(1) as f64;
    let channels: Vec<Value> = result
        .channels
        .iter()
        .zip(&result.smallest)
        .map(|(channel, smallest)| {
            let total: Vec<f64> = channel
                .slope_quantiles
                .iter()
                .map(|slope| slope * steps * std::f64::consts::LOG10_E)
                .collect();
            json!({
                "channel": channel.channel.name(), "usable": channel.usable, "drift": channel.drift,
                "sd": channel.sd, "v_hat": channel.v_hat, "quantiles": QUANTILES,
                "abs_slope": channel.slope_quantiles, "total_ratio_log10": total,
                "look_correlation": channel.look_correlation, "abs_slope_per_look": channel.slope_per_look,
                "abs_slope_per_run": channel.slope_per_run, "false_alarms": channel.false_alarms,
                "false_alarm_upper_95": channel.false_alarm_upper,
                "smallest_gain_below": smallest.below, "smallest_gain_above": smallest.above,
            })
        })
        .collect();
    let power: Vec<Value> = result
        .power
        .iter()
        .map(|row| {
            let mut fields = serde_json::Map::from_iter([("gain".to_owned(), json!(row.gain))]);
            for (channel, power) in Channel::ALL.iter().zip(&row.power) {
                fields.insert(channel.name().to_owned(), json!(power));
            }
            Value::Object(fields)
        })
        .collect();
    json!({
        "schema": "gradwatch.calibrate/1",
        "version": env!("CARGO_PKG_VERSION"),
        "ensemble": {
            "widths": spec.chain.widths, "block": spec.chain.block.name(), "init": spec.chain.init.name(), "gain": spec.chain.gain,
            "bias_sd": spec.chain.bias_sd, "activation": spec.chain.activation.name(), "batch": spec.chain.batch,
            "dtype": spec.chain.format.name(),
        },
        "repetitions": spec.repetitions, "seed": spec.seed, "false_alarm": spec.false_alarm, "looks": spec.looks,
        "channels": channels,
        "bounds": {
            "ratio_per_layer": result.bounds.ratio_per_layer, "total_ratio": result.bounds.total_ratio,
            "critical_ratio": result.bounds.critical_ratio, "tau": crate::calibrate::TAU,
        },
        "power": power,
        "iso_gain": { "mean": result.iso_gain.0, "sd": result.iso_gain.1 },
        "warnings": result.warnings,
        "rules": rule_file(result),
    })
}
