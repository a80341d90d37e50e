//! The JSON Schema of rule files, for editors.
//!
//! In: the checks. Out: `rules/schema.json` (draft-07, which TOML editors understand). Invariant: whatever
//! `load` takes, the schema takes; it is the weaker of the two, since it cannot see the shipped rules that a
//! file changes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::check::{CheckInfo, ParamInfo};
use super::pattern;
use super::validate::{KEYS, LOG_PATTERN, PERSISTENCE_MAX};
use crate::model::{Family, Quantity, Severity, Split};

/// The schema as text, with a line end.
#[must_use]
pub fn schema_text(registry: &[&'static CheckInfo]) -> String {
    // Alternate form = indented; a `Value` cannot fail to print.
    format!("{:#}\n", schema(registry))
}

/// The schema.
#[must_use]
pub fn schema(registry: &[&'static CheckInfo]) -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gradwatch rule file",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "rule": { "type": "array", "items": rule_schema(registry) },
            "pattern": { "type": "array", "items": pattern_schema() },
            "disable": described(one_or_list(&json!({ "type": "string" })), "Ids of rules to switch off."),
        },
    })
}

fn pattern_schema() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let properties: Map<String, Value> = pattern::KEYS
        .into_iter()
        .map(|(key, doc)| {
            let schema = match key {
                "regex" => json!({ "type": "string", "format": "regex" }),
                "quantity" => enumeration(Quantity::ALL, Quantity::as_str),
                "reads" => {
                    json!({ "type": "object", "additionalProperties": { "type": ["number", "string"] } })
                }
                _ => text.clone(),
            };
            (key.to_owned(), described(schema, doc))
        })
        .collect();
    json!({
        "type": "object",
        "required": ["name", "regex", "example", "reads"],
        "additionalProperties": false,
        "properties": properties,
    })
}

fn rule_schema(registry: &[&'static CheckInfo]) -> Value {
    let mut properties = common_properties(registry);
    for (name, checks) in checks_by_param(registry) {
        let doc = format!("A bound of: {}.", checks.join(", "));
        properties.insert(name.to_owned(), json!({ "type": "number", "description": doc }));
    }
    json!({
        "type": "object",
        "required": ["id"],
        "additionalProperties": false,
        "properties": properties,
        "allOf": registry.iter().map(|it| check_schema(it)).collect::<Vec<_>>(),
    })
}

fn checks_by_param(registry: &[&'static CheckInfo]) -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for check in registry {
        for param in check.params {
            found.entry(param.name).or_default().push(check.name);
        }
    }
    found
}

/// What holds for the rules of one check: its kinds, its bounds, no other keys.
fn check_schema(check: &CheckInfo) -> Value {
    let mut properties: Map<String, Value> = check
        .params
        .iter()
        .map(|it| (it.name.to_owned(), param_schema(it)))
        .collect();
    if !check.kinds.is_empty() {
        properties.insert("kind".to_owned(), json!({ "enum": check.kinds }));
    }
    let keys: Vec<&str> = KEYS
        .iter()
        .copied()
        .filter(|it| *it != "kind" || !check.kinds.is_empty())
        .filter(|it| *it != "pattern" || check.name == LOG_PATTERN)
        .chain(check.params.iter().map(|it| it.name))
        .collect();
    json!({
        "if": { "properties": { "check": { "const": check.name } }, "required": ["check"] },
        "then": { "properties": properties, "propertyNames": { "enum": keys } },
    })
}

fn param_schema(param: &ParamInfo) -> Value {
    let mut schema = json!({ "type": "number", "default": param.default, "description": param.doc });
    // JSON has no infinity: an open side is not said.
    if param.min.is_finite() {
        schema["minimum"] = json!(param.min);
    }
    if param.max.is_finite() {
        schema["maximum"] = json!(param.max);
    }
    schema
}

fn common_properties(registry: &[&'static CheckInfo]) -> Map<String, Value> {
    KEYS.iter()
        .map(|it| ((*it).to_owned(), key_schema(it, registry)))
        .collect()
}

fn key_schema(key: &str, registry: &[&'static CheckInfo]) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let regex = json!({ "type": "string", "format": "regex" });
    let (schema, doc) = match key {
        "id" => (
            json!({ "type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "maxLength": 64 }),
            "Permanent name. That of a shipped rule changes only the keys named here.",
        ),
        "check" => (checks_schema(registry), "The detector."),
        "family" => (
            enumeration(Family::ALL, Family::as_str),
            "Replaces the check's family.",
        ),
        "kind" => (text, "Only this kind of the check's observations."),
        "quantity" => (
            one_or_list(&enumeration(Quantity::ALL, Quantity::as_str)),
            "What it looks at.",
        ),
        "split" => (
            one_or_list(&enumeration(Split::ALL, Split::as_str)),
            "Only series of these splits; without it training and unknown.",
        ),
        "layer" => (regex, "Only layers whose path matches."),
        "role" => (
            regex,
            "Only layers whose role (path with `#` for indices) matches.",
        ),
        "tag" => (regex, "Only series whose tag matches."),
        "run" => (regex, "Only runs whose name matches."),
        "parameter" => (
            one_or_list(&text),
            "Only layers with one of these parameters, e.g. `bias`.",
        ),
        "pattern" => (one_or_list(&regex), "Lines that mean trouble."),
        "for" => (
            persistence_schema(),
            "Fires when that many points were bad: `5` in a row, or `\"5 of 8\"`.",
        ),
        "severity" => (enumeration(Severity::ALL, Severity::as_str), "How urgent."),
        "summary" => (text, "One sentence with `{placeholders}`."),
        "why" => (text, "Why this matters."),
        "diagnosis" => (text, "What to plot or compare to know more."),
        "remedy" => (one_or_list(&text), "What to do, most promising first."),
        "false_positives" => (text, "When it is wrong."),
        "enabled" => (json!({ "type": "boolean" }), "False switches the rule off."),
        _ => (json!(true), ""),
    };
    described(schema, doc)
}

fn checks_schema(registry: &[&'static CheckInfo]) -> Value {
    let names: Vec<Value> = registry
        .iter()
        .map(|it| json!({ "const": it.name, "description": it.doc }))
        .collect();
    // An empty `oneOf` is not valid.
    if names.is_empty() {
        json!({ "type": "string" })
    } else {
        json!({ "oneOf": names })
    }
}

fn persistence_schema() -> Value {
    json!({ "oneOf": [
        { "type": "integer", "minimum": 1, "maximum": PERSISTENCE_MAX },
        { "type": "string", "pattern": "^\\s*[0-9]+(\\s+of\\s+[0-9]+)?\\s*$" },
    ] })
}

fn enumeration<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Value {
    json!({ "enum": all.iter().map(|it| name(*it)).collect::<Vec<_>>() })
}

fn one_or_list(item: &Value) -> Value {
    json!({ "anyOf": [item, { "type": "array", "minItems": 1, "items": item }] })
}

fn described(mut schema: Value, doc: &str) -> Value {
    if let Value::Object(keys) = &mut schema {
        keys.insert("description".to_owned(), json!(doc));
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{schema, schema_text};
    use crate::rules::check::registry;
    use crate::rules::golden::assert_golden;
    use crate::rules::test_checks::CHECKS;
    use crate::rules::validate::KEYS;

    #[test]
    fn the_shipped_schema_is_that_of_the_checks() {
        assert_golden("rules/schema.json", &schema_text(registry::CHECKS));
    }

    #[test]
    fn every_key_has_a_description() {
        let schema = schema(CHECKS);
        let properties = &schema["properties"]["rule"]["items"]["properties"];
        for key in KEYS {
            assert!(
                properties[key]["description"]
                    .as_str()
                    .is_some_and(|it| !it.is_empty()),
                "{key}"
            );
        }
        assert!(properties["level"].is_object() && properties["tilt"].is_object());
        assert_eq!(properties.as_object().unwrap().len(), KEYS.len() + 3);
    }

    #[test]
    fn bounds_and_kinds_are_those_of_the_check() {
        let schema = schema(CHECKS);
        let rules = schema["properties"]["rule"]["items"]["allOf"].as_array().unwrap();
        let of = |name: &str| {
            rules
                .iter()
                .find(|it| it["if"]["properties"]["check"]["const"] == json!(name))
                .unwrap()
        };
        let level = &of("test-level")["then"];
        assert_eq!(level["properties"]["level"]["minimum"], json!(0.0));
        assert_eq!(level["properties"]["level"]["maximum"], json!(100.0));
        assert_eq!(level["properties"]["level"]["default"], json!(10.0));
        let names = |then: &Value| then["propertyNames"]["enum"].as_array().unwrap().clone();
        assert!(!names(level).contains(&json!("pattern")) && !names(level).contains(&json!("kind")));
        assert!(names(level).contains(&json!("window")) && !names(level).contains(&json!("tilt")));
        assert_eq!(
            of("test-lean")["then"]["properties"]["kind"]["enum"],
            json!(["left", "right"])
        );
        assert!(names(&of("log-pattern")["then"]).contains(&json!("pattern")));
    }
}
