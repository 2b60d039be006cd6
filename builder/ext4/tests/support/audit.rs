//! What `e2fsck` does not see, checked by a reader of its own: backups, the resize inode to its last slot, the order of
//! attributes in blocks, the superblock's copy of the journal inode, tables that are zero where they say so.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use fstree::ReadAt;

/// A volume, and what its superblock says.
pub struct Audit<'a> {
    volume: &'a dyn ReadAt,
    pub block: u64,
    pub first: u64,
    pub per_group: u64,
    pub groups: u64,
    desc_size: u64,
    desc_blocks: u64,
    inode_size: u64,
    inodes_per_group: u64,
    compat: u64,
    incompat: u64,
    ro_compat: u64,
}

fn bytes(volume: &dyn ReadAt, at: u64, len: usize) -> Vec<u8> {
    let mut buf = vec![0; len];
    volume.read_exact_at(&mut buf, at).unwrap();
    buf
}

impl<'a> Audit<'a> {
    /// Checks everything.
    pub fn of(volume: &'a dyn ReadAt) -> Self {
        let audit = Self::open(volume);
        audit.backups();
        audit.resize_inode();
        audit.journal();
        audit.attributes();
        audit.unused_tables();
        audit
    }

    fn open(volume: &'a dyn ReadAt) -> Self {
        let mut audit = Self {
            volume,
            block: 1024,
            first: 0,
            per_group: 0,
            groups: 0,
            desc_size: 32,
            desc_blocks: 0,
            inode_size: 0,
            inodes_per_group: 0,
            compat: 0,
            incompat: 0,
            ro_compat: 0,
        };
        audit.block = 1024 << audit.word(1024 + 0x18);
        audit.first = audit.word(1024 + 0x14);
        audit.per_group = audit.word(1024 + 0x20);
        audit.inodes_per_group = audit.word(1024 + 0x28);
        audit.inode_size = audit.word(1024 + 0x58) & 0xffff;
        audit.compat = audit.word(1024 + 0x5c);
        audit.incompat = audit.word(1024 + 0x60);
        audit.ro_compat = audit.word(1024 + 0x64);
        if audit.incompat & 0x80 != 0 {
            audit.desc_size = audit.word(1024 + 0xfc) >> 16;
        }
        audit.groups = (audit.word(1024 + 4) - audit.first).div_ceil(audit.per_group);
        audit.desc_blocks = audit.groups.div_ceil(audit.block / audit.desc_size);
        audit
    }

    fn word(&self, at: u64) -> u64 {
        u64::from(u32::from_le_bytes(
            bytes(self.volume, at, 4).try_into().unwrap(),
        ))
    }

    fn size(value: u64) -> usize {
        usize::try_from(value).unwrap()
    }

    /// Returns the groups that hold backups.
    pub fn backup_groups(&self) -> Vec<u64> {
        let power = |base: u64, it: u64| (1..12).any(|n| base.pow(n) == it);
        let sparse = self.ro_compat & 1 != 0;
        (1..self.groups)
            .filter(|it| !sparse || *it == 1 || power(3, *it) || power(5, *it) || power(7, *it))
            .collect()
    }

    /// Every backup is the primary but for its group's number, its state and its checksum.
    fn backups(&self) {
        let descs = Self::size(self.desc_blocks * self.block);
        let primary = bytes(self.volume, 1024, 1024);
        let descriptors = bytes(self.volume, (self.first + 1) * self.block, descs);
        for group in self.backup_groups() {
            let at = (self.first + group * self.per_group) * self.block;
            let copy = bytes(self.volume, at, 1024);
            let number = u64::from(u16::from_le_bytes([copy[0x5a], copy[0x5b]]));
            assert_eq!(number, group & 0xffff);
            if self.ro_compat & 0x400 != 0 {
                let sum = !crc32c::crc32c(&copy[..0x3fc]);
                assert_eq!(copy[0x3fc..], sum.to_le_bytes(), "group {group}");
            }
            for (i, byte) in copy.iter().enumerate().take(0x3fc) {
                let same = *byte == primary[i] || matches!(i, 0x3a | 0x5a | 0x5b);
                assert!(same, "group {group} byte {i:#x}");
            }
            let copy = bytes(self.volume, at + self.block, descs);
            assert!(copy == descriptors, "group {group}");
        }
    }

    /// Returns where an inode is.
    fn inode(&self, ino: u64) -> u64 {
        let (group, n) = (
            (ino - 1) / self.inodes_per_group,
            (ino - 1) % self.inodes_per_group,
        );
        self.table(group) + n * self.inode_size
    }

    fn descriptor(&self, group: u64) -> u64 {
        (self.first + 1) * self.block + group * self.desc_size
    }

    fn table(&self, group: u64) -> u64 {
        let at = self.descriptor(group);
        let high = if self.desc_size > 32 {
            self.word(at + 0x28)
        } else {
            0
        };
        (self.word(at + 8) | high << 32) * self.block
    }

    /// As the kernel checks it when a mounted volume grows (`verify_reserved_gdb`): every slot, every backup.
    fn resize_inode(&self) {
        let reserved = self.word(1024 + 0xcc) >> 16;
        if self.compat & 0x10 == 0 {
            assert_eq!(reserved, 0);
            return;
        }
        let slots = self.block / 4;
        let inode = self.inode(7);
        let listed = self.backup_groups();
        let count = u64::try_from(listed.len()).unwrap();
        let size = (slots * slots + slots + 12) * self.block;
        assert_eq!(self.word(inode + 4), size & 0xffff_ffff);
        let sectors = self.block / 512 * (1 + reserved * (1 + count));
        assert_eq!(self.word(inode + 0x1c), sectors);
        let map: Vec<u64> = (0..15).map(|i| self.word(inode + 0x28 + 4 * i)).collect();
        let double = map[13];
        assert!(double != 0 && map.iter().filter(|it| **it != 0).count() == 1);
        let used: Vec<(u64, u64)> = (0..reserved)
            .map(|i| {
                (
                    (self.desc_blocks + i) % slots,
                    self.first + 1 + self.desc_blocks + i,
                )
            })
            .collect();
        for slot in 0..slots {
            let want = used.iter().find(|it| it.0 == slot).map_or(0, |it| it.1);
            assert_eq!(
                self.word(double * self.block + 4 * slot),
                want,
                "slot {slot}"
            );
        }
        for (_, primary) in used {
            let list = bytes(self.volume, primary * self.block, Self::size(self.block));
            for (slot, entry) in list.chunks_exact(4).enumerate() {
                let want = listed
                    .get(slot)
                    .map_or(0, |it| primary + it * self.per_group);
                let got = u64::from(u32::from_le_bytes(entry.try_into().unwrap()));
                assert_eq!(got, want, "{primary} slot {slot}");
            }
        }
    }

    /// The journal is clean, and the superblock repeats its inode.
    fn journal(&self) {
        if self.compat & 4 == 0 {
            return;
        }
        let inode = self.inode(8);
        for i in 0..15 {
            let copy = self.word(1024 + 0x10c + 4 * i);
            assert_eq!(copy, self.word(inode + 0x28 + 4 * i), "word {i}");
        }
        assert_eq!(self.word(1024 + 0x10c + 64), self.word(inode + 4));
    }

    /// Attributes in blocks stand in the order in which the kernel looks for them.
    fn attributes(&self) {
        let groups = (0..self.groups).filter(|it| !self.is_unused(*it));
        let inodes = groups.flat_map(|it| {
            let first = it * self.inodes_per_group + 1;
            first..first + self.inodes_per_group
        });
        for ino in inodes {
            let at = self.inode(ino);
            let high = (self.word(at + 0x74) >> 16) << 32;
            let block = self.word(at + 0x68) | high;
            let mode = self.word(at) & 0xffff;
            if block == 0 || mode == 0 {
                continue;
            }
            let b = bytes(self.volume, block * self.block, Self::size(self.block));
            assert_eq!(b[..4], 0xea02_0000_u32.to_le_bytes(), "inode {ino}");
            let mut last = (0, 0, Vec::new());
            let mut entry = 32;
            while b[entry..entry + 4] != [0; 4] {
                let len = usize::from(b[entry]);
                let key = (
                    b[entry + 1],
                    b[entry],
                    b[entry + 16..entry + 16 + len].to_vec(),
                );
                assert!(key > last, "inode {ino}: {key:?} after {last:?}");
                last = key;
                entry += 16 + len.next_multiple_of(4);
            }
        }
    }

    /// Returns whether a group says that none of its inodes is used.
    fn is_unused(&self, group: u64) -> bool {
        let sums = self.ro_compat & 0x410 != 0;
        sums && (self.word(self.descriptor(group) + 0x10) >> 16) & 1 != 0
    }

    /// Tables that are said to be zero beyond what is used are.
    fn unused_tables(&self) {
        for group in 0..self.groups {
            let at = self.descriptor(group);
            let flags = self.word(at + 0x10) >> 16;
            if flags & 4 == 0 {
                continue;
            }
            let unused = self.word(at + 0x1c) & 0xffff;
            let (used, all) = (
                (self.inodes_per_group - unused) * self.inode_size,
                self.inodes_per_group * self.inode_size,
            );
            let table = self.table(group);
            let data = self.volume.next_data(table + used).unwrap();
            let end = table + all;
            if data.is_some_and(|it| it.start < end) {
                let rest = bytes(self.volume, table + used, Self::size(all - used));
                assert!(rest.iter().all(|it| *it == 0), "group {group}");
            }
        }
    }
}
