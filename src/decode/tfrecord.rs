//! The `TFRecord` framing: what a record looks like on disk.
//!
//! In: header bytes, or a payload to be framed. Out: the verdict on a header, or the framed record.
//! Invariant: a length is believed only when its checksum holds and it is within [`RECORD_BYTES_MAX`].
//!
//! A record is `u64` little-endian length, `u32` masked CRC-32C of those 8 bytes, the payload, `u32` masked
//! CRC-32C of the payload (`tensorflow/core/lib/io/record_writer.h`).

/// Bytes before the payload: length and its checksum.
pub const HEADER_BYTES: usize = 12;
/// Bytes behind the payload: its checksum.
pub const FOOTER_BYTES: usize = 4;
/// Bytes of a record beside its payload.
pub const FRAME_BYTES: usize = HEADER_BYTES + FOOTER_BYTES;
/// Longest payload that is believed: the limit of a serialized protobuf message, 2 GiB less one byte.
pub const RECORD_BYTES_MAX: u64 = i32::MAX as u64;

const MASK_DELTA: u32 = 0xa282_ead8;
const MEMO_SLOTS: usize = 64;

/// What twelve bytes at a record boundary are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// A payload of this many bytes follows.
    Length(u64),
    /// The checksum holds, but no writer makes records of this length.
    TooLong(u64),
    /// Twelve zero bytes: not yet written. Never valid, as the masked checksum of a zero length is not zero.
    Zeros,
    /// The checksum does not hold.
    Bad,
}

/// The CRC-32C of `bytes`, rotated and offset as `TFRecord` stores it.
pub(crate) fn masked_crc(bytes: &[u8]) -> u32 {
    mask(crc32c::crc32c(bytes))
}

/// Masks a plain CRC-32C.
pub(crate) fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK_DELTA)
}

/// Appends `payload` as one record.
pub fn write_record(out: &mut Vec<u8>, payload: &[u8]) {
    let length = (payload.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked_crc(&length).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&masked_crc(payload).to_le_bytes());
}

/// Splits the first record of `bytes`, whose header said `length`, into payload and stored checksum.
pub(crate) fn split_record(bytes: &[u8], length: usize) -> Option<(&[u8], u32)> {
    let (payload, behind) = bytes.get(HEADER_BYTES..)?.split_at_checked(length)?;
    let stored = behind.first_chunk::<FOOTER_BYTES>()?;
    Some((payload, u32::from_le_bytes(*stored)))
}

/// Reads headers, and remembers the checksums of lengths seen before: a file has few different ones.
#[derive(Debug)]
pub(crate) struct HeaderReader {
    verified: [(u64, u32); MEMO_SLOTS],
}

impl HeaderReader {
    /// A reader that has verified nothing yet.
    pub(crate) fn new() -> Self {
        let zero_length_crc = masked_crc(&[0; 8]);
        Self {
            verified: [(0, zero_length_crc); MEMO_SLOTS],
        }
    }

    /// Judges the bytes at a record boundary.
    #[inline]
    pub(crate) fn read(&mut self, header: &[u8; HEADER_BYTES]) -> Header {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *header;
        let length_bytes = [a, b, c, d, e, f, g, h];
        let length = u64::from_le_bytes(length_bytes);
        let stored = u32::from_le_bytes([i, j, k, l]);
        let slot = &mut self.verified[(length % MEMO_SLOTS as u64) as usize];
        if *slot != (length, stored) {
            if length == 0 && stored == 0 {
                return Header::Zeros;
            }
            if masked_crc(&length_bytes) != stored {
                return Header::Bad;
            }
            *slot = (length, stored);
        }
        if length > RECORD_BYTES_MAX {
            Header::TooLong(length)
        } else {
            Header::Length(length)
        }
    }
}

impl Default for HeaderReader {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Header, HeaderReader, mask, masked_crc, split_record, write_record};

    fn header_of(length: u64) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&length.to_le_bytes());
        header[8..].copy_from_slice(&masked_crc(&length.to_le_bytes()).to_le_bytes());
        header
    }

    #[test]
    fn checksums_agree_with_the_published_vectors() {
        // RFC 3720 B.4: 32 zero bytes; the digits of CRC catalogues; the masked zero length.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked_crc(&[0; 8]), 0x0798_0329);
        assert_eq!(mask(0), 0xa282_ead8);
    }

    #[test]
    fn a_header_is_believed_only_with_its_checksum() {
        let mut reader = HeaderReader::new();
        assert_eq!(reader.read(&[0; HEADER_BYTES]), Header::Zeros);
        assert_eq!(reader.read(&header_of(0)), Header::Length(0));
        assert_eq!(reader.read(&header_of(64)), Header::Length(64));
        assert_eq!(reader.read(&header_of(1 << 40)), Header::TooLong(1 << 40));
        assert_eq!(
            reader.read(&header_of(u64::MAX - 1)),
            Header::TooLong(u64::MAX - 1)
        );
        for bit in 0..HEADER_BYTES * 8 {
            // Each length first verified, so that the memo is what must not be fooled.
            assert_eq!(reader.read(&header_of(64)), Header::Length(64));
            let mut damaged = header_of(64);
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(reader.read(&damaged), Header::Bad, "bit {bit}");
        }
    }

    #[test]
    fn a_written_record_splits_again() {
        let mut file = Vec::new();
        write_record(&mut file, b"payload");
        let (payload, stored) = split_record(&file, 7).unwrap();
        assert_eq!((payload, stored), (&b"payload"[..], masked_crc(b"payload")));
        assert_eq!(split_record(&file, 8), None);
        assert_eq!(split_record(&file, usize::MAX), None);
    }
}
