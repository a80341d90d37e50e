//! The tags of the numbers of a row.
//!
//! In: the split, the name and the layer that a row says. Out: one tag. Invariant: a name that needs nothing before or behind
//! it is given as it is; else the buffer is reused.

/// The layer that a row is about.
pub(super) enum Layer<'a> {
    None,
    Path(&'a str),
    Index(i64),
}

/// Puts tags together.
#[derive(Debug, Default)]
pub(super) struct TagBuffer(String);

impl TagBuffer {
    /// The tag of a number: the split, unless the name begins with it, the name, the layer.
    pub(super) fn name<'a>(&'a mut self, split: Option<&str>, name: &'a str, layer: &Layer<'_>) -> &'a str {
        let split = split.filter(|word| {
            !name
                .get(..word.len())
                .is_some_and(|s| s.eq_ignore_ascii_case(word))
        });
        if split.is_none() && matches!(layer, Layer::None) {
            return name;
        }
        self.0.clear();
        if let Some(split) = split {
            self.0.push_str(split);
            self.0.push('/');
        }
        self.0.push_str(name);
        match layer {
            Layer::None => {}
            Layer::Path(path) => {
                self.0.push('/');
                self.0.push_str(path);
            }
            Layer::Index(index) => {
                self.0.push_str("/layers.");
                self.0.push_str(&index.to_string());
            }
        }
        &self.0
    }
}
