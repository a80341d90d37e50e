//! Any sequence of notices, waits, jumps of the clock, restarts and wishes: nothing is lost, named twice, or beyond the
//! cap.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use super::{Bench, Outgoing, ROOT, bulletins, finding, notice, policy};
use crate::alert::{Fingerprint, NamePattern, News, Notice, Occasion, Over, Policy, Silence, Standing};
use crate::model::Severity;

/// What can happen to a desk.
#[derive(Debug, Clone)]
enum Act {
    Hear {
        run: u8,
        rule: u8,
        news: u8,
        is_consequence: bool,
    },
    Pass(i64),
    Reach(bool),
    Restart,
    Silence {
        run: u8,
        seconds: i64,
    },
    Ack {
        run: u8,
        rule: u8,
    },
}

fn acts(has_wishes: bool) -> impl Strategy<Value = Vec<Act>> {
    let hear =
        (0..6_u8, 0..4_u8, 0..5_u8, proptest::bool::ANY).prop_map(|(run, rule, news, is_consequence)| {
            Act::Hear {
                run,
                rule,
                news,
                is_consequence: is_consequence && rule > 0,
            }
        });
    let pass = prop_oneof![
        0..60_i64,
        0..5000_i64,
        Just(-3600_i64),
        Just(3600_i64),
        -10..0_i64
    ]
    .prop_map(Act::Pass);
    let wish = prop_oneof![
        (0..6_u8, 0..10_000_i64).prop_map(|(run, seconds)| Act::Silence { run, seconds }),
        (0..6_u8, 0..4_u8).prop_map(|(run, rule)| Act::Ack { run, rule }),
    ]
    .prop_map(move |it| if has_wishes { it } else { Act::Restart });
    vec(
        prop_oneof![4 => hear, 4 => pass, 1 => Just(Act::Restart), 1 => wish, 1 => proptest::bool::ANY.prop_map(Act::Reach)],
        1..120,
    )
}

/// What a test keeps beside the desk.
#[derive(Default)]
struct Model {
    heard: BTreeSet<Fingerprint>,
    wished: BTreeSet<Fingerprint>,
    wished_runs: BTreeSet<String>,
    told: BTreeSet<Fingerprint>,
    names: BTreeSet<String>,
    /// Time that has really passed at each message.
    stamps: Vec<i64>,
    acks: BTreeMap<Fingerprint, Severity>,
    silences: Vec<Silence>,
    elapsed: i64,
}

const CAP: u32 = 4;

impl Model {
    fn take(&mut self, out: &[Outgoing]) {
        for it in out {
            self.stamps.push(self.elapsed);
            if let Outgoing::Many(digest) = it {
                assert!(self.names.insert(digest.name.clone()));
                let runs: BTreeSet<&str> = digest.bulletins.iter().map(|it| it.run.as_str()).collect();
                assert_eq!(runs.len(), digest.bulletins.len(), "at most one of a run");
            }
        }
        for bulletin in bulletins(out) {
            let name = format!("{}.{}", bulletin.incident, bulletin.sequence);
            assert!(self.names.insert(name), "a name was used twice");
            assert!(!bulletin.roots.is_empty());
            let alarms = bulletin.roots.iter().chain(&bulletin.consequences);
            for alarm in alarms {
                self.told.insert(alarm.fingerprint);
                if bulletin.occasion == Occasion::Resolved {
                    assert_ne!(alarm.standing, Standing::Firing);
                }
            }
        }
    }

    fn check_cap(&self) {
        let cap = CAP as usize;
        for (index, at) in self.stamps.iter().enumerate().skip(cap) {
            assert!(at - self.stamps[index - cap] >= 3600, "{:?}", self.stamps);
        }
    }
}

fn news_of(number: u8) -> (News, Severity) {
    match number {
        0 | 1 => (News::Alarm, Severity::Warning),
        2 => (News::Worse, Severity::Critical),
        3 => (News::Resolved(Over::Healed), Severity::Warning),
        _ => (News::Resolved(Over::Superseded), Severity::Warning),
    }
}

fn play(acts: &[Act]) {
    let strict = Policy {
        messages_per_hour: CAP,
        ..policy()
    };
    let mut bench = Bench::new(strict.clone());
    let mut model = Model::default();
    for act in acts {
        match act {
            Act::Hear {
                run,
                rule,
                news,
                is_consequence,
            } => {
                let (news, severity) = news_of(*news);
                let heard = Notice {
                    is_consequence: *is_consequence,
                    ..notice(news, &format!("run-{run}"), &format!("rule-{rule}"), severity)
                };
                model.heard.insert(heard.fingerprint);
                let now = bench.now;
                bench.desk.hear(ROOT, &[heard], now);
            }
            Act::Reach(is_reachable) => bench.is_reachable = *is_reachable,
            Act::Pass(seconds) => {
                model.elapsed += (*seconds).max(0);
                let out = bench.after(*seconds);
                model.take(&out);
            }
            Act::Restart => bench.restart_as(strict.clone()),
            Act::Silence { run, seconds } => {
                let run = format!("run-{run}");
                model.silences.push(Silence {
                    id: 0,
                    run: NamePattern::new(&run).unwrap(),
                    rule: None,
                    until: bench.now + SignedDuration::from_secs(*seconds),
                    comment: String::new(),
                });
                model.wished_runs.insert(run);
            }
            Act::Ack { run, rule } => {
                let id = Fingerprint::of(
                    &format!("run-{run}"),
                    &finding(&format!("rule-{rule}"), Severity::Warning),
                );
                model.acks.insert(id, Severity::Warning);
                model.wished.insert(id);
            }
        }
        bench.desk.set_wishes(model.acks.clone(), model.silences.clone());
    }
    // All waits and holds run out.
    bench.is_reachable = true;
    for _ in 0..40 {
        model.elapsed += 3601;
        let out = bench.after(3601);
        model.take(&out);
    }
    model.check_cap();
    for (key, case) in bench.desk.cases() {
        for (id, life) in &case.lives {
            let is_wished = model.wished.contains(id) || model.wished_runs.contains(&key.run);
            let is_held = life.is_consequence && life.told.is_none() && !life.is_settled;
            assert!(
                model.told.contains(id) || is_wished || is_held,
                "{key:?} {life:?} was heard of and never told"
            );
        }
    }
}

#[test]
fn whatever_happens_nothing_is_lost_named_twice_or_beyond_the_cap() {
    for has_wishes in [false, true] {
        let mut runner = TestRunner::new(Config {
            cases: 600,
            failure_persistence: None,
            ..Config::default()
        });
        runner
            .run(&acts(has_wishes), |acts| {
                play(&acts);
                Ok(())
            })
            .unwrap();
    }
}
