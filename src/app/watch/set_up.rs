//! What `gradwatch watch` is told to do: settings, rules, line patterns, receivers.
//!
//! In: the command line and the files that it and the configuration name. Out: all of it, checked. Invariant: all or
//! nothing: one problem in one of the files, and what was in force before stays.

use super::core::Watch;
use super::telling::Telling;
use crate::app::baseline::NamedBaseline;
use crate::app::{InForce, own_patterns, rule_set, settings};
use crate::cli::WatchArgs;
use crate::config::Settings;
use crate::decode::OwnPatterns;
use crate::rules::RuleSet;

/// All that the files say.
pub(super) struct SetUp {
    pub(super) settings: Settings,
    rules: RuleSet,
    patterns: OwnPatterns,
    pub(super) baseline: Option<NamedBaseline>,
    /// Who is told; nobody: none.
    pub(super) telling: Option<Telling>,
}

impl SetUp {
    /// Reads everything.
    pub(super) fn read(args: &WatchArgs) -> anyhow::Result<Self> {
        Self::read_again(args, args.state.state.is_some())
    }

    /// The same for a daemon that runs; `has_state`: what it tells is remembered, whoever is told from now on.
    pub(super) fn read_again(args: &WatchArgs, has_state: bool) -> anyhow::Result<Self> {
        let settings = settings::of_watch(args)?;
        let rules = rule_set::load_files(&settings.watch.rules)?;
        let patterns = own_patterns::compiled(&rules)?;
        let by = InForce::new(&rules.rules, &patterns);
        let named = settings.watch.baseline.as_deref();
        let baseline = named.map(|path| NamedBaseline::read(path, by)).transpose()?;
        let telling = Telling::new(args, &settings, has_state)?;
        Ok(Self {
            settings,
            rules,
            patterns,
            baseline,
            telling,
        })
    }

    /// A watch that has read nothing.
    pub(super) fn watch(&self) -> Watch<'_> {
        let by = InForce::new(&self.rules.rules, &self.patterns);
        Watch::new(&self.settings.watch.paths, by).with_baseline(self.baseline.clone())
    }
}
