//! A layer as its path tells it: section, position, depth index, role, parameter.
//!
//! In: nothing. Out: the value; the parsing lives in `extract`. Invariant: two layers are compared only when
//! section, role and parameter are equal; `depth` orders them, number by number.

use super::quantity::words;

words! {
    /// Which stack of the model a layer is in.
    Section {
        None = "-",
        Encoder = "enc",
        Decoder = "dec",
    }
}

words! {
    /// Where in its stack a layer stands.
    Position {
        Embed = "embed",
        Body = "body",
        Head = "head",
    }
}

/// A layer path, understood.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layer {
    /// The path as logged, wrappers stripped, e.g. `transformer.h.0.attn.c_attn.weight`.
    pub path: String,
    /// Encoder, decoder or a single stack.
    pub section: Section,
    /// Embeddings and heads are left out of fits over depth.
    pub position: Position,
    /// Container indices, outermost first; empty when the path has none.
    pub depth: Vec<u32>,
    /// The path with its indices replaced by `#` and without the parameter.
    pub role: String,
    /// `weight`, `bias`, `kernel`, `lora_A.weight` ...; `None` when the path does not end in one.
    pub parameter: Option<String>,
}

impl Layer {
    /// Whether the parameter is a bias (its gradient is the clean depth probe).
    #[must_use]
    pub fn is_bias(&self) -> bool {
        matches!(self.parameter.as_deref(), Some("bias" | "beta" | "b"))
    }
}
