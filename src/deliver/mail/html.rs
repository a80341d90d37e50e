//! A message as HTML: simple tables, styles inline.
//!
//! In: a [`Message`]. Out: one HTML document. Invariants: every text passes through [`escaped`]; no script, no outside
//! part but the picture by its content id; no colour is set without one that it reads on: what has no background
//! of its own takes the reader's colours, so that a dark theme stays readable.

use std::fmt::Write as _;

use crate::deliver::message::{AlarmWords, Message, Tone};

/// Reads on white (4.5:1) and on black (4.6:1) alike.
const MUTED: &str = "#767676";

/// The HTML part; `picture` is a content id and what the picture shows.
pub(super) fn html(message: &Message, picture: Option<(&str, &str)>) -> String {
    let mut out = String::from(
        "<!DOCTYPE html>\r\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"supported-color-schemes\" content=\"light dark\">",
    );
    put(
        &mut out,
        &format!("<title>{}</title></head>", escaped(&message.headline)),
    );
    put(
        &mut out,
        "<body style=\"margin:0;padding:12px;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,\
         sans-serif;font-size:15px;line-height:1.45\"><div style=\"max-width:680px\">",
    );
    put(&mut out, &head(message));
    for alarm in &message.alarms {
        put(&mut out, &alarm_html(alarm, !message.is_about_one()));
    }
    if let Some((cid, alt)) = picture {
        put(&mut out, &picture_html(cid, alt));
    }
    if !message.consequences.is_empty() {
        put(&mut out, &label("What follows from it"));
        put(&mut out, &list("ul", &message.consequences));
    }
    put(&mut out, &commands(message));
    put(
        &mut out,
        &format!(
            "<p style=\"color:{MUTED};font-size:12px;margin:16px 0 0\">{}</p></div></body></html>",
            escaped(&message.footer)
        ),
    );
    out
}

fn head(message: &Message) -> String {
    let headline = message
        .headline
        .strip_prefix(message.tone.word())
        .and_then(|it| it.strip_prefix(": "));
    format!(
        "<p style=\"margin:0 0 8px;font-size:18px;font-weight:bold\">{} {}</p><p style=\"margin:0 0 8px\">{}</p>{}",
        badge(message.tone),
        escaped(headline.unwrap_or(&message.headline)),
        escaped(&message.occasion),
        table(&message.facts)
    )
}

fn alarm_html(alarm: &AlarmWords, has_title: bool) -> String {
    let mut out = format!(
        "<div style=\"border-left:4px solid {};padding:0 0 0 12px;margin:16px 0\">",
        color(alarm.tone)
    );
    if has_title {
        let (badge, title) = (badge(alarm.tone), escaped(&alarm.title));
        put(
            &mut out,
            &format!("<p style=\"margin:0 0 4px;font-weight:bold\">{badge} {title}</p>"),
        );
    }
    let sentence = escaped(&alarm.sentence);
    put(
        &mut out,
        &format!(
            "<p style=\"margin:0 0 8px\">{sentence}</p>{}",
            table(&alarm.facts)
        ),
    );
    if !alarm.diagnosis.is_empty() {
        put(&mut out, &label("What to check"));
        put(
            &mut out,
            &format!("<p style=\"margin:0\">{}</p>", escaped(&alarm.diagnosis)),
        );
    }
    if !alarm.remedies.is_empty() {
        put(&mut out, &label("What to do, most promising first"));
        put(&mut out, &list("ol", &alarm.remedies));
    }
    put(&mut out, "</div>");
    out
}

fn picture_html(cid: &str, alt: &str) -> String {
    // Drawn for 540 units; a phone scales it down.
    format!(
        "<p style=\"margin:16px 0\"><img src=\"cid:{}\" alt=\"{}\" width=\"540\" \
         style=\"width:100%;max-width:540px;height:auto;border:0\"></p>",
        escaped(cid),
        escaped(alt)
    )
}

fn commands(message: &Message) -> String {
    let mut out = String::new();
    for (what, command) in &message.commands {
        put(
            &mut out,
            &format!(
                "<p style=\"margin:8px 0 0\"><span style=\"color:{MUTED}\">{}</span><br>\
                 <code style=\"font-family:Menlo,Consolas,monospace;font-size:13px\">{}</code></p>",
                escaped(what),
                escaped(command)
            ),
        );
    }
    out
}

fn badge(tone: Tone) -> String {
    format!(
        "<span style=\"background-color:{};color:#ffffff;border-radius:3px;padding:1px 6px;font-size:12px;\
         font-weight:bold\">{}</span>",
        color(tone),
        tone.word()
    )
}

/// White reads on each of them (at least 4.5:1).
fn color(tone: Tone) -> &'static str {
    match tone {
        Tone::Critical => "#b3261e",
        Tone::Warning => "#8a5a00",
        Tone::Gone => "#5c5c66",
        Tone::Resolved => "#1b7a3d",
        Tone::Test => "#1f5fa8",
    }
}

fn label(text: &str) -> String {
    format!("<p style=\"margin:12px 0 2px;font-weight:bold\">{text}</p>")
}

fn table(rows: &[(&'static str, String)]) -> String {
    let mut out = String::from("<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\">");
    for (label, value) in rows {
        put(
            &mut out,
            &format!(
                "<tr><td style=\"color:{MUTED};padding:1px 12px 1px 0;vertical-align:top\">{label}</td>\
                 <td style=\"padding:1px 0;vertical-align:top;word-break:break-word\">{}</td></tr>",
                escaped(value)
            ),
        );
    }
    put(&mut out, "</table>");
    out
}

fn list(kind: &str, items: &[String]) -> String {
    let mut out = format!("<{kind} style=\"margin:0;padding:0 0 0 22px\">");
    for item in items {
        put(
            &mut out,
            &format!("<li style=\"word-break:break-word\">{}</li>", escaped(item)),
        );
    }
    put(&mut out, &format!("</{kind}>"));
    out
}

/// Text that stands for itself in HTML, in and outside of attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

fn put(out: &mut String, html: &str) {
    // Short lines keep the quoted-printable text readable. Writing to a string cannot fail.
    let _ = write!(out, "{html}\r\n");
}
