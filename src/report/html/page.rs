//! The parts of the page put together: data that stays data, a policy that lets nothing else run.
//!
//! In: JSON texts and their names. Out: one HTML document. Invariants: nothing from a log can end its
//! element or become markup; the page asks nothing of a network, and the live one nothing but its own server: its
//! policy allows this script and this style, by their SHA-256, and nothing else.

use std::fmt::Write as _;
use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::quads::base64;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// In the order in which they are run.
const SCRIPTS: &[&str] = &[
    include_str!("data.js"),
    include_str!("source.js"),
    include_str!("draw.js"),
    include_str!("baseline.js"),
    include_str!("line.js"),
    include_str!("heat.js"),
    include_str!("profile.js"),
    include_str!("ranks.js"),
    include_str!("overview.js"),
    include_str!("findings.js"),
    include_str!("run.js"),
    include_str!("page.js"),
];

/// Writes the page with its data in it: elements by their ids.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write<'a>(
    mut parts: impl Iterator<Item = (String, &'a str)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    fill(&policy(""), out, &mut |out| {
        parts.try_for_each(|(id, json)| write_data(&id, json, out))
    })
}

/// The page that asks its server for data, and its policy.
pub(super) fn live() -> (String, String) {
    let policy = policy("; connect-src 'self'");
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = fill(&policy, &mut out, &mut |out| write_data("live", "true", out));
    let html = String::from_utf8_lossy(&out).into_owned();
    // What only a header may say.
    (html, format!("{policy}; frame-ancestors 'none'"))
}

fn script() -> String {
    format!("\"use strict\";\n(() => {{\n{}\n}})();\n", SCRIPTS.concat())
}

fn style() -> String {
    format!("\n{STYLE}")
}

fn policy(more: &str) -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'{more}",
        source_hash(&script()),
        source_hash(&style())
    )
}

fn fill(
    policy: &str,
    out: &mut dyn Write,
    data: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    for part in TEMPLATE.split("%%") {
        match part {
            "POLICY" => out.write_all(policy.as_bytes())?,
            "STYLE" => out.write_all(style().as_bytes())?,
            "SCRIPT" => out.write_all(script().as_bytes())?,
            "DATA" => data(out)?,
            text => out.write_all(text.as_bytes())?,
        }
    }
    Ok(())
}

/// `sha256-...` as a Content-Security-Policy names an inline element.
fn source_hash(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

fn write_data(id: &str, json: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<script type=\"application/json\" id=\"{id}\">{}</script>",
        inert(json)
    )
}

/// JSON in which no character means anything to HTML or to JavaScript. Outside strings JSON has none of them, and in
/// strings the escape is the same text.
pub(super) fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn markup_in_data_stays_text() {
        let evil = "</script><script>alert(1)</script><!-- & \u{2028}\u{2029}";
        let json = Value::from(evil).to_string();
        let safe = inert(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{safe}");
        let back: Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, evil);
    }

    #[test]
    fn a_hash_is_as_the_policy_wants_it() {
        // printf "alert('Hello, world.');" | openssl dgst -sha256 -binary | openssl base64, the example of MDN.
        assert_eq!(
            source_hash("alert('Hello, world.');"),
            "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
        );
    }
}
