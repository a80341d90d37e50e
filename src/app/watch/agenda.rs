//! What the loop does next.
//!
//! In: inputs that others send, and the monotonic clock. Out: one [`LoopInput`] at a time. Invariants: an input only
//! says that it is time to look, so that inputs of a kind are joined into one; hinted files are looked at at most
//! every [`HINTS_EVERY`] and a tree that keeps changing is walked at most a fifth of the time, however many hints come; a signal comes before everything else.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Time between two walks of the directories when nothing hints at a change: what comes or comes back without a hint is
/// followed within ten seconds.
const WALK_EVERY: Duration = Duration::from_secs(8);

/// Time between two looks at hinted files: what is written in between is read at once.
const HINTS_EVERY: Duration = Duration::from_millis(50);

/// A walk that is hinted at waits this many times as long as the last one took, ...
const WALK_REST: u32 = 20;

/// ... unless that is longer than this: what is new is to be found within two seconds ...
const WALK_REST_MAX: Duration = Duration::from_secs(1);

/// ... but never less than so many times as long.
const WALK_REST_MIN: u32 = 4;

/// Time after which a loop that was told to end and does not is ended: a read from a file system that does not answer
/// cannot be interrupted. What must survive is on disk before it is told, so that nothing is lost.
const END_WITHIN: Duration = Duration::from_millis(4500);

/// What the loop acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopInput {
    /// It is time to look for new files.
    Walk,
    /// It is time to look at the known files.
    Poll,
    /// There was more to read than one look reads.
    GoOn,
    /// Something was hinted at.
    Changed,
    /// The rules are to be read again.
    Reload,
    /// The loop is to end.
    Shutdown,
    /// Nothing is due; the loop lives.
    Rest,
}

/// What is due when.
#[derive(Debug)]
pub(super) struct Agenda {
    inputs: Receiver<LoopInput>,
    poll_every: Duration,
    /// The longest time between two answers.
    rest_max: Duration,
    next_poll: Instant,
    next_walk: Instant,
    /// No walk before this, whatever is hinted.
    walk_rests_until: Instant,
    next_hints: Instant,
    is_hinted: bool,
    /// Since when something is left to be read.
    has_more: Option<Instant>,
}

impl Agenda {
    /// An agenda of which the pace is to be set.
    pub(super) fn new(inputs: Receiver<LoopInput>) -> Self {
        let now = Instant::now();
        Self {
            inputs,
            poll_every: WALK_EVERY,
            rest_max: WALK_EVERY,
            next_poll: now,
            next_walk: now,
            walk_rests_until: now,
            next_hints: now,
            is_hinted: false,
            has_more: None,
        }
    }

    /// Polls so often, and answers every `rest_max` at least.
    pub(super) fn set_pace(&mut self, poll_every: Duration, rest_max: Duration) {
        (self.poll_every, self.rest_max) = (poll_every, rest_max);
        self.next_poll = self.next_poll.min(Instant::now() + poll_every);
    }

    /// Waits for the next input: one that was sent, or the clock.
    pub(super) fn next(&mut self) -> LoopInput {
        let rested = Instant::now() + self.rest_max;
        loop {
            let now = Instant::now();
            let due = self.due();
            match self
                .inputs
                .recv_timeout(due.min(rested).saturating_duration_since(now))
            {
                Ok(LoopInput::Changed) => self.is_hinted = true,
                Ok(LoopInput::Walk) => self.want_walk(),
                Ok(LoopInput::Shutdown) | Err(RecvTimeoutError::Disconnected) => return LoopInput::Shutdown,
                Ok(input) => return input,
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    if let Some(input) = self.take_due(now) {
                        return input;
                    }
                    if rested <= now {
                        return LoopInput::Rest;
                    }
                }
            }
        }
    }

    fn due(&self) -> Instant {
        let hints = self.is_hinted.then_some(self.next_hints);
        let timers = [Some(self.next_poll), Some(self.next_walk), hints, self.has_more];
        timers.into_iter().flatten().min().unwrap_or(self.next_poll)
    }

    fn take_due(&mut self, now: Instant) -> Option<LoopInput> {
        if self.is_hinted && self.next_hints <= now {
            self.is_hinted = false;
            Some(LoopInput::Changed)
        } else if self.next_walk <= now {
            Some(LoopInput::Walk)
        } else if self.next_poll <= now {
            self.next_poll = now + self.poll_every;
            Some(LoopInput::Poll)
        } else {
            self.has_more.take().map(|_| LoopInput::GoOn)
        }
    }

    /// A walk is wanted as soon as one may be.
    pub(super) fn want_walk(&mut self) {
        self.next_walk = self.next_walk.min(self.walk_rests_until);
    }

    /// A walk has ended that took so long.
    pub(super) fn walked(&mut self, took: Duration) {
        let now = Instant::now();
        self.next_walk = now + WALK_EVERY;
        let rest = (took * WALK_REST).min(WALK_REST_MAX).max(took * WALK_REST_MIN);
        self.walk_rests_until = now + rest.max(HINTS_EVERY);
    }

    /// Hints were followed.
    pub(super) fn followed_hints(&mut self) {
        self.next_hints = Instant::now() + HINTS_EVERY;
    }

    /// All files are to be looked at.
    pub(super) fn want_poll(&mut self) {
        self.next_poll = Instant::now();
    }

    /// Something was left to be read.
    pub(super) fn want_more(&mut self) {
        self.has_more = Some(self.next_poll.min(Instant::now()));
    }
}

/// Sends what signals ask for: SIGHUP to reload, SIGTERM and SIGINT to end. `is_over` is set at once, so that a look
/// under way can be cut short.
pub(super) fn listen_for_signals(sender: Sender<LoopInput>, is_over: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("failed to catch signals")?;
    let listen = move || {
        for signal in signals.forever() {
            let input = if signal == SIGHUP {
                LoopInput::Reload
            } else {
                if is_over.swap(true, Ordering::Relaxed) {
                    // Told twice: whoever tells means now.
                    process::exit(0);
                }
                end_in_time();
                LoopInput::Shutdown
            };
            // The loop may have ended by itself.
            if sender.send(input).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)
        .context("failed to start a thread")?;
    Ok(())
}

fn end_in_time() {
    let end = || {
        let end = Instant::now() + END_WITHIN;
        while let Some(left) = end
            .checked_duration_since(Instant::now())
            .filter(|it| !it.is_zero())
        {
            thread::park_timeout(left);
        }
        eprintln!(
            "gradwatch: a file or the reader of the output does not answer: ended without waiting for it"
        );
        process::exit(0);
    };
    // Without it the loop still ends by itself.
    let _ = thread::Builder::new().name("end".to_owned()).spawn(end);
}

#[cfg(test)]
mod tests {
    use super::{Agenda, LoopInput, WALK_EVERY};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn paced(rest_max: Duration, inputs: Receiver<LoopInput>) -> Agenda {
        let mut agenda = Agenda::new(inputs);
        agenda.set_pace(HOUR, rest_max);
        agenda
    }

    #[test]
    fn it_begins_with_a_walk_and_a_poll_and_then_rests() {
        let (_sender, receiver) = channel();
        let mut agenda = paced(Duration::ZERO, receiver);
        assert_eq!(agenda.next(), LoopInput::Walk);
        agenda.walked(Duration::ZERO);
        assert_eq!(agenda.next(), LoopInput::Poll);
        assert_eq!(agenda.next(), LoopInput::Rest);
        agenda.want_more();
        assert_eq!(agenda.next(), LoopInput::GoOn);
        assert_eq!(agenda.next(), LoopInput::Rest);
    }

    #[test]
    fn many_hints_are_followed_once_and_not_at_once_again() {
        let (sender, receiver) = channel();
        let mut agenda = paced(Duration::ZERO, receiver);
        agenda.walked(Duration::ZERO);
        agenda.next();
        for _ in 0..100 {
            sender.send(LoopInput::Changed).unwrap();
        }
        assert_eq!(agenda.next(), LoopInput::Changed);
        agenda.followed_hints();
        sender.send(LoopInput::Changed).unwrap();
        assert_eq!(agenda.next(), LoopInput::Rest);
    }

    #[test]
    fn a_wanted_walk_waits_for_as_long_as_the_last_one_cost() {
        let (_sender, receiver) = channel();
        let mut agenda = paced(Duration::ZERO, receiver);
        agenda.next();
        agenda.walked(WALK_EVERY);
        agenda.next();
        agenda.want_walk();
        assert_eq!(agenda.next(), LoopInput::Rest);
        agenda.walked(Duration::ZERO);
        agenda.want_walk();
        agenda.rest_max = HOUR;
        assert_eq!(agenda.next(), LoopInput::Walk);
    }

    #[test]
    fn a_signal_comes_first() {
        let (sender, receiver) = channel();
        let mut agenda = paced(HOUR, receiver);
        sender.send(LoopInput::Changed).unwrap();
        sender.send(LoopInput::Reload).unwrap();
        sender.send(LoopInput::Shutdown).unwrap();
        assert_eq!(agenda.next(), LoopInput::Reload);
        assert_eq!(agenda.next(), LoopInput::Shutdown);
    }
}
