//! What the keys of a row (JSON paths, CSV columns) stand for.
//!
//! In: names. Out: small numbers for them, each with its role. Invariants: a name keeps its number; at most
//! [`KEYS_MAX`] names are held and none longer than [`KEY_BYTES_MAX`]; roles depend on the name alone.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::model::Kept;

/// Most names of one file: 200 layers with 4 tensors, 10 statistics and 2 optimizer states each are 16,000.
pub(crate) const KEYS_MAX: usize = 65_536;

/// Longest name that is held.
pub(crate) const KEY_BYTES_MAX: usize = 512;

/// Names of all files.
static NAMES: Kept<()> = Kept::new();

/// What the value of a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A number that was measured.
    Metric,
    /// The step; of several the smallest rank is taken.
    Step(u8),
    /// The epoch: the step axis only where no step is.
    Epoch,
    /// The wall time, when plausible; of several the smallest rank is taken.
    Time(u8),
    /// How many steps the run is to have.
    Planned,
    /// Training or evaluation, as a word.
    Split,
    /// The layer that the numbers of the row belong to.
    Layer,
    /// The name of the number in a long row; `is_layer_word` when it may also name a layer.
    Name {
        /// True for words that also name the layer of a wide row (`name`).
        is_layer_word: bool,
    },
    /// The number of a long row.
    Value,
    /// Not a measurement (row labels, configuration).
    Ignored,
}

/// A name with its role.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    /// Whether it is a number of the whole run, so that the row is not about one layer.
    pub(crate) is_run_level: bool,
}

/// The names of one file.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    all: Vec<Key>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    /// The key that followed each key in the last row, so that rows of a constant shape need no hashing.
    followers: Vec<u32>,
    last: usize,
    n_refused: u64,
}

impl Keys {
    /// Tells that a new row starts.
    pub(crate) fn start_row(&mut self) {
        self.last = 0;
    }

    /// The number of a name, or `None` when the table is full or the name too long.
    pub(crate) fn intern(&mut self, name: &str) -> Option<u32> {
        let guess = self.followers.get(self.last).copied().unwrap_or(u32::MAX);
        let id = match self.all.get(guess as usize) {
            Some(key) if *key.name == *name => guess,
            _ => self.look_up(name)?,
        };
        if let Some(follower) = self.followers.get_mut(self.last) {
            *follower = id;
        } else {
            self.followers.resize(self.last + 1, id);
        }
        self.last = id as usize + 1;
        Some(id)
    }

    fn look_up(&mut self, name: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        let is_it = |id: &u32| self.all.get(*id as usize).is_some_and(|it| *it.name == *name);
        if let Some(id) = self.by_name.find(hash, is_it) {
            return Some(*id);
        }
        if self.all.len() >= KEYS_MAX || name.len() > KEY_BYTES_MAX {
            self.n_refused = self.n_refused.saturating_add(1);
            return None;
        }
        let id = self.all.len() as u32;
        self.all.push(Key {
            name: NAMES.get(name, |_| ()).0,
            role: role(name),
            is_run_level: is_run_level(name),
        });
        let (all, hasher) = (&self.all, &self.hasher);
        let hash_of = |id: &u32| all.get(*id as usize).map_or(0, |it| hasher.hash_one(&*it.name));
        self.by_name.insert_unique(hash, id, hash_of);
        Some(id)
    }

    /// Gives memory back that only speeds reading up.
    pub(crate) fn rest(&mut self) {
        self.all.shrink_to_fit();
        self.followers = Vec::new();
    }

    /// The key with this number.
    pub(crate) fn get(&self, id: u32) -> Option<&Key> {
        self.all.get(id as usize)
    }

    /// How many names are held.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Values that were dropped because their name was refused.
    pub(crate) fn n_refused(&self) -> u64 {
        self.n_refused
    }
}

/// Names of the step from the surest to the least sure. `_step` is the call counter of Weights & Biases,
/// which a run's own step beats; environment steps come last because frameworks log them beside iterations.
const STEP_NAMES: &[&str] = &[
    "step",
    "global_step",
    "trainer/global_step",
    "train/global_step",
    "train/step",
    "training_step",
    "current_steps",
    "current_step",
    "train_step",
    "optimizer_step",
    "gradient_step",
    "train_iter",
    "n_iter",
    "num_iter",
    "it",
    "iteration",
    "iter",
    "iter_num",
    "global_iter",
    "global_iteration",
    "num_updates",
    "n_updates",
    "update",
    "_step",
    "training_iteration",
    "total_timesteps",
    "time/total_timesteps",
    "timesteps_total",
    "num_env_steps_sampled_lifetime",
    "Progress/kimg",
    "Progress/tick",
    "iterations",
    "updates",
    "steps",
    "num_steps",
    "batch",
    "batch_idx",
];

/// Rank of the first name that a configuration uses too (`"steps": 1000`, `"batch": 32`).
pub(crate) const FIRST_UNSURE_STEP: u8 = 31;

const TIME_NAMES: &[&str] = &[
    "_timestamp",
    "timestamp",
    "wall_time",
    "walltime",
    "ts",
    "time",
    "datetime",
    "unix_time",
    "@timestamp",
    "asctime",
    "created_at",
    "date",
];

fn role(name: &str) -> Role {
    let lower = name.to_ascii_lowercase().replace([' ', '-'], "_");
    let rank = |names: &[&str]| {
        names
            .iter()
            .position(|n| n.eq_ignore_ascii_case(&lower))
            .map(|at| at as u8)
    };
    if let Some(rank) = rank(STEP_NAMES) {
        return Role::Step(rank);
    }
    if let Some(rank) = rank(TIME_NAMES) {
        return Role::Time(rank);
    }
    match lower.as_str() {
        "epoch" | "train/epoch" | "current_epoch" | "trainer/epoch" | "progress/epoch" => Role::Epoch,
        "total_steps" | "max_steps" | "max_iters" | "total_iters" | "max_iter" | "total_iterations"
        | "train_iters" => Role::Planned,
        "split" | "mode" | "phase" | "stage" | "type" | "kind" | "subset" | "event" => Role::Split,
        "layer" | "layer_name" | "layer_idx" | "layer_index" | "layer_id" | "param" | "parameter"
        | "param_name" | "parameter_name" | "tensor" | "weight_name" => Role::Layer,
        "name" | "module" => Role::Name { is_layer_word: true },
        "tag" | "metric" | "key" | "metric_name" | "variable" | "series" => {
            Role::Name { is_layer_word: false }
        }
        "value" | "metric_value" | "scalar" | "scalar_value" => Role::Value,
        "" | "index" => Role::Ignored,
        _ if is_ignored(&lower) => Role::Ignored,
        _ => Role::Metric,
    }
}

fn is_ignored(name: &str) -> bool {
    let spaces = ["config/", "hparams/", "args/", "_wandb/", "unnamed:"];
    spaces.iter().any(|space| name.starts_with(space))
}

fn is_run_level(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let word = lower.rsplit('/').next().unwrap_or_default();
    word.contains("loss")
        || matches!(
            word,
            "lr" | "learning_rate" | "accuracy" | "acc" | "epoch" | "perplexity"
        )
}

#[cfg(test)]
mod tests {
    use super::{FIRST_UNSURE_STEP, KEY_BYTES_MAX, KEYS_MAX, Keys, Role, STEP_NAMES, role};

    #[test]
    fn a_name_keeps_its_number_in_any_order() {
        let mut keys = Keys::default();
        let mut ids = |names: &[&str]| {
            keys.start_row();
            names.iter().map(|n| keys.intern(n)).collect::<Vec<_>>()
        };
        assert_eq!(ids(&["a", "b", "c"]), [Some(0), Some(1), Some(2)]);
        assert_eq!(ids(&["c", "a", "b"]), [Some(2), Some(0), Some(1)]);
        assert_eq!(ids(&["a", "a", "d", "b"]), [Some(0), Some(0), Some(3), Some(1)]);
        assert_eq!(ids(&["a", "b", "c"]), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut keys = Keys::default();
        for i in 0..KEYS_MAX {
            assert!(keys.intern(&format!("k{i}")).is_some());
        }
        assert_eq!(keys.intern("one more"), None);
        assert!(keys.intern("k7").is_some());
        assert_eq!(keys.n_refused(), 1);
        assert_eq!(Keys::default().intern(&"x".repeat(KEY_BYTES_MAX + 1)), None);
    }

    #[test]
    fn names_of_configurations_are_the_last_ones() {
        assert_eq!(
            STEP_NAMES.get(usize::from(FIRST_UNSURE_STEP)),
            Some(&"iterations")
        );
    }

    #[test]
    fn roles_go_by_the_whole_name() {
        assert_eq!(role("step"), Role::Step(0));
        assert_eq!(role("Step"), Role::Step(0));
        assert!(matches!(role("Progress/kimg"), Role::Step(_)));
        assert!(matches!(role("global step"), Role::Step(1)));
        assert_eq!(role("step_time"), Role::Metric);
        assert_eq!(role("train/box_loss"), Role::Metric);
        assert_eq!(role("config/lr"), Role::Ignored);
        assert_eq!(role("Unnamed: 0"), Role::Ignored);
        assert_eq!(role("max_steps"), Role::Planned);
        assert!(matches!(role("time"), Role::Time(_)));
    }
}
