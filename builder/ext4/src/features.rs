//! The three feature words of the superblock, and the names of their bits as `dumpe2fs` prints them.

use std::fmt;

/// The feature words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// What any reader and writer may ignore.
    pub compat: u32,
    /// What a reader must know.
    pub incompat: u32,
    /// What a writer must know.
    pub ro_compat: u32,
}

/// One feature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Feature(Word, u32);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    Compat,
    Incompat,
    RoCompat,
}

macro_rules! features {
    ($($word:ident $bit:literal $id:ident $name:literal;)*) => {
        impl Feature {
            $(#[doc = concat!("`", $name, "`.")] pub const $id: Self = Self(Word::$word, $bit);)*
        }

        const NAMES: &[(Feature, &str)] = &[$((Feature::$id, $name),)*];
    };
}

features! {
    Compat 0x1 DIR_PREALLOC "dir_prealloc";
    Compat 0x2 IMAGIC_INODES "imagic_inodes";
    Compat 0x4 HAS_JOURNAL "has_journal";
    Compat 0x8 EXT_ATTR "ext_attr";
    Compat 0x10 RESIZE_INODE "resize_inode";
    Compat 0x20 DIR_INDEX "dir_index";
    Compat 0x40 LAZY_BG "lazy_bg";
    Compat 0x200 SPARSE_SUPER2 "sparse_super2";
    Compat 0x400 FAST_COMMIT "fast_commit";
    Compat 0x800 STABLE_INODES "stable_inodes";
    Compat 0x1000 ORPHAN_FILE "orphan_file";
    Incompat 0x1 COMPRESSION "compression";
    Incompat 0x2 FILETYPE "filetype";
    Incompat 0x4 RECOVER "needs_recovery";
    Incompat 0x8 JOURNAL_DEV "journal_dev";
    Incompat 0x10 META_BG "meta_bg";
    Incompat 0x40 EXTENTS "extent";
    Incompat 0x80 IS_64BIT "64bit";
    Incompat 0x100 MMP "mmp";
    Incompat 0x200 FLEX_BG "flex_bg";
    Incompat 0x400 EA_INODE "ea_inode";
    Incompat 0x1000 DIRDATA "dirdata";
    Incompat 0x2000 CSUM_SEED "metadata_csum_seed";
    Incompat 0x4000 LARGE_DIR "large_dir";
    Incompat 0x8000 INLINE_DATA "inline_data";
    Incompat 0x1_0000 ENCRYPT "encrypt";
    Incompat 0x2_0000 CASEFOLD "casefold";
    RoCompat 0x1 SPARSE_SUPER "sparse_super";
    RoCompat 0x2 LARGE_FILE "large_file";
    RoCompat 0x8 HUGE_FILE "huge_file";
    RoCompat 0x10 GDT_CSUM "uninit_bg";
    RoCompat 0x20 DIR_NLINK "dir_nlink";
    RoCompat 0x40 EXTRA_ISIZE "extra_isize";
    RoCompat 0x80 HAS_SNAPSHOT "snapshot";
    RoCompat 0x100 QUOTA "quota";
    RoCompat 0x200 BIGALLOC "bigalloc";
    RoCompat 0x400 METADATA_CSUM "metadata_csum";
    RoCompat 0x800 REPLICA "replica";
    RoCompat 0x1000 READONLY "read-only";
    RoCompat 0x2000 PROJECT "project";
    RoCompat 0x4000 SHARED_BLOCKS "shared_blocks";
    RoCompat 0x8000 VERITY "verity";
    RoCompat 0x1_0000 ORPHAN_PRESENT "orphan_present";
}

/// Features a fresh volume may have.
const WRITABLE: &[Feature] = &[
    Feature::HAS_JOURNAL,
    Feature::EXT_ATTR,
    Feature::RESIZE_INODE,
    Feature::DIR_INDEX,
    Feature::FILETYPE,
    Feature::EXTENTS,
    Feature::IS_64BIT,
    Feature::FLEX_BG,
    Feature::CSUM_SEED,
    Feature::LARGE_DIR,
    Feature::SPARSE_SUPER,
    Feature::LARGE_FILE,
    Feature::HUGE_FILE,
    Feature::GDT_CSUM,
    Feature::DIR_NLINK,
    Feature::EXTRA_ISIZE,
    Feature::METADATA_CSUM,
];

/// Features of which a reader need not know that this one does not.
const REFUSED: &[Feature] = &[
    Feature::COMPRESSION,
    Feature::JOURNAL_DEV,
    Feature::DIRDATA,
    Feature::BIGALLOC,
    Feature::HAS_SNAPSHOT,
    Feature::SHARED_BLOCKS,
    Feature::REPLICA,
    Feature::IMAGIC_INODES,
];

impl Features {
    /// What `mke2fs` 1.46 and 1.47 give an ext4.
    pub const EXT4: Self = Self {
        compat: 0x3c,
        incompat: 0x2c2,
        ro_compat: 0x46b,
    };

    /// Returns whether the feature is there.
    pub fn has(self, feature: Feature) -> bool {
        let word = match feature.0 {
            Word::Compat => self.compat,
            Word::Incompat => self.incompat,
            Word::RoCompat => self.ro_compat,
        };
        word & feature.1 != 0
    }

    /// Returns these with one more.
    #[must_use]
    pub fn with(mut self, feature: Feature) -> Self {
        *self.word(feature) |= feature.1;
        self
    }

    /// Returns these without one.
    #[must_use]
    pub fn without(mut self, feature: Feature) -> Self {
        *self.word(feature) &= !feature.1;
        self
    }

    /// Returns those that a fresh volume can have.
    #[must_use]
    pub fn writable(self) -> Self {
        WRITABLE
            .iter()
            .filter(|it| self.has(**it))
            .fold(Self::default(), |all, it| all.with(*it))
    }

    /// Returns those of these that are not in `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            compat: self.compat & !other.compat,
            incompat: self.incompat & !other.incompat,
            ro_compat: self.ro_compat & !other.ro_compat,
        }
    }

    /// Returns what keeps this crate from reading, if anything: features it refuses and incompatible ones unknown to all.
    pub(crate) fn unreadable(self) -> Self {
        let known = NAMES
            .iter()
            .fold(Self::default(), |all, (it, _)| all.with(*it));
        let unknown = Self {
            incompat: self.incompat & !known.incompat,
            ..Self::default()
        };
        REFUSED
            .iter()
            .filter(|it| self.has(**it))
            .fold(unknown, |all, it| all.with(*it))
    }

    fn word(&mut self, feature: Feature) -> &mut u32 {
        match feature.0 {
            Word::Compat => &mut self.compat,
            Word::Incompat => &mut self.incompat,
            Word::RoCompat => &mut self.ro_compat,
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut gap = "";
        for (feature, name) in NAMES.iter().filter(|(it, _)| self.has(*it)) {
            write!(f, "{gap}{name}")?;
            gap = " ";
            rest = rest.without(*feature);
        }
        let words = [
            ("C", rest.compat),
            ("I", rest.incompat),
            ("R", rest.ro_compat),
        ];
        for (word, bits) in words.iter().filter(|(_, bits)| *bits != 0) {
            write!(f, "{gap}FEATURE_{word}{bits:#x}")?;
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_print_as_names() {
        let text = Features::EXT4.to_string();
        let want = "has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg \
            sparse_super large_file huge_file dir_nlink extra_isize metadata_csum";
        assert_eq!(text, want);
        assert_eq!(Features::EXT4.writable(), Features::EXT4);
        assert!(
            Features {
                incompat: 0x8000_0000,
                ..Features::EXT4
            }
            .to_string()
            .ends_with("FEATURE_I0x80000000")
        );
    }

    #[test]
    fn unknown_incompatible_features_are_unreadable() {
        assert_eq!(Features::EXT4.unreadable(), Features::default());
        let features = Features {
            compat: 1 << 30,
            incompat: 1 << 30,
            ro_compat: 1 << 30,
        };
        assert_eq!(
            features.with(Feature::BIGALLOC).unreadable().to_string(),
            "bigalloc FEATURE_I0x40000000"
        );
    }
}
