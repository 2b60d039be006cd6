//! POSIX access control lists: the short form on disk and the form of `getxattr`.
//!
//! On disk (version 1) only entries that name a user or group have an id; in the system call's form (version 2) all do.

use crate::le::{u16_at, u32_at};

const USER: u16 = 2;
const GROUP: u16 = 8;

/// Returns whether an attribute of this name holds a list.
pub(crate) fn is_acl(name: &[u8]) -> bool {
    matches!(
        name,
        b"system.posix_acl_access" | b"system.posix_acl_default"
    )
}

/// Returns the system call's form of a list on disk, or `None` if it is none.
pub(crate) fn from_disk(disk: &[u8]) -> Option<Vec<u8>> {
    if u32_at(disk, 0) != 1 {
        return None;
    }
    let mut out = 2u32.to_le_bytes().to_vec();
    let mut rest = disk.get(4..)?;
    while !rest.is_empty() {
        let named = matches!(u16_at(rest, 0), USER | GROUP);
        let (entry, after) = rest.split_at_checked(if named { 8 } else { 4 })?;
        out.extend_from_slice(&entry[..4]);
        out.extend_from_slice(if named { &entry[4..] } else { &[0xff; 4] });
        rest = after;
    }
    Some(out)
}

/// Returns the form on disk of a list as the system call has it, or `None` if it is none.
pub(crate) fn to_disk(list: &[u8]) -> Option<Vec<u8>> {
    if u32_at(list, 0) != 2 || list.len() < 4 || list.len() % 8 != 4 {
        return None;
    }
    let mut out = 1u32.to_le_bytes().to_vec();
    for entry in list[4..].chunks_exact(8) {
        let named = matches!(u16_at(entry, 0), USER | GROUP);
        out.extend_from_slice(&entry[..if named { 8 } else { 4 }]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_convert_both_ways() {
        let entry = |tag: u16, perm: u16, id: u32| {
            [
                &tag.to_le_bytes()[..],
                &perm.to_le_bytes(),
                &id.to_le_bytes(),
            ]
            .concat()
        };
        let list = [
            2u32.to_le_bytes().to_vec(),
            entry(1, 6, !0),
            entry(2, 4, 1000),
            entry(4, 4, !0),
        ]
        .concat();
        let disk = to_disk(&list).unwrap();
        assert_eq!(disk.len(), 4 + 4 + 8 + 4);
        assert_eq!(from_disk(&disk), Some(list.clone()));
        assert_eq!(to_disk(&list[..9]), None);
        assert_eq!(from_disk(&list), None);
        assert_eq!(from_disk(&disk[..10]), None);
    }
}
