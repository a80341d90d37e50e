//! The loop that follows until it is told to end.
//!
//! In: the clock, signals and change hints, as [`LoopInput`]s. Out: alarms and complaints to a [`Voice`]. Invariants:
//! one thread owns all state, so nothing is locked; rules and settings that cannot be read leave the old ones in force;
//! between two signs of life to the service manager some work was done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use super::Voice;
use super::agenda::{Agenda, LoopInput, listen_for_signals};
use super::core::{Heard, Watch};
use super::courier::Courier;
use super::publish::Publisher;
use super::rest::Now;
use super::screen::complain;
use super::service::Service;
use super::set_up::SetUp;
use crate::alert::Journal;
use crate::cli::WatchArgs;
use crate::config::ListenSettings;
use crate::exit::ExitStatus;
use crate::serve::Health;
use crate::source::{ChangeHints, Degraded, Polled};

/// Time that one look may take before hints and signals are asked for again.
const LOOK: Duration = Duration::from_millis(100);

/// The longest time between two looks of a courier at what is due.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What SIGHUP reads again, as a part that may not work.
const RULES_AND_SETTINGS: &str = "rules and settings";

/// Walks in a row while each finds directories that were not watched.
const WALKS_MAX: usize = 5;

/// Why following ended.
enum Ended {
    Shutdown,
    Reload {
        new: Box<SetUp>,
        /// Before this nobody was told of alarms.
        is_told_now: bool,
    },
}

/// What stays the same when rules and settings change.
struct Daemon<'d> {
    args: &'d WatchArgs,
    paths: Vec<PathBuf>,
    listen: Option<ListenSettings>,
    voice: &'d Voice,
    agenda: Agenda,
    hints: ChangeHints,
    /// Reasons for polling that were said.
    said: BTreeSet<String>,
    service: Service,
    is_over: Arc<AtomicBool>,
    begun: Instant,
    courier: Option<Courier>,
    publisher: Option<Publisher>,
    inputs: Sender<LoopInput>,
    /// The last rules and settings could not be read.
    is_stale: bool,
}

/// Follows until it is told to end.
pub(super) fn follow(args: &WatchArgs, mut set_up: SetUp, voice: &Voice) -> anyhow::Result<ExitStatus> {
    let mut daemon = Daemon::start(args, &mut set_up, voice)?;
    let mut journals = daemon.stored_journals();
    loop {
        let is_shown = daemon.publisher.is_some();
        let mut watch = watch_of(&set_up, is_shown).with_journals(journals);
        match daemon.turn(&mut watch)? {
            Ended::Shutdown => {
                daemon.courier.into_iter().for_each(Courier::close);
                // The memory of a thousand runs is given back faster by the end of the process.
                std::mem::forget(watch);
                return Ok(ExitStatus::Clean);
            }
            Ended::Reload { new, is_told_now } => {
                journals = if is_told_now {
                    daemon.stored_journals()
                } else {
                    watch.into_journals()
                };
                set_up = *new;
                daemon.show_baseline(&set_up);
            }
        }
    }
}

/// A watch as the settings want it.
fn watch_of(set_up: &SetUp, is_shown: bool) -> Watch<'_> {
    let settings = &set_up.settings;
    let of_watch = &settings.watch;
    let mut watch = set_up
        .watch()
        .active_within(of_watch.active_within.as_secs_f64())
        .replay_max(of_watch.replay_max);
    if is_shown {
        watch = watch.with_pictures();
    }
    if settings.mail.is_some() {
        watch = watch.with_pictures_for_messages();
    }
    watch
}

impl<'d> Daemon<'d> {
    /// Starts every part that lives as long as the process does.
    fn start(args: &'d WatchArgs, set_up: &mut SetUp, voice: &'d Voice) -> anyhow::Result<Self> {
        let (sender, receiver) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        // First: a signal that comes while the other parts start would else end the process half-way.
        listen_for_signals(sender.clone(), Arc::clone(&is_over))?;
        let settings = &set_up.settings;
        let hints = if args.poll {
            ChangeHints::none()
        } else {
            ChangeHints::new(knock(&sender, LoopInput::Changed))
        };
        let turn = knock(&sender, LoopInput::Rest);
        let shown = set_up.baseline.as_ref().map(|it| it.get().as_ref());
        let mut daemon = Self {
            args,
            paths: Vec::new(),
            listen: settings.listen.clone(),
            voice,
            agenda: Agenda::new(receiver),
            hints,
            said: BTreeSet::new(),
            service: Service::new(),
            is_over,
            begun: Instant::now(),
            courier: set_up.telling.take().map(|it| it.courier(&turn)).transpose()?,
            publisher: Publisher::start(settings, shown, turn)?,
            inputs: sender,
            is_stale: false,
        };
        daemon.set_pace(settings.watch.poll);
        daemon.set_paths(&settings.watch.paths);
        Ok(daemon)
    }

    fn set_pace(&mut self, poll_every: Duration) {
        let rest_max = self.service.rest_max();
        let rest_max = match &self.courier {
            Some(_) => rest_max.min(TELL_EVERY),
            None => rest_max,
        };
        self.agenda.set_pace(poll_every, rest_max);
    }

    fn set_paths(&mut self, paths: &[PathBuf]) {
        paths.clone_into(&mut self.paths);
        if let Some(courier) = &mut self.courier {
            courier.set_roots(paths);
        }
    }

    /// What was said before the start.
    fn stored_journals(&self) -> BTreeMap<String, Journal> {
        let stored = self.courier.as_ref().map(Courier::journals);
        stored.unwrap_or_default()
    }

    /// Follows with one set of rules.
    fn turn(&mut self, watch: &mut Watch<'_>) -> anyhow::Result<Ended> {
        self.agenda.want_walk();
        loop {
            match self.agenda.next() {
                LoopInput::Walk => self.walk(watch)?,
                LoopInput::Poll => self.look(watch, |watch, is_over| watch.poll(is_over))?,
                LoopInput::GoOn => self.look(watch, |watch, is_over| watch.go_on(is_over))?,
                LoopInput::Changed => self.follow_hints(watch)?,
                LoopInput::Reload => {
                    if let Some(ended) = self.reload() {
                        return Ok(ended);
                    }
                }
                LoopInput::Shutdown => {
                    self.service.is_stopping();
                    return Ok(Ended::Shutdown);
                }
                LoopInput::Rest => {}
            }
            if let Some(courier) = &mut self.courier {
                courier.turn(Some(watch));
            }
            self.show(watch);
            self.service.is_alive();
        }
    }

    /// Shows how it is, to whoever looks.
    fn show(&mut self, watch: &mut Watch<'_>) {
        if let Some(publisher) = &mut self.publisher {
            let courier = self.courier.as_ref();
            publisher.set_health(Health {
                is_degraded: self.is_stale
                    || self.hints.degraded().next().is_some()
                    || courier.is_some_and(Courier::is_degraded),
                outbox_waiting: courier.map(Courier::n_waiting),
                outbox_dead: courier.map(Courier::n_dead),
            });
            publisher.publish(watch);
        }
        self.voice.show(watch);
    }

    /// Shows what runs are compared with.
    fn show_baseline(&self, set_up: &SetUp) {
        if let (Some(publisher), Some(baseline)) = (&self.publisher, &set_up.baseline) {
            publisher.show_baseline(baseline.get());
        }
    }

    fn walk(&mut self, watch: &mut Watch<'_>) -> anyhow::Result<()> {
        let begun = Instant::now();
        for _ in 0..WALKS_MAX {
            watch.tell_time(self.now());
            let heard = watch.walk();
            self.tell(watch, &heard)?;
            self.service.is_alive();
            let is_over = self.is_over.load(Ordering::Relaxed);
            if is_over || !self.hints.cover(&self.paths, watch.directories()) {
                break;
            }
        }
        watch.rely_on_hints(self.hints.revision(), &|it| self.hints.covers(it));
        self.say_degraded();
        self.agenda.walked(begun.elapsed());
        self.agenda.want_more();
        Ok(())
    }

    fn follow_hints(&mut self, watch: &mut Watch<'_>) -> anyhow::Result<()> {
        let hints = self.hints.take();
        let is_dormant = |it: &PathBuf| watch.is_dormant(it);
        if hints.wants_walk || hints.files.iter().any(is_dormant) {
            self.agenda.want_walk();
        }
        if hints.wants_all {
            self.agenda.want_poll();
        }
        self.look(watch, |watch, is_over| watch.poll_files(&hints.files, is_over))?;
        self.agenda.followed_hints();
        Ok(())
    }

    fn look<'r>(
        &mut self,
        watch: &mut Watch<'r>,
        look: impl FnOnce(&mut Watch<'r>, &dyn Fn() -> bool) -> (Polled, Heard),
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        watch.tell_time(self.now());
        let is_over = || {
            self.service.is_alive();
            if let Some(publisher) = &self.publisher {
                publisher.is_alive();
            }
            self.is_over.load(Ordering::Relaxed) || begun.elapsed() > LOOK
        };
        let (polled, heard) = look(watch, &is_over);
        self.tell(watch, &heard)?;
        if let Some(publisher) = &mut self.publisher {
            publisher.count(&heard);
        }
        if let Some(courier) = self.courier.as_mut().filter(|_| polled != Polled::More) {
            courier.caught_up();
        }
        if polled == Polled::More {
            self.agenda.want_more();
        } else {
            self.service.is_ready();
        }
        self.service.status(format!(
            "following {} runs ({} dormant) in {} directories, {} of them by polling",
            watch.n_runs(),
            watch.n_dormant(),
            watch.directories().len(),
            watch.directories().len().saturating_sub(self.hints.n_watched()),
        ));
        Ok(())
    }

    fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            unix_s: since_1970.map_or(0.0, |it| it.as_secs_f64()),
            steady_s: self.begun.elapsed().as_secs_f64(),
        }
    }

    /// Says what was found here, and passes it on.
    fn tell(&mut self, watch: &Watch<'_>, heard: &Heard) -> anyhow::Result<()> {
        let said = self.voice.say(heard);
        let Some(courier) = &mut self.courier else {
            return said;
        };
        courier.hear(watch, heard);
        // Receivers are told, whoever reads along here.
        if let Err(error) = said {
            courier.degrade("standard output", Some(format!("{error:#}")));
        }
        Ok(())
    }

    /// Goes on with new rules and settings, unless they have a problem.
    fn reload(&mut self) -> Option<Ended> {
        self.service.is_reloading();
        let reloaded = self.read_again();
        let why = reloaded.as_ref().err().map(|error| {
            say(&format!("{error:#}"));
            "not reloaded, the old ones stay in force".to_owned()
        });
        self.is_stale = why.is_some();
        if why.is_some() {
            self.service.is_ready();
        }
        match (&mut self.courier, why) {
            (Some(courier), why) => courier.degrade(RULES_AND_SETTINGS, why),
            (None, Some(why)) => say(&format!("{RULES_AND_SETTINGS}: {why}")),
            (None, None) => {}
        }
        if reloaded.is_ok() {
            say(&format!(
                "{RULES_AND_SETTINGS} were read again: all runs are judged anew"
            ));
        }
        reloaded.ok()
    }

    fn read_again(&mut self) -> anyhow::Result<Ended> {
        let mut new = SetUp::read_again(self.args, self.courier.is_some())?;
        let wake = knock(&self.inputs, LoopInput::Rest);
        let is_told_now = self.courier.is_none() && new.telling.is_some();
        match (new.telling.take(), &mut self.courier) {
            (Some(telling), Some(courier)) => telling.instruct(courier, &wake)?,
            (Some(telling), none) => *none = Some(telling.courier(&wake)?),
            (None, _) => {}
        }
        if new.settings.listen != self.listen {
            say("another address or token for --listen needs a restart: the old one stays");
        }
        self.set_paths(&new.settings.watch.paths);
        self.set_pace(new.settings.watch.poll);
        Ok(Ended::Reload {
            new: Box::new(new),
            is_told_now,
        })
    }

    /// Says what is only polled: to the status, where there is one, else here.
    fn say_degraded(&mut self) {
        let words =
            |it: &Degraded| format!("{} is looked at by polling alone: {}", it.path.display(), it.why);
        let all: Vec<String> = self.hints.degraded().map(words).collect();
        if let Some(courier) = &mut self.courier {
            let why = Some(all.join("; ")).filter(|it| !it.is_empty());
            return courier.degrade("hints of changes", why);
        }
        for it in all {
            if self.said.insert(it.clone()) {
                say(&it);
            }
        }
    }
}

/// What makes the loop turn, from whatever thread.
fn knock(inputs: &Sender<LoopInput>, input: LoopInput) -> impl Fn() + Clone + Send + Sync + 'static {
    let inputs = inputs.clone();
    move || {
        // The loop may have ended.
        let _ = inputs.send(input);
    }
}

fn say(text: &str) {
    complain(text);
}
