//! A finding in a few words, for subjects and titles.
//!
//! In: a finding, a bulletin. Out: short lines. Invariant: a headline is made of what stays the same while an alarm
//! lasts (rule, quantity, tag, first step), never of its message, whose numbers move.

use std::path::Path;

use super::{LINE_CHARS_MAX, clean};
use crate::alert::Bulletin;
use crate::model::{Family, Finding, Quantity};
use crate::report::{quantity_words, thousands};

/// `loss is NaN since step 12,345`, `vanishing gradients since step 40`.
pub(in crate::deliver) fn headline(finding: &Finding) -> String {
    clean(&format!("{}{}", what(finding), since(finding)), LINE_CHARS_MAX)
}

fn what(finding: &Finding) -> String {
    let quantity = quantity_words(finding.quantity);
    match (finding.family, finding.value) {
        (Family::Nonfinite, Some(it)) if it.is_nan() => format!("{quantity} is NaN"),
        (Family::Nonfinite, Some(it)) if it.is_infinite() => format!("{quantity} is infinite"),
        _ => {
            let rule = finding.rule.replace(['-', '_'], " ");
            // A number that has no name of its own among the quantities is known by its tag.
            let tag = finding
                .tag
                .as_ref()
                .filter(|_| finding.quantity == Quantity::Other);
            tag.map_or(rule.clone(), |it| format!("{rule} ({it})"))
        }
    }
}

/// ` since step 12,345`; empty for a log without step numbers.
pub(in crate::deliver) fn since(finding: &Finding) -> String {
    finding
        .first_step
        .map_or_else(String::new, |it| format!(" since step {}", thousands(it)))
}

/// The run as people know it: the root's own name where the run is the root.
pub(in crate::deliver) fn run_label(bulletin: &Bulletin) -> String {
    if bulletin.run != "." {
        return bulletin.run.clone();
    }
    Path::new(&bulletin.root)
        .file_name()
        .map_or_else(|| bulletin.root.clone(), |it| it.to_string_lossy().into_owned())
}
