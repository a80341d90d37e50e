//! What a file's or directory's name says.
//!
//! In: a name. Out: whether it can be a log, whether it belongs to its directory's run, which rank wrote it.
//! Invariant: names only; a name never decides the format.

use std::sync::LazyLock;

use regex::Regex;

/// Extensions of files that are never logs.
const NEVER_LOGS: &[&str] = &[
    "py",
    "pyc",
    "pyi",
    "pyx",
    "ipynb",
    "sh",
    "bash",
    "bat",
    "ps1",
    "c",
    "h",
    "cc",
    "cpp",
    "cu",
    "cuh",
    "rs",
    "js",
    "ts",
    "css",
    "html",
    "htm",
    "pt",
    "pth",
    "ckpt",
    "safetensors",
    "bin",
    "npz",
    "npy",
    "pkl",
    "pickle",
    "joblib",
    "h5",
    "hdf5",
    "keras",
    "tflite",
    "onnx",
    "pb",
    "pbtxt",
    "gguf",
    "ggml",
    "msgpack",
    "parquet",
    "arrow",
    "feather",
    "mmap",
    "idx",
    "db",
    "sqlite",
    "sqlite3",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "bmp",
    "tif",
    "tiff",
    "pdf",
    "mp4",
    "avi",
    "mov",
    "wav",
    "mp3",
    "flac",
    "yaml",
    "yml",
    "toml",
    "cfg",
    "ini",
    "conf",
    "env",
    "lock",
    "xml",
    "md",
    "rst",
    "tex",
    "so",
    "o",
    "a",
    "dll",
    "exe",
    "whl",
    "zip",
    "tar",
    "tgz",
    "bz2",
    "xz",
    "zst",
    "7z",
    "rar",
    "patch",
    "diff",
    "pid",
    "swp",
    "ttf",
    "model",
    "proto",
    "index",
];

/// Names of files that lie beside logs and are none.
const NEVER_LOG_NAMES: &[&str] = &[
    "license",
    "licence",
    "copying",
    "notice",
    "readme",
    "readme.txt",
    "makefile",
    "dockerfile",
    "requirements.txt",
    "constraints.txt",
    "environment.txt",
    "pip-freeze.txt",
    "merges.txt",
    "vocab.txt",
    "vocab.json",
    "checkpoint",
    "latest",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "adapter_config.json",
    "preprocessor_config.json",
    "wandb-metadata.json",
    "wandb-summary.json",
    "package.json",
    "package-lock.json",
    "all_results.json",
    "train_results.json",
    "eval_results.json",
    "debug-internal.log",
    "debug-core.log",
];

/// Names of logs of which a run writes one, in its directory.
const CANONICAL: &[&str] = &[
    "trainer_state.json",
    "trainer_log.jsonl",
    "running_log.txt",
    "metrics.csv",
    "metrics.jsonl",
    "metrics.json",
    "log.jsonl",
    "log.json",
    "log.csv",
    "log.txt",
    "log",
    "progress.csv",
    "progress.json",
    "results.csv",
    "result.json",
    "history.csv",
    "history.json",
    "scalars.json",
    "stats.jsonl",
    "summary.csv",
    "training.csv",
    "training.log",
    "train.log",
    "train_log.txt",
    "main.log",
    "output.log",
    "console.log",
    "nohup.out",
    "stdout",
    "stdout.txt",
    "stdout.log",
    "stderr",
    "stderr.txt",
    "stderr.log",
    "out",
    "out.txt",
    "err",
    "err.txt",
    "monitor.csv",
];

/// Directories that hold no logs.
const NEVER_LOG_DIRECTORIES: &[&str] = &["__pycache__", "node_modules", "site-packages"];

/// Whether a base name is that of a TensorBoard event file.
pub(super) fn is_event_file(name: &str) -> bool {
    name.contains("tfevents")
}

/// Whether a file met on a walk may be a log.
pub(super) fn may_be_log(name: &str) -> bool {
    if name.starts_with('.') {
        return false;
    }
    if is_event_file(name) {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    if NEVER_LOG_NAMES.contains(&lower.as_str()) || lower.ends_with(".index.json") {
        return false;
    }
    let Some((stem, extension)) = lower.rsplit_once('.') else {
        return true;
    };
    if matches!(extension, "gz" | "zst") {
        return [
            ".log", ".txt", ".out", ".err", ".csv", ".tsv", ".json", ".jsonl", ".ndjson",
        ]
        .iter()
        .any(|it| stem.ends_with(it));
    }
    !NEVER_LOGS.contains(&extension)
}

/// Whether a directory met on a walk is entered.
pub(super) fn may_hold_logs(name: &str) -> bool {
    !name.starts_with('.') && !NEVER_LOG_DIRECTORIES.contains(&name)
}

/// Whether a file of this name belongs to the run of its directory, whatever lies beside it.
pub(super) fn is_canonical(name: &str) -> bool {
    CANONICAL.contains(&name.to_ascii_lowercase().as_str())
}

/// The step of a Hugging Face checkpoint directory (`checkpoint-500`).
pub(super) fn checkpoint_step(name: &str) -> Option<u64> {
    name.strip_prefix("checkpoint-")?.parse().ok()
}

/// Whether a directory is one version of a Lightning logger (`version_3`).
pub(super) fn is_lightning_version(name: &str) -> bool {
    name.strip_prefix("version_")
        .is_some_and(|it| it.parse::<u32>().is_ok())
}

static RANK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)^(.*?(?:^|[^a-z])(?:(?:local|global|dp)[_-]?)?(?:rank|worker|process|proc|replica)[._-]?)(\d{1,6})((?:[._-].*)?)$").ok()
});

/// The rank that a name tells, with the name around it: siblings of one family differ in the number alone.
///
/// `gpu0` and `node1` are left out: people start one run per device as often as one rank.
pub(super) fn rank_of(name: &str) -> Option<(String, u32)> {
    let groups = RANK.as_ref()?.captures(name)?;
    let part = |at: usize| groups.get(at).map_or("", |it| it.as_str());
    Some((format!("{}#{}", part(1), part(3)), part(2).parse().ok()?))
}

/// The name without its last extension, if it is one of a pair of standard streams (`job-7.out`, `job-7.err`).
pub(super) fn stem_of_stream_pair(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    matches!(extension, "out" | "err" | "stdout" | "stderr").then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::{checkpoint_step, is_canonical, is_lightning_version, may_be_log, rank_of};

    #[test]
    fn ranks_are_told_by_directory_and_file_names() {
        for (name, family, rank) in [
            ("rank_0", "rank_#", 0),
            ("rank-2", "rank-#", 2),
            ("rank1.log", "rank#.log", 1),
            ("worker_3", "worker_#", 3),
            ("log.rank0", "log.rank#", 0),
            ("train_local_rank_12.txt", "train_local_rank_#.txt", 12),
        ] {
            assert_eq!(rank_of(name), Some((family.to_owned(), rank)), "{name}");
        }
        for name in [
            "franktown1",
            "version_0",
            "gpu0",
            "run1",
            "rank",
            "rank0a",
            "rank99999999",
        ] {
            assert_eq!(rank_of(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_are_never_logs_are_left_out() {
        for name in [
            "model.pt",
            "README.md",
            "LICENSE",
            ".hidden",
            "config.json",
            "data.tar.gz",
            "x.YAML",
        ] {
            assert!(!may_be_log(name), "{name}");
        }
        for name in [
            "train.INFO",
            "slurm-12.out",
            "log",
            "a.log.gz",
            "x.tfevents.1.gz",
            "metrics.tsv",
            "a.wandb",
        ] {
            assert!(may_be_log(name), "{name}");
        }
    }

    #[test]
    fn special_names_are_known() {
        assert!(is_canonical("Metrics.CSV") && !is_canonical("run7.csv"));
        assert_eq!(checkpoint_step("checkpoint-500"), Some(500));
        assert_eq!(checkpoint_step("checkpoint-best"), None);
        assert!(is_lightning_version("version_0") && !is_lightning_version("version_x"));
    }
}
