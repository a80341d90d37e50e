//! Event files that change under the reader, as a table: the changes are made as the shared list of cases says, and
//! the points of the last attempt and the problems must be those it expects.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gradwatch::app::follow::{FileNews, FollowSink, Follower};
use gradwatch::decode::Sink;
use gradwatch::model::{Mark, Problem, Sample, TextLine};
use gradwatch::source::{Polled, TailPool};
use serde_json::{Map, Value, json};

use crate::support::{Points, shared};

const PREFIX: &str = "live_";
const N_CASES: usize = 12;

/// The points of the last attempt.
#[derive(Default)]
struct Watcher {
    points: Points,
    problems: Vec<String>,
    news: Vec<FileNews>,
}

impl Sink for Watcher {
    fn sample(&mut self, sample: &Sample<'_>) {
        let points = self.points.entry(sample.tag.to_owned()).or_default();
        points.push((sample.step, sample.value));
    }
    fn line(&mut self, _line: &TextLine<'_>) {}
    fn mark(&mut self, _mark: Mark<'_>) {}
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem.what);
    }
}

impl FollowSink for Watcher {
    fn news(&mut self, news: FileNews) {
        if news == FileNews::Rewritten {
            self.points.clear();
        }
        self.news.push(news);
    }
}

/// How a case changes the file, in the order of its stages.
fn change_to(case: &str, path: &Path, content: Option<&[u8]>) {
    let Some(content) = content else {
        fs::remove_file(path).unwrap();
        return;
    };
    match case.trim_start_matches(PREFIX) {
        "rename_replace" | "rename_other_content" => {
            let beside = path.with_extension("part");
            fs::write(&beside, content).unwrap();
            fs::rename(&beside, path).unwrap();
        }
        "truncate_rewrite" | "truncate_rewrite_longer" => {
            File::create(path).unwrap().write_all(content).unwrap();
        }
        "zeros_then_fill" => {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(content, 0).unwrap();
        }
        "delete_recreate" => fs::write(path, content).unwrap(),
        _ => {
            let n = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
            assert_eq!(fs::read(path).unwrap(), content[..n], "{case} does not append");
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(&content[n..]).unwrap();
        }
    }
}

/// Stages in order: the content of the file, `None` where it is gone.
fn stages(case: &Path) -> (String, Vec<Option<Vec<u8>>>) {
    let mut dirs: Vec<PathBuf> = fs::read_dir(case).unwrap().map(|it| it.unwrap().path()).collect();
    dirs.sort();
    let mut name = String::new();
    let mut contents = Vec::new();
    for dir in dirs {
        let file = fs::read_dir(dir).unwrap().next().unwrap().unwrap();
        let is_gone = file.file_name() == ".gone";
        contents.push((!is_gone).then(|| fs::read(file.path()).unwrap()));
        if !is_gone {
            name = file.file_name().into_string().unwrap();
        }
    }
    (name, contents)
}

fn look(follower: &mut Follower, pool: &mut TailPool, watcher: &mut Watcher, n_looks: usize) {
    for _ in 0..n_looks {
        while follower.poll(pool, watcher) == Polled::More {}
    }
}

fn run_case(name: &str, case: &Path, n_looks: usize, held_max: usize) -> Watcher {
    let dir = tempfile::tempdir().unwrap();
    let (file_name, contents) = stages(case);
    let path = dir.path().join(file_name);
    let mut pool = TailPool::new(held_max);
    let mut follower = Follower::new(&path);
    let mut watcher = Watcher::default();
    let (first, later) = contents.split_first().unwrap();
    fs::write(&path, first.as_ref().unwrap()).unwrap();
    look(&mut follower, &mut pool, &mut watcher, n_looks);
    for content in later {
        change_to(name, &path, content.as_deref());
        look(&mut follower, &mut pool, &mut watcher, n_looks);
    }
    follower.finish(&mut watcher);
    watcher
}

fn judge_case(
    name: &str,
    case: &Path,
    expected: &Value,
    n_looks: usize,
    held_max: usize,
) -> Result<(), String> {
    let watcher = run_case(name, case, n_looks, held_max);
    let points = json!(watcher.points);
    if points != expected["points"] {
        return Err(format!("{points} instead of {}", expected["points"]));
    }
    let should_be_rewritten = expected["problems"] == json!(["run rewritten"]);
    let said: Vec<&String> = watcher
        .problems
        .iter()
        .filter(|it| it.contains("rewritten"))
        .collect();
    let is_right = said.len() == watcher.problems.len() && said.len() == usize::from(should_be_rewritten);
    let is_news = watcher.news.contains(&FileNews::Rewritten) == should_be_rewritten;
    if is_right && is_news {
        Ok(())
    } else {
        Err(format!("said {:?} {:?}", watcher.problems, watcher.news))
    }
}

#[test]
fn every_live_case_of_event_files_is_followed_right() {
    let Some(script) = shared("edge-cases/make_edge_cases.py") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let Ok(made) = Command::new("python3").arg(script).arg(dir.path()).output() else {
        assert!(std::env::var_os("CI").is_none(), "python3 is needed");
        eprintln!("skipped: no python3");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let expected = fs::read(dir.path().join("EXPECTED.json")).unwrap();
    let expected: Map<String, Value> = serde_json::from_slice(&expected).unwrap();
    let (mut n_cases, mut n_wrong) = (0, 0);
    for (name, want) in expected.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        n_cases += 1;
        // One look or several between changes, descriptors held or not: nothing may hang on either.
        for (n_looks, held_max) in [(1, 8), (1, 0), (7, 8), (7, 0)] {
            let result = judge_case(name, &dir.path().join(name), want, n_looks, held_max);
            let said = result.as_ref().err().map_or("right", |it| it.as_str());
            println!("{name:32} looks {n_looks} held {held_max}  {said}");
            n_wrong += usize::from(result.is_err());
        }
    }
    assert_eq!(n_cases, N_CASES);
    assert_eq!(n_wrong, 0, "{n_wrong} of {} tries are wrong", 4 * N_CASES);
}
