//! `gradwatch watch`: runs are followed while they are written.
//!
//! In: the clock, signals and change hints, as [`LoopInput`]s. Out: alarms on standard output, what cannot be read on
//! standard error. Invariants: one thread owns all state, so nothing is locked; inputs only say that it is time to
//! look, what is true is read from the files, so a lost input costs a delay and nothing else; a signal ends the loop
//! between two files.

mod agenda;
mod core;
mod file;
mod follow;
mod heartbeat;
mod rest;
mod round;
mod run;
mod service;
mod stream;

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use jiff::{Timestamp, Unit};

use super::audit::{status, text_style};
use super::rule_set;
use crate::alert::Notice;
use crate::cli::{Format, WatchArgs};
use crate::exit::ExitStatus;
use crate::report::{TextStyle, printable, write_notices_json, write_notices_text};
use crate::source::Polled;

pub use self::agenda::LoopInput;
pub use self::core::{Heard, Watch};
pub use self::rest::Now;

/// Follows until it is told to end.
///
/// # Errors
/// When a rule file is wrong, signals cannot be caught, or the output cannot be written.
pub fn watch(args: &WatchArgs) -> anyhow::Result<ExitStatus> {
    let rules = rule_set::load_files(&args.rules)?;
    let voice = Voice::new(args);
    let ended = if args.once {
        once(Watch::new(&args.paths, &rules.rules), args, &voice)
    } else {
        follow::follow(args, rules, &|| rule_set::load_files(&args.rules), &voice)
    };
    match ended {
        Err(error) if is_broken_pipe(&error) => Ok(ExitStatus::Clean),
        ended => ended,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

fn once(mut watch: Watch<'_>, args: &WatchArgs, voice: &Voice) -> anyhow::Result<ExitStatus> {
    complain(&watch.walk());
    loop {
        let (polled, heard) = watch.poll(&|| false);
        voice.say(&heard)?;
        if polled != Polled::More {
            break;
        }
    }
    let (report, notices) = watch.finish();
    voice.say(&Heard {
        notices,
        problems: Vec::new(),
    })?;
    Ok(status(&report, false, Some(args.fail_on.into())))
}

/// Where alarms and problems are said.
struct Voice {
    format: Format,
    style: TextStyle,
}

impl Voice {
    fn new(args: &WatchArgs) -> Self {
        Self {
            format: args.format,
            style: text_style(args.color, io::stdout().is_terminal()),
        }
    }

    fn say(&self, heard: &Heard) -> anyhow::Result<()> {
        complain(heard);
        if heard.notices.is_empty() {
            return Ok(());
        }
        // One write, so that a reader never sees half a block.
        let text = self.worded(&heard.notices)?;
        let mut out = io::stdout().lock();
        out.write_all(&text)
            .and_then(|()| out.flush())
            .context("failed to write to standard output")
    }

    fn worded(&self, notices: &[Notice]) -> io::Result<Vec<u8>> {
        let now = Timestamp::now();
        let time = now.round(Unit::Second).unwrap_or(now).to_string();
        let mut text = Vec::new();
        match self.format {
            Format::Text => write_notices_text(notices, &time, self.style, &mut text)?,
            Format::Json => write_notices_json(notices, &time, &mut text)?,
        }
        Ok(text)
    }
}

fn complain(heard: &Heard) {
    for problem in &heard.problems {
        // Nobody may be listening any more; following goes on.
        let _ = writeln!(io::stderr(), "gradwatch: {}", printable(&problem.to_string()));
    }
}
