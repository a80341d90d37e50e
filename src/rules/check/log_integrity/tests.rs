//! Shares of unreadable records, and steps that go back.

use super::super::profile_fixture::rule;
use super::super::stream_fixture::Stream;
use super::{INFO, StreamEnd};
use crate::model::Severity;

fn stream() -> Stream {
    Stream::of(&INFO, &rule(&INFO, &[]))
}

fn kinds_at_end(records: u64, skipped: u64) -> Vec<&'static str> {
    let mut stream = stream();
    stream.finish(&StreamEnd {
        records,
        skipped,
        bytes: 0,
    });
    stream.bad().iter().map(|(_, seen)| seen.kind).collect()
}

#[test]
fn more_than_one_in_a_hundred_is_too_many() {
    assert_eq!(kinds_at_end(970, 30), ["unreadable"]);
    assert_eq!(kinds_at_end(0, 5), ["unreadable"]);
    assert!(kinds_at_end(990, 10).is_empty(), "exactly one in a hundred");
    assert!(kinds_at_end(9, 1).is_empty(), "one cut record of a short log");
    assert!(kinds_at_end(0, 0).is_empty());
    assert!(
        kinds_at_end(u64::MAX, u64::MAX).contains(&"unreadable"),
        "no overflow"
    );
}

#[test]
fn a_restart_is_an_info_and_counts_once_for_all_series() {
    let mut stream = stream();
    (0..10).for_each(|step| stream.step(step, None));
    (0..50).for_each(|_| stream.rewind(5));
    stream.step(5, None);
    stream.rewind(5);
    stream.finish(&StreamEnd::default());
    let bad = stream.bad();
    assert_eq!((bad[0].0, bad[0].1.kind, bad[0].1.value), (5, "step-back", 2.0));
    assert_eq!(bad[0].1.severity, Some(Severity::Info));
}
