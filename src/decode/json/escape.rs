//! Escapes in JSON texts.
//!
//! In: the bytes between the quotes. Out: the text they stand for. Invariant: invalid UTF-8, half a surrogate pair and
//! unknown escapes are replaced or taken as they are; nothing fails.

pub(super) fn unescape(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        let (plain, behind) = rest.split_at(at);
        out.push_str(plain);
        let escape = behind.get(1..).unwrap_or_default();
        rest = unescape_one(escape, &mut out);
    }
    out.push_str(rest);
    out
}

/// Resolves the escape behind a backslash; returns what follows it.
fn unescape_one<'a>(escape: &'a str, out: &mut String) -> &'a str {
    let mut chars = escape.chars();
    match chars.next() {
        Some('u') => return unescape_unicode(chars.as_str(), out),
        Some('n') => out.push('\n'),
        Some('t') => out.push('\t'),
        Some('r') => out.push('\r'),
        Some('b') => out.push('\x08'),
        Some('f') => out.push('\x0c'),
        Some(other) => out.push(other),
        None => {}
    }
    chars.as_str()
}

fn unescape_unicode<'a>(digits: &'a str, out: &mut String) -> &'a str {
    let unit = |text: &str| text.get(..4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let Some(high) = unit(digits) else {
        out.push(char::REPLACEMENT_CHARACTER);
        return digits;
    };
    let rest = digits.get(4..).unwrap_or_default();
    let low = rest.strip_prefix("\\u").and_then(unit);
    if let Some(low) = low
        && let Some(Ok(c)) = char::decode_utf16([high, low]).next()
        && c.len_utf16() == 2
    {
        out.push(c);
        return rest.get(6..).unwrap_or_default();
    }
    out.push(char::from_u32(u32::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}
