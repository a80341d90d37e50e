//! `gradwatch watch`: the loop that follows runs.
//!
//! In: the clock and signals, as [`LoopInput`]s. Out: alarms on standard output, what cannot be read on standard
//! error. Invariants: one thread owns all state, so nothing is locked; inputs only say that it is time to look, what
//! is true is read from the files, so a lost input costs a delay and nothing else; a signal ends the loop between two
//! files.

mod core;
mod file;
mod publish;
mod run;
mod screen;
mod stream;

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::{Timestamp, Unit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::audit::{status, text_style};
use super::rule_set;
use crate::alert::Notice;
use crate::cli::{Format, WatchArgs};
use crate::exit::ExitStatus;
use crate::report::{TextStyle, printable, write_notices_json, write_notices_text};
use crate::source::Polled;

use self::publish::Publisher;
use self::screen::Screen;

pub use self::core::{Heard, Watch};

/// Time between two walks of the directories.
const WALK_EVERY: Duration = Duration::from_secs(10);

/// What the loop acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopInput {
    /// It is time to look for new files.
    Walk,
    /// It is time to look at the known files.
    Poll,
    /// Somebody looks at a run: its pictures are wanted.
    Show,
    /// The loop is to end.
    Shutdown,
}

/// Follows until it is told to end.
///
/// # Errors
/// When a rule file is wrong, signals cannot be caught, or the output cannot be written.
pub fn watch(args: &WatchArgs) -> anyhow::Result<ExitStatus> {
    let rules = rule_set::load_files(&args.rules)?;
    let mut watch = Watch::new(&args.paths, &rules.rules);
    let voice = Voice::new(args);
    let ended = if args.once {
        once(watch, args, &voice)
    } else {
        if args.listen.is_some() {
            watch = watch.with_pictures();
        }
        follow(&mut watch, args, &voice)
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

fn follow(watch: &mut Watch<'_>, args: &WatchArgs, voice: &Voice) -> anyhow::Result<ExitStatus> {
    let (sender, receiver) = channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let wanted = sender.clone();
    let mut publisher = Publisher::start(args, move || {
        // The loop may have ended.
        let _ = wanted.send(LoopInput::Show);
    })?;
    let board = publisher.as_ref().map(Publisher::board);
    listen_for_signals(sender, Arc::clone(&is_over))?;
    let mut agenda = Agenda::new(args.poll, receiver);
    let voice = &voice.with_table();
    loop {
        match agenda.next() {
            LoopInput::Walk => voice.say(&watch.walk())?,
            LoopInput::Poll => {
                let (polled, heard) = watch.poll(&|| {
                    if let Some(board) = &board {
                        board.beat();
                    }
                    is_over.load(Ordering::Relaxed)
                });
                voice.say(&heard)?;
                if let Some(publisher) = &mut publisher {
                    publisher.count(&heard);
                }
                agenda.polled(polled);
            }
            LoopInput::Show => {}
            LoopInput::Shutdown => return Ok(ExitStatus::Clean),
        }
        if let Some(publisher) = &mut publisher {
            publisher.publish(watch);
        }
        voice.show(watch)?;
    }
}

fn listen_for_signals(sender: Sender<LoopInput>, is_over: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("failed to catch signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in signals.forever() {
                is_over.store(true, Ordering::Relaxed);
                // The loop may have ended by itself.
                if sender.send(LoopInput::Shutdown).is_err() {
                    return;
                }
            }
        })
        .context("failed to start a thread")?;
    Ok(())
}

/// What is due when.
struct Agenda {
    inputs: Receiver<LoopInput>,
    poll_every: Duration,
    next_poll: Instant,
    next_walk: Instant,
}

impl Agenda {
    fn new(poll_every: Duration, inputs: Receiver<LoopInput>) -> Self {
        let now = Instant::now();
        Self {
            inputs,
            poll_every,
            next_poll: now,
            next_walk: now,
        }
    }

    /// Waits for the next input: one that was sent, or the clock.
    fn next(&mut self) -> LoopInput {
        let wait = self
            .next_poll
            .min(self.next_walk)
            .saturating_duration_since(Instant::now());
        match self.inputs.recv_timeout(wait) {
            Ok(input) => input,
            // Who would tell the loop to end is gone.
            Err(RecvTimeoutError::Disconnected) => LoopInput::Shutdown,
            Err(RecvTimeoutError::Timeout) if self.next_walk <= self.next_poll => {
                self.next_walk = Instant::now() + WALK_EVERY;
                LoopInput::Walk
            }
            Err(RecvTimeoutError::Timeout) => LoopInput::Poll,
        }
    }

    /// Sets the time of the next poll: at once when there is more to read.
    fn polled(&mut self, polled: Polled) {
        let wait = if polled == Polled::More {
            Duration::ZERO
        } else {
            self.poll_every
        };
        self.next_poll = Instant::now() + wait;
    }
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
        let mut screen = self.screen.as_ref().map(RefCell::borrow_mut);
        if let Some(screen) = screen.as_mut().filter(|_| !heard.problems.is_empty()) {
            screen.clear().context(NO_OUTPUT)?;
        }
        complain(heard);
        if heard.notices.is_empty() {
            return Ok(());
        }
        // One write, so that a reader never sees half a block.
        let text = self.worded(&heard.notices)?;
        match &mut screen {
            Some(screen) => screen.say(&text),
            None => write_out(&text),
        }
        .context(NO_OUTPUT)
    }

    fn show(&self, watch: &mut Watch<'_>) -> anyhow::Result<()> {
        match &self.screen {
            Some(screen) => screen.borrow_mut().draw(watch).context(NO_OUTPUT),
            None => Ok(()),
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

fn complain(heard: &Heard) {
    for problem in &heard.problems {
        // Nobody may be listening any more; following goes on.
        let _ = writeln!(io::stderr(), "gradwatch: {}", printable(&problem.to_string()));
    }
}
