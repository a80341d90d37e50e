//! The words for norms in hand-written lines, and lines that hold the norms of one layer.
//!
//! In: `fc1: w_norm 6.80 g_norm 8.5e+06`, `[00] layers.0 |W| = 13.7 |dW| = 7.9e+00`, `layer 3 | grad norm: 0.1`.
//! Out: the layer and its norms under canonical names. Invariant: a line is a layer line only if every word
//! behind the name is accounted for, so that prose which mentions a norm is none.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::decode::number::{self, Number};

/// Spellings, blanks and dashes as `_`, lower case, and the canonical word.
const SPELLINGS: [(&str, &str); 50] = [
    ("grad_norm", "grad_norm"),
    ("weight_norm", "weight_norm"),
    ("g_norm", "grad_norm"),
    ("w_norm", "weight_norm"),
    ("gnorm", "grad_norm"),
    ("wnorm", "weight_norm"),
    ("gradnorm", "grad_norm"),
    ("weightnorm", "weight_norm"),
    ("grads_norm", "grad_norm"),
    ("weights_norm", "weight_norm"),
    ("grad_l2", "grad_norm"),
    ("weight_l2", "weight_norm"),
    ("grad_l2_norm", "grad_norm"),
    ("weight_l2_norm", "weight_norm"),
    ("gradient_norm", "grad_norm"),
    ("gradients_norm", "grad_norm"),
    ("norm_grad", "grad_norm"),
    ("norm_weight", "weight_norm"),
    ("norm_g", "grad_norm"),
    ("norm_w", "weight_norm"),
    ("dw_norm", "grad_norm"),
    ("|g|", "grad_norm"),
    ("||g||", "grad_norm"),
    ("|dw|", "grad_norm"),
    ("||dw||", "grad_norm"),
    ("|grad|", "grad_norm"),
    ("||grad||", "grad_norm"),
    ("|w|", "weight_norm"),
    ("||w||", "weight_norm"),
    ("|theta|", "weight_norm"),
    ("|weight|", "weight_norm"),
    ("||weight||", "weight_norm"),
    ("param_norm", "weight_norm"),
    ("params_norm", "weight_norm"),
    ("parameter_norm", "weight_norm"),
    ("p_norm", "weight_norm"),
    ("pnorm", "weight_norm"),
    ("update_norm", "update_norm"),
    ("updates_norm", "update_norm"),
    ("u_norm", "update_norm"),
    ("upd_norm", "update_norm"),
    ("|u|", "update_norm"),
    ("||u||", "update_norm"),
    ("activation_norm", "activation_norm"),
    ("act_norm", "activation_norm"),
    ("a_norm", "activation_norm"),
    ("|a|", "activation_norm"),
    ("||a||", "activation_norm"),
    ("|h|", "activation_norm"),
    ("out_norm", "activation_norm"),
];

/// First words of a line that look like a layer and are none.
const NO_LAYERS: [&str; 24] = [
    "max",
    "min",
    "mean",
    "avg",
    "average",
    "median",
    "total",
    "global",
    "overall",
    "final",
    "initial",
    "current",
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
    "eval",
    "clip",
    "clipped",
    "raw",
    "step",
    "epoch",
];

/// The canonical word for a key, if it is a norm.
pub(super) fn kind(key: &str) -> Option<&'static str> {
    let is_candidate = (3..=14).contains(&key.len())
        && key.ends_with(|c: char| matches!(c.to_ascii_lowercase(), 'm' | '|' | '2' | 'd' | 't' | 'g' | 'w'));
    if !is_candidate {
        return None;
    }
    let found = SPELLINGS.iter().find(|(spelling, _)| is_same(spelling, key));
    found.map(|(_, kind)| *kind)
}

/// The norm and the layer of a key that holds both with a short word for the norm: `h.0.attn/g_norm`,
/// `wnorm/layers.3`. Keys with the full word (`h.0.attn.grad_norm`) are told by tag patterns and stay.
pub(super) fn of_key(key: &str) -> Option<(&'static str, &str)> {
    let bytes = key.as_bytes();
    let is_joint = |b: u8| matches!(b, b'/' | b'.' | b':');
    let (first, last) = (
        memchr::memchr3(b'/', b'.', b':', bytes)?,
        memchr::memrchr3(b'/', b'.', b':', bytes)?,
    );
    let (head, tail) = (key.get(..first)?, key.get(last + 1..)?);
    let (word, layer) = match (kind(tail), kind(head)) {
        (Some(_), _) => (tail, key.get(..last)?),
        (None, Some(_)) => (head, key.get(first + 1..)?),
        (None, None) => return None,
    };
    let is_short = word.len() <= 6 || word.starts_with('|');
    let is_path =
        layer.bytes().any(|b| b.is_ascii_digit() || b == b'_') && !layer.bytes().next().is_some_and(is_joint);
    kind(word)
        .filter(|_| is_short && is_path)
        .map(|kind| (kind, layer))
}

fn is_same(spelling: &str, key: &str) -> bool {
    spelling.len() == key.len()
        && spelling.bytes().zip(key.bytes()).all(|(s, k)| match k {
            b' ' | b'-' => s == b'_',
            _ => s == k.to_ascii_lowercase(),
        })
}

/// The layer of a line and the text with its norms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LayerLine<'a> {
    /// The name, or its number when the line only says `layer 3`.
    pub name: Name<'a>,
    /// Its norms in the order of the line.
    pub norms: [Option<(&'static str, Number)>; N_NORMS_MAX],
}

/// Most norms of one layer in a line.
const N_NORMS_MAX: usize = 6;

static NORM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("orm"));
static L2: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("_l2"));

/// Whether a word for a norm may be in a line.
fn may_hold_a_norm(bytes: &[u8]) -> bool {
    let is_norm = |at: usize| matches!(at.checked_sub(1).and_then(|it| bytes.get(it)), Some(b'n' | b'N'));
    memchr::memchr(b'|', bytes).is_some() || NORM.find_iter(bytes).any(is_norm) || L2.find(bytes).is_some()
}

/// How a line names its layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Name<'a> {
    /// A path.
    Path(&'a str),
    /// A bare number.
    Number(i64),
}

/// Reads a line as one layer with its norms.
pub(super) fn layer_line(text: &str, is_indented: bool) -> Option<LayerLine<'_>> {
    let bytes = text.as_bytes();
    if !may_hold_a_norm(bytes) {
        return None;
    }
    let mut norms = [None; N_NORMS_MAX];
    let mut free = norms.iter_mut();
    let mut name = None;
    let name_end = name_bytes_max(bytes);
    for norm in Norms::of(text) {
        if name.is_none() && norm.start > name_end {
            return None;
        }
        if norm.kind.is_some() && name.is_none() {
            name = Some(clean_name(text.get(..norm.start)?, is_indented)?);
        }
        if name.is_some() && !norm.is_accounted_for() {
            return None;
        }
        if let Some(found) = norm.kind.zip(norm.number)
            && let Some(slot) = free.next()
        {
            *slot = Some(found);
        }
    }
    Some(LayerLine { name: name?, norms })
}

/// Words before the first norm of a layer line: an index, the word `layer`, the name.
const NAME_WORDS_MAX: usize = 3;

/// Where the name of a layer has ended at the latest: [`clean_name`] takes none with more words. Spares long lines
/// that begin with a blank, as Megatron's do, the search of all their words.
fn name_bytes_max(bytes: &[u8]) -> usize {
    let (mut n_words, mut is_in_word) = (0, false);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(byte, b' ' | b'\t') {
            is_in_word = false;
        } else if byte.is_ascii_alphanumeric() && !is_in_word {
            is_in_word = true;
            n_words += 1;
            if n_words > NAME_WORDS_MAX {
                return at;
            }
        }
    }
    bytes.len()
}

/// Takes index, bullets and the word `layer` off a name.
fn clean_name(raw: &str, is_indented: bool) -> Option<Name<'_>> {
    let name = raw.trim_matches([' ', '\t', ':', '|', '-', '=', ',', '*', '>', '.']);
    let name = match name.strip_prefix('[').and_then(|n| n.split_once(']')) {
        Some((index, rest)) if index.trim().bytes().all(|b| b.is_ascii_digit()) => {
            rest.trim_start_matches([' ', ':'])
        }
        _ => name,
    };
    let labelled = ["layer", "param", "parameter", "module", "block", "name"]
        .iter()
        .find_map(|word| {
            let head = name.get(..word.len())?;
            let rest = name.get(word.len()..)?;
            (head.eq_ignore_ascii_case(word) && rest.starts_with([' ', '=', ':']))
                .then(|| rest.trim_matches([' ', '=', ':', '#']))
        });
    let is_labelled = labelled.is_some();
    let name = labelled.unwrap_or(name);
    if let Ok(number) = name.parse() {
        return is_labelled.then_some(Name::Number(number));
    }
    let is_part =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | ':' | '-' | '[' | ']' | '@');
    let is_path = (1..=200).contains(&name.len())
        && name.chars().all(is_part)
        && !NO_LAYERS.iter().any(|w| w.eq_ignore_ascii_case(name));
    let is_telling = is_indented
        || is_labelled
        || name
            .bytes()
            .any(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'/'));
    (is_path && is_telling).then_some(Name::Path(name))
}

/// One word with the number behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Norm {
    /// Which norm; `None` for other words.
    kind: Option<&'static str>,
    /// The number directly behind the word.
    number: Option<Number>,
    has_sign: bool,
    start: usize,
}

impl Norm {
    fn is_accounted_for(&self) -> bool {
        self.number.is_some() && (self.kind.is_some() || self.has_sign)
    }
}

/// Iterator over the words of a text.
#[derive(Debug, Clone)]
struct Norms<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Norms<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next word: `|W|` is one, a bar apart is a separator.
    fn word(&self, from: usize) -> Option<(usize, usize)> {
        let bytes = self.text.as_bytes();
        let is_blank = |at: usize| bytes.get(at).is_none_or(|b| matches!(*b, b' ' | b'\t'));
        let mut start = from;
        while let Some(byte) = bytes.get(start) {
            match byte {
                b' ' | b'\t' | b':' | b'=' | b',' | b';' | b'(' | b')' => start += 1,
                b'|' if is_blank(start + 1) => start += 1,
                _ => break,
            }
        }
        let rest = bytes.get(start..)?;
        let len = rest
            .iter()
            .take_while(|b| !matches!(**b, b' ' | b'\t' | b':' | b'=' | b',' | b';' | b'('))
            .count();
        (len > 0).then_some((start, start + len))
    }

    fn number(&self, from: usize) -> (Option<Number>, bool) {
        let rest = self.text.get(from..).unwrap_or_default();
        let value = rest.trim_start_matches([' ', '\t', ':', '=']);
        let has_sign = rest.len() != value.len()
            && rest
                .get(..rest.len() - value.len())
                .is_some_and(|s| s.contains([':', '=']));
        (number::parse_prefix(value.as_bytes()), has_sign)
    }

    fn end_of_number(&self, from: usize, number: Number) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let value = rest.trim_start_matches([' ', '\t', ':', '=']);
        from + (rest.len() - value.len()) + number.used
    }
}

impl Iterator for Norms<'_> {
    type Item = Norm;

    fn next(&mut self) -> Option<Norm> {
        let (start, mut end) = self.word(self.at)?;
        let mut found = self.text.get(start..end).and_then(kind);
        if found.is_none()
            && let Some((_, second)) = self.word(end)
            && let Some(two) = self.text.get(start..second)
            && let Some(kind) = kind(two)
        {
            found = Some(kind);
            end = second;
        }
        let (number, has_sign) = self.number(end);
        self.at = number.map_or(end, |n| self.end_of_number(end, n));
        Some(Norm {
            kind: found,
            number,
            has_sign,
            start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, layer_line, of_key};

    fn read(text: &str) -> Option<(String, Vec<(&'static str, f64)>)> {
        let line = layer_line(text.trim(), text.starts_with(' '))?;
        let name = match line.name {
            Name::Path(path) => path.to_owned(),
            Name::Number(number) => format!("#{number}"),
        };
        let norms = line
            .norms
            .into_iter()
            .flatten()
            .map(|(kind, number)| (kind, number.value))
            .collect();
        Some((name, norms))
    }

    #[test]
    fn lines_of_one_layer_are_read() {
        let both = |name: &str| Some((name.to_owned(), vec![("weight_norm", 6.5), ("grad_norm", 0.25)]));
        assert_eq!(read("  fc1: w_norm 6.5 g_norm 2.5e-01"), both("fc1"));
        assert_eq!(
            read("    [00] layers.0          |W| =    6.5   |dW| = 2.5e-01"),
            both("layers.0")
        );
        assert_eq!(read("h.0.attn ||W||=6.5 ||g||=0.25"), both("h.0.attn"));
        assert_eq!(read("  layer 3 | weight norm: 6.5 | grad norm: 0.25"), both("#3"));
        assert_eq!(
            read("Layer lm_head: weight_norm=6.5, grad_norm=0.25"),
            both("lm_head")
        );
        assert_eq!(
            read("  [ 0 ] layer = # h.0 : |W| = 6.5   |dW| = 2.5e-01"),
            both("h.0")
        );
        assert_eq!(read("  wte: w_norm 6.5 g_norm 0.25 std=0.1"), both("wte"));
    }

    #[test]
    fn keys_with_a_short_word_name_their_layer() {
        assert_eq!(of_key("h.0.attn/g_norm"), Some(("grad_norm", "h.0.attn")));
        assert_eq!(of_key("wnorm/layers.3"), Some(("weight_norm", "layers.3")));
        assert_eq!(of_key("fc1.|W|"), Some(("weight_norm", "fc1")));
        for key in [
            "train/gnorm",
            "optim/grad_norm",
            "h.0.attn.grad_norm",
            "g_norm",
            "loss/h.0",
            "a.norm1",
        ] {
            assert_eq!(of_key(key), None, "{key}");
        }
    }

    #[test]
    fn prose_and_global_norms_are_no_layer() {
        for text in [
            "Clipping grad_norm 1.0 to 0.5",
            "  max grad_norm: 1.0",
            "grad_norm: 1.0",
            "  total grad norm: 3.5",
            "  layers.0: the w_norm is 3",
            "  norm1: LayerNorm((64,), eps=1e-05)",
            "weight_norm = torch.norm(w)",
            "| grad_norm | 70.6     |",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
