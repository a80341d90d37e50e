//! What the clock tells: silence, jumps, sleep of runs. The core of the watch is told the time by the test.

use std::fs;

use gradwatch::alert::{News, Notice, Over};
use gradwatch::app::watch::{Now, Watch};
use gradwatch::rules::load_builtin;

use super::super::same::look;
use super::super::{append, falling, rows};
use super::seen;

const HOUR_S: f64 = 3600.0;

/// A real time, because it is compared with that of files.
fn unix_now() -> f64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

struct Clock {
    unix_s: f64,
    steady_s: f64,
}

impl Clock {
    fn new() -> Self {
        Self {
            unix_s: unix_now(),
            steady_s: 5.0,
        }
    }

    fn pass(&mut self, seconds: f64) {
        self.unix_s += seconds;
        self.steady_s += seconds;
    }

    fn jump(&mut self, seconds: f64) {
        self.unix_s += seconds;
    }

    /// Walks and looks at this time; what is said of silence.
    fn look(&self, watch: &mut Watch<'_>) -> Vec<Notice> {
        let mut notices = Vec::new();
        watch.tell_time(Now {
            unix_s: self.unix_s,
            steady_s: self.steady_s,
        });
        watch.walk();
        look(watch, &mut notices);
        notices.retain(|it| it.finding.check == "silence");
        notices
    }
}

#[test]
fn silence_is_an_alarm_and_a_jump_of_the_clock_is_none() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.log");
    let text = |steps: std::ops::Range<i64>| {
        steps
            .map(|step| {
                format!(
                    "iteration {step}/ 5000 | lm loss: {} | learning rate: 1.0E-04 |\n",
                    falling(step)
                )
            })
            .collect::<Vec<_>>()
            .concat()
    };
    append(&path, &text(1..200));
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let mut clock = Clock::new();
    assert_eq!(clock.look(&mut watch), []);
    for hour in [1.0, -2.0, 5.0] {
        clock.jump(hour * HOUR_S);
        clock.pass(60.0);
        assert_eq!(clock.look(&mut watch), [], "a jump of {hour} hours");
    }
    clock.pass(HOUR_S);
    let said = clock.look(&mut watch);
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(
        (said[0].news, said[0].finding.rule.as_str()),
        (News::Alarm, "silent")
    );
    clock.pass(HOUR_S);
    assert_eq!(clock.look(&mut watch), [], "it is said once");
    append(&path, &text(200..210));
    clock.pass(60.0);
    let said = clock.look(&mut watch);
    assert_eq!(
        said.iter().map(|it| it.news).collect::<Vec<_>>(),
        [News::Resolved(Over::Healed)]
    );
    seen(
        "17",
        "clock jump of an hour",
        "jumps of +1, -2, +5 hours: no alarm; an hour that passes is one, and is resolved by the next line",
    );
}

/// What is said of alarms beside silence while this time passes, with a walk a minute.
fn said_within(clock: &mut Clock, watch: &mut Watch<'_>, minutes: u32) -> Vec<News> {
    let mut notices = Vec::new();
    for _ in 0..minutes {
        clock.pass(60.0);
        watch.tell_time(Now {
            unix_s: clock.unix_s,
            steady_s: clock.steady_s,
        });
        notices.extend(watch.walk().notices);
        look(watch, &mut notices);
    }
    notices.retain(|it| it.finding.rule == "non-finite-loss");
    notices.into_iter().map(|it| it.news).collect()
}

#[test]
fn a_run_that_is_deleted_ends_its_alarms_once_and_comes_back_as_a_new_one() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/metrics.jsonl");
    let sick = rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned());
    for name in ["a", "b"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    append(&dir.path().join("b/metrics.jsonl"), &rows(0..60, falling));
    append(&path, &sick);
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let mut clock = Clock::new();
    assert_eq!(said_within(&mut clock, &mut watch, 1), [News::Alarm]);
    fs::remove_file(&path).unwrap();
    assert_eq!(said_within(&mut clock, &mut watch, 50), []);
    // It was moved away and comes back: nothing has happened.
    append(&path, &sick);
    assert_eq!(said_within(&mut clock, &mut watch, 50), []);
    fs::remove_file(&path).unwrap();
    assert_eq!(
        said_within(&mut clock, &mut watch, 24 * 60),
        [News::Resolved(Over::NoData)]
    );
    append(&path, &sick);
    assert_eq!(said_within(&mut clock, &mut watch, 1), [News::Alarm]);
    // The whole root is away: that may be a file system that is not mounted.
    fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(said_within(&mut clock, &mut watch, 23 * 60), []);
    assert_eq!(
        said_within(&mut clock, &mut watch, 2 * 60),
        [News::Resolved(Over::NoData)]
    );
}

#[test]
fn a_run_without_a_stated_length_that_ends_is_no_alarm() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    append(&dir.path().join("metrics.jsonl"), &rows(0..200, falling));
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let mut clock = Clock::new();
    clock.look(&mut watch);
    clock.pass(20.0 * HOUR_S);
    assert_eq!(clock.look(&mut watch), []);
}

#[test]
fn a_run_falls_asleep_and_what_was_said_of_it_stays_said() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    append(
        &path,
        &(rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned())),
    );
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules).active_within(24.0 * HOUR_S);
    let mut clock = Clock::new();
    clock.look(&mut watch);
    assert_eq!((watch.n_runs(), watch.n_dormant()), (1, 0));
    clock.pass(25.0 * HOUR_S);
    // Sleep comes some walks later.
    for _ in 0..100 {
        clock.look(&mut watch);
    }
    assert_eq!((watch.n_runs(), watch.n_dormant()), (0, 1));
    assert!(watch.is_dormant(&path));
    // The file's time is that of the machine.
    append(&path, &rows(70..71, |_| "NaN".to_owned()));
    let mut clock = Clock::new();
    clock.pass(60.0);
    let mut notices = Vec::new();
    watch.tell_time(Now {
        unix_s: clock.unix_s,
        steady_s: clock.steady_s,
    });
    watch.walk();
    look(&mut watch, &mut notices);
    assert_eq!(
        (watch.n_runs(), watch.n_dormant(), notices.len()),
        (1, 0, 0),
        "{notices:?}"
    );
}
