//! `gradwatch audit` and `gradwatch inspect`: many runs, all cores, one report.
//!
//! In: paths. Out: a report on standard output, progress on standard error when that is a terminal. Invariant:
//! the output does not depend on the number of threads.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::baseline::{NamedBaseline, NotOneRun};
use super::pipeline::judge_run_against;
use super::record::Recorders;
use super::{InForce, own_patterns, progress, rule_set, whole_file};
use crate::cli::{AuditArgs, ColorWhen, Format, InputArgs, InspectArgs};
use crate::exit::ExitStatus;
use crate::model::Severity;
use crate::report::html::{Detail, RankRecording, RunPage, run_page, write_page};
use crate::report::plot::{Plot, write_plots};
use crate::report::{
    AuditReport, RunReport, TextStyle, printable, write_audit_json, write_audit_text, write_inspect_json,
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
    let named = args.baseline.as_deref();
    let baseline = match named.map(|path| NamedBaseline::read(path, by)).transpose() {
        Ok(baseline) => baseline,
        Err(NotOneRun::Nothing(why)) => {
            eprintln!("gradwatch: {why}");
            return Ok(ExitStatus::Unreadable);
        }
        Err(several) => return Err(several.into()),
    };
    if let Some(path) = &args.html {
        whole_file::check(path)?;
    }
    let found = discover(&args.input.paths);
    let detail = args.html.as_ref().map(|_| Detail::of_runs(found.runs.len()));
    let (report, pages) = read(&args.input, found, |run, tick| {
        let beside = baseline.as_ref().and_then(|it| it.beside(run));
        judge_and_draw(run, by, beside, detail, tick)
    })?;
    if let Some(path) = &args.html {
        let shown = baseline.as_ref().map(|it| it.get().as_ref());
        let pages: Vec<RunPage> = pages.into_iter().flatten().collect();
        whole_file::write(path, |out| write_page(&report, &pages, shown, out))?;
    }
    print(&args.input, |style, out| match args.input.format {
        Format::Text => write_audit_text(&report, style, out),
        Format::Json => write_audit_json(&report, out),
    })?;
    say_unread(&args.input, &report);
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
    say_unread(&args.input, &report);
    Ok(status(&report, args.input.strict, None))
}

/// A path that was given and is not there must not be overseen: beside others that are, the exit status is silent of it.
fn say_unread(input: &InputArgs, report: &AuditReport) {
    let lost = report.problems.iter().filter(|it| !it.is_note);
    let given: BTreeSet<String> = input.paths.iter().map(|it| it.display().to_string()).collect();
    let unread: Vec<String> = lost
        .filter(|it| given.contains(&it.path))
        .map(|it| printable(&it.to_string()).into_owned())
        .collect();
    if unread.is_empty() {
        return;
    }
    let advice = if input.strict || report.is_empty() {
        ""
    } else {
        "; only --strict turns this into exit status 3"
    };
    let (n, of) = (unread.len(), given.len());
    // Nobody may be listening any more; the report says it too.
    let _ = writeln!(
        io::stderr(),
        "gradwatch: {n} of {of} paths could not be read: {}{advice}",
        unread.join("; ")
    );
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
