//! Alarms of followed runs: for people one block per run and root cause, for programs one JSON object per line.
//!
//! In: [`Notice`]s and the time. Out: text, or lines of schema `gradwatch.watch/1`. Invariants: a consequence of an alarm
//! that was said stands below its cause or, when it comes later, is left out of the text (never out of the JSON);
//! nothing from a log reaches the terminal unescaped.

use std::io::{self, Write};

use serde_json::json;

use super::escape::printable;
use super::json::finding as finding_json;
use super::paragraph::{since, write_effect, write_explanation, write_paragraph};
use super::text::TextStyle;
use crate::alert::{News, Notice, Over};
use crate::model::Verdict;

/// Writes one JSON object per line.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_notices_json(notices: &[Notice], time: &str, out: &mut dyn Write) -> io::Result<()> {
    for notice in notices {
        let line = json!({
            "schema": "gradwatch.watch/1",
            "time": time,
            "event": event(notice.news),
            "reason": match notice.news {
                News::Alarm | News::Worse => None,
                News::Resolved(over) => Some(reason(over)),
            },
            "run": notice.run,
            "fingerprint": notice.fingerprint.to_string(),
            "consequence": notice.is_consequence,
            "finding": finding_json(&notice.finding),
        });
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

fn event(news: News) -> &'static str {
    match news {
        News::Alarm => "alarm",
        News::Worse => "worse",
        News::Resolved(_) => "resolved",
    }
}

/// Why an alarm is over, as a word for programs.
pub(crate) fn reason(over: Over) -> &'static str {
    match over {
        Over::Healed => "healed",
        Over::Superseded => "superseded",
        Over::NotSeenAgain => "not-seen-again",
    }
}

/// Writes one block per run and root cause.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_notices_text(
    notices: &[Notice],
    time: &str,
    style: TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    for notice in notices.iter().filter(|it| !it.is_consequence) {
        match notice.news {
            News::Alarm | News::Worse => {
                write_alarm(notice, time, style, out)?;
                let is_effect = |it: &&Notice| {
                    it.is_consequence
                        && it.run == notice.run
                        && !matches!(it.news, News::Resolved(_))
                        && it.finding.caused_by.as_deref() == Some(&notice.finding.rule)
                };
                for effect in notices.iter().filter(is_effect) {
                    write_effect(&effect.finding, notice.finding.severity, style, out)?;
                }
            }
            News::Resolved(over) => write_resolved(notice, over, time, style, out)?,
        }
    }
    Ok(())
}

fn write_alarm(notice: &Notice, time: &str, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    let finding = &notice.finding;
    let severity = style.severity(finding.severity);
    let run = style.bold(&printable(&notice.run));
    let worse = if notice.news == News::Worse {
        ", worse than said before"
    } else {
        ""
    };
    let rank = finding
        .rank
        .map_or_else(String::new, |it| format!(", rank {it} only"));
    writeln!(
        out,
        "{time} {severity} {run}: {}{}{rank}{worse}",
        style.bold(&finding.rule),
        since(finding)
    )?;
    write_paragraph("", &finding.message, style, out)?;
    write_explanation(finding, style, out)
}

fn write_resolved(
    notice: &Notice,
    over: Over,
    time: &str,
    style: TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let why = why_over(over);
    let verdict = style.verdict_as(Verdict::Healthy, "resolved");
    let (run, rule) = (
        style.bold(&printable(&notice.run)),
        style.bold(&notice.finding.rule),
    );
    writeln!(
        out,
        "{time} {verdict} {run}: {rule}{}: {why}",
        since(&notice.finding)
    )
}

/// Why an alarm is over, as the end of a sentence.
pub(crate) fn why_over(over: Over) -> &'static str {
    match over {
        Over::Healed => "it has healed",
        Over::Superseded => "a restart from an earlier step replaced the steps that showed it",
        Over::NotSeenAgain => "the log was written anew, has come as far again, and does not show it",
    }
}
