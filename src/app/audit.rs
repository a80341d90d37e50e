//! `gradwatch audit` and `gradwatch inspect`: many runs, all cores, one report.
//!
//! In: paths. Out: a report on standard output, progress on standard error when that is a terminal. Invariant:
//! the output does not depend on the number of threads.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::baseline::{NotOneRun, are_same_files, portray_path};
use super::pipeline::judge_run_against;
use super::record::Recorders;
use super::{InForce, own_patterns, progress, rule_set, whole_file};
use crate::cli::{AuditArgs, ColorWhen, Format, InputArgs, InspectArgs};
use crate::exit::ExitStatus;
use crate::model::Severity;
use crate::report::html::{Detail, RankRecording, RunPage, run_page, write_page};
use crate::report::plot::{Plot, write_plots};
use crate::report::{
    AuditReport, RunReport, TextStyle, write_audit_json, write_audit_text, write_inspect_json,
    write_inspect_text,
};
use crate::series::Baseline;
use crate::source::{Discovery, RunFiles, discover};

/// Judges.
///
/// # Errors
/// When a rule file is wrong or the output cannot be written.
pub fn audit(args: &AuditArgs) -> anyhow::Result<ExitStatus> {
    let rules = rule_set::load_files(&args.rules)?;
    let patterns = own_patterns::compiled(&rules)?;
    let by = InForce::new(&rules.rules, &patterns);
    let baseline = match args
        .baseline
        .as_deref()
        .map(|path| read_baseline(path, by))
        .transpose()
    {
        Ok(baseline) => baseline,
        Err(NotOneRun::Several(why)) => return Err(anyhow::anyhow!(why)),
        Err(NotOneRun::Nothing(why)) => {
            eprintln!("gradwatch: {why}");
            return Ok(ExitStatus::Unreadable);
        }
    };
    if let Some(path) = &args.html {
        whole_file::check(path)?;
    }
    let found = discover(&args.input.paths);
    let detail = args.html.as_ref().map(|_| Detail::of_runs(found.runs.len()));
    let (report, pages) = read(&args.input, found, |run, tick| {
        judge_and_draw(run, by, other_than(run, baseline.as_ref()), detail, tick)
    })?;
    if let Some(path) = &args.html {
        let shown = baseline.as_ref().map(|it| it.0.as_ref());
        let pages: Vec<RunPage> = pages.into_iter().flatten().collect();
        whole_file::write(path, |out| write_page(&report, &pages, shown, out))?;
    }
    print(&args.input, |style, out| match args.input.format {
        Format::Text => write_audit_text(&report, style, out),
        Format::Json => write_audit_json(&report, out),
    })?;
    Ok(status(&report, args.input.strict, Some(args.fail_on.into())))
}

/// Shows what is in the logs.
///
/// # Errors
/// When the output cannot be written.
pub fn inspect(args: &InspectArgs) -> anyhow::Result<ExitStatus> {
    if !args.pattern.is_empty() {
        return own_patterns::try_out(args);
    }
    let rules = rule_set::load_files(&args.rules)?;
    let patterns = own_patterns::compiled(&rules)?;
    let by = InForce::new(&[], &patterns);
    let found = discover(&args.input.paths);
    let is_plotted = args.plot.is_some();
    let (report, recordings) = read(&args.input, found, |run, tick| {
        judge_and_record(run, by, None, is_plotted, tick)
    })?;
    print(&args.input, |style, out| match (args.plot, args.input.format) {
        (Some(quantity), _) => write_plots(
            &report.runs,
            &recordings,
            Plot {
                quantity,
                at: args.at,
            },
            style,
            out,
        ),
        (None, Format::Text) => write_inspect_text(&report, style, out),
        (None, Format::Json) => write_inspect_json(&report, out),
    })?;
    Ok(status(&report, args.input.strict, None))
}

pub(super) fn status(report: &AuditReport, is_strict: bool, fail_on: Option<Severity>) -> ExitStatus {
    if fail_on.is_some_and(|severity| report.runs.iter().any(|it| it.reaches(severity))) {
        ExitStatus::Findings
    } else if report.is_empty() || is_strict && report.lost_something() {
        ExitStatus::Unreadable
    } else {
        ExitStatus::Clean
    }
}

/// The baseline and its files.
type ReadBaseline = (Arc<Baseline>, Vec<PathBuf>);

fn read_baseline(path: &Path, by: InForce<'_>) -> Result<ReadBaseline, NotOneRun> {
    let portrayed = portray_path(path, by)?;
    let files = portrayed.files.clone();
    Ok((
        Arc::new(portrayed.into_baseline(path.display().to_string())),
        files,
    ))
}

/// The baseline, unless this run is it.
fn other_than<'b>(run: &RunFiles, baseline: Option<&'b ReadBaseline>) -> Option<&'b Arc<Baseline>> {
    let (baseline, files) = baseline?;
    let own: Vec<PathBuf> = run
        .streams
        .iter()
        .flat_map(|it| it.files.iter().cloned())
        .collect();
    (!are_same_files(&own, files)).then_some(baseline)
}

/// An audit shows no series: those of ten thousand runs would be all that its memory holds.
fn without_series(mut run: RunReport) -> RunReport {
    run.series = Vec::new();
    run
}

/// Reads all runs, and gives their report and what else was made of each.
fn read<T: Send>(
    input: &InputArgs,
    found: Discovery,
    read_run: impl Fn(&RunFiles, &(dyn Fn(u64) + Sync)) -> (RunReport, T) + Sync,
) -> anyhow::Result<(AuditReport, Vec<T>)> {
    let progress = progress_bar(&found.runs);
    let tick = |n: u64| progress.inc(n);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(input.jobs)
        .build()
        .context("failed to start threads")?;
    let (runs, made) = pool.install(|| found.runs.par_iter().map(|run| read_run(run, &tick)).unzip());
    progress.finish_and_clear();
    Ok((
        AuditReport {
            runs,
            problems: found.problems,
        },
        made,
    ))
}

/// Judges a run and keeps its pictures when they are wanted.
fn judge_and_record(
    run: &RunFiles,
    by: InForce<'_>,
    baseline: Option<&Arc<Baseline>>,
    is_recorded: bool,
    tick: &(dyn Fn(u64) + Sync),
) -> (RunReport, Vec<RankRecording>) {
    let recorders = Recorders::default();
    let report = judge_run_against(
        run,
        by,
        baseline,
        &|stream| is_recorded.then(|| recorders.listen(stream)),
        tick,
    );
    (report, recorders.finish())
}

/// Judges a run and draws it at once, so that only the finished part of the page is kept.
fn judge_and_draw(
    run: &RunFiles,
    by: InForce<'_>,
    baseline: Option<&Arc<Baseline>>,
    detail: Option<Detail>,
    tick: &(dyn Fn(u64) + Sync),
) -> (RunReport, Option<RunPage>) {
    let (report, recordings) = judge_and_record(run, by, baseline, detail.is_some(), tick);
    let page = detail.map(|it| run_page(&report, recordings, it, baseline.is_some()));
    (without_series(report), page)
}

/// Logs below this are read before a bar could be looked at.
const WORTH_A_BAR_BYTES: u64 = 64 << 20;

/// A bar on a terminal once the work takes more than a moment.
fn progress_bar(runs: &[RunFiles]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let files: Vec<&PathBuf> = runs
        .iter()
        .flat_map(|run| run.streams.iter().flat_map(|it| &it.files))
        .collect();
    let total: u64 = files
        .iter()
        .filter_map(|it| std::fs::metadata(it).ok())
        .map(|it| it.len())
        .sum();
    if total < WORTH_A_BAR_BYTES {
        return ProgressBar::hidden();
    }
    progress::bytes_bar(total)
}

/// Prints to standard output. A reader that goes away (`| head`) is not an error.
fn print(
    input: &InputArgs,
    write: impl FnOnce(TextStyle, &mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let stdout = io::stdout();
    let style = text_style(input.color, stdout.is_terminal());
    let mut out = BufWriter::new(stdout.lock());
    let written = write(style, &mut out).and_then(|()| out.flush());
    super::unless_broken_pipe(written).context("failed to write to standard output")
}

pub(super) fn text_style(when: ColorWhen, is_terminal: bool) -> TextStyle {
    let is_colored = match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => super::wants_color(is_terminal),
    };
    let width = is_terminal
        .then(terminal_size::terminal_size)
        .flatten()
        .map(|(width, _)| width.0);
    TextStyle { is_colored, width }
}
