//! A plan: every step of a build in order, with nothing left to choose. Carried out by [`crate::apply`].
//!
//! Made from profile, lock, overlays and seed alone; it can be made without the inputs at hand. Its text form
//! ([`std::fmt::Display`]) is what people review and tests compare; secrets appear in it as digests only.

mod images;
mod make;
mod text;

use crate::base::Arch;
use crate::digest::Digest;
use crate::overlay::Owner;
use crate::profile::Machine;
use crate::size::Bytes;
use fstree::{ImgPath, Layer};
use std::sync::Arc;

pub(crate) use make::DESCRIPTION;
pub use make::{Order, plan};
pub use text::json;

/// Layers of the root file system, from the bottom up.
pub mod layer {
    use fstree::Layer;

    /// The base image.
    pub const BASE: Layer = Layer(0);
    /// Packages and dpkg's database, container images.
    pub const PACKAGES: Layer = Layer(1);
    /// Overlays and files of the profile.
    pub const OVERLAYS: Layer = Layer(2);
    /// What is made from all of the above: links of units, module indexes, the image's own description.
    pub const MADE: Layer = Layer(3);
}

/// Every step of a build.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The profile's name.
    pub profile: String,
    /// Digest of the lock's text.
    pub lock: Digest,
    /// Seconds since 1970: the time of everything that is made.
    pub time: i64,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The virtual machine, for appliances.
    pub machine: Option<Machine>,
}

/// One step of a build.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Reads the base image.
    Base {
        /// The image.
        digest: Digest,
        /// Its architecture.
        arch: Arch,
        /// Label of its root file system.
        root_label: String,
        /// Label of its FAT boot partition, where that is edited.
        boot_label: Option<String>,
    },
    /// Unpacks a package.
    Unpack {
        /// `name version arch`.
        package: String,
        /// The `.deb`.
        digest: Digest,
    },
    /// Configures what was unpacked, as far as no maintainer script must be run for it.
    Configure,
    /// Holds packages.
    Hold {
        /// Name, with `*` for any text.
        pattern: String,
    },
    /// Makes a directory or changes it.
    Dir {
        /// Where.
        path: ImgPath,
        /// Mode and owner.
        owner: Owner,
    },
    /// Puts a file.
    Put {
        /// Where.
        path: ImgPath,
        /// Mode and owner.
        owner: Owner,
        /// What.
        content: Payload,
        /// Which overlay it came from, or what made it.
        from: String,
        /// Its layer.
        layer: Layer,
    },
    /// Unpacks a tarball.
    Untar {
        /// The folder.
        path: ImgPath,
        /// The tarball.
        digest: Digest,
        /// Leading names to drop from its members.
        strip: u8,
    },
    /// Makes a symbolic link.
    Link {
        /// Where.
        path: ImgPath,
        /// What it points to.
        target: String,
    },
    /// Removes what matches, if anything does.
    Remove {
        /// A path; `*` in its last name stands for any text.
        pattern: String,
    },
    /// Leaves a file empty, and makes it if there is none.
    Empty {
        /// Where.
        path: ImgPath,
    },
    /// Locks every account that has a password.
    LockPasswords,
    /// Changes a unit.
    Unit {
        /// How.
        change: UnitChange,
        /// Its name.
        unit: String,
    },
    /// Regenerates the module indexes of a kernel.
    Depmod {
        /// The kernel's release.
        kernel: String,
    },
    /// Adds a word to the boot partition's `cmdline.txt`.
    Cmdline {
        /// The word.
        word: String,
    },
    /// Adds a line to the boot partition's `config.txt`.
    Config {
        /// The line.
        line: String,
    },
    /// Writes the node's seed.
    Seed {
        /// Where.
        place: crate::base::SeedPlace,
        /// Its files; their content may be secret.
        files: Vec<(String, Payload)>,
    },
    /// Sizes the root file system and the disk.
    Size {
        /// Free space on the root file system.
        slack: Bytes,
        /// Size of the disk, if it is to be larger than its content.
        disk: Option<Bytes>,
    },
}

/// What is done to a unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnitChange {
    /// Links as its `[Install]` section asks.
    Enable,
    /// Such links are removed.
    Disable,
    /// It is linked to `/dev/null`.
    Mask,
}

/// Bytes of a file, or their name.
#[derive(Clone)]
pub enum Payload {
    /// Held here.
    Bytes(Arc<[u8]>),
    /// An input.
    Blob(Digest),
}

impl Payload {
    /// Returns a payload of bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Returns the content's name.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Bytes(bytes) => Digest::of(bytes),
            Self::Blob(digest) => *digest,
        }
    }
}

impl std::fmt::Debug for Payload {
    /// Never prints the bytes: they may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", self.digest())
    }
}

impl Plan {
    /// Returns the plan's name: what every new identifier of the artifact is made from.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }
}
