//! Sentences in text logs by which programs say what killed them.
//!
//! In: lines of text. Out: a bad judgement for each line that one of the rule's patterns hits, at once or, with
//! `at_end`, only if the run logged no step after it. Invariant: constant size; a line of source code that holds
//! such a sentence as a literal is no hit, because logs quote programs (tracebacks, dumps of the script).

use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, StreamCheck, StreamEnd};
use crate::model::{Family, Mark, Severity, TextLine};
use crate::rules::Rule;

/// Characters of a line that a finding quotes.
const QUOTE_CHARS_MAX: usize = 160;

/// What follows a traceback when somebody pressed Ctrl-C.
const INTERRUPT: &str = "KeyboardInterrupt";
/// Begins what an interpreter says of an exception that it drops.
const IGNORED: &str = "Exception ignored";

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "log-pattern",
    family: Family::Liveness,
    kinds: &[],
    params: &[
        ParamInfo {
            name: "at_end",
            default: 0.0,
            min: 0.0,
            max: 1.0,
            doc: "1: report only at the end of the log, if no step came after the line; for what programs also print \
                  when they have caught it",
        },
        ParamInfo {
            name: "heals_after",
            default: 0.0,
            min: 0.0,
            max: 1e9,
            doc: "logged steps after which the run has survived the sentence, and the finding is an info; 0: never",
        },
    ],
    doc: "Searches the lines of text logs for the rule's patterns (regular expressions). Lines of source code, \
          where the sentence stands in a string or a comment, do not count.",
    build: Build::Stream(|rule| Box::new(LogPattern::new(rule))),
};

/// A line that was hit and waits for the end of the log.
#[derive(Debug)]
struct Pending {
    step: i64,
    last_step: Option<i64>,
    seen: Observation,
}

#[derive(Debug)]
struct LogPattern {
    patterns: Arc<[Regex]>,
    is_at_end: bool,
    heals_after: u64,
    /// Steps closed since the last hit, if it may heal.
    n_steps_since: Option<u64>,
    pending: Option<Pending>,
    has_finished: bool,
    /// The interpreter tells of an exception that it dropped, as it does while it shuts down.
    is_ignored: bool,
}

impl LogPattern {
    fn new(rule: &Rule) -> Self {
        Self {
            patterns: Arc::clone(&rule.patterns),
            is_at_end: rule.params.get("at_end") > 0.5,
            heals_after: rule.params.get("heals_after") as u64,
            n_steps_since: None,
            pending: None,
            has_finished: false,
            is_ignored: false,
        }
    }

    fn is_hit(&self, text: &str) -> bool {
        self.patterns
            .iter()
            .filter_map(|it| it.find(text))
            .any(|it| !is_code(text, text.get(..it.start()).unwrap_or("")))
    }

    /// What follows a traceback tells whether somebody pressed Ctrl-C.
    fn note_end_of_traceback(&mut self, text: &str) {
        if let Some(pending) = &mut self.pending
            && text.contains(INTERRUPT)
        {
            pending.seen.severity = Some(Severity::Info);
        }
    }
}

impl StreamCheck for LogPattern {
    fn line_patterns(&self) -> Option<Vec<String>> {
        let mut patterns: Vec<String> = self.patterns.iter().map(|it| it.as_str().to_owned()).collect();
        if self.is_at_end {
            patterns.extend([INTERRUPT.to_owned(), format!("^{IGNORED}")]);
        }
        Some(patterns)
    }

    fn line(&mut self, line: &TextLine<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        if self.is_at_end {
            self.note_end_of_traceback(line.text);
        }
        if !self.is_hit(line.text) {
            if self.is_at_end {
                self.is_ignored |= line.text.starts_with(IGNORED);
            }
            return;
        }
        if self.is_at_end && std::mem::take(&mut self.is_ignored) {
            return;
        }
        let step = line.step.or(context.facts.last_step).unwrap_or(0);
        let seen = Observation::new("", 1.0, 0.0)
            .word("line", line.number.to_string())
            .word("text", quote(line.text));
        if self.is_at_end {
            self.pending = Some(Pending {
                step,
                last_step: context.facts.last_step,
                seen,
            });
        } else {
            self.n_steps_since = (self.heals_after > 0).then_some(0);
            out.push(Judged {
                subject: 0,
                step,
                judgement: Judgement::Bad(seen),
            });
        }
    }

    fn step_closed(&mut self, step: i64, _: Option<f64>, _: &Context<'_>, out: &mut Vec<Judged>) {
        let Some(n_steps) = &mut self.n_steps_since else {
            return;
        };
        *n_steps += 1;
        // The step that was open when the line came is closed after it.
        if *n_steps > self.heals_after {
            self.n_steps_since = None;
            out.push(Judged {
                subject: 0,
                step,
                judgement: Judgement::Healed(Severity::Info),
            });
        }
    }

    fn mark(&mut self, mark: &Mark<'_>, _: &Context<'_>, _: &mut Vec<Judged>) {
        self.has_finished |= matches!(mark, Mark::Finished);
    }

    fn rewind(&mut self, _: i64) {
        self.pending = None;
        self.n_steps_since = None;
        self.has_finished = false;
    }

    fn finish(&mut self, _: &StreamEnd, context: &Context<'_>, out: &mut Vec<Judged>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let went_on = context.facts.last_step > pending.last_step;
        if !went_on && !self.has_finished {
            out.push(Judged {
                subject: 0,
                step: pending.step,
                judgement: Judgement::Bad(pending.seen),
            });
        }
    }
}

fn quote(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{} ...", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// Beginnings of lines of Python and shell that may hold a sentence without anything having happened.
const CODE_BEGINS: &[&str] = &[
    "#",
    "//",
    "/*",
    "\"",
    "'",
    "f\"",
    "f'",
    "raise ",
    "print(",
    "return ",
    "assert ",
    "if ",
    "elif ",
    "def ",
    "class ",
    "import ",
    "from ",
    "except ",
    "logger.",
    "logging.",
    "log.",
    "warnings.",
    "self.",
    "echo ",
    "printf ",
    "+ ",
    ">>> ",
    "case ",
    "grep ",
];

/// Text up to a string literal that is an argument or is assigned.
static OPENS_LITERAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?:\w\(|\w\s?=|,|\breturn|\bin)\s*[frbFRB]{0,2}["'][^"']*$"#).ok());

/// Whether a line is source code; `before` is what stands in front of the hit.
fn is_code(text: &str, before: &str) -> bool {
    let line = text.trim_start();
    if line.starts_with('{') {
        // A record in JSON or Python's notation.
        return false;
    }
    CODE_BEGINS.iter().any(|it| line.starts_with(it))
        || OPENS_LITERAL.as_ref().is_some_and(|it| it.is_match(before))
}

#[cfg(test)]
#[path = "log_pattern/tests.rs"]
mod tests;
