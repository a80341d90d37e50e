//! A TOML text as a tree in which every key and value knows its place.
//!
//! In: the text of a rule file or a rule test file. Out: a [`Table`] with byte spans, or every syntax error at
//! once. Invariant: this is the only file that names the `toml` crate; entries stand in the order of the text.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Bytes of the text.
pub(crate) type Span = Range<usize>;

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

/// A table of any spelling.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

impl Table {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|it| it.key == key).map(|it| &it.node)
    }
}

/// A value with its place; that of a `[[table]]` is its header.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Date,
    /// A number that fits no machine type.
    Oversized,
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, with its article, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Flag(_) => "a boolean",
            Value::Date => "a date",
            Value::Oversized => "a number out of range",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }
}

/// A place that is not TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// Reads a text.
///
/// # Errors
/// The first syntax error of each line, in the order of the text.
pub(crate) fn parse(text: &str) -> Result<Table, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(convert_table(table.get_ref()));
    }
    let mut errors: Vec<SyntaxError> = errors
        .iter()
        .map(|it| SyntaxError {
            span: it.span().unwrap_or(0..0),
            message: it.message().to_owned(),
        })
        .collect();
    errors.sort_by_key(|it| it.span.start);
    // What follows on the same line is a consequence of the first.
    errors.dedup_by(|later, first| {
        text.get(first.span.start..later.span.start)
            .is_some_and(|it| !it.contains('\n'))
    });
    Err(errors)
}

fn convert_table(table: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: Node {
                span: value.span(),
                value: convert_value(value.get_ref()),
            },
        })
        .collect();
    entries.sort_by_key(|it| it.key_span.start);
    Table { entries }
}

fn convert_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Oversized, Value::Integer)
        }
        DeValue::Float(number) => convert_float(number.as_str()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|it| Node {
                    span: it.span(),
                    value: convert_value(it.get_ref()),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table)),
    }
}

/// `1e999` is a number that does not fit, `inf` is an infinity that was meant.
fn convert_float(digits: &str) -> Value {
    match digits.parse::<f64>() {
        Ok(number) if number.is_infinite() && !digits.contains("inf") => Value::Oversized,
        Ok(number) => Value::Float(number),
        Err(_) => Value::Oversized,
    }
}
