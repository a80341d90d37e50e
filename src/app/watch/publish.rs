//! What the loop shows of itself: snapshots for whoever asks over HTTP.
//!
//! In: the runs, after each turn of the loop. Out: a [`Snapshot`] when anything changed, and the pictures of the runs that
//! somebody looks at. Invariants: a run in which nothing changed costs a comparison; the loop copies finished values
//! and never waits; nothing is recorded unless there is a publisher.
//!
//! Cost: the pictures of a stream (the files of one rank) take what [`limits_for_pages`] allows: at most 260,000 cells of 40
//! bytes and 48 curves of 512 spans of 56 bytes (12 MB) for one of up to nine streams, and [`CELLS_MAX`] cells (96 MB)
//! for all of them however many there are, apart from the eight columns that a layer keeps at least. A run of 200
//! layers with two norms takes 4 MB; a thousand runs of 200 series 0.16 MB each (measured), with eight columns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use anyhow::Context;
use jiff::Timestamp;

use super::core::{Heard, Watch};
use super::run::LiveRun;
use super::stream::LiveStream;
use crate::alert::News;
use crate::config::Settings;
use crate::deliver::secret_path;
use crate::model::{Finding, Severity, Verdict};
use crate::report::{LossSpan, RunSummary, serious, spark};
use crate::series::Baseline;
use crate::series::record::{Limits, SPANS_MAX};
use crate::serve::{self, Board, Guard, Health, RunRow, RunView, Said, Server, Snapshot, Totals};

/// Cells of the pictures of all runs.
const CELLS_MAX: usize = 2_400_000;
/// Cells of the pictures of one stream.
const CELLS_PER_STREAM: usize = 260_000;
/// Spans of each curve, of all streams together.
const SPANS_PER_WATCH: usize = 16_384;
/// Streams beyond which messages have no picture.
const STREAMS_DRAWN_MAX: usize = 256;
/// A snapshot may take one part in so many of the time of the loop: with ten thousand runs it is made less often than
/// hints of changes come.
const LOOP_PART: u32 = 20;
/// Time between two pictures of the same run.
const VIEW_EVERY: Duration = Duration::from_millis(500);
/// Beyond the poll interval: a loop that has not turned for this long has stopped. One turn reads 8 MiB at most.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// What each stream may keep when there are this many.
pub(super) fn limits_for_pages(n_streams: usize) -> Limits {
    let n = n_streams.max(1);
    Limits {
        cells: (CELLS_MAX / n).min(CELLS_PER_STREAM),
        spans: (SPANS_PER_WATCH / n).clamp(48, SPANS_MAX),
    }
}

/// The same where pictures are for messages only, which show 56 columns: an eighth, and nothing when there are more
/// streams than [`STREAMS_DRAWN_MAX`], so that a thousand runs cost what they do without a picture.
pub(super) fn limits_for_messages(n_streams: usize) -> Option<Limits> {
    const PART: usize = 8;
    (n_streams <= STREAMS_DRAWN_MAX).then(|| Limits {
        cells: limits_for_pages(n_streams).cells / PART,
        spans: 48,
    })
}

/// Shows the state of the loop.
pub(super) struct Publisher {
    board: Arc<Board>,
    rows: Rows,
    revision: u64,
    said: Said,
    n_problems: usize,
    viewed_at: HashMap<String, Instant>,
    /// When the next snapshot may be made.
    next: Instant,
    /// Answers until it is dropped.
    _server: Server,
}

/// A line for each run, made anew when the run changed.
#[derive(Default)]
pub(super) struct Rows {
    rows: BTreeMap<String, Shown>,
    /// What was read since the start, whatever became of it.
    read: Totals,
}

/// What is shown of a run.
struct Shown {
    mark: (u64, usize),
    row: Arc<RunRow>,
}

impl Rows {
    /// Takes what changed; whether anything did.
    pub(super) fn refresh(&mut self, watch: &mut Watch<'_>) -> bool {
        let n_before = self.rows.len();
        self.rows.retain(|name, _| watch.runs().contains_key(name));
        let mut has_changed = n_before != self.rows.len();
        for (name, run) in watch.runs().iter() {
            has_changed |= self.show(name, run);
        }
        has_changed
    }

    /// The lines, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<RunRow>> {
        self.rows.values().map(|it| &it.row)
    }

    fn show(&mut self, name: &str, run: &LiveRun<'_>) -> bool {
        let mark = (run.change, run.streams.len());
        let known = self.rows.get(name);
        if known.is_some_and(|it| it.mark == mark) {
            return false;
        }
        let row = row_of(name, run);
        let before = known.map(|it| it.row.totals).unwrap_or_default();
        self.read.add(row.totals.since(before));
        let row = Arc::new(row);
        self.rows.insert(name.to_owned(), Shown { mark, row });
        true
    }
}

impl Publisher {
    /// Begins to answer, when an address was given. `wake` makes the loop turn.
    pub(super) fn start(
        settings: &Settings,
        baseline: Option<&Baseline>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> anyhow::Result<Option<Self>> {
        let Some(listen) = &settings.listen else {
            return Ok(None);
        };
        let address = listen.address;
        let token_file = listen.token.as_ref().map(secret_path).transpose()?;
        let guard = Guard::new(address, token_file.as_deref())?;
        let board = Arc::new(Board::new(Box::new(wake)));
        if let Some(baseline) = baseline {
            board.put_baseline(baseline);
        }
        let set_up = serve::Settings {
            address,
            guard,
            stalled_after: settings.watch.poll + STALLED_AFTER,
        };
        let server = Server::start(set_up, Arc::clone(&board)).context("--listen")?;
        // Nobody may be listening any more; following goes on.
        let _ = io::Write::write_fmt(
            &mut io::stderr(),
            format_args!("gradwatch: listening on http://{}/\n", server.address()),
        );
        Ok(Some(Self {
            board,
            rows: Rows::default(),
            revision: 0,
            said: Said::default(),
            n_problems: 0,
            viewed_at: HashMap::new(),
            next: Instant::now(),
            _server: server,
        }))
    }

    /// The loop is alive, and reads.
    pub(super) fn is_alive(&self) {
        self.board.beat();
    }

    /// Says what the loop knows of itself beside the runs.
    pub(super) fn set_health(&self, health: Health) {
        self.board.set_health(health);
    }

    /// Shows what runs are compared with.
    pub(super) fn show_baseline(&self, baseline: &Baseline) {
        self.board.put_baseline(baseline);
    }

    /// Counts what was said.
    pub(super) fn count(&mut self, heard: &Heard) {
        for notice in &heard.notices {
            let count = match notice.news {
                News::Alarm => &mut self.said.alarms,
                News::Worse => &mut self.said.worse,
                News::Resolved(_) => &mut self.said.resolved,
            };
            *count += 1;
        }
    }

    /// Shows what changed since the last time. To be called after each turn of the loop.
    pub(super) fn publish(&mut self, watch: &mut Watch<'_>) {
        self.board.beat();
        let begun = Instant::now();
        if self.next <= begun {
            let has_changed = self.rows.refresh(watch);
            if has_changed || self.revision == 0 || self.n_problems != watch.problems().len() {
                self.put_up(watch);
            }
            self.next = begun + begun.elapsed() * LOOP_PART;
        }
        self.draw(watch);
    }

    fn put_up(&mut self, watch: &mut Watch<'_>) {
        self.revision += 1;
        self.n_problems = watch.problems().len();
        let rows = self.rows.all().map(Arc::clone).collect();
        let problems = watch.problems().to_vec();
        self.board.publish(Snapshot::new(
            self.revision,
            rows,
            problems,
            self.rows.read,
            self.said,
        ));
    }

    /// Makes the pictures that somebody looks at.
    fn draw(&mut self, watch: &mut Watch<'_>) {
        let wanted = self.board.wanted();
        self.viewed_at
            .retain(|run, _| wanted.iter().any(|(it, _)| it == run));
        for (name, revision) in wanted {
            let Some(run) = watch.runs().get_mut(&name) else {
                continue;
            };
            let is_recent = self
                .viewed_at
                .get(&name)
                .is_some_and(|it| it.elapsed() < VIEW_EVERY);
            if revision == Some(run.change) || revision.is_some() && is_recent {
                continue;
            }
            let recordings = run.streams.iter().filter_map(|(_, it)| it.recording()).collect();
            let view = RunView::new(run.change, run.report_now(), recordings, run.baseline.is_some());
            self.board.put_view(&name, view);
            self.viewed_at.insert(name, Instant::now());
        }
    }
}

/// A followed run in a line.
fn row_of(name: &str, run: &LiveRun<'_>) -> RunRow {
    let streams = || run.streams.iter().map(|(_, it)| it);
    let mut totals = Totals::default();
    streams()
        .flat_map(LiveStream::files)
        .for_each(|it| totals.add(it.totals()));
    let findings = findings_of(run);
    RunRow {
        summary: summary_of(name, run, &findings),
        findings,
        totals,
        changed_at: changed_at(run),
    }
}

/// The findings as they stand; of a run that was not read yet, or is left unread, what was said of it before.
fn findings_of(run: &LiveRun<'_>) -> Arc<[Finding]> {
    run.known.as_ref().map_or_else(
        || run.journal.standing().map(|(_, it)| it.clone()).collect(),
        |known| Arc::clone(&known.findings),
    )
}

/// When the newest file of a run was written; a run that is gone has no such time.
fn changed_at(run: &LiveRun<'_>) -> Option<Timestamp> {
    let files = run.streams.iter().flat_map(|(_, it)| it.files());
    let times = files.filter_map(|it| fs::metadata(it.path()).ok()?.modified().ok());
    let newest: SystemTime = times.max()?;
    Timestamp::try_from(newest).ok()
}

fn summary_of(name: &str, run: &LiveRun<'_>, found: &[Finding]) -> RunSummary {
    let streams = || run.streams.iter().map(|(_, it)| it);
    // A stream whose steps are rows has another axis than the others.
    let has_steps = streams().any(|it| !it.engine().facts().steps_are_ordinal && it.last_step().is_some());
    let facts = || {
        streams()
            .map(|it| it.engine().facts())
            .filter(|it| it.steps_are_ordinal != has_steps)
    };
    let mut ranks: Vec<u32> = streams().filter_map(LiveStream::rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let (loss, loss_spark) = streams()
        .find_map(|it| {
            Some((
                LossSpan::of(it.engine().facts(), it.engine().loss_history())?,
                spark(it.engine().loss_history().bins()),
            ))
        })
        .unzip();
    let (findings, worst) = serious(found);
    let last_step = facts().filter_map(|it| it.last_step).max();
    RunSummary {
        run: name.to_owned(),
        verdict: verdict_of(found, last_step.is_some()),
        first_step: facts().filter_map(|it| it.first_step).min(),
        last_step,
        steps_are_ordinal: !has_steps && last_step.is_some(),
        ranks: ranks.len().max(1),
        layers: run.known.as_ref().map_or(0, |it| it.layers),
        findings,
        worst,
        loss,
        spark: loss_spark.unwrap_or_default(),
        is_reading: !streams().all(LiveStream::is_caught_up),
    }
}

fn verdict_of(found: &[Finding], has_points: bool) -> Verdict {
    let worst: Option<Severity> = found.iter().map(|it| it.severity).max();
    match worst {
        Some(severity) => Verdict::of(severity),
        None if has_points => Verdict::Healthy,
        None => Verdict::NoData,
    }
}
