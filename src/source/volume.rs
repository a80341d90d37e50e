//! Which file systems tell this machine what changes on them.
//!
//! In: a path. Out: whether change hints of the operating system are to be trusted there. Invariant: what is not
//! known to be local counts as remote. The policy is that of GNU `tail` (`fremote` in `tail.c`, the table in
//! `stat.c`): another client of a network file system writes without this kernel knowing, and writes behind a FUSE or
//! overlay mount give no event either (measured: none, with the new size visible to `stat`).

use std::collections::HashMap;
use std::path::Path;

use rustix::fs::statfs;

/// Magic numbers of file systems that only this machine writes (`linux/magic.h`), with their names.
const LOCAL: &[(u64, &str)] = &[
    (0xEF53, "ext2/3/4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
    (0xCA45_1A4E, "bcachefs"),
    (0x3153_464A, "jfs"),
    (0x5265_4973, "reiserfs"),
    (0x8584_58F6, "ramfs"),
    (0x4D44, "vfat"),
    (0x2011_BAB0, "exfat"),
    (0x7366_746E, "ntfs3"),
    (0x9660, "iso9660"),
    (0x7371_7368, "squashfs"),
    (0xE0F5_E1E2, "erofs"),
];

/// Names of common file systems whose changes come from elsewhere.
const REMOTE: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x00C3_6400, "Ceph"),
    (0x6573_5546, "FUSE"),
    (0x794C_7630, "overlayfs"),
    (0x5346_414F, "AFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x0102_1997, "9p"),
    (0x1983_0326, "BeeGFS"),
    (0x2003_0528, "PVFS2"),
];

/// The file systems met so far, by device.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// `None` for a local one, else its name.
    remote: HashMap<u64, Option<String>>,
}

impl Volumes {
    /// The name of the file system at `path` on device `dev` when its changes may come from elsewhere.
    pub(super) fn remote_name(&mut self, path: &Path, dev: u64) -> Option<String> {
        self.remote
            .entry(dev)
            .or_insert_with(|| match statfs(path) {
                Ok(found) => remote_name_of(magic_of(found.f_type)),
                Err(_) => Some("unknown".to_owned()),
            })
            .clone()
    }

    /// Forgets what was found: a device number is handed to the next mount.
    pub(super) fn forget(&mut self) {
        self.remote.clear();
    }
}

/// The field is a signed word of 32 or 64 bits by platform, and the number one of 32 bits without a sign.
fn magic_of(f_type: impl TryInto<i64>) -> u64 {
    f_type.try_into().map_or(0, |it| (it & 0xFFFF_FFFF) as u64)
}

fn remote_name_of(magic: u64) -> Option<String> {
    let name_in = |table: &[(u64, &'static str)]| table.iter().find(|it| it.0 == magic).map(|it| it.1);
    if name_in(LOCAL).is_some() {
        return None;
    }
    Some(name_in(REMOTE).map_or_else(|| format!("type {magic:#x}"), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::{Volumes, magic_of, remote_name_of};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    #[test]
    fn what_is_not_known_to_be_local_is_remote() {
        assert_eq!(remote_name_of(0xEF53), None);
        assert_eq!(remote_name_of(0x6969).as_deref(), Some("NFS"));
        assert_eq!(remote_name_of(0x794C_7630).as_deref(), Some("overlayfs"));
        assert_eq!(remote_name_of(0x1234).as_deref(), Some("type 0x1234"));
        // CIFS does not fit a signed word of 32 bits.
        assert_eq!(magic_of(0xFF53_4D42_u32 as i32), 0xFF53_4D42);
    }

    #[test]
    fn the_file_system_of_processes_is_not_local() {
        let proc = Path::new("/proc");
        let Ok(metadata) = proc.metadata() else { return };
        assert!(Volumes::default().remote_name(proc, metadata.dev()).is_some());
    }
}
