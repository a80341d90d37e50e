//! Which flags of `calibrate` go together.
//!
//! In: the flags. Out: nothing, or the sentence that refuses them. Invariant: after this every flag that was given has
//! an effect on what is asked for: an ensemble, `--shipped` or `--from`.

use crate::app::chain::{ChainFailure, refuse_useless};
use crate::cli::CalibrateArgs;

const OF_ENSEMBLE: &str = "describes networks to simulate, and --from reads logs: leave out one of the two";
const OF_SHIPPED: &str =
    "has no effect on --shipped, whose ensembles are fixed: it takes --repetitions, --seed and --layers";

/// Refuses flags that contradict each other.
pub(super) fn check(args: &CalibrateArgs) -> Result<(), ChainFailure> {
    let (is_shipped, is_from) = (args.shipped, !args.from.is_empty());
    let simulated = [
        ("--repetitions", args.repetitions.is_some()),
        ("--seed", args.seed.is_some()),
    ];
    let judged = [
        ("--false-alarm", args.false_alarm.is_some()),
        ("--looks", args.looks.is_some()),
        ("--out", args.out.is_some()),
        ("--format", args.format.is_some()),
        ("--from", is_from),
    ];
    let ensemble = args.ensemble.flags();
    let mut uses = Vec::new();
    uses.extend(judged.map(|(flag, given)| (flag, given, !is_shipped, OF_SHIPPED)));
    uses.extend(ensemble.map(|(flag, given)| (flag, given, !is_shipped || flag == "--layers", OF_SHIPPED)));
    uses.extend(ensemble.map(|(flag, given)| (flag, given, !is_from, OF_ENSEMBLE)));
    uses.extend(simulated.map(|(flag, given)| (flag, given, !is_from, OF_ENSEMBLE)));
    refuse_useless(&uses)
}
