//! Damage: what is lost is reported, what is whole is read, nothing is made up, memory stays bounded.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{Calls, WALL, decode, decode_in, scalar, version_event};
use crate::decode::event_write::{file_of, image_event, scalar_event};
use crate::decode::tfrecord::{RECORD_BYTES_MAX, masked_crc};
use crate::decode::{Decode, EventDecoder};

fn header(length: u64) -> Vec<u8> {
    let length = length.to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes()].concat()
}

fn file_of_steps(steps: std::ops::Range<i64>) -> Vec<u8> {
    file_of(&steps.map(scalar).collect::<Vec<_>>())
}

#[test]
fn each_byte_flipped_in_turn_costs_one_record() {
    let file = file_of_steps(1..6);
    let record_bytes = file.len() / 5;
    for (at, mask) in (0..file.len()).flat_map(|at| [(at, 0x01), (at, 0xff)]) {
        let mut damaged = file.clone();
        damaged[at] ^= mask;
        let calls = decode(&damaged);
        let lost = (at / record_bytes) as i64 + 1;
        let survivors: Vec<i64> = (1..6).filter(|step| *step != lost).collect();
        assert_eq!(calls.steps_of("loss"), survivors, "byte {at}");
        // A length flipped in the last record makes it look unfinished only when its checksum is right.
        assert_eq!(calls.problems.len(), 1, "byte {at}: {:?}", calls.problems);
        let problem = &calls.problems[0];
        let place = (problem.offset, problem.bytes);
        assert_eq!(
            place,
            (
                Some((lost as u64 - 1) * record_bytes as u64),
                Some(record_bytes as u64)
            )
        );
    }
}

#[test]
fn bytes_cut_out_or_put_in_cost_only_the_record_they_hit() {
    let file = file_of_steps(1..6);
    let record_bytes = file.len() / 5;
    for at in 0..record_bytes {
        for n_bytes in 1..20.min(record_bytes - at) {
            let start = 2 * record_bytes + at;
            let cut = [&file[..start], &file[start + n_bytes..]].concat();
            assert_eq!(
                decode(&cut).steps_of("loss"),
                [1, 2, 4, 5],
                "{n_bytes} cut at {at}"
            );
            let grown = [&file[..start], &vec![0xa5; n_bytes][..], &file[start..]].concat();
            let steps = decode(&grown).steps_of("loss");
            // Bytes put in between two records hit none.
            let expected: &[i64] = if at == 0 { &[1, 2, 3, 4, 5] } else { &[1, 2, 4, 5] };
            assert_eq!(steps, expected, "{n_bytes} put in at {at}");
        }
    }
}

#[test]
fn truncated_tails_are_silent() {
    let file = file_of_steps(1..4);
    for end in 0..=file.len() {
        let calls = decode(&file[..end]);
        assert_eq!(calls.points.len(), end * 3 / file.len(), "{end}");
        assert_eq!(calls.problems, [], "{end}");
    }
}

#[test]
fn zeros_to_the_end_are_silent_wherever_they_begin() {
    let file = file_of_steps(1..4);
    let record_bytes = file.len() / 3;
    for start in record_bytes..file.len() {
        // Inside a checksum the last record is torn in a way that cannot be told from damage.
        let at = start % record_bytes;
        if (9..12).contains(&at) || at > record_bytes - 4 {
            continue;
        }
        let mut torn = file.clone();
        torn[start..].fill(0);
        torn.extend_from_slice(&[0; 1000]);
        let (mut decoder, mut calls) = (EventDecoder::new(), Calls::default());
        decoder.feed(&torn, &mut calls);
        assert!(decoder.is_waiting_at_zeros(), "{start}");
        let record = start / record_bytes * record_bytes;
        assert_eq!(decoder.resume_offset(), Some(record as u64), "{start}");
        decoder.finish(&mut calls);
        assert_eq!(calls.points.len(), start / record_bytes);
        assert_eq!(calls.problems, [], "{start}");
    }
}

#[test]
fn zeros_that_are_filled_in_later_lose_nothing() {
    let file = file_of_steps(1..8);
    for (start, end) in [(42, 84), (42, file.len()), (50, 150), (100, 131), (80, 90)] {
        for seen in end..=file.len() {
            let mut holed = file[..seen].to_vec();
            holed[start..end].fill(0);
            let (mut decoder, mut calls) = (EventDecoder::new(), Calls::default());
            decoder.feed(&holed[..end], &mut calls);
            let offset = decoder.rewind();
            assert!(offset <= start as u64, "{start}..{end}");
            decoder.feed(&file[offset as usize..], &mut calls);
            assert_eq!(calls.steps_of("loss"), [1, 2, 3, 4, 5, 6, 7], "{start}..{end}");
            assert_eq!(calls.problems, []);
        }
    }
}

#[test]
fn a_hole_is_reported_with_its_range_and_the_rest_is_read() {
    for n_zeros in 12..80 {
        let file = [file_of_steps(0..2), vec![0; n_zeros], file_of_steps(2..4)].concat();
        let calls = decode(&file);
        assert_eq!(calls.steps_of("loss"), [0, 1, 2, 3]);
        assert_eq!(
            calls.what(),
            [format!(
                "{n_zeros} zero bytes at a record boundary: not yet written"
            )]
        );
        let hole_start = file_of_steps(0..2).len() as u64;
        assert_eq!(
            (calls.problems[0].offset, calls.problems[0].bytes),
            (Some(hole_start), Some(n_zeros as u64))
        );
    }
}

#[test]
fn declared_lengths_do_not_cost_memory() {
    for length in [
        1 << 40,
        u64::MAX - 1,
        u64::MAX,
        RECORD_BYTES_MAX + 1,
        RECORD_BYTES_MAX,
        100 << 20,
        16 << 20,
    ] {
        let (mut decoder, mut calls) = (EventDecoder::new(), Calls::default());
        decoder.feed(&[file_of_steps(0..2), header(length)].concat(), &mut calls);
        let block = vec![0x5a; 256 << 10];
        for _ in 0..200 {
            decoder.feed(&block, &mut calls);
            assert!(
                decoder.held_bytes() <= 34 << 20,
                "{length}: {}",
                decoder.held_bytes()
            );
        }
        decoder.finish(&mut calls);
        assert_eq!(calls.steps_of("loss"), [0, 1]);
        let is_reported = calls
            .what()
            .iter()
            .any(|what| what.contains(&format!("length {length} above")));
        assert_eq!(
            is_reported,
            length > RECORD_BYTES_MAX,
            "{length}: {:?}",
            calls.problems
        );
    }
}

#[test]
fn records_follow_a_length_above_the_limit() {
    let calls = decode(&[file_of_steps(0..2), header(1 << 40), file_of_steps(2..4)].concat());
    assert_eq!(calls.steps_of("loss"), [0, 1, 2, 3]);
    assert_eq!(
        calls.what(),
        [
            "declared record length 1099511627776 above the limit 2147483647: 12 bytes, skipped to the next valid record"
        ]
    );
}

#[test]
fn large_images_are_checked_but_not_held() {
    let mut file = file_of(&[
        version_event(WALL),
        scalar(0),
        image_event(WALL, 1, "image", 3_000_000),
        scalar(2),
    ]);
    for (is_damaged, n_problems) in [(false, 0), (true, 1)] {
        if is_damaged {
            file[1_000_000] ^= 1;
        }
        let (mut decoder, mut calls) = (EventDecoder::new(), Calls::default());
        for block in file.chunks(10_000) {
            decoder.feed(block, &mut calls);
            assert!(decoder.held_bytes() <= 128 << 10, "{}", decoder.held_bytes());
        }
        decoder.finish(&mut calls);
        assert_eq!(calls.steps_of("loss"), [0, 2]);
        assert_eq!(calls.problems.len(), n_problems);
        assert_eq!(decode(&file).log, calls.log);
    }
}

#[test]
fn records_above_the_parsing_limit_are_passed_over_and_counted() {
    let tag = "t".repeat(17 << 20);
    let file = file_of(&[scalar(0), scalar_event(WALL, 1, &tag, 1.0), scalar(2)]);
    let calls = decode_in(&file, &[100, 1 << 20, 9 << 20]);
    assert_eq!(calls.steps_of("loss"), [0, 2]);
    assert_eq!(calls.points.len(), 2);
    assert!(
        calls.what()[0].ends_with("too large to parse"),
        "{:?}",
        calls.what()
    );
}

#[test]
fn headers_that_promise_too_much_take_linear_time() {
    // Each header is valid and spans the rest of the file, none has a valid payload.
    let headers = header(8 << 20).repeat(1 << 20);
    let calls = decode(&[headers, file_of_steps(0..2)].concat());
    assert!(calls.problems.iter().all(|problem| !problem.is_note));
    assert!(!calls.problems.is_empty());
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize, usize),
    Insert(usize, Vec<u8>),
    Zero(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<usize>;
    prop_oneof![
        (place(), 1..=255_u8).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        (place(), 1..60_usize).prop_map(|(at, n)| Damage::Cut(at, n)),
        (place(), vec(any::<u8>(), 1..60)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (place(), 1..200_usize).prop_map(|(at, n)| Damage::Zero(at, n)),
        (place(), 1..200_usize).prop_map(|(at, n)| Damage::Repeat(at, n)),
    ]
}

fn apply(file: &mut Vec<u8>, damage: &Damage) {
    let (Damage::Flip(at, _)
    | Damage::Cut(at, _)
    | Damage::Insert(at, _)
    | Damage::Zero(at, _)
    | Damage::Repeat(at, _)) = damage;
    let start = at % file.len().max(1);
    let end_of = |n: usize| (start + n).min(file.len());
    match damage {
        Damage::Flip(_, mask) => file.iter_mut().skip(start).take(1).for_each(|byte| *byte ^= mask),
        Damage::Cut(_, n) => drop(file.drain(start..end_of(*n))),
        Damage::Insert(_, bytes) => drop(file.splice(start..start, bytes.iter().copied())),
        Damage::Zero(_, n) => {
            let end = end_of(*n);
            file[start..end].fill(0);
        }
        Damage::Repeat(_, n) => {
            let copy = file[start..end_of(*n)].to_vec();
            drop(file.splice(start..start, copy));
        }
    }
}

proptest! {
    #[test]
    fn damage_never_makes_up_a_value_and_splits_never_matter(
        damages in vec(damage(), 0..6),
        cuts in vec(any::<usize>(), 0..8),
    ) {
        let mut file = file_of_steps(0..20);
        for damage in &damages {
            apply(&mut file, damage);
        }
        let calls = decode(&file);
        for point in &calls.points {
            prop_assert!((0..20).contains(&point.step));
            prop_assert_eq!(point.value, point.step as f64);
            prop_assert_eq!(&point.tag, "loss");
        }
        // One damage spoils at most the records it touches: 200 bytes are in at most six.
        let steps: HashSet<i64> = calls.points.iter().map(|point| point.step).collect();
        prop_assert!(steps.len() + 6 * damages.len() >= 20, "{} left", steps.len());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (file.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(decode_in(&file, &cuts).log, calls.log);
    }

    #[test]
    fn framed_noise_never_panics(payloads in vec(vec(any::<u8>(), 0..100), 0..20)) {
        let calls = decode(&file_of(&payloads));
        prop_assert!(calls.problems.len() <= 200);
    }

    #[test]
    fn noise_has_no_values(noise in vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(decode(&noise).points, []);
    }

    #[test]
    fn events_that_a_sick_writer_framed_never_panic(damages in vec(damage(), 1..4)) {
        // The damage is inside the checksum: what the message says is what the writer wrote.
        let mut events = super::all_events();
        for event in &mut events {
            for damage in &damages {
                apply(event, damage);
            }
        }
        events.push(scalar(77));
        let calls = decode(&file_of(&events));
        prop_assert!(calls.steps_of("loss").contains(&77));
        prop_assert!(calls.problems.iter().all(|problem| !problem.what.contains("checksum")));
    }
}
