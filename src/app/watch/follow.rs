//! The loop that follows until it is told to end.
//!
//! In: the clock, signals and change hints, as [`LoopInput`]s. Out: alarms and complaints to a [`Voice`]. Invariants:
//! one thread owns all state, so nothing is locked; a rule set that cannot be loaded leaves the old one in force;
//! between two signs of life to the service manager some work was done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use super::agenda::{Agenda, LoopInput, listen_for_signals};
use super::core::{Heard, Watch};
use super::courier::Courier;
use super::publish::Publisher;
use super::rest::Now;
use super::screen::complain;
use super::service::Service;
use super::telling::Telling;
use super::{Loaded, Voice};
use crate::cli::WatchArgs;
use crate::config::{Settings, WatchSettings};
use crate::exit::ExitStatus;
use crate::serve::Health;
use crate::source::{ChangeHints, Degraded, Polled};

/// Time that one look may take before hints and signals are asked for again.
const LOOK: Duration = Duration::from_millis(100);

/// The longest time between two looks of a courier at what is due.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Walks in a row while each finds directories that were not watched.
const WALKS_MAX: usize = 5;

/// Why following ended.
enum Ended {
    Shutdown,
    Reload(Loaded),
}

/// What stays the same when the rules change.
struct Daemon<'d> {
    settings: &'d WatchSettings,
    voice: &'d Voice,
    agenda: Agenda,
    hints: ChangeHints,
    /// Reasons for polling that were said.
    said: BTreeSet<String>,
    service: Service,
    is_over: Arc<AtomicBool>,
    begun: Instant,
    courier: Option<Courier<'d>>,
    publisher: Option<Publisher>,
}

/// Follows until it is told to end.
pub(super) fn follow(
    args: &WatchArgs,
    settings: &Settings,
    mut loaded: Loaded,
    voice: &Voice,
    telling: Option<&Telling>,
) -> anyhow::Result<ExitStatus> {
    let mut daemon = Daemon::start(args, settings, &loaded, voice, telling)?;
    let mut journals = match &daemon.courier {
        Some(courier) => courier.journals(&settings.watch.paths),
        None => BTreeMap::default(),
    };
    loop {
        let mut watch = watch_of(settings, &loaded, daemon.publisher.is_some()).with_journals(journals);
        match daemon.turn(&mut watch)? {
            Ended::Shutdown => {
                daemon.courier.into_iter().for_each(Courier::close);
                // The memory of a thousand runs is given back faster by the end of the process.
                std::mem::forget(watch);
                return Ok(ExitStatus::Clean);
            }
            Ended::Reload(new) => {
                journals = watch.into_journals();
                loaded = new;
                daemon.show_baseline(&loaded);
            }
        }
    }
}

/// A watch as the settings want it.
fn watch_of<'r>(settings: &Settings, loaded: &'r Loaded, is_shown: bool) -> Watch<'r> {
    let of_watch = &settings.watch;
    let mut watch = loaded
        .watch(of_watch)
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
    fn start(
        args: &WatchArgs,
        settings: &'d Settings,
        loaded: &Loaded,
        voice: &'d Voice,
        telling: Option<&'d Telling>,
    ) -> anyhow::Result<Self> {
        let (sender, receiver) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        // First: a signal that comes while the other parts start would else end the process half-way.
        listen_for_signals(sender.clone(), Arc::clone(&is_over))?;
        let knock = sender.clone();
        let turn = move || {
            // The loop may have ended.
            let _ = knock.send(LoopInput::Rest);
        };
        let wake = move || {
            // The loop may have ended.
            let _ = sender.send(LoopInput::Changed);
        };
        let courier = telling.map(|it| it.courier(&turn)).transpose()?;
        let service = Service::new();
        let rest_max = match &courier {
            Some(_) => service.rest_max().min(TELL_EVERY),
            None => service.rest_max(),
        };
        Ok(Self {
            settings: &settings.watch,
            voice,
            agenda: Agenda::new(settings.watch.poll, rest_max, receiver),
            hints: if args.poll {
                ChangeHints::none()
            } else {
                ChangeHints::new(wake)
            },
            said: BTreeSet::new(),
            service,
            is_over,
            begun: Instant::now(),
            courier,
            publisher: Publisher::start(
                settings,
                loaded.baseline.as_ref().map(|it| it.get().as_ref()),
                turn,
            )?,
        })
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
                    if let Some(loaded) = self.reload() {
                        return Ok(Ended::Reload(loaded));
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
                is_degraded: self.hints.degraded().next().is_some()
                    || courier.is_some_and(Courier::is_degraded),
                outbox_waiting: courier.map(Courier::n_waiting),
                outbox_dead: courier.map(Courier::n_dead),
            });
            publisher.publish(watch);
        }
        self.voice.show(watch);
    }

    /// Shows what runs are compared with.
    fn show_baseline(&self, loaded: &Loaded) {
        if let (Some(publisher), Some(baseline)) = (&self.publisher, &loaded.baseline) {
            publisher.show_baseline(baseline.get());
        }
    }

    fn walk(&mut self, watch: &mut Watch<'_>) -> anyhow::Result<()> {
        let begun = Instant::now();
        for _ in 0..WALKS_MAX {
            watch.tell_time(self.now());
            self.voice.say(&watch.walk())?;
            self.service.is_alive();
            let is_over = self.is_over.load(Ordering::Relaxed);
            if is_over || !self.hints.cover(&self.settings.paths, watch.directories()) {
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

    /// The new rules and the baseline as it is now, unless they have a problem.
    fn reload(&self) -> Option<Loaded> {
        self.service.is_reloading();
        match Loaded::read(self.settings) {
            Ok(loaded) => {
                say("the rules were read again: all runs are judged anew");
                Some(loaded)
            }
            Err(error) => {
                say(&format!("{error:#}"));
                say("the rules were not reloaded: the old ones stay in force");
                self.service.is_ready();
                None
            }
        }
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

fn say(text: &str) {
    complain(text);
}
