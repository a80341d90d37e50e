//! The encoding of a text file: UTF-8, with or without a byte order mark, or UTF-16 with one.
//!
//! In: the first bytes of a file, then single bytes of UTF-16. Out: characters. Invariant: what is not valid
//! becomes U+FFFD, one byte of input never makes more than two characters, nothing is buffered but one code
//! unit. Windows PowerShell writes UTF-16 when output is redirected with `>`.

/// How the bytes of a text file are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8 or anything that contains ASCII unchanged.
    Utf8,
    /// UTF-16 with a byte order mark.
    Utf16 {
        /// Whether the high byte comes first.
        is_big_endian: bool,
    },
}

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_LE_MARK: &[u8] = b"\xff\xfe";
const UTF16_BE_MARK: &[u8] = b"\xfe\xff";

/// Longest byte order mark in bytes.
pub(crate) const MARK_BYTES_MAX: usize = 3;

/// The encoding that the first bytes of a file tell, with the length of the mark, or `None` as long as more
/// bytes are needed to know.
pub(crate) fn detect(head: &[u8]) -> Option<(Encoding, usize)> {
    let utf16 = |is_big_endian| Encoding::Utf16 { is_big_endian };
    let marks = [
        (UTF8_MARK, Encoding::Utf8),
        (UTF16_LE_MARK, utf16(false)),
        (UTF16_BE_MARK, utf16(true)),
    ];
    if let Some((mark, encoding)) = marks.iter().find(|(mark, _)| head.starts_with(mark)) {
        return Some((*encoding, mark.len()));
    }
    let is_undecided = marks.iter().any(|(mark, _)| mark.starts_with(head));
    (!is_undecided).then_some((Encoding::Utf8, 0))
}

/// UTF-16 to characters, byte by byte.
#[derive(Debug, Clone)]
pub(crate) struct Utf16Reader {
    is_big_endian: bool,
    first_byte: Option<u8>,
    high_surrogate: Option<u16>,
}

impl Utf16Reader {
    /// A reader that stands behind the byte order mark.
    pub(crate) fn new(is_big_endian: bool) -> Self {
        Self {
            is_big_endian,
            first_byte: None,
            high_surrogate: None,
        }
    }

    /// Takes one byte; calls back with the characters that are complete now.
    pub(crate) fn push(&mut self, byte: u8, mut on_char: impl FnMut(char)) {
        let Some(first) = self.first_byte.take() else {
            self.first_byte = Some(byte);
            return;
        };
        let unit = if self.is_big_endian {
            u16::from_be_bytes([first, byte])
        } else {
            u16::from_le_bytes([first, byte])
        };
        let waiting = self.high_surrogate.take();
        let is_high = (0xd800..0xdc00).contains(&unit);
        match waiting {
            Some(high) if (0xdc00..0xe000).contains(&unit) => {
                let pair = char::decode_utf16([high, unit]).next().and_then(Result::ok);
                on_char(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
                return;
            }
            Some(_) => on_char(char::REPLACEMENT_CHARACTER),
            None => {}
        }
        if is_high {
            self.high_surrogate = Some(unit);
        } else {
            on_char(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    /// Whether half a character is held back.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.first_byte.is_some() || self.high_surrogate.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Utf16Reader, detect};

    fn decode(bytes: &[u8], is_big_endian: bool) -> String {
        let mut reader = Utf16Reader::new(is_big_endian);
        let mut text = String::new();
        for byte in bytes {
            reader.push(*byte, |c| text.push(c));
        }
        text
    }

    #[test]
    fn a_mark_is_known_only_when_it_is_whole() {
        assert_eq!(detect(b""), None);
        assert_eq!(detect(b"\xef\xbb"), None);
        assert_eq!(detect(b"\xef\xbb\xbf{"), Some((Encoding::Utf8, 3)));
        assert_eq!(detect(b"\xff"), None);
        assert_eq!(
            detect(b"\xff\xfe"),
            Some((Encoding::Utf16 { is_big_endian: false }, 2))
        );
        assert_eq!(
            detect(b"\xfe\xff"),
            Some((Encoding::Utf16 { is_big_endian: true }, 2))
        );
        assert_eq!(detect(b"s"), Some((Encoding::Utf8, 0)));
        assert_eq!(detect(b"\xef\xbbx"), Some((Encoding::Utf8, 0)));
    }

    #[test]
    fn reads_both_byte_orders_and_surrogate_pairs() {
        let text = "step 1 \u{1f525} loss 2,5 é";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&little, false), text);
        assert_eq!(decode(&big, true), text);
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        let units = [0xd83d_u16, u16::from(b'a'), 0xdd25, 0xd83d, 0xd83d, 0xdd25];
        let bytes: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&bytes, false), "\u{fffd}a\u{fffd}\u{fffd}\u{1f525}");
    }
}
