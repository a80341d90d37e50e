//! SVG to PNG, with the one font that is shipped.
//!
//! In: SVG of our own. Out: a PNG file, or nothing when it would be too large. Invariants: no font, file or address
//! outside is looked at, so that the same SVG gives the same PNG on every machine.

mod png;

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// Letters for the names of layers; see `assets/font`.
const FONT: &[u8] = include_bytes!("../../assets/font/DejaVuSans-latin.ttf");
const FONT_FAMILY: &str = "DejaVu Sans";

/// Bytes of a picture: with base64 it stays well below what a mail may have.
const PNG_BYTES_MAX: usize = 90_000;
/// Pixels per unit: sharp on a phone; plain when the sharp one is too large.
const SCALES: [f32; 2] = [2.0, 1.0];
/// Units of a side; ours are far smaller.
const SIDE_MAX: f32 = 2_000.0;

/// Draws an SVG; `None` when it cannot be drawn or stays too large.
pub(super) fn png(svg: &str) -> Option<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family(FONT_FAMILY);
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: FONT_FAMILY.to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).ok()?;
    SCALES
        .iter()
        .filter_map(|it| drawn(&tree, *it))
        .find(|it| it.len() <= PNG_BYTES_MAX)
}

fn drawn(tree: &Tree, scale: f32) -> Option<Vec<u8>> {
    let size = tree.size();
    if size.width() > SIDE_MAX || size.height() > SIDE_MAX {
        return None;
    }
    let (width, height) = (size.width() * scale, size.height() * scale);
    let mut pixels = Pixmap::new(width.ceil() as u32, height.ceil() as u32)?;
    resvg::render(tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    // Every picture has a background, so that no pixel is seen through.
    let colors: Vec<[u8; 3]> = pixels
        .pixels()
        .iter()
        .map(|it| [it.red(), it.green(), it.blue()])
        .collect();
    png::encoded(&colors, pixels.width(), pixels.height())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Quantity;
    use crate::report::{LayerPicture, PictureLine, PictureRow};

    fn pixels(svg: &str) -> Pixmap {
        Pixmap::decode_png(&png(svg).unwrap()).unwrap()
    }

    fn count(pixels: &Pixmap, color: (u8, u8, u8)) -> usize {
        let is_it = |it: &&resvg::tiny_skia::PremultipliedColorU8| (it.red(), it.green(), it.blue()) == color;
        pixels.pixels().iter().filter(is_it).count()
    }

    const HEAD: &str = "<svg xmlns='http://www.w3.org/2000/svg' width='200' height='40'>\
                        <rect width='200' height='40' fill='#ffffff'/>";

    #[test]
    fn text_is_drawn_with_the_shipped_font() {
        let text = format!(
            "{HEAD}<text x='5' y='25' font-size='16' font-family='DejaVu Sans'>h.0.attn</text></svg>"
        );
        let blank = format!("{HEAD}</svg>");
        assert_eq!(count(&pixels(&blank), (0, 0, 0)), 0);
        assert!(count(&pixels(&text), (0, 0, 0)) > 200);
    }

    #[test]
    fn colours_are_drawn_as_they_are_named() {
        let svg = format!("{HEAD}<rect x='10' y='10' width='20' height='20' fill='#c2185b'/></svg>");
        assert_eq!(count(&pixels(&svg), (0xc2, 0x18, 0x5b)), 40 * 40);
    }

    /// Forty layers of a deep run that vanish and then break.
    fn deep() -> LayerPicture {
        let value = |layer: usize, column: usize| match (layer, column) {
            (30.., 50..) => Some(f64::NAN),
            (5, _) => None,
            (6, _) => Some(0.0),
            _ => Some(0.7_f64.powi(31 - layer as i32) * (1.0 + 0.2 * ((column * 7 + layer * 3) % 11) as f64)),
        };
        let row = |layer| PictureRow {
            name: format!("model.layers.{layer}.self_attn.q_proj.weight"),
            rank: layer,
            is_named: layer < 4,
            cells: (0..56).map(|it| value(layer, it)).collect(),
        };
        LayerPicture {
            quantity: Quantity::GradNorm,
            role: "model.layers.#.self_attn.q_proj weight".to_owned(),
            rows: (0..32).map(row).collect(),
            n_layers: 40,
            columns: (0..56).map(|it| (it * 250, it * 250 + 249)).collect(),
            at: 49,
            alarm_step: Some(12_500),
            line: Some(PictureLine {
                intercept: 31.0 * 0.7_f64.ln() + 0.7,
                slope: -0.7_f64.ln(),
                ends: (0, 31),
            }),
        }
    }

    #[test]
    fn a_picture_of_layers_is_drawn_whole_and_small() {
        let picture = deep();
        let png = png(&picture.svg()).unwrap();
        assert!(png.len() < PNG_BYTES_MAX, "{} bytes", png.len());
        let pixels = Pixmap::decode_png(&png).unwrap();
        assert_eq!(pixels.width(), 1_080);
        // NaN, zero, not logged, and the background.
        for color in [
            (0xc2, 0x18, 0x5b),
            (0, 0, 0),
            (0xee, 0xee, 0xee),
            (0xff, 0xff, 0xff),
        ] {
            assert!(count(&pixels, color) > 1_000, "{color:?}");
        }
        if let Some(dir) = std::env::var_os("GRADWATCH_KEEP") {
            std::fs::write(std::path::Path::new(&dir).join("layers.png"), &png).unwrap();
        }
    }

    /// What the names of the layers change in the picture is one line of text per row, and another one for other names.
    #[test]
    fn the_names_of_the_layers_can_be_read_in_the_picture() {
        let drawn = |name: &dyn Fn(usize) -> String| {
            let mut picture = deep();
            for (index, row) in picture.rows.iter_mut().enumerate() {
                row.name = name(index);
            }
            pixels(&picture.svg())
        };
        let named = drawn(&|index| format!("h.{index}.attn"));
        let others = drawn(&|index| format!("h.{index}.nttn"));
        // As long, because the picture is laid out by the longest name.
        let blank = drawn(&|index| "\u{a0}".repeat(format!("h.{index}.attn").len()));
        let width = named.width() as usize;
        let lines_that_differ = |a: &Pixmap, b: &Pixmap| {
            let rows = a.pixels().chunks(width).zip(b.pixels().chunks(width));
            let differs: Vec<bool> = rows.map(|(a, b)| a[..width / 6] != b[..width / 6]).collect();
            differs.chunk_by(|a, b| a == b).filter(|it| it[0]).count()
        };
        assert_eq!(named.height(), blank.height());
        assert_eq!(lines_that_differ(&named, &blank), 32, "a line of text per layer");
        assert_eq!(lines_that_differ(&named, &others), 32, "its own name");
        assert_eq!(lines_that_differ(&named, &named), 0);
    }

    #[test]
    fn what_cannot_be_drawn_is_nothing() {
        assert_eq!(png("<svg"), None);
        assert_eq!(
            png("<svg xmlns='http://www.w3.org/2000/svg' width='90000' height='90000'/>"),
            None
        );
    }
}
