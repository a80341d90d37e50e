//! Numbers and templates to sentences.
//!
//! In: a rule's `summary` with `{placeholders}` and what was seen. Out: one sentence. Invariant: text from the
//! log (tags, layers) is put in as it is; escaping belongs to whoever shows it.

use super::template::fill;
use crate::model::Finding;

/// Layer names that a sentence lists before it counts the rest.
const LAYERS_SHOWN: usize = 3;

/// The sentence for a finding. Placeholders of every rule: `{value} {bound} {step} {last_step} {quantity} {tag}
/// {layers} {in_layers} {n_layers} {where} {forecast}`; a check adds words of its own. Unknown ones stay as they are.
#[must_use]
pub fn render(template: &str, finding: &Finding, step: i64, words: &[(&'static str, String)]) -> String {
    fill(template, |name| {
        match words.iter().find(|(word, _)| *word == name) {
            Some((_, text)) => Some(text.clone()),
            None => common(name, finding, step),
        }
    })
}

fn common(name: &str, finding: &Finding, step: i64) -> Option<String> {
    Some(match name {
        "value" => finding.value.map_or_else(|| "?".to_owned(), number),
        "bound" => finding.bound.map_or_else(|| "?".to_owned(), number),
        "step" => thousands(step),
        "last_step" => finding.last_step.map_or_else(|| "?".to_owned(), thousands),
        "quantity" => finding.quantity.as_str().replace('_', " "),
        "tag" => finding
            .tag
            .clone()
            .unwrap_or_else(|| finding.quantity.as_str().replace('_', " ")),
        "layers" => layers(&finding.layers),
        "in_layers" if finding.layers.is_empty() => String::new(),
        "in_layers" => format!(" in {}", layers(&finding.layers)),
        "n_layers" => finding.layers.len().to_string(),
        "where" => place(finding),
        "forecast" => finding
            .forecast_step
            .map_or_else(|| "no step that can be foretold".to_owned(), thousands),
        _ => return None,
    })
}

/// `the gradient norm of h.3`, `train/loss`.
fn place(finding: &Finding) -> String {
    let quantity = finding.quantity.as_str().replace('_', " ");
    match (&finding.tag, finding.layers.as_slice()) {
        (Some(tag), _) => tag.clone(),
        (None, []) => quantity,
        (None, [one]) => format!("the {quantity} of {one}"),
        (None, many) => format!("the {quantity} of {} layers ({})", many.len(), layers(many)),
    }
}

/// `h.0, h.1, h.2 and 9 more`.
#[must_use]
pub fn layers(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(LAYERS_SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(LAYERS_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A number for people: three significant digits, exponents where they help.
#[must_use]
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "infinity" } else { "-infinity" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 1000.0 {
        thousands(value.round() as i64)
    } else {
        let decimals = (2 - size.log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    }
}

/// `12,345`.
#[must_use]
pub fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        out.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.61, "0.61"),
            (12.345, "12.3"),
            (1234.5, "1,235"),
            (2.45e10, "2.45e10"),
            (1.5e-7, "1.50e-7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-infinity"),
            (-3.5, "-3.5"),
            (100.0, "100"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(thousands(-1_234_567), "-1,234,567");
        assert_eq!(thousands(i64::MIN), "-9,223,372,036,854,775,808");
    }
}
