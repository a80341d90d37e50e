//! `gradwatch ack`, `unack` and `silence`: what people do not want to hear.
//!
//! In: the command line, the state database. Out: what was noted. Invariant: works beside a daemon, which takes note within
//! a second, and without one.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use jiff::{SignedDuration, Timestamp, Unit};

use super::settings::state_dir;
use super::watch::words;
use crate::alert::{Fingerprint, Life, NamePattern};
use crate::cli::{AckArgs, SilenceArgs, UnackArgs};
use crate::exit::ExitStatus;
use crate::report::printable;
use crate::state::{Beside, StoredAck, StoredSilence};

/// Acknowledges alarms.
///
/// # Errors
/// When there is no such alarm, or the database cannot be written.
pub fn ack(args: &AckArgs, out: &mut dyn Write) -> anyhow::Result<ExitStatus> {
    let beside = opened(&state_dir(&args.state)?)?;
    for (fingerprint, run, life) in named(&beside, &args.alert)? {
        let ack = StoredAck {
            fingerprint,
            severity: life.finding.severity,
            at: Timestamp::now(),
            comment: args.comment.clone(),
        };
        beside.set_ack(&ack, true)?;
        let rule = &life.finding.rule;
        writeln!(out, "acknowledged {fingerprint} {}: {rule}", printable(&run))?;
    }
    Ok(ExitStatus::Clean)
}

/// Takes acknowledgements back.
///
/// # Errors
/// When there is no such alarm, or the database cannot be written.
pub fn unack(args: &UnackArgs, out: &mut dyn Write) -> anyhow::Result<ExitStatus> {
    let beside = opened(&state_dir(&args.state)?)?;
    for (fingerprint, run, life) in named(&beside, &args.alert)? {
        let ack = StoredAck {
            fingerprint,
            severity: life.finding.severity,
            at: Timestamp::now(),
            comment: String::new(),
        };
        let was_acked = beside.set_ack(&ack, false)?;
        let what = if was_acked {
            "no longer acknowledged"
        } else {
            "was not acknowledged"
        };
        writeln!(
            out,
            "{what}: {fingerprint} {}: {}",
            printable(&run),
            life.finding.rule
        )?;
    }
    Ok(ExitStatus::Clean)
}

fn opened(dir: &Path) -> anyhow::Result<Beside> {
    let shown = dir.display();
    Beside::open(dir, false)
        .with_context(|| format!("failed to open the state in {shown}"))?
        .ok_or_else(|| anyhow!("no daemon has kept its state in {shown}: name another directory by --state"))
}

/// The alarms that a word may mean: those of an incident or a run, or one.
fn named(beside: &Beside, name: &str) -> anyhow::Result<Vec<(Fingerprint, String, Life)>> {
    let found = beside.alarms_named(name, &words)?;
    let is_run = found.iter().any(|(_, run, _)| run == name);
    let by_number = |it: &&(Fingerprint, String, Life)| it.0.to_string().starts_with(name);
    let n_numbers = found.iter().filter(by_number).count();
    if found.is_empty() {
        bail!(
            "no alarm that stands is `{}`: `gradwatch status` lists them",
            printable(name)
        );
    }
    if !is_run && n_numbers > 1 && n_numbers == found.len() && name.len() < 16 {
        bail!(
            "`{}` is the beginning of {n_numbers} alarms: write more of it",
            printable(name)
        );
    }
    Ok(found)
}

/// Adds, lists or removes silences.
///
/// # Errors
/// When a pattern is wrong, there is no such silence, or the database cannot be written.
pub fn silence(args: &SilenceArgs, out: &mut dyn Write) -> anyhow::Result<ExitStatus> {
    let dir = state_dir(&args.state)?;
    if args.list {
        return list(&dir, out);
    }
    if let Some(id) = args.remove {
        if !opened(&dir)?.remove_silence(id)? {
            bail!("no silence has the number {id}: `gradwatch silence --list` shows them");
        }
        writeln!(out, "silence {id} is over")?;
        return Ok(ExitStatus::Clean);
    }
    let (Some(run), Some(time)) = (&args.pattern, args.time) else {
        bail!("name runs by a pattern, and a time by --for");
    };
    for pattern in [Some(run), args.rule.as_ref()].into_iter().flatten() {
        NamePattern::new(pattern).map_err(|error| anyhow!(error))?;
    }
    let now = Timestamp::now();
    let until = now
        .saturating_add(SignedDuration::try_from(time)?)
        .and_then(|it| it.round(Unit::Second))?;
    let beside = Beside::open(&dir, true)?.context("failed to make a state database")?;
    let silence = StoredSilence {
        run,
        rule: args.rule.as_deref(),
        until,
        comment: &args.comment,
    };
    let id = beside.add_silence(&silence, now)?;
    writeln!(out, "silence {id}: {} until {until}", printable(run))?;
    Ok(ExitStatus::Clean)
}

fn list(dir: &Path, out: &mut dyn Write) -> anyhow::Result<ExitStatus> {
    let Some(beside) = Beside::open(dir, false)? else {
        return Ok(ExitStatus::Clean);
    };
    let now = Timestamp::now();
    for it in beside.silences()?.iter().filter(|it| it.until > now) {
        let rule = it
            .rule
            .as_ref()
            .map_or_else(String::new, |rule| format!(" rule {rule}"));
        let comment = if it.comment.is_empty() {
            String::new()
        } else {
            format!(" ({})", it.comment)
        };
        let line = format!("{}: {}{rule} until {}{comment}", it.id, it.run, it.until);
        writeln!(out, "{}", printable(&line))?;
    }
    Ok(ExitStatus::Clean)
}
