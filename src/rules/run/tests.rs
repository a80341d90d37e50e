//! Two files of one run that log the same number, of which one is cut off or leaves NaN out.

use std::collections::HashSet;

use super::{StreamOutcome, join};
use crate::model::{Form, Quantity, Sample, Severity};
use crate::rules::Engine;
use crate::rules::check::bench::rule;
use crate::rules::check::{StreamEnd, non_finite};

/// A file that logs this tag at every step but where `value` has nothing to say.
fn file(precedence: u32, tag: &str, steps: i64, value: impl Fn(i64) -> Option<f64>) -> StreamOutcome {
    let rules = [rule(&non_finite::INFO, Quantity::Loss, &[])];
    let mut engine = Engine::new(&rules, ".");
    for step in 0..steps {
        if let Some(value) = value(step) {
            engine.sample(&Sample {
                tag,
                step,
                wall_time: None,
                value,
                form: Form::EXACT,
                offset: 0,
            });
        }
    }
    StreamOutcome {
        rank: None,
        precedence,
        outcome: engine.finish(&StreamEnd::default()),
    }
}

fn nan_from(first: i64) -> impl Fn(i64) -> Option<f64> {
    move |step| Some(if step < first { 1.0 } else { f64::NAN })
}

fn worst(files: Vec<StreamOutcome>) -> Vec<(Severity, Option<i64>)> {
    join(files)
        .findings
        .iter()
        .map(|it| (it.severity, it.first_step))
        .collect()
}

#[test]
fn a_nan_after_the_end_of_the_better_file_is_told() {
    let files = vec![
        file(0, "train/loss", 900, nan_from(2000)),
        file(5, "loss", 1000, nan_from(950)),
    ];
    assert_eq!(worst(files), [(Severity::Critical, Some(950))]);
}

#[test]
fn a_nan_that_the_better_file_leaves_out_is_told() {
    let silent = |step| (step < 500).then_some(1.0);
    let files = vec![
        file(0, "loss", 1000, silent),
        file(5, "loss", 1000, nan_from(500)),
    ];
    assert_eq!(worst(files), [(Severity::Critical, Some(500))]);
}

#[test]
fn a_nan_in_both_files_is_one_finding() {
    let files = vec![
        file(0, "loss", 1000, nan_from(500)),
        file(5, "loss", 1000, nan_from(500)),
    ];
    assert_eq!(worst(files), [(Severity::Critical, Some(500))]);
    let files = vec![
        file(0, "loss", 900, nan_from(500)),
        file(5, "loss", 1000, nan_from(950)),
    ];
    assert_eq!(
        worst(files),
        [(Severity::Critical, Some(500))],
        "the rest of the same trouble"
    );
}

#[test]
fn the_same_number_of_two_files_is_one_series() {
    let join = join(vec![
        file(0, "loss", 10, nan_from(99)),
        file(5, "train/loss", 10, nan_from(99)),
    ]);
    let tags: HashSet<&str> = join.series.iter().map(|(_, it)| &*it.tag).collect();
    assert_eq!(tags, HashSet::from(["loss"]));
}
