//! The line formats that are known, each with lines as they are printed and their reading.
//!
//! In: nothing. Out: the entries. Invariants: every sample gives exactly the points that stand beside it, which
//! one test holds for all entries, and every entry has a line in `fixtures/formats`; an entry that is more special
//! stands before the more general one; there are at most 64.

mod libraries;
mod pretraining;
mod scripts;
mod vision;

use std::sync::LazyLock;

use super::template::Template;

/// For every first byte of a message the entries whose heads may begin so, as a set of bits.
///
/// A line that nobody knows is refused by one look-up; this is what keeps source code and sampled text cheap.
pub(super) static BY_FIRST_BYTE: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut entries = [0; 256];
    for (at, entry) in TABLE.iter().enumerate() {
        for first in entry.heads.iter().filter_map(|head| head.bytes().next()) {
            // A head that begins with a hole begins with a digit in the line.
            let firsts = if first == b'<' { b'0'..=b'9' } else { first..=first };
            for byte in firsts {
                for case in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                    entries[usize::from(case)] |= 1 << at;
                }
            }
        }
    }
    entries
});

/// All entries; the first that matches reads the line.
pub(super) static TABLE: LazyLock<Vec<&'static Template>> = LazyLock::new(|| {
    let parts = [
        pretraining::PRETRAINING,
        libraries::LIBRARIES,
        vision::VISION,
        scripts::SCRIPTS,
    ];
    parts.into_iter().flatten().collect()
});
