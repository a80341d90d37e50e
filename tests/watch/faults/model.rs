//! Random changes of a log against a model of its records, in two formats.
//!
//! In: sequences of appends, halves of records, rotations, copies with truncation, rewrites, deletions, creations,
//! restarts of the reader, looks; from fixed seeds. Held after every sequence: what was read in one piece is the
//! beginning of one generation of the file, record for record, each once; of the generation that stands at the end all
//! complete records were read.

use std::fs::{self, OpenOptions};
use std::io::Write;

use gradwatch::app::follow::Follower;
use gradwatch::decode::event_write::{file_of, scalar_event};

use super::content::{Bench, Heard, rows};
use super::seen;

const N_SEQUENCES: u64 = 3000;
const N_CHANGES: u64 = 25;

/// Splitmix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// One content that only grows: whole records, and the bytes of one that is not yet whole.
#[derive(Default)]
struct Generation {
    steps: Vec<i64>,
    /// What is still to be written of the last record, and its step.
    rest: Option<(Vec<u8>, i64)>,
}

struct World {
    dice: Dice,
    bench: Bench,
    is_events: bool,
    /// Every content that ever stood at the path.
    generations: Vec<Generation>,
    is_there: bool,
    next_step: i64,
    n_rotated: usize,
    n_restarts: usize,
    history: Vec<&'static str>,
}

impl World {
    fn new(seed: u64) -> Self {
        let is_events = seed.is_multiple_of(2);
        let name = if is_events {
            "events.out.tfevents.1"
        } else {
            "metrics.jsonl"
        };
        Self {
            dice: Dice(seed),
            bench: Bench::new(name),
            is_events,
            generations: Vec::new(),
            is_there: false,
            next_step: 0,
            n_rotated: 0,
            n_restarts: 0,
            history: Vec::new(),
        }
    }

    fn record(&mut self) -> (Vec<u8>, i64) {
        let step = self.next_step;
        self.next_step += 1;
        let bytes = if self.is_events {
            file_of(&[scalar_event(1e9 + step as f64, step, "loss", 1.0)])
        } else {
            rows(step..step + 1).into_bytes()
        };
        (bytes, step)
    }

    /// Writes some records, the last perhaps in part.
    fn write(&mut self) {
        let mut bytes = Vec::new();
        let mut steps = Vec::new();
        let rest = self.generations.last_mut().and_then(|it| it.rest.take());
        if let Some((rest, step)) = rest {
            bytes.extend(rest);
            steps.push(step);
        }
        for _ in 0..self.dice.below(4) {
            let (record, step) = self.record();
            bytes.extend(record);
            steps.push(step);
        }
        let mut rest = None;
        if self.dice.below(3) == 0 {
            let (mut record, step) = self.record();
            let cut = 1 + self.dice.below(record.len() as u64 - 1) as usize;
            rest = Some((record.split_off(cut), step));
            bytes.extend(record);
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.bench.path)
            .unwrap();
        file.write_all(&bytes).unwrap();
        let generation = self.generations.last_mut().unwrap();
        generation.steps.extend(steps);
        generation.rest = rest;
    }

    fn begin_generation(&mut self) {
        self.generations.push(Generation::default());
        // An empty file says nothing: what is written decides.
        while self.generations.last().unwrap().steps.is_empty() {
            self.write();
        }
    }

    fn create(&mut self) {
        self.is_there = true;
        self.begin_generation();
    }

    fn rotate(&mut self) {
        self.n_rotated += 1;
        let old = self.bench.path.with_extension(format!("old{}", self.n_rotated));
        fs::rename(&self.bench.path, old).unwrap();
        self.create();
    }

    fn truncate(&mut self) {
        let file = OpenOptions::new().write(true).open(&self.bench.path).unwrap();
        file.set_len(0).unwrap();
        if self.dice.below(2) == 0 {
            self.bench.look();
        }
        self.begin_generation();
    }

    fn restart(&mut self) {
        self.check();
        self.n_restarts += 1;
        self.bench.follower = Follower::new(&self.bench.path);
        self.bench.heard = Heard::default();
    }

    fn change(&mut self) {
        if !self.is_there {
            self.history.push("create");
            return self.create();
        }
        let (name, change): (&str, fn(&mut Self)) = match self.dice.below(14) {
            0..6 => ("write", Self::write),
            6 => ("rotate", Self::rotate),
            7 => ("truncate", Self::truncate),
            8 => ("restart", Self::restart),
            9 => ("delete", |it| {
                fs::remove_file(&it.bench.path).unwrap();
                it.is_there = false;
            }),
            _ => ("look", |it| it.bench.look()),
        };
        self.history.push(name);
        change(self);
    }

    /// Every piece that was read is the beginning of a generation, in their order.
    fn check(&self) {
        let mut generations = self.generations.iter();
        for piece in self.bench.heard.generations.iter().filter(|it| !it.is_empty()) {
            let found = generations.find(|it| {
                let half = it.rest.as_ref().map(|(_, step)| *step);
                let whole: Vec<i64> = it.steps.iter().copied().chain(half).collect();
                whole.starts_with(piece)
            });
            assert!(
                found.is_some(),
                "{piece:?} is no generation's beginning: {:?} {:?}",
                self.history,
                self.bench.heard.problems
            );
        }
    }

    fn check_end(&mut self) {
        self.bench.look();
        self.check();
        if self.is_there {
            let newest = &self.generations.last().unwrap().steps;
            let read = self.bench.heard.generations.last();
            assert_eq!(
                read,
                Some(newest),
                "{:?} {:?}",
                self.history,
                self.bench.heard.problems
            );
        }
    }
}

#[test]
fn random_changes_give_each_complete_record_once() {
    let (mut n_records, mut n_generations, mut n_restarts) = (0, 0, 0);
    for seed in 0..N_SEQUENCES {
        let mut world = World::new(seed);
        for _ in 0..N_CHANGES {
            world.change();
        }
        world.check_end();
        n_records += world.next_step;
        n_generations += world.generations.len();
        n_restarts += world.n_restarts;
    }
    seen(
        "1-5",
        "each complete record once per generation",
        &format!(
            "{N_SEQUENCES} sequences, {n_records} records, {n_generations} generations, {n_restarts} restarts"
        ),
    );
}
