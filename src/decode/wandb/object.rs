//! Objects whose members come as items of their own.
//!
//! In: the items of a row sorted by name. Out: histograms put together again, media objects left out, all other
//! items as they are. Invariant: an object is what its member `_type` says; without one its members are numbers
//! of their own.
//!
//! wandb-core (0.31) writes `{"_type": "histogram", "bins": [..], "values": [..]}` under `gradients/fc1` as the
//! items `gradients/fc1/_type`, `gradients/fc1/bins` and `gradients/fc1/values`.

use crate::decode::json::is_media_type;

/// What the member `_type` of an object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Histogram,
    Media,
}

/// The objects of a row, by their names.
#[derive(Debug, Default)]
pub(super) struct Objects<'a> {
    by_name: Vec<(&'a str, Kind)>,
}

impl<'a> Objects<'a> {
    /// Takes note of an item; `json` is its value.
    pub(super) fn look_at(&mut self, name: &'a str, json: &[u8]) {
        let Some(object) = name.strip_suffix("/_type") else {
            return;
        };
        let text = json
            .trim_ascii()
            .strip_prefix(b"\"")
            .and_then(|it| it.strip_suffix(b"\""));
        match text {
            Some(b"histogram") => self.by_name.push((object, Kind::Histogram)),
            Some(text) if is_media_type(text) => self.by_name.push((object, Kind::Media)),
            _ => {}
        }
    }

    /// Must be called when all items were looked at.
    pub(super) fn sort(&mut self) {
        self.by_name.sort_unstable();
    }

    /// The object that an item is a member of, outermost first, with its kind and the path within.
    pub(super) fn owner<'n>(&self, name: &'n str) -> Option<(&'n str, Kind, &'n str)> {
        if self.by_name.is_empty() {
            return None;
        }
        name.match_indices('/').find_map(|(at, _)| {
            let (object, member) = (name.get(..at)?, name.get(at + 1..)?);
            let found = self
                .by_name
                .binary_search_by(|(known, _)| known.cmp(&object))
                .ok()?;
            Some((object, self.by_name.get(found)?.1, member))
        })
    }
}

/// A histogram object that is put together from its members.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    name: String,
    json: Vec<u8>,
    packed: Vec<u8>,
}

impl Assembly {
    /// Whether members of this object are being collected.
    pub(super) fn is_of(&self, name: &str) -> bool {
        !self.json.is_empty() && self.name == name
    }

    /// Starts the object `name`.
    pub(super) fn start(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.json.clear();
        self.packed.clear();
        self.json.extend_from_slice(b"{\"_type\":\"histogram\"");
    }

    /// Adds a member of the object.
    pub(super) fn add(&mut self, member: &str, json: &[u8]) {
        let (target, key) = match member.strip_prefix("packedBins/") {
            Some(key) => (&mut self.packed, key),
            None => (&mut self.json, member),
        };
        if matches!(key, "bins" | "values" | "min" | "size" | "count") {
            if !target.is_empty() {
                target.push(b',');
            }
            target.push(b'"');
            target.extend_from_slice(key.as_bytes());
            target.extend_from_slice(b"\":");
            target.extend_from_slice(json);
        }
    }

    /// The name and the JSON of the object that was collected, if there is one. Its value must then be let go of
    /// with [`Self::clear`].
    pub(super) fn whole(&mut self) -> Option<(&str, &[u8])> {
        if self.json.is_empty() {
            return None;
        }
        if !self.packed.is_empty() {
            self.json.extend_from_slice(b",\"packedBins\":{");
            self.json.append(&mut self.packed);
            self.json.push(b'}');
        }
        self.json.push(b'}');
        Some((&self.name, &self.json))
    }

    /// Forgets the object.
    pub(super) fn clear(&mut self) {
        self.json.clear();
        self.packed.clear();
    }
}
