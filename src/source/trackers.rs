//! The directory layouts of experiment trackers.
//!
//! In: the folders of one root. Out: which folders belong to another one's run, which hold one file per metric,
//! which hold nothing of interest. Invariant: a layout is told by more than one name, so that a directory that
//! happens to be called `metrics` or `files` stays what it is.
//!
//! `MLflow`: `<run>/meta.yaml`, `<run>/metrics/**`, and `params`, `tags` with one value per file. `DVCLive`:
//! `plots/metrics/**.tsv`. W&B: `run-*/run-*.wandb`, `run-*/files/output.log`, `run-*/logs/debug.log`.

use std::collections::BTreeSet;
use std::path::Path;

use super::walk::Folder;

/// What a folder is in the layout of a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Nothing special.
    Plain,
    /// It belongs to the run of the directory with so many parts.
    PartOf(usize),
    /// Each of its files is one metric of the run of the directory with so many parts.
    Metrics(usize),
    /// Nothing of interest.
    Foreign,
}

/// The layouts of the folders of one root.
pub(super) struct Trackers<'a> {
    root: &'a Path,
    /// Directories that hold a `.wandb` file.
    wandb: BTreeSet<Vec<String>>,
}

impl<'a> Trackers<'a> {
    pub(super) fn of(root: &'a Path, folders: &[Folder]) -> Self {
        let has_wandb = |it: &&Folder| {
            it.files
                .iter()
                .any(|file| Path::new(&file.name).extension().is_some_and(|it| it == "wandb"))
        };
        Self {
            root,
            wandb: folders
                .iter()
                .filter(has_wandb)
                .map(|it| it.parts.clone())
                .collect(),
        }
    }

    /// What the directory with these parts is.
    pub(super) fn layout(&self, parts: &[String]) -> Layout {
        for (at, part) in parts.iter().enumerate() {
            let above = parts.get(..at).unwrap_or_default();
            match part.as_str() {
                "metrics" if self.is_mlflow_run(above) => return Layout::Metrics(at),
                "params" | "tags" if self.is_mlflow_run(above) => return Layout::Foreign,
                "metrics" if above.last().is_some_and(|it| it == "plots") => return Layout::Metrics(at - 1),
                "files" if self.wandb.contains(above) => return Layout::PartOf(at),
                "logs" if self.wandb.contains(above) => return Layout::Foreign,
                _ => {}
            }
        }
        Layout::Plain
    }

    fn is_mlflow_run(&self, parts: &[String]) -> bool {
        let mut path = self.root.to_path_buf();
        path.extend(parts);
        path.join("meta.yaml").is_file()
    }
}
