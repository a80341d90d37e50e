//! Files written by the test itself: rows, console, exit codes, every split, damage in every byte.

use super::WandbDecoder;
use super::blocks::{BLOCK_BYTES, FILE_HEADER, HEADER_BYTES, RECORD_BYTES_MAX};
use crate::decode::Decode;
use crate::decode::record::{Calls, check_splits, lines_of, record};

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3 | 2, &mut out);
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn number_field(number: u64, value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3, &mut out);
    varint(value as u64, &mut out);
    out
}

/// A record of a history row; the names are given in parts, joined with `|`.
fn row(step: i64, items: &[(&str, &str)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, json) in items {
        let mut item: Vec<u8> = name
            .split('|')
            .flat_map(|part| field(2, part.as_bytes()))
            .collect();
        item.extend(field(16, json.as_bytes()));
        message.extend(field(1, &item));
    }
    message.extend(field(2, &number_field(1, step)));
    field(2, &message)
}

fn console(number: u64, stream: i64, text: &str) -> Vec<u8> {
    let mut message = number_field(1, stream);
    message.extend(field(3, text.as_bytes()));
    field(number, &message)
}

fn exit(code: i64) -> Vec<u8> {
    field(18, &number_field(1, code))
}

/// Writes records as wandb does; gives the file and the offset of each record.
fn file(records: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let mut out = FILE_HEADER.to_vec();
    let mut offsets = Vec::new();
    for record in records {
        let mut rest = record.as_slice();
        let mut is_first = true;
        loop {
            let left = BLOCK_BYTES - out.len() % BLOCK_BYTES;
            if left < HEADER_BYTES {
                out.resize(out.len() + left, 0);
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(left - HEADER_BYTES));
            let kind = match (is_first, later.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            if is_first {
                offsets.push(out.len());
            }
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&[kind]);
            hasher.update(now);
            out.extend(hasher.finalize().to_le_bytes());
            out.extend((now.len() as u16).to_le_bytes());
            out.push(kind);
            out.extend_from_slice(now);
            (rest, is_first) = (later, false);
            if rest.is_empty() {
                break;
            }
        }
    }
    (out, offsets)
}

fn read(bytes: &[u8]) -> Vec<String> {
    lines_of(&record(&mut WandbDecoder::new(), &[bytes]))
}

fn make() -> Box<dyn Decode> {
    Box::new(WandbDecoder::new())
}

#[test]
fn rows_give_their_numbers_sorted_by_name() {
    let records = [
        row(
            7,
            &[
                ("z/loss", "2.5"),
                ("_timestamp", "1.7e9"),
                ("a|b", "NaN"),
                ("eval", "{\"loss\": -Infinity, \"metrics\": {\"acc\": 1}}"),
                ("text", "\"words\""),
                ("spelled", "\"NaN\""),
                ("image", "{\"_type\": \"image-file\", \"size\": 12}"),
                ("table|_type", "\"table-file\""),
                ("table|nrows", "3"),
            ],
        ),
        row(8, &[("_step", "9"), ("z/loss", "2")]),
    ];
    assert_eq!(
        read(&file(&records).0),
        [
            "7 a/b=NaN @1700000000",
            "7 eval/loss=-inf @1700000000",
            "7 eval/metrics/acc=1 @1700000000",
            "7 spelled=NaN @1700000000",
            "7 z/loss=2.5 @1700000000",
            "9 z/loss=2",
        ]
    );
}

#[test]
fn histograms_are_read_in_one_piece_and_in_parts() {
    // Two elements from 0 to 3: the mean square of an even spread is 3.
    let whole = row(
        1,
        &[("g/fc", "{\"bins\":[0,3],\"values\":[2],\"_type\":\"histogram\"}")],
    );
    let parts = row(
        2,
        &[
            ("g/fc|values", "[2]"),
            ("g/fc|_type", "\"histogram\""),
            ("g/fc|bins", "[0,3]"),
        ],
    );
    let packed = row(
        3,
        &[
            ("g/fc|_type", "\"histogram\""),
            ("g/fc|packedBins|count", "1"),
            ("g/fc|packedBins|min", "0"),
            ("g/fc|packedBins|size", "3"),
            ("g/fc|values", "[2]"),
        ],
    );
    let calls = record(&mut WandbDecoder::new(), &[&file(&[whole, parts, packed]).0]);
    let norm = 6.0_f64.sqrt();
    assert_eq!(
        lines_of(&calls),
        [
            format!("1 g/fc={norm}"),
            format!("2 g/fc={norm}"),
            format!("3 g/fc={norm}")
        ]
    );
}

#[test]
fn typed_values_of_the_newest_schema_are_read() {
    let item = |name: &str, value: Vec<u8>| field(1, &[field(2, name.as_bytes()), value].concat());
    let mut double = vec![6 << 3 | 1];
    double.extend(2.5_f64.to_le_bytes());
    let message = [
        item("double", double),
        item("integer", number_field(5, 5)),
        item("json", field(8, b"-Infinity")),
        item("none", number_field(3, 0)),
    ]
    .concat();
    let calls = read(&file(&[field(2, &message)]).0);
    assert_eq!(
        calls,
        ["OrdinalSteps", "0 double=2.5", "0 integer=-3", "0 json=-inf"]
    );
}

#[test]
fn the_console_gives_lines_and_numbers_only_without_rows() {
    let console_records = [
        console(13, 1, "step 1 loss"),
        console(13, 0, "RuntimeError: boom\n"),
        console(13, 1, ": 2.5\nstep 2 loss: 2.0\n"),
        console(4, 1, "the same again"),
    ];
    let alone = read(&file(&console_records).0);
    let lines: Vec<&String> = alone.iter().filter(|call| call.starts_with("TextLine")).collect();
    assert_eq!(lines.len(), 3, "{alone:?}");
    assert!(
        lines[0].contains("RuntimeError: boom") && lines[1].contains("step 1 loss: 2.5"),
        "{lines:?}"
    );
    assert_eq!(
        alone.iter().filter(|call| call.contains("loss=")).count(),
        2,
        "{alone:?}"
    );

    let mut with_rows = console_records.to_vec();
    with_rows.push(row(3, &[("loss", "1.5"), ("iter", "30")]));
    with_rows.push(console(13, 0, "Traceback\n"));
    let calls = read(&file(&with_rows).0);
    let numbers: Vec<&String> = calls.iter().filter(|call| call.contains("loss=")).collect();
    assert_eq!(numbers, ["30 loss=1.5"]);
    assert!(
        calls
            .last()
            .is_some_and(|it| it.contains("Traceback") && it.contains("Some(30)")),
        "{calls:?}"
    );
}

#[test]
fn the_exit_code_tells_a_good_end() {
    let (bytes, offsets) = file(&[exit(0)]);
    assert_eq!((read(&bytes), offsets), (vec!["Finished".to_owned()], vec![7]));
    let bad = "problem at 7, 0 bytes: the run ended with exit code";
    assert_eq!(read(&file(&[exit(255)]).0), [format!("{bad} 255")]);
    assert_eq!(read(&file(&[exit(-9)]).0), [format!("{bad} -9")]);
    assert!(read(&file(&[]).0).is_empty(), "no exit record says nothing");
}

/// Rows of 2,000 bytes each, so that records lie across the ends of blocks.
fn long_rows(n: i64) -> Vec<Vec<u8>> {
    let filler = format!("\"{}\"", "x".repeat(2000));
    (0..n)
        .map(|step| row(step, &[("loss", "1"), ("filler", &filler)]))
        .collect()
}

fn steps(calls: &[String]) -> Vec<i64> {
    let samples = calls.iter().filter(|call| call.contains("loss="));
    samples
        .map(|call| call.split(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn a_file_that_ends_anywhere_is_normal() {
    let (bytes, offsets) = file(&long_rows(20));
    for end in (0..bytes.len()).step_by(97) {
        let calls = read(&bytes[..end]);
        let whole = offsets
            .iter()
            .skip(1)
            .chain([&bytes.len()])
            .filter(|next| **next <= end)
            .count();
        // The end of a record may be padding that is not there yet.
        assert!(steps(&calls).len().abs_diff(whole) <= 1, "{end}: {calls:?}");
        assert_eq!(calls.len(), steps(&calls).len(), "{end}: {calls:?}");
    }
}

#[test]
fn damage_costs_the_record_and_at_most_its_block() {
    let (bytes, offsets) = file(&long_rows(40));
    // In the data of a record, all others are read.
    let mut damaged = bytes.clone();
    damaged[offsets[3] + 100] ^= 1;
    let calls = read(&damaged);
    assert_eq!(steps(&calls), (0..40).filter(|it| *it != 3).collect::<Vec<_>>());
    let gap = offsets[4] - offsets[3];
    let what = format!(
        "problem at {}, {gap} bytes: record with a bad checksum: {gap} bytes skipped",
        offsets[3]
    );
    assert!(calls.contains(&what), "{calls:?}");
    // In its length, the rest of the block is lost, but not the next block.
    damaged[offsets[3] + 5] ^= 0x40;
    let calls = read(&damaged);
    let next = offsets.iter().position(|it| *it >= BLOCK_BYTES).unwrap() as i64;
    assert_eq!(steps(&calls), (0..3).chain(next..40).collect::<Vec<_>>());
    assert_eq!(
        calls.iter().filter(|it| it.starts_with("problem")).count(),
        1,
        "{calls:?}"
    );
}

#[test]
fn holes_of_zeros_are_told_and_read_over() {
    let (mut bytes, offsets) = file(&long_rows(40));
    let hole = BLOCK_BYTES..2 * BLOCK_BYTES;
    bytes[hole.clone()].fill(0);
    let calls = read(&bytes);
    let before = offsets.iter().filter(|it| **it < BLOCK_BYTES).count() as i64 - 1;
    let after = offsets.iter().position(|it| *it >= 2 * BLOCK_BYTES).unwrap() as i64;
    assert_eq!(steps(&calls), (0..before).chain(after..40).collect::<Vec<_>>());
    let (mut tail, _) = file(&long_rows(2));
    let end = tail.len();
    tail.resize(end + 100, 0);
    let calls = read(&tail);
    let what = format!("problem at {end}, 100 bytes: zero bytes, not yet written: 100 bytes skipped");
    assert_eq!(calls.last(), Some(&what));
}

#[test]
fn any_byte_may_be_wrong() {
    let (bytes, _) = file(&[
        row(1, &[("loss", "1"), ("a|b", "2")]),
        console(13, 1, "hello\n"),
        exit(3),
    ]);
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            assert!(read(&damaged).len() <= 8, "byte {at}");
        }
    }
}

#[test]
fn a_record_is_not_held_beyond_the_limit() {
    let huge = row(
        1,
        &[
            ("loss", "1"),
            ("filler", &format!("\"{}\"", "x".repeat(RECORD_BYTES_MAX))),
        ],
    );
    let calls = read(&file(&[huge, row(2, &[("loss", "2")])]).0);
    assert_eq!(steps(&calls), [2]);
    assert!(calls[0].contains("record too large to be read"), "{calls:?}");
}

#[test]
fn any_split_gives_the_same_calls() {
    let mut records = vec![row(
        1,
        &[("loss", "1"), ("g|_type", "\"histogram\""), ("g|bins", "[0,1]")],
    )];
    records.extend([
        console(13, 0, "Trace"),
        console(13, 0, "back\n"),
        row(2, &[("loss", "NaN")]),
        exit(1),
    ]);
    let (mut bytes, offsets) = file(&records);
    check_splits(&make, &bytes);
    bytes[offsets[1] + 8] ^= 1;
    bytes.extend([0; 40]);
    check_splits(&make, &bytes);
}

#[test]
fn blocks_may_be_split_at_their_ends() {
    let (bytes, _) = file(&long_rows(40));
    let whole = read(&bytes);
    assert_eq!(steps(&whole).len(), 40);
    for n in [1, 7, 4093, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1] {
        let pieces: Vec<&[u8]> = bytes.chunks(n).collect();
        assert_eq!(
            lines_of(&record(&mut WandbDecoder::new(), &pieces)),
            whole,
            "pieces of {n}"
        );
    }
}

/// The calls of a reader that looks at the file after every piece that was written into it.
fn read_live(bytes: &[u8], piece: usize, n_zeros: usize) -> Vec<String> {
    let (mut decoder, mut calls, mut offset) = (WandbDecoder::new(), Calls::default(), 0);
    let mut there = vec![0; n_zeros];
    let mut written = 0;
    while written < bytes.len() {
        let end = (written + piece).min(bytes.len());
        there.resize(there.len().max(end), 0);
        there[written..end].copy_from_slice(&bytes[written..end]);
        written = end;
        decoder.feed(&there[offset..], &mut calls);
        let given_back = decoder.give_back(there.len() as u64);
        offset = given_back.map_or(there.len(), |it| usize::try_from(it).unwrap());
    }
    there.truncate(bytes.len());
    decoder.feed(there.get(offset..).unwrap_or_default(), &mut calls);
    decoder.finish(&mut calls);
    lines_of(&calls)
}

#[test]
fn a_file_that_is_being_written_gives_what_the_whole_one_gives() {
    let mut records = long_rows(40);
    // Beyond a block, so that a record has first, middle and last fragments.
    let filler = format!("\"{}\"", "x".repeat(3 * BLOCK_BYTES));
    records.push(row(40, &[("loss", "1"), ("filler", &filler)]));
    records.push(exit(0));
    let (bytes, _) = file(&records);
    let whole = read(&bytes);
    assert_eq!(steps(&whole).len(), 41);
    for piece in [61, 1000, 4096, BLOCK_BYTES, 50_000] {
        for n_zeros in [0, bytes.len() / 2, bytes.len() + 3 * BLOCK_BYTES] {
            assert_eq!(
                read_live(&bytes, piece, n_zeros),
                whole,
                "pieces of {piece}, {n_zeros} zeros"
            );
        }
    }
}

#[test]
fn damage_is_told_once_however_often_it_is_read() {
    let (mut bytes, offsets) = file(&long_rows(40));
    bytes[offsets[3] + 100] ^= 1;
    bytes[offsets[39] + 100] ^= 1;
    assert_eq!(read_live(&bytes, 500, 0), read(&bytes));
}
