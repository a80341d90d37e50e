//! What becomes of notices: messages that are stored, then delivered.
//!
//! In: notices, answers of receivers, what people acknowledged and silenced. Out: parcels to the threads that deliver,
//! everything to the state database. Invariants: a message is stored with its alarms in one transaction before it is
//! sent, unless nothing can be stored at all: then it is sent and what happens is stored later; nothing here waits
//! for a receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{self, Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::core::{Heard, Watch};
use super::keeper::Keeper;
use super::outbox::Outbox;
use super::post::{Answered, Post};
use super::screen::complain;
use super::steady::SteadyClock;
use crate::alert::{Bulletin, Desk, Journal, Notice, Outgoing, Policy, Reception, RunKey, Sending};
use crate::config::AlertSettings;
use crate::deliver::{Answer, Parcel, Receiver};
use crate::model::Problem;
use crate::report::html::RankRecording;
use crate::report::printable;
use crate::rules::check::registry::CHECKS;
use crate::source::Cursor;
use crate::state::{RunRow, Store};

/// What was recorded of a run, by its name.
pub(super) type Recorded<'a> = &'a dyn Fn(&str) -> Vec<RankRecording>;

/// Bulletins to finished messages.
pub(super) trait Compose {
    /// The parcels of a message, of all receivers or at least of this one.
    fn compose(&self, receiver: &str, message: &Outgoing, recorded: Recorded<'_>) -> Vec<Parcel>;

    /// How often what stands has to be said again to receivers that forget.
    fn renew_every(&self) -> Option<Duration> {
        None
    }

    /// The parcels that say again what stands. The next ones replace them, so that they are not kept.
    fn renewals(&self, _standing: &[Bulletin], _now: Timestamp) -> Vec<Parcel> {
        Vec::new()
    }
}

/// The number of parcels that are not kept.
const RENEWAL: i64 = 0;

/// Time between two looks at what needs no hurry: runs for `status`, whether the database is still there.
const CHORES_EVERY: Duration = Duration::from_secs(10);

/// Time after which an alarm below a path that is not watched is over, as for a log that is gone.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// A receiver that has not answered for this long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(600);

/// What joins alarms, their state and the receivers.
pub(super) struct Courier {
    desk: Desk,
    outbox: Outbox,
    keeper: Keeper,
    post: Post,
    composer: Box<dyn Compose>,
    clock: SteadyClock,
    under_way: BTreeMap<&'static str, Instant>,
    seen_version: Option<i64>,
    next_chores: Instant,
    next_renewal: Option<Instant>,
    is_caught_up: bool,
    /// The paths that are watched.
    roots: BTreeSet<String>,
    /// Runs with alarms below other paths, since when.
    left: BTreeMap<RunKey, Timestamp>,
}

/// Names that findings borrow from the program.
pub(crate) fn words(word: &str) -> Option<&'static str> {
    let mut names = CHECKS
        .iter()
        .flat_map(|it| it.kinds.iter().copied().chain([it.name]));
    names.find(|it| *it == word)
}

/// When people are told, as the settings say.
pub(crate) fn policy(settings: &AlertSettings) -> Policy {
    let signed = |it: Duration| SignedDuration::try_from(it).unwrap_or(SignedDuration::MAX);
    Policy {
        group_wait: signed(settings.group_wait),
        repeat: settings.repeat.iter().map(|it| signed(*it)).collect(),
        messages_per_hour: settings.mails_per_hour,
        keep_firing_for: signed(settings.keep_firing_for),
        send_resolved: settings.send_resolved,
        severity: settings.severity,
    }
}

/// The name of a path that is watched, the same from wherever it is watched.
fn root_name(path: &Path) -> String {
    let absolute = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.to_string_lossy().into_owned()
}

/// What was lost of the files of a run while no daemon ran.
fn losses(run: &RunRow) -> impl Iterator<Item = Problem> {
    let cursors = run
        .files
        .iter()
        .filter_map(|it| serde_json::from_str::<Cursor>(it).ok());
    cursors.filter_map(|it| it.loss())
}

/// What a courier is made of.
pub(super) struct Parts {
    pub(super) policy: Policy,
    /// The receivers, by the name that their parcels bear.
    pub(super) receivers: Vec<(&'static str, Box<dyn Receiver>)>,
    /// Those that the cap on messages is about.
    pub(super) capped: &'static [&'static str],
    pub(super) composer: Box<dyn Compose>,
}

impl Courier {
    /// Takes up what was stored in a state directory. `wake` is called when there is something to do.
    pub(super) fn new(
        dir: &Path,
        parts: Parts,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> anyhow::Result<Self> {
        let (store, opening) = Store::open(dir, &words)?;
        let post = Post::start(parts.receivers, wake)?;
        let mut clock = SteadyClock::new();
        let (now, _) = clock.now();
        let memory = opening.memory;
        let mut waiting: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for it in memory.waiting {
            waiting.entry(it.receiver).or_default().push(it.bulletin);
        }
        let receptions = post.receivers().map(|receiver| Reception {
            receiver: receiver.to_owned(),
            is_capped: parts.capped.contains(&receiver),
            held: waiting.remove(receiver).unwrap_or_default(),
        });
        let desk = Desk::new(
            parts.policy,
            &memory.ledger,
            memory.cases,
            receptions.collect(),
            now,
        );
        for loss in memory.runs.iter().flat_map(losses) {
            complain(&printable(&loss.to_string()));
        }
        let mut keeper = Keeper::new(store, memory.runs);
        for loss in opening.losses {
            keeper.degrade("state at start", Some(loss));
        }
        let receivers: Vec<&str> = post.receivers().collect();
        keeper.introduce(&receivers, now);
        Ok(Self {
            desk,
            outbox: Outbox::new(memory.parcels, now),
            keeper,
            post,
            composer: parts.composer,
            clock,
            under_way: BTreeMap::new(),
            seen_version: None,
            next_chores: Instant::now(),
            next_renewal: None,
            is_caught_up: false,
            roots: BTreeSet::new(),
            left: BTreeMap::new(),
        })
    }

    /// Goes on with other settings: what is known and what waits stays. Receivers that are not named any more get
    /// nothing; what was tried in vain is tried now.
    pub(super) fn change(
        &mut self,
        parts: Parts,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> anyhow::Result<()> {
        let now = self.now();
        self.post.replace(parts.receivers, wake)?;
        let receivers: Vec<&'static str> = self.post.receivers().collect();
        let named = receivers.iter().map(|it| (*it, parts.capped.contains(it)));
        self.desk.set_policy(parts.policy);
        self.desk.set_receivers(named);
        self.composer = parts.composer;
        self.next_renewal = None;
        self.outbox.try_now(now);
        self.keeper.name_receivers(&receivers);
        Ok(())
    }

    /// These paths are watched from now on.
    pub(super) fn set_roots(&mut self, paths: &[PathBuf]) {
        self.roots = paths.iter().map(|it| root_name(it)).collect();
        self.left.clear();
    }

    /// What the journals of the runs below the paths that are watched should know.
    pub(super) fn journals(&self) -> BTreeMap<String, Journal> {
        let known = self
            .desk
            .remembered()
            .filter(|(key, _)| self.roots.contains(&key.root));
        known
            .map(|(key, remembered)| {
                let mut journal = Journal::default();
                journal.remember(remembered);
                (key.run.clone(), journal)
            })
            .collect()
    }

    /// Takes what a look at the logs has found.
    pub(super) fn hear(&mut self, watch: &Watch<'_>, heard: &Heard) {
        self.hear_of(&heard.notices, &|run| watch.root_of(run));
    }

    /// Takes notices; `root_of` says below which path a run was found.
    pub(super) fn hear_of<'n>(
        &mut self,
        notices: &'n [Notice],
        root_of: &dyn Fn(&'n str) -> Option<&'n Path>,
    ) {
        let now = self.now();
        if !notices.is_empty() {
            // Whoever looks at the alarm sees how far its run has come.
            self.next_chores = Instant::now();
        }
        self.hear_at(now, notices, root_of);
    }

    fn hear_at<'n>(
        &mut self,
        now: Timestamp,
        notices: &'n [Notice],
        root_of: &dyn Fn(&'n str) -> Option<&'n Path>,
    ) {
        for notice in notices {
            let root = root_of(&notice.run).filter(|it| !it.as_os_str().is_empty());
            let root = root.map_or_else(|| self.known_root(notice), root_name);
            self.desk.hear(&root, std::slice::from_ref(notice), now);
        }
    }

    /// The path below which a run was found of which this process has seen nothing.
    fn known_root(&self, notice: &Notice) -> String {
        let mut keys = self.desk.cases().map(|(key, _)| key);
        let is_it = |it: &&RunKey| it.run == notice.run && self.roots.contains(&it.root);
        keys.find(is_it).map(|it| it.root.clone()).unwrap_or_default()
    }

    /// Alarms below paths that are not watched any more are over after a while: nobody would ever say so else.
    fn give_up_the_left(&mut self, now: Timestamp) {
        let is_left = |key: &RunKey| !self.roots.is_empty() && !self.roots.contains(&key.root);
        let standing = self.desk.cases().filter(|(_, case)| !case.standing().is_empty());
        let left: Vec<RunKey> = standing
            .filter(|(key, _)| is_left(key))
            .map(|(key, _)| key.clone())
            .collect();
        self.left.retain(|key, _| left.contains(key));
        for key in left {
            let since = *self.left.entry(key.clone()).or_insert(now);
            if now.duration_since(since) >= GIVEN_UP_AFTER {
                self.desk.give_up(&key, now);
            }
        }
    }

    /// All that is there of the logs was read.
    pub(super) fn caught_up(&mut self) {
        let now = self.now();
        self.desk.caught_up(now);
        if !self.is_caught_up {
            self.is_caught_up = true;
            self.next_chores = Instant::now();
        }
    }

    /// Says what does not work as it should, once; none: it works again.
    pub(super) fn degrade(&mut self, part: &str, why: Option<String>) {
        self.keeper.degrade(part, why);
    }

    /// Whether anything does not work as it should.
    pub(super) fn is_degraded(&self) -> bool {
        self.keeper.is_degraded()
    }

    /// Messages that wait to be delivered.
    pub(super) fn n_waiting(&self) -> u64 {
        self.outbox.n_open() as u64
    }

    /// Messages that were given up since the start.
    pub(super) fn n_dead(&self) -> u64 {
        self.outbox.n_dead()
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, watch: Option<&Watch<'_>>) {
        let now = self.now();
        self.turn_at(now, watch);
    }

    fn turn_at(&mut self, now: Timestamp, watch: Option<&Watch<'_>>) {
        let answers: Vec<Answered> = self.post.answers().collect();
        for answered in answers {
            self.take_answer(answered, now);
        }
        self.read_wishes();
        if Instant::now() >= self.next_chores {
            self.next_chores = Instant::now() + CHORES_EVERY;
            self.do_chores(watch, now);
        }
        // Beyond what memory may hold, alarms wait where they are.
        if !self.outbox.is_full() {
            let outbox = &self.outbox;
            let sendings = self.desk.tick(now, &|it| outbox.is_reachable(it));
            let recorded = |run: &str| watch.map_or_else(Vec::new, |it| it.recorders().recordings(run));
            self.compose(&sendings, &recorded, now);
        }
        self.keeper.store(&mut self.desk, &mut self.outbox, now);
        self.dispatch(now);
        self.renew(now);
        self.keeper.keep_copy();
    }

    fn now(&mut self) -> Timestamp {
        let (now, set_by) = self.clock.now();
        if let Some(by) = set_by {
            self.desk.shift(by);
            self.outbox.shift(by);
        }
        now
    }

    /// Says again what stands to receivers that forget.
    fn renew(&mut self, now: Timestamp) {
        let Some(every) = self.composer.renew_every() else {
            return;
        };
        if self.next_renewal.is_some_and(|it| Instant::now() < it) {
            return;
        }
        self.next_renewal = Some(Instant::now() + every);
        let standing = self.desk.standing();
        if standing.is_empty() {
            return;
        }
        for parcel in self.composer.renewals(&standing, now) {
            self.post.send(RENEWAL, parcel);
        }
    }

    fn take_answer(&mut self, answered: Answered, now: Timestamp) {
        let Answered { receiver, id, answer } = answered;
        if id == RENEWAL {
            let trouble = match answer {
                Answer::Taken(_) => None,
                Answer::Later(why) | Answer::Refused(why) | Answer::Misconfigured(why) => Some(why),
            };
            self.keeper.degrade(&format!("{receiver} (renewal)"), trouble);
            return;
        }
        self.under_way.remove(receiver);
        let attempt = self.outbox.answered(receiver, id, answer, now);
        self.keeper.attempted(attempt);
        let trouble = self.outbox.trouble(receiver).map(str::to_owned);
        self.keeper.degrade(receiver, trouble);
    }

    fn read_wishes(&mut self) {
        let version = self.keeper.store.version().ok().flatten();
        if version.is_none() || version == self.seen_version {
            return;
        }
        if let Ok(Some((acks, silences))) = self.keeper.store.wishes() {
            self.seen_version = version;
            let acks = acks.into_iter().map(|it| (it.fingerprint, it.severity));
            self.desk.set_wishes(acks.collect(), silences);
        }
    }

    fn compose(&mut self, sendings: &[Sending], recorded: Recorded<'_>, now: Timestamp) {
        for it in sendings {
            let parcels = self.composer.compose(&it.receiver, &it.message, recorded);
            for parcel in parcels
                .into_iter()
                .filter(|parcel| parcel.receiver == it.receiver)
            {
                self.outbox.add(parcel, now);
            }
        }
    }

    fn do_chores(&mut self, watch: Option<&Watch<'_>>, now: Timestamp) {
        let hanging = self
            .under_way
            .iter()
            .filter(|(_, since)| since.elapsed() > HANGS_AFTER);
        let hanging: Vec<&str> = hanging.map(|(receiver, _)| *receiver).collect();
        for receiver in hanging {
            self.keeper.degrade(receiver, Some("does not answer".to_owned()));
        }
        self.keeper.look_for_database();
        self.give_up_the_left(now);
        if let Some(watch) = watch {
            self.look_at_runs(watch, now);
        }
    }

    fn look_at_runs(&mut self, watch: &Watch<'_>, now: Timestamp) {
        let mut followed = Vec::new();
        for (run, root, last_step) in watch.followed() {
            let key = RunKey {
                root: root_name(root),
                run: run.to_owned(),
            };
            self.desk.refresh(&key, watch.standing(run));
            followed.push(RunRow {
                key,
                last_step,
                heard: Some(now),
                files: watch
                    .cursors(run)
                    .filter_map(|it| serde_json::to_string(&it).ok())
                    .collect(),
            });
        }
        self.keeper.followed(followed);
    }

    /// Hands what is due to the threads that deliver.
    fn dispatch(&mut self, now: Timestamp) {
        let receivers: Vec<&'static str> = self.post.receivers().collect();
        let is_safe = !self.keeper.is_failing();
        for receiver in receivers {
            let Some(due) = self.outbox.take_due(receiver, now, is_safe) else {
                continue;
            };
            let body = match due.body {
                Some(body) => Ok(Some(body)),
                None => self.keeper.store.body(due.id),
            };
            match body {
                Ok(Some(body)) => {
                    let parcel = Parcel {
                        receiver,
                        address: due.address,
                        name: due.name,
                        body,
                    };
                    self.under_way.insert(receiver, Instant::now());
                    self.post.send(due.id, parcel);
                }
                Ok(None) => {
                    let attempt = self.outbox.lost(receiver, due.id, now);
                    self.keeper.attempted(attempt);
                }
                Err(_) => self.outbox.put_back(receiver, due.id, now),
            }
        }
    }

    /// Tells all that is known without waiting for what belongs to it, and waits for answers until nothing is left to
    /// be sent or the time is over. Gives the number of messages that are left.
    pub(super) fn finish(mut self, recorded: Recorded<'_>, time: Duration) -> usize {
        let now = self.now();
        let outbox = &self.outbox;
        let sendings = self.desk.flush(now, &|it| outbox.is_reachable(it));
        self.compose(&sendings, recorded, now);
        let end = Instant::now() + time;
        loop {
            self.turn(None);
            let left = end.saturating_duration_since(Instant::now());
            if self.outbox.n_open() == 0 || left.is_zero() {
                break;
            }
            // Also when nothing comes: a message may be due again.
            if let Some(answered) = self.post.wait(left.min(Duration::from_millis(200))) {
                let now = self.now();
                self.take_answer(answered, now);
            }
        }
        let n_open = self.outbox.n_open();
        self.close();
        n_open
    }

    /// Ends: what can be stored is stored. Messages go on with the next start.
    pub(super) fn close(mut self) {
        let now = self.now();
        let answers: Vec<Answered> = self.post.answers().collect();
        for answered in answers {
            self.take_answer(answered, now);
        }
        self.keeper.store(&mut self.desk, &mut self.outbox, now);
        self.keeper.close();
    }
}

#[cfg(test)]
mod tests;
