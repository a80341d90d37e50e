//! The alarms of one run and the thread of messages about them.
//!
//! In: notices, the time. Out: why a message is due, and the message. Invariants: all messages from the first alarm of a
//! run until everything that was told is over belong to one incident; what an alarm causes never leads to a message of
//! its own unless it is worse than all that was told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::life::{Life, Stage};
use super::policy::{Policy, later};
use super::{Alarm, Bulletin, Fingerprint, News, Notice, Occasion, Over, Remembered, Silence, Standing};
use crate::model::Severity;

/// Which run: names are unique below a root only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// The directory or file that is watched, absolute.
    pub root: String,
    /// The run's name.
    pub run: String,
}

/// Messages that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its name.
    pub name: String,
    /// The place of the next message.
    pub sequence: u32,
    /// When the latest message was made.
    pub told_at: Timestamp,
    /// Repetitions since something was new.
    pub n_repeats: u32,
}

/// The alarms of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Case {
    /// Each alarm, also those that are over.
    pub lives: BTreeMap<Fingerprint, Life>,
    /// The messages, from the first alarm that is told until all is over.
    pub incident: Option<Incident>,
}

/// What people said about alarms.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Alarms that somebody takes care of, and how bad they were then.
    pub(super) acks: BTreeMap<Fingerprint, Severity>,
    pub(super) silences: Vec<Silence>,
}

/// What decides whether an alarm is told now.
pub(super) struct Circumstances<'a> {
    pub(super) policy: &'a Policy,
    pub(super) wishes: &'a Wishes,
    pub(super) now: Timestamp,
    /// Nobody will write any more: nothing is waited for.
    pub(super) is_last: bool,
}

impl Circumstances<'_> {
    fn is_silenced(&self, run: &str, life: &Life) -> bool {
        let rule = &life.finding.rule;
        let worst = life
            .told
            .map_or(life.finding.severity, |it| it.max(life.finding.severity));
        worst < self.policy.severity
            || self
                .wishes
                .silences
                .iter()
                .any(|it| it.covers(run, rule, self.now))
    }

    fn is_acked(&self, fingerprint: Fingerprint, life: &Life) -> bool {
        let acked = self.wishes.acks.get(&fingerprint);
        acked.is_some_and(|it| life.finding.severity <= *it)
    }
}

/// Why a message is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) occasion: Occasion,
    pub(super) severity: Severity,
    pub(super) at: Timestamp,
}

/// Alarms of a run that are over are kept, so that a log that is read again says nothing twice; beyond this many the
/// oldest are forgotten.
const OVER_MAX: usize = 256;

impl Case {
    pub(super) fn hear(&mut self, notice: &Notice, policy: &Policy, now: Timestamp) {
        if let Some(life) = self.lives.get_mut(&notice.fingerprint) {
            life.hear(notice.news, &notice.finding, notice.is_consequence, policy, now);
            return;
        }
        let mut life = Life::begin(&notice.finding, notice.is_consequence, now);
        life.hear(notice.news, &notice.finding, notice.is_consequence, policy, now);
        self.lives.insert(notice.fingerprint, life);
        self.forget_oldest();
    }

    /// Nothing more will be heard of the run.
    pub(super) fn give_up(&mut self, policy: &Policy, now: Timestamp) {
        let gone = News::Resolved(Over::NoData);
        for life in self.lives.values_mut().filter(|it| it.stands()) {
            let (finding, is_consequence) = (life.finding.clone(), life.is_consequence);
            life.hear(gone, &finding, is_consequence, policy, now);
        }
    }

    fn forget_oldest(&mut self) {
        let mut over: Vec<(Timestamp, Fingerprint)> = self
            .lives
            .iter()
            .filter(|(_, it)| it.is_settled && !it.stands())
            .map(|(fingerprint, it)| (it.since, *fingerprint))
            .collect();
        over.sort_unstable();
        for (_, fingerprint) in over.iter().take(over.len().saturating_sub(OVER_MAX)) {
            self.lives.remove(fingerprint);
        }
    }

    /// Lets time pass. Gives the alarms that are over now; whether anything changed is in the second value.
    pub(super) fn age(&mut self, run: &str, around: &Circumstances<'_>) -> (Vec<Fingerprint>, bool) {
        let mut over = Vec::new();
        let mut is_changed = false;
        for (fingerprint, life) in &mut self.lives {
            if life.age(around.policy, around.now, around.is_last) {
                is_changed = true;
                over.push(*fingerprint);
            }
            let is_quiet = around.is_silenced(run, life) || around.is_acked(*fingerprint, life);
            if !life.stands() && !life.is_settled && life.told.is_none() && is_quiet {
                life.is_settled = true;
                is_changed = true;
            }
        }
        (over, self.close_quietly(run, around) || is_changed)
    }

    /// Ends an incident of which nobody wants to hear the end.
    fn close_quietly(&mut self, run: &str, around: &Circumstances<'_>) -> bool {
        let told_stand = self.told().any(|(_, it)| it.stands());
        let is_wanted = |it: &Life| around.policy.send_resolved && !around.is_silenced(run, it);
        if self.incident.is_none() || told_stand || self.told().any(|(_, it)| is_wanted(it)) {
            return false;
        }
        self.settle_all_told();
        true
    }

    fn settle_all_told(&mut self) {
        for life in self.lives.values_mut().filter(|it| it.told.is_some()) {
            life.is_settled = true;
        }
        self.incident = None;
    }

    /// What was told and is not settled.
    fn told(&self) -> impl Iterator<Item = (&Fingerprint, &Life)> {
        self.lives
            .iter()
            .filter(|(_, it)| it.told.is_some() && !it.is_settled)
    }

    /// Why and since when a message is due, or will be.
    pub(super) fn due(&self, run: &str, around: &Circumstances<'_>) -> Option<Due> {
        // What stands behind an end is alone, whatever had explained it.
        let has_cause = self.told().any(|(_, it)| it.stands());
        let worst_told = self.told().filter_map(|(_, it)| it.told).max();
        let audible = |(fingerprint, it): &(&Fingerprint, &Life)| {
            !it.is_settled && !around.is_silenced(run, it) && !around.is_acked(**fingerprint, it)
        };
        let mut dues: Vec<Due> = Vec::new();
        for (_, life) in self.lives.iter().filter(audible) {
            let is_worse = worst_told.is_none_or(|it| life.finding.severity > it);
            let speaks = !life.is_consequence || !has_cause || is_worse;
            let severity = life.finding.severity;
            match life.told {
                None if speaks => dues.extend(life.due(around.policy).map(|at| Due {
                    occasion: Occasion::Firing,
                    severity,
                    at: if around.is_last { around.now.min(at) } else { at },
                })),
                Some(told) if severity > told && life.stage == Stage::Firing => dues.push(Due {
                    occasion: Occasion::Worse,
                    severity,
                    at: around.now,
                }),
                _ => {}
            }
        }
        let first = dues.iter().map(|it| it.at).min();
        let Some(at) = first else {
            return self.due_again(run, around);
        };
        let severity = dues.iter().map(|it| it.severity).max()?;
        let is_worse = dues.iter().any(|it| it.occasion == Occasion::Worse);
        let occasion = if is_worse {
            Occasion::Worse
        } else if self.incident.is_none() && !self.lives.values().any(|it| !it.is_settled && it.stands()) {
            Occasion::Resolved
        } else {
            Occasion::Firing
        };
        Some(Due {
            occasion,
            severity,
            at,
        })
    }

    /// The end of what was told, or its repetition.
    fn due_again(&self, run: &str, around: &Circumstances<'_>) -> Option<Due> {
        let incident = self.incident.as_ref()?;
        let severity = self.told().filter_map(|(_, it)| it.told).max()?;
        if !self.told().any(|(_, it)| it.stands()) {
            // What is about to end as well is told with it.
            let is_ending =
                |it: &Life| it.told.is_none() && !it.is_settled && matches!(it.stage, Stage::Ending { .. });
            if self.lives.values().any(is_ending) {
                return None;
            }
            return Some(Due {
                occasion: Occasion::Resolved,
                severity,
                at: around.now,
            });
        }
        let is_heard = |(fingerprint, it): (&Fingerprint, &Life)| {
            it.stands() && !around.is_silenced(run, it) && !around.is_acked(*fingerprint, it)
        };
        let repeat = around.policy.repeat_after(incident.n_repeats)?;
        self.told().any(is_heard).then(|| Due {
            occasion: Occasion::Reminder,
            severity,
            at: later(incident.told_at, repeat),
        })
    }

    /// The message that is due, told from now on. `name` names the incident when this is its first message.
    pub(super) fn tell(
        &mut self,
        key: &RunKey,
        occasion: Occasion,
        around: &Circumstances<'_>,
        name: &mut dyn FnMut(Fingerprint) -> String,
    ) -> Option<Bulletin> {
        let mut told: Vec<(Fingerprint, bool)> = self
            .lives
            .iter()
            .filter(|(_, it)| !it.is_settled && !around.is_silenced(&key.run, it))
            .filter(|(fingerprint, it)| {
                let is_untold_end = matches!(it.stage, Stage::Ending { .. });
                it.told.is_some() || !is_untold_end && !around.is_acked(**fingerprint, it)
            })
            .map(|(fingerprint, it)| (*fingerprint, it.is_consequence))
            .collect();
        let has_root = told.iter().any(|(_, is_consequence)| !is_consequence);
        if !has_root {
            for (_, is_consequence) in &mut told {
                *is_consequence = false;
            }
        }
        let first = told.first()?.0;
        let incident = self.incident.get_or_insert_with(|| Incident {
            name: name(first),
            sequence: 0,
            told_at: around.now,
            n_repeats: 0,
        });
        let mut bulletin = Bulletin {
            occasion,
            run: key.run.clone(),
            root: key.root.clone(),
            incident: incident.name.clone(),
            sequence: incident.sequence,
            at: around.now,
            roots: Vec::new(),
            consequences: Vec::new(),
        };
        incident.sequence = incident.sequence.saturating_add(1);
        incident.told_at = around.now;
        incident.n_repeats = match occasion {
            Occasion::Reminder => incident.n_repeats.saturating_add(1),
            _ => 0,
        };
        for (fingerprint, is_consequence) in &told {
            if let Some(alarm) = self.tell_one(*fingerprint) {
                let list = if *is_consequence {
                    &mut bulletin.consequences
                } else {
                    &mut bulletin.roots
                };
                list.push(alarm);
            }
        }
        worst_first(&mut bulletin.roots);
        worst_first(&mut bulletin.consequences);
        if !self.told().any(|(_, it)| it.stands()) {
            self.settle_all_told();
        }
        Some(bulletin)
    }

    /// What was told and stands, for receivers that have to hear of it again and again.
    pub(super) fn as_it_stands(&self, key: &RunKey, around: &Circumstances<'_>) -> Option<Bulletin> {
        let incident = self.incident.as_ref()?;
        let is_heard = |it: &Life| it.stands() && !around.is_silenced(&key.run, it);
        let standing = self.told().filter(|(_, it)| is_heard(it));
        let (consequences, roots): (Vec<_>, Vec<_>) = standing.partition(|(_, it)| it.is_consequence);
        let alarms = |list: Vec<(&Fingerprint, &Life)>| -> Vec<Alarm> {
            let alarm = |(fingerprint, it): (&Fingerprint, &Life)| Alarm {
                fingerprint: *fingerprint,
                finding: it.finding.clone(),
                since: it.since,
                standing: Standing::Firing,
            };
            list.into_iter().map(alarm).collect()
        };
        let (roots, consequences) = if roots.is_empty() {
            (consequences, roots)
        } else {
            (roots, consequences)
        };
        let bulletin = Bulletin {
            occasion: Occasion::Reminder,
            run: key.run.clone(),
            root: key.root.clone(),
            incident: incident.name.clone(),
            sequence: incident.sequence,
            at: around.now,
            roots: alarms(roots),
            consequences: alarms(consequences),
        };
        Some(bulletin).filter(|it| !it.roots.is_empty())
    }

    fn tell_one(&mut self, fingerprint: Fingerprint) -> Option<Alarm> {
        let life = self.lives.get_mut(&fingerprint)?;
        let severity = life.finding.severity;
        life.told = Some(life.told.map_or(severity, |it| it.max(severity)));
        let standing = match life.stage {
            Stage::Firing | Stage::Ending { .. } => Standing::Firing,
            Stage::Over { over, .. } => {
                life.is_settled = true;
                Standing::Resolved(over)
            }
        };
        Some(Alarm {
            fingerprint,
            finding: life.finding.clone(),
            since: life.since,
            standing,
        })
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.lives.values_mut().for_each(|it| it.shift(by));
        if let Some(incident) = &mut self.incident {
            incident.told_at = later(incident.told_at, by);
        }
    }

    /// Whether time alone can make something happen.
    pub(super) fn is_open(&self) -> bool {
        self.incident.is_some() || self.lives.values().any(|it| !it.is_settled)
    }

    /// What the journal of the run should know: what stands, and what had healed by itself and is still in the log.
    pub(super) fn remembered(&self) -> Vec<Remembered> {
        let known = |(fingerprint, life): (&Fingerprint, &Life)| {
            let stands = match life.stage {
                Stage::Firing => true,
                Stage::Ending { over, .. } | Stage::Over { over, .. } if over == Over::Healed => false,
                Stage::Ending { .. } | Stage::Over { .. } => return None,
            };
            Some(Remembered {
                fingerprint: *fingerprint,
                finding: life.finding.clone(),
                said: life.finding.severity.max(life.told.unwrap_or(Severity::Info)),
                stands,
                is_consequence: life.is_consequence,
            })
        };
        self.lives.iter().filter_map(known).collect()
    }

    /// Alarms that stand.
    #[must_use]
    pub fn standing(&self) -> BTreeSet<Fingerprint> {
        let standing = self.lives.iter().filter(|(_, it)| it.stands());
        standing.map(|(fingerprint, _)| *fingerprint).collect()
    }
}

fn worst_first(alarms: &mut [Alarm]) {
    alarms.sort_by(|a, b| {
        let weight = |it: &Alarm| {
            (
                it.standing != Standing::Firing,
                std::cmp::Reverse(it.finding.severity),
                it.since,
            )
        };
        weight(a).cmp(&weight(b))
    });
}
