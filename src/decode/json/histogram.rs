//! The histogram object of Weights & Biases, as exported to JSON.
//!
//! In: the arrays `values` (counts) and `bins` (edges), or `packedBins` (`min`, `size`, `count`). Out: bounds and
//! an estimate of the L2 norm of the tensor. Invariant: at most [`BINS_MAX`] numbers of each array are held.

use super::Buckets;
use crate::decode::number::parse_plain;

/// Most buckets that are read; `wandb.Histogram` allows 512.
const BINS_MAX: usize = 4096;

/// A member of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `values`: elements per bucket.
    Counts,
    /// `bins`: edges, one more than buckets.
    Edges,
    /// `packedBins`: evenly spaced edges.
    Packed,
}

/// What is known of the object so far; reused from object to object.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<f64>,
    edges: Vec<f64>,
    packed: Vec<f64>,
}

impl Histogram {
    /// Forgets the last object.
    pub(super) fn start(&mut self) {
        self.counts.clear();
        self.edges.clear();
        self.packed.clear();
    }

    /// Reads the value of a member; returns its length, or `None` when it is damaged.
    pub(super) fn read(&mut self, part: Part, bytes: &[u8]) -> Option<usize> {
        match part {
            Part::Counts => numbers(bytes, b']', &mut self.counts),
            Part::Edges => numbers(bytes, b']', &mut self.edges),
            Part::Packed => packed(bytes, &mut self.packed),
        }
    }

    /// The norm, when counts and edges fit together.
    pub(super) fn norm(&mut self) -> Option<Buckets> {
        if let ([], [min, size, _]) = (self.edges.as_slice(), self.packed.as_slice()) {
            let edges = (0..=self.counts.len()).map(|i| min + size * i as f64);
            self.edges = edges.collect();
        }
        if self.counts.is_empty() || self.edges.len() != self.counts.len() + 1 {
            return None;
        }
        let (mut low, mut middle, mut high, mut n_elements) = (0.0, 0.0, 0.0, 0.0);
        for (count, pair) in self.counts.iter().zip(self.edges.windows(2)) {
            let [left, right] = pair else { continue };
            let (l2, r2) = (left * left, right * right);
            n_elements += count;
            low += if left * right > 0.0 {
                count * l2.min(r2)
            } else {
                0.0
            };
            // The mean square of elements spread evenly from `left` to `right`.
            middle += count * (l2 + left * right + r2) / 3.0;
            high += count * l2.max(r2);
        }
        let ends = [self.edges.first(), self.edges.last()];
        let max_abs = ends
            .into_iter()
            .flatten()
            .fold(0.0, |max: f64, edge| max.max(edge.abs()));
        Some(Buckets {
            norm: middle.sqrt(),
            low: low.sqrt(),
            high: high.sqrt(),
            max_abs,
            n_elements,
        })
    }
}

/// Reads the members of `packedBins` in whatever order to the left edge, the width and the number of buckets.
fn packed(bytes: &[u8], out: &mut Vec<f64>) -> Option<usize> {
    let used = numbers(bytes, b'}', out)?;
    let text = bytes.get(..used)?;
    let mut places: Vec<(usize, usize)> = [&b"\"min\""[..], b"\"size\"", b"\"count\""]
        .iter()
        .map(|key| memchr::memmem::find(text, key).unwrap_or(usize::MAX))
        .zip(0_usize..)
        .collect();
    places.sort_by_key(|(place, _)| *place);
    let values = std::mem::take(out);
    if values.len() == places.len() {
        out.resize(values.len(), 0.0);
        for ((_, slot), value) in places.into_iter().zip(values) {
            if let Some(place) = out.get_mut(slot) {
                *place = value;
            }
        }
    }
    Some(used)
}

/// Reads the numbers of a flat array or object up to its end; keys are skipped.
fn numbers(bytes: &[u8], end: u8, out: &mut Vec<f64>) -> Option<usize> {
    out.clear();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            byte if *byte == end => return Some(at + 1),
            b'"' => at += 2 + memchr::memchr(b'"', bytes.get(at + 1..)?)?,
            b' ' | b',' | b':' | b'\n' | b'\r' | b'\t' => at += 1,
            _ => {
                let number = parse_plain(bytes.get(at..)?)?;
                at += number.used;
                if out.len() < BINS_MAX {
                    out.push(number.value);
                }
            }
        }
    }
}
