//! What a finding says, in paragraphs that fit the terminal.
//!
//! In: a finding. Out: its symptom, layers, diagnosis and remedies, each behind its label and indented below itself.
//! Invariants: nothing from a log reaches the terminal unescaped; without a terminal a paragraph is one line, so that
//! programs like `grep` find whole sentences.

use std::io::{self, Write};

use super::columns::wrapped;
use super::escape::printable;
use super::text::{TextStyle, word};
use crate::model::{Finding, Severity, Verdict};
use crate::rules::words::thousands;

/// Columns before a paragraph, and of the label in front of it with its blank.
const INDENT: usize = 4;
const LABEL_COLUMNS: usize = 9;
/// Columns that paragraphs have on the narrowest terminal.
const COLUMNS_MIN: usize = 20;

/// One paragraph; an empty label is none.
pub(super) fn write_paragraph(
    label: &str,
    words: &str,
    style: TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let label_columns = if label.is_empty() { 0 } else { LABEL_COLUMNS };
    let indent = INDENT + label_columns;
    for (index, line) in lines(words, indent, style).iter().enumerate() {
        if index == 0 && !label.is_empty() {
            writeln!(out, "{:INDENT$}{} {line}", "", style.dim(&format!("{label:<8}")))?;
        } else {
            writeln!(out, "{:indent$}{line}", "")?;
        }
    }
    Ok(())
}

fn lines(words: &str, indent: usize, style: TextStyle) -> Vec<String> {
    let words = printable(words);
    match style.width {
        Some(width) => wrapped(&words, usize::from(width).saturating_sub(indent).max(COLUMNS_MIN)),
        None => vec![words.into_owned()],
    }
}

/// Layers, diagnosis and remedies.
pub(super) fn write_explanation(finding: &Finding, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    // Up to three names stand in the sentence already.
    if finding.layers.len() > 3 {
        write_paragraph("layers", &layer_names(&finding.layers), style, out)?;
    }
    if !finding.diagnosis.is_empty() {
        write_paragraph("look at", &finding.diagnosis, style, out)?;
    }
    for (index, remedy) in finding.remedy.iter().enumerate() {
        let label = if index == 0 { "do" } else { "   or" };
        write_paragraph(label, remedy, style, out)?;
    }
    Ok(())
}

/// What a finding of this severity leads to. An effect may be more urgent than its cause, and says so then.
pub(super) fn write_effect(
    effect: &Finding,
    cause: Severity,
    style: TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let sentence = format!("{}{}: {}", effect.rule, since(effect), effect.message);
    if effect.severity <= cause {
        return write_paragraph("leads to", &sentence, style, out);
    }
    let severity = word(Verdict::of(effect.severity));
    let mut text = Vec::new();
    write_paragraph("leads to", &format!("{severity} {sentence}"), style, &mut text)?;
    // Coloured after it was laid out, so that escapes do not count as width.
    let text = String::from_utf8_lossy(&text);
    out.write_all(
        text.replacen(severity, &style.severity(effect.severity), 1)
            .as_bytes(),
    )
}

/// ` since step 1,200`.
pub(super) fn since(finding: &Finding) -> String {
    finding
        .first_step
        .map_or_else(String::new, |it| format!(" since step {}", thousands(it)))
}

/// Enough names to see the pattern: the first ones and the last.
pub(super) fn layer_names(layers: &[String]) -> String {
    const SHOWN: usize = 6;
    match layers {
        [] => String::new(),
        [.., last] if layers.len() > SHOWN => format!(
            "{}, ... {last} ({} layers)",
            layers[..SHOWN - 1].join(", "),
            layers.len()
        ),
        all => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(label: &str, words: &str, width: Option<u16>) -> String {
        let style = TextStyle {
            is_colored: false,
            width,
        };
        let mut out = Vec::new();
        write_paragraph(label, words, style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paragraphs_fit_the_terminal_and_stand_below_themselves() {
        let words = "plot the norms of every layer beside each other";
        assert_eq!(
            text("look at", words, Some(40)),
            "    look at  plot the norms of every\n             layer beside each other\n"
        );
        assert_eq!(text("look at", words, None), format!("    look at  {words}\n"));
        assert_eq!(text("", "a b\u{1b}[2J", Some(40)), "    a b\\u{1b}[2J\n");
    }
}
