use super::WandbDecoder;
use super::blocks::{BLOCK_BYTES, FILE_HEADER, HEADER_BYTES, RECORD_BYTES_MAX};
use crate::decode::Decode;
use crate::decode::record::{check_splits, lines_of, record};

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
