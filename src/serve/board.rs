//! Where the loop puts what it knows, and readers find it.
//!
//! In: snapshots, and pictures of runs, from the loop; looks at runs from readers. Out: the newest of each. Invariants:
//! every lock is held for as long as a pointer takes to be copied; pictures are kept for at most [`VIEWS_MAX`] runs,
//! and made only while somebody looks at them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::report::RunReport;
use crate::report::html::{Detail, RankRecording, baseline_json, run_page};
use crate::series::Baseline;

/// Runs whose pictures are kept at the same time; the one that was looked at longest ago goes first.
pub const VIEWS_MAX: usize = 8;
/// How long a run counts as looked at: a page that is open asks every few seconds.
pub const LOOKED_AT_FOR: Duration = Duration::from_secs(30);

/// What the loop knows of itself beside the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Something does not work as it should, or change hints of the operating system are not had everywhere.
    pub is_degraded: bool,
    /// Messages that wait to be delivered, where messages are sent.
    pub outbox_waiting: Option<u64>,
    /// Messages that were given up since the start.
    pub outbox_dead: Option<u64>,
}

/// One run with its pictures, as it was at one moment.
#[derive(Debug)]
pub struct RunView {
    /// Another number for each state of the run.
    pub revision: u64,
    made_of: Mutex<Option<(RunReport, Vec<RankRecording>)>>,
    is_compared: bool,
    json: OnceLock<Bytes>,
}

impl RunView {
    /// The parts of a picture; drawn by the first reader. A run that `is_compared` is shown beside the baseline.
    #[must_use]
    pub fn new(revision: u64, report: RunReport, recordings: Vec<RankRecording>, is_compared: bool) -> Self {
        Self {
            revision,
            made_of: Mutex::new(Some((report, recordings))),
            is_compared,
            json: OnceLock::new(),
        }
    }

    /// The run as the page reads it; made once. May take a tenth of a second.
    #[must_use]
    pub fn json(&self) -> Bytes {
        let make = || {
            let parts = lock(&self.made_of).take();
            parts.map_or_else(
                || Bytes::from_static(b"null"),
                |(report, recordings)| {
                    run_page(&report, recordings, Detail::of_runs(1), self.is_compared)
                        .into_json()
                        .into()
                },
            )
        };
        self.json.get_or_init(make).clone()
    }
}

#[derive(Debug)]
struct Looked {
    at: Instant,
    view: Option<Arc<RunView>>,
}

/// Where the loop puts what it knows.
pub struct Board {
    snapshot: Mutex<Arc<Snapshot>>,
    looked_at: Mutex<HashMap<String, Looked>>,
    health: Mutex<Health>,
    /// What runs are compared with, as the page reads it; another number for each.
    baseline: Mutex<(u64, Bytes)>,
    news: watch::Sender<u64>,
    wake: Box<dyn Fn() + Send + Sync>,
    is_woken: AtomicBool,
    begun: Instant,
    turned_ms: AtomicU64,
    /// Tells the answers of this process from those of one before it.
    pub(super) epoch: String,
}

impl Board {
    /// An empty board. `wake` is called when a reader wants something of the loop: it must not block.
    #[must_use]
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            snapshot: Mutex::default(),
            looked_at: Mutex::default(),
            health: Mutex::default(),
            baseline: Mutex::new((0, Bytes::from_static(b"null"))),
            news: watch::Sender::new(0),
            wake,
            is_woken: AtomicBool::new(false),
            begun: Instant::now(),
            turned_ms: AtomicU64::new(0),
            epoch: format!("{:x}", jiff::Timestamp::now().as_nanosecond()),
        }
    }

    /// The loop has made progress.
    pub fn beat(&self) {
        let now = self.begun.elapsed().as_millis();
        self.turned_ms
            .store(now.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Time since the loop last made progress.
    #[must_use]
    pub fn since_beat(&self) -> Duration {
        let turned = Duration::from_millis(self.turned_ms.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(turned)
    }

    /// Sets what the loop knows of itself.
    pub fn set_health(&self, health: Health) {
        *lock(&self.health) = health;
    }

    /// What the loop knows of itself.
    #[must_use]
    pub fn health(&self) -> Health {
        *lock(&self.health)
    }

    /// Puts up what runs are compared with.
    pub fn put_baseline(&self, baseline: &Baseline) {
        let json = Bytes::from(baseline_json(baseline));
        let mut held = lock(&self.baseline);
        *held = (held.0 + 1, json);
    }

    /// What runs are compared with, as the page reads it (`null`: nothing), and its number.
    #[must_use]
    pub(super) fn baseline(&self) -> (u64, Bytes) {
        lock(&self.baseline).clone()
    }

    /// Puts up a new snapshot.
    pub fn publish(&self, snapshot: Snapshot) {
        *lock(&self.snapshot) = Arc::new(snapshot);
        self.tell();
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.snapshot))
    }

    /// The runs that somebody looks at, with the revision of the pictures that are there. From here on a reader wakes
    /// the loop again.
    #[must_use]
    pub fn wanted(&self) -> Vec<(String, Option<u64>)> {
        self.is_woken.store(false, Ordering::Relaxed);
        let mut looked_at = lock(&self.looked_at);
        looked_at.retain(|_, it| it.at.elapsed() < LOOKED_AT_FOR);
        looked_at
            .iter()
            .map(|(run, it)| (run.clone(), it.view.as_ref().map(|it| it.revision)))
            .collect()
    }

    /// Puts up pictures of a run.
    pub fn put_view(&self, run: &str, view: RunView) {
        if let Some(looked) = lock(&self.looked_at).get_mut(run) {
            looked.view = Some(Arc::new(view));
        }
        self.tell();
    }

    /// Somebody looks at this run: its pictures, when they are there.
    pub(super) fn look_at(&self, run: &str) -> Option<Arc<RunView>> {
        let view = {
            let mut looked_at = lock(&self.looked_at);
            if !looked_at.contains_key(run) {
                make_room(&mut looked_at);
            }
            let looked = looked_at.entry(run.to_owned()).or_insert(Looked {
                at: Instant::now(),
                view: None,
            });
            looked.at = Instant::now();
            looked.view.clone()
        };
        if view.is_none() && !self.is_woken.swap(true, Ordering::Relaxed) {
            (self.wake)();
        }
        view
    }

    /// Hears of everything that is put up from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn tell(&self) {
        self.news.send_modify(|it| *it = it.wrapping_add(1));
    }
}

fn make_room(looked_at: &mut HashMap<String, Looked>) {
    while looked_at.len() >= VIEWS_MAX {
        let oldest = looked_at.iter().min_by_key(|(_, it)| it.at);
        let Some(oldest) = oldest.map(|(run, _)| run.clone()) else {
            return;
        };
        looked_at.remove(&oldest);
    }
}

/// A panic of another thread leaves nothing half done here: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_kept_for_few_runs_and_the_loop_is_woken_once() {
        let woken = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&woken);
        let board = Board::new(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        for index in 0..3 * VIEWS_MAX {
            assert!(board.look_at(&format!("run-{index}")).is_none());
        }
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert_eq!(board.wanted().len(), VIEWS_MAX);
        board.put_view(
            "run-23",
            RunView::new(7, RunReport::new("run-23"), Vec::new(), false),
        );
        board.put_view(
            "nobody looks at it",
            RunView::new(7, RunReport::new("x"), Vec::new(), false),
        );
        assert!(board.wanted().contains(&("run-23".to_owned(), Some(7))));
        assert_eq!(board.wanted().len(), VIEWS_MAX);
        assert!(
            board
                .look_at("run-23")
                .is_some_and(|it| String::from_utf8_lossy(&it.json()).contains("run-23"))
        );
        assert_eq!(
            woken.load(Ordering::Relaxed),
            1,
            "what is there is no reason to wake the loop"
        );
        board.look_at("run-22");
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_beat_is_progress() {
        let board = Board::new(Box::new(|| ()));
        board.beat();
        assert!(board.since_beat() < Duration::from_secs(5));
    }
}
