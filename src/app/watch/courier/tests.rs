//! A receiver that is away for a day, with a clock that the test tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Courier, Parts, policy};
use crate::alert::{Fingerprint, News, Notice};
use crate::config::{Settings, WebhookSettings};
use crate::deliver::{Answer, Composer, Parcel, Receiver, WEBHOOK};
use crate::model::{Family, Finding, Quantity, Severity};

/// A receiver that is there or not.
struct Sometimes {
    is_there: Arc<AtomicBool>,
    /// Names and bodies, in order; with whether they were taken.
    tried: Arc<Mutex<Vec<(Parcel, bool)>>>,
}

impl Receiver for Sometimes {
    fn deliver(&mut self, parcel: &Parcel) -> Answer {
        let is_there = self.is_there.load(Ordering::SeqCst);
        self.tried.lock().unwrap().push((parcel.clone(), is_there));
        if is_there {
            Answer::Taken("250 ok".to_owned())
        } else {
            Answer::Later("connection refused".to_owned())
        }
    }
}

fn alarm(run: &str) -> Notice {
    let finding = Finding {
        rule: "non-finite-loss".to_owned(),
        check: "non-finite",
        family: Family::Nonfinite,
        kind: "",
        severity: Severity::Critical,
        quantity: Quantity::Loss,
        tag: None,
        layers: Vec::new(),
        rank: None,
        first_step: Some(1),
        last_step: Some(1),
        count: 1,
        value: None,
        bound: None,
        forecast_step: None,
        message: "loss is NaN".to_owned(),
        diagnosis: String::new(),
        remedy: Vec::new(),
        caused_by: None,
        is_superseded: false,
        has_healed: false,
    };
    Notice {
        news: News::Alarm,
        run: run.to_owned(),
        fingerprint: Fingerprint::of(run, &finding),
        finding,
        is_consequence: false,
    }
}

/// A courier, its receiver, and a day that passes as fast as it can.
struct Day {
    _dir: tempfile::TempDir,
    courier: Courier,
    is_there: Arc<AtomicBool>,
    tried: Arc<Mutex<Vec<(Parcel, bool)>>>,
    now: Timestamp,
    /// When each parcel was tried.
    attempts: BTreeMap<String, Vec<Timestamp>>,
    longest_turn: Duration,
}

impl Day {
    fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (is_there, tried) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let settings = Settings {
            webhook: Some(WebhookSettings {
                url: "http://127.0.0.1:1/".to_owned(),
                token: None,
            }),
            ..Settings::default()
        };
        let receiver = Sometimes {
            is_there: Arc::clone(&is_there),
            tried: Arc::clone(&tried),
        };
        let parts = Parts {
            policy: policy(&settings.alerts),
            receivers: vec![(WEBHOOK, Box::new(receiver))],
            capped: &[WEBHOOK],
            composer: Box::new(Composer::new(&settings, "gpu1").unwrap()),
        };
        let mut courier = Courier::new(dir.path(), parts, &|| {}).unwrap();
        let now = courier.now();
        Self {
            _dir: dir,
            courier,
            is_there,
            tried,
            now,
            attempts: BTreeMap::new(),
            longest_turn: Duration::ZERO,
        }
    }

    /// Lets ten seconds pass, and waits for what is being tried.
    fn pass(&mut self) {
        self.now += SignedDuration::from_secs(10);
        let begun = Instant::now();
        self.courier.turn_at(self.now, None);
        self.longest_turn = self.longest_turn.max(begun.elapsed());
        while !self.courier.under_way.is_empty() {
            let answered = self.courier.post.wait(Duration::from_secs(60)).unwrap();
            let name = self.tried.lock().unwrap().last().unwrap().0.name.clone();
            self.attempts.entry(name).or_default().push(self.now);
            self.courier.take_answer(answered, self.now);
            self.courier.turn_at(self.now, None);
        }
    }

    fn taken(&self) -> Vec<Value> {
        let tried = self.tried.lock().unwrap();
        let taken = tried.iter().filter(|(_, is_taken)| *is_taken);
        taken
            .map(|(it, _)| serde_json::from_slice(&it.body).unwrap())
            .collect()
    }
}

#[test]
fn what_stands_below_a_path_that_is_not_watched_any_more_is_over_after_an_hour() {
    let mut day = Day::begin();
    day.is_there.store(true, Ordering::SeqCst);
    day.courier.set_roots(&["/runs".into()]);
    day.courier
        .hear_at(day.now, &[alarm("a")], &|_| Some(Path::new("/runs")));
    for _ in 0..6 {
        day.pass();
    }
    assert_eq!(day.taken().len(), 1);
    day.courier.set_roots(&["/other".into()]);
    for n in 0..2 * 360 {
        day.pass();
        let now = day.now;
        day.courier.do_chores(None, now);
        assert!(n > 350 || day.taken().iter().all(|it| it["occasion"] != "resolved"));
    }
    let taken = day.taken();
    let last = taken.last().unwrap();
    assert_eq!(
        (&last["occasion"], &last["alarms"][0]["reason"]),
        (&Value::from("resolved"), &Value::from("no-data"))
    );
    let ended = taken.iter().filter(|it| it["occasion"] == "resolved");
    assert_eq!(ended.count(), 1);
}

fn runs_of(message: &Value) -> BTreeSet<String> {
    let bulletins = message["bulletins"].as_array();
    let all: Vec<&Value> = bulletins.map_or_else(|| vec![message], |it| it.iter().collect());
    all.iter()
        .map(|it| it["run"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_was_not_taken_for_a_day_comes_as_one_digest() {
    let mut day = Day::begin();
    let mut runs = BTreeSet::new();
    for n in 0..24 * 360 {
        if n % 120 == 0 {
            let run = format!("run-{}", n / 120);
            day.courier
                .hear_at(day.now, &[alarm(&run)], &|_| Some(Path::new("/runs")));
            runs.insert(run);
        }
        day.pass();
    }
    assert_eq!(day.taken(), [] as [Value; 0]);
    let (n_parcels, n_attempts) = (
        day.attempts.len(),
        day.attempts.values().map(Vec::len).sum::<usize>(),
    );
    for times in day.attempts.values() {
        let waits: Vec<i64> = times
            .windows(2)
            .map(|it| it[1].duration_since(it[0]).as_secs())
            .collect();
        let wanted = waits.iter().skip(10).collect::<BTreeSet<_>>();
        assert!(
            waits[0] <= 20 && waits.iter().all(|it| *it <= 20 * 60),
            "{waits:?}"
        );
        assert!(
            wanted.len() > 5 && *wanted.first().unwrap() > &600,
            "with jitter: {waits:?}"
        );
    }
    day.is_there.store(true, Ordering::SeqCst);
    // Within the longest wait between two attempts; later alarms are repeated as ever.
    let is_digest = |it: &Value| it["occasion"] == "digest";
    let n_passes = (0..20 * 6).take_while(|_| {
        day.pass();
        !day.taken().iter().any(is_digest)
    });
    assert!(n_passes.count() < 20 * 6);
    let taken = day.taken();
    let digests: Vec<&Value> = taken.iter().filter(|it| is_digest(it)).collect();
    assert_eq!(
        (digests.len(), &digests[0]["gathered"]),
        (1, &Value::from("unreachable"))
    );
    let told: BTreeSet<String> = taken.iter().flat_map(runs_of).collect();
    assert_eq!(told, runs);
    // Beside the digest only what had been tried before the receiver was known to be away.
    assert_eq!(taken.len(), n_parcels + 1);
    assert!(n_parcels <= 3, "{n_parcels}");
    let row = format!(
        "fault 15 | SMTP down for 24 h: back-off with jitter, delivered after recovery as one digest | {} runs bad in a day \
         that the test tells: {n_attempts} attempts of {n_parcels} messages, then these and one digest of {} runs; the loop \
         never waited (longest turn {} ms)",
        runs.len(),
        runs_of(digests[0]).len(),
        day.longest_turn.as_millis()
    );
    println!("{row}");
    if let Some(path) = std::env::var_os("GRADWATCH_FAULT_TABLE") {
        let mut table = OpenOptions::new().create(true).append(true).open(path).unwrap();
        table.write_all(format!("{row}\n").as_bytes()).unwrap();
    }
}
