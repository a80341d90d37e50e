//! The members of the object that was read last: those of the next one are mostly the same.
//!
//! In: the bytes of keys as they stand in the file, and the paths they lead to. Out: the path of the next key, when its
//! bytes are those that stood at its place before. Invariant: a path that is given is the one that reading the key would
//! give; at most [`MEMBERS_MAX`] members are held.

use std::cell::Cell;

/// Members of an object that are remembered.
const MEMBERS_MAX: usize = 4096;

/// A path, and room for the number that who hears it knows it by: it is empty when the path is heard for the first time.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The keys joined by `/`.
    pub path: &'a str,
    /// For the number of the path in a table of the listener's, which must never forget it.
    pub memo: &'a Cell<Option<u32>>,
}

/// One member.
#[derive(Debug, Default)]
struct Member {
    /// From the opening quote of the key to the value: `"loss": `.
    raw: Vec<u8>,
    /// The path with the key at its end.
    path: String,
    /// Bytes of the path before the key.
    parent_bytes: usize,
    memo: Cell<Option<u32>>,
}

/// The members of the last object, nested ones included, in file order.
#[derive(Debug, Default)]
pub(super) struct Shape {
    members: Vec<Member>,
    next: usize,
}

impl Shape {
    /// A new object begins.
    pub(super) fn start(&mut self) {
        self.next = 0;
    }

    /// The bytes of the next key in `rest` and its place, if they are those of the last object. `parent` is the path
    /// of the object that the member is in.
    pub(super) fn expected(&mut self, rest: &[u8], parent: &str) -> Option<(usize, usize)> {
        let at = self.next;
        let member = self.members.get(at)?;
        let is_same = !member.raw.is_empty()
            && member.parent_bytes == parent.len()
            && rest.starts_with(&member.raw)
            && (parent.is_empty() || member.path.starts_with(parent));
        if !is_same {
            return None;
        }
        self.next = at + 1;
        Some((at, member.raw.len()))
    }

    /// The path of a member.
    pub(super) fn path(&self, at: usize) -> &str {
        self.members.get(at).map_or("", |it| it.path.as_str())
    }

    /// The path of a member with what is remembered of it.
    pub(super) fn named(&self, at: usize) -> Option<Named<'_>> {
        let member = self.members.get(at)?;
        Some(Named {
            path: &member.path,
            memo: &member.memo,
        })
    }

    /// Remembers a member that was read the long way.
    pub(super) fn learn(&mut self, raw: &[u8], path: &str, parent_bytes: usize) {
        let at = self.next;
        if at >= MEMBERS_MAX {
            return;
        }
        if self.members.len() <= at {
            self.members.resize_with(at + 1, Member::default);
        }
        if let Some(member) = self.members.get_mut(at) {
            member.raw.clear();
            member.raw.extend_from_slice(raw);
            member.path.clear();
            member.path.push_str(path);
            member.parent_bytes = parent_bytes;
            member.memo.set(None);
        }
        self.next = at + 1;
    }
}
