//! The alarms of one run: which were said, which still stand.
//!
//! In: the findings as they stand, and the furthest step of the run. Out: [`Notice`]s. Invariants: an alarm is said
//! when it first reaches a warning, again when its severity rises above all that was said of it, and once when it is
//! over; one that comes back after that is a new one. When a log is written anew, what it had shown stays said until
//! the new one has come as far without showing it.

use std::collections::{BTreeMap, BTreeSet};

use super::Fingerprint;
use crate::model::{Finding, Severity};

/// What is said of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is new.
    Alarm,
    /// It was said before, at a lower severity.
    Worse,
    /// It is over.
    Resolved(Over),
}

/// Why an alarm is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// What it is about has healed by itself.
    Healed,
    /// A restart from an earlier step replaced the steps that showed it.
    Superseded,
    /// The log was written anew, has come as far again, and does not show it.
    NotSeenAgain,
    /// The log is gone: nothing more can be known.
    NoData,
}

/// Something to say of one alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What.
    pub news: News,
    /// The run.
    pub run: String,
    /// Which alarm.
    pub fingerprint: Fingerprint,
    /// The finding as it stands, or as it last stood.
    pub finding: Finding,
    /// Another alarm of the run that stands explains this one.
    pub is_consequence: bool,
}

/// What is known of an alarm from before the program was started.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// Which alarm.
    pub fingerprint: Fingerprint,
    /// The finding as it last stood.
    pub finding: Finding,
    /// The worst that was said since it was last over.
    pub said: Severity,
    /// Whether it stood; otherwise it had healed.
    pub stands: bool,
    /// Another alarm of the run explained it.
    pub is_consequence: bool,
}

/// What was said of the alarms of one run.
#[derive(Debug, Default)]
pub struct Journal {
    entries: BTreeMap<Fingerprint, Entry>,
    is_waiting: bool,
}

#[derive(Debug)]
struct Entry {
    finding: Finding,
    /// The worst that was said since it was last over.
    said: Severity,
    stands: bool,
    is_consequence: bool,
    /// How far the run had come.
    reach: Option<i64>,
}

/// How it is with an alarm now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Not worth an alarm any more.
    Over(bool),
    /// It reached a warning, and has healed.
    Passed,
    Stands,
}

impl State {
    fn of(finding: &Finding) -> Self {
        if finding.is_superseded || finding.severity < Severity::Warning {
            Self::Over(finding.is_superseded)
        } else if finding.has_healed {
            Self::Passed
        } else {
            Self::Stands
        }
    }
}

impl Journal {
    /// Whether nothing was ever said that matters still.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether something that was said waits for a log that was written anew to come as far again.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Takes up what was said before the program was started; what the log does not show again is over.
    pub fn remember(&mut self, remembered: impl IntoIterator<Item = Remembered>) {
        for it in remembered {
            let entry = Entry {
                reach: it.finding.last_step,
                finding: it.finding,
                said: it.said,
                stands: it.stands,
                is_consequence: it.is_consequence,
            };
            self.entries.insert(it.fingerprint, entry);
        }
    }

    /// The findings of the alarms that stand, as they are now.
    pub fn standing(&self) -> impl Iterator<Item = (Fingerprint, &Finding)> {
        let standing = self.entries.iter().filter(|(_, it)| it.stands);
        standing.map(|(fingerprint, it)| (*fingerprint, &it.finding))
    }

    /// The log is gone: nothing stands any more. One that comes back is news.
    pub fn give_up(&mut self, run: &str) -> Vec<Notice> {
        self.is_waiting = false;
        let standing = std::mem::take(&mut self.entries)
            .into_iter()
            .filter(|(_, it)| it.stands);
        standing
            .map(|(fingerprint, it)| Notice {
                news: News::Resolved(Over::NoData),
                run: run.to_owned(),
                fingerprint,
                finding: it.finding,
                is_consequence: it.is_consequence,
            })
            .collect()
    }

    /// Takes the findings as they stand, root causes first, and the furthest step; says what is news.
    pub fn update(&mut self, run: &str, findings: &[Finding], reach: Option<i64>) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut met = BTreeSet::new();
        let standing: BTreeSet<&str> = findings
            .iter()
            .filter(|it| State::of(it) == State::Stands)
            .map(|it| it.rule.as_str())
            .collect();
        for finding in leading(run, findings) {
            let fingerprint = Fingerprint::of(run, finding);
            met.insert(fingerprint);
            let is_consequence = finding
                .caused_by
                .as_deref()
                .is_some_and(|it| standing.contains(it));
            let notice = |news| Notice {
                news,
                run: run.to_owned(),
                fingerprint,
                finding: finding.clone(),
                is_consequence,
            };
            notices.extend(
                self.take(fingerprint, finding, is_consequence, reach)
                    .into_iter()
                    .map(notice),
            );
        }
        notices.extend(self.missing(run, &met, reach));
        notices
    }

    fn take(
        &mut self,
        id: Fingerprint,
        finding: &Finding,
        is_consequence: bool,
        reach: Option<i64>,
    ) -> Vec<News> {
        let state = State::of(finding);
        let over = if finding.is_superseded {
            Over::Superseded
        } else {
            Over::Healed
        };
        let known = self.entries.get(&id);
        let stood = known.is_some_and(|it| it.stands);
        let news = match (state, known) {
            (State::Stands, Some(it)) if it.stands && finding.severity > it.said => vec![News::Worse],
            // It was kept back behind its cause, which stands no more.
            (State::Stands, Some(it)) if it.stands && it.is_consequence && !is_consequence => {
                vec![News::Alarm]
            }
            (State::Stands, Some(it)) if it.stands => Vec::new(),
            (State::Stands, _) => vec![News::Alarm],
            (State::Passed, None) => vec![News::Alarm, News::Resolved(over)],
            // It came again and went again between two looks.
            (State::Passed, Some(it)) if !it.stands && finding.first_step > it.finding.first_step => {
                vec![News::Alarm, News::Resolved(over)]
            }
            _ if stood => vec![News::Resolved(over)],
            _ => Vec::new(),
        };
        if matches!(state, State::Over(_)) {
            self.entries.remove(&id);
            return news;
        }
        let said = known
            .filter(|it| it.stands)
            .map_or(finding.severity, |it| it.said.max(finding.severity));
        let stands = state == State::Stands;
        self.entries.insert(
            id,
            Entry {
                finding: finding.clone(),
                said,
                stands,
                is_consequence,
                reach,
            },
        );
        news
    }

    /// Alarms of which the findings say nothing: those of a log that was written anew.
    fn missing(&mut self, run: &str, met: &BTreeSet<Fingerprint>, reach: Option<i64>) -> Vec<Notice> {
        let has_come_as_far = |it: &Entry| {
            reach.is_some_and(|now| it.finding.first_step.or(it.reach).is_none_or(|at| now >= at))
        };
        let not_met: Vec<Fingerprint> = self
            .entries
            .keys()
            .filter(|it| !met.contains(it))
            .copied()
            .collect();
        let mut notices = Vec::new();
        self.is_waiting = false;
        for fingerprint in not_met {
            if self
                .entries
                .get(&fingerprint)
                .is_some_and(|it| !has_come_as_far(it))
            {
                self.is_waiting = true;
                continue;
            }
            let Some(it) = self.entries.remove(&fingerprint).filter(|it| it.stands) else {
                continue;
            };
            notices.push(Notice {
                news: News::Resolved(Over::NotSeenAgain),
                run: run.to_owned(),
                fingerprint,
                finding: it.finding,
                is_consequence: it.is_consequence,
            });
        }
        notices
    }
}

/// Trouble that healed and came back is several findings of one alarm: the one that matters most speaks.
fn leading<'f>(run: &str, findings: &'f [Finding]) -> Vec<&'f Finding> {
    let weight = |it: &Finding| (State::of(it), it.severity, it.first_step);
    let mut leading: Vec<(Fingerprint, &Finding)> = Vec::new();
    for finding in findings {
        let id = Fingerprint::of(run, finding);
        match leading.iter_mut().find(|(other, _)| *other == id) {
            Some((_, best)) if weight(finding) > weight(best) => *best = finding,
            Some(_) => {}
            None => leading.push((id, finding)),
        }
    }
    leading.into_iter().map(|(_, finding)| finding).collect()
}

#[cfg(test)]
mod tests;
