//! A laid out tree as a volume: metadata as bytes in memory, files as places in their sources, all else holes.
//!
//! Reads no content. Every checksum, count and backup is computed here from the layout, none is updated.

mod groups;
mod head;
mod inodes;
mod table;

use crate::census::Census;
use crate::checksum::Sums;
use crate::error::Error;
use crate::features::Feature;
use crate::geometry::Geometry;
use crate::hash::CharSign;
use crate::inode::{EXTRA, Inode};
use crate::layout::Layout;
use crate::le::{hi32, index, lo16, lo32, short};
use crate::superblock::{STATE_VALID, Superblock};
use fstree::{FileTree, Mosaic, MosaicBuilder, Timestamp};
use table::Table;

/// Returns the volume of a tree: a source of [`crate::Options::size`] bytes.
///
/// Fails with [`Error::Mismatch`] if `tree` is not the one that was laid out.
pub fn write(layout: &Layout, tree: &FileTree) -> Result<Mosaic, Error> {
    let census = Census::of(tree);
    if census.dirs.len() != layout.dirs.len() || census.files.len() != layout.files.len() {
        return Err(Error::Mismatch("it has another number of files".to_owned()));
    }
    let superblock = superblock(layout);
    let mut writer = Writer {
        layout,
        census,
        sums: Sums::of(&superblock),
        tables: (0..layout.geometry.groups())
            .map(|it| Table::new(layout.used_inodes(it), layout.geometry.inode_size))
            .collect(),
        mosaic: MosaicBuilder::new(),
    };
    writer.dirs()?;
    writer.files()?;
    writer.resize();
    let journal_map = writer.journal();
    let superblock = Superblock {
        journal_blocks: journal_map,
        ..superblock
    };
    writer.groups(&superblock);
    writer
        .mosaic
        .finish(layout.options.size)
        .map_err(|it| Error::Mismatch(it.to_string()))
}

/// A volume in the making.
struct Writer<'a> {
    layout: &'a Layout,
    census: Census<'a>,
    sums: Sums,
    tables: Vec<Table>,
    mosaic: MosaicBuilder,
}

impl Writer<'_> {
    fn geometry(&self) -> &Geometry {
        &self.layout.geometry
    }

    /// Places bytes at a block.
    fn put(&mut self, block: u64, bytes: Vec<u8>) {
        let at = block * self.geometry().block();
        self.mosaic.bytes(at, bytes);
    }

    /// Writes an inode into its table.
    fn put_inode(&mut self, ino: u32, inode: &Inode) {
        let (group, n) = self.geometry().inode_place(ino);
        let mut bytes = vec![0; index(self.geometry().inode_size)];
        inode.encode(&mut bytes, ino, self.sums);
        let table = &mut self.tables[index(group)];
        table.put(index(n), &bytes);
        table.dirs += u32::from(inode.kind() == crate::inode::S_IFDIR);
    }
}

/// Returns the superblock, but for free blocks and inodes of groups, and the journal's map.
fn superblock(layout: &Layout) -> Superblock {
    let (options, geometry) = (&layout.options, &layout.geometry);
    let features = options.features;
    let has = |feature, value| if features.has(feature) { value } else { 0 };
    let extra = if options.inode_size > 128 { EXTRA } else { 0 };
    let mut label = [0; 16];
    label[..options.label.len()].copy_from_slice(&options.label);
    let (time, time_high) = wide_time(options.time);
    Superblock {
        inodes: short(geometry.inodes()),
        blocks: geometry.blocks,
        reserved_blocks: crate::layout::reserved_blocks(geometry, options).min(geometry.blocks / 2),
        free_blocks: layout.free_blocks(),
        free_inodes: short(layout.free_inodes()),
        first_data_block: geometry.first_data_block,
        log_block_size: geometry.block_size.trailing_zeros() - 10,
        log_cluster_size: geometry.block_size.trailing_zeros() - 10,
        blocks_per_group: geometry.blocks_per_group,
        clusters_per_group: geometry.blocks_per_group,
        inodes_per_group: geometry.inodes_per_group,
        wtime: time,
        max_mount_count: u16::MAX,
        state: STATE_VALID,
        errors: options.errors,
        last_check: time,
        revision: 1,
        first_inode: crate::layout::FIRST_INODE,
        inode_size: options.inode_size,
        features,
        uuid: options.uuid,
        label,
        reserved_gdt: lo16(geometry.reserved_gdt),
        journal_inode: has(Feature::HAS_JOURNAL, crate::geometry::JOURNAL_INODE),
        hash_seed: options.hash.seed,
        hash_version: options.hash.algorithm.number(),
        journal_backup: u8::from(features.has(Feature::HAS_JOURNAL)),
        desc_size: if features.has(Feature::IS_64BIT) {
            64
        } else {
            0
        },
        mount_options: options.mount_options,
        mkfs_time: time,
        min_extra_isize: extra,
        want_extra_isize: extra,
        flags: match options.hash.sign {
            CharSign::Signed => 1,
            CharSign::Unsigned => 2,
        },
        log_groups_per_flex: if features.has(Feature::FLEX_BG) {
            options.groups_per_flex.trailing_zeros().to_le_bytes()[0]
        } else {
            0
        },
        checksum_type: u8::from(features.has(Feature::METADATA_CSUM)),
        checksum_seed: has(
            Feature::CSUM_SEED,
            crate::checksum::crc32c(!0, &options.uuid),
        ),
        times_high: [time_high, 0, time_high, time_high],
        ..Superblock::default()
    }
}

/// Returns a time of the superblock: 32 bits and 8 more.
fn wide_time(time: Timestamp) -> (u32, u8) {
    let secs = time.secs.clamp(0, (1 << 40) - 1).cast_unsigned();
    (lo32(secs), hi32(secs).to_le_bytes()[0])
}
