//! The runs that are followed, as lines that fit a terminal.
//!
//! In: one summary per run with its age, and the size of the terminal. Out: lines without line ends. Invariants: no more
//! lines than asked for, none wider than the terminal; the worst run comes first, then the one that changed last; nothing from a log reaches the terminal unescaped.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::time::Duration;

use super::columns::{columns as columns_of, cut, padded};
use super::escape::printable;
use super::spark::sparkline;
use super::summary::RunSummary;
use super::text::TextStyle;
use crate::model::{Severity, Verdict};
use crate::rules::words::thousands;

/// Columns of the loss.
const SPARK_COLUMNS: usize = 16;
/// Columns that a name gets at least, and at most.
const NAME_COLUMNS: (usize, usize) = (8, 40);
/// Columns of verdict, step and age with the blanks between them.
const FIXED_COLUMNS: usize = 26;
/// Columns that most findings take, with the step since when; the loss is shown where it leaves so many.
const FINDING_COLUMNS: usize = 36;
/// Terminals narrower than this show no finding.
const FINDING_FROM: usize = 48;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct LiveRow<'a> {
    /// The run.
    pub summary: &'a RunSummary,
    /// Time since its files changed.
    pub age: Option<Duration>,
}

/// The table: a head, the runs, and a last line when not all of them have room.
#[must_use]
pub fn live_table(mut rows: Vec<LiveRow<'_>>, columns: usize, lines: usize, style: TextStyle) -> Vec<String> {
    let n_runs = rows.len();
    if n_runs == 0 || lines < 2 {
        return Vec::new();
    }
    rows.sort_by_key(|it| (Reverse(it.summary.verdict), it.age.unwrap_or(Duration::MAX)));
    let room = lines - 1;
    let n_shown = if n_runs > room {
        room.saturating_sub(1)
    } else {
        n_runs
    };
    let shown = rows.get(..n_shown).unwrap_or_default();
    let widest = shown
        .iter()
        .map(|it| columns_of(&printable(&it.summary.run)))
        .max();
    let layout = Layout::of(columns, widest.unwrap_or_default());
    let head = layout.line(&Cells {
        verdict: "verdict",
        run: "run",
        step: "step",
        age: "age",
        spark: "loss",
        finding: "worst finding",
    });
    let mut table = vec![style.dim(&head)];
    table.extend(shown.iter().map(|it| layout.row(*it, style)));
    if n_shown < n_runs {
        let more = format!("and {} more runs", thousands((n_runs - n_shown) as i64));
        table.push(style.dim(&cut(&more, columns)));
    }
    table
}

struct Cells<'a> {
    verdict: &'a str,
    run: &'a str,
    step: &'a str,
    age: &'a str,
    spark: &'a str,
    finding: &'a str,
}

struct Layout {
    columns: usize,
    name: usize,
    has_spark: bool,
    has_finding: bool,
}

impl Layout {
    fn of(columns: usize, widest_name: usize) -> Self {
        let third = columns / 3;
        let name = widest_name.clamp(NAME_COLUMNS.0, NAME_COLUMNS.1.min(third.max(NAME_COLUMNS.0)));
        Self {
            columns,
            name,
            has_spark: columns >= FIXED_COLUMNS + name + 2 + SPARK_COLUMNS + 2 + FINDING_COLUMNS,
            has_finding: columns >= FINDING_FROM,
        }
    }

    fn line(&self, cells: &Cells<'_>) -> String {
        let name = self.name;
        let mut line = format!(
            "{:<8} {} {:>9} {:>6}",
            cells.verdict,
            padded(&cut(cells.run, name), name),
            cells.step,
            cells.age
        );
        if self.has_spark {
            // Writing to a String cannot fail.
            let _ = write!(line, "  {:<SPARK_COLUMNS$}", cells.spark);
        }
        if self.has_finding {
            line.push_str("  ");
            line.push_str(cells.finding);
        }
        cut(line.trim_end(), self.columns)
    }

    fn row(&self, row: LiveRow<'_>, style: TextStyle) -> String {
        let summary = row.summary;
        let verdict = word_of(summary);
        let line = self.line(&Cells {
            verdict,
            run: &printable(&summary.run),
            step: &summary.last_step.map_or_else(|| "-".to_owned(), thousands),
            age: &row.age.map_or_else(|| "-".to_owned(), age_words),
            spark: &sparkline(&summary.spark, SPARK_COLUMNS),
            finding: &printable(&finding_words(summary)),
        });
        match line.strip_prefix(verdict) {
            Some(rest) => format!("{}{rest}", style.verdict_as(summary.verdict, verdict)),
            None => line,
        }
    }
}

fn word_of(summary: &RunSummary) -> &'static str {
    match summary.verdict {
        _ if summary.is_reading => "reading",
        Verdict::NoData => "no data",
        verdict => verdict.as_str(),
    }
}

fn finding_words(summary: &RunSummary) -> String {
    let Some(worst) = summary.worst.as_ref().filter(|it| it.severity > Severity::Info) else {
        return String::new();
    };
    let since = worst
        .first_step
        .map_or_else(String::new, |it| format!(" since step {}", thousands(it)));
    let more = match summary.findings {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!("{}{since}{more}", worst.rule)
}

/// `12 s`, `5 min`, `3 h`, `4 d`: as exact as a glance needs, and seldom another text.
fn age_words(age: Duration) -> String {
    match age.as_secs() {
        secs @ 0..60 => format!("{secs} s"),
        secs @ 60..3_600 => format!("{} min", secs / 60),
        secs @ 3_600..86_400 => format!("{} h", secs / 3_600),
        secs => format!("{} d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RunReport, WorstFinding};

    const PLAIN: TextStyle = TextStyle {
        is_colored: false,
        width: None,
    };

    fn run(name: &str, verdict: Verdict) -> RunSummary {
        let mut report = RunReport::new(name);
        (report.verdict, report.last_step) = (verdict, Some(12_000));
        let mut summary = RunSummary::of(&report);
        summary.spark = vec![4.0, 3.0, 2.0, 1.0, f64::NAN];
        if verdict > Verdict::Healthy {
            summary.findings = 2;
            summary.worst = Some(WorstFinding {
                rule: "non-finite-loss".to_owned(),
                severity: Severity::Critical,
                first_step: Some(11_000),
                message: String::new(),
            });
        }
        summary
    }

    fn table(summaries: &[RunSummary], columns: usize, lines: usize) -> Vec<String> {
        let rows = (0..).zip(summaries).map(|(age, summary)| LiveRow {
            summary,
            age: Some(Duration::from_secs(age * 70)),
        });
        live_table(rows.collect(), columns, lines, PLAIN)
    }

    #[test]
    fn the_worst_comes_first_and_everything_has_its_column() {
        let runs = [
            run("healthy-one", Verdict::Healthy),
            run("sick", Verdict::Critical),
        ];
        assert_eq!(
            table(&runs, 120, 10),
            [
                "verdict  run              step    age  loss              worst finding",
                "critical sick           12,000  1 min  █▆▃▁!             non-finite-loss since step 11,000 and 1 more",
                "healthy  healthy-one    12,000    0 s  █▆▃▁!",
            ]
        );
    }

    #[test]
    fn it_fits_any_terminal() {
        let long = "a/very/long/name/of/a/run/in/a/deep/directory/tree/with/é".repeat(3);
        let runs: Vec<RunSummary> = (0..30)
            .map(|it| run(&format!("{long}{it}"), Verdict::Critical))
            .chain([run("evil\u{1b}[2J\n", Verdict::Warning)])
            .chain(
                ["学習率を下げた実験".repeat(4), "🔥👩\u{200d}🔬".repeat(9)]
                    .map(|it| run(&it, Verdict::Warning)),
            )
            .collect();
        for columns in [0, 1, 7, 20, 47, 48, 71, 72, 80, 200] {
            for lines in [0, 1, 2, 3, 5, 31, 32, 60] {
                let table = table(&runs, columns, lines);
                assert!(table.len() <= lines, "{columns}x{lines}: {} lines", table.len());
                for line in &table {
                    assert!(columns_of(line) <= columns, "{columns}x{lines}: {line}");
                    assert!(!line.contains(['\u{1b}', '\n']), "{line:?}");
                }
            }
        }
        let some = table(&runs, 80, 5);
        assert_eq!(some.len(), 5);
        assert_eq!(some[4], "and 30 more runs");
        assert!(table(&[], 80, 24).is_empty());
    }

    #[test]
    fn wide_names_keep_the_columns_straight() {
        let runs = [
            run("訓練/基準", Verdict::Healthy),
            run("plain-name", Verdict::Healthy),
        ];
        let table = table(&runs, 80, 10);
        let step_ends = |line: &String| columns_of(line.split("12,000").next().unwrap());
        assert_eq!(step_ends(&table[1]), step_ends(&table[2]), "{table:?}");
    }

    #[test]
    fn since_when_a_run_is_sick_comes_before_its_loss() {
        let runs = [run("vanishing-sigmoid", Verdict::Critical)];
        let since = "non-finite-loss since step 11,000";
        assert!(table(&runs, 80, 10)[1].contains(since));
        assert!(!table(&runs, 80, 10)[1].contains('█'));
        let wide = &table(&runs, 100, 10)[1];
        assert!(wide.contains(since) && wide.contains('█'), "{wide}");
    }

    #[test]
    fn ages_are_short() {
        let words =
            [0, 59, 60, 3_599, 3_600, 86_399, 86_400 * 400].map(|it| age_words(Duration::from_secs(it)));
        assert_eq!(words, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "400 d"]);
    }
}
