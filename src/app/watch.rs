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
mod heartbeat;
mod keeper;
mod once;
mod outbox;
mod post;
mod publish;
mod rest;
mod round;
mod run;
mod screen;
mod service;
mod steady;
mod stream;
mod telling;

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use jiff::{Timestamp, Unit};

use super::audit::text_style;
use super::baseline::{NamedBaseline, NotOneRun};
use super::{InForce, own_patterns, rule_set, settings};
use crate::alert::Notice;
use crate::cli::{Format, WatchArgs};
use crate::config::WatchSettings;
use crate::decode::OwnPatterns;
use crate::exit::ExitStatus;
use crate::report::{TextStyle, printable, write_notices_json, write_notices_text};
use crate::rules::RuleSet;

pub use self::agenda::LoopInput;
pub use self::core::{Heard, Watch};
pub(crate) use self::courier::words;
pub use self::rest::Now;
use self::screen::Screen;
use self::telling::Telling;

/// Follows until it is told to end.
///
/// # Errors
/// When a rule file is wrong, signals cannot be caught, or the output cannot be written.
pub fn watch(args: &WatchArgs) -> anyhow::Result<ExitStatus> {
    let settings = settings::of_watch(args)?;
    let loaded = match Loaded::read(&settings.watch) {
        Err(error) if matches!(error.downcast_ref(), Some(NotOneRun::Nothing(_))) => {
            screen::complain(&format!("{error:#}"));
            return Ok(ExitStatus::Unreadable);
        }
        loaded => loaded?,
    };
    let voice = Voice::new(args);
    let telling = Telling::new(args, &settings)?;
    let ended = if args.once {
        let mut watch = loaded.watch(&settings.watch);
        if settings.mail.is_some() {
            watch = watch.with_pictures_for_messages();
        }
        once::once(watch, args, &settings, &voice, telling.as_ref())
    } else {
        follow::follow(args, &settings, loaded, &voice.with_table(), telling.as_ref())
    };
    match ended {
        Err(error) if is_broken_pipe(&error) => Ok(ExitStatus::Clean),
        ended => ended,
    }
}

/// What runs are judged by, as it was last read.
struct Loaded {
    rules: RuleSet,
    patterns: OwnPatterns,
    baseline: Option<NamedBaseline>,
}

impl Loaded {
    fn read(settings: &WatchSettings) -> anyhow::Result<Self> {
        let rules = rule_set::load_files(&settings.rules)?;
        let patterns = own_patterns::compiled(&rules)?;
        let by = InForce::new(&rules.rules, &patterns);
        let named = settings.baseline.as_deref();
        let baseline = named.map(|path| NamedBaseline::read(path, by)).transpose()?;
        Ok(Self {
            rules,
            patterns,
            baseline,
        })
    }

    /// A watch that has read nothing.
    fn watch(&self, settings: &WatchSettings) -> Watch<'_> {
        let by = InForce::new(&self.rules.rules, &self.patterns);
        Watch::new(&settings.paths, by).with_baseline(self.baseline.clone())
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
    /// The table below what is said, on a terminal.
    screen: Option<RefCell<Screen>>,
}

impl Voice {
    fn new(args: &WatchArgs) -> Self {
        Self {
            format: args.format,
            style: text_style(args.color, io::stdout().is_terminal()),
            screen: None,
        }
    }

    /// With a table of the runs, where there is a terminal for it.
    fn with_table(&self) -> Self {
        let has_table = self.format == Format::Text;
        Self {
            format: self.format,
            style: self.style,
            screen: has_table
                .then(|| Screen::open(self.style))
                .flatten()
                .map(RefCell::new),
        }
    }

    fn say(&self, heard: &Heard) -> anyhow::Result<()> {
        for problem in &heard.problems {
            screen::complain(&printable(&problem.to_string()));
        }
        if heard.notices.is_empty() {
            return Ok(());
        }
        // One write, so that a reader never sees half a block.
        let text = self.worded(&heard.notices)?;
        match &self.screen {
            Some(screen) => screen.borrow_mut().say(&text),
            None => write_out(&text),
        }
        .context(NO_OUTPUT)
    }

    /// Draws the table. A terminal that is gone is noticed when there is something to say.
    fn show(&self, watch: &mut Watch<'_>) {
        if let Some(screen) = &self.screen {
            let _ = screen.borrow_mut().draw(watch);
        }
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

const NO_OUTPUT: &str = "failed to write to standard output";

fn write_out(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
