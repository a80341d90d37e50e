//! The shipped depth rules on whole simulated runs: how often they flag healthy ones, and which sick ones they see.
//!
//! In: an ensemble, a number of runs, a seed. Out: per rule the runs flagged, healthy ones and by gain. Invariant: the
//! engine judges the runs, with the rules as shipped and their persistence; nothing of a rule is written down again
//! here.

use rayon::prelude::{IntoParallelIterator, ParallelIterator};

use crate::model::{Family, Form, Sample, Severity};
use crate::rules::check::StreamEnd;
use crate::rules::{Engine, Rule, StreamOutcome, builtin, join};
use crate::simulate::{
    Batches, ChainSpec, MatrixChain, Rng, Sgd, SimulateError, StepRecord, Trainer, row_of,
};

/// Gains, as factors on the healthy one, furthest from 1 first on either side.
pub(super) const LOW_GAINS: [f64; 7] = [0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
pub(super) const HIGH_GAINS: [f64; 7] = [4.0, 2.5, 2.0, 1.6, 1.4, 1.25, 1.1];
/// Logged profiles of a run.
pub(super) const LOOKS: usize = 16;
/// Of these, the healthy ones before a gain that goes off in training.
pub(super) const HEALTHY_LOOKS: usize = 8;
/// Steps between two logged ones of a healthy run that trains; learning rate and clipping under which the loss falls.
pub(super) const STEPS_PER_LOOK: usize = 3;
pub(super) const TRAINING_RATE: f64 = 0.02;
pub(super) const TRAINING_CLIP: f64 = 1.0;
/// A whole run takes longer than a profile, and all rows together state the rate: half as many healthy ones.
const HEALTHY_DIVISOR: u32 = 2;
/// Power needs fewer runs than a false-alarm rate.
const POWER_DIVISOR: u32 = 20;
const POWER_RUNS_MIN: u32 = 10;

/// When the gain is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// By the initialisation; healthy runs are looked at and not trained.
    FromTheStart,
    /// All weights are multiplied after half of the run, as decay or growth would do; healthy runs train.
    InTraining,
}

impl When {
    pub(super) const ALL: [Self; 2] = [Self::FromTheStart, Self::InTraining];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::FromTheStart => "from the start",
            Self::InTraining => "in training",
        }
    }
}

/// What was measured of one ensemble: for every rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// Healthy runs.
    pub(super) n_healthy: u64,
    /// Of these, flagged, by rule.
    pub(super) flagged: Vec<u64>,
    /// Share of sick runs flagged in the right direction, by gain of [`LOW_GAINS`] and by rule.
    pub(super) low: Vec<Vec<f64>>,
    /// The same for [`HIGH_GAINS`].
    pub(super) high: Vec<Vec<f64>>,
}

/// The shipped rules of the depth family.
pub(super) fn depth_rules() -> Vec<Rule> {
    let all = builtin().rules.iter();
    all.filter(|rule| rule.family == Family::Depth).cloned().collect()
}

pub(super) fn measure(
    rules: &[Rule],
    spec: &ChainSpec,
    when: When,
    repetitions: u32,
    seed: u64,
) -> Result<Measured, SimulateError> {
    let n_healthy = (repetitions / HEALTHY_DIVISOR).max(1);
    let healthy = flags(rules, width(spec), n_healthy, |run| match when {
        When::FromTheStart => steady(spec, 1.0, LOOKS, seed, run),
        When::InTraining => trained(spec, seed, run),
    })?;
    let power = |gain: &f64| power(rules, spec, when, *gain, repetitions, seed);
    Ok(Measured {
        n_healthy: u64::from(n_healthy),
        flagged: count(&healthy, rules.len(), |kinds| !kinds.is_empty()),
        low: LOW_GAINS.iter().map(power).collect::<Result<_, _>>()?,
        high: HIGH_GAINS.iter().map(power).collect::<Result<_, _>>()?,
    })
}

/// Sick runs for so many healthy profiles.
pub(super) fn n_sick(repetitions: u32) -> u32 {
    (repetitions / POWER_DIVISOR).max(POWER_RUNS_MIN)
}

/// The share of runs with this gain that each rule flags as what they are.
pub(super) fn power(
    rules: &[Rule],
    spec: &ChainSpec,
    when: When,
    gain: f64,
    repetitions: u32,
    seed: u64,
) -> Result<Vec<f64>, SimulateError> {
    let runs = n_sick(repetitions);
    // Other networks than the healthy ones.
    let seen = flags(rules, width(spec), runs, |run| match when {
        When::FromTheStart => steady(spec, gain, LOOKS, !seed, run),
        When::InTraining => goes_off(spec, gain, !seed, run),
    })?;
    let kind = if gain < 1.0 { "vanishing" } else { "exploding" };
    let counts = count(&seen, rules.len(), |kinds| kinds.contains(&kind));
    Ok(counts.iter().map(|it| *it as f64 / f64::from(runs)).collect())
}

/// Kinds of the findings that are at least a warning, by run and rule.
type Flags = Vec<Vec<Vec<&'static str>>>;

fn flags(
    rules: &[Rule],
    width: usize,
    runs: u32,
    simulate: impl Fn(u64) -> Result<Vec<StepRecord>, SimulateError> + Sync,
) -> Result<Flags, SimulateError> {
    (0..u64::from(runs))
        .into_par_iter()
        .map(|run| Ok(judge(rules, width, &simulate(run)?)))
        .collect()
}

fn count(flags: &Flags, n_rules: usize, is_flagged: impl Fn(&[&'static str]) -> bool) -> Vec<u64> {
    let by_rule = |rule: usize| {
        let seen = flags.iter().filter_map(|run| run.get(rule));
        seen.filter(|kinds| is_flagged(kinds)).count() as u64
    };
    (0..n_rules).map(by_rule).collect()
}

/// An untrained network of this gain, a fresh batch at every look.
fn steady(
    spec: &ChainSpec,
    gain: f64,
    looks: usize,
    seed: u64,
    run: u64,
) -> Result<Vec<StepRecord>, SimulateError> {
    let mut trainer = trainer(spec, gain, Sgd::plain(0.0), seed, run)?;
    (0..looks).map(|_| trainer.step()).collect()
}

/// A healthy network that trains.
fn trained(spec: &ChainSpec, seed: u64, run: u64) -> Result<Vec<StepRecord>, SimulateError> {
    let sgd = Sgd {
        clip_norm: Some(TRAINING_CLIP),
        ..Sgd::plain(TRAINING_RATE)
    };
    let mut trainer = trainer(spec, 1.0, sgd, seed, run)?;
    let steps: Result<Vec<StepRecord>, _> = (0..LOOKS * STEPS_PER_LOOK).map(|_| trainer.step()).collect();
    Ok(steps?.into_iter().step_by(STEPS_PER_LOOK).collect())
}

/// A healthy network whose weights are all multiplied by `gain` after half of the looks.
fn goes_off(spec: &ChainSpec, gain: f64, seed: u64, run: u64) -> Result<Vec<StepRecord>, SimulateError> {
    let mut records = steady(spec, 1.0, HEALTHY_LOOKS, seed, run)?;
    let mut later = steady(spec, gain, LOOKS - HEALTHY_LOOKS, seed, run)?;
    for record in &mut later {
        record.step += HEALTHY_LOOKS as i64;
        record.learning_rate = TRAINING_RATE;
    }
    records.append(&mut later);
    Ok(records)
}

/// The same seed and run give the same weights up to the gain, and the same batches.
fn trainer(spec: &ChainSpec, gain: f64, sgd: Sgd, seed: u64, run: u64) -> Result<Trainer, SimulateError> {
    let spec = ChainSpec {
        gain: spec.gain * gain,
        ..spec.clone()
    };
    let mut rng = Rng::stream(seed, run);
    let batch_seed = rng.bits();
    let chain = MatrixChain::random(&spec, &mut rng)?;
    let batches = Batches::fresh(&chain, spec.batch, batch_seed);
    Trainer::new(chain, batches, sgd, None)
}

fn width(spec: &ChainSpec) -> usize {
    spec.widths.first().copied().unwrap_or(1)
}

/// A number as histograms tell it, with the elements of the tensor; all layers have one width.
fn form(tag: &str, width: usize) -> Form {
    let n_elements = match tag.rsplit('.').next() {
        Some("weight") => (width * width) as f64,
        Some("bias") => width as f64,
        _ => return Form::EXACT,
    };
    Form::Tensor { n_elements }
}

/// The engine on what such a run logs.
fn judge(rules: &[Rule], width: usize, records: &[StepRecord]) -> Vec<Vec<&'static str>> {
    let mut engine = Engine::new(rules, ".");
    for record in records {
        for (tag, value) in row_of(record) {
            engine.sample(&Sample {
                tag: &tag,
                step: record.step,
                wall_time: None,
                value,
                form: form(&tag, width),
                offset: 0,
            });
        }
    }
    let outcome = engine.finish(&StreamEnd::default());
    let findings = join(vec![StreamOutcome {
        rank: None,
        precedence: 0,
        outcome,
    }])
    .findings;
    let kinds = |rule: &Rule| {
        let of_rule = findings
            .iter()
            .filter(|it| it.rule == rule.id && it.severity >= Severity::Warning);
        of_rule.map(|it| it.kind).collect()
    };
    rules.iter().map(kinds).collect()
}
