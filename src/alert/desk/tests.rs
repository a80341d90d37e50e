//! What people hear: grouping, repetition, ends, flapping, silences, the cap, clocks that jump, restarts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Desk, Ledger, Outgoing, Reception};
use crate::alert::{
    Bulletin, Fingerprint, Gathered, Incident, NamePattern, News, Notice, Occasion, Over, Policy, RunKey,
    Silence, Standing,
};
use crate::model::{Family, Finding, Quantity, Severity};

mod anything;

const ROOT: &str = "runs";

fn policy() -> Policy {
    Policy {
        group_wait: SignedDuration::from_secs(30),
        repeat: [1, 4, 24].map(SignedDuration::from_hours).to_vec(),
        messages_per_hour: 20,
        keep_firing_for: SignedDuration::from_mins(5),
        send_resolved: true,
        severity: Severity::Warning,
    }
}

fn finding(rule: &str, severity: Severity) -> Finding {
    Finding {
        rule: rule.to_owned(),
        check: "non-finite",
        family: Family::Nonfinite,
        kind: "",
        severity,
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
        message: String::new(),
        diagnosis: String::new(),
        remedy: Vec::new(),
        caused_by: None,
        is_superseded: false,
        has_healed: false,
    }
}

fn notice(news: News, run: &str, rule: &str, severity: Severity) -> Notice {
    let finding = finding(rule, severity);
    Notice {
        news,
        run: run.to_owned(),
        fingerprint: Fingerprint::of(run, &finding),
        finding,
        is_consequence: false,
    }
}

/// A desk and a clock in seconds.
struct Bench {
    desk: Desk,
    now: Timestamp,
    is_reachable: bool,
}

fn mail(held: Vec<Bulletin>) -> Vec<Reception> {
    vec![Reception {
        receiver: "mail".to_owned(),
        is_capped: true,
        held,
    }]
}

impl Bench {
    fn new(policy: Policy) -> Self {
        Self::with(policy, &Ledger::default())
    }

    fn with(policy: Policy, ledger: &Ledger) -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        Self {
            desk: Desk::new(policy, ledger, BTreeMap::new(), mail(Vec::new()), now),
            now,
            is_reachable: true,
        }
    }

    fn hear(&mut self, news: News, run: &str, rule: &str, severity: Severity) {
        let heard = [notice(news, run, rule, severity)];
        self.desk.hear(ROOT, &heard, self.now);
    }

    fn alarm(&mut self, run: &str, rule: &str) {
        self.hear(News::Alarm, run, rule, Severity::Warning);
    }

    fn over(&mut self, run: &str, rule: &str) {
        self.hear(News::Resolved(Over::Healed), run, rule, Severity::Warning);
    }

    fn after(&mut self, seconds: i64) -> Vec<Outgoing> {
        self.now += SignedDuration::from_secs(seconds);
        let is_reachable = self.is_reachable;
        let sendings = self.desk.tick(self.now, &|_| is_reachable);
        sendings.into_iter().map(|it| it.message).collect()
    }

    /// Messages while so many seconds pass, with a tick each ten.
    fn during(&mut self, seconds: i64) -> Vec<Outgoing> {
        (0..seconds / 10).flat_map(|_| self.after(10)).collect()
    }

    fn restart(&mut self) {
        self.restart_as(policy());
    }

    fn restart_as(&mut self, policy: Policy) {
        let cases = self
            .desk
            .cases()
            .map(|(key, case)| (key.clone(), case.clone()))
            .collect();
        let held = self.desk.held("mail").cloned().collect();
        self.desk = Desk::new(policy, &self.desk.ledger(), cases, mail(held), self.now);
    }
}

fn bulletins(out: &[Outgoing]) -> Vec<&Bulletin> {
    out.iter()
        .flat_map(|it| match it {
            Outgoing::One(one) => vec![one],
            Outgoing::Many(digest) => digest.bulletins.iter().collect(),
        })
        .collect()
}

fn told(out: &[Outgoing]) -> Vec<(Occasion, &str, usize)> {
    bulletins(out)
        .iter()
        .map(|it| (it.occasion, it.run.as_str(), it.roots.len()))
        .collect()
}

#[test]
fn alarms_of_a_run_come_together_and_form_one_thread() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "nan");
    assert_eq!(told(&bench.after(20)), []);
    bench.alarm("a", "spike");
    let first = bench.after(10);
    assert_eq!(told(&first), [(Occasion::Firing, "a", 2)]);
    assert_eq!(told(&bench.during(600)), []);
    bench.hear(News::Worse, "a", "spike", Severity::Critical);
    let worse = bench.after(1);
    assert_eq!(told(&worse), [(Occasion::Worse, "a", 2)]);
    let (first, worse) = (bulletins(&first)[0], bulletins(&worse)[0]);
    assert_eq!((first.sequence, worse.sequence), (0, 1));
    assert_eq!(first.incident, worse.incident);
    assert_eq!(worse.roots[0].finding.rule, "spike", "worst first");
    assert!(
        first
            .incident
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'-')
    );
}

#[test]
fn repetitions_back_off_and_the_end_of_all_is_told_once() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "nan");
    bench.during(30);
    let day: Vec<i64> = (0..48 * 60).filter(|_| !bench.after(60).is_empty()).collect();
    assert_eq!(day, [59, 59 + 240, 59 + 240 + 1440]);
    bench.alarm("a", "spike");
    bench.during(30);
    bench.over("a", "nan");
    assert_eq!(told(&bench.during(400)), [], "the other one stands");
    bench.over("a", "spike");
    assert_eq!(told(&bench.during(290)), []);
    assert_eq!(told(&bench.during(20)), [(Occasion::Resolved, "a", 2)]);
    assert_eq!(told(&bench.during(100_000)), []);
    bench.alarm("a", "nan");
    let again = bench.during(40);
    assert_eq!(told(&again), [(Occasion::Firing, "a", 1)]);
    assert_eq!(bulletins(&again)[0].sequence, 0, "a new incident");
}

#[test]
fn the_end_of_an_alarm_that_is_only_a_note_afterwards_is_told_with_what_it_was() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "nan");
    bench.during(40);
    bench.hear(News::Resolved(Over::Superseded), "a", "nan", Severity::Info);
    let out = bench.during(400);
    assert_eq!(told(&out), [(Occasion::Resolved, "a", 1)]);
    assert_eq!(bulletins(&out)[0].roots[0].finding.severity, Severity::Warning);
}

#[test]
fn what_came_and_went_before_its_message_is_told_once() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "spike");
    bench.over("a", "spike");
    let out = bench.during(1000);
    assert_eq!(told(&out), [(Occasion::Resolved, "a", 1)]);
    assert_eq!(
        bulletins(&out)[0].roots[0].standing,
        Standing::Resolved(Over::Healed)
    );
    assert_eq!(told(&bench.during(100_000)), []);
}

#[test]
fn what_comes_and_goes_within_the_hold_is_one_alarm_and_longer_cycles_are_held_longer() {
    let mut bench = Bench::new(policy());
    let mut n_messages = Vec::new();
    for period in [120, 900] {
        let mut bench = Bench::new(policy());
        let mut n = 0;
        for _ in 0..86_400 / (2 * period) {
            bench.alarm("a", "spike");
            n += bench.during(period).len();
            bench.over("a", "spike");
            n += bench.during(period).len();
        }
        n_messages.push(n);
    }
    // Of a day: one alarm with its two first repetitions; with a longer cycle a few ends before it is held.
    assert_eq!(n_messages[0], 3);
    assert!(n_messages[1] <= 9, "{n_messages:?}");
    assert_eq!(told(&bench.during(10)), []);
}

#[test]
fn consequences_are_told_with_their_cause_and_alone_only_when_worse() {
    let mut bench = Bench::new(policy());
    let effect = |severity| Notice {
        is_consequence: true,
        ..notice(News::Alarm, "a", "effect", severity)
    };
    bench.alarm("a", "cause");
    let now = bench.now;
    bench.desk.hear(ROOT, &[effect(Severity::Warning)], now);
    let out = bench.during(40);
    assert_eq!(told(&out), [(Occasion::Firing, "a", 1)]);
    assert_eq!(bulletins(&out)[0].consequences.len(), 1);
    let late = Notice {
        is_consequence: true,
        ..notice(News::Alarm, "a", "late", Severity::Warning)
    };
    let now = bench.now;
    bench.desk.hear(ROOT, &[late], now);
    assert_eq!(told(&bench.during(60)), []);
    let worse = Notice {
        is_consequence: true,
        ..notice(News::Alarm, "a", "worse", Severity::Critical)
    };
    let now = bench.now;
    bench.desk.hear(ROOT, &[worse], now);
    let out = bench.during(60);
    assert_eq!(told(&out), [(Occasion::Firing, "a", 1)]);
    assert_eq!(bulletins(&out)[0].consequences.len(), 3);
}

#[test]
fn an_acknowledged_alarm_is_not_repeated_until_it_is_worse_or_comes_back() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "nan");
    bench.during(40);
    let id = Fingerprint::of("a", &finding("nan", Severity::Warning));
    bench
        .desk
        .set_wishes([(id, Severity::Warning)].into(), Vec::new());
    assert_eq!(told(&bench.during(200_000)), []);
    bench.hear(News::Worse, "a", "nan", Severity::Critical);
    assert_eq!(told(&bench.during(10)), [(Occasion::Worse, "a", 1)]);
    bench.over("a", "nan");
    assert_eq!(told(&bench.during(1000)), [(Occasion::Resolved, "a", 1)]);
    assert_eq!(bench.desk.take_changes().acks_over, [id].into());
    bench.alarm("a", "nan");
    assert_eq!(told(&bench.during(40)), [(Occasion::Firing, "a", 1)]);
}

#[test]
fn a_silence_holds_messages_until_it_ends_and_forgets_what_came_and_went() {
    let mut bench = Bench::new(policy());
    let silence = Silence {
        id: 1,
        run: NamePattern::new("a*").unwrap(),
        rule: None,
        until: bench.now + SignedDuration::from_hours(2),
        comment: String::new(),
    };
    bench.desk.set_wishes(BTreeMap::new(), vec![silence]);
    bench.alarm("a1", "nan");
    bench.alarm("a2", "nan");
    bench.alarm("b", "nan");
    assert_eq!(told(&bench.during(1000)), [(Occasion::Firing, "b", 1)]);
    bench.over("a1", "nan");
    let mut said: Vec<(Occasion, String)> = bench
        .during(3 * 3600)
        .iter()
        .flat_map(|it| {
            bulletins(std::slice::from_ref(it))
                .into_iter()
                .cloned()
                .collect::<Vec<_>>()
        })
        .map(|it| (it.occasion, it.run))
        .collect();
    said.retain(|(occasion, _)| *occasion != Occasion::Reminder);
    assert_eq!(said, [(Occasion::Firing, "a2".to_owned())]);
    let settled = |run: &str| {
        let key = RunKey {
            root: ROOT.to_owned(),
            run: run.to_owned(),
        };
        bench
            .desk
            .case(&key)
            .unwrap()
            .lives
            .values()
            .all(|it| it.is_settled)
    };
    assert!(settled("a1") && !settled("a2"), "the record stays");
}

#[test]
fn a_thousand_runs_at_once_are_one_message_and_leave_room_for_more() {
    let mut bench = Bench::new(policy());
    for run in 0..1000 {
        bench.alarm(&format!("run-{run}"), "nan");
    }
    let out = bench.during(40);
    let [Outgoing::Many(digest)] = out.as_slice() else {
        panic!("{} messages", out.len());
    };
    assert_eq!(
        (digest.gathered, digest.bulletins.len()),
        (Gathered::Capped, 1000)
    );
    bench.alarm("other", "nan");
    assert_eq!(told(&bench.during(40)), [(Occasion::Firing, "other", 1)]);
}

#[test]
fn what_the_cap_holds_is_told_when_it_frees() {
    let mut bench = Bench::new(Policy {
        messages_per_hour: 2,
        repeat: Vec::new(),
        ..policy()
    });
    let mut out = Vec::new();
    for run in 0..10 {
        bench.alarm(&format!("run-{run}"), "nan");
        out.extend(bench.during(60));
    }
    assert_eq!(out.len(), 2);
    let rest = bench.during(4000);
    assert_eq!(rest.len(), 1);
    assert_eq!(bulletins(&out).len() + bulletins(&rest).len(), 10);
}

#[test]
fn after_a_loss_all_is_told_in_one_message_that_says_so() {
    let ledger = Ledger {
        is_recovering: true,
        ..Ledger::default()
    };
    let mut bench = Bench::with(policy(), &ledger);
    for run in ["a", "b", "c"] {
        bench.alarm(run, "nan");
    }
    assert_eq!(bench.during(1000), [], "not all was read yet");
    let now = bench.now;
    bench.desk.caught_up(now);
    let out = bench.during(40);
    let [Outgoing::Many(digest)] = out.as_slice() else {
        panic!("{out:?}");
    };
    assert_eq!(
        (digest.gathered, digest.bulletins.len()),
        (Gathered::StateLost, 3)
    );
    assert!(!bench.desk.ledger().is_recovering);
    bench.alarm("d", "nan");
    assert_eq!(told(&bench.during(40)), [(Occasion::Firing, "d", 1)]);
}

#[test]
fn what_a_receiver_could_not_be_told_comes_together_when_it_is_back_and_others_do_not_wait() {
    let receptions = ["mail", "webhook"].map(|receiver| Reception {
        receiver: receiver.to_owned(),
        is_capped: receiver == "mail",
        held: Vec::new(),
    });
    let mut now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut desk = Desk::new(
        policy(),
        &Ledger::default(),
        BTreeMap::new(),
        receptions.into(),
        now,
    );
    let mut told = Vec::new();
    for hour in 0..48 {
        let run = format!("run-{hour}");
        desk.hear(ROOT, &[notice(News::Alarm, &run, "nan", Severity::Warning)], now);
        now += SignedDuration::from_mins(1);
        told.extend(desk.tick(now, &|it| it != "mail"));
        desk.hear(
            ROOT,
            &[notice(
                News::Resolved(Over::Healed),
                &run,
                "nan",
                Severity::Warning,
            )],
            now,
        );
        now += SignedDuration::from_mins(29);
        told.extend(desk.tick(now, &|it| it != "mail"));
    }
    assert!(told.iter().all(|it| it.receiver == "webhook"));
    assert_eq!(told.len(), 96, "each begin and each end at once");
    now += SignedDuration::from_mins(1);
    let back = desk.tick(now, &|_| true);
    let [Outgoing::Many(digest)] = back.iter().map(|it| &it.message).collect::<Vec<_>>()[..] else {
        panic!("{back:?}");
    };
    assert_eq!(
        (digest.gathered, digest.bulletins.len()),
        (Gathered::Unreachable, 48)
    );
    assert_eq!(desk.tick(now, &|_| true), []);
}

#[test]
fn a_held_bulletin_says_what_the_one_before_it_would_have_said() {
    let mut bench = Bench::new(policy());
    bench.is_reachable = false;
    bench.alarm("a", "first");
    bench.during(40);
    bench.over("a", "first");
    bench.during(1000);
    bench.alarm("a", "second");
    bench.during(40);
    bench.restart();
    bench.is_reachable = true;
    let out = bench.after(10);
    let said: Vec<(&str, bool)> = bulletins(&out)[0]
        .roots
        .iter()
        .map(|it| (it.finding.rule.as_str(), it.standing == Standing::Firing))
        .collect();
    assert_eq!(said, [("second", true), ("first", false)]);
}

#[test]
fn what_ended_in_silence_is_over_in_the_bulletin_that_was_held() {
    let mut bench = Bench::new(policy());
    bench.is_reachable = false;
    bench.alarm("a", "first");
    bench.during(40);
    let until = bench.now + SignedDuration::from_hours(1);
    let silence = Silence {
        id: 0,
        run: NamePattern::new("a").unwrap(),
        rule: None,
        until,
        comment: String::new(),
    };
    bench.desk.set_wishes(BTreeMap::new(), vec![silence]);
    bench.over("a", "first");
    bench.during(4000);
    bench.is_reachable = true;
    let out = bench.after(10);
    let bulletin = bulletins(&out)[0];
    assert_eq!(bulletin.occasion, Occasion::Resolved);
    assert_eq!(bulletin.roots[0].standing, Standing::Resolved(Over::Healed));
}

#[test]
fn clocks_that_jump_lead_to_no_storm_and_no_loss() {
    for jump in [-3600, 3600] {
        let mut bench = Bench::new(policy());
        for run in 0..30 {
            bench.alarm(&format!("run-{run}"), "nan");
        }
        bench.during(40);
        bench.alarm("late", "nan");
        bench.after(10);
        let mut out = bench.after(jump);
        out.extend(bench.during(40));
        let late: Vec<_> = told(&out).into_iter().filter(|it| it.1 == "late").collect();
        assert_eq!(late, [(Occasion::Firing, "late", 1)], "{jump}");
        assert!(out.len() <= 2, "{jump}: {} messages", out.len());
    }
}

#[test]
fn a_flush_tells_without_waiting() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "nan");
    bench.alarm("b", "spike");
    bench.over("b", "spike");
    let now = bench.now;
    let out: Vec<Outgoing> = bench
        .desk
        .flush(now, &|_| true)
        .into_iter()
        .map(|it| it.message)
        .collect();
    let mut said = told(&out);
    said.sort_by_key(|it| it.1.to_owned());
    assert_eq!(said, [(Occasion::Firing, "a", 1), (Occasion::Resolved, "b", 1)]);
}

#[test]
fn a_clock_that_was_set_back_while_nobody_looked_moves_what_was_stored() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "nan");
    bench.during(40);
    bench.now -= SignedDuration::from_hours(10);
    bench.restart();
    let out = bench.during(3700);
    assert_eq!(told(&out), [(Occasion::Reminder, "a", 1)]);
}

#[test]
fn an_incident_goes_on_after_a_restart() {
    let mut bench = Bench::new(policy());
    bench.alarm("a", "nan");
    let first = bench.during(40);
    bench.restart();
    bench.alarm("a", "spike");
    let second = bench.during(40);
    let (first, second) = (bulletins(&first)[0], bulletins(&second)[0]);
    assert_eq!((&second.incident, second.sequence), (&first.incident, 1));
    let key = RunKey {
        root: ROOT.to_owned(),
        run: "a".to_owned(),
    };
    let incident: &Incident = bench.desk.case(&key).unwrap().incident.as_ref().unwrap();
    assert_eq!(incident.sequence, 2);
}
