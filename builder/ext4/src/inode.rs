//! Inodes: the fixed part, nanosecond times, device numbers, checksums.
//!
//! Kernel documentation, "Index Nodes". Extended attributes behind the fixed part are [`crate::xattr`]'s.

use crate::checksum::{Sums, crc32c};
use crate::le::{
    bytes_at, hi16, hi32, lo16, lo32, put, put16, put32, short, split32, split64, u16_at, u32_at,
};
use fstree::Timestamp;

/// Bits of the mode that are the type.
pub(crate) const S_IFMT: u16 = 0o170_000;
/// A pipe.
pub(crate) const S_IFIFO: u16 = 0o010_000;
/// A character device.
pub(crate) const S_IFCHR: u16 = 0o020_000;
/// A directory.
pub(crate) const S_IFDIR: u16 = 0o040_000;
/// A block device.
pub(crate) const S_IFBLK: u16 = 0o060_000;
/// A regular file.
pub(crate) const S_IFREG: u16 = 0o100_000;
/// A symbolic link.
pub(crate) const S_IFLNK: u16 = 0o120_000;
/// A socket.
pub(crate) const S_IFSOCK: u16 = 0o140_000;

/// Compressed data.
pub(crate) const COMPRBLK_FL: u32 = 0x200;
/// Encrypted.
pub(crate) const ENCRYPT_FL: u32 = 0x800;
/// An indexed directory.
pub(crate) const INDEX_FL: u32 = 0x1000;
/// Mapped by extents.
pub(crate) const EXTENTS_FL: u32 = 0x8_0000;
/// Protected by fs-verity.
pub(crate) const VERITY_FL: u32 = 0x10_0000;
/// Holds the value of an extended attribute.
pub(crate) const EA_INODE_FL: u32 = 0x20_0000;
/// Data in the inode itself.
pub(crate) const INLINE_DATA_FL: u32 = 0x1000_0000;
/// A directory of names without case.
pub(crate) const CASEFOLD_FL: u32 = 0x4000_0000;

/// Flags that belong to the file, not to its place on this volume: what `chattr` sets, without compression, project
/// inheritance and DAX, which mean nothing without the volume they were set on.
pub(crate) const KEPT_FLAGS: u32 = 0x0003_c0fb;
/// Flags of those that only regular files and directories may have.
pub(crate) const PLAIN_ONLY_FLAGS: u32 = 0x30;

/// Bytes of an inode that every inode has.
pub(crate) const FIXED: usize = 128;
/// Bytes that follow in larger inodes: times, the checksum's high half, the project.
pub(crate) const EXTRA: u16 = 32;

/// An inode.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Inode {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) links: u16,
    /// Units of 512 bytes.
    pub(crate) sectors: u64,
    pub(crate) flags: u32,
    pub(crate) generation: u32,
    /// Root of the block map, a short link's target, a device's number, or inline data.
    pub(crate) block: [u8; 60],
    pub(crate) xattr_block: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) dtime: u32,
    /// What follows the fixed and the extra part: attributes in the inode.
    pub(crate) tail: Vec<u8>,
}

impl Inode {
    /// Parses an inode of 128 bytes or more; says nothing of the values, but that its extra part fits.
    pub(crate) fn parse(b: &[u8]) -> Option<Self> {
        let extra = if b.len() > FIXED {
            usize::from(u16_at(b, 0x80))
        } else {
            0
        };
        let has_mtime_extra = extra >= 0x8c - 0x80;
        let tail = if b.len() > FIXED {
            b.get(FIXED + extra..)?
        } else {
            &[]
        };
        // Attributes start with their magic number; anything else is slack.
        let tail = if u32_at(tail, 0) == crate::xattr::MAGIC {
            tail.to_vec()
        } else {
            Vec::new()
        };
        Some(Self {
            mode: u16_at(b, 0x00),
            uid: split32(b, 0x02, 0x78),
            gid: split32(b, 0x18, 0x7a),
            size: split64(b, 0x04, 0x6c),
            links: u16_at(b, 0x1a),
            sectors: u64::from(u32_at(b, 0x1c)) | u64::from(u16_at(b, 0x74)) << 32,
            flags: u32_at(b, 0x20),
            generation: u32_at(b, 0x64),
            block: bytes_at(b, 0x28),
            xattr_block: u64::from(u32_at(b, 0x68)) | u64::from(u16_at(b, 0x76)) << 32,
            mtime: time(
                u32_at(b, 0x10),
                if has_mtime_extra { u32_at(b, 0x88) } else { 0 },
            ),
            dtime: u32_at(b, 0x14),
            tail,
        })
    }

    /// Returns whether the stored checksum of an inode is right; an inode of zeros needs none.
    pub(crate) fn verify(b: &[u8], ino: u32, sums: Sums) -> bool {
        let Some(sum) = checksum(b, ino, sums) else {
            return true;
        };
        let stored = split32(b, 0x7c, 0x82);
        let right = if has_high_sum(b) {
            stored == sum
        } else {
            lo16(stored) == lo16(sum)
        };
        right || b.iter().all(|it| *it == 0)
    }

    /// Writes the inode over `b`, which is as long as inodes of the volume are; all times are the file's own.
    pub(crate) fn encode(&self, b: &mut [u8], ino: u32, sums: Sums) {
        b.fill(0);
        let (secs, extra) = if b.len() > FIXED {
            encode_time(self.mtime)
        } else {
            (encode_short_time(self.mtime), 0)
        };
        put16(b, 0x00, self.mode);
        put16(b, 0x02, lo16(self.uid));
        put32(b, 0x04, lo32(self.size));
        for at in [0x08, 0x0c, 0x10] {
            put32(b, at, secs);
        }
        put32(b, 0x14, self.dtime);
        put16(b, 0x18, lo16(self.gid));
        put16(b, 0x1a, self.links);
        put32(b, 0x1c, lo32(self.sectors));
        put32(b, 0x20, self.flags);
        put(b, 0x28, &self.block);
        put32(b, 0x64, self.generation);
        put32(b, 0x68, lo32(self.xattr_block));
        put32(b, 0x6c, hi32(self.size));
        put16(b, 0x74, lo16(hi32(self.sectors)));
        put16(b, 0x76, lo16(hi32(self.xattr_block)));
        put16(b, 0x78, hi16(self.uid));
        put16(b, 0x7a, hi16(self.gid));
        if b.len() > FIXED {
            put16(b, 0x80, EXTRA);
            for at in [0x84, 0x88, 0x8c, 0x94] {
                put32(b, at, extra);
            }
            put32(b, 0x90, secs);
            put(b, FIXED + usize::from(EXTRA), &self.tail);
        }
        if let Some(sum) = checksum(b, ino, sums) {
            put16(b, 0x7c, lo16(sum));
            if has_high_sum(b) {
                put16(b, 0x82, hi16(sum));
            }
        }
    }

    /// Returns the type's bits of the mode.
    pub(crate) fn kind(&self) -> u16 {
        self.mode & S_IFMT
    }

    /// Returns a device's major and minor number.
    pub(crate) fn device(&self) -> (u32, u32) {
        let (old, new) = (u32_at(&self.block, 0), u32_at(&self.block, 4));
        if old != 0 {
            ((old >> 8) & 0xff, old & 0xff)
        } else {
            ((new >> 8) & 0xfff, (new & 0xff) | ((new >> 12) & 0xf_ff00))
        }
    }
}

fn has_high_sum(b: &[u8]) -> bool {
    b.len() > FIXED && u16_at(b, 0x80) >= 4
}

fn checksum(b: &[u8], ino: u32, sums: Sums) -> Option<u32> {
    let seed = sums.inode_seed(ino, u32_at(b, 0x64))?;
    let mut sum = crc32c(crc32c(seed, b.get(..0x7c)?), &[0, 0]);
    sum = crc32c(sum, b.get(0x7e..FIXED)?);
    if has_high_sum(b) {
        sum = crc32c(crc32c(crc32c(sum, &b[0x80..0x82]), &[0, 0]), &b[0x84..]);
    } else {
        sum = crc32c(sum, &b[FIXED..]);
    }
    Some(sum)
}

/// Returns the time of the two words of an inode; nanoseconds that are none count as the last one.
pub(crate) fn time(secs: u32, extra: u32) -> Timestamp {
    let epoch = i64::from(extra & 3) << 32;
    Timestamp {
        secs: i64::from(secs.cast_signed()) + epoch,
        nanos: (extra >> 2).min(999_999_999),
    }
}

/// Returns the two words of a time, the nearest that can be said: 1901 to 2446.
pub(crate) fn encode_time(time: Timestamp) -> (u32, u32) {
    let min = i64::from(i32::MIN);
    let secs = time.secs.clamp(min, i64::from(i32::MAX) + (3 << 32));
    let low = lo32(secs.cast_unsigned());
    let epoch = (secs - i64::from(low.cast_signed())) >> 32;
    (low, time.nanos << 2 | lo32(epoch.cast_unsigned()) & 3)
}

/// Returns the word of a time in an inode without room for more, the nearest that can be said: 1901 to 2038.
fn encode_short_time(time: Timestamp) -> u32 {
    let range = (i64::from(i32::MIN), i64::from(i32::MAX));
    lo32(time.secs.clamp(range.0, range.1).cast_unsigned())
}

/// Returns the map's bytes of a device node, or `None` if Linux cannot say such a number.
pub(crate) fn encode_device(major: u32, minor: u32) -> Option<[u8; 60]> {
    if major >= 1 << 12 || minor >= 1 << 20 {
        return None;
    }
    let mut block = [0; 60];
    if major < 256 && minor < 256 {
        put32(&mut block, 0, major << 8 | minor);
    } else {
        put32(
            &mut block,
            4,
            minor & 0xff | major << 8 | (minor & !0xff) << 12,
        );
    }
    Some(block)
}

/// Returns the number of a directory entry's type byte for the type in a mode.
pub(crate) fn entry_type(kind: u16) -> u8 {
    match kind {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFSOCK => 6,
        S_IFLNK => 7,
        _ => 0,
    }
}

/// Returns how many names an inode is said to have when it has `links`; directories with too many say 1.
pub(crate) fn stored_links(links: u32, is_dir: bool) -> Option<u16> {
    match links {
        0..=65_000 => Some(lo16(links)),
        _ if is_dir => Some(1),
        _ => None,
    }
}

/// Returns the units of 512 bytes in so many blocks.
pub(crate) fn sectors(blocks: u64, block_size: u32) -> u64 {
    blocks * u64::from(short(block_size / 512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_from_1901_to_2446() {
        for secs in [
            i64::from(i32::MIN),
            -1,
            0,
            1 << 31,
            (1 << 32) + 5,
            15_032_385_535,
        ] {
            let want = Timestamp {
                secs,
                nanos: 999_999_999,
            };
            let (low, extra) = encode_time(want);
            assert_eq!(time(low, extra), want);
        }
        let (low, extra) = encode_time(Timestamp::from_secs(i64::MAX));
        assert_eq!(time(low, extra).secs, 15_032_385_535);
    }

    #[test]
    fn small_inodes_end_in_2038() {
        let mut b = vec![0; 128];
        for (secs, want) in [(1 << 33, i64::from(i32::MAX)), (-5, -5)] {
            let inode = Inode {
                mtime: Timestamp::from_secs(secs),
                ..Inode::parse(&[0; 128]).unwrap()
            };
            inode.encode(&mut b, 12, Sums::None);
            assert_eq!(Inode::parse(&b).unwrap().mtime, Timestamp::from_secs(want));
        }
    }

    #[test]
    fn devices_read_back() {
        for (major, minor) in [(1, 3), (8, 255), (8, 256), (259, 7), (4095, 1_048_575)] {
            let block = encode_device(major, minor).unwrap();
            let inode = Inode {
                block,
                ..Inode::parse(&[0; 128]).unwrap()
            };
            assert_eq!(inode.device(), (major, minor));
        }
        assert_eq!(encode_device(4096, 0), None);
    }

    #[test]
    fn inodes_read_back() {
        let inode = Inode {
            mode: S_IFREG | 0o4755,
            uid: 70_000,
            gid: 80_000,
            size: 5 << 32,
            links: 3,
            sectors: 9 << 32,
            flags: EXTENTS_FL,
            generation: 4,
            block: [7; 60],
            xattr_block: 1 << 40,
            mtime: Timestamp {
                secs: 1 << 33,
                nanos: 5,
            },
            dtime: 0,
            tail: [crate::xattr::MAGIC.to_le_bytes().to_vec(), vec![0; 92]].concat(),
        };
        let sums = Sums::All { seed: 5 };
        let mut b = vec![0xff; 256];
        inode.encode(&mut b, 12, sums);
        assert!(Inode::verify(&b, 12, sums));
        assert!(!Inode::verify(&b, 13, sums));
        assert_eq!(Inode::parse(&b), Some(inode));
    }
}
