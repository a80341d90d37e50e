//! The book of findings under healing trouble and restarts.

use super::{Book, EPISODES_MAX, Noted, Subject};
use crate::model::{Quantity, Severity};
use crate::rules::Rule;
use crate::rules::check::bench::rule;
use crate::rules::check::{Observation, non_finite};

fn rules() -> Vec<Rule> {
    vec![rule(&non_finite::INFO, Quantity::GradNorm, &[])]
}

fn subject(id: u64, layer: &str) -> Subject<'_> {
    Subject {
        id,
        quantity: Quantity::GradNorm,
        tag: None,
        layers: vec![(id as u32, layer)],
        evidence: Vec::new(),
    }
}

fn alarm(book: &mut Book, id: u64, layer: &str, step: i64) {
    book.alarm(
        0,
        Severity::Warning,
        step,
        &subject(id, layer),
        Observation::new("", f64::NAN, 1.0),
    );
}

fn findings(book: &Book) -> Vec<Noted> {
    book.findings(&rules(), false)
}

#[test]
fn trouble_that_always_heals_is_never_more_than_what_it_healed_to() {
    for n in 1..=EPISODES_MAX + 3 {
        let mut book = Book::default();
        for step in 0..i64::from(n) {
            alarm(&mut book, 1, "h.0", step * 100);
            book.heal(0, 1, Severity::Info);
        }
        let worst = findings(&book).iter().map(|it| it.finding.severity).max();
        assert_eq!(worst, Some(Severity::Info), "healed {n} times");
    }
}

#[test]
fn trouble_that_comes_back_for_good_stands_however_often_it_healed_before() {
    let mut book = Book::default();
    for step in 0..i64::from(EPISODES_MAX) + 3 {
        alarm(&mut book, 1, "h.0", step * 100);
        book.heal(0, 1, Severity::Info);
    }
    alarm(&mut book, 1, "h.0", 10_000);
    let worst = findings(&book).iter().map(|it| it.finding.severity).max();
    assert_eq!(worst, Some(Severity::Warning));
}

#[test]
fn after_a_restart_only_the_layers_of_the_new_attempt_are_named() {
    let mut book = Book::default();
    alarm(&mut book, 3, "h.3", 50);
    alarm(&mut book, 4, "h.4", 60);
    book.rewind(40, |_| true, |_| true);
    alarm(&mut book, 7, "h.7", 70);
    let found = findings(&book);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].finding.layers, ["h.7"]);
    assert_eq!(
        (found[0].finding.first_step, found[0].finding.is_superseded),
        (Some(70), false)
    );
}

#[test]
fn a_group_that_alarms_again_after_a_restart_names_its_new_layers_only() {
    let mut book = Book::default();
    let group = |layers| Subject {
        layers,
        ..subject(1, "")
    };
    book.alarm(
        0,
        Severity::Warning,
        50,
        &group(vec![(0, "h.0"), (1, "h.1")]),
        Observation::new("", 1.0, 1.0),
    );
    book.rewind(40, |_| true, |_| true);
    book.alarm(
        0,
        Severity::Warning,
        60,
        &group(vec![(0, "h.9")]),
        Observation::new("", 1.0, 1.0),
    );
    assert_eq!(findings(&book)[0].finding.layers, ["h.9"]);
}

#[test]
fn what_a_restart_replaced_is_told_as_one_from_its_first_step_on() {
    let mut book = Book::default();
    for (id, layer, step) in [(1, "h.1", 50), (2, "h.2", 45), (3, "h.3", 60)] {
        alarm(&mut book, id, layer, step);
        alarm(&mut book, id, layer, step + 10);
    }
    for id in [1, 2, 3] {
        book.rewind(40, |_| true, |it| it == id);
    }
    let found = findings(&book);
    let told = &found[0].finding;
    assert!(told.is_superseded && told.severity == Severity::Info);
    assert_eq!(
        (told.first_step, told.last_step, told.count),
        (Some(45), Some(70), 6)
    );
    assert_eq!(told.layers, ["h.1", "h.2", "h.3"]);
}
