//! What the house holds itself to, read from the sources: layers, vendor boundary, lengths, words, README.
//!
//! In: the files of the checkout. Out: a list of what is wrong, with path and line. Invariant: every exception is
//! named here with its reason, and the lists of exceptions may only shrink.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

use crate::support::root;

/// Where each dependency may be named; a path that ends with `/` is a directory. A new dependency needs a line.
const VENDORS: &[(&str, &[&str])] = &[
    ("aho_corasick", &["decode/text/screen.rs"]),
    ("annotate_snippets", &["rules/problem.rs"]),
    ("anstream", &["app/", "report/"]),
    ("anstyle", &["report/", "rules/problem.rs"]),
    ("anyhow", &["app/", "main.rs"]),
    ("axum", &["serve/"]),
    ("clap", &["cli/", "app/"]),
    ("clap_complete", &["cli/", "app/mod.rs"]),
    ("clap_mangen", &["app/man.rs"]),
    ("comfy_table", &["app/", "report/"]),
    ("crc32c", &["decode/", "state/"]),
    ("crc32fast", &["decode/", "deliver/raster/"]),
    ("fast_float2", &["decode/number.rs"]),
    ("flate2", &["decode/unpack/", "deliver/raster/"]),
    ("resvg", &["deliver/raster.rs"]),
    ("ruzstd", &["decode/unpack/"]),
    ("foldhash", &["model/", "decode/", "series/", "rules/"]),
    ("hashbrown", &["decode/", "series/"]),
    ("indicatif", &["app/"]),
    (
        "jiff",
        &[
            "app/",
            "alert/",
            "decode/wall_time.rs",
            "deliver/",
            "rules/check/stall.rs",
            "serve/",
            "state/",
        ],
    ),
    ("lettre", &["deliver/mail/"]),
    ("memchr", &["app/follow/", "decode/", "rules/check/stall.rs"]),
    ("notify", &["source/change.rs", "source/change/"]),
    ("prometheus_client", &["serve/metrics.rs"]),
    ("protobuf", &["simulate/writer/"]),
    ("rayon", &["app/", "simulate/ensemble.rs"]),
    (
        "regex",
        &[
            "alert/silence.rs",
            "decode/text/",
            "extract/",
            "source/names.rs",
            "rules/",
            "app/chain_case.rs",
            "app/rules_cmd.rs",
        ],
    ),
    ("rusqlite", &["state/database.rs"]),
    (
        "rustix",
        &[
            "app/settings.rs",
            "deliver/command.rs",
            "source/volume.rs",
            "state/place.rs",
        ],
    ),
    ("unicode_width", &["report/columns.rs"]),
    ("secrecy", &["deliver/", "serve/guard.rs"]),
    ("schemars", &["rules/schema.rs"]),
    ("sd_notify", &["app/watch/service.rs"]),
    ("serde", &["rules/", "report/", "source/", "state/", "app/"]),
    ("signal_hook", &["app/watch/agenda.rs", "app/interrupt.rs"]),
    (
        "serde_json",
        &[
            "deliver/",
            "report/",
            "rules/",
            "app/",
            "serve/",
            "simulate/writer.rs",
            "state/",
        ],
    ),
    ("sha2", &["report/html/page.rs", "serve/guard.rs"]),
    ("statrs", &["stats/"]),
    ("tensorboard_proto", &["simulate/writer/"]),
    ("tensorboard_rs", &["simulate/writer/"]),
    ("terminal_size", &["app/"]),
    (
        "thiserror",
        &[
            "app/",
            "decode/",
            "deliver/",
            "rules/",
            "serve/",
            "simulate/",
            "source/",
            "state/",
        ],
    ),
    ("tokio", &["serve/"]),
    ("toml", &["rules/"]),
    ("ureq", &["deliver/http.rs"]),
];

/// Functions beyond this many lines need a line in [`LONG_FUNCTIONS`].
const FUNCTION_LINES_MAX: usize = 70;

/// Path, name and length of each function that is longer than it should be. Only ever shorter.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Files beyond this many lines need a line in [`LONG_FILES`].
const FILE_LINES_MAX: usize = 600;

/// Files that may be longer: tables that are read like a list.
const LONG_FILES: &[(&str, usize)] = &[];

struct Source {
    /// Relative to `src`, with `/`.
    path: String,
    text: String,
    is_test: bool,
}

impl Source {
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The lines that are compiled into the program, with their numbers; tests stand at the end of a file.
    fn production_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_tests = |index: usize| {
            lines[index].trim() == "#[cfg(test)]"
                && lines
                    .get(index + 1)
                    .is_some_and(|it| it.trim_start().starts_with("mod tests {"))
        };
        let end = if self.is_test {
            0
        } else {
            (0..lines.len()).find(|it| is_tests(*it)).unwrap_or(lines.len())
        };
        lines
            .into_iter()
            .enumerate()
            .take(end)
            .map(|(index, line)| (index + 1, line))
    }
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let rust = |it: &PathBuf| it.extension().is_some_and(|it| it == "rs");
    let relative = |it: &Path| {
        it.strip_prefix(&src)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/")
    };
    let mut sources: Vec<Source> = files_under(&src)
        .into_iter()
        .filter(rust)
        .map(|it| Source {
            path: relative(&it),
            text: std::fs::read_to_string(&it).unwrap(),
            is_test: false,
        })
        .collect();
    let tests = test_modules(&sources);
    for source in &mut sources {
        source.is_test = tests
            .iter()
            .any(|it| source.path == format!("{it}.rs") || source.path.starts_with(&format!("{it}/")));
    }
    sources
}

/// Paths (without `.rs`) of modules that are compiled for tests only.
fn test_modules(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let own = source.path.strip_suffix(".rs").unwrap();
        let dir = own.strip_suffix("/mod").unwrap_or(own);
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for (index, _) in lines.iter().enumerate().filter(|(_, it)| **it == "#[cfg(test)]") {
            // A `#[path]` may stand between; it leads to the same directory.
            let item = lines[index + 1..].iter().find(|it| !it.starts_with("#["));
            let name = item
                .and_then(|it| it.strip_suffix(';'))
                .and_then(|it| it.rsplit_once("mod "));
            if let Some((_, name)) = name {
                found.push(if dir == "lib" {
                    name.to_owned()
                } else {
                    format!("{dir}/{name}")
                });
            }
        }
    }
    found
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The code of a line: without comments and the insides of plain strings.
fn code(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    let mut is_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if is_string => {
                chars.next();
            }
            '"' => is_string = !is_string,
            '/' if !is_string && chars.peek() == Some(&'/') => break,
            _ if is_string => {}
            _ => out.push(c),
        }
    }
    out
}

/// Whether the code names the path `name::`.
fn names_path(code: &str, name: &str) -> bool {
    let needle = format!("{name}::");
    let is_used = |(at, _): (usize, &str)| {
        let before = code[..at].bytes().last();
        !before.is_some_and(|it| is_word_byte(it) || it == b':')
    };
    code.match_indices(&needle).any(is_used)
}

/// The table in `src/lib.rs`: module to the modules that it may use; `None` = all.
fn layers() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = text.lines().filter_map(|it| it.strip_prefix("//! | [`"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let module = cells[0].split('`').next().unwrap().to_owned();
        let uses = cells[2];
        let uses = (uses != "all").then(|| {
            uses.split(',')
                .map(|it| it.trim().to_owned())
                .filter(|it| !it.is_empty())
                .collect()
        });
        (module, uses)
    })
    .collect()
}

fn is_under(path: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|it| path == *it || it.ends_with('/') && path.starts_with(it))
}

fn assert_none(problems: &[String]) {
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut problems = Vec::new();
    for source in sources() {
        let first = source.text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") || first.len() < 20 {
            problems.push(format!(
                "src/{}:1: opens with {first:?} instead of what the file is for",
                source.path
            ));
        }
    }
    for path in files_under(&root().join("tests"))
        .iter()
        .filter(|it| it.extension().is_some_and(|it| it == "rs"))
    {
        let text = std::fs::read_to_string(path).unwrap();
        if !text.starts_with("//! ") {
            problems.push(format!(
                "{}:1: does not open with what the file is for",
                path.display()
            ));
        }
    }
    assert_none(&problems);
}

#[test]
fn modules_use_only_the_layers_below_them() {
    let layers = layers();
    assert!(
        layers.len() >= 11,
        "the table in src/lib.rs has {} rows",
        layers.len()
    );
    let mut problems = Vec::new();
    for source in sources() {
        let own = source.module();
        let Some(Some(allowed)) = layers.get(own) else {
            continue;
        };
        for (number, line) in source.production_lines() {
            let code = code(line);
            for (at, _) in code.match_indices("crate::") {
                let used: String = code[at + 7..]
                    .bytes()
                    .take_while(|it| is_word_byte(*it))
                    .map(char::from)
                    .collect();
                if layers.contains_key(&used) && used != own && !allowed.contains(&used) {
                    problems.push(format!("src/{}:{number}: {own} uses {used}", source.path));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_layers_have_no_cycle() {
    let mut left = layers();
    while !left.is_empty() {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let is_free =
            |uses: &Option<BTreeSet<String>>| uses.as_ref().is_some_and(|it| it.is_disjoint(&names));
        let free: Vec<String> = left
            .iter()
            .filter(|(_, uses)| is_free(uses))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            // Only what may use everything is left.
            assert!(left.values().all(Option::is_none), "a cycle among {names:?}");
            return;
        }
        for name in free {
            left.remove(&name);
        }
    }
}

#[test]
fn each_dependency_is_named_where_it_belongs() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let mut problems = Vec::new();
    for name in section
        .lines()
        .filter_map(|it| it.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
    {
        if !VENDORS.iter().any(|(vendor, _)| *vendor == name) {
            problems.push(format!("Cargo.toml: nothing says where `{name}` may be used"));
        }
    }
    for source in sources() {
        for (number, line) in source.production_lines() {
            let code = code(line);
            let strangers = VENDORS
                .iter()
                .filter(|(name, places)| names_path(&code, name) && !is_under(&source.path, places));
            problems.extend(
                strangers
                    .map(|(name, _)| format!("src/{}:{number}: `{name}` is not for this file", source.path)),
            );
        }
    }
    assert_none(&problems);
}

/// Name and length of each function of a formatted file.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.production_lines().map(|(_, line)| line).collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().take(6).collect();
        let Some(at) = words.iter().position(|it| *it == "fn") else {
            continue;
        };
        let is_head = words[..at]
            .iter()
            .all(|it| it.starts_with("pub") || ["const", "super)", "unsafe", "async"].contains(it));
        let Some(name) = words.get(at + 1).filter(|_| is_head) else {
            continue;
        };
        let name: String = name
            .bytes()
            .take_while(|it| is_word_byte(*it))
            .map(char::from)
            .collect();
        let closing = format!("{}}}", " ".repeat(indent));
        let end = lines[start..].iter().position(|it| {
            *it == closing
                || it.starts_with(&" ".repeat(indent))
                    && it.ends_with('}')
                    && it.len() - it.trim_start().len() == indent
        });
        if let Some(end) = end {
            found.push((name, end + 1));
        }
    }
    found
}

#[test]
fn functions_stay_short() {
    let mut problems = Vec::new();
    let mut seen: BTreeSet<&(&str, &str, usize)> = BTreeSet::new();
    let mut n_functions = 0;
    for source in sources() {
        for (name, lines) in functions(&source) {
            n_functions += 1;
            let entry = LONG_FUNCTIONS
                .iter()
                .find(|it| it.0 == source.path && it.1 == name);
            let max = entry.map_or(FUNCTION_LINES_MAX, |it| it.2);
            if lines > max {
                problems.push(format!(
                    "src/{}: `{name}` has {lines} lines, {max} are allowed",
                    source.path
                ));
            }
            if lines > FUNCTION_LINES_MAX {
                seen.extend(entry);
            }
        }
    }
    assert!(n_functions > 500, "only {n_functions} functions were found");
    let healed = LONG_FUNCTIONS.iter().filter(|it| !seen.contains(it));
    problems.extend(healed.map(|it| format!("`{}` in {} is short now: take it off the list", it.1, it.0)));
    assert_none(&problems);
}

#[test]
fn files_stay_short() {
    let mut problems = Vec::new();
    for source in sources() {
        let max = LONG_FILES
            .iter()
            .find(|it| it.0 == source.path)
            .map_or(FILE_LINES_MAX, |it| it.1);
        let lines = source.text.lines().count();
        if lines > max {
            problems.push(format!("src/{}: {lines} lines, {max} are allowed", source.path));
        }
    }
    assert_none(&problems);
}

/// Text files that people read or that are compiled.
fn written_files() -> Vec<(String, String)> {
    let dirs = ["src", "tests", "benches", "rules", "fixtures", ".ci"];
    let mut paths: Vec<PathBuf> = dirs.iter().flat_map(|it| files_under(&root().join(it))).collect();
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "deny.toml",
    ] {
        paths.push(root().join(name));
    }
    let shown = |it: &Path| it.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    paths
        .iter()
        .filter_map(|it| Some((shown(it), std::fs::read_to_string(it).ok()?)))
        .collect()
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("#[ig", "nore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("(being ", "built)"),
        concat!("thread::", "sleep"),
        concat!("#[should_", "panic"),
    ];
    let mut problems = Vec::new();
    for (path, text) in written_files()
        .iter()
        .filter(|(path, _)| [Some("rs"), Some("py")].contains(&path.rsplit_once('.').map(|(_, end)| end)))
    {
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().filter(|it| line.contains(**it));
            problems.extend(found.map(|it| format!("{path}:{}: `{it}`", number + 1)));
        }
    }
    assert_none(&problems);
}

#[test]
fn no_path_of_a_machine_is_named() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/tmp/", "brief"),
    ];
    let mut problems = Vec::new();
    for (path, text) in written_files() {
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().filter(|it| line.contains(**it));
            problems.extend(found.map(|it| format!("{path}:{}: `{it}`", number + 1)));
        }
    }
    assert_none(&problems);
}

#[test]
fn readme_says_the_exit_statuses_of_the_code() {
    let code = std::fs::read_to_string(root().join("src/exit.rs")).unwrap();
    let mut rows = Vec::new();
    let mut doc = "";
    for line in code.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            doc = text.trim_end_matches('.');
        } else if let Some((_, number)) = line.strip_suffix(',').and_then(|it| it.split_once(" = ")) {
            rows.push(format!("| {number} | {doc} |"));
        }
    }
    assert_eq!(rows.len(), 4, "{rows:?}");
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let missing: Vec<&String> = rows.iter().filter(|it| !readme.contains(it.as_str())).collect();
    assert!(missing.is_empty(), "README.md lacks {missing:?}");
}

/// The table of rules as README has it, from `gradwatch rules list --format json`.
fn rule_table() -> String {
    let output = Command::cargo_bin("gradwatch")
        .unwrap()
        .args(["rules", "list", "--format", "json"])
        .output()
        .unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut table =
        String::from("| rule | severity | family | sees | needs |\n| --- | --- | --- | --- | --- |\n");
    for rule in list["rules"].as_array().unwrap() {
        let words = |key: &str| {
            let list = rule[key].as_array().unwrap().iter().filter_map(Value::as_str);
            list.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
        };
        let text = |key: &str| rule[key].as_str().unwrap_or_default().replace('|', "\\|");
        let needs = match words("quantities") {
            it if it.is_empty() => "the log itself".to_owned(),
            it => it,
        };
        let sees = text("why")
            .split_inclusive(". ")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let (id, severity, family) = (text("id"), text("severity"), text("family"));
        writeln!(table, "| `{id}` | {severity} | {family} | {sees} | {needs} |").unwrap();
    }
    table
}

#[test]
fn readme_lists_the_rules_of_the_code() {
    const BEGIN: &str = "<!-- rules: begin, written by `UPDATE_GOLDEN=1 cargo test readme_lists` -->\n";
    const END: &str = "<!-- rules: end -->";
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = readme
        .split_once(BEGIN)
        .expect("README.md has a place for the rules");
    let (table, tail) = rest.split_once(END).expect("the place for the rules ends");
    let wanted = rule_table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{wanted}{END}{tail}")).unwrap();
        return;
    }
    assert_eq!(table, wanted, "UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn readme_shows_what_the_program_prints() {
    let output = Command::cargo_bin("gradwatch")
        .unwrap()
        .args(["audit", "fixtures/runs"])
        .current_dir(root())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let sample = readme
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let mut lines = printed.lines().map(str::trim_end);
    for line in sample.lines().filter(|it| *it != "[...]" && !it.is_empty()) {
        assert!(
            lines.any(|it| it == line),
            "not printed, or not in this order: {line}"
        );
    }
}
