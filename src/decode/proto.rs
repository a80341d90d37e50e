//! The protobuf wire format, as far as reading needs it.
//!
//! In: the bytes of one message. Out: its fields in order, borrowed. Invariant: no recursion, no allocation, and
//! no declared length is trusted; unknown fields of every wire type, old groups included, are passed over.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// The bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The payload of one field; fixed-size numbers as their bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Calls `take` with number and payload of each field, in order, until it fails.
///
/// A closure and not an iterator: an item that travels through memory halves the speed of the decoder.
#[inline]
pub(crate) fn for_each_field<'a>(
    message: &'a [u8],
    mut take: impl FnMut(u32, Wire<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut rest = message;
    let mut open_groups = 0_u32;
    while !rest.is_empty() {
        let (key, behind) = read_varint(rest)?;
        let (wire, behind) = match key & 7 {
            0 => {
                let (value, behind) = read_varint(behind)?;
                (Wire::Varint(value), behind)
            }
            1 => {
                let (bytes, behind) = behind.split_first_chunk::<8>().ok_or(Malformed)?;
                (Wire::Fixed64(u64::from_le_bytes(*bytes)), behind)
            }
            2 => {
                let (length, behind) = read_varint(behind)?;
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                let (bytes, behind) = behind.split_at_checked(length).ok_or(Malformed)?;
                (Wire::Bytes(bytes), behind)
            }
            5 => {
                let (bytes, behind) = behind.split_first_chunk::<4>().ok_or(Malformed)?;
                (Wire::Fixed32(u32::from_le_bytes(*bytes)), behind)
            }
            group => {
                open_groups = move_group_depth(open_groups, group)?;
                rest = behind;
                continue;
            }
        };
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        if number == 0 {
            return Err(Malformed);
        }
        rest = behind;
        // Fields inside a group are not the message's own.
        if open_groups == 0 {
            take(number, wire)?;
        }
    }
    if open_groups == 0 { Ok(()) } else { Err(Malformed) }
}

/// Groups opened so far after a group starts (wire type 3) or ends (4).
#[cold]
fn move_group_depth(open_groups: u32, wire_type: u64) -> Result<u32, Malformed> {
    match wire_type {
        3 => open_groups.checked_add(1),
        4 => open_groups.checked_sub(1),
        _ => None,
    }
    .ok_or(Malformed)
}

/// Reads one varint of at most ten bytes; bits beyond the 64th are dropped, as other readers do.
#[inline]
pub(crate) fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    match bytes {
        [byte @ 0..0x80, rest @ ..] => Ok((u64::from(*byte), rest)),
        [low, high @ 0..0x80, rest @ ..] => Ok((u64::from(*high) << 7 | u64::from(low & 0x7f), rest)),
        _ => read_long_varint(bytes),
    }
}

fn read_long_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Ok((value, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Wire, for_each_field, read_varint};

    fn all(message: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Malformed> {
        let mut fields = Vec::new();
        for_each_field(message, |number, wire| {
            fields.push((number, wire));
            Ok(())
        })?;
        Ok(fields)
    }

    #[test]
    fn varints_have_at_most_ten_bytes() {
        assert_eq!(read_varint(&[0x96, 0x01, 7]), Ok((150, &[7][..])));
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read_varint(&minus_one), Ok((u64::MAX, &[][..])));
        assert_eq!(read_varint(&[0xff; 11]), Err(Malformed));
        assert_eq!(read_varint(&[0x80]), Err(Malformed));
        assert_eq!(read_varint(&[]), Err(Malformed));
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let message = [
            0x08, 0x07, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        let expected = vec![
            (1, Wire::Varint(7)),
            (2, Wire::Bytes(b"hi")),
            (3, Wire::Fixed32(0x0403_0201)),
            (4, Wire::Fixed64(0x0807_0605_0403_0201)),
        ];
        assert_eq!(all(&message), Ok(expected));
    }

    #[test]
    fn groups_are_passed_over_without_recursion() {
        // Field 1 as a group that holds field 2 = 5 and an inner group, then field 3 = 9.
        assert_eq!(
            all(&[0x0b, 0x10, 5, 0x13, 0x14, 0x0c, 0x18, 9]),
            Ok(vec![(3, Wire::Varint(9))])
        );
        assert_eq!(all(&vec![0x0b; 1 << 20]), Err(Malformed));
        assert_eq!(all(&[0x0c]), Err(Malformed));
    }

    #[test]
    fn lengths_beyond_the_message_are_malformed() {
        for message in [
            &[0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f][..],
            &[0x0a, 3, 1, 2],
            &[0x09, 1],
            &[0x0f],
            &[0x00, 0x00],
        ] {
            assert_eq!(all(message), Err(Malformed), "{message:?}");
        }
    }
}
