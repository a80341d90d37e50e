//! The query of an address.
//!
//! In: what stands behind the `?`. Out: one parameter, decoded. Invariant: whatever it holds gives a text or nothing;
//! bytes that are not UTF-8 become U+FFFD.

/// The first parameter of this name (`application/x-www-form-urlencoded`).
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|it| it.split_once('=').unwrap_or((it, "")))
        .find(|(key, _)| decoded(key) == name)
        .map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(hex_byte);
        out.push(match (escaped, first) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, other) => *other,
        });
        let taken = if escaped.is_some() { 2 } else { 0 };
        rest = after.get(taken..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u8::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn parameters_are_decoded() {
        let query = "a=1&run=sweep%2Fb+c%C3%A9&token&bad=%zz%4";
        let cases = [
            ("run", Some("sweep/b cé")),
            ("token", Some("")),
            ("bad", Some("%zz%4")),
            ("b", None),
        ];
        for (name, value) in cases {
            assert_eq!(parameter(query, name).as_deref(), value, "{name}");
        }
        assert_eq!(parameter("x=%ff%41", "x").as_deref(), Some("\u{fffd}A"));
    }
}
