//! Tells large records that hold nothing a watchdog reads (images, audio, graphs, text) from their first bytes.
//!
//! In: the first bytes of an `Event` and its length. Out: whether it can be passed over without being held.
//! Invariant: a record is bulk only when all of it, by its own field lengths, is one such value; when in doubt
//! it is not.

use super::proto::read_varint;
use super::tensor::is_text_dtype;

/// Bytes behind the bulk value that are passed over with it: small fields of the event itself.
const TRAILER_BYTES_MAX: u64 = 256;

/// What a length-delimited field claims, even when its end is not there yet.
struct Claim<'a> {
    number: u32,
    length: u64,
    /// As much of the field as is there.
    bytes: &'a [u8],
}

/// Whether an event of `length` bytes that starts with `prefix` is one image, sound, graph or text.
pub(crate) fn is_bulk_event(prefix: &[u8], length: u64) -> bool {
    let Some((claim, before)) = first_large_field(prefix, length) else {
        return false;
    };
    match claim.number {
        // graph_def, tagged_run_metadata, meta_graph_def
        4 | 8 | 9 => true,
        // summary
        5 => {
            before
                .saturating_add(claim.length)
                .saturating_add(TRAILER_BYTES_MAX)
                >= length
                && is_bulk_summary(claim.bytes, claim.length)
        }
        _ => false,
    }
}

fn is_bulk_summary(summary: &[u8], length: u64) -> bool {
    let Some((value, before)) = first_field(summary) else {
        return false;
    };
    let is_only_value = value.number == 1 && before.saturating_add(value.length) == length;
    is_only_value && is_bulk_value(value.bytes, value.length)
}

fn is_bulk_value(value: &[u8], length: u64) -> bool {
    match first_large_field(value, length) {
        // obsolete_old_style_histogram, image, audio
        Some((
            Claim {
                number: 3 | 4 | 6, ..
            },
            _,
        )) => true,
        Some((Claim { number: 8, bytes, .. }, _)) => is_text_tensor(bytes),
        _ => false,
    }
}

fn is_text_tensor(tensor: &[u8]) -> bool {
    match tensor {
        [0x08, rest @ ..] => read_varint(rest).is_ok_and(|(dtype, _)| is_text_dtype(dtype)),
        _ => false,
    }
}

/// The first field that takes up more than half of the message, and where its content starts.
fn first_large_field(message: &[u8], length: u64) -> Option<(Claim<'_>, u64)> {
    let mut rest = message;
    loop {
        let before = (message.len() - rest.len()) as u64;
        let (field, behind) = next_claim(rest)?;
        if let Some((claim, start)) = field
            && claim.length > length / 2
        {
            return Some((claim, before + start));
        }
        rest = behind?;
    }
}

fn first_field(message: &[u8]) -> Option<(Claim<'_>, u64)> {
    next_claim(message)?.0
}

type Field<'a> = Option<(Claim<'a>, u64)>;

/// One field, if it is length-delimited with the start of its content, and the bytes behind it, if they are there.
fn next_claim(message: &[u8]) -> Option<(Field<'_>, Option<&[u8]>)> {
    let (key, rest) = read_varint(message).ok()?;
    match key & 7 {
        0 => return Some((None, Some(read_varint(rest).ok()?.1))),
        1 => return Some((None, rest.get(8..))),
        2 => {}
        5 => return Some((None, rest.get(4..))),
        _ => return None,
    }
    let (length, content) = read_varint(rest).ok()?;
    let start = (message.len() - content.len()) as u64;
    let end = usize::try_from(length).unwrap_or(usize::MAX).min(content.len());
    let bytes = content.get(..end)?;
    let behind = if (end as u64) == length {
        content.get(end..)
    } else {
        None
    };
    let number = u32::try_from(key >> 3).ok()?;
    Some((
        Some((
            Claim {
                number,
                length,
                bytes,
            },
            start,
        )),
        behind,
    ))
}

#[cfg(test)]
mod tests {
    use super::is_bulk_event;
    use crate::decode::event_write::{image_event, nested, scalar_event, scalar_value, text_tensor_event};

    fn is_bulk(event: &[u8]) -> bool {
        is_bulk_event(&event[..event.len().min(4096)], event.len() as u64)
    }

    #[test]
    fn images_texts_and_graphs_are_bulk() {
        assert!(is_bulk(&image_event(1.0, 5, "sample", 100_000)));
        assert!(is_bulk(&text_tensor_event(1.0, 5, "note", &"x".repeat(100_000))));
        assert!(is_bulk(
            &[&[0x09, 0, 0, 0, 0, 0, 0, 0, 0][..], &nested(4, &vec![7; 100_000])].concat()
        ));
    }

    #[test]
    fn what_holds_a_number_is_not_bulk() {
        assert!(!is_bulk(&scalar_event(1.0, 5, &"t".repeat(100_000), 2.0)));
        let image = nested(
            1,
            &[nested(1, b"image"), nested(4, &nested(4, &vec![1; 100_000]))].concat(),
        );
        let scalar = scalar_value("loss", 2.0);
        assert!(is_bulk(&nested(5, &image)));
        assert!(!is_bulk(&nested(5, &[image.clone(), scalar.clone()].concat())));
        assert!(!is_bulk(&nested(5, &[scalar, image].concat())));
    }

    #[test]
    fn garbage_is_not_bulk() {
        for prefix in [
            &[][..],
            &[0xff; 40],
            &[0x22],
            &[0x0b, 0x0c],
            &[0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ] {
            assert!(!is_bulk_event(prefix, 1 << 20), "{prefix:?}");
        }
    }
}
