//! `gradwatch status`: what a daemon follows, what stands, what waits, what does not work.
//!
//! In: the state database, the lock beside it. Out: text for people, or JSON of schema `gradwatch.status/1`. Invariants: a
//! daemon that runs is not disturbed; nothing from a log reaches the terminal unescaped.

use std::io::Write;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::settings::state_dir;
use super::watch::words;
use crate::alert::{Fingerprint, Life, RunKey, Stage};
use crate::cli::{Format, StatusArgs};
use crate::exit::ExitStatus;
use crate::model::Severity;
use crate::report::printable;
use crate::state::{Beside, Memory, Mood, StateError, StoredAck, StoredParcel, daemon_of};

/// Dead messages that are listed; more are counted.
const DEAD_LISTED_MAX: usize = 20;

const NO_STATE: &str = "state: no daemon has kept any in this directory; name another one by --state";

/// Shows the state. Exit status 1 when something does not work.
///
/// # Errors
/// When there is no state directory, or the output cannot be written.
pub fn run(args: &StatusArgs, out: &mut dyn Write) -> anyhow::Result<ExitStatus> {
    let dir = state_dir(&args.state)?;
    let status = Status::of(&dir);
    match args.format {
        Format::Text => status.write_text(out)?,
        Format::Json => writeln!(out, "{:#}", status.json())?,
    }
    Ok(if status.is_well() {
        ExitStatus::Clean
    } else {
        ExitStatus::Findings
    })
}

struct Status {
    dir: String,
    pid: Option<String>,
    memory: Memory,
    degraded: Vec<String>,
    now: Timestamp,
}

/// An alarm that stands.
struct Standing<'s> {
    key: &'s RunKey,
    incident: Option<&'s str>,
    fingerprint: Fingerprint,
    life: &'s Life,
    ack: Option<&'s StoredAck>,
    is_silenced: bool,
}

impl Standing<'_> {
    /// How it is with it, behind commas.
    fn marks(&self) -> String {
        let ending = matches!(self.life.stage, Stage::Ending { .. }).then(|| ", ending".to_owned());
        let ack = self.ack.map(|it| match it.comment.as_str() {
            "" => ", acknowledged".to_owned(),
            comment => format!(", acknowledged ({comment})"),
        });
        let silence = self.is_silenced.then(|| ", silenced".to_owned());
        [ending, ack, silence].into_iter().flatten().collect()
    }
}

impl Status {
    fn of(dir: &Path) -> Self {
        let read: Result<Option<Memory>, StateError> =
            Beside::open(dir, false).and_then(|it| it.map(|it| it.memory(&words)).transpose());
        let (memory, unreadable) = match read {
            Ok(Some(memory)) => (memory, None),
            Ok(None) => (Memory::default(), Some(NO_STATE.to_owned())),
            Err(error) => (Memory::default(), Some(format!("state: cannot be read: {error}"))),
        };
        let noted = memory
            .notes
            .get("degraded")
            .map(String::as_str)
            .unwrap_or_default();
        let degraded = noted.lines().map(str::to_owned).chain(unreadable).collect();
        Self {
            dir: dir.display().to_string(),
            pid: daemon_of(dir),
            memory,
            degraded,
            now: Timestamp::now(),
        }
    }

    fn is_well(&self) -> bool {
        let is_bad = |it: &StoredParcel| matches!(it.mood, Mood::Stuck | Mood::Dead);
        self.degraded.is_empty() && !self.memory.parcels.iter().any(is_bad)
    }

    fn note(&self, name: &str) -> Option<&str> {
        self.memory.notes.get(name).map(String::as_str)
    }

    fn standing(&self) -> Vec<Standing<'_>> {
        let mut standing = Vec::new();
        for (key, case) in &self.memory.cases {
            for (fingerprint, life) in case.lives.iter().filter(|(_, it)| it.stands()) {
                let rule = &life.finding.rule;
                standing.push(Standing {
                    key,
                    incident: case.incident.as_ref().map(|it| it.name.as_str()),
                    fingerprint: *fingerprint,
                    life,
                    ack: self.memory.acks.iter().find(|it| it.fingerprint == *fingerprint),
                    is_silenced: self
                        .memory
                        .silences
                        .iter()
                        .any(|it| it.covers(&key.run, rule, self.now)),
                });
            }
        }
        standing.sort_by_key(|it| (std::cmp::Reverse(it.life.finding.severity), it.life.since));
        standing
    }

    fn parcels(&self, is_shown: impl Fn(Mood) -> bool) -> Vec<&StoredParcel> {
        self.memory
            .parcels
            .iter()
            .filter(|it| is_shown(it.mood))
            .collect()
    }

    fn age(&self, then: Timestamp) -> SignedDuration {
        self.now.duration_since(then).max(SignedDuration::ZERO)
    }

    fn json(&self) -> Value {
        let daemon = json!({
            "running": self.pid.is_some(),
            "pid": self.pid,
            "version": self.note("version"),
            "started": self.note("started"),
            "receivers": self.note("receivers").map(|it| it.split(' ').filter(|it| !it.is_empty()).collect::<Vec<_>>()),
        });
        let runs = self.memory.runs.iter().map(|it| {
            json!({
                "run": it.key.run,
                "root": it.key.root,
                "last_step": it.last_step,
                "heard": it.heard.map(|it| it.to_string()),
                "age_seconds": it.heard.map(|it| self.age(it).as_secs()),
            })
        });
        let open = self.parcels(Mood::is_open);
        let dead = self.parcels(|it| it == Mood::Dead);
        let listed = open.iter().chain(dead.iter().rev().take(DEAD_LISTED_MAX));
        json!({
            "schema": "gradwatch.status/1",
            "state": self.dir,
            "daemon": daemon,
            "degraded": self.degraded,
            "runs": runs.collect::<Vec<_>>(),
            "alerts": self.standing().iter().map(alert_json).collect::<Vec<_>>(),
            "silences": self.silences_json(),
            "outbox": {
                "open": open.len(),
                "waiting": self.memory.waiting.len(),
                "dead": dead.len(),
                "messages": listed.map(|it| parcel_json(it)).collect::<Vec<_>>(),
            },
        })
    }

    fn silences_json(&self) -> Vec<Value> {
        let silences = self.memory.silences.iter().filter(|it| it.until > self.now);
        silences
            .map(|it| {
                json!({
                    "id": it.id,
                    "run": it.run.to_string(),
                    "rule": it.rule.as_ref().map(ToString::to_string),
                    "until": it.until.to_string(),
                    "comment": it.comment,
                })
            })
            .collect()
    }

    fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        match &self.pid {
            Some(pid) => writeln!(out, "a daemon runs (process {pid}) on {}", printable(&self.dir))?,
            None => writeln!(out, "no daemon runs on {}", printable(&self.dir))?,
        }
        for it in &self.degraded {
            writeln!(out, "  does not work: {}", printable(it))?;
        }
        self.write_runs(out)?;
        self.write_alerts(out)?;
        for it in self.memory.silences.iter().filter(|it| it.until > self.now) {
            let rule = it
                .rule
                .as_ref()
                .map_or_else(String::new, |it| format!(" rule {it}"));
            let line = format!("silence {}: {}{rule} until {}", it.id, it.run, it.until);
            writeln!(out, "{}", printable(&line))?;
        }
        self.write_outbox(out)
    }

    fn write_runs(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(out, "{} runs followed", self.memory.runs.len())?;
        for it in &self.memory.runs {
            let step = it
                .last_step
                .map_or_else(|| "no step".to_owned(), |it| format!("step {it}"));
            let age = it
                .heard
                .map_or_else(String::new, |it| format!(", {} ago", rough(self.age(it))));
            writeln!(out, "  {}: {step}{age}", printable(&it.key.run))?;
        }
        Ok(())
    }

    fn write_alerts(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let standing = self.standing();
        writeln!(out, "{} alarms stand", standing.len())?;
        for it in standing {
            let finding = &it.life.finding;
            let line = format!(
                "  {} {} {}: {} for {}{}",
                it.fingerprint,
                finding.severity,
                it.key.run,
                finding.rule,
                rough(self.age(it.life.since)),
                it.marks()
            );
            writeln!(out, "{}", printable(&line))?;
            writeln!(out, "    {}", printable(&finding.message))?;
        }
        Ok(())
    }

    fn write_outbox(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (open, dead) = (self.parcels(Mood::is_open), self.parcels(|it| it == Mood::Dead));
        writeln!(
            out,
            "{} messages to be sent, {} runs wait for theirs, {} messages refused or given up",
            open.len(),
            self.memory.waiting.len(),
            dead.len()
        )?;
        for it in open.iter().chain(dead.iter().rev().take(DEAD_LISTED_MAX)) {
            let line = format!(
                "  {} {} to {}: {} after {} attempts: {}",
                it.receiver,
                it.name,
                it.address,
                it.mood.as_str(),
                it.n_attempts,
                it.last
            );
            writeln!(out, "{}", printable(&line))?;
        }
        Ok(())
    }
}

fn alert_json(it: &Standing<'_>) -> Value {
    let finding = &it.life.finding;
    json!({
        "alert": it.fingerprint.to_string(),
        "incident": it.incident,
        "run": it.key.run,
        "root": it.key.root,
        "rule": finding.rule,
        "severity": finding.severity.as_str(),
        "state": match it.life.stage {
            Stage::Firing => "firing",
            Stage::Ending { .. } => "ending",
            Stage::Over { .. } => "over",
        },
        "since": it.life.since.to_string(),
        "first_step": finding.first_step,
        "message": finding.message,
        "consequence": it.life.is_consequence,
        "told": it.life.told.map(Severity::as_str),
        "acked": it.ack.map(|it| json!({ "at": it.at.to_string(), "comment": it.comment })),
        "silenced": it.is_silenced,
    })
}

fn parcel_json(it: &StoredParcel) -> Value {
    json!({
        "receiver": it.receiver,
        "address": it.address,
        "name": it.name,
        "state": it.mood.as_str(),
        "made": it.made.to_string(),
        "next": it.next.to_string(),
        "attempts": it.n_attempts,
        "last": it.last,
    })
}

/// A time in its largest whole unit.
fn rough(time: SignedDuration) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3600, "h"), (60, "min")];
    let seconds = time.as_secs();
    let unit = UNITS.iter().find(|(size, _)| seconds >= *size);
    unit.map_or_else(
        || format!("{seconds} s"),
        |(size, name)| format!("{} {name}", seconds / size),
    )
}
