//! Tags that were understood before.
//!
//! In: a tag of a number or of a histogram. Out: the tag and its meaning, shared by all who ask. Invariant: the answer is
//! that of [`understand`](super::understand).

use std::sync::Arc;

use crate::model::{Kept, Meaning};

static NUMBERS: Kept<Arc<Meaning>> = Kept::new();
static HISTOGRAMS: Kept<Arc<Meaning>> = Kept::new();

/// A tag and what it means.
pub type Known = (Arc<str>, Arc<Meaning>);

/// What the tag of a number means.
#[must_use]
pub fn known(tag: &str) -> Known {
    NUMBERS.get(tag, |tag| Arc::new(super::understand(tag)))
}

/// What the tag of a histogram means.
#[must_use]
pub fn known_histogram(tag: &str) -> Known {
    HISTOGRAMS.get(tag, |tag| Arc::new(super::understand_histogram(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::{understand, understand_histogram};

    #[test]
    fn the_answer_is_that_of_the_function() {
        for tag in ["grad_norm/layers.3.attn.weight", "fc1.weight", "loss", ""] {
            for _ in 0..2 {
                let (text, meaning) = known(tag);
                assert_eq!((&*text, &*meaning), (tag, &understand(tag)));
                assert_eq!(*known_histogram(tag).1, understand_histogram(tag));
            }
        }
    }
}
