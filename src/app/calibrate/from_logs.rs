//! `calibrate --from`: bounds from the logs of healthy runs.
//!
//! In: directories of runs that are known to be healthy. Out: the null distribution over depth, the noise in time and
//! the spikes that it makes by chance, a rule file. Invariants: memory per series and stack is bounded ([`POINTS_MAX`], [`LOOKS_MAX`]); a run with a finding
//! of the depth or non-finite family is named, because it is hardly healthy.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::write_new;
use crate::app::chain::ChainFailure;
use crate::app::pipeline::judge_run;
use crate::app::progress;
use crate::calibrate::{
    DepthLook, HealthyCalibration, HealthyChannel, SpikeNull, TimeNoise, calibrate_healthy, check_target,
    rules_text, spike_null, spike_rules_text, time_noise,
};
use crate::cli::{CalibrateArgs, PrintFormat};
use crate::exit::ExitStatus;
use crate::model::{DepthOrder, Family, Form, Group, Profile, Quantity, Severity, Slot, Split};
use crate::report::RunReport;
use crate::rules::builtin;
use crate::series::{Assembler, SeriesInfo, Tap};
use crate::source::{RunFiles, discover};
use crate::stats::{FIT_LAYERS_MAX, median, pair_fit, thin_evenly};

mod print;

use print::{header, print_text, to_json};

/// Points of a series from which its noise is measured: the first ones.
const POINTS_MAX: usize = 1_024;
/// Profiles of a stack of layers that are fitted: the first ones.
const LOOKS_MAX: usize = 1_024;
/// Stacks of layers from which the spread between runs is known well enough.
const STACKS_ENOUGH: usize = 10;
/// Fewest usable layers, as in the depth rule.
const LAYERS_MIN: usize = 6;

/// The names of the channels, in the order of trust.
const CHANNELS: [&str; 3] = ["gb", "act", "gw"];
/// Kinds of series in time.
const LOSS: &str = "loss";
const GRADIENTS: &str = "gradients";
const ACTIVATIONS: &str = "activations";

/// What the logs hold.
#[derive(Default)]
struct Healthy {
    runs: usize,
    stacks: BTreeMap<&'static str, Vec<Vec<DepthLook>>>,
    /// Points of every series, by what they are of.
    series: BTreeMap<&'static str, Vec<Vec<f64>>>,
    doubts: Vec<String>,
}

/// What is known of healthy runs.
struct Known {
    runs: usize,
    depth: Option<HealthyCalibration>,
    /// Quantities that a spike rule looks at.
    spikes: Vec<SpikeNull>,
    /// Noise in time of what is not looked at for spikes.
    activations: Option<TimeNoise>,
    warnings: Vec<String>,
}

pub(super) fn run(args: &CalibrateArgs, out: &mut dyn Write) -> Result<ExitStatus, ChainFailure> {
    check_target(args.false_alarm(), args.looks())?;
    let found = discover(&args.from);
    let mut healthy = Healthy::default();
    let bar = progress::bar(found.runs.len() as u64, "runs");
    for run in &found.runs {
        healthy.take(run);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let known = healthy.calibrate(args);
    if known.depth.is_none() && known.spikes.is_empty() {
        let why = found.problems.first().map_or_else(
            || "no profile of six layers or more, and too few points of losses and gradient norms".to_owned(),
            ToString::to_string,
        );
        return Err(ChainFailure::Logs(why));
    }
    let rules = rules_of(args, &known);
    match args.format() {
        PrintFormat::Text => print_text(args, &known, out)?,
        PrintFormat::Json => writeln!(out, "{}", to_json(args, &known, &rules))?,
    }
    if let Some(path) = &args.out {
        write_rules(path, &rules)?;
        if args.format() == PrintFormat::Text {
            writeln!(out, "wrote {}", path.display())?;
        }
    }
    Ok(ExitStatus::Clean)
}

fn rules_of(args: &CalibrateArgs, known: &Known) -> String {
    let header = header(args, known);
    let depth = known.depth.as_ref().map_or(header.clone(), |depth| {
        let bounds = [depth.ratio_per_layer, depth.total_ratio, depth.critical_ratio];
        rules_text(&header, bounds, None)
    });
    depth + &spike_rules_text(&known.spikes)
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
            has_data |= !collected.points.is_empty();
            for (kind, values) in collected.points.into_values() {
                self.series.entry(kind).or_default().push(values);
            }
        }
        self.runs += usize::from(has_data);
    }

    fn calibrate(mut self, args: &CalibrateArgs) -> Known {
        let channels: Vec<HealthyChannel> = CHANNELS
            .iter()
            .map(|name| HealthyChannel {
                name,
                stacks: self.stacks.remove(name).unwrap_or_default(),
            })
            .collect();
        let depth = calibrate_healthy(&channels, args.false_alarm(), args.looks());
        let spike = |kind: &'static str| {
            let series = self.series.get(kind)?;
            let per_run = series.len() as f64 / self.runs.max(1) as f64;
            spike_null(kind, series, per_run, args.false_alarm(), args.looks())
        };
        let spikes: Vec<SpikeNull> = [LOSS, GRADIENTS].into_iter().filter_map(spike).collect();
        let mut warnings = self.doubts.clone();
        warnings.extend(few_stacks(depth.as_ref()));
        let known: Vec<&str> = spikes.iter().map(|it| it.name).collect();
        warnings.extend(
            [LOSS, GRADIENTS]
                .iter()
                .filter(|it| !known.contains(it))
                .map(|it| format!("too few points of {it} for a bound on spikes: the shipped one stays")),
        );
        Known {
            runs: self.runs,
            activations: self.typical_noise(ACTIVATIONS),
            depth,
            spikes,
            warnings,
        }
    }

    /// Median noise of all series of a kind, and their looks together.
    fn typical_noise(&self, kind: &str) -> Option<TimeNoise> {
        let noises: Vec<TimeNoise> = self
            .series
            .get(kind)?
            .iter()
            .filter_map(|values| time_noise(values))
            .collect();
        let middle = |pick: fn(&TimeNoise) -> f64| median(&mut noises.iter().map(pick).collect::<Vec<_>>());
        Some(TimeNoise {
            mad_sd: middle(|it| it.mad_sd)?,
            lag1: middle(|it| it.lag1)?,
            excess_kurtosis: middle(|it| it.excess_kurtosis)?,
            looks: noises.iter().map(|it| it.looks).sum(),
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
    points: BTreeMap<u32, (&'static str, Vec<f64>)>,
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
        let kind = match meaning.quantity {
            Quantity::Loss => LOSS,
            Quantity::GradNorm | Quantity::GradNormTotal => GRADIENTS,
            Quantity::ActivationNorm => ACTIVATIONS,
            _ => return,
        };
        if !matches!(meaning.split, Split::Train | Split::Unknown) {
            return;
        }
        let (_, points) = self.points.entry(id).or_insert((kind, Vec::new()));
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
        if !matches!(quantity, Quantity::GradNorm | Quantity::ActivationNorm) {
            return None;
        }
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

fn few_stacks(depth: Option<&HealthyCalibration>) -> Option<String> {
    let fewest = depth?.channels.iter().map(|it| it.stacks).min()?;
    (fewest < STACKS_ENOUGH).then(|| {
        format!(
            "a channel has {fewest} stacks of layers only: the bounds are wide because the spread between runs is hardly known"
        )
    })
}
