//! The decoders on real logs, where the shared data directory lies beside the checkout.
//!
//! In: files of that directory. Out: test results. Invariant: numbers of samples and rows were counted with
//! Python's `json` and `csv` modules; without the directory the tests say so and pass.

use std::path::{Path, PathBuf};

use super::Tally;
use super::detect::{Opened, open};
use super::record::{Calls, lines_of};

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: the shared data directory is not there");
    None
}

fn read(path: &Path) -> (String, Tally, Calls) {
    let bytes = std::fs::read(path).unwrap();
    let opened = open(&bytes, &path.to_string_lossy());
    let mut calls = Calls::default();
    match opened {
        Opened::Decoder(mut decoder) => {
            for piece in bytes.chunks(4093) {
                decoder.feed(piece, &mut calls);
            }
            decoder.finish(&mut calls);
            (decoder.format().to_owned(), decoder.tally(), calls)
        }
        Opened::Compressed(what) | Opened::Later(what) | Opened::NotALog(what) => {
            (what.to_owned(), Tally::default(), calls)
        }
        Opened::Empty => ("empty".to_owned(), Tally::default(), calls),
    }
}

#[test]
fn every_file_is_recognised_and_read_without_loss() {
    let Some(root) = shared("") else { return };
    let mut queue = vec![root.join("reallogs"), root.join("corpus/runs")];
    while let Some(dir) = queue.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                queue.push(path);
                continue;
            }
            let (format, tally, calls) = read(&path);
            let n = calls.samples().count();
            let all = lines_of(&calls);
            let problems: Vec<&String> = all.iter().filter(|l| l.starts_with("problem")).collect();
            println!(
                "{format:14} {n:7} samples {:6} rows {:3} skipped {} {} {:?}",
                tally.records,
                tally.skipped,
                path.display(),
                all.first()
                    .map(|s| s.chars().take(60).collect::<String>())
                    .unwrap_or_default(),
                problems.iter().take(2).collect::<Vec<_>>()
            );
        }
    }
}
