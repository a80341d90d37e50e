//! Pixels to a PNG file with a palette.
//!
//! In: opaque pixels. Out: a PNG file (W3C PNG, colour type 3, no filter). Invariants: the 256 colours that are most used
//! are exact, rarer ones (the soft edges of letters) become their nearest; the same pixels give the same bytes. A
//! drawing of few colours is a fifth of what it is in full colour.

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

type Color = [u8; 3];

/// Entries of a palette.
const COLORS_MAX: usize = 256;

/// The file; `None` when the sizes do not fit each other.
pub(super) fn encoded(pixels: &[Color], width: u32, height: u32) -> Option<Vec<u8>> {
    let row = usize::try_from(width).ok().filter(|it| *it > 0)?;
    if pixels.len() != row.checked_mul(usize::try_from(height).ok()?)? {
        return None;
    }
    let (palette, index_of) = palette(pixels);
    let mut zipped = ZlibEncoder::new(Vec::new(), Compression::best());
    for line in pixels.chunks(row) {
        let mut bytes = vec![0];
        bytes.extend(line.iter().map(|it| index_of.get(it).copied().unwrap_or(0)));
        zipped.write_all(&bytes).ok()?;
    }
    let mut head = Vec::new();
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    // Eight bits, palette, and the only compression, filter method and no interlace that there is.
    head.extend([8, 3, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, *b"IHDR", &head);
    chunk(&mut file, *b"PLTE", &palette.concat());
    chunk(&mut file, *b"IDAT", &zipped.finish().ok()?);
    chunk(&mut file, *b"IEND", &[]);
    Some(file)
}

fn palette(pixels: &[Color]) -> (Vec<Color>, HashMap<Color, u8>) {
    let mut counts: HashMap<Color, usize> = HashMap::new();
    for pixel in pixels {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut colors: Vec<(Color, usize)> = counts.into_iter().collect();
    colors.sort_unstable_by_key(|(color, n)| (std::cmp::Reverse(*n), *color));
    let palette: Vec<Color> = colors.iter().take(COLORS_MAX).map(|it| it.0).collect();
    let index_of = colors
        .iter()
        .map(|(color, _)| (*color, nearest(&palette, *color)));
    let index_of = index_of.collect();
    (palette, index_of)
}

fn nearest(palette: &[Color], color: Color) -> u8 {
    let distance = |it: &Color| -> u32 {
        let parts = it.iter().zip(color).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2));
        parts.sum()
    };
    let best = (0_u8..=255).zip(palette).min_by_key(|it| distance(it.1));
    best.map_or(0, |it| it.0)
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    // A picture is far below the four gigabytes of the field.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    file.extend(length.to_be_bytes());
    let begin = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = crc32fast::hash(file.get(begin..).unwrap_or_default());
    file.extend(sum.to_be_bytes());
}
