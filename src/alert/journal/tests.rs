//! What is said when findings come, get worse, heal, are superseded, or vanish with their log.

use super::{Journal, News, Over};
use crate::model::{Family, Finding, Quantity, Severity};

fn finding(rule: &str, severity: Severity, first_step: i64) -> Finding {
    Finding {
        rule: rule.to_owned(),
        check: "non-finite",
        family: Family::Nonfinite,
        kind: "",
        severity,
        quantity: Quantity::Loss,
        tag: Some("loss".to_owned()),
        layers: Vec::new(),
        rank: None,
        first_step: Some(first_step),
        last_step: Some(first_step),
        count: 1,
        value: Some(f64::NAN),
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

fn said(journal: &mut Journal, findings: &[Finding], reach: i64) -> Vec<News> {
    journal
        .update("run", findings, Some(reach))
        .into_iter()
        .map(|it| it.news)
        .collect()
}

#[test]
fn an_alarm_is_said_once_and_again_when_it_gets_worse() {
    let mut journal = Journal::default();
    let (note, warning, critical) = (
        finding("nan", Severity::Info, 5),
        finding("nan", Severity::Warning, 5),
        finding("nan", Severity::Critical, 5),
    );
    assert_eq!(said(&mut journal, &[note], 5), []);
    assert_eq!(
        said(&mut journal, std::slice::from_ref(&warning), 6),
        [News::Alarm]
    );
    assert_eq!(said(&mut journal, std::slice::from_ref(&warning), 7), []);
    assert_eq!(
        said(&mut journal, std::slice::from_ref(&critical), 8),
        [News::Worse]
    );
    assert_eq!(said(&mut journal, &[warning], 9), []);
    assert_eq!(
        said(&mut journal, &[critical], 10),
        [],
        "the worst of it was said before"
    );
}

#[test]
fn an_alarm_that_is_superseded_or_fades_to_a_note_is_over() {
    let superseded = Finding {
        is_superseded: true,
        ..finding("nan", Severity::Info, 5)
    };
    let faded = Finding {
        has_healed: true,
        ..finding("nan", Severity::Info, 5)
    };
    for (over, why) in [(superseded, Over::Superseded), (faded, Over::Healed)] {
        let mut journal = Journal::default();
        let alarm = finding("nan", Severity::Critical, 5);
        assert_eq!(said(&mut journal, std::slice::from_ref(&alarm), 5), [News::Alarm]);
        assert_eq!(
            said(&mut journal, std::slice::from_ref(&over), 6),
            [News::Resolved(why)]
        );
        assert_eq!(said(&mut journal, &[over], 7), []);
        assert!(journal.is_empty());
        assert_eq!(said(&mut journal, &[alarm], 8), [News::Alarm], "it came back");
    }
}

#[test]
fn what_healed_between_two_looks_is_said_with_its_end() {
    let mut journal = Journal::default();
    let passed = Finding {
        has_healed: true,
        ..finding("spike", Severity::Warning, 5)
    };
    let both = [News::Alarm, News::Resolved(Over::Healed)];
    assert_eq!(said(&mut journal, std::slice::from_ref(&passed), 6), both);
    assert_eq!(said(&mut journal, std::slice::from_ref(&passed), 7), []);
    let again = finding("spike", Severity::Warning, 9);
    assert_eq!(
        said(&mut journal, &[passed, again], 9),
        [News::Alarm],
        "a second episode"
    );
}

#[test]
fn a_log_that_is_written_anew_has_to_come_as_far_again() {
    let mut journal = Journal::default();
    let alarm = finding("nan", Severity::Critical, 50);
    assert_eq!(
        said(&mut journal, std::slice::from_ref(&alarm), 60),
        [News::Alarm]
    );
    assert_eq!(journal.update("run", &[], None), [], "nothing was read yet");
    assert_eq!(said(&mut journal, &[], 49), []);
    assert!(journal.is_waiting());
    assert_eq!(
        said(&mut journal, std::slice::from_ref(&alarm), 50),
        [],
        "the same again"
    );
    assert_eq!(said(&mut journal, &[], 0), []);
    assert_eq!(said(&mut journal, &[], 50), [News::Resolved(Over::NotSeenAgain)]);
    assert!(journal.is_empty() && !journal.is_waiting());
}

#[test]
fn a_consequence_is_marked_and_said_anew_when_its_cause_is_over() {
    let mut journal = Journal::default();
    let cause = finding("growth", Severity::Critical, 5);
    let effect = Finding {
        caused_by: Some("growth".to_owned()),
        ..finding("nan", Severity::Critical, 6)
    };
    let notices = journal.update("run", &[cause.clone(), effect.clone()], Some(6));
    let marks: Vec<bool> = notices.iter().map(|it| it.is_consequence).collect();
    assert_eq!(marks, [false, true]);
    let over = Finding {
        is_superseded: true,
        severity: Severity::Info,
        ..cause
    };
    let notices = journal.update("run", &[over, effect], Some(7));
    let news: Vec<(News, bool)> = notices.iter().map(|it| (it.news, it.is_consequence)).collect();
    assert_eq!(
        news,
        [(News::Resolved(Over::Superseded), false), (News::Alarm, false)]
    );
}

#[test]
fn fingerprints_depend_on_run_rule_and_subject_alone() {
    let mut journal = Journal::default();
    let first = journal.update("run", &[finding("nan", Severity::Critical, 5)], Some(5));
    let other = Finding {
        count: 9,
        rank: Some(1),
        layers: vec!["h.0".to_owned()],
        ..finding("nan", Severity::Critical, 7)
    };
    let again = Journal::default().update("run", &[other], Some(9));
    assert_eq!(first[0].fingerprint, again[0].fingerprint);
    // A stored message is found by it: this number may never change.
    assert_eq!(first[0].fingerprint.to_string(), "e90caf48372b89cd");
    let elsewhere = Journal::default().update("run2", &[finding("nan", Severity::Critical, 5)], Some(5));
    assert_ne!(first[0].fingerprint, elsewhere[0].fingerprint);
}
