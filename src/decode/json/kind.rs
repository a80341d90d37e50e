//! Objects that are no rows of numbers: pictures and tables of Weights & Biases, the statistics of `StyleGAN`.
//!
//! In: the bytes of an object. Out: what it is. Invariant: only its first members are looked at, nothing is allocated.

use memchr::memchr;

use crate::decode::number::{Number, parse_plain};

/// Whether a media object of Weights & Biases starts here: its numbers are sizes of files and pictures.
pub(super) fn is_media(bytes: &[u8]) -> bool {
    member_type(bytes).is_some_and(is_media_type)
}

/// Whether the `_type` of an object is that of pictures, sounds, tables or other files (`image-file`).
pub(crate) fn is_media_type(text: &[u8]) -> bool {
    const ENDS: [&[u8]; 2] = [b"file", b"table"];
    const STARTS: [&[u8]; 3] = [b"images", b"audio", b"videos"];
    ENDS.iter().any(|end| text.ends_with(end)) || STARTS.iter().any(|start| text.starts_with(start))
}

/// The text of `_type` when it is the first member of the object at the start of `bytes`.
fn member_type(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes
        .strip_prefix(b"{")?
        .trim_ascii_start()
        .strip_prefix(b"\"_type\"")?;
    let text = rest
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start()
        .strip_prefix(b"\"")?;
    text.get(..memchr(b'"', text)?)
}

/// The mean of `{"num": .., "mean": .., "std": ..}` at the start of `bytes`, with the bytes of the object.
pub(super) fn style_gan_mean(bytes: &[u8]) -> Option<(Number, usize)> {
    let mut rest = bytes.strip_prefix(b"{")?.trim_ascii_start();
    let mut mean = None;
    for (key, end) in [(&b"\"num\""[..], b','), (b"\"mean\"", b','), (b"\"std\"", b'}')] {
        rest = rest
            .strip_prefix(key)?
            .trim_ascii_start()
            .strip_prefix(b":")?
            .trim_ascii_start();
        let number = parse_plain(rest)?;
        rest = rest.get(number.used..)?.trim_ascii_start().strip_prefix(&[end])?;
        if end == b',' {
            rest = rest.trim_ascii_start();
        }
        if key == b"\"mean\"" {
            mean = Some(number);
        }
    }
    Some((mean?, bytes.len() - rest.len()))
}
