//! Line patterns of a user's own: linted with places, tried on a log, judged as any other format.
//!
//! In: rule files with `[[pattern]]` tables, and logs. Out: what the program says of them. Invariant: a pattern with a
//! mistake is refused before a log is opened.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use gradwatch::app::InForce;
use gradwatch::app::own_patterns::compiled;
use gradwatch::app::rule_set::load_files;
use gradwatch::app::watch::Watch;
use gradwatch::extract::understand;
use gradwatch::model::Quantity;
use serde_json::Value;
use tempfile::TempDir;

const PATTERNS: &str = r#"
[[pattern]]
name = "norms"
regex = '^\[(?<step>\d+)\] (?<layer>[\w.]+) g=(?<grad_norm>\S+)$'
example = "[10] h.0.mlp g=0.5"
reads = { step = 10, layer = "h.0.mlp", grad_norm = 0.5 }

[[pattern]]
name = "verlust"
regex = '^\[(?<step>\d+)\] Verlust (?<value>\S+)'
quantity = "loss"
example = "[10] Verlust nan"
reads = { step = 10, value = nan }
"#;

/// Gradients that vanish toward the input, and lines that are nearly right.
fn log() -> String {
    (0..40).fold(String::new(), |mut text, step| {
        writeln!(text, "[{step}] Verlust {}", 2.5 - 0.01 * f64::from(step)).unwrap();
        for layer in 0..12 {
            writeln!(text, "[{step}] h.{layer}.mlp g={:e}", 0.3_f64.powi(12 - layer)).unwrap();
        }
        text
    }) + "[40] Verlust: 2\n[40] h.3.mlp g=0.5 \x1b]0;title\x07x\n[40] Verlust kaputt\nPause\n"
}

fn files() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (patterns, log_file) = (dir.path().join("own.toml"), dir.path().join("run/train.log"));
    fs::write(&patterns, PATTERNS).unwrap();
    fs::create_dir(dir.path().join("run")).unwrap();
    fs::write(&log_file, log()).unwrap();
    (dir, patterns, log_file)
}

fn gradwatch(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("gradwatch")
        .unwrap()
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn what_a_pattern_reads_is_judged_and_followed_like_any_format() {
    let (dir, patterns, log_file) = files();
    let shown = log_file.display().to_string();
    let (status, out, _) = gradwatch(&[
        "audit",
        "--rules",
        &patterns.display().to_string(),
        "--format",
        "json",
        &shown,
    ]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let run = &report["runs"][0];
    let rules: Vec<&str> = run["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["rule"].as_str().unwrap())
        .collect();
    assert_eq!(status, 1);
    assert!(rules.contains(&"vanishing-gradients"), "{rules:?}");
    assert_eq!(run["files"][0]["format"], "text-own-pattern");
    let (status, ..) = gradwatch(&["audit", &shown]);
    assert_eq!(status, 3, "without the patterns nothing is read");
    let set = load_files(&[patterns]).unwrap();
    let own = compiled(&set).unwrap();
    let mut watch = Watch::new(&[dir.path().join("run")], InForce::new(&set.rules, &own));
    watch.walk();
    let (_, heard) = watch.poll(&|| false);
    let mut followed: Vec<String> = heard.notices.iter().map(|it| it.finding.rule.clone()).collect();
    let (_, last) = watch.finish();
    followed.extend(last.into_iter().map(|it| it.finding.rule));
    assert!(
        followed.iter().any(|it| it == "vanishing-gradients"),
        "{followed:?}"
    );
}

#[test]
fn a_trial_shows_what_is_read_what_nearly_and_why_not() {
    let (_dir, patterns, log_file) = files();
    let patterns = patterns.display().to_string();
    let (status, out, err) = gradwatch(&["inspect", "--pattern", &patterns, &log_file.display().to_string()]);
    assert_eq!(status, 0, "{err}");
    for line in [
        "  pattern norms: 480 read, 0 matched but not read, 2 nearly matched",
        "      as step 0, layer h.1.mlp, grad_norm 1.7714699999999997e-6",
        "  pattern verlust: 40 read, 1 matched but not read, 2 nearly matched",
        "    not read line 523: [40] Verlust kaputt",
        "      group `value` is \"kaputt\", which is no number",
        "      matched      [40] Verlust  by  ^\\[(?<step>\\d+)\\] Verlust",
        "      but found    : 2",
    ] {
        assert!(out.lines().any(|it| it == line), "{line:?} is not in\n{out}");
    }
    assert!(
        !out.contains('\x1b') && !out.contains('\x07'),
        "text from a log reaches no terminal unescaped"
    );
    let (_, out, _) = gradwatch(&[
        "inspect",
        "--pattern",
        &patterns,
        "--format",
        "json",
        &log_file.display().to_string(),
    ]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["schema"], "gradwatch.patterns/1");
    assert_eq!(report["files"][0]["patterns"][0]["n_read"], 480);
}

#[test]
fn a_trial_that_reads_nothing_says_so_by_its_status() {
    let (dir, patterns, _) = files();
    let other = dir.path().join("other.log");
    fs::write(&other, "nothing\nof the kind\n").unwrap();
    let (status, out, _) = gradwatch(&[
        "inspect",
        "--pattern",
        &patterns.display().to_string(),
        &other.display().to_string(),
    ]);
    assert_eq!(status, 3);
    assert!(out.contains("pattern norms: 0 read"), "{out}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases: [(&str, &[&str]); 4] = [
        (
            "[[pattern]]\nname = \"a\"\nregex = '(?<setp>\\d+)'\nexampel = \"1\"\nreads = { setp = 1 }\n",
            &[
                "1:1: missing key `example`",
                "3:9: unknown group `setp`, did you mean `step`?",
                "4:1: unknown key `exampel` in a pattern, did you mean `example`?",
            ],
        ),
        (
            "[[pattern]]\nname = \"a\"\nregex = '(?<step>\\d+'\nexample = \"1\"\nreads = { step = 1 }\n",
            &["3:9: bad regular expression in `regex`: unclosed group"],
        ),
        (
            "[[pattern]]\nname = \"a\"\nregex = '(?<step>\\d+) (?<value>\\S+)'\nexample = \"1 2\"\nreads = { step = 1, value = 2 }\n",
            &[
                "3:9: nothing says what the group `value` is, add `quantity = \"grad_norm\"`, or a group `name`",
            ],
        ),
        (
            "[[pattern]]\nname = \"a\"\nregex = 's(?<step>\\d+) l(?<loss>\\S+)'\nexample = \"s1 l2\"\nreads = { step = 2 }\n\
             [[pattern]]\nname = \"b\"\nregex = '(?<step>\\d+) (?<loss>\\S+)'\nexample = \"x\"\nreads = { step = 1 }\n",
            &[
                "4:11: `loss` reads 2 in the example: say so in `reads`",
                "5:18: `step` reads 1 in the example, not 2",
                "9:11: the example is not matched by `regex`",
            ],
        ),
    ];
    for (text, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        let (status, out, _) = gradwatch(&["rules", "check", &path]);
        assert_eq!(status, 2, "{out}");
        let short: Vec<&str> = out
            .lines()
            .filter_map(|it| it.strip_prefix(&format!("{path}:")))
            .collect();
        assert_eq!(short, expected, "{out}");
        let (status, ..) = gradwatch(&["audit", "--rules", &path, &path]);
        assert_eq!(status, 2);
    }
}

#[test]
fn the_group_of_every_quantity_means_that_quantity() {
    let of_layers = [
        Quantity::GradNorm,
        Quantity::WeightNorm,
        Quantity::ActivationNorm,
        Quantity::UpdateNorm,
        Quantity::UpdateRatio,
        Quantity::ZeroFraction,
    ];
    for quantity in Quantity::ALL.iter().filter(|it| **it != Quantity::Other) {
        let tag = if of_layers.contains(quantity) {
            format!("{quantity}/h.3.mlp")
        } else {
            quantity.as_str().to_owned()
        };
        assert_eq!(understand(&tag).quantity, *quantity, "{tag}");
    }
}
