//! `gradwatch audit` and `gradwatch inspect`: many runs, all cores, one report.
//!
//! In: paths. Out: a report on standard output, progress on standard error when that is a terminal. Invariant:
//! the output does not depend on the number of threads.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;

use super::pipeline::judge_run;
use super::rule_set;
use crate::cli::{AuditArgs, ColorWhen, Format, InputArgs, InspectArgs};
use crate::exit::ExitStatus;
use crate::model::Severity;
use crate::report::{
    AuditReport, TextStyle, write_audit_json, write_audit_text, write_inspect_json, write_inspect_text,
};
use crate::rules::Rule;
use crate::source::{RunFiles, discover};

/// Judges.
///
/// # Errors
/// When a rule file is wrong or the output cannot be written.
pub fn audit(args: &AuditArgs) -> anyhow::Result<ExitStatus> {
    let rules = rule_set::load_files(&args.rules)?;
    let report = read(&args.input, &rules.rules)?;
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
    let report = read(&args.input, &[])?;
    print(&args.input, |style, out| match args.input.format {
        Format::Text => write_inspect_text(&report, style, out),
        Format::Json => write_inspect_json(&report, out),
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

fn read(input: &InputArgs, rules: &[Rule]) -> anyhow::Result<AuditReport> {
    let found = discover(&input.paths);
    let progress = progress_bar(&found.runs);
    let bytes = AtomicU64::new(0);
    let tick = |n: u64| {
        bytes.fetch_add(n, Ordering::Relaxed);
        progress.inc(n);
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(input.jobs).build().context("failed to start threads")?;
    let runs = pool.install(|| {
        found.runs.par_iter().map(|run| judge_run(run, rules, &|_| None, &tick)).collect()
    });
    progress.finish_and_clear();
    Ok(AuditReport { runs, problems: found.problems })
}

/// A bar on a terminal once the work takes more than a moment.
fn progress_bar(runs: &[RunFiles]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let files: Vec<&PathBuf> = runs.iter().flat_map(|run| run.streams.iter().flat_map(|it| &it.files)).collect();
    let total: u64 = files.iter().filter_map(|it| std::fs::metadata(it).ok()).map(|it| it.len()).sum();
    const WORTH_A_BAR_BYTES: u64 = 64 << 20;
    if total < WORTH_A_BAR_BYTES {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
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
        // https://no-color.org: any value that is not empty.
        ColorWhen::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()),
    };
    let width = is_terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0);
    TextStyle { is_colored, width }
}
