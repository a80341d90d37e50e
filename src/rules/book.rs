//! Gathers what checks see into findings: one per rule, kind and quantity, the layers in it.
//!
//! In: bad and healed judgements with their subject. Out: [`Finding`]s. Invariants: one finding for forty NaN
//! layers; a finding's first step is that of the first alarm that no restart has superseded; at most
//! [`ENTRIES_MAX`] findings, the rest counted.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::check::Observation;
use super::rule::Rule;
use super::words::render;
use crate::model::{Finding, Quantity, Severity};

/// Findings of one stream beyond which further ones are only counted.
pub(super) const ENTRIES_MAX: usize = 4_096;

/// Times that trouble of one subject may heal and come back before further ones are counted with the last.
const EPISODES_MAX: u32 = 8;

/// The word of an observation that says how the log smooths what was judged.
pub(super) const SMOOTHED: &str = "smoothed";

/// What an alarm is about.
#[derive(Debug, Clone)]
pub(super) struct Subject<'a> {
    /// Which of the check's subjects; alarms of one subject continue each other.
    pub id: u64,
    /// The quantity.
    pub quantity: Quantity,
    /// The tag, for quantities that are not per layer.
    pub tag: Option<&'a str>,
    /// The layers, in depth order, each with a number that orders it.
    pub layers: Vec<(u32, &'a str)>,
    /// The profile at the alarm by depth, for sparklines: layer and value.
    pub evidence: Vec<(String, f64)>,
}

impl Subject<'_> {
    fn named_layers(&self) -> (u64, Vec<String>) {
        (
            self.id,
            self.layers.iter().map(|(_, name)| (*name).to_owned()).collect(),
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rule: usize,
    kind: &'static str,
    quantity: Quantity,
    tag: Option<String>,
    /// Trouble that healed and came back is told as a finding of its own.
    episode: u32,
}

#[derive(Debug)]
struct Entry {
    subjects: HashMap<u64, Alarm>,
    superseded: Option<Alarm>,
    layers: BTreeMap<(u64, u32), String>,
    worst: Observation,
    worst_severity: Severity,
    /// The subject of the worst observation, and the layers that it named.
    worst_layers: (u64, Vec<String>),
    evidence: Vec<(String, f64)>,
}

#[derive(Debug, Clone, Copy)]
struct Alarm {
    /// How bad it is since it last healed; `None` while it is healed.
    open: Option<Severity>,
    /// The worst that it has healed to.
    healed: Option<Severity>,
    first_step: i64,
    last_step: i64,
    count: u64,
}

impl Alarm {
    /// Takes one more bad point; whether it is news. A further one of known trouble changes no more than the count.
    fn take(&mut self, severity: Severity, step: i64) -> bool {
        let is_news = self.count == 0 || Some(severity) > self.open;
        self.open = self.open.max(Some(severity));
        self.last_step = step;
        self.count += 1;
        is_news
    }

    /// Whether all that was seen has healed.
    fn has_healed(&self) -> bool {
        self.open.is_none() && self.healed.is_some()
    }

    fn severity(&self) -> Severity {
        self.open.max(self.healed).unwrap_or(Severity::Info)
    }

    /// Both as one.
    fn join(self, other: Self) -> Self {
        Self {
            open: self.open.max(other.open),
            healed: self.healed.max(other.healed),
            first_step: self.first_step.min(other.first_step),
            last_step: self.last_step.max(other.last_step),
            count: self.count.saturating_add(other.count),
        }
    }
}

/// The findings of one stream.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: BTreeMap<Key, Entry>,
    /// The episode that each rule and subject is in.
    episodes: HashMap<(usize, u64), u32>,
    overflow: u64,
    revision: u64,
}

/// A finding with what only the run level needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// The finding.
    pub finding: Finding,
    /// The profile at the alarm by depth.
    pub evidence: Vec<(String, f64)>,
}

impl Book {
    /// An observation of rule number `rule` that has lasted long enough.
    pub(super) fn alarm(
        &mut self,
        rule: usize,
        severity: Severity,
        step: i64,
        subject: &Subject<'_>,
        seen: Observation,
    ) {
        let episode = self
            .episodes
            .get(&(rule, subject.id))
            .copied()
            .unwrap_or_default();
        let tag = subject.tag.map(str::to_owned);
        let key = Key {
            rule,
            kind: seen.kind,
            quantity: subject.quantity,
            tag,
            episode,
        };
        if !self.entries.contains_key(&key) && self.entries.len() >= ENTRIES_MAX {
            self.overflow += 1;
            return;
        }
        let severity = seen.severity.unwrap_or(severity);
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            subjects: HashMap::new(),
            superseded: None,
            layers: BTreeMap::new(),
            worst: seen.clone(),
            worst_severity: severity,
            worst_layers: subject.named_layers(),
            evidence: subject.evidence.clone(),
        });
        if !entry.subjects.contains_key(&subject.id) {
            // What a superseded attempt said of this subject stands no more.
            let stale = (subject.id, 0)..=(subject.id, u32::MAX);
            let stale: Vec<(u64, u32)> = entry.layers.range(stale).map(|(at, _)| *at).collect();
            for at in stale {
                entry.layers.remove(&at);
            }
        }
        for (order, name) in &subject.layers {
            entry
                .layers
                .entry((subject.id, *order))
                .or_insert_with(|| (*name).to_owned());
        }
        if severity > entry.worst_severity || entry.subjects.is_empty() {
            entry.worst = seen;
            entry.worst_severity = severity;
            entry.worst_layers = subject.named_layers();
            entry.evidence.clone_from(&subject.evidence);
        }
        let fresh = Alarm {
            open: None,
            healed: None,
            first_step: step,
            last_step: step,
            count: 0,
        };
        let alarm = entry.subjects.entry(subject.id).or_insert(fresh);
        self.revision += u64::from(alarm.take(severity, step));
    }

    /// What rule number `rule` saw of this subject has healed: its severity is now this one.
    pub(super) fn heal(&mut self, rule: usize, subject: u64, severity: Severity) {
        let mut was_alarmed = false;
        for (_, entry) in self.entries.iter_mut().filter(|(key, _)| key.rule == rule) {
            if let Some(alarm) = entry.subjects.get_mut(&subject).filter(|it| it.open.is_some()) {
                alarm.healed = alarm.healed.max(alarm.open.take().map(|it| it.min(severity)));
                was_alarmed = true;
            }
        }
        if was_alarmed {
            self.revision += 1;
            let episode = self.episodes.entry((rule, subject)).or_default();
            *episode = (*episode + 1).min(EPISODES_MAX - 1);
        }
    }

    /// A restart superseded everything that these subjects showed at or after `step`.
    pub(super) fn rewind(
        &mut self,
        step: i64,
        concerns: impl Fn(usize) -> bool,
        is_subject: impl Fn(u64) -> bool,
    ) {
        for (_, entry) in self.entries.iter_mut().filter(|(key, _)| concerns(key.rule)) {
            let gone: Vec<u64> = entry
                .subjects
                .iter()
                .filter(|(id, alarm)| alarm.first_step >= step && is_subject(**id))
                .map(|(id, _)| *id)
                .collect();
            self.revision += gone.len() as u64;
            for id in gone {
                entry.supersede(id);
            }
        }
    }

    /// The same for one subject; a restart asks it of thousands of series, one by one.
    pub(super) fn rewind_subject(&mut self, step: i64, subject: u64, concerns: impl Fn(usize) -> bool) {
        for (_, entry) in self.entries.iter_mut().filter(|(key, _)| concerns(key.rule)) {
            if entry
                .subjects
                .get(&subject)
                .is_some_and(|alarm| alarm.first_step >= step)
            {
                entry.supersede(subject);
                self.revision += 1;
            }
        }
    }

    /// Grows when a finding comes, gets worse, heals or is superseded; not with every further bad point.
    #[must_use]
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Observations that were not taken because there were too many findings.
    #[must_use]
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The findings as they stand now.
    #[must_use]
    pub(super) fn findings(&self, rules: &[Rule], steps_are_ordinal: bool) -> Vec<Noted> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| {
                let rule = rules.get(key.rule)?;
                let finding = entry.finding(key, rule, steps_are_ordinal)?;
                Some(Noted {
                    finding,
                    evidence: entry.evidence.clone(),
                })
            })
            .collect()
    }
}

impl Entry {
    fn supersede(&mut self, subject: u64) {
        self.superseded = self
            .subjects
            .remove(&subject)
            .into_iter()
            .chain(self.superseded)
            .reduce(Alarm::join);
    }

    fn finding(&self, key: &Key, rule: &Rule, steps_are_ordinal: bool) -> Option<Finding> {
        let standing = self.standing();
        let is_superseded = standing.is_none();
        let alarm = standing.or(self.superseded)?;
        let step = |step: i64| (!steps_are_ordinal).then_some(step);
        let layers = self.layer_names(|_| true);
        let mut finding = Finding {
            rule: rule.id.clone(),
            check: rule.check.name,
            family: rule.family,
            kind: key.kind,
            severity: if is_superseded {
                Severity::Info
            } else {
                alarm.severity()
            },
            quantity: key.quantity,
            tag: key.tag.clone(),
            layers,
            rank: None,
            first_step: step(alarm.first_step),
            last_step: step(alarm.last_step),
            count: alarm.count,
            value: Some(self.worst.value),
            bound: Some(self.worst.bound),
            forecast_step: self.worst.forecast_step,
            message: String::new(),
            diagnosis: rule.diagnosis.clone(),
            remedy: rule.remedy.clone(),
            caused_by: None,
            is_superseded,
            has_healed: alarm.has_healed(),
        };
        finding.message = self.sentence(rule, &finding, alarm.first_step);
        if steps_are_ordinal {
            let row = alarm.first_step;
            finding.message = format!(
                "{} (row {row} of the log, which has no step numbers)",
                finding.message
            );
        }
        if let Some((_, how)) = self.worst.words.iter().find(|(word, _)| *word == SMOOTHED) {
            let note = format!(" (the log prints the {how}: single steps were further out, and earlier)");
            finding.message.push_str(&note);
        }
        if is_superseded {
            finding
                .message
                .push_str(" (a later restart from an earlier step replaced these steps)");
        }
        Some(finding)
    }

    /// Names the layers in which it began; those that followed are counted.
    fn sentence(&self, rule: &Rule, finding: &Finding, first_step: i64) -> String {
        let began = |id: &u64| self.subjects.get(id).is_none_or(|it| it.first_step == first_step);
        let n_later = self.layer_names(|(id, _)| !began(id)).len();
        let (worst, named) = &self.worst_layers;
        let is_named = |(id, name): (&u64, &String)| began(id) && (id != worst || named.contains(name));
        let layers = self.layer_names(is_named);
        let mut text = render(
            &rule.summary,
            &Finding {
                layers,
                ..finding.clone()
            },
            first_step,
            &self.worst.words,
        );
        match n_later {
            0 => {}
            1 => text += "; 1 more layer later",
            n => text = format!("{text}; {n} more layers later"),
        }
        text
    }

    /// Layers in depth order, each once: of the subjects that stand, or of all where none does.
    fn layer_names(&self, wanted: impl Fn((&u64, &String)) -> bool) -> Vec<String> {
        let mut seen = HashSet::new();
        let stands = |id: &u64| self.subjects.is_empty() || self.subjects.contains_key(id);
        let names = self
            .layers
            .iter()
            .filter(|((id, _), name)| stands(id) && wanted((id, name)));
        names
            .map(|(_, name)| name)
            .filter(|name| seen.insert(name.as_str()))
            .cloned()
            .collect()
    }

    /// All alarms that still stand, as one.
    fn standing(&self) -> Option<Alarm> {
        self.subjects.values().copied().reduce(Alarm::join)
    }
}

#[cfg(test)]
mod tests;
