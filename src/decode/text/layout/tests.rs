//! A line that is read by its layout gives what its entry gives.
//!
//! In: the fixture logs, whole and damaged. Out: test results. Invariant: the calls with and without layouts are equal,
//! marks and places included.

use std::fs;
use std::path::Path;

use super::Layouts;
use crate::decode::Decode;
use crate::decode::record::{lines_of, record};
use crate::decode::text::TextDecoder;

fn logs() -> Vec<String> {
    let formats = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/formats"));
    let mut directories: Vec<_> = fs::read_dir(formats)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    // In one order, so that the same logs take turns everywhere.
    directories.sort();
    let texts = directories
        .iter()
        .filter_map(|it| fs::read(it.join("train.log")).ok());
    let logs: Vec<String> = texts
        .map(|it| String::from_utf8_lossy(&it).into_owned())
        .collect();
    assert!(logs.len() >= 40, "only {} logs", logs.len());
    logs
}

fn calls(decoder: &mut dyn Decode, text: &str) -> Vec<String> {
    lines_of(&record(decoder, &[text.as_bytes()]))
}

fn assert_equal(text: &str) {
    let with = calls(&mut TextDecoder::new(), text);
    for mut long_way in [TextDecoder::without_layouts(), TextDecoder::without_screen()] {
        let without = calls(&mut long_way, text);
        let first = with.iter().zip(&without).find(|(a, b)| a != b);
        assert!(
            with == without,
            "{first:?}, {} and {} calls of\n{text}",
            with.len(),
            without.len()
        );
    }
}

/// Splitmix64 (Steele, Lea, Flood 2014).
fn dice(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) % below.max(1) as u64) as usize
}

/// Replaces some digits of the text by what may stand in or beside numbers.
fn damaged(text: &str, seed: &mut u64) -> String {
    const BY: [&str; 20] = [
        "0", "7", "99", ".", "-", "+", "e", "E5", "nan", " ", "  ", ",", ",000", "%", "K", "ms", "/", ":",
        "(", "",
    ];
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_digit() && dice(seed, 9) == 0 {
            out.push_str(BY[dice(seed, BY.len())]);
        } else {
            out.push(c);
        }
    }
    out
}

#[test]
fn layouts_give_what_the_entries_give() {
    let mut seed = 5;
    for log in logs() {
        assert_equal(&log);
        for _ in 0..40 {
            assert_equal(&(log.clone() + &damaged(&log, &mut seed) + &damaged(&log, &mut seed)));
        }
    }
}

/// Logs of real runs, where the shared data directory lies beside the checkout.
fn real_logs() -> Vec<String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/reallogs"));
    let Ok(formats) = fs::read_dir(root) else {
        eprintln!("skipped: the shared data directory is not there");
        return Vec::new();
    };
    let directories = formats.filter_map(|it| fs::read_dir(it.ok()?.path()).ok());
    let files = directories.flatten().filter_map(|it| Some(it.ok()?.path()));
    let texts = files.filter(|it| {
        it.extension()
            .is_some_and(|it| it == "log" || it == "txt" || it == "out")
    });
    texts
        .map(|it| String::from_utf8_lossy(&fs::read(it).unwrap()).into_owned())
        .collect()
}

#[test]
fn what_real_programs_say_besides_is_passed_over_and_nothing_else() {
    for log in real_logs() {
        assert_equal(&log);
    }
}

#[test]
fn logs_that_take_turns_give_what_the_entries_give() {
    let (logs, mut seed) = (logs(), 9);
    for _ in 0..600 {
        let mut text = String::new();
        let few = [dice(&mut seed, logs.len()), dice(&mut seed, logs.len())];
        for _ in 0..30 {
            let lines: Vec<&str> = logs[few[dice(&mut seed, 2)]].lines().collect();
            text.push_str(lines[dice(&mut seed, lines.len())]);
            text.push('\n');
        }
        assert_equal(&text);
    }
}

#[test]
fn regular_lines_are_read_by_their_layout() {
    let line = |step: i64| {
        format!(
            "iter {step}: loss {}.5, time {}ms, mfu 17.12%\n",
            step % 7,
            step * 3
        )
    };
    let text: String = (0..50).map(line).collect();
    let mut decoder = TextDecoder::new();
    let calls = record(&mut decoder, &[text.as_bytes()]);
    assert_eq!(calls.samples().count(), 150);
    let Layouts { all, n_learnt, .. } = &decoder.reader.layouts;
    assert_eq!((all.len(), *n_learnt), (1, 1));
}

#[test]
fn a_log_without_regular_lines_stops_learning() {
    let line = |step: i64| format!("iter {step}: loss {step}.5, x{step} {step}\n");
    let text: String = (0..500).map(line).collect();
    let mut decoder = TextDecoder::new();
    record(&mut decoder, &[text.as_bytes()]);
    assert!(decoder.reader.layouts.n_learnt <= 10);
    assert!(decoder.reader.layouts.pause > 0);
}
