//! A message as plain text that reads well on a phone.
//!
//! In: a [`Message`]. Out: text. Invariant: lines are not broken by hand (the reader's program breaks them to its
//! width), every fact of the HTML part is in it.

use std::fmt::Write as _;

use crate::deliver::message::{AlarmWords, Message};

/// The text part.
pub(super) fn text(message: &Message, picture: Option<&str>) -> String {
    let mut out = String::new();
    line(&mut out, &message.headline);
    line(&mut out, "");
    line(&mut out, &message.occasion);
    line(&mut out, "");
    facts(&mut out, &message.facts);
    for alarm in &message.alarms {
        line(&mut out, "");
        if !message.is_about_one() {
            line(&mut out, &format!("== {}: {} ==", alarm.tone.word(), alarm.title));
        }
        write_alarm(&mut out, alarm);
    }
    if !message.consequences.is_empty() {
        line(&mut out, "");
        line(&mut out, "What follows from it");
        message
            .consequences
            .iter()
            .for_each(|it| line(&mut out, &format!("- {it}")));
    }
    if let Some(picture) = picture {
        line(&mut out, "");
        line(&mut out, &format!("Picture (in the HTML part): {picture}"));
    }
    line(&mut out, "");
    for (what, command) in &message.commands {
        line(&mut out, &format!("{what}:"));
        line(&mut out, &format!("    {command}"));
    }
    // What mail programs fold away as a signature (RFC 3676, section 4.3).
    line(&mut out, "-- ");
    line(&mut out, &message.footer);
    out
}

fn write_alarm(out: &mut String, alarm: &AlarmWords) {
    line(out, &alarm.sentence);
    facts(out, &alarm.facts);
    if !alarm.diagnosis.is_empty() {
        line(out, "");
        line(out, "What to check");
        line(out, &alarm.diagnosis);
    }
    if !alarm.remedies.is_empty() {
        line(out, "");
        line(out, "What to do, most promising first");
        for (index, remedy) in alarm.remedies.iter().enumerate() {
            line(out, &format!("{}. {remedy}", index + 1));
        }
    }
}

fn facts(out: &mut String, facts: &[(&'static str, String)]) {
    for (label, value) in facts {
        line(out, &format!("{label}: {value}"));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{text}\r\n");
}
