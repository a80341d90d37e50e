//! What a mail says, before it is set as text or as HTML.
//!
//! In: a bulletin or a digest. Out: a [`Message`]: sentences, labelled facts, lists. Invariants: nothing from a log
//! carries a control character or is longer than the limits here; the subject of an incident whose leading alarm
//! stays the same differs in its state word only, which stands in brackets, so that the base subject (RFC 5256,
//! section 2.1) and with it the thread stays one.

mod digest;
mod headline;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::alert::{Alarm, Bulletin, Occasion, Over, Standing};
use crate::model::{Finding, Severity};
use crate::report::{number, printable, quantity_words, thousands, why_over};

pub(super) use digest::digest_message;
pub(super) use headline::{headline, run_label, since};

/// Root causes that are told in full.
const ROOTS_MAX: usize = 4;
/// Consequences that are listed.
const CONSEQUENCES_MAX: usize = 12;
/// Layers that are listed of an alarm.
const LAYERS_MAX: usize = 16;
/// Remedies of an alarm.
const REMEDIES_MAX: usize = 5;
/// Characters of a name, a line, a sentence and a paragraph. With the counts above, the longest message in the
/// costliest script stays below what a mail may have.
const NAME_CHARS_MAX: usize = 80;
const LINE_CHARS_MAX: usize = 160;
const SENTENCE_CHARS_MAX: usize = 300;
const PARAGRAPH_CHARS_MAX: usize = 800;
/// Bytes of a character of the costliest script that is written in long texts.
const CHAR_BYTES: usize = 3;

/// How urgent a message, or a part of it, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    Test,
    Gone,
    Resolved,
    Warning,
    Critical,
}

impl Tone {
    pub(super) fn word(self) -> &'static str {
        match self {
            Tone::Test => "TEST",
            Tone::Gone => "LOG GONE",
            Tone::Resolved => "RESOLVED",
            Tone::Warning => "WARNING",
            Tone::Critical => "CRITICAL",
        }
    }

    fn of_alarm(alarm: &Alarm) -> Self {
        match (alarm.standing, alarm.finding.severity) {
            (Standing::Resolved(Over::NoData), _) => Tone::Gone,
            (Standing::Resolved(_), _) => Tone::Resolved,
            (Standing::Firing, Severity::Critical) => Tone::Critical,
            (Standing::Firing, _) => Tone::Warning,
        }
    }
}

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) tone: Tone,
    /// The first line: what has happened.
    pub(super) headline: String,
    /// Why this is sent now, one sentence.
    pub(super) occasion: String,
    /// What and where, in labelled lines.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Root causes.
    pub(super) alarms: Vec<AlarmWords>,
    /// What follows from them, a line each.
    pub(super) consequences: Vec<String>,
    /// What the reader may type: what for, and the command.
    pub(super) commands: Vec<(&'static str, String)>,
    /// Why this reader gets it.
    pub(super) footer: String,
}

impl Message {
    /// Whether the headline says all that the title of the only alarm would.
    pub(super) fn is_about_one(&self) -> bool {
        matches!(self.alarms.as_slice(), [one] if one.tone == self.tone)
    }
}

/// What a mail says of one alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AlarmWords {
    pub(super) tone: Tone,
    pub(super) title: String,
    /// What the numbers do.
    pub(super) sentence: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) diagnosis: String,
    pub(super) remedies: Vec<String>,
}

/// Where the watchdog is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Names the deployment.
    pub(super) host: String,
    /// Its state directory, where a command does not find it by itself.
    pub(super) state: Option<PathBuf>,
}

impl Place {
    fn state_flag(&self) -> String {
        self.state.as_ref().map_or_else(String::new, |it| {
            format!(" --state {}", shell_word(&it.to_string_lossy()))
        })
    }
}

/// The message of a bulletin.
pub(super) fn bulletin_message(bulletin: &Bulletin, place: &Place) -> Message {
    let host = &place.host;
    let tone = tone(bulletin);
    let headline = bulletin
        .roots
        .first()
        .map_or_else(|| "alarm".to_owned(), |it| headline(&it.finding));
    Message {
        subject: subject(tone, &run_label(bulletin), &headline),
        tone,
        headline: format!("{}: {headline}", tone.word()),
        occasion: occasion(bulletin),
        facts: vec![
            ("Run", clean(&run_label(bulletin), NAME_CHARS_MAX)),
            ("Under", clean(&bulletin.root, LINE_CHARS_MAX)),
            ("Found", format!("{} on {host}", moment(bulletin.at))),
        ],
        alarms: listed(&bulletin.roots, ROOTS_MAX, alarm_words),
        consequences: consequences(bulletin),
        commands: commands(bulletin, place),
        footer: format!("gradwatch on {host} watches this run and only reads its logs."),
    }
}

/// The message that is sent to try the way.
pub(super) fn test_message(place: &Place, at: Timestamp) -> Message {
    let host = &place.host;
    let headline = format!("mail from gradwatch on {host} arrives");
    Message {
        subject: subject(Tone::Test, host, "mail arrives"),
        tone: Tone::Test,
        headline: format!("{}: {headline}", Tone::Test.word()),
        occasion: "Nothing is wrong: somebody typed `gradwatch mail-test`. Alarms will look like this, with what to \
                   check, what to do, and a picture of the layers."
            .to_owned(),
        facts: vec![("Sent", format!("{} on {host}", moment(at)))],
        alarms: Vec::new(),
        consequences: Vec::new(),
        commands: vec![("What is watched", format!("gradwatch status{}", place.state_flag()))],
        footer: format!("gradwatch on {host} only reads logs."),
    }
}

/// The subject: the run and the headline, behind the state in brackets.
fn subject(tone: Tone, run: &str, headline: &str) -> String {
    let text = format!("[gradwatch] [{}] {run}: {headline}", tone.word());
    clean(&text, LINE_CHARS_MAX)
}

/// How urgent a bulletin is: as its worst root cause that stands.
fn tone(bulletin: &Bulletin) -> Tone {
    if bulletin.occasion == Occasion::Resolved {
        return if is_gone(bulletin) {
            Tone::Gone
        } else {
            Tone::Resolved
        };
    }
    let worst = bulletin.roots.iter().map(Tone::of_alarm).max();
    worst.unwrap_or(Tone::Warning).max(Tone::Warning)
}

/// Whether alarms ended because the log did.
fn is_gone(bulletin: &Bulletin) -> bool {
    let alarms = bulletin.roots.iter().chain(&bulletin.consequences);
    alarms
        .map(|it| it.standing)
        .any(|it| it == Standing::Resolved(Over::NoData))
}

fn occasion(bulletin: &Bulletin) -> String {
    let first = bulletin.roots.iter().map(|it| it.since).min();
    let since = first.map_or_else(String::new, |it| format!(" It was first seen {}.", moment(it)));
    match bulletin.occasion {
        Occasion::Firing if bulletin.sequence == 0 => "This is new.".to_owned(),
        Occasion::Firing => format!("There is a new alarm in this run.{since}"),
        Occasion::Worse => format!("It has become worse than told before.{since}"),
        Occasion::Reminder => format!("It still stands.{since}"),
        Occasion::Resolved if is_gone(bulletin) => {
            format!("The log of this run is gone: nothing more will be said of it.{since}")
        }
        Occasion::Resolved => format!("All that was told of this run is over.{since}"),
    }
}

fn alarm_words(alarm: &Alarm) -> AlarmWords {
    let finding = &alarm.finding;
    let is_over = matches!(alarm.standing, Standing::Resolved(_));
    let remedies = finding.remedy.iter().filter(|_| !is_over);
    AlarmWords {
        tone: Tone::of_alarm(alarm),
        title: headline(finding),
        sentence: sentence(finding),
        facts: alarm_facts(alarm),
        // What is over needs no advice.
        diagnosis: if is_over {
            String::new()
        } else {
            clean(&finding.diagnosis, PARAGRAPH_CHARS_MAX)
        },
        remedies: remedies
            .take(REMEDIES_MAX)
            .map(|it| clean(it, SENTENCE_CHARS_MAX))
            .collect(),
    }
}

fn alarm_facts(alarm: &Alarm) -> Vec<(&'static str, String)> {
    let finding = &alarm.finding;
    let mut facts = Vec::new();
    if let Standing::Resolved(over) = alarm.standing {
        facts.push(("Over", why_over(over).to_owned()));
    }
    facts.push(("Where", place(finding)));
    if !finding.layers.is_empty() {
        let label = if finding.layers.len() == 1 {
            "Layer"
        } else {
            "Layers"
        };
        facts.push((label, layers(&finding.layers)));
    }
    let step = finding
        .first_step
        .map_or_else(String::new, |it| format!("step {}, ", thousands(it)));
    facts.push(("Since", format!("{step}seen {}", moment(alarm.since))));
    facts.push(("Numbers", numbers(finding)));
    if let Some(step) = finding.forecast_step {
        facts.push(("Forecast", format!("overflow at step {}", thousands(step))));
    }
    facts.push(("Rule", clean(&finding.rule, NAME_CHARS_MAX)));
    facts
}

/// The quantity, the tag and the rank.
fn place(finding: &Finding) -> String {
    let quantity = quantity_words(finding.quantity);
    let tag = finding
        .tag
        .as_ref()
        .map_or_else(String::new, |it| format!(" ({})", clean(it, NAME_CHARS_MAX)));
    let rank = finding
        .rank
        .map_or_else(String::new, |it| format!(", rank {it} only"));
    format!("{quantity}{tag}{rank}")
}

/// The evidence: the number, its bound, how often and until when.
fn numbers(finding: &Finding) -> String {
    let mut parts = Vec::new();
    parts.extend(finding.value.map(|it| format!("value {}", number(it))));
    // The bound of what is not finite is the end of the number format: no news.
    let bound = finding.bound.filter(|it| it.is_finite() && it.abs() < f64::MAX);
    parts.extend(bound.map(|it| format!("bound {}", number(it))));
    parts.push(match finding.count {
        1 => "seen once".to_owned(),
        n => format!("seen {} times", thousands(i64::try_from(n).unwrap_or(i64::MAX))),
    });
    let last = finding.last_step.filter(|it| Some(*it) != finding.first_step);
    parts.extend(last.map(|it| format!("last at step {}", thousands(it))));
    parts.join(", ")
}

fn layers(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(LAYERS_MAX)
        .map(|it| clean(it, NAME_CHARS_MAX))
        .collect();
    let count = if names.len() > 1 {
        format!("{}: ", names.len())
    } else {
        String::new()
    };
    match names.len().saturating_sub(LAYERS_MAX) {
        0 => format!("{count}{}", shown.join(", ")),
        more => format!("{count}{} and {more} more", shown.join(", ")),
    }
}

fn consequences(bulletin: &Bulletin) -> Vec<String> {
    let mut lines: Vec<String> = bulletin
        .consequences
        .iter()
        .take(CONSEQUENCES_MAX)
        .map(|it| {
            let over = if matches!(it.standing, Standing::Resolved(_)) {
                " (over)"
            } else {
                ""
            };
            let (rule, since) = (clean(&it.finding.rule, NAME_CHARS_MAX), since(&it.finding));
            format!("{rule}{since}{over}: {}", sentence(&it.finding))
        })
        .collect();
    let left = bulletin.consequences.len().saturating_sub(CONSEQUENCES_MAX);
    if left > 0 {
        lines.push(format!("and {left} more"));
    }
    lines
}

/// What the reader may type on the machine that watches.
fn commands(bulletin: &Bulletin, place: &Place) -> Vec<(&'static str, String)> {
    let state = place.state_flag();
    let mut commands = Vec::new();
    if bulletin.occasion != Occasion::Resolved {
        let incident = shell_word(&bulletin.incident);
        commands.push((
            "I have seen it, no more reminders",
            format!("gradwatch ack {incident}{state}"),
        ));
        let run = shell_word(&bulletin.run);
        // A name that looks like a flag is none behind two dashes.
        let dashes = if bulletin.run.starts_with('-') { "-- " } else { "" };
        commands.push((
            "Nothing of this run for a day",
            format!("gradwatch silence --for 1d{state} {dashes}{run}"),
        ));
    }
    if let Some(first) = bulletin.roots.first() {
        let rule = shell_word(&first.finding.rule);
        commands.push(("Why this rule exists", format!("gradwatch rules show {rule}")));
    }
    commands
}

/// One word of a POSIX shell, whatever the text holds.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:@%+,".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", clean(text, LINE_CHARS_MAX).replace('\'', "'\\''"))
}

/// What the numbers do, from the finding.
fn sentence(finding: &Finding) -> String {
    clean(&finding.message, SENTENCE_CHARS_MAX)
}

/// Text from a log on one line, without control characters, cut at `max` characters.
fn clean(text: &str, max: usize) -> String {
    // Cut first, so that a text of any length costs the same.
    let raw: String = text.chars().take(max + 1).collect();
    let shown = printable(&raw);
    let mut bytes = 0;
    let fits = |it: &char| {
        bytes += it.len_utf8();
        bytes <= max * CHAR_BYTES
    };
    let kept: String = shown.chars().take(max).take_while(fits).collect();
    if kept.len() == shown.len() {
        return kept;
    }
    let mut cut: String = kept.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A sentence from a log for other receivers, as in mails.
pub(super) fn clean_line(text: &str) -> String {
    clean(text, SENTENCE_CHARS_MAX)
}

/// A moment for people, to the minute.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The first `max` items in words; the rest is counted by a line of its own.
fn listed(alarms: &[Alarm], max: usize, words: impl Fn(&Alarm) -> AlarmWords) -> Vec<AlarmWords> {
    let mut list: Vec<AlarmWords> = alarms.iter().take(max).map(words).collect();
    let left = alarms.len().saturating_sub(max);
    if left > 0 {
        list.push(AlarmWords {
            tone: Tone::Warning,
            title: format!("and {left} more"),
            sentence: "`gradwatch status` lists all of them.".to_owned(),
            facts: Vec::new(),
            diagnosis: String::new(),
            remedies: Vec::new(),
        });
    }
    list
}
