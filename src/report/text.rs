//! The audit report for people: a table of runs, then what is wrong with each, root causes first.
//!
//! In: an [`AuditReport`]. Out: text. Invariants: readable without colour; nothing from a log reaches the
//! terminal unescaped; healthy runs take one line.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::columns::columns;
use super::escape::printable;
use super::paragraph::{write_effect, write_explanation, write_paragraph};
use super::run::{AuditReport, RunReport};
use super::spark::{sparkline, sparkline_log};
use crate::model::{Finding, Problem, Severity, Verdict};
use crate::rules::words::{number, thousands};

/// Problems of a run that are listed; the rest is counted.
const PROBLEMS_SHOWN: usize = 8;
/// Width of sparklines, and on the narrowest terminal.
const SPARK_WIDTH: usize = 48;
const SPARK_WIDTH_MIN: usize = 8;

/// Colours and width.
#[derive(Debug, Clone, Copy)]
pub struct TextStyle {
    /// Whether to colour.
    pub is_colored: bool,
    /// Columns to fill; `None` when the output is not a terminal.
    pub width: Option<u16>,
}

impl TextStyle {
    pub(super) fn bold(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    /// Columns of a sparkline on a line with so many others.
    fn room_beside(self, n_others: usize) -> usize {
        let room = |it: u16| {
            usize::from(it)
                .saturating_sub(n_others)
                .clamp(SPARK_WIDTH_MIN, SPARK_WIDTH)
        };
        self.width.map_or(SPARK_WIDTH, room)
    }

    fn paint(self, style: Style, text: &str) -> String {
        if self.is_colored {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn verdict(self, verdict: Verdict) -> String {
        self.verdict_as(verdict, word(verdict))
    }

    /// Another word in the colour of a verdict.
    pub(super) fn verdict_as(self, verdict: Verdict, word: &str) -> String {
        let color = match verdict {
            Verdict::Critical => AnsiColor::Red,
            Verdict::Warning => AnsiColor::Yellow,
            Verdict::Healthy => AnsiColor::Green,
            Verdict::NoData => AnsiColor::BrightBlack,
        };
        self.paint(Style::new().bold().fg_color(Some(color.into())), word)
    }

    pub(super) fn severity(self, severity: Severity) -> String {
        match severity {
            Severity::Info => self.dim("note"),
            other => self.verdict(Verdict::of(other)),
        }
    }
}

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Critical => "CRITICAL",
        Verdict::Warning => "WARNING",
        Verdict::Healthy => "healthy",
        Verdict::NoData => "no data",
    }
}

/// Writes the report.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_audit_text(report: &AuditReport, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    write_overview(report, style, out)?;
    let has_more = |it: &&RunReport| {
        !it.findings.is_empty() || it.lost_something() || it.points == 0 && !it.problems.is_empty()
    };
    for run in report.runs.iter().filter(has_more) {
        writeln!(out)?;
        write_run(run, style, out)?;
    }
    if !report.problems.is_empty() {
        writeln!(out)?;
        write_problems(&report.problems, style, out)?;
    }
    writeln!(out)?;
    writeln!(out, "{}", summary(report, style))
}

fn write_overview(report: &AuditReport, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    let mut runs: Vec<&RunReport> = report.runs.iter().collect();
    runs.sort_by_key(|it| std::cmp::Reverse(it.verdict));
    let rows: Vec<Vec<String>> = runs.into_iter().map(overview_row).collect();
    let header = ["verdict", "run", "steps", "loss", "layers", "what"];
    // On a narrow terminal: no layers, no steps, no loss, and only the end of the name.
    style.fitting_table(&header, rows, &[4, 2, 3], 1, out)
}

fn overview_row(run: &RunReport) -> Vec<String> {
    let steps = match (run.first_step, run.last_step) {
        (Some(first), Some(last)) if run.steps_are_ordinal => format!("{} rows", last - first + 1),
        (Some(first), Some(last)) => format!("{}..{}", thousands(first), thousands(last)),
        _ => "-".to_owned(),
    };
    let loss = run.loss.map_or_else(
        || "-".to_owned(),
        |it| format!("{} -> {}", number(it.initial), number(it.last)),
    );
    let what = run
        .findings
        .iter()
        .find(|it| it.severity > Severity::Info && it.caused_by.is_none());
    let what = what.or(run.findings.iter().find(|it| it.severity > Severity::Info));
    let what = what.map_or_else(String::new, |it| match it.first_step {
        Some(step) => format!("{} since step {}", it.rule, thousands(step)),
        None => it.rule.clone(),
    });
    vec![
        word(run.verdict).to_owned(),
        printable(&run.run).into_owned(),
        steps,
        loss,
        run.layers.len().to_string(),
        what,
    ]
}

fn write_run(run: &RunReport, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} {}",
        style.verdict(run.verdict),
        style.bold(&printable(&run.run))
    )?;
    let curve: Vec<f64> = run
        .loss_history
        .bins()
        .iter()
        .map(|bin| if bin.nonfinite > 0 { f64::NAN } else { bin.last })
        .collect();
    if let Some(loss) = run.loss.filter(|_| curve.len() > 1) {
        let span = format!(
            "{} -> {} (best {})",
            number(loss.initial),
            number(loss.last),
            number(loss.best)
        );
        let room = style.room_beside("  loss        ".len() + span.len());
        writeln!(out, "  loss      {}  {span}", sparkline(&curve, room))?;
    }
    for finding in run.findings.iter().filter(|it| it.caused_by.is_none()) {
        write_root(run, finding, style, out)?;
    }
    // Whatever was linked to a cause that is itself explained is still shown.
    write_problems(&run.problems, style, out)
}

fn write_root(run: &RunReport, finding: &Finding, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    let since = finding
        .first_step
        .map_or_else(String::new, |it| format!(" since step {}", thousands(it)));
    let rank = finding
        .rank
        .filter(|_| run.ranks > 1)
        .map_or_else(String::new, |it| format!(", rank {it} only"));
    writeln!(
        out,
        "  {} {}{since}{rank}",
        style.severity(finding.severity),
        style.bold(&finding.rule)
    )?;
    write_paragraph("", &finding.message, style, out)?;
    if finding.severity == Severity::Info {
        return Ok(());
    }
    write_profile(run, finding, style, out)?;
    write_explanation(finding, style, out)?;
    let effects = run.findings.iter();
    for effect in effects.filter(|it| it.caused_by.as_deref() == Some(&finding.rule)) {
        write_effect(effect, finding.severity, style, out)?;
    }
    Ok(())
}

fn write_profile(
    run: &RunReport,
    finding: &Finding,
    style: TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(evidence) = run
        .evidence
        .get(&(finding.rule.clone(), finding.kind, finding.quantity))
        .filter(|it| it.len() > 2)
    else {
        return Ok(());
    };
    let values: Vec<f64> = evidence.iter().map(|(_, value)| *value).collect();
    let (Some(first), Some(last)) = (evidence.first(), evidence.last()) else {
        return Ok(());
    };
    let ends = format!(
        "{} {} .. {} {} (log scale, at the alarm)",
        printable(&first.0),
        number(first.1),
        printable(&last.0),
        number(last.1),
    );
    let picture = sparkline_log(&values, style.room_beside("    input  output ".len()));
    let line = format!("    input {picture} output   {ends}");
    if style.width.is_some_and(|it| columns(&line) > usize::from(it)) {
        writeln!(out, "    input {picture} output")?;
        return write_paragraph("", &ends, style, out);
    }
    writeln!(out, "{line}")
}

pub(super) fn write_problems(problems: &[Problem], style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    for problem in problems.iter().take(PROBLEMS_SHOWN) {
        let label = if problem.is_note { "note" } else { "not read" };
        writeln!(out, "  {} {}", style.dim(label), printable(&problem.to_string()))?;
    }
    if problems.len() > PROBLEMS_SHOWN {
        writeln!(
            out,
            "  {} {} more in --format json",
            style.dim("and"),
            problems.len() - PROBLEMS_SHOWN
        )?;
    }
    Ok(())
}

fn summary(report: &AuditReport, style: TextStyle) -> String {
    let count = |verdict: Verdict| report.runs.iter().filter(|it| it.verdict == verdict).count();
    let parts: Vec<String> = [
        Verdict::Critical,
        Verdict::Warning,
        Verdict::Healthy,
        Verdict::NoData,
    ]
    .into_iter()
    .filter(|it| count(*it) > 0)
    .map(|it| format!("{} {}", count(it), style.verdict(it)))
    .collect();
    let runs = match report.runs.len() {
        1 => "1 run".to_owned(),
        n => format!("{n} runs"),
    };
    let found = if parts.is_empty() {
        "no runs found".to_owned()
    } else {
        format!("{runs}: {}", parts.join(", "))
    };
    match report.problems.iter().filter(|it| !it.is_note).count() {
        0 => found,
        n => format!("{found}, {n} {}", style.verdict_as(Verdict::Critical, "NOT READ")),
    }
}
