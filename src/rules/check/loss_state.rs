//! What the training loss says of the run, for checks of other series: large gradients of a run whose loss goes down well
//! are learning, not trouble.
//!
//! In: the facts of the stream. Out: one of three words. Invariant: pure.

use crate::series::LossFacts;

/// How the training loss does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LossState {
    /// Not logged, or too few points.
    Unknown,
    /// It fell, and is near its best.
    Well,
    /// It has not fallen, or it rose again.
    Unwell,
}

/// A rise by this share of the fall so far is a setback.
const SETBACK: f64 = 0.2;
/// A fall by this share of the initial loss is progress.
const PROGRESS: f64 = 0.03;

/// Reads the facts. The best median of five is too low by the luck of many draws, so a tenth of the loss is allowed on top.
pub(super) fn loss_state(loss: &LossFacts) -> LossState {
    let (Some(initial), Some(best), Some(current)) = (loss.initial, loss.best, loss.current) else {
        return LossState::Unknown;
    };
    if loss.n < 8 {
        return LossState::Unknown;
    }
    let fall = initial - best;
    let is_near_best = current <= best + (SETBACK * fall).max(0.1 * best.abs());
    if fall > PROGRESS * initial.abs() && is_near_best {
        LossState::Well
    } else {
        LossState::Unwell
    }
}

#[cfg(test)]
mod tests {
    use super::{LossState, loss_state};
    use crate::series::LossFacts;

    fn after(values: &[f64]) -> LossState {
        let mut facts = LossFacts::default();
        for value in values {
            facts.add(*value);
        }
        loss_state(&facts)
    }

    #[test]
    fn reads_falling_flat_and_rising_losses() {
        assert_eq!(after(&[2.3, 2.2]), LossState::Unknown);
        assert_eq!(
            after(&[2.3, 2.2, 2.1, 2.0, 1.8, 1.6, 1.5, 1.4, 1.3]),
            LossState::Well
        );
        assert_eq!(after(&[2.3; 12]), LossState::Unwell);
        assert_eq!(
            after(&[2.3, 2.0, 1.5, 1.0, 0.9, 0.9, 0.9, 0.9, 2.2, 2.2, 2.2]),
            LossState::Unwell
        );
        // Negative losses fall too.
        assert_eq!(
            after(&[1.0, 0.5, 0.0, -0.5, -1.0, -1.5, -2.0, -2.5]),
            LossState::Well
        );
    }
}
