//! What people hear when alarms come and go, and when somebody sets the clock. The desk is told the time by the test.

use std::collections::BTreeMap;

use gradwatch::alert::{Desk, Ledger, News, Notice, Occasion, Outgoing, Over, Policy, Reception};
use gradwatch::app::watch::Watch;
use gradwatch::model::Severity;
use gradwatch::rules::load_builtin;
use jiff::{SignedDuration, Timestamp};

use super::super::same::look;
use super::super::{append, falling, rows};
use super::seen;

const STEP: SignedDuration = SignedDuration::from_secs(10);

/// The alarm of a run that goes NaN.
fn alarm() -> Notice {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let sick = rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned());
    append(&dir.path().join("metrics.jsonl"), &sick);
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let mut notices = Vec::new();
    watch.walk();
    look(&mut watch, &mut notices);
    notices.retain(|it| it.finding.rule == "non-finite-loss");
    notices.remove(0)
}

/// A desk with the default policy, one receiver and a clock.
struct Office {
    desk: Desk,
    now: Timestamp,
}

impl Office {
    fn open() -> Self {
        let policy = Policy {
            group_wait: SignedDuration::from_secs(30),
            repeat: [1, 4, 24].map(SignedDuration::from_hours).to_vec(),
            messages_per_hour: 20,
            keep_firing_for: SignedDuration::from_mins(5),
            send_resolved: true,
            severity: Severity::Warning,
        };
        let mail = Reception {
            receiver: "mail".to_owned(),
            is_capped: true,
            held: Vec::new(),
        };
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        Self {
            desk: Desk::new(policy, &Ledger::default(), BTreeMap::new(), vec![mail], now),
            now,
        }
    }

    fn hear(&mut self, news: News, alarm: &Notice) {
        let notice = Notice {
            news,
            ..alarm.clone()
        };
        self.desk.hear("/runs", &[notice], self.now);
    }

    /// The messages while this time passes.
    fn pass(&mut self, time: SignedDuration) -> Vec<Occasion> {
        let end = self.now + time;
        let mut told = Vec::new();
        while self.now < end {
            self.now += STEP;
            for it in self.desk.tick(self.now, &|_| true) {
                match it.message {
                    Outgoing::One(bulletin) => told.push(bulletin.occasion),
                    Outgoing::Many(digest) => panic!("{digest:?}"),
                }
            }
        }
        told
    }

    fn set_clock(&mut self, by: SignedDuration) {
        self.now += by;
        self.desk.shift(by);
    }
}

#[test]
fn an_alarm_that_comes_and_goes_all_day_is_a_handful_of_messages() {
    let alarm = alarm();
    for (bad_min, good_min) in [(1, 1), (2, 8), (10, 20)] {
        let mut office = Office::open();
        let mut told = Vec::new();
        let mut n_flaps = 0;
        for _ in 0..24 * 60 / (bad_min + good_min) {
            office.hear(News::Alarm, &alarm);
            told.extend(office.pass(SignedDuration::from_mins(bad_min)));
            office.hear(News::Resolved(Over::Healed), &alarm);
            told.extend(office.pass(SignedDuration::from_mins(good_min)));
            n_flaps += 1;
        }
        assert_eq!(told[0], Occasion::Firing);
        assert!(told.len() <= 14, "{n_flaps} times in a day: {told:?}");
        // It stays away: one end, and nothing behind it.
        let end = office.pass(SignedDuration::from_hours(24));
        assert!(end == [Occasion::Resolved] || end.is_empty(), "{end:?}");
        assert_eq!(
            told.last().into_iter().chain(&end).last(),
            Some(&Occasion::Resolved)
        );
        if good_min == 8 {
            let words = format!("{n_flaps} times in a day: {} messages", told.len() + end.len());
            seen("17", "flapping: hysteresis", &words);
        }
    }
}

#[test]
fn a_clock_that_jumps_brings_no_message_early_late_or_twice() {
    let alarm = alarm();
    let mut office = Office::open();
    office.hear(News::Alarm, &alarm);
    assert_eq!(office.pass(SignedDuration::from_mins(1)), [Occasion::Firing]);
    for hours in [1, -1, 5, -24] {
        office.set_clock(SignedDuration::from_hours(hours));
        assert_eq!(office.pass(SignedDuration::from_mins(2)), [], "{hours} hours");
    }
    // Nine minutes have really passed; the hour is over in another 51.
    assert_eq!(office.pass(SignedDuration::from_mins(50)), []);
    assert_eq!(office.pass(SignedDuration::from_mins(3)), [Occasion::Reminder]);
    office.hear(News::Resolved(Over::Healed), &alarm);
    office.set_clock(SignedDuration::from_hours(1));
    assert_eq!(office.pass(SignedDuration::from_mins(4)), []);
    assert_eq!(office.pass(SignedDuration::from_mins(2)), [Occasion::Resolved]);
    seen(
        "17",
        "clock jump of an hour",
        "jumps of +1, -1, +5, -24 hours: the reminder after an hour and the end come when they would have",
    );
}
