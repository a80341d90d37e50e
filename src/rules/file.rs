//! Rule files: TOML texts to the rules in force.
//!
//! In: texts in the order in which they count, the set that they change, the checks. Out: the new set, or
//! every problem of every file at once. Invariant: with one problem anywhere there is no new set, so a set in
//! force is never half of what its files say.
//!
//! A `[[rule]]` whose id is known changes only the keys that it names, as fail2ban's `.local` files do; a new
//! id must be complete. `disable = ["id"]` switches rules off. A `[[pattern]]` is a line format of the user's own.

use std::collections::HashMap;

use super::check::CheckInfo;
use super::document::{Entry, Node, Span, Table, Value, parse};
use super::fields::{advice, text, texts, wrong_type};
use super::pattern::read_pattern;
use super::problem::{Problems, RuleProblem, Source};
use super::set::RuleSet;
use super::suggest::nearest;
use super::validate::read_rule;

/// Largest rule file, in bytes: a thousand rules with all their words.
pub const RULE_FILE_BYTES_MAX: usize = 4 << 20;

/// Line formats of the user's own that are in force together, at most: every line is tried against each.
pub(crate) const PATTERNS_MAX: usize = 64;

/// Reads rule files over a set.
///
/// # Errors
/// Every problem of every source, by source and place.
pub fn load(
    sources: &[Source],
    base: &RuleSet,
    registry: &[&'static CheckInfo],
) -> Result<RuleSet, Vec<RuleProblem>> {
    let mut loader = Loader {
        set: base.clone(),
        base,
        registry,
        new_ids: HashMap::new(),
    };
    let problems: Vec<RuleProblem> = sources.iter().flat_map(|it| loader.load_source(it)).collect();
    if problems.is_empty() {
        Ok(loader.set)
    } else {
        Err(problems)
    }
}

struct Loader<'a> {
    set: RuleSet,
    base: &'a RuleSet,
    registry: &'a [&'static CheckInfo],
    /// Ids that no set before had, with the place that defines them: the same id in two files is a slip,
    /// not an override.
    new_ids: HashMap<String, String>,
}

impl Loader<'_> {
    fn load_source(&mut self, source: &Source) -> Vec<RuleProblem> {
        let mut problems = Problems::new(source);
        if source.text.len() > RULE_FILE_BYTES_MAX {
            problems.add(
                &(0..0),
                format!("larger than {RULE_FILE_BYTES_MAX} bytes: not a rule file"),
            );
            return problems.into_sorted();
        }
        match parse(&source.text) {
            Ok(table) => self.load_table(&table, &mut problems),
            Err(errors) => {
                for error in errors {
                    problems.add(&error.span, format!("not TOML: {}", error.message));
                }
            }
        }
        problems.into_sorted()
    }

    fn load_table(&mut self, table: &Table, problems: &mut Problems<'_>) {
        let mut seen = HashMap::new();
        for entry in &table.entries {
            match entry.key.as_str() {
                "rule" => {
                    for (table, span) in tables(entry, problems) {
                        self.load_rule(table, span, &mut seen, problems);
                    }
                }
                "pattern" => {
                    for (table, span) in tables(entry, problems) {
                        self.load_pattern(table, span, problems);
                    }
                }
                "disable" => {}
                key => {
                    let hint = advice(key, &["rule", "pattern", "disable"]);
                    problems.add_hinted(&entry.key_span, format!("unknown key `{key}`"), hint);
                }
            }
        }
        // After the rules, so that a file may switch off what it defines.
        if let Some(node) = table.get("disable") {
            self.disable(node, problems);
        }
    }

    fn load_pattern(&mut self, table: &Table, header: &Span, problems: &mut Problems<'_>) {
        let Some(read) = read_pattern(table, header, problems) else {
            return;
        };
        let name = &read.pattern.name;
        if !is_kebab_case(name) {
            let what = format!("`{name}` is not a name: lower-case words, digits and single hyphens");
            problems.add(header, what);
        } else if let Some(first) = self.set.patterns.iter().find(|it| it.pattern.name == *name) {
            let hint = format!("first used in {}", first.origin);
            problems.add_hinted(header, format!("duplicate pattern `{name}`"), Some(hint));
        } else if self.set.patterns.len() >= PATTERNS_MAX {
            problems.add(header, format!("more than {PATTERNS_MAX} patterns"));
        } else {
            self.set.patterns.push(read);
        }
    }

    fn load_rule(
        &mut self,
        table: &Table,
        header: &Span,
        seen: &mut HashMap<String, String>,
        problems: &mut Problems<'_>,
    ) {
        let n_before = problems.len();
        // A rule without a usable id is still read, for its other problems.
        let id = self.read_id(table, header, seen, problems).unwrap_or_default();
        let base = self.set.find(&id).cloned();
        if base.is_none() && table.get("check").is_none() {
            self.hint_override(&id, header, problems);
        }
        let read = read_rule(table, header, &id, base.as_ref(), self.registry, problems);
        let Some((rule, enabled)) = read.filter(|_| problems.len() == n_before) else {
            return;
        };
        let was_enabled = base.is_none() || self.set.is_enabled(&id);
        self.set.put(rule, enabled.unwrap_or(was_enabled));
    }

    fn read_id(
        &mut self,
        table: &Table,
        header: &Span,
        seen: &mut HashMap<String, String>,
        problems: &mut Problems<'_>,
    ) -> Option<String> {
        let Some(node) = table.get("id") else {
            problems.add(header, "missing key `id`");
            return None;
        };
        let id = text("id", node, problems)?;
        if !is_kebab_case(&id) {
            problems.add(
                &node.span,
                format!("`{id}` is not an id: lower-case words, digits and single hyphens"),
            );
            return None;
        }
        let place = problems.origin(&node.span);
        let is_new = self.base.find(&id).is_none();
        let elsewhere = if is_new {
            self.new_ids.insert(id.clone(), place.clone())
        } else {
            None
        };
        if let Some(first) = seen.insert(id.clone(), place).or(elsewhere) {
            problems.add_hinted(
                &node.span,
                format!("duplicate id `{id}`"),
                Some(format!("first used in {first}")),
            );
        }
        Some(id)
    }

    /// A rule without a check whose id is nearly a known one was meant to change that one.
    fn hint_override(&self, id: &str, header: &Span, problems: &mut Problems<'_>) {
        if let Some(near) = nearest(id, self.base.all().map(|it| it.id.as_str())) {
            problems.add_hinted(
                header,
                format!("no rule `{id}` to change"),
                Some(format!("did you mean `{near}`?")),
            );
        }
    }

    fn disable(&mut self, node: &Node, problems: &mut Problems<'_>) {
        for (id, span) in texts("disable", node, problems).unwrap_or_default() {
            if !self.set.disable(&id) {
                let known: Vec<&str> = self.set.all().map(|it| it.id.as_str()).collect();
                let hint = nearest(&id, known).map(|it| format!("did you mean `{it}`?"));
                problems.add_hinted(&span, format!("unknown rule `{id}`"), hint);
            }
        }
    }
}

/// The tables of an array of tables.
fn tables<'t>(entry: &'t Entry, problems: &mut Problems<'_>) -> Vec<(&'t Table, &'t Span)> {
    let key = &entry.key;
    let Value::Array(items) = &entry.node.value else {
        problems.add_hinted(
            &entry.key_span,
            format!("`{key}` must be an array of tables"),
            Some(format!("write `[[{key}]]`")),
        );
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in items {
        match &item.value {
            Value::Table(table) => found.push((table, &item.span)),
            other => {
                let _: Option<()> = wrong_type(key, "a table", other, &item.span, problems);
            }
        }
    }
    found
}

fn is_kebab_case(id: &str) -> bool {
    const ID_BYTES_MAX: usize = 64;
    id.len() <= ID_BYTES_MAX
        && id.starts_with(|it: char| it.is_ascii_lowercase())
        && id.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests;
