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
        Opened::Compressed(what) | Opened::NotALog(what) => (what.to_owned(), Tally::default(), calls),
        Opened::Empty => ("empty".to_owned(), Tally::default(), calls),
    }
}

/// Path, format, samples, rows.
const COUNTED: [(&str, &str, usize, u64); 12] = [
    (
        "derived_jsonl_from_wandb/olmo20m_tied_run.jsonl",
        "jsonl",
        10_912,
        109,
    ),
    (
        "derived_jsonl_from_wandb/olmo_wandbtest_run.jsonl",
        "jsonl",
        8231,
        31,
    ),
    (
        "llamafactory_trainer_log/grpo360_trainer_log.jsonl",
        "jsonl",
        808,
        202,
    ),
    ("stylegan/sprite_stats.jsonl", "jsonl", 1840, 80),
    (
        "hf_trainer_state/mt5_az_trainer_state.json",
        "trainer-state",
        1960,
        770,
    ),
    ("dvclive/densegpt_metrics.json", "json", 2, 1),
    ("dvclive/densegpt_loss.tsv", "tsv", 14, 14),
    ("lightning_csv/mlpws_neuron167_metrics.csv", "csv", 128, 118),
    ("baselines_csv/kernel_diffusion_progress.csv", "csv", 14_455, 2065),
    ("rllib/sac_halfcheetah_progress.csv", "csv", 21_719, 587),
    ("keras_csv/brats_training.log", "csv", 264, 24),
    ("ultralytics/gallstone_yolo11_results.csv", "csv", 200, 10),
];

#[test]
fn real_logs_give_what_python_counts_in_them() {
    for (name, format, n_samples, n_rows) in COUNTED {
        let Some(path) = shared(&format!("reallogs/{name}")) else {
            return;
        };
        let (found, tally, calls) = read(&path);
        assert_eq!(
            (found.as_str(), calls.samples().count(), tally.records),
            (format, n_samples, n_rows),
            "{name}"
        );
        assert_eq!(tally.skipped, 0, "{name}");
    }
}

#[test]
fn no_file_of_a_run_is_taken_for_damage() {
    let Some(runs) = shared("corpus/runs") else { return };
    let mut queue: Vec<PathBuf> = std::fs::read_dir(runs)
        .unwrap()
        .map(|run| run.unwrap().path().join("logs"))
        .collect();
    while let Some(path) = queue.pop() {
        if path.is_dir() {
            queue.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path
            .extension()
            .is_some_and(|e| ["json", "jsonl", "csv"].iter().any(|known| e == *known))
        {
            let (format, tally, calls) = read(&path);
            let formats = ["jsonl", "json", "trainer-state", "csv", "csv-long"];
            assert!(formats.contains(&format.as_str()), "{}: {format}", path.display());
            assert!(
                tally.skipped == 0 && calls.samples().count() > 0,
                "{}: {tally:?}",
                path.display()
            );
            assert!(
                !lines_of(&calls).iter().any(|line| line.starts_with("problem")),
                "{}",
                path.display()
            );
        }
    }
}
