//! Measures how fast event files are decoded, all checksums included.
//!
//! In: the file named by `GRADWATCH_BENCH_FILE`, or 20 MB of scalars made in memory. Out: megabytes (1e6 bytes)
//! per second of CPU time, each round and the median. Invariant: the file is decoded in blocks of 256 KiB from
//! memory, so that reading it costs nothing, and what was decoded is printed beside the speed.

use std::fs;
use std::hint::black_box;

use gradwatch::decode::event_write::{scalar_event, version_event};
use gradwatch::decode::tfrecord::write_record;
use gradwatch::decode::{Decode, EventDecoder, Sink};
use gradwatch::model::{Mark, Problem, Sample, TextLine};

const BLOCK_BYTES: usize = 256 << 10;
const MADE_BYTES: usize = 20_000_000;
const N_ROUNDS: usize = 9;

#[derive(Default)]
struct Count {
    samples: u64,
    sum: f64,
    problems: u64,
}

impl Sink for Count {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.samples += 1;
        self.sum += black_box(sample).value;
    }

    fn line(&mut self, _: &TextLine<'_>) {}

    fn mark(&mut self, _: Mark<'_>) {}

    fn problem(&mut self, _: Problem) {
        self.problems += 1;
    }
}

fn make_file() -> Vec<u8> {
    let mut file = Vec::with_capacity(MADE_BYTES + 1000);
    write_record(&mut file, &version_event(1.7e9));
    let mut step = 0;
    while file.len() < MADE_BYTES {
        for layer in 0..100 {
            let tag = format!("grad_norm/layer_{layer:02}");
            write_record(&mut file, &scalar_event(1.7e9 + step as f64, step, &tag, 1.0));
        }
        step += 1;
    }
    file
}

/// CPU time of the main thread in seconds (`/proc/thread-self/schedstat`, in nanoseconds).
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    nanoseconds.map_or(f64::NAN, |it| it / 1e9)
}

fn decode(file: &[u8]) -> Count {
    let (mut decoder, mut count) = (EventDecoder::new(), Count::default());
    for block in file.chunks(BLOCK_BYTES) {
        decoder.feed(block, &mut count);
    }
    decoder.finish(&mut count);
    count
}

fn main() {
    let file = match std::env::var_os("GRADWATCH_BENCH_FILE") {
        Some(path) => fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        None => make_file(),
    };
    let mut speeds: Vec<f64> = (0..N_ROUNDS)
        .map(|_| {
            let start = cpu_seconds();
            let count = black_box(decode(&file));
            let speed = file.len() as f64 / 1e6 / (cpu_seconds() - start);
            println!(
                "{speed:8.0} MB/cpu-s  {} samples, sum {:.6e}, {} problems",
                count.samples, count.sum, count.problems
            );
            speed
        })
        .collect();
    speeds.sort_by(f64::total_cmp);
    println!(
        "{:8.0} MB/cpu-s  median of {N_ROUNDS}, {} bytes",
        speeds[N_ROUNDS / 2],
        file.len()
    );
}
