//! The engine at restarts: what they replace, and what they leave alone.

use super::{Engine, Outcome};
use crate::model::{Family, Form, Mark, Profile, Quantity, Sample, Smoothing};
use crate::rules::Rule;
use crate::rules::book::Noted;
use crate::rules::check::bench::rule;
use crate::rules::check::{
    Build, CheckInfo, Context, Judged, Judgement, Observation, Point, ProfileCheck, SeriesCheck, StreamCheck,
    StreamEnd, each,
};
use crate::series::SeriesInfo;

/// Finds steps 3 and 4 bad.
struct BadAtThree;

fn judged(step: i64) -> Judged {
    Judged {
        subject: 0,
        step,
        judgement: Judgement::Bad(Observation::new("", 1.0, 0.0)),
    }
}

impl ProfileCheck for BadAtThree {
    fn observe(&mut self, profile: &Profile<'_>, _: &Context<'_>, out: &mut Vec<Judged>) {
        out.extend((3..=4).contains(&profile.step).then(|| judged(profile.step)));
    }
    fn rewind(&mut self, _: i64) {}
}

/// Finds NaN bad.
struct NanIsBad;

impl StreamCheck for NanIsBad {
    fn sample(&mut self, _: &SeriesInfo, point: &Point, _: &Context<'_>, out: &mut Vec<Judged>) {
        out.extend(point.value.is_nan().then(|| judged(point.step)));
    }
}

const fn check(name: &'static str, build: Build) -> CheckInfo {
    CheckInfo {
        name,
        family: Family::Custom,
        kinds: &[],
        params: &[],
        doc: "",
        build,
    }
}

static PROFILE: CheckInfo = check("bad-at-three", Build::Profile(|_| Box::new(BadAtThree)));
static STREAM: CheckInfo = check("nan-is-bad", Build::Stream(|_| Box::new(NanIsBad)));

fn run(rules: &[Rule], points: impl IntoIterator<Item = (&'static str, i64, f64)>) -> Outcome {
    let mut engine = Engine::new(rules, ".");
    for (tag, step, value) in points {
        engine.sample(&Sample {
            tag,
            step,
            wall_time: None,
            value,
            form: Form::EXACT,
            offset: 0,
        });
    }
    engine.finish(&StreamEnd::default())
}

/// Finds every point bad but the first, of which the log has not yet said what it is.
#[derive(Clone)]
struct AllIsBad;

impl SeriesCheck for AllIsBad {
    fn observe(&mut self, point: &Point, _: &Context<'_>) -> Judgement {
        if point.step == 0 {
            return Judgement::Good;
        }
        Judgement::Bad(Observation::new("", point.value, 0.0))
    }
    fn rewind(&mut self, _: i64) {}
}

static SPIKE: CheckInfo = CheckInfo {
    family: Family::Spike,
    ..check("all-is-bad", Build::Series(|_| each(AllIsBad)))
};
static OTHER: CheckInfo = check("all-is-bad", Build::Series(|_| each(AllIsBad)));

#[test]
fn a_finding_in_a_smoothed_loss_says_that_it_is_smoothed() {
    let sentences = |is_smoothed: bool| -> Vec<bool> {
        let rules = [
            rule(&SPIKE, Quantity::Loss, &[]),
            rule(&OTHER, Quantity::Loss, &[]),
        ];
        let mut engine = Engine::new(&rules, ".");
        for step in 0..3 {
            engine.sample(&Sample {
                tag: "loss",
                step,
                wall_time: None,
                value: 1.0,
                form: Form::EXACT,
                offset: 0,
            });
            if is_smoothed && step == 0 {
                let by = Smoothing::MovingAverage;
                engine.mark(Mark::Smoothed { tag: "loss", by });
            }
        }
        let findings = engine.finish(&StreamEnd::default()).findings;
        let says = |it: &Noted| it.finding.message.contains("the log prints the moving average");
        findings.iter().map(says).collect()
    };
    // A rule on thresholds or plateaus means what it says of the smoothed numbers.
    assert_eq!(sentences(true), [true, false]);
    assert_eq!(sentences(false), [false, false]);
}

#[test]
fn a_quantity_that_goes_back_leaves_the_profiles_of_others_alone() {
    let both = Rule {
        quantities: vec![Quantity::GradNorm, Quantity::WeightNorm],
        ..rule(&PROFILE, Quantity::Loss, &[])
    };
    let (grads, weights) = ("grad_norm/layers.0.weight", "weight_norm/layers.0.weight");
    let first = (0..6).flat_map(|step| [(grads, step, 1.0), (weights, step, 1.0)]);
    let outcome = run(&[both], first.chain([(grads, 2, 1.0)]));
    let mut superseded: Vec<_> = outcome
        .findings
        .iter()
        .map(|it| (it.finding.quantity, it.finding.is_superseded))
        .collect();
    superseded.sort();
    assert_eq!(
        superseded,
        [(Quantity::GradNorm, true), (Quantity::WeightNorm, false)]
    );
}

#[test]
fn what_a_stream_check_said_of_a_replaced_attempt_is_replaced_with_it() {
    let rules = [rule(&STREAM, Quantity::Loss, &[])];
    let points = |from: i64, to: i64, nan_from: i64| {
        (from..to).map(move |step| ("loss", step, if step >= nan_from { f64::NAN } else { 1.0 }))
    };
    let superseded = |outcome: &Outcome| {
        outcome
            .findings
            .iter()
            .map(|it| it.finding.is_superseded)
            .collect::<Vec<_>>()
    };
    assert_eq!(superseded(&run(&rules, points(0, 9, 5))), [false]);
    assert_eq!(
        superseded(&run(&rules, points(0, 9, 5).chain(points(3, 12, 99)))),
        [true]
    );
    assert_eq!(
        superseded(&run(&rules, points(0, 9, 5).chain(points(3, 12, 7)))),
        [false]
    );
    assert_eq!(
        superseded(&run(&rules, points(0, 9, 5).chain(points(7, 12, 99)))),
        [false],
        "NaN at 5 still stands"
    );
}

#[test]
fn a_restart_before_the_first_step_moves_the_first_step() {
    let outcome = run(&[], (500..600).chain(0..50).map(|step| ("loss", step, 1.0)));
    assert_eq!(outcome.facts.first_step, Some(0));
    assert_eq!(
        (outcome.series[0].first_step, outcome.series[0].last_step),
        (0, 49)
    );
}
