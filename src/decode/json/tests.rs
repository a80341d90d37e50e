//! What the reader makes of JSON as it is written.
//!
//! In: texts. Out: test results. Invariant: everything strict JSON allows is compared with `serde_json`.

use std::fmt::Write as _;

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert, proptest};

use super::{Flattener, JsonError, Scalar};

fn flat(text: &str) -> Result<Vec<(String, String)>, JsonError> {
    let mut all = Vec::new();
    Flattener::new().flatten(text.as_bytes(), &mut |path: &str, scalar: Scalar<'_>| {
        let shown = match scalar {
            Scalar::Number(n) => format!("{}", n.value),
            Scalar::Text(t) => format!("'{t}'"),
            Scalar::Null => "null".into(),
            Scalar::Bool(b) => format!("{b}"),
            Scalar::Histogram(b) => {
                format!("{:.3} in {:.3}..{:.3} of {}", b.norm, b.low, b.high, b.n_elements)
            }
        };
        all.push((path.to_owned(), shown));
    })?;
    Ok(all)
}

fn shown(text: &str) -> String {
    let all = flat(text).unwrap();
    all.into_iter()
        .map(|(path, value)| format!("{path}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn nested_objects_become_paths() {
    assert_eq!(
        shown(r#"{"a": 1, "b": {"c": -2.5, "d": {"e": 3e2}}, "f": null}"#),
        "a=1 b/c=-2.5 b/d/e=300 f=null"
    );
    assert_eq!(
        shown(r#"{"step": 3, "metrics": {"loss": 1, "metrics": {"x": 2}}}"#),
        "step=3 loss=1 metrics/x=2"
    );
    assert_eq!(shown(r#"{"metrics": 5}"#), "metrics=5");
    assert_eq!(shown("{}"), "");
}

#[test]
fn what_python_writes_is_taken() {
    assert_eq!(
        shown(
            r#"{"a": NaN, "b": Infinity, "c": -Infinity, "d": nan, "e": 1., "f": 1e400, "g": -1e400, "h": 1e-400}"#
        ),
        "a=NaN b=inf c=-inf d=NaN e=1 f=inf g=-inf h=0"
    );
    assert_eq!(
        shown(r#"{"a": None, "b": True, "c": false, "d": "9.276", }"#),
        "a=null b=true c=false d='9.276'"
    );
    assert_eq!(shown(" { \"a\"\t:\r\n1 , \"b\":[1,2,],\"c\":2}\n"), "a=1 c=2");
}

#[test]
fn arrays_are_no_series_but_a_single_number_is() {
    assert_eq!(
        shown(
            r#"{"lr": [0.1], "betas": [0.9, 0.95], "s": ["x"], "n": [[1]], "e": [], "o": [{"k": [2]}], "z": 1}"#
        ),
        "lr=0.1 z=1"
    );
}

#[test]
fn escapes_are_resolved() {
    assert_eq!(
        shown(r#"{"a\/b": "q\"\\\n\u00e9\ud83d\udd25\ud83d", "\u006coss": 1}"#),
        "a/b='q\"\\\né\u{1f525}\u{fffd}' loss=1"
    );
}

#[test]
fn a_style_gan_triple_is_its_mean() {
    let text = r#"{"Loss/G": {"num": 64, "mean": -3.25, "std": 1.1}, "x": {"num": 1, "mean": 2}, "t": 1}"#;
    assert_eq!(shown(text), "Loss/G=-3.25 x/num=1 x/mean=2 t=1");
}

#[test]
fn a_wandb_histogram_is_an_estimate_of_the_norm() {
    // One element in -1..-0.5 and three in 1..2: squares between 0.25 + 3 and 1 + 12, evenly spread 7.583.
    assert_eq!(
        shown(r#"{"g": {"_type": "histogram", "values": [1, 0, 3], "bins": [-1, -0.5, 1, 2]}}"#),
        "g/_type='histogram' ".to_owned() + "g=2.754 in 1.803..3.606 of 4"
    );
    let packed =
        r#"{"g": {"_type": "histogram", "packedBins": {"min": 0, "size": 1, "count": 2}, "values": [2, 2]}}"#;
    assert_eq!(shown(packed), "g/_type='histogram' g=2.309 in 1.414..3.162 of 4");
}

#[test]
fn errors_name_their_place() {
    for (text, offset) in [
        ("", 0),
        ("{", 1),
        (r#"{"a" 1}"#, 5),
        (r#"{"a": 1 "b": 2}"#, 8),
        (r#"{"a": 1x}"#, 7),
        (r#"{"a": --1}"#, 6),
        (r#"{"a": "b"#, 8),
        ("{'a': 1}", 1),
        ("[1 2]", 3),
    ] {
        assert_eq!(flat(text).unwrap_err().offset, offset, "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| "{\"a\":".repeat(n) + "1" + &"}".repeat(n);
    assert!(flat(&deep(64)).is_ok());
    assert_eq!(flat(&deep(65)).unwrap_err().what, "nesting too deep");
    assert!(flat(&deep(100_000)).is_err());
    assert!(flat(&"[".repeat(100_000)).is_err());
}

fn numbers_of(value: &serde_json::Value, path: &str, out: &mut Vec<(String, f64)>) {
    match value {
        serde_json::Value::Number(n) => out.push((path.to_owned(), n.as_f64().unwrap())),
        serde_json::Value::Object(members) => {
            for (key, member) in members {
                let below = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}/{key}")
                };
                numbers_of(member, &below, out);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strict_json_reads_as_serde_reads_it(
        numbers in prop::collection::btree_map("[a-z_é\"]{1,6}", any::<f64>(), 0..8),
        texts in prop::collection::btree_map("[A-Z]{1,4}", "\\PC{0,8}", 0..4),
    ) {
        let inner = serde_json::json!({"in": numbers, "texts": texts, "flag": true});
        let text = inner.to_string();
        let mut expected = Vec::new();
        numbers_of(&inner, "", &mut expected);
        let mut found = Vec::new();
        let used = Flattener::new().flatten(text.as_bytes(), &mut |path: &str, scalar: Scalar<'_>| {
            if let Scalar::Number(n) = scalar {
                found.push((path.to_owned(), n.value));
            }
        });
        prop_assert!(used == Ok(text.len()));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert!(found == expected, "{found:?} {expected:?}");
    }

    #[test]
    fn any_bytes_are_survived(text in "[-{}\\[\\]:,\" \\\\0-9a-eNIn.u]{0,80}") {
        if let Ok(used) = Flattener::new().flatten(text.as_bytes(), &mut |_: &str, _: Scalar<'_>| {}) {
            prop_assert!(used <= text.len());
        }
    }
}

/// Objects of few keys, so that neighbours are often alike; nested, and with the keys that mean more.
fn object(words: &[u8]) -> String {
    let mut out = String::from("{");
    let mut n_open = 0;
    for (at, word) in words.iter().enumerate() {
        let key = ["a", "b", "loss", "metrics", "_type", "a\\u0041"][usize::from(word % 6)];
        let blank = ["", " "][usize::from(word / 6 % 2)];
        let value = match word / 12 % 8 {
            0..=2 => format!("{at}.5"),
            3 => "NaN".to_owned(),
            4 => "\"histogram\"".to_owned(),
            5 => "[1]".to_owned(),
            6 => {
                n_open += 1;
                write!(out, "\"{key}\":{blank}{{").unwrap();
                continue;
            }
            _ => "null".to_owned(),
        };
        write!(out, "\"{key}\":{blank}{value},").unwrap();
        if n_open > 0 && word % 5 == 0 {
            n_open -= 1;
            out.push_str("},");
        }
    }
    out + &"},".repeat(n_open) + "}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_read_before_changes_nothing(rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..7), 1..6)) {
        let mut reused = Flattener::new();
        for words in rows.iter().chain(&rows) {
            let text = object(words);
            let read = |flattener: &mut Flattener| {
                let mut all = Vec::new();
                let end = flattener.flatten(text.as_bytes(), &mut |path: &str, scalar: Scalar<'_>| all.push(format!("{path}={scalar:?}")));
                format!("{all:?} {end:?}")
            };
            let (now, fresh) = (read(&mut reused), read(&mut Flattener::new()));
            prop_assert!(now == fresh, "{text}: {now} but {fresh}");
        }
    }
}
