//! History rows of a `.wandb` file to samples.
//!
//! In: `HistoryRecord` messages. Out: samples, those of a row sorted by name. Invariants: a value that is no JSON
//! costs that value; NaN and infinities are values; media objects are passed over.

use std::borrow::Cow;

use crate::decode::Sink;
use crate::decode::json::{Flattener, JsonError};
use crate::decode::number::{Number, parse_plain};
use crate::decode::proto::{Malformed, Wire, for_each_field};
use crate::decode::row::Rows;
use crate::decode::trouble::Trouble;

use super::object::{Assembly, Kind, Objects};

/// The name under which W&B logs its own step.
const STEP: &str = "_step";

/// Reads history rows.
#[derive(Debug, Default)]
pub(super) struct History {
    flattener: Flattener,
    rows: Rows,
    assembly: Assembly,
}

/// One named value of a row.
#[derive(Debug)]
struct Item<'a> {
    name: Cow<'a, str>,
    value: Value<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    None,
    Number(f64),
    Json(&'a [u8]),
}

impl History {
    /// The step of the last row, which is the run's own where it logs one.
    pub(super) fn last_step(&self) -> Option<i64> {
        self.rows.last_step()
    }

    /// Values that were dropped because their name was refused.
    pub(super) fn n_refused(&self) -> u64 {
        self.rows.keys.n_refused()
    }

    /// Reads a `HistoryRecord`.
    pub(super) fn row(
        &mut self,
        message: &[u8],
        offset: u64,
        trouble: &mut Trouble,
        sink: &mut dyn Sink,
    ) -> Result<(), Malformed> {
        let (mut items, step) = read_row(message)?;
        items.sort_by(|a, b| a.name.cmp(&b.name));
        self.rows.start();
        if let Some(step) = step
            && !items.iter().any(|item| item.name == STEP)
        {
            self.number(STEP, step as f64);
        }
        let objects = objects_of(&items);
        let mut trouble = At {
            offset,
            trouble,
            sink,
        };
        for item in &items {
            match (objects.owner(&item.name), item.value) {
                (Some((object, Kind::Histogram, member)), Value::Json(json)) => {
                    if !self.assembly.is_of(object) {
                        self.end_object(&mut trouble);
                        self.assembly.start(object);
                    }
                    self.assembly.add(member, json);
                }
                (Some(_), _) | (None, Value::None) => {}
                (None, Value::Number(value)) => self.number(&item.name, value),
                (None, Value::Json(json)) => {
                    self.end_object(&mut trouble);
                    self.json(&item.name, json, &mut trouble);
                }
            }
        }
        self.end_object(&mut trouble);
        self.rows.emit(offset, sink);
        Ok(())
    }

    fn number(&mut self, name: &str, value: f64) {
        if let Some(key) = self.rows.keys.intern(name) {
            let number = Number {
                value,
                resolution: 0.0,
                used: 0,
            };
            self.rows.add_number(key, &number);
        }
    }

    fn json(&mut self, name: &str, json: &[u8], trouble: &mut At<'_>) {
        let rows = &mut self.rows;
        // Nearly all values are numbers.
        if let Some(number) = parse_plain(json).filter(|it| it.used == json.len()) {
            if let Some(key) = rows.keys.intern(name) {
                rows.add_number(key, &number);
            }
            return;
        }
        if let Err(error) = self.flattener.flatten_under(name, json, rows) {
            trouble.lost(name, json, error);
        }
    }

    /// Hands on the histogram of which all members were met.
    fn end_object(&mut self, trouble: &mut At<'_>) {
        let Self {
            assembly,
            flattener,
            rows,
            ..
        } = self;
        if let Some((name, json)) = assembly.whole()
            && let Err(error) = flattener.flatten_under(name, json, rows)
        {
            trouble.lost(name, json, error);
        }
        assembly.clear();
    }
}

/// Where the trouble of a row goes.
struct At<'a> {
    offset: u64,
    trouble: &'a mut Trouble,
    sink: &'a mut dyn Sink,
}

impl At<'_> {
    fn lost(&mut self, name: &str, json: &[u8], error: JsonError) {
        let shown: String = name.chars().take(80).collect();
        let what = format!("value of `{shown}`: {error}");
        self.trouble.lost(self.offset, json.len() as u64, what, self.sink);
    }
}

fn objects_of<'a>(items: &'a [Item<'_>]) -> Objects<'a> {
    let mut objects = Objects::default();
    for item in items {
        if let Value::Json(json) = item.value {
            objects.look_at(&item.name, json);
        }
    }
    objects.sort();
    objects
}

/// The items of a row and its step.
fn read_row(message: &[u8]) -> Result<(Vec<Item<'_>>, Option<i64>), Malformed> {
    let (mut items, mut step) = (Vec::new(), None);
    for_each_field(message, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(item)) => items.push(read_item(item)?),
            (2, Wire::Bytes(message)) => step = Some(read_step(message)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok((items, step))
}

fn read_step(message: &[u8]) -> Result<i64, Malformed> {
    let mut step = 0;
    for_each_field(message, |number, wire| {
        if let (1, Wire::Varint(value)) = (number, wire) {
            step = value as i64;
        }
        Ok(())
    })?;
    Ok(step)
}

/// Reads a `HistoryItem`: a name in one piece or in several, a value as JSON or, in the newest schema, typed.
fn read_item(message: &[u8]) -> Result<Item<'_>, Malformed> {
    let mut item = Item {
        name: Cow::Borrowed(""),
        value: Value::None,
    };
    for_each_field(message, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(key)) if !key.is_empty() => item.name = text(key),
            (2, Wire::Bytes(part)) => add_part(&mut item.name, part),
            (5, Wire::Varint(zigzag)) => {
                let value = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                item.value = Value::Number(value as f64);
            }
            (6, Wire::Fixed64(bits)) => item.value = Value::Number(f64::from_bits(bits)),
            (8 | 16, Wire::Bytes(json)) => item.value = Value::Json(json),
            _ => {}
        }
        Ok(())
    })?;
    Ok(item)
}

/// A text that is nearly always valid: the check alone is faster than the search for what to replace.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

fn add_part<'a>(name: &mut Cow<'a, str>, part: &'a [u8]) {
    let part = text(part);
    if name.is_empty() {
        *name = part;
    } else {
        let name = name.to_mut();
        name.push('/');
        name.push_str(&part);
    }
}
