//! The members of the object that was read last: those of the next one are mostly the same.
//!
//! In: the bytes of keys as they stand in the file, and the paths they lead to. Out: the path of the next key, when its
//! bytes are those that stood at its place before. Invariant: a path that is given is the one that reading the key would
//! give; at most [`MEMBERS_MAX`] members are held.

/// Members of an object that are remembered.
const MEMBERS_MAX: usize = 4096;

/// One member.
#[derive(Debug, Default)]
struct Member {
    /// From the opening quote of the key to the value: `"loss": `.
    raw: Vec<u8>,
    /// The path with the key at its end.
    path: String,
    /// Bytes of the path before the key.
    parent_bytes: usize,
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
        let is_same = rest.starts_with(&member.raw)
            && member.path.as_bytes().get(..member.parent_bytes) == Some(parent.as_bytes())
            && !member.raw.is_empty();
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
        }
        self.next = at + 1;
    }
}
