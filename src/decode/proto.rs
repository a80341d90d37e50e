//! The protobuf wire format, as far as reading needs it.
//!
//! In: the bytes of one message. Out: its fields in order, borrowed. Invariant: no recursion, no allocation, and
//! no declared length is trusted; unknown fields of every wire type, old groups included, are passed over.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// The bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The payload of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    /// Start or end of a group; its inner fields follow as fields of their own between the two.
    Group,
    Fixed32([u8; 4]),
}

/// Iterates over the fields of one message; nothing follows an error.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    /// Groups that are open; fields inside them are not the message's own.
    open_groups: u32,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            open_groups: 0,
        }
    }

    /// The bytes behind the last field that was returned.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn field(&mut self) -> Result<(u32, Wire<'a>), Malformed> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        if number == 0 {
            return Err(Malformed);
        }
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.chunk()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            3 => {
                self.open_groups = self.open_groups.checked_add(1).ok_or(Malformed)?;
                Wire::Group
            }
            4 => {
                self.open_groups = self.open_groups.checked_sub(1).ok_or(Malformed)?;
                Wire::Group
            }
            5 => Wire::Fixed32(self.chunk()?),
            _ => return Err(Malformed),
        };
        Ok((number, wire))
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, rest) = read_varint(self.rest)?;
        self.rest = rest;
        Ok(value)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                let is_complete = self.open_groups == 0;
                self.open_groups = 0;
                return (!is_complete).then_some(Err(Malformed));
            }
            match self.field() {
                Ok((_, Wire::Group)) => {}
                Ok(_) if self.open_groups > 0 => {}
                Ok(field) => return Some(Ok(field)),
                Err(error) => {
                    self.rest = &[];
                    self.open_groups = 0;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Reads one varint of at most ten bytes; bits beyond the 64th are dropped, as other readers do.
#[inline]
pub(crate) fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    if let [byte @ 0..0x80, rest @ ..] = bytes {
        return Ok((u64::from(*byte), rest));
    }
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
    use super::{Fields, Malformed, Wire, read_varint};

    fn all(message: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Malformed> {
        Fields::new(message).collect()
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
            (3, Wire::Fixed32([1, 2, 3, 4])),
            (4, Wire::Fixed64([1, 2, 3, 4, 5, 6, 7, 8])),
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
