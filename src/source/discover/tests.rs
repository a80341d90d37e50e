//! Directory trees as frameworks and people make them, and the runs they must give.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{Discovery, Listings, discover, discover_at_most};

#[test]
fn a_run_below_two_roots_is_there_once() {
    let tree = Tree::of(&[
        "runs/a/metrics.jsonl",
        "runs/b/rank_0/log.txt",
        "runs/b/rank_1/log.txt",
    ]);
    let of = |names: &[&str]| {
        let paths: Vec<PathBuf> = names.iter().map(|it| tree.path(it)).collect();
        let found = discover(&paths);
        let names = found.runs.iter().map(|it| it.name.clone());
        let short = names.map(|it| it.rsplit_once("runs").unwrap().1.to_owned());
        (short.collect::<Vec<_>>(), found.problems.len())
    };
    let both = vec!["/a".to_owned(), "/b".to_owned()];
    for roots in [
        &["runs", "runs/a"][..],
        &["runs", "runs/a/metrics.jsonl", "runs/b/rank_1"],
        &["runs", "runs/../runs"],
    ] {
        assert_eq!(of(roots), (both.clone(), 0), "{roots:?}");
    }
    // Where the part comes first, the whole stays.
    assert_eq!(of(&["runs/b/rank_1", "runs/b"]).0, ["/b"]);
    assert_eq!(of(&["runs/a", "runs/b"]).0, both, "what does not overlap stays");
    assert_eq!(of(&["runs", "none", "runs/none/../none"]).1, 2);
}

/// A directory tree; a name that ends in `/` is a directory.
struct Tree(tempfile::TempDir);

impl Tree {
    fn of(names: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for name in names {
            let path = tree.path(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, *name).unwrap();
            }
        }
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn discover(&self) -> Discovery {
        discover(&[self.0.path().to_path_buf()])
    }

    /// Each run as `name: rank=file+file file`, with paths relative to the tree.
    fn runs(&self) -> Vec<String> {
        let found = self.discover();
        assert_eq!(found.problems, [], "no problem expected");
        self.render(&found)
    }

    fn render(&self, found: &Discovery) -> Vec<String> {
        found
            .runs
            .iter()
            .map(|run| {
                let streams: Vec<String> = run
                    .streams
                    .iter()
                    .map(|stream| {
                        let files: Vec<_> = stream
                            .files
                            .iter()
                            .map(|it| {
                                it.strip_prefix(self.0.path())
                                    .unwrap_or(it)
                                    .to_string_lossy()
                                    .into_owned()
                            })
                            .collect();
                        let rank = stream.rank.map_or(String::new(), |it| format!("{it}="));
                        format!("{rank}{}", files.join("+"))
                    })
                    .collect();
                format!("{}: {}", run.name, streams.join(" "))
            })
            .collect()
    }
}

#[test]
fn all_event_files_of_a_directory_are_one_stream_of_its_run() {
    let tree = Tree::of(&[
        "events.out.tfevents.2.h",
        "events.out.tfevents.1.h",
        "a/x.tfevents.9",
    ]);
    let found = tree.discover();
    assert!(found.runs[0].streams[0].is_event_files);
    assert_eq!(found.n_files_seen, 3);
    assert_eq!(
        tree.runs(),
        [
            ".: events.out.tfevents.1.h+events.out.tfevents.2.h",
            "a: a/x.tfevents.9"
        ]
    );
}

#[test]
fn logs_with_customary_names_belong_to_their_directory() {
    let tree = Tree::of(&[
        "r/metrics.csv",
        "r/stdout.log",
        "r/job-7.out",
        "r/e.tfevents.1",
        "r/config.json",
    ]);
    assert_eq!(
        tree.runs(),
        ["r: r/e.tfevents.1 r/job-7.out r/metrics.csv r/stdout.log"]
    );
}

#[test]
fn two_other_text_files_are_two_runs_and_one_is_its_directory() {
    let tree = Tree::of(&["a/one.log", "a/two.log", "b/only.log"]);
    assert_eq!(
        tree.runs(),
        ["a/one.log: a/one.log", "a/two.log: a/two.log", "b: b/only.log"]
    );
}

#[test]
fn the_two_standard_streams_of_a_job_are_one_run() {
    let tree = Tree::of(&["slurm-1.out", "slurm-1.err", "slurm-2.out", "slurm-2.err"]);
    assert_eq!(
        tree.runs(),
        [
            "slurm-1.out: slurm-1.err slurm-1.out",
            "slurm-2.out: slurm-2.err slurm-2.out"
        ]
    );
}

#[test]
fn the_newest_checkpoint_stands_for_all_in_the_parent() {
    let tree = Tree::of(&[
        "m/checkpoint-90/trainer_state.json",
        "m/checkpoint-100/trainer_state.json",
        "m/checkpoint-100/vocab.txt",
        "m/runs/e.tfevents.1",
    ]);
    assert_eq!(
        tree.runs(),
        [
            "m: m/checkpoint-100/trainer_state.json",
            "m/runs: m/runs/e.tfevents.1"
        ]
    );
}

#[test]
fn other_logs_beside_a_checkpoint_s_state_are_kept() {
    let tree = Tree::of(&[
        "m/checkpoint-10/trainer_state.json",
        "m/checkpoint-10/metrics.jsonl",
        "m/checkpoint-10/vocab.txt",
        "m/checkpoint-20/trainer_state.json",
    ]);
    let kept = "m/checkpoint-10: m/checkpoint-10/metrics.jsonl";
    assert_eq!(tree.runs(), ["m: m/checkpoint-20/trainer_state.json", kept]);
}

#[test]
fn the_longer_of_the_final_and_the_newest_checkpoint_s_log_stays() {
    let tree = Tree::of(&["checkpoint-9/trainer_state.json", "trainer_state.json"]);
    assert_eq!(tree.runs(), [".: checkpoint-9/trainer_state.json"]);
    fs::write(tree.path("trainer_state.json"), "x".repeat(1000)).unwrap();
    assert_eq!(tree.runs(), [".: trainer_state.json"]);
}

#[test]
fn rank_directories_are_ranks_of_their_parent() {
    let tree = Tree::of(&[
        "run/rank_0/e.tfevents.1",
        "run/rank_1/e.tfevents.1",
        "run/rank_10/e.tfevents.1",
    ]);
    let expected = "run: 0=run/rank_0/e.tfevents.1 1=run/rank_1/e.tfevents.1 10=run/rank_10/e.tfevents.1";
    assert_eq!(tree.runs(), [expected]);
}

#[test]
fn rank_files_are_ranks_and_a_lone_rank_is_a_name() {
    let tree = Tree::of(&[
        "a/rank0.log",
        "a/rank1.log",
        "b/log.rank0",
        "b/log.rank1",
        "c/rank_0/x.log",
    ]);
    assert_eq!(
        tree.runs(),
        [
            "a: 0=a/rank0.log 1=a/rank1.log",
            "b: 0=b/log.rank0 1=b/log.rank1",
            "c/rank_0: c/rank_0/x.log"
        ]
    );
}

#[test]
fn runs_below_rank_directories_keep_their_names() {
    let tree = Tree::of(&["rank_0/tb/e.tfevents.1", "rank_1/tb/e.tfevents.1"]);
    assert_eq!(
        tree.runs(),
        ["tb: 0=rank_0/tb/e.tfevents.1 1=rank_1/tb/e.tfevents.1"]
    );
}

#[test]
fn two_loggers_of_one_lightning_run_are_one_run() {
    let tree = Tree::of(&["r/csv/version_0/metrics.csv", "r/tb/version_0/e.tfevents.1"]);
    assert_eq!(
        tree.runs(),
        ["r: r/csv/version_0/metrics.csv r/tb/version_0/e.tfevents.1"]
    );
    let tree = Tree::of(&[
        "csv/version_0/metrics.csv",
        "csv/version_1/metrics.csv",
        "tb/version_0/e.tfevents.1",
        "tb/version_1/e.tfevents.1",
    ]);
    assert_eq!(
        tree.runs(),
        [
            "version_0: csv/version_0/metrics.csv tb/version_0/e.tfevents.1",
            "version_1: csv/version_1/metrics.csv tb/version_1/e.tfevents.1"
        ]
    );
}

#[test]
fn two_lightning_experiments_are_two_runs() {
    let tree = Tree::of(&["a/version_0/e.tfevents.1", "b/version_0/e.tfevents.1"]);
    assert_eq!(
        tree.runs(),
        [
            "a/version_0: a/version_0/e.tfevents.1",
            "b/version_0: b/version_0/e.tfevents.1"
        ]
    );
}

#[test]
fn a_file_given_by_name_is_a_run_whatever_its_name() {
    let tree = Tree::of(&["notes.md", "e.tfevents.1"]);
    let found = discover(&[tree.path("notes.md")]);
    assert_eq!(tree.render(&found), ["notes.md: notes.md"]);
    assert!(discover(&[tree.path("e.tfevents.1")]).runs[0].streams[0].is_event_files);
}

#[test]
fn several_roots_stand_before_the_names_and_one_given_twice_counts_once() {
    let tree = Tree::of(&["a/x.log", "b/r/y.log"]);
    let (a, b) = (tree.path("a"), tree.path("b"));
    let found = discover(&[a.clone(), b.clone(), a.clone()]);
    let names: Vec<_> = found.runs.iter().map(|it| it.name.clone()).collect();
    assert_eq!(names, [a.display().to_string(), format!("{}/r", b.display())]);
    assert_eq!(discover(&[a.clone(), a]).runs[0].name, ".");
}

#[test]
fn what_cannot_be_walked_is_said() {
    let tree = Tree::of(&["empty/", "only/model.pt"]);
    let what = |name: &str| {
        let found = discover(&[tree.path(name)]);
        assert!(found.runs.is_empty());
        found
            .problems
            .iter()
            .map(|it| it.what.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(what("gone"), ["no such file or directory"]);
    assert_eq!(what("empty"), ["directory holds no files that look like logs"]);
    assert_eq!(what("only"), ["directory holds no files that look like logs"]);
}

#[test]
fn symlinks_are_followed_and_loops_are_cut() {
    let tree = Tree::of(&["real/x.log", "other/y.log"]);
    symlink(tree.path("other"), tree.path("real/link")).unwrap();
    symlink(tree.path("real"), tree.path("real/back")).unwrap();
    symlink(tree.path("nowhere"), tree.path("real/broken")).unwrap();
    let found = discover(&[tree.path("real")]);
    assert_eq!(tree.render(&found), [".: real/x.log", "link: real/link/y.log"]);
    let what: Vec<_> = found.problems.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        what,
        ["symlink loop cut: the directory is one of those it lies in"]
    );
    symlink(tree.path("other/self"), tree.path("other/self")).unwrap();
    let found = discover(&[tree.path("other")]);
    assert_eq!(
        found.problems[0].what,
        "symlink loop cut: the link leads to itself"
    );
}

#[test]
fn hidden_and_foreign_directories_are_not_entered() {
    let tree = Tree::of(&[
        "x.log",
        ".git/y.log",
        "__pycache__/z.log",
        "node_modules/w.log",
        ".y.log",
    ]);
    assert_eq!(tree.runs(), [".: x.log"]);
}

#[test]
fn the_number_of_files_is_bounded_and_said() {
    let names: Vec<String> = (0..8).map(|it| format!("d{it}/x.log")).collect();
    let tree = Tree::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let found = discover_at_most(&[tree.path("")], 3, &mut Listings::default());
    assert_eq!(found.runs.len(), 3);
    assert_eq!(found.problems.len(), 1);
    assert!(
        found.problems[0].what.starts_with("more than 3 files"),
        "{:?}",
        found.problems
    );
}

#[test]
fn the_depth_is_bounded_and_said() {
    let deep = |n: usize| format!("{}x.log", "d/".repeat(n));
    let tree = Tree::of(&[&deep(super::super::MAX_DEPTH), &deep(super::super::MAX_DEPTH + 1)]);
    let found = tree.discover();
    assert_eq!(found.runs.len(), 1);
    assert!(found.problems[0].what.starts_with("directories below depth 64"));
}

#[test]
fn the_metrics_of_an_mlflow_run_are_one_stream() {
    let tree = Tree::of(&[
        "mlruns/0/meta.yaml",
        "mlruns/0/cb00/meta.yaml",
        "mlruns/0/cb00/metrics/loss",
        "mlruns/0/cb00/metrics/grad_norm/fc1",
        "mlruns/0/cb00/params/lr",
        "mlruns/0/cb00/tags/mlflow.user",
        "metrics/loss",
    ]);
    assert_eq!(
        tree.runs(),
        [
            "metrics: metrics/loss",
            "mlruns/0/cb00: mlruns/0/cb00/metrics/grad_norm/fc1+mlruns/0/cb00/metrics/loss",
        ]
    );
}

#[test]
fn the_metrics_of_dvclive_are_one_stream_beside_its_latest_values() {
    let tree = Tree::of(&[
        "d/metrics.json",
        "d/plots/metrics/loss.tsv",
        "d/plots/metrics/train/acc.tsv",
    ]);
    assert_eq!(
        tree.runs(),
        ["d: d/metrics.json d/plots/metrics/loss.tsv+d/plots/metrics/train/acc.tsv"]
    );
}

#[test]
fn a_wandb_run_has_its_console_with_it_and_is_there_once() {
    let tree = Tree::of(&[
        "wandb/run-1-a/run-a.wandb",
        "wandb/run-1-a/files/output.log",
        "wandb/run-1-a/logs/debug.log",
        "files/output.log",
    ]);
    symlink("run-1-a", tree.path("wandb/latest-run")).unwrap();
    symlink("run-1-a/logs/debug.log", tree.path("wandb/debug.log")).unwrap();
    assert_eq!(
        tree.runs(),
        [
            "files: files/output.log",
            "wandb/run-1-a: wandb/run-1-a/files/output.log wandb/run-1-a/run-a.wandb",
        ]
    );
}

#[test]
fn symlinks_that_multiply_paths_are_followed_a_bounded_number_of_times() {
    let names: Vec<String> = (0..40).map(|it| format!("d{it}/log.txt")).collect();
    let tree = Tree::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for at in 0..39 {
        for name in ["left", "right"] {
            symlink(format!("../d{}", at + 1), tree.path(&format!("d{at}/{name}"))).unwrap();
        }
    }
    let found = tree.discover();
    assert!((40..=40 * 16).contains(&found.runs.len()), "{}", found.runs.len());
    assert!(
        found
            .problems
            .iter()
            .any(|it| it.what.starts_with("symlinks lead here over more than 16 paths"))
    );
    assert!(found.problems.len() <= 40);
}
