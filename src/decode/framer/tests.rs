//! Tests of the framing alone: what waits, what is passed on, what a gap says.

use super::{Framer, Visit};
use crate::decode::gap::{Cause, Gap};
use crate::decode::tfrecord::write_record;

#[derive(Debug, Default)]
struct Seen {
    records: Vec<(u64, Vec<u8>)>,
    passed_over: Vec<(u64, u64)>,
    gaps: Vec<Gap>,
}

impl Visit for Seen {
    fn record(&mut self, offset: u64, payload: &[u8]) {
        self.records.push((offset, payload.to_vec()));
    }

    fn is_bulk(&mut self, prefix: &[u8], _length: u64) -> bool {
        prefix.starts_with(b"bulk")
    }

    fn passed_over(&mut self, offset: u64, bytes: u64, is_bulk: bool) {
        assert!(is_bulk);
        self.passed_over.push((offset, bytes));
    }

    fn gap(&mut self, gap: &Gap) {
        self.gaps.push(*gap);
    }
}

fn records(payloads: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    for payload in payloads {
        write_record(&mut file, payload);
    }
    file
}

fn frame(file: &[u8], block: usize) -> Seen {
    let (mut framer, mut seen) = (Framer::new(), Seen::default());
    file.chunks(block).for_each(|bytes| framer.feed(bytes, &mut seen));
    framer.finish(&mut seen);
    seen
}

#[test]
fn empty_records_are_records() {
    let seen = frame(&records(&[b"", b"a", b""]), 1);
    assert_eq!(seen.records, [(0, vec![]), (16, b"a".to_vec()), (33, vec![])]);
}

#[test]
fn an_unfinished_record_is_resumed_at_its_start() {
    let file = records(&[b"first", b"second"]);
    let (mut framer, mut seen) = (Framer::new(), Seen::default());
    framer.feed(&file[..30], &mut seen);
    assert_eq!(framer.resume_offset(), Some(21));
    assert!(!framer.is_waiting_at_zeros());
    framer.feed(&file[30..], &mut seen);
    assert_eq!(framer.resume_offset(), None);
    assert_eq!(seen.records.len(), 2);
    assert_eq!(framer.rewind(), file.len() as u64);
}

#[test]
fn rewinding_reads_again_from_the_start_of_the_record() {
    let large = [&b"bulk"[..], &vec![1; 100_000]].concat();
    let file = records(&[b"first", &large, b"last"]);
    for cut in 0..30 {
        for place in [cut, 21 + cut, 5000 + cut, file.len() - cut] {
            let (mut framer, mut seen) = (Framer::new(), Seen::default());
            framer.feed(&file[..place], &mut seen);
            let offset = framer.rewind() as usize;
            framer.feed(&file[offset..], &mut seen);
            framer.finish(&mut seen);
            let offsets: Vec<u64> = seen.records.iter().map(|(offset, _)| *offset).collect();
            assert_eq!(offsets, [0, 100_041]);
            assert_eq!(seen.passed_over, [(21, 100_020)]);
            assert_eq!(seen.gaps, []);
        }
    }
}

#[test]
fn a_damaged_record_waits_for_what_follows() {
    let mut file = records(&[b"first", b"second"]);
    file[12] ^= 1;
    let (mut framer, mut seen) = (Framer::new(), Seen::default());
    framer.feed(&file[..21 + 11], &mut seen);
    assert_eq!((seen.gaps.len(), framer.resume_offset()), (0, Some(0)));
    framer.feed(&file[21 + 11..], &mut seen);
    let gap = Gap {
        offset: 0,
        bytes: 21,
        cause: Cause::PayloadChecksum,
        is_last: false,
        is_one_record: true,
        is_blank: false,
    };
    assert_eq!(
        (seen.gaps, seen.records),
        (vec![gap], vec![(21, b"second".to_vec())])
    );
}

#[test]
fn records_inside_an_apparently_unfinished_one_are_found_at_the_end() {
    // Of a record of 1000 bytes only 100 are there, then two whole ones follow.
    let torn = records(&[&[7; 1000]])[..100].to_vec();
    let file = [torn, records(&[b"second", b"third"])].concat();
    for block in [1, 7, 4096] {
        let seen = frame(&file, block);
        assert_eq!(
            seen.records,
            [(100, b"second".to_vec()), (122, b"third".to_vec())]
        );
        assert_eq!(
            seen.gaps
                .iter()
                .map(|gap| (gap.offset, gap.bytes))
                .collect::<Vec<_>>(),
            [(0, 100)]
        );
        assert_eq!(seen.gaps[0].cause, Cause::Unfinished);
    }
}

#[test]
fn damage_up_to_the_end_is_one_gap() {
    let mut file = records(&[b"first"]);
    file.extend(vec![0x5a; 100_000]);
    for block in [1000, 65_536, 200_000] {
        let seen = frame(&file, block);
        let gaps: Vec<(u64, u64, bool)> = seen
            .gaps
            .iter()
            .map(|it| (it.offset, it.bytes, it.is_last))
            .collect();
        assert_eq!(gaps, [(21, 100_000, true)], "{block}");
    }
}

#[test]
fn finishing_twice_reports_once() {
    let (mut framer, mut seen) = (Framer::new(), Seen::default());
    framer.feed(&[records(&[b"first"]), vec![0x5a; 50]].concat(), &mut seen);
    framer.finish(&mut seen);
    framer.finish(&mut seen);
    assert_eq!((seen.records.len(), seen.gaps.len()), (1, 1));
}
