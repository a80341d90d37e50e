//! Compressed logs: splits, early ends, damage, members in a row, bombs.

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::{Compression, Unpacker};
use crate::decode::Decode;
use crate::decode::OwnPatterns;
use crate::decode::record::{check_splits, lines_of, record};

const LOG: &[u8] = b"{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":NaN}\n{\"step\":3,\"loss\":1.5}\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Level::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn make(compression: Compression) -> Box<dyn Decode> {
    Box::new(Unpacker::new(
        compression,
        "logs/train.jsonl.gz",
        &OwnPatterns::default(),
    ))
}

fn read(compression: Compression, bytes: &[u8]) -> Vec<String> {
    lines_of(&record(make(compression).as_mut(), &[bytes]))
}

type Pack = fn(&[u8]) -> Vec<u8>;

const ALL: [(Compression, Pack); 3] = [
    (Compression::Gzip, gzip),
    (Compression::Zlib, zlib),
    (Compression::Zstd, zstd),
];

#[test]
fn what_is_inside_is_read_at_any_split() {
    for (compression, pack) in ALL {
        let file = pack(LOG);
        assert_eq!(
            read(compression, &file),
            ["1 loss=2.5", "2 loss=NaN", "3 loss=1.5"],
            "{compression:?}"
        );
        check_splits(&|| make(compression), &file);
    }
}

#[test]
fn a_file_that_ends_early_is_read_up_to_there_and_told() {
    for (compression, pack) in ALL {
        let file = pack(LOG);
        for end in 1..file.len() {
            let calls = read(compression, &file[..end]);
            assert!(
                calls.last().is_some_and(|it| it.contains("ends early")),
                "{compression:?} {end}: {calls:?}"
            );
        }
    }
    // A log that is long enough is read in large part.
    let long = LOG.repeat(10_000);
    let file = gzip(&long);
    let calls = read(Compression::Gzip, &file[..file.len() / 2]);
    assert!(calls.len() > 5_000, "{}", calls.len());
}

#[test]
fn damage_is_told_and_what_stands_before_it_is_read() {
    for (compression, pack) in ALL {
        let mut text = Vec::new();
        for step in 0..20_000_u64 {
            // Numbers that do not compress away.
            let noise = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            writeln!(text, "{{\"step\":{step},\"loss\":{noise}}}").unwrap();
        }
        let mut file = pack(&text);
        let middle = file.len() / 2;
        file[middle..middle + 200].fill(0x55);
        let calls = read(compression, &file);
        let damage = calls.iter().filter(|it| it.contains("damaged ")).count();
        assert!(
            damage == 1 && calls.len() > 4_000,
            "{compression:?}: {} {:?}",
            calls.len(),
            calls.last()
        );
    }
}

#[test]
fn members_and_frames_in_a_row_are_one_file() {
    let (first, second) = LOG.split_at(30);
    for (compression, pack) in [ALL[0], ALL[2]] {
        let file = [pack(first), pack(second)].concat();
        assert_eq!(read(compression, &file).len(), 3, "{compression:?}");
    }
    let mut padded = gzip(LOG);
    padded.extend([0; 512]);
    assert_eq!(read(Compression::Gzip, &padded).len(), 3);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9][..], &zstd(LOG)].concat();
    assert_eq!(read(Compression::Zstd, &skippable).len(), 3);
}

#[test]
fn the_fields_of_a_gzip_header_are_passed_over() {
    let plain = gzip(LOG);
    let mut file = plain[..10].to_vec();
    file[3] = 2 | 4 | 8 | 16;
    file.extend([3, 0, 1, 2, 3]);
    file.extend(b"train.jsonl\0a comment\0\x12\x34");
    file.extend(&plain[10..]);
    assert_eq!(read(Compression::Gzip, &file).len(), 3);
    check_splits(&|| make(Compression::Gzip), &file);
}

#[test]
fn a_bomb_is_read_in_pieces_and_a_file_inside_is_not_unpacked_again() {
    // 64 MiB of one line that never ends become 64 KiB; the decoder drops the line at its limit.
    for (compression, pack) in ALL {
        let bomb = pack(&[b"{\"step\":1,".repeat(2), vec![b' '; 64 << 20]].concat());
        assert!(bomb.len() < 1 << 20);
        let calls = read(compression, &bomb);
        assert!(calls.len() <= 2, "{compression:?}: {calls:?}");
    }
    let twice = read(Compression::Gzip, &gzip(&gzip(LOG)));
    assert_eq!(
        twice,
        ["problem at 0, 0 bytes: compressed with gzip: compressed twice, with gzip inside"]
    );
    let nothing = read(Compression::Gzip, &gzip(b""));
    assert_eq!(
        nothing,
        ["problem at 0, 0 bytes: compressed with gzip: nothing inside"]
    );
}
