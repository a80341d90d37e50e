//! What several tests need: where things are, and a listener that keeps every point.

pub(crate) mod hook;
pub(crate) mod smtp;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gradwatch::app::pipeline::judge_run;
use gradwatch::report::RunReport;
use gradwatch::rules::Rule;
use gradwatch::series::{SeriesInfo, Tap};
use gradwatch::source::discover;

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shared data directory beside the checkout; says so when it is not there.
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(part);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no shared data directory beside the checkout");
    None
}

/// Points by tag, those of the last attempt.
pub(crate) type Points = BTreeMap<String, Vec<(i64, f64)>>;

#[derive(Default)]
struct Keep {
    tags: BTreeMap<u32, String>,
    points: BTreeMap<u32, Vec<(i64, f64)>>,
}

struct KeepTap(Arc<Mutex<Keep>>);

impl Tap for KeepTap {
    fn point(&mut self, id: u32, series: &SeriesInfo, step: i64, _wall_time: Option<f64>, value: f64) {
        let mut keep = self.0.lock().unwrap();
        keep.tags.entry(id).or_insert_with(|| series.tag.to_string());
        keep.points.entry(id).or_default().push((step, value));
    }
    fn rewind(&mut self, id: u32, step: i64) {
        if let Some(points) = self.0.lock().unwrap().points.get_mut(&id) {
            points.retain(|(at, _)| *at < step);
        }
    }
}

/// Judges a log directory or file as `audit` does; gives its runs with their points.
pub(crate) fn judge(path: &Path, rules: &[Rule]) -> Vec<(RunReport, Points)> {
    let found = discover(&[path.to_owned()]);
    found
        .runs
        .iter()
        .map(|run| {
            let keeps: Mutex<Vec<Arc<Mutex<Keep>>>> = Mutex::default();
            let make = |_: &_| {
                let keep = Arc::new(Mutex::new(Keep::default()));
                keeps.lock().unwrap().push(Arc::clone(&keep));
                Some(Box::new(KeepTap(keep)) as Box<dyn Tap>)
            };
            let report = judge_run(run, rules, &make, &|_| ());
            let mut points = Points::new();
            for keep in keeps.into_inner().unwrap() {
                let keep = keep.lock().unwrap();
                for (id, list) in &keep.points {
                    points.entry(keep.tags[id].clone()).or_default().extend(list);
                }
            }
            points.retain(|_, list| !list.is_empty());
            (report, points)
        })
        .collect()
}
