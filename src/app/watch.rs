//! `gradwatch watch`: runs are followed while they are written.
//!
//! In: the clock, signals and change hints, as [`LoopInput`]s. Out: alarms on standard output, what cannot be read on
//! standard error. Invariants: one thread owns all state, so nothing is locked; inputs only say that it is time to
//! look, what is true is read from the files, so a lost input costs a delay and nothing else; a signal ends the loop
//! between two files.

mod agenda;
mod core;
mod courier;
mod file;
mod follow;
mod keeper;
mod once;
mod outbox;
mod post;
mod round;
mod run;
mod service;
mod steady;
mod stream;
mod telling;

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use jiff::{Timestamp, Unit};

use super::audit::text_style;
use super::{rule_set, settings};
use crate::alert::Notice;
use crate::cli::{Format, WatchArgs};
use crate::exit::ExitStatus;
use crate::report::{TextStyle, printable, write_notices_json, write_notices_text};

pub use self::agenda::LoopInput;
pub use self::core::{Heard, Watch};
pub(crate) use self::courier::words;
use self::telling::Telling;

/// Follows until it is told to end.
///
/// # Errors
/// When a rule file is wrong, signals cannot be caught, or the output cannot be written.
pub fn watch(args: &WatchArgs) -> anyhow::Result<ExitStatus> {
    let settings = settings::of_watch(args)?;
    let watched = &settings.watch;
    let rules = rule_set::load_files(&watched.rules)?;
    let voice = Voice::new(args);
    let telling = Telling::new(args, &settings)?;
    let ended = if args.once {
        let watch = Watch::new(&watched.paths, &rules.rules);
        once::once(watch, args, &settings, &voice, telling.as_ref())
    } else {
        let reload = || rule_set::load_files(&watched.rules);
        follow::follow(args, &settings, rules, &reload, &voice, telling.as_ref())
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
