//! UTF-16 in front of a decoder that reads UTF-8.
//!
//! In: the bytes of a UTF-16 file from its byte order mark on. Out: the calls of the inner decoder. Invariants:
//! the calls do not depend on the splits; one code unit and [`PIECE_BYTES`] of text are held. Line based decoders
//! do this themselves; documents do not.

use super::encoding::{Encoding, MARK_BYTES_MAX, Utf16Reader, detect};
use super::{Decode, Settled, Sink, Tally};

/// Bytes of text that are handed on in one piece.
const PIECE_BYTES: usize = 16 << 10;

/// Feeds a decoder with the UTF-8 of a UTF-16 file.
pub(super) struct Utf16Decoder {
    inner: Box<dyn Decode>,
    mark: Vec<u8>,
    reader: Option<Utf16Reader>,
    text: String,
}

impl Utf16Decoder {
    /// A decoder at the first byte of a file that starts with a byte order mark.
    #[must_use]
    pub(super) fn new(inner: Box<dyn Decode>) -> Self {
        Self {
            inner,
            mark: Vec::with_capacity(MARK_BYTES_MAX),
            reader: None,
            text: String::new(),
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(reader) = &mut self.reader {
            return reader.push(byte, |c| self.text.push(c));
        }
        self.mark.push(byte);
        if let [_, _, ..] = self.mark.as_slice() {
            let is_big_endian = matches!(
                detect(&self.mark),
                Some((Encoding::Utf16 { is_big_endian: true }, _))
            );
            self.reader = Some(Utf16Reader::new(is_big_endian));
        }
    }
}

impl Decode for Utf16Decoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        for piece in bytes.chunks(PIECE_BYTES) {
            for byte in piece {
                self.push(*byte);
            }
            self.inner.feed(self.text.as_bytes(), sink);
            self.text.clear();
        }
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.inner.finish(sink);
    }

    fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        self.inner.settle(sink)
    }

    fn tally(&self) -> Tally {
        self.inner.tally()
    }

    fn format(&self) -> &'static str {
        self.inner.format()
    }
}

#[cfg(test)]
mod tests {
    use super::Utf16Decoder;
    use crate::decode::Decode;
    use crate::decode::document::DocumentDecoder;
    use crate::decode::record::{check_splits, lines_of, record};

    #[test]
    fn documents_in_both_byte_orders_are_read() {
        let text = "\u{feff}{\n \"log_history\": [{\"step\": 1, \"loss\": NaN, \"näme\": 2}]}";
        let make = || Box::new(Utf16Decoder::new(Box::new(DocumentDecoder::new()))) as Box<dyn Decode>;
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for file in [big, little] {
            assert_eq!(
                lines_of(&record(make().as_mut(), &[&file])),
                ["1 loss=NaN", "1 näme=2"]
            );
            check_splits(&make, &file);
        }
    }
}
