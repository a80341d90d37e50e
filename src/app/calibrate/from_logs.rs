//! `calibrate --from`: bounds from the logs of healthy runs.
//!
//! In: directories of runs that are known to be healthy. Out: the null distribution, the noise in time, a rule
//! file. Invariants: memory per series and stack is bounded ([`POINTS_MAX`], [`LOOKS_MAX`]); a run with a finding
//! of the depth or non-finite family is named, because it is hardly healthy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::write_new;
use crate::app::chain::ChainFailure;
use crate::app::pipeline::judge_run;
use crate::calibrate::{
    DepthLook, HealthyCalibration, HealthyChannel, TimeNoise, calibrate_healthy, check_target, mad_z_limit,
    rules_text, time_noise,
};
use crate::cli::{CalibrateArgs, PrintFormat};
use crate::exit::ExitStatus;
use crate::model::{DepthOrder, Family, Form, Group, Profile, Quantity, Severity, Slot, Split};
use crate::report::RunReport;
use crate::rules::builtin;
use crate::series::{Assembler, SeriesInfo, Tap};
use crate::source::{RunFiles, discover};
use crate::stats::{FIT_LAYERS_MAX, median, pair_fit, thin_evenly};

/// Points of a series from which its noise is measured: the first ones.
const POINTS_MAX: usize = 1_024;
/// Profiles of a stack of layers that are fitted: the first ones.
const LOOKS_MAX: usize = 1_024;
/// Fewest usable layers, as in the depth rule.
const LAYERS_MIN: usize = 6;

/// The names of the channels, in the order of trust.
const CHANNELS: [&str; 3] = ["gb", "act", "gw"];

/// What the logs hold.
#[derive(Default)]
struct Healthy {
    runs: usize,
    stacks: BTreeMap<&'static str, Vec<Vec<DepthLook>>>,
    noise: Vec<TimeNoise>,
    doubts: Vec<String>,
}

pub(super) fn run(args: &CalibrateArgs, out: &mut dyn Write) -> Result<ExitStatus, ChainFailure> {
    check_target(args.false_alarm(), args.looks())?;
    let found = discover(&args.from);
    let mut healthy = Healthy::default();
    found.runs.iter().for_each(|run| healthy.take(run));
    let channels: Vec<HealthyChannel> = CHANNELS
        .iter()
        .map(|name| HealthyChannel {
            name,
            stacks: healthy.stacks.remove(name).unwrap_or_default(),
        })
        .collect();
    let result = calibrate_healthy(&channels, args.false_alarm(), args.looks()).ok_or_else(|| {
        let why = found.problems.first().map_or_else(
            || "no profile of six layers or more".to_owned(),
            ToString::to_string,
        );
        ChainFailure::Logs(why)
    })?;
    let rules = rules_text(
        &header(args, &result, &healthy),
        [result.ratio_per_layer, result.total_ratio, result.critical_ratio],
        None,
    );
    match args.format() {
        PrintFormat::Text => print_text(args, &result, &healthy, out)?,
        PrintFormat::Json => writeln!(out, "{}", to_json(args, &result, &healthy, &rules))?,
    }
    if let Some(path) = &args.out {
        write_rules(path, &rules)?;
        if args.format() == PrintFormat::Text {
            writeln!(out, "wrote {}", path.display())?;
        }
    }
    Ok(ExitStatus::Clean)
}

fn write_rules(path: &Path, rules: &str) -> Result<(), ChainFailure> {
    write_new(path, rules).map_err(|source| ChainFailure::RuleFile {
        path: path.to_path_buf(),
        source,
    })
}

impl Healthy {
    fn take(&mut self, run: &RunFiles) {
        let taps: Mutex<Vec<Arc<Mutex<Collected>>>> = Mutex::default();
        let make = |_: &_| {
            let collected = Arc::new(Mutex::new(Collected::default()));
            taps.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Arc::clone(&collected));
            Some(Box::new(HealthyTap(collected)) as Box<dyn Tap>)
        };
        let report = judge_run(run, &builtin().rules, &make, &|_| ());
        self.doubts.extend(doubt(&report));
        let mut has_data = false;
        for tap in taps.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let collected = std::mem::take(&mut *tap.lock().unwrap_or_else(PoisonError::into_inner));
            has_data |= !collected.stacks.is_empty();
            for ((channel, _), looks) in collected.stacks {
                self.stacks.entry(channel).or_default().push(looks);
            }
            self.noise
                .extend(collected.points.values().filter_map(|values| time_noise(values)));
        }
        self.runs += usize::from(has_data);
    }

    /// Median noise of all series and their looks together.
    fn typical_noise(&self) -> Option<TimeNoise> {
        let middle =
            |pick: fn(&TimeNoise) -> f64| median(&mut self.noise.iter().map(pick).collect::<Vec<_>>());
        Some(TimeNoise {
            mad_sd: middle(|it| it.mad_sd)?,
            lag1: middle(|it| it.lag1)?,
            excess_kurtosis: middle(|it| it.excess_kurtosis)?,
            looks: self.noise.iter().map(|it| it.looks).sum(),
        })
    }
}

fn doubt(report: &RunReport) -> Option<String> {
    let is_sick = |family| matches!(family, Family::Nonfinite | Family::Depth);
    let finding = report
        .findings
        .iter()
        .find(|it| is_sick(it.family) && it.severity >= Severity::Warning)?;
    Some(format!(
        "{} is hardly healthy by the shipped rules ({})",
        report.run, finding.rule
    ))
}

/// What one stream has shown so far.
#[derive(Default)]
struct Collected {
    slots: BTreeMap<u32, (usize, u32)>,
    assemblers: Vec<Assembler>,
    stacks: BTreeMap<(&'static str, String), Vec<DepthLook>>,
    points: BTreeMap<u32, Vec<f64>>,
}

struct HealthyTap(Arc<Mutex<Collected>>);

impl Tap for HealthyTap {
    fn point(&mut self, id: u32, series: &SeriesInfo, step: i64, _wall_time: Option<f64>, value: f64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(id, series, step, value);
    }
    fn rewind(&mut self, _id: u32, step: i64) {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collected.assemblers.iter_mut().for_each(|it| it.rewind(step));
    }
}

impl Collected {
    fn add(&mut self, id: u32, series: &SeriesInfo, step: i64, value: f64) {
        let meaning = &series.meaning;
        let is_norm = matches!(meaning.quantity, Quantity::GradNorm | Quantity::ActivationNorm);
        if !matches!(meaning.split, Split::Train | Split::Unknown)
            || !is_norm && meaning.quantity != Quantity::Loss
        {
            return;
        }
        let points = self.points.entry(id).or_default();
        if points.len() < POINTS_MAX {
            points.push(value);
        }
        let Some((index, slot)) = self.slot(id, series) else {
            return;
        };
        let Some(assembler) = self.assemblers.get_mut(index) else {
            return;
        };
        if assembler.would_close(step)
            && let Some(profile) = assembler.close()
        {
            fit_groups(&profile, &mut self.stacks);
        }
        assembler.put(slot, step, None, value);
    }

    fn slot(&mut self, id: u32, series: &SeriesInfo) -> Option<(usize, u32)> {
        if let Some(known) = self.slots.get(&id) {
            return Some(*known);
        }
        let layer = series.meaning.layer.clone()?;
        let quantity = series.meaning.quantity;
        let known = self.assemblers.iter().position(|it| it.key().0 == quantity);
        let index = known.unwrap_or_else(|| {
            self.assemblers.push(Assembler::new(quantity, Split::Train));
            self.assemblers.len() - 1
        });
        let form = Form::EXACT;
        let slot = Slot {
            layer,
            n_elements: series.n_elements,
            resolution: form.resolution(),
            is_estimate: series.is_estimate,
        };
        let place = (index, self.assemblers.get_mut(index)?.add_slot(slot)?);
        self.slots.insert(id, place);
        Some(place)
    }
}

fn fit_groups(profile: &Profile<'_>, stacks: &mut BTreeMap<(&'static str, String), Vec<DepthLook>>) {
    for group in profile
        .groups
        .iter()
        .filter(|it| it.order != DepthOrder::Unknown && it.members.len() >= LAYERS_MIN)
    {
        let channel = channel(profile, group);
        let looks = stacks
            .entry((channel, format!("{} {:?}", group.role, group.parameter)))
            .or_default();
        if looks.len() < LOOKS_MAX {
            looks.extend(fit(profile, group));
        }
    }
}

fn channel(profile: &Profile<'_>, group: &Group) -> &'static str {
    let first = group
        .members
        .first()
        .and_then(|slot| profile.slots.get(*slot as usize));
    match profile.quantity {
        Quantity::ActivationNorm => "act",
        _ if first.is_some_and(|slot| slot.layer.is_bias()) => "gb",
        _ => "gw",
    }
}

fn fit(profile: &Profile<'_>, group: &Group) -> Option<DepthLook> {
    let usable = profile
        .by_depth(group)
        .filter(|(_, norm)| norm.is_finite() && *norm > 0.0);
    let (mut ranks, mut logs): (Vec<f64>, Vec<f64>) =
        usable.map(|(rank, norm)| (rank as f64, norm.ln())).unzip();
    if ranks.len() < LAYERS_MIN {
        return None;
    }
    let span = ranks.last()? - ranks.first()?;
    thin_evenly(&mut ranks, &mut logs, FIT_LAYERS_MAX);
    let slope = pair_fit(&ranks, &logs, &mut Vec::new())?.slope;
    Some(DepthLook {
        slope,
        total: slope * span,
    })
}

fn header(args: &CalibrateArgs, result: &HealthyCalibration, healthy: &Healthy) -> String {
    let from: Vec<String> = args.from.iter().map(|it| it.display().to_string()).collect();
    let mut text = format!(
        "# Bounds of the depth rules, made by `gradwatch calibrate --from` {}.\n# {} healthy runs under {}.\n\
         # False alarms: at most {} per run of {} looks, spreads at their upper 95 % limits.\n",
        env!("CARGO_PKG_VERSION"),
        healthy.runs,
        from.join(", "),
        args.false_alarm(),
        args.looks()
    );
    for row in channel_rows(result) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "# {row}");
    }
    for warning in warnings(result, healthy) {
        let _ = writeln!(text, "# Warning: {warning}.");
    }
    text
}

fn channel_rows(result: &HealthyCalibration) -> Vec<String> {
    let row = |it: &crate::calibrate::HealthyNull| {
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
    result.channels.iter().map(row).collect()
}

fn warnings(result: &HealthyCalibration, healthy: &Healthy) -> Vec<String> {
    let mut warnings = healthy.doubts.clone();
    let fewest = result.channels.iter().map(|it| it.stacks).min().unwrap_or(0);
    if fewest < 10 {
        warnings.push(format!("a channel has {fewest} stacks of layers only: the bounds are wide because the spread between runs is hardly known"));
    }
    warnings
}

fn print_text(
    args: &CalibrateArgs,
    result: &HealthyCalibration,
    healthy: &Healthy,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{} healthy runs\n", healthy.runs)?;
    for row in channel_rows(result) {
        writeln!(out, "{row}")?;
    }
    writeln!(
        out,
        "\nbounds for {} false alarms per run of {} looks: ratio per layer {:.4}, total ratio {:.2e}, critical {:.2e}",
        args.false_alarm(),
        args.looks(),
        result.ratio_per_layer,
        result.total_ratio,
        result.critical_ratio
    )?;
    if let Some(noise) = healthy.typical_noise() {
        writeln!(
            out,
            "noise in time (ln, median of {} series): MAD sd {:.3}, lag-1 {:.2}, excess kurtosis {:.1}; {} looks: three in a \
             row beyond {:.1} MAD are a false alarm in 1 % of such logs",
            healthy.noise.len(),
            noise.mad_sd,
            noise.lag1,
            noise.excess_kurtosis,
            noise.looks,
            mad_z_limit(noise.looks as f64)
        )?;
    }
    for warning in warnings(result, healthy) {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn to_json(
    args: &CalibrateArgs,
    result: &HealthyCalibration,
    healthy: &Healthy,
    rules: &str,
) -> serde_json::Value {
    let channels: Vec<_> = result
        .channels
        .iter()
        .map(|it| {
            json!({
                "channel": it.name, "stacks": it.stacks, "looks": it.looks, "drift": it.drift, "sd_between": it.between,
                "sd_within": it.within, "look_correlation": it.look_correlation, "abs_slope_per_run": it.slope_per_run,
                "abs_total_per_run": it.total_per_run,
            })
        })
        .collect();
    let noise = healthy.typical_noise().map(|it| {
        json!({
            "series": healthy.noise.len(), "mad_sd": it.mad_sd, "lag1": it.lag1, "excess_kurtosis": it.excess_kurtosis,
            "looks": it.looks, "mad_z_limit": mad_z_limit(it.looks as f64),
        })
    });
    json!({
        "schema": "gradwatch.calibrate/1", "version": env!("CARGO_PKG_VERSION"), "source": "logs",
        "runs": healthy.runs, "false_alarm": args.false_alarm(), "looks": args.looks(), "channels": channels,
        "bounds": {
            "ratio_per_layer": result.ratio_per_layer, "total_ratio": result.total_ratio,
            "critical_ratio": result.critical_ratio, "tau": crate::calibrate::TAU,
        },
        "noise": noise, "warnings": warnings(result, healthy), "rules": rules,
    })
}
