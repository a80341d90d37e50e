//! Pauses and ends, each with a run in which it is there and runs in which it only seems so.

use super::super::profile_fixture::rule;
use super::super::stream_fixture::Stream;
use super::{INFO, StreamEnd};
use crate::model::Mark;

fn stream() -> Stream {
    Stream::of(&INFO, &rule(&INFO, &[]))
}

/// Steps of `stride`, a minute apart, with pauses in seconds before some of them.
fn run_with_pauses(n: i64, stride: i64, pauses: &[(i64, f64)]) -> Stream {
    let mut stream = stream();
    let mut time = 1_700_000_000.0;
    for index in 0..n {
        let step = index * stride;
        time += pauses
            .iter()
            .find(|(at, _)| *at == step)
            .map_or(60.0, |(_, pause)| *pause);
        stream.step(step, Some(time));
    }
    stream
}

fn kinds(stream: &mut Stream) -> Vec<(&'static str, i64)> {
    stream.finish(&StreamEnd::default());
    stream
        .bad()
        .into_iter()
        .map(|(step, seen)| (seen.kind, step))
        .collect()
}

#[test]
fn a_pause_of_two_hours_is_a_gap_at_the_step_after_it() {
    let mut stream = run_with_pauses(200, 10, &[(500, 7200.0)]);
    assert_eq!(kinds(&mut stream), [("gap", 500)]);
    let (_, seen) = stream.bad()[0];
    assert_eq!((seen.value, seen.bound), (7200.0, 600.0));
    assert!(
        seen.words.contains(&("pause", "2.0 h".to_owned())),
        "{:?}",
        seen.words
    );
}

#[test]
fn even_steps_and_pauses_below_the_bound_are_fine() {
    assert_eq!(kinds(&mut run_with_pauses(200, 10, &[])), []);
    assert_eq!(kinds(&mut run_with_pauses(200, 10, &[(500, 599.0)])), []);
}

#[test]
fn pauses_that_recur_are_evaluations() {
    assert_eq!(
        kinds(&mut run_with_pauses(100, 10, &[(300, 1200.0), (600, 1300.0)])),
        []
    );
    let three = [(250, 1200.0), (410, 900.0), (700, 1100.0)];
    assert_eq!(kinds(&mut run_with_pauses(100, 10, &three)), []);
}

#[test]
fn two_pauses_without_a_period_are_both_gaps() {
    let mut stream = run_with_pauses(200, 10, &[(300, 4000.0), (1500, 5000.0)]);
    assert_eq!(kinds(&mut stream), [("gap", 300), ("gap", 1500)]);
}

#[test]
fn logging_more_rarely_is_no_pause() {
    let mut stream = stream();
    let mut time = 0.0;
    for step in (0..100).chain((100..10_000).step_by(100)) {
        let stride = if step <= 100 { 1.0 } else { 100.0 };
        time += 10.0 * stride;
        stream.step(step, Some(time));
    }
    assert_eq!(kinds(&mut stream), []);
}

#[test]
fn a_slow_start_and_a_restart_are_no_pauses() {
    assert_eq!(kinds(&mut run_with_pauses(100, 10, &[(10, 7200.0)])), []);
    let mut stream = run_with_pauses(100, 1, &[]);
    stream.rewind(80);
    stream.step(80, Some(1_700_100_000.0));
    assert_eq!(kinds(&mut stream), []);
    let mut stream = run_with_pauses(100, 1, &[]);
    stream.mark(Mark::SessionStart { step: 100 });
    stream.step(100, Some(1_700_100_000.0));
    assert_eq!(kinds(&mut stream), []);
}

#[test]
fn a_log_that_stops_short_is_unfinished() {
    let mut stream = run_with_pauses(51, 2, &[]);
    stream.mark(Mark::PlannedSteps(400));
    assert_eq!(kinds(&mut stream), [("unfinished", 100)]);
    let (_, seen) = stream.bad()[0];
    assert!(
        seen.words
            .contains(&("last_time", "at 2023-11-14 23:04:20 UTC".to_owned())),
        "{:?}",
        seen.words
    );
}

#[test]
fn counters_from_zero_or_one_and_a_last_partial_interval_are_finished() {
    for (n, planned) in [(400, 400), (401, 400), (400, 402), (399, 400)] {
        let mut stream = run_with_pauses(n, 1, &[]);
        stream.mark(Mark::PlannedSteps(planned));
        assert_eq!(kinds(&mut stream), [], "{n} of {planned}");
    }
    let mut stream = run_with_pauses(40, 10, &[]);
    stream.mark(Mark::PlannedSteps(409));
    assert_eq!(kinds(&mut stream), []);
}

#[test]
fn a_length_on_another_axis_says_nothing() {
    let mut epochs = run_with_pauses(500, 10, &[]);
    epochs.mark(Mark::PlannedSteps(10));
    assert_eq!(kinds(&mut epochs), [], "a bar of epochs over steps");
    let mut two = run_with_pauses(50, 1, &[]);
    two.mark(Mark::PlannedSteps(400));
    two.mark(Mark::PlannedSteps(1563));
    assert_eq!(kinds(&mut two), [], "a bar of batches beside it");
    let mut rows = run_with_pauses(50, 1, &[]);
    rows.mark(Mark::PlannedSteps(400));
    rows.facts.steps_are_ordinal = true;
    assert_eq!(kinds(&mut rows), [], "rows are no steps");
}

#[test]
fn a_snapshot_without_times_and_lines_says_nothing_of_the_end() {
    let mut stream = stream();
    stream.mark(Mark::PlannedSteps(500));
    (0..40).for_each(|step| stream.step(step * 10, None));
    assert_eq!(kinds(&mut stream), []);
}

#[test]
fn a_run_that_says_why_it_ends_is_finished() {
    for line in [
        "Epoch 12: early stopping",
        " [exiting program at iteration 100]",
        "Training complete.",
    ] {
        let mut stream = run_with_pauses(50, 1, &[]);
        stream.mark(Mark::PlannedSteps(400));
        stream.line(line);
        assert_eq!(kinds(&mut stream), [], "{line}");
    }
    let mut stream = run_with_pauses(50, 1, &[]);
    stream.mark(Mark::PlannedSteps(400));
    stream.line("early stopping would be at 3");
    stream.step(50, None);
    stream.mark(Mark::Finished);
    assert_eq!(kinds(&mut stream), []);
}

#[test]
fn a_run_that_goes_on_after_saying_so_is_not_finished() {
    let mut stream = run_with_pauses(50, 1, &[]);
    stream.mark(Mark::PlannedSteps(400));
    stream.line("early stopping: patience 3 of 10");
    stream.step(50, None);
    assert_eq!(kinds(&mut stream), [("unfinished", 50)]);
}

#[test]
fn more_pauses_than_are_kept_are_a_habit() {
    let pauses: Vec<(i64, f64)> = (0..100).map(|it| (100 + it * 10, 1e4 + it as f64)).collect();
    assert_eq!(kinds(&mut run_with_pauses(500, 1, &pauses)), []);
}
