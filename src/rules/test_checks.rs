//! Checks for the tests of the file format: one per way of looking, with bounds and kinds of their own.

use super::Rule;
use super::check::{
    Build, CheckInfo, Context, Judged, Judgement, ParamInfo, Point, ProfileCheck, SeriesCheck, SeriesChecks,
    StreamCheck, each,
};
use crate::model::{Family, Profile};

#[derive(Clone)]
struct Silent;

impl SeriesCheck for Silent {
    fn observe(&mut self, _point: &Point, _context: &Context<'_>) -> Judgement {
        Judgement::Good
    }
    fn rewind(&mut self, _step: i64) {}
}

impl ProfileCheck for Silent {
    fn observe(&mut self, _profile: &Profile<'_>, _context: &Context<'_>, _out: &mut Vec<Judged>) {}
    fn rewind(&mut self, _step: i64) {}
}

impl StreamCheck for Silent {}

fn series(_rule: &Rule) -> Box<dyn SeriesChecks> {
    each(Silent)
}

fn profile(_rule: &Rule) -> Box<dyn ProfileCheck> {
    Box::new(Silent)
}

fn stream(_rule: &Rule) -> Box<dyn StreamCheck> {
    Box::new(Silent)
}

const fn param(name: &'static str, default: f64, max: f64) -> ParamInfo {
    ParamInfo {
        name,
        default,
        min: 0.0,
        max,
        doc: "A bound, in units. Default: made up for tests.",
    }
}

pub(crate) static LEVEL: CheckInfo = CheckInfo {
    name: "test-level",
    family: Family::Loss,
    kinds: &[],
    params: &[param("level", 10.0, 100.0), param("window", 20.0, 1000.0)],
    doc: "A series above a level.",
    build: Build::Series(series),
};

pub(crate) static LEAN: CheckInfo = CheckInfo {
    name: "test-lean",
    family: Family::Depth,
    kinds: &["left", "right"],
    params: &[param("tilt", 0.5, 1.0)],
    doc: "Layers that lean.",
    build: Build::Profile(profile),
};

pub(crate) static LINES: CheckInfo = CheckInfo {
    name: "log-pattern",
    family: Family::Custom,
    kinds: &[],
    params: &[],
    doc: "Lines that match.",
    build: Build::Stream(stream),
};

pub(crate) static CHECKS: &[&CheckInfo] = &[&LEVEL, &LEAN, &LINES];

/// Two rules, as a shipped set.
pub(crate) const SHIPPED: &str = r#"
[[rule]]
id = "loud-loss"
check = "test-level"
quantity = "loss"
severity = "warning"
summary = "{quantity} is {value}"
why = "w"
level = 5

[[rule]]
id = "leaning-layers"
check = "test-lean"
quantity = ["grad_norm", "weight_norm"]
severity = "critical"
summary = "leans"
"#;
