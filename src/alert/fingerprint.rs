//! What makes two alarms the same one.
//!
//! In: a run and a finding. Out: a number that names the alarm. Invariant: it depends on the run, the rule and the
//! subject alone (not on steps, values, layers or ranks, which grow while an alarm lasts), and is the same on every
//! machine and in every version, because messages that were sent are found by it.

use std::fmt;

use crate::model::Finding;

/// The name of an alarm: of a run, a rule and a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of what this finding says of this run.
    #[must_use]
    pub fn of(run: &str, finding: &Finding) -> Self {
        let tag = finding.tag.as_deref().unwrap_or_default();
        let parts = [run, &finding.rule, finding.kind, finding.quantity.as_str(), tag];
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        // FNV-1a, 64 bits (draft-eastlake-fnv): its constants are part of what is promised to stay.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, step))
    }

    /// The fingerprint that is shown as these 16 hexadecimal digits.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        let is_shown_so = digits.len() == 16 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| is_shown_so)
            .map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
