//! A lenient JSON reader that flattens one object into key paths.
//!
//! In: the bytes of one complete JSON value. Out: a call per scalar with its keys joined by `/`, or the place
//! of the first error. Invariants: nothing is allocated per value (a key or text with escapes excepted);
//! nesting is bounded by [`DEPTH_MAX`]; a `metrics` object at the top adds nothing to the path.
//!
//! Python's `json.dumps` writes bare `NaN`, `Infinity` and `-Infinity`, which are no JSON; taken too are `1.`,
//! `1e400`, `None`, `True` and trailing commas. Arrays are vectors, not series: only an array of a single
//! number is a value. A `StyleGAN` triple `{"num", "mean", "std"}` is its mean, a W&B histogram object
//! (`"_type": "histogram"`) is an estimate of the norm of its tensor.

mod escape;
mod histogram;
mod kind;
mod shape;

use std::borrow::Cow;

use memchr::memchr2;

use super::number::{Number, parse_plain};
use escape::unescape;
use histogram::Histogram;
use kind::{is_media, style_gan_mean};
use shape::Shape;

pub(crate) use kind::is_media_type;
pub use shape::Named;

/// Who hears the values of an object.
pub trait Hear {
    /// A value and its keys, joined by `/`.
    fn scalar(&mut self, path: &str, scalar: Scalar<'_>);
    /// A number at a place where the object before had the same key.
    fn number(&mut self, named: Named<'_>, number: &Number) {
        self.scalar(named.path, Scalar::Number(*number));
    }
}

impl<F: FnMut(&str, Scalar<'_>)> Hear for F {
    fn scalar(&mut self, path: &str, scalar: Scalar<'_>) {
        self(path, scalar);
    }
}

/// Deepest nesting that is followed.
pub const DEPTH_MAX: usize = 64;

/// The type of a histogram object of Weights & Biases.
const HISTOGRAM: &[u8] = b"\"histogram\"";

/// A value without members.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// A number, NaN and infinities included.
    Number(Number),
    /// A text, escapes resolved, invalid UTF-8 replaced.
    Text(Cow<'a, str>),
    /// Nothing was measured.
    Null,
    /// A flag.
    Bool(bool),
    /// A histogram of the elements of a tensor.
    Histogram(Buckets),
}

/// The L2 norm of a tensor as far as the buckets of a histogram tell it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Buckets {
    /// The estimate: elements spread evenly over their bucket.
    pub norm: f64,
    /// Rigorous lower bound.
    pub low: f64,
    /// Rigorous upper bound.
    pub high: f64,
    /// Largest absolute edge.
    pub max_abs: f64,
    /// Number of elements.
    pub n_elements: f64,
}

/// Why a value could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset} of the value")]
pub struct JsonError {
    /// Bytes from the start of the value.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Flattens JSON values; keeps its buffers between calls.
#[derive(Debug, Default)]
pub struct Flattener {
    path: String,
    histogram: Histogram,
    shape: Shape,
}

impl Flattener {
    /// A reader with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives its buffers back.
    pub fn rest(&mut self) {
        *self = Self::default();
    }

    /// Reads one value at the start of `bytes`, blanks around it allowed; calls back for every scalar. What a listener
    /// noted in a [`Named`] comes back with the same path: a flattener has one listener that notes anything.
    /// Returns the bytes used, trailing blanks included.
    ///
    /// # Errors
    /// When the bytes are no JSON even to a lenient reader; scalars before the place have been called back.
    pub fn flatten(&mut self, bytes: &[u8], hear: &mut impl Hear) -> Result<usize, JsonError> {
        self.path.clear();
        self.read(bytes, 0, hear)
    }

    /// As [`Self::flatten`], for a value that stands under the path `under`.
    ///
    /// # Errors
    /// As for [`Self::flatten`].
    pub fn flatten_under(
        &mut self,
        under: &str,
        bytes: &[u8],
        hear: &mut impl Hear,
    ) -> Result<usize, JsonError> {
        self.path.clear();
        self.path.push_str(under);
        self.read(bytes, 1, hear)
    }

    fn read(&mut self, bytes: &[u8], depth: usize, hear: &mut impl Hear) -> Result<usize, JsonError> {
        let mut reader = Reader {
            bytes,
            at: 0,
            path: &mut self.path,
            histogram: &mut self.histogram,
            shape: &mut self.shape,
            hear,
        };
        reader.shape.start();
        reader.skip_blanks();
        reader.value(depth)?;
        reader.skip_blanks();
        Ok(reader.at)
    }
}

struct Reader<'b, 'p, H> {
    bytes: &'b [u8],
    at: usize,
    path: &'p mut String,
    histogram: &'p mut Histogram,
    shape: &'p mut Shape,
    hear: &'p mut H,
}

impl<'b, H: Hear> Reader<'b, '_, H> {
    fn error<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(JsonError {
            offset: self.at,
            what,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes one byte when it is the next.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') if depth >= DEPTH_MAX => self.error("nesting too deep"),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            _ => {
                let scalar = self.scalar()?;
                self.hear.scalar(self.path, scalar);
                Ok(())
            }
        }
    }

    fn scalar(&mut self) -> Result<Scalar<'b>, JsonError> {
        if self.takes(b'"') {
            return self.text().map(Scalar::Text);
        }
        let words: [(&[u8], Scalar<'b>); 6] = [
            (b"null", Scalar::Null),
            (b"None", Scalar::Null),
            (b"true", Scalar::Bool(true)),
            (b"True", Scalar::Bool(true)),
            (b"false", Scalar::Bool(false)),
            (b"False", Scalar::Bool(false)),
        ];
        if !matches!(self.peek(), Some(b'0'..=b'9' | b'-'))
            && let Some((word, scalar)) = words.into_iter().find(|(w, _)| self.rest().starts_with(w))
        {
            self.at += word.len();
            return Ok(scalar);
        }
        let Some(number) = parse_plain(self.rest()) else {
            return self.error("not a value");
        };
        self.at += number.used;
        match self.peek() {
            None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') => Ok(Scalar::Number(number)),
            Some(_) => self.error("unexpected character in a number"),
        }
    }

    /// The text behind an opening quote.
    fn text(&mut self) -> Result<Cow<'b, str>, JsonError> {
        let start = self.at;
        let mut has_escapes = false;
        while let Some(found) = memchr2(b'"', b'\\', self.rest()) {
            self.at += found;
            if self.takes(b'"') {
                let raw = self.bytes.get(start..self.at - 1).unwrap_or_default();
                return Ok(if has_escapes {
                    Cow::Owned(unescape(raw))
                } else {
                    String::from_utf8_lossy(raw)
                });
            }
            has_escapes = true;
            self.at = self.at.saturating_add(2).min(self.bytes.len());
        }
        self.at = self.bytes.len();
        self.error("text does not end")
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > 0
            && let Some((mean, used)) = style_gan_mean(self.rest())
        {
            self.at += used;
            self.hear.scalar(self.path, Scalar::Number(mean));
            return Ok(());
        }
        if depth > 0 && is_media(self.rest()) {
            return self.skip_container(depth);
        }
        let mut is_histogram = depth > 0 && self.is_late_histogram();
        if is_histogram {
            self.histogram.start();
        }
        self.at += 1;
        let path_bytes = self.path.len();
        loop {
            self.skip_blanks();
            if self.takes(b'}') {
                break;
            }
            if !is_histogram && self.takes_expected(depth)? {
                continue;
            }
            let raw_at = self.at;
            if !self.takes(b'"') {
                return self.error("expected a key");
            }
            let key = self.text()?;
            self.skip_blanks();
            if !self.takes(b':') {
                return self.error("expected a colon");
            }
            self.skip_blanks();
            if !is_histogram && key == "_type" && self.rest().starts_with(HISTOGRAM) {
                is_histogram = true;
                self.histogram.start();
            }
            if !(is_histogram && self.histogram_part(&key)?) {
                self.enter(&key, depth);
                if !is_histogram && !matches!(&*key, "metrics" | "_type") {
                    let raw = self.bytes.get(raw_at..self.at).unwrap_or_default();
                    self.shape.learn(raw, self.path, path_bytes);
                }
                self.value(depth + 1)?;
                self.path.truncate(path_bytes);
            }
            self.ends_member()?;
        }
        if is_histogram && let Some(buckets) = self.histogram.norm() {
            self.hear.scalar(self.path, Scalar::Histogram(buckets));
        }
        Ok(())
    }

    /// What separates a member from the next one or from the end of the object.
    fn ends_member(&mut self) -> Result<(), JsonError> {
        self.skip_blanks();
        if self.takes(b',') || self.peek() == Some(b'}') {
            return Ok(());
        }
        self.error("expected a comma")
    }

    /// Reads a whole member whose key is the one that the last object had here. Most are numbers.
    fn takes_expected(&mut self, depth: usize) -> Result<bool, JsonError> {
        let Some((member, used)) = self.shape.expected(self.rest(), self.path) else {
            return Ok(false);
        };
        self.at += used;
        self.skip_blanks();
        if matches!(self.peek(), Some(b'0'..=b'9' | b'-'))
            && let Some(number) = parse_plain(self.rest())
            && matches!(self.rest().get(number.used), Some(b',' | b'}'))
        {
            self.at += number.used;
            if let Some(named) = self.shape.named(member) {
                self.hear.number(named, &number);
            }
        } else {
            let parent_bytes = self.path.len();
            self.path.clear();
            self.path.push_str(self.shape.path(member));
            self.value(depth + 1)?;
            self.path.truncate(parent_bytes);
        }
        self.ends_member()?;
        Ok(true)
    }

    /// Whether the object ahead starts with the arrays of a histogram and says further on that it is one.
    fn is_late_histogram(&mut self) -> bool {
        const FIRST_KEYS: [&[u8]; 3] = [b"\"bins\"", b"\"values\"", b"\"packedBins\""];
        let first = self.rest().get(1..).unwrap_or_default().trim_ascii_start();
        if !FIRST_KEYS.iter().any(|key| first.starts_with(key)) {
            return false;
        }
        let start = self.at;
        let found = self.finds_histogram_type();
        self.at = start;
        found.unwrap_or(false)
    }

    fn finds_histogram_type(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        loop {
            self.skip_blanks();
            if !self.takes(b'"') {
                return Ok(false);
            }
            let key = self.text()?;
            self.skip_blanks();
            if !self.takes(b':') {
                return Ok(false);
            }
            self.skip_blanks();
            if key == "_type" {
                return Ok(self.rest().starts_with(HISTOGRAM));
            }
            match self.peek() {
                Some(b'{' | b'[') => self.skip_container(0)?,
                _ => drop(self.scalar()?),
            }
            self.skip_blanks();
            if !self.takes(b',') {
                return Ok(false);
            }
        }
    }

    fn enter(&mut self, key: &str, depth: usize) {
        if depth == 0 && key == "metrics" && self.peek() == Some(b'{') {
            return;
        }
        if !self.path.is_empty() {
            self.path.push('/');
        }
        self.path.push_str(key);
    }

    /// Reads a member of a histogram object; false when the member is nothing special.
    fn histogram_part(&mut self, key: &str) -> Result<bool, JsonError> {
        let part = match key {
            "values" => histogram::Part::Counts,
            "bins" => histogram::Part::Edges,
            "packedBins" => histogram::Part::Packed,
            _ => return Ok(false),
        };
        match self.histogram.read(part, self.rest()) {
            Some(used) => {
                self.at += used;
                Ok(true)
            }
            None => self.error("damaged histogram"),
        }
    }

    /// Reads an array; only one that holds a single number is called back.
    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        let mut single = None;
        let mut n_elements = 0_usize;
        loop {
            self.skip_blanks();
            if self.takes(b']') {
                break;
            }
            n_elements = n_elements.saturating_add(1);
            match self.peek() {
                Some(b'{' | b'[') => self.skip_container(depth)?,
                _ => {
                    if let Scalar::Number(number) = self.scalar()?
                        && n_elements == 1
                    {
                        single = Some(number);
                    }
                }
            }
            self.skip_blanks();
            if !self.takes(b',') && self.peek() != Some(b']') {
                return self.error("expected a comma");
            }
        }
        if n_elements == 1
            && let Some(number) = single
        {
            self.hear.scalar(self.path, Scalar::Number(number));
        }
        Ok(())
    }

    /// Skips an object or array inside an array without looking at its values.
    fn skip_container(&mut self, depth: usize) -> Result<(), JsonError> {
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok(());
            }
            if depth + open > DEPTH_MAX {
                return self.error("nesting too deep");
            }
        }
        self.error("array does not end")
    }
}

#[cfg(test)]
mod tests;
