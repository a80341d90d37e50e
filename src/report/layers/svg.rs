//! A picture of layers as SVG.
//!
//! In: a [`LayerPicture`]. Out: SVG text: names, a heat map over steps, and the depth profile beside it, row by row, on
//! one log scale. Invariants: pure, the same in, the same out; text from logs is escaped; colours are never the only
//! sign: what is not finite is crossed out, what was not logged is left blank.

use std::fmt::Write as _;

use super::{LayerPicture, PictureRow, quantity_words};
use crate::report::escape::printable;
use crate::rules::words::{number, thousands};

/// Width of the picture, in its units: small enough that the letters can be read on a phone, which scales it to its width.
const WIDTH: f64 = 540.0;
const MARGIN: f64 = 10.0;
const PROFILE: f64 = 150.0;
const GAP: f64 = 12.0;
/// Mean width of a letter of a name, and the least and most that names get.
const LETTER: f64 = 6.1;
const NAMES: (f64, f64) = (40.0, 186.0);
const HEAD: f64 = 60.0;
const FOOT: f64 = 74.0;
const ROW_HEIGHT: f64 = 14.0;
/// Characters of a layer's name.
const NAME_CHARS: usize = 30;

const INK: &str = "#222222";
const MUTED: &str = "#666666";
const ALARM: &str = "#c2185b";
const NOT_LOGGED: &str = "#eeeeee";
const ZERO: &str = "#000000";
/// Steps of the scale: as many as an eye can tell, and few enough that a picture is small.
const TINTS: f64 = 40.0;
/// Viridis at five places: even steps in lightness, also for those who see few colours.
const RAMP: [(u8, u8, u8); 5] = [
    (68, 1, 84),
    (59, 82, 139),
    (33, 145, 140),
    (94, 201, 98),
    (253, 231, 37),
];

impl LayerPicture {
    /// The picture as SVG, 540 units wide.
    #[must_use]
    pub fn svg(&self) -> String {
        let canvas = Canvas::of(self);
        let mut out = String::new();
        let height = canvas.height();
        put(
            &mut out,
            &format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
                 height=\"{height}\" font-family=\"DejaVu Sans, sans-serif\" role=\"img\">\
                 <title>{}</title><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>",
                escaped(&self.alt())
            ),
        );
        canvas.write_head(&mut out);
        for (index, row) in self.rows.iter().enumerate() {
            canvas.write_row(&mut out, index, row);
        }
        canvas.write_steps(&mut out);
        canvas.write_profile(&mut out);
        canvas.write_legend(&mut out);
        put(&mut out, "</svg>");
        out
    }
}

struct Canvas<'a> {
    picture: &'a LayerPicture,
    /// ln of the smallest and the largest positive value.
    low: f64,
    high: f64,
    /// Bytes that all names have in common at their beginning, up to a dot.
    common: usize,
    /// Width of the names.
    names: f64,
    /// ln of the ends of the profile's scale, which has room for the line.
    profile: (f64, f64),
}

impl<'a> Canvas<'a> {
    fn of(picture: &'a LayerPicture) -> Self {
        let values = picture.rows.iter().flat_map(|it| it.cells.iter().flatten());
        let logs = values.filter(|it| it.is_finite() && **it > 0.0).map(|it| it.ln());
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| {
            (low.min(it), high.max(it))
        });
        let (low, high) = if low > high { (0.0, 0.0) } else { (low, high) };
        let common = common_beginning(&picture.rows);
        let mut canvas = Self {
            picture,
            low,
            high,
            common,
            names: NAMES.0,
            profile: profile_scale(picture, low, high),
        };
        let longest = picture
            .rows
            .iter()
            .map(|it| canvas.name_of(it).chars().count())
            .max();
        canvas.names = (longest.unwrap_or(0) as f64 * LETTER).clamp(NAMES.0, NAMES.1);
        canvas
    }

    fn height(&self) -> f64 {
        HEAD + self.bottom_rows() + FOOT
    }

    fn bottom_rows(&self) -> f64 {
        self.picture.rows.len() as f64 * ROW_HEIGHT
    }

    fn heat_left(&self) -> f64 {
        MARGIN + self.names + 6.0
    }

    fn heat_width(&self) -> f64 {
        Self::profile_left() - GAP - self.heat_left()
    }

    fn profile_left() -> f64 {
        WIDTH - MARGIN - PROFILE
    }

    /// From 0 to 1 on the log scale.
    fn share(&self, value: f64) -> f64 {
        if self.high > self.low {
            ((value.ln() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        } else {
            0.5
        }
    }

    fn profile_x(&self, value: f64) -> f64 {
        let (low, high) = self.profile;
        let share = if high > low {
            ((value.ln() - low) / (high - low)).clamp(0.0, 1.0)
        } else {
            0.5
        };
        Self::profile_left() + 6.0 + share * (PROFILE - 12.0)
    }

    fn row_middle(index: usize) -> f64 {
        HEAD + (index as f64 + 0.5) * ROW_HEIGHT
    }

    /// The name of a layer; a long one without the beginning that all have in common, so that its number stays.
    fn name_of(&self, row: &PictureRow) -> String {
        let name = printable(&row.name);
        if name.chars().count() <= NAME_CHARS {
            return name.into_owned();
        }
        let rest = match row.name.get(self.common..) {
            Some(rest) if self.common > 0 => format!("…{}", printable(rest)),
            _ => name.into_owned(),
        };
        if rest.chars().count() <= NAME_CHARS {
            return rest;
        }
        let kept: String = rest.chars().take(NAME_CHARS - 1).collect();
        format!("{kept}…")
    }

    fn write_head(&self, out: &mut String) {
        let picture = self.picture;
        let quantity = quantity_words(picture.quantity);
        let shown = if picture.rows.len() < picture.n_layers {
            format!("{} of {} layers", picture.rows.len(), picture.n_layers)
        } else {
            format!("{} layers", picture.n_layers)
        };
        let title = format!("{quantity}, {shown}, input on top");
        text(out, MARGIN, 20.0, 14.0, INK, "start", &title);
        text(out, MARGIN, 37.0, 11.0, MUTED, "start", &picture.role);
        text(
            out,
            self.heat_left(),
            HEAD - 6.0,
            10.5,
            MUTED,
            "start",
            "over steps",
        );
        let step = picture.columns.get(picture.at).map_or(0, |it| it.1);
        let at = format!("at step {}", thousands(step));
        text(out, Self::profile_left(), HEAD - 6.0, 10.5, MUTED, "start", &at);
    }

    fn write_row(&self, out: &mut String, index: usize, row: &PictureRow) {
        let middle = Self::row_middle(index);
        let color = if row.is_named { ALARM } else { INK };
        let name = self.name_of(row);
        text(out, MARGIN + self.names, middle + 3.6, 10.5, color, "end", &name);
        let width = self.heat_width() / self.picture.columns.len().max(1) as f64;
        // Equal neighbours are one rectangle: most pictures are runs of "not logged".
        let mut column = 0;
        for run in row.cells.chunk_by(|a, b| self.color(*a) == self.color(*b)) {
            // On whole pixels, so that neighbours meet without a seam.
            let x = to_pixel(self.heat_left() + column as f64 * width);
            let value = run.first().copied().flatten();
            let end = self.heat_left() + (column + run.len()) as f64 * width;
            let wide = to_pixel(end) - x;
            rect(
                out,
                x,
                middle - ROW_HEIGHT / 2.0,
                wide,
                ROW_HEIGHT - 1.0,
                &self.color(value),
            );
            if value.is_some_and(|it| !it.is_finite()) {
                cross(out, x, middle - ROW_HEIGHT / 2.0, wide, ROW_HEIGHT - 1.0);
            }
            column += run.len();
        }
    }

    fn color(&self, value: Option<f64>) -> String {
        match value {
            None => NOT_LOGGED.to_owned(),
            Some(it) if !it.is_finite() => ALARM.to_owned(),
            Some(it) if it <= 0.0 => ZERO.to_owned(),
            Some(it) => ramp(self.share(it)),
        }
    }

    /// First and last step, the profile's column and the alarm.
    fn write_steps(&self, out: &mut String) {
        let columns = &self.picture.columns;
        let (Some(first), Some(last)) = (columns.first(), columns.last()) else {
            return;
        };
        let (top, bottom) = (HEAD - 2.0, HEAD + self.bottom_rows());
        let left = self.heat_left();
        text(
            out,
            left,
            bottom + 13.0,
            10.0,
            MUTED,
            "start",
            &thousands(first.0),
        );
        text(
            out,
            left + self.heat_width(),
            bottom + 13.0,
            10.0,
            MUTED,
            "end",
            &thousands(last.1),
        );
        let width = self.heat_width() / columns.len() as f64;
        let x = left + self.picture.at as f64 * width;
        put(
            out,
            &format!(
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"none\" \
                 stroke=\"{INK}\" stroke-width=\"1\"/>",
                bottom - top + 1.0
            ),
        );
        let Some(step) = self.picture.alarm_step else {
            return;
        };
        let column = columns.partition_point(|it| it.1 < step).min(columns.len());
        let x = left + column as f64 * width;
        put(
            out,
            &format!(
                "<path d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"{ALARM}\" stroke-width=\"1.5\" stroke-dasharray=\"4 2\"/>",
                top - 4.0,
                bottom + 2.0
            ),
        );
        let anchor = if column * 2 > columns.len() {
            "end"
        } else {
            "start"
        };
        let words = format!("alarm at step {}", thousands(step));
        text(out, x, bottom + 26.0, 10.0, ALARM, anchor, &words);
    }

    fn write_profile(&self, out: &mut String) {
        let (top, bottom) = (HEAD, HEAD + self.bottom_rows());
        let (left, right) = (Self::profile_left(), WIDTH - MARGIN);
        rect(out, left, top - 1.0, right - left, bottom - top + 1.0, "#f7f7f7");
        self.write_line(out);
        for (index, value) in self.picture.profile() {
            let y = Self::row_middle(index);
            if !value.is_finite() || value <= 0.0 {
                let words = if value == 0.0 {
                    "zero".to_owned()
                } else {
                    number(value)
                };
                text(out, left + 6.0, y + 3.6, 10.0, ALARM, "start", &words);
                continue;
            }
            let x = self.profile_x(value);
            put(
                out,
                &format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{}\" stroke=\"{INK}\" \
                     stroke-width=\"0.8\"/>",
                    ramp(self.share(value))
                ),
            );
        }
        let y = bottom + 13.0;
        let (low, high) = self.profile;
        text(out, left, y, 10.0, MUTED, "start", &number(low.exp()));
        text(out, right, y, 10.0, MUTED, "end", &number(high.exp()));
    }

    /// The fitted line, through the rows whose layers are in the fit.
    fn write_line(&self, out: &mut String) {
        let Some(line) = self.picture.line else { return };
        let mut points = String::new();
        let rows = self.picture.rows.iter().enumerate();
        for (index, row) in rows.filter(|it| (line.ends.0..=line.ends.1).contains(&it.1.rank)) {
            let value = (line.intercept + line.slope * row.rank as f64).exp();
            // Writing to a string cannot fail.
            let _ = write!(
                points,
                "{:.1},{:.1} ",
                self.profile_x(value),
                Self::row_middle(index)
            );
        }
        put(
            out,
            &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{ALARM}\" stroke-width=\"1.5\"/>",
                points.trim_end()
            ),
        );
        let words = format!("x{} per layer", number(line.slope.exp()));
        let y = HEAD + self.bottom_rows() + 26.0;
        text(out, WIDTH - MARGIN, y, 10.0, ALARM, "end", &words);
    }

    fn write_legend(&self, out: &mut String) {
        let y = HEAD + self.bottom_rows() + 40.0;
        let left = self.heat_left();
        for index in 0..40 {
            let share = f64::from(index) / 39.0;
            rect(out, left + f64::from(index) * 3.0, y, 3.2, 9.0, &ramp(share));
        }
        let scale = format!(
            "{} .. {}, log scale",
            number(self.low.exp()),
            number(self.high.exp())
        );
        text(out, left + 126.0, y + 8.5, 10.0, MUTED, "start", &scale);
        let all = || self.picture.rows.iter().flat_map(|it| it.cells.iter().copied());
        let (mut x, y) = (left, y + 15.0);
        let signs = [
            (
                ALARM,
                "NaN or infinite",
                all().flatten().any(|it| !it.is_finite()),
            ),
            (
                ZERO,
                "zero",
                all().flatten().any(|it| it.is_finite() && it <= 0.0),
            ),
            (NOT_LOGGED, "not logged", all().any(|it| it.is_none())),
        ];
        for (color, words, _) in signs.iter().filter(|it| it.2) {
            rect(out, x, y, 9.0, 9.0, color);
            if *color == ALARM {
                cross(out, x, y, 9.0, 9.0);
            }
            text(out, x + 13.0, y + 8.5, 10.0, MUTED, "start", words);
            x += 24.0 + 5.6 * words.len() as f64;
        }
    }
}

/// The ends of all values, and of the line where it leaves them by less than their own span.
fn profile_scale(picture: &LayerPicture, low: f64, high: f64) -> (f64, f64) {
    let Some(line) = picture.line else {
        return (low, high);
    };
    let span = high - low;
    let at = |rank: usize| line.intercept + line.slope * rank as f64;
    let ends = [at(line.ends.0), at(line.ends.1)].map(|it| it.clamp(low - span, high + span));
    (low.min(ends[0]).min(ends[1]), high.max(ends[0]).max(ends[1]))
}

fn common_beginning(rows: &[PictureRow]) -> usize {
    let Some((first, others)) = rows.split_first() else {
        return 0;
    };
    let alike = |other: &PictureRow| {
        let pairs = first.name.bytes().zip(other.name.bytes());
        pairs.take_while(|it| it.0 == it.1).count()
    };
    let n = others.iter().map(alike).min().unwrap_or(0);
    first
        .name
        .bytes()
        .take(n)
        .rposition(|it| it == b'.')
        .map_or(0, |it| it + 1)
}

/// The colour of a share from 0 to 1.
fn ramp(share: f64) -> String {
    let share = (share.clamp(0.0, 1.0) * TINTS).round() / TINTS;
    let place = share * (RAMP.len() - 1) as f64;
    let index = (place as usize).min(RAMP.len() - 2);
    let part = place - index as f64;
    let (from, to) = (RAMP[index], RAMP[index + 1]);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    format!(
        "#{:02x}{:02x}{:02x}",
        mix(from.0, to.0),
        mix(from.1, to.1),
        mix(from.2, to.2)
    )
}

/// A pixel is half a unit in a mail.
fn to_pixel(x: f64) -> f64 {
    (x * 2.0).round() / 2.0
}

fn rect(out: &mut String, x: f64, y: f64, width: f64, height: f64, fill: &str) {
    put(
        out,
        &format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{fill}\" shape-rendering=\"crispEdges\"/>"
        ),
    );
}

fn cross(out: &mut String, x: f64, y: f64, width: f64, height: f64) {
    let (right, bottom) = (x + width, y + height);
    put(
        out,
        &format!(
            "<path d=\"M{x:.1} {y:.1}L{right:.1} {bottom:.1}M{x:.1} {bottom:.1}L{right:.1} {y:.1}\" \
             stroke=\"#ffffff\" stroke-width=\"0.8\"/>"
        ),
    );
}

fn text(out: &mut String, x: f64, y: f64, size: f64, color: &str, anchor: &str, words: &str) {
    put(
        out,
        &format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{color}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(words)
        ),
    );
}

fn escaped(words: &str) -> String {
    let shown = printable(words);
    shown
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn put(out: &mut String, svg: &str) {
    out.push_str(svg);
    out.push('\n');
}
