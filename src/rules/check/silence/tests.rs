//! Silences, each in a run of some rhythm: what is alarmed, when, and what is not.

use super::super::profile_fixture::rule;
use super::super::stream_fixture::Stream;
use super::{INFO, Pulse};
use crate::model::{Mark, Severity};

/// A run that is followed: a clock that goes on, and what the check says.
struct Followed {
    stream: Stream,
    now_s: f64,
    grown_s: f64,
    advanced_s: f64,
    step: i64,
}

/// The watch asks this often.
const TICK_S: f64 = 30.0;

impl Followed {
    fn new(planned: Option<i64>) -> Self {
        let mut stream = Stream::of(&INFO, &rule(&INFO, &[]));
        if let Some(steps) = planned {
            stream.mark(Mark::PlannedSteps(steps));
        }
        Self {
            stream,
            now_s: 0.0,
            grown_s: 0.0,
            advanced_s: 0.0,
            step: 0,
        }
    }

    /// Steps of so many seconds of which the writer flushes several at a time.
    fn train(&mut self, n_steps: i64, seconds: f64, per_flush: i64, has_times: bool) {
        let begun = self.now_s;
        let first = self.step;
        for n in 1..=n_steps {
            self.step = first + n;
            let wall_time = has_times.then_some(1.7e9 + begun + n as f64 * seconds);
            self.stream.step(self.step, wall_time);
            if n % per_flush == 0 {
                let then = begun + n as f64 * seconds;
                self.wait_until(then);
                (self.grown_s, self.advanced_s) = (then, then);
                self.tick();
            }
        }
    }

    fn wait_until(&mut self, then: f64) {
        while self.now_s + TICK_S < then {
            self.now_s += TICK_S;
            self.tick();
        }
        self.now_s = then;
    }

    fn tick(&mut self) {
        let pulse = Pulse {
            now_s: self.now_s,
            grown_s: self.grown_s,
            advanced_s: self.advanced_s,
        };
        self.stream.tick(&pulse);
    }

    /// Seconds of silence until an alarm of this kind, within a day.
    fn silent_until_alarm(&mut self, is_growing: bool) -> Option<(&'static str, f64)> {
        let begun = self.now_s;
        while self.now_s < begun + 86_400.0 {
            self.now_s += TICK_S;
            if is_growing {
                self.grown_s = self.now_s;
            }
            self.tick();
            if let Some((_, seen)) = self.stream.bad().last() {
                return Some((seen.kind, self.now_s - begun));
            }
        }
        None
    }

    fn is_quiet(&self) -> bool {
        self.stream.bad().is_empty()
    }
}

#[test]
fn a_run_of_quick_steps_may_be_silent_for_a_quarter_of_an_hour() {
    for has_times in [true, false] {
        let mut run = Followed::new(Some(100_000));
        run.train(200, 5.0, 1, has_times);
        assert!(run.is_quiet());
        let (kind, after) = run.silent_until_alarm(false).unwrap();
        assert_eq!(kind, "silent");
        assert!((900.0..=960.0).contains(&after), "{after}");
    }
}

#[test]
fn a_writer_that_flushes_every_two_minutes_is_waited_for() {
    let mut run = Followed::new(Some(100_000));
    run.train(1200, 1.0, 120, true);
    assert!(run.is_quiet());
    let (_, after) = run.silent_until_alarm(false).unwrap();
    assert!((900.0..=960.0).contains(&after), "{after}");
    // Without times in the log the flushes are all that is known of its rhythm.
    let mut run = Followed::new(Some(100_000));
    run.train(1200, 1.0, 120, false);
    let (_, after) = run.silent_until_alarm(false).unwrap();
    assert!((1200.0..=1260.0).contains(&after), "{after}");
}

#[test]
fn slow_steps_and_pauses_that_come_again_lengthen_the_silence() {
    let mut run = Followed::new(Some(100_000));
    run.train(40, 106.0, 1, true);
    let (_, after) = run.silent_until_alarm(false).unwrap();
    assert!((1060.0..=1100.0).contains(&after), "{after}");
    // Evaluations of ten minutes.
    let mut run = Followed::new(Some(100_000));
    for _ in 0..3 {
        run.train(100, 5.0, 1, true);
        run.train(1, 600.0, 1, true);
    }
    assert!(run.is_quiet());
    let (_, after) = run.silent_until_alarm(false).unwrap();
    assert!((1800.0..=1860.0).contains(&after), "{after}");
}

#[test]
fn a_rhythm_that_is_not_known_gets_half_an_hour() {
    let mut run = Followed::new(Some(100_000));
    run.train(2, 1.0, 1, false);
    let (_, after) = run.silent_until_alarm(false).unwrap();
    assert!((1800.0..=1860.0).contains(&after), "{after}");
}

#[test]
fn a_file_that_grows_without_steps_is_stuck() {
    let mut run = Followed::new(Some(100_000));
    run.train(200, 5.0, 1, true);
    assert_eq!(run.silent_until_alarm(true).map(|it| it.0), Some("stuck"));
}

#[test]
fn a_run_that_has_come_to_its_end_may_be_silent_for_ever() {
    let mut run = Followed::new(Some(200));
    run.train(199, 5.0, 1, true);
    assert_eq!(run.silent_until_alarm(false), None, "the stated length");
    let mut run = Followed::new(Some(100_000));
    run.train(200, 5.0, 1, true);
    run.stream.line("Training complete. Saving the model.");
    assert_eq!(run.silent_until_alarm(false), None, "it said so");
    let mut run = Followed::new(Some(100_000));
    run.train(200, 5.0, 1, true);
    run.stream.mark(Mark::Finished);
    assert_eq!(run.silent_until_alarm(false), None, "it was marked");
}

#[test]
fn a_run_of_unknown_length_that_ends_is_a_note() {
    let mut run = Followed::new(None);
    run.train(200, 5.0, 1, true);
    run.silent_until_alarm(false).unwrap();
    assert_eq!(run.stream.bad().last().unwrap().1.severity, Some(Severity::Info));
}

#[test]
fn what_goes_on_has_healed_and_may_fall_silent_again() {
    let mut run = Followed::new(Some(100_000));
    run.train(200, 5.0, 1, true);
    run.silent_until_alarm(false).unwrap();
    let n_bad = run.stream.bad().len();
    run.train(50, 5.0, 1, true);
    assert_eq!(run.stream.bad().len(), n_bad);
    assert_eq!(run.stream.n_healed(), 1);
    run.silent_until_alarm(false).unwrap();
    run.now_s += 3600.0;
    run.tick();
    assert!(run.stream.bad().len() > n_bad);
}
