//! The rule file that `audit --rules` takes.
//!
//! In: a calibration. Out: TOML with the numbers and the seed in its header. Invariant: it overrides bounds of
//! shipped rules by their permanent ids, and nothing else.

use std::fmt::Write as _;

use super::{Calibration, SpikeNull, TAU};

/// Renders the rule file.
#[must_use]
pub fn rule_file(calibration: &Calibration) -> String {
    let bounds = &calibration.bounds;
    let walk =
        "# The bounds hold for the width above; the general bound by width is not needed.\nwalk_z = 0.0\n";
    rules_text(
        &header(calibration),
        [bounds.ratio_per_layer, bounds.total_ratio, bounds.critical_ratio],
        Some(walk),
    )
}

/// The rules under a header: ratio per layer, total and critical ratio, and further lines.
#[must_use]
pub fn rules_text(header: &str, [per_layer, total, critical]: [f64; 3], more: Option<&str>) -> String {
    let mut text = header.to_owned();
    let more = more.unwrap_or_default();
    for id in ["vanishing-gradients", "exploding-gradients"] {
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "\n[[rule]]\nid = \"{id}\"\nratio_per_layer = {:.4}\ntotal_ratio = {:e}\ncritical_ratio = {:e}\n\
             tau = {TAU}\n{more}",
            per_layer,
            Rounded(total),
            Rounded(critical),
        );
    }
    text
}

/// The spike rules with bounds from healthy logs. One point alone is an info whatever its size, so that both bounds of the
/// gradients are those of three points of five.
#[must_use]
pub fn spike_rules_text(nulls: &[SpikeNull]) -> String {
    let mut text = String::new();
    for null in nulls {
        let (ratio, z) = (round_up(null.ratio, 1e3), round_up(null.z, 1e1));
        let _ = match null.name {
            "loss" => write!(
                text,
                "\n[[rule]]\nid = \"loss-spike\"\nratio = {ratio:.3}\nz = {z:.1}\n"
            ),
            _ => write!(
                text,
                "\n[[rule]]\nid = \"gradient-spike\"\nratio = {ratio:.3}\nsustained_ratio = {ratio:.3}\nz = {z:.1}\n"
            ),
        };
    }
    text
}

fn round_up(value: f64, unit: f64) -> f64 {
    (value * unit).ceil() / unit
}

/// Three digits, in the exponential form.
struct Rounded(f64);

impl std::fmt::LowerExp for Rounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2e}", self.0)
    }
}

fn header(calibration: &Calibration) -> String {
    let spec = &calibration.spec;
    let chain = &spec.chain;
    let mut text = format!(
        "# Bounds of the depth rules, made by `gradwatch calibrate` {}.\n\
         # Healthy networks: {}; {} repetitions, seed {}.\n\
         # False alarms: at most {} per run of {} looks, shared by three channels; weights taken as frozen.\n",
        env!("CARGO_PKG_VERSION"),
        describe(chain),
        spec.repetitions,
        spec.seed,
        spec.false_alarm,
        spec.looks,
    );
    for channel in &calibration.channels {
        let _ = writeln!(
            text,
            "# {:>3}: slope {:+.5} +- {:.5} per layer, look correlation {:.2}; flagged {} of {}: below {:.2e} per look (95 %)",
            channel.channel.name(),
            channel.drift,
            channel.sd,
            channel.look_correlation,
            channel.false_alarms,
            channel.usable,
            channel.false_alarm_upper,
        );
    }
    for warning in &calibration.warnings {
        let _ = writeln!(text, "# Warning: {warning}.");
    }
    text
}

/// The ensemble in a line.
#[must_use]
pub fn describe(chain: &crate::simulate::ChainSpec) -> String {
    let (least, most) = (
        chain.widths.iter().min().copied().unwrap_or(0),
        chain.widths.iter().max().copied().unwrap_or(0),
    );
    let widths = if least == most {
        format!("width {least}")
    } else {
        format!("widths {least} to {most}")
    };
    format!(
        "depth {}, {widths}, {} layers, {} initialisation with gain {}, bias sd {}, {}, batch {}, {}",
        chain.depth(),
        chain.block.name(),
        chain.init.name(),
        chain.gain,
        chain.bias_sd,
        chain.activation.name(),
        chain.batch,
        chain.format.name()
    )
}
