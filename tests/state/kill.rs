//! Daemons that are killed at any moment while runs are written: nothing is lost, nothing is told under two names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Bench, DEADLINE, append, bad_rows, fingerprints, pause, rows};
use crate::support::table::seen;

/// Runs that are written; every other one goes bad.
const N_RUNS: usize = 24;

/// How often the daemon is killed.
const N_KILLS: usize = 200;

/// Numbers that look random and are the same each time (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// What was told, each body under its name.
#[derive(Default)]
struct Told {
    bodies: BTreeMap<String, String>,
    fingerprints: BTreeSet<String>,
    n_repeated: usize,
}

impl Told {
    fn take(&mut self, bodies: impl Iterator<Item = String>) {
        for body in bodies {
            let message: Value = serde_json::from_str(&body).unwrap();
            self.fingerprints.extend(fingerprints(&message));
            let name = match message["name"].as_str() {
                Some(digest) => digest.to_owned(),
                None => format!("{}.{}", message["incident"], message["sequence"]),
            };
            if let Some(before) = self.bodies.insert(name.clone(), body.clone()) {
                assert_eq!(before, body, "{name} has two contents");
                self.n_repeated += 1;
            }
        }
    }

    fn n_firing(&self, run: &str) -> usize {
        let messages = self
            .bodies
            .values()
            .map(|it| serde_json::from_str::<Value>(it).unwrap());
        messages
            .filter(|it| it["run"] == run && it["occasion"] == "firing" && it["sequence"] == 0)
            .count()
    }
}

fn alerts(status: &Value) -> BTreeSet<String> {
    let alerts = status["alerts"].as_array().unwrap().iter();
    alerts
        .map(|it| {
            format!(
                "{} {} {} {}",
                it["run"], it["rule"], it["severity"], it["first_step"]
            )
        })
        .collect()
}

/// Writes to runs at random for a while.
fn write_for(bench: &Bench, dice: &mut Dice, time: Duration, state: &mut Written, may_go_bad: bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let index = usize::try_from(dice.roll(N_RUNS as u64)).unwrap();
        let (run, from) = (format!("run-{index}"), state.steps[index]);
        let goes_bad = index % 2 == 0 && from >= 60 && may_go_bad;
        if goes_bad {
            state.bad.insert(run.clone());
        }
        let text = if state.bad.contains(&run) {
            bad_rows(from..from + 20)
        } else {
            rows(from..from + 20)
        };
        append(&bench.run(&run), &text);
        state.steps[index] += 20;
        pause(Duration::from_millis(dice.roll(20)));
    }
}

struct Written {
    steps: [i64; N_RUNS],
    bad: BTreeSet<String>,
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_loses_no_alarm_and_names_none_twice() {
    let bench = Bench::new();
    let mut dice = Dice(0x5eed);
    let mut written = Written {
        steps: [0; N_RUNS],
        bad: BTreeSet::new(),
    };
    let mut told = Told::default();
    for kill in 0..N_KILLS {
        let daemon = bench.start();
        let time = Duration::from_millis(20 + dice.roll(280));
        // In the last quarter no run goes bad for the first time.
        write_for(&bench, &mut dice, time, &mut written, kill * 4 < N_KILLS * 3);
        daemon.kill();
        told.take(bench.hook.bodies.try_iter());
    }
    let bad = &written.bad;
    assert!(bad.len() > 3, "{bad:?}");
    let daemon = bench.start();
    bench.status_until(|it| it["daemon"]["pid"] == daemon.pid());
    let begun = Instant::now();
    loop {
        let status = bench.status_until(|it| it["outbox"]["open"] == 0);
        told.take(bench.hook.bodies.try_iter());
        let standing = alerts(&status);
        let is_known = |it: &String| {
            let stands = standing
                .iter()
                .any(|alert| alert.starts_with(&format!("\"{it}\" ")));
            stands && told.n_firing(it) > 0
        };
        if bad.iter().all(is_known) {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{bad:?}\n{status:#}");
        pause(Duration::from_millis(50));
    }
    daemon.stop();
    told.take(bench.hook.bodies.try_iter());
    let killed = bench.status();
    for alert in killed["alerts"].as_array().unwrap() {
        let id = alert["alert"].as_str().unwrap();
        assert!(
            alert["consequence"] == true || told.fingerprints.contains(id),
            "lost: {alert:#}"
        );
    }
    for run in bad {
        assert_eq!(told.n_firing(run), 1, "{run} has one incident");
    }
    // A daemon that was never killed comes to the same.
    let whole = Bench {
        state: bench.dir.path().join("other-state"),
        ..bench
    };
    let daemon = whole.start();
    whole.status_until(|it| alerts(it) == alerts(&killed));
    whole.status_until(|it| it["daemon"]["running"] == true);
    daemon.stop();
    seen(
        "12",
        "kill -9: no alert lost, duplicates share one Message-ID, rule state equals an uninterrupted run",
        &format!(
            "{N_KILLS} kills while runs are written: {} bad runs, {} messages, {} of them repeated with the same name and \
             bytes, the same alarms as one that was never killed",
            bad.len(),
            told.bodies.len(),
            told.n_repeated
        ),
    );
}
