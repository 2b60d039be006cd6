//! Reads a volume into a tree: metadata only, file content stays where it is.
//!
//! A volume that contradicts itself is an error, with two exceptions that drivers make too: long names that do not belong
//! to their file are ignored, and what follows a file's last byte in its chain is not looked at. No cluster is visited
//! twice, so time and memory are bounded by the volume's size.

use crate::ATTRIBUTES;
use crate::boot::{BOOT_BYTES, Boot, Facts, Label};
use crate::error::Error;
use crate::geometry::{Geometry, Kind};
use crate::name::{LongName, Short};
use crate::time::DosTime;
use fstree::{
    Content, Dir, File, FileKind, FileTree, ImgPath, Layer, Meta, Name, Node, ReadAt, Run, Window,
};
use std::sync::Arc;

mod table;

use table::Table;

/// No directory is larger, and no tree of directories deeper.
const MAX_DIR_BYTES: u64 = 2 << 20;
const MAX_DEPTH: usize = 128;

/// Attribute bits of a directory entry.
pub(crate) const READ_ONLY: u8 = 0x01;
pub(crate) const LABEL: u8 = 0x08;
pub(crate) const DIRECTORY: u8 = 0x10;
pub(crate) const ARCHIVE: u8 = 0x20;
const LONG_NAME: u8 = 0x0F;
const HIDDEN_SYSTEM: u8 = 0x06;

/// Returns the files of a FAT volume and what else it is. The volume may be followed by other bytes.
pub fn read(volume: Arc<dyn ReadAt>) -> Result<(FileTree, Facts), Error> {
    let mut sector = [0; BOOT_BYTES];
    let io = |source| Error::Io {
        what: "the boot sector".to_owned(),
        source,
    };
    volume.read_exact_at(&mut sector, 0).map_err(io)?;
    let Boot {
        mut facts,
        geometry,
        root_cluster,
        active_fat,
    } = Boot::parse(&sector)?;
    let window = Window::new(volume, 0, facts.size).ok_or_else(|| {
        Error::not_fat(format!(
            "it says it has {} bytes and is cut off before",
            facts.size
        ))
    })?;
    let volume: Arc<dyn ReadAt> = Arc::new(window);
    let table = Table::new(volume.clone(), &geometry, active_fat);
    let mut reader = Reader {
        volume,
        geometry,
        table,
        label: None,
        tree: FileTree::new(dir_meta()),
    };
    let root = reader.root(root_cluster)?;
    *reader.tree.root_mut() = root;
    facts.label = reader.label.or(facts.label);
    Ok((reader.tree, facts))
}

struct Reader {
    volume: Arc<dyn ReadAt>,
    geometry: Geometry,
    table: Table,
    label: Option<Label>,
    tree: FileTree,
}

/// An entry of a directory, without its long name.
struct Entry {
    attributes: u8,
    time: DosTime,
    first: u32,
    size: u32,
}

impl Reader {
    fn root(&mut self, root_cluster: u32) -> Result<Dir, Error> {
        let path = ImgPath::root();
        if self.geometry.kind == Kind::Fat32 {
            return self.dir(&path, root_cluster, dir_meta(), 0);
        }
        let len = self.geometry.root_entries * 32;
        let bytes = self.bytes(
            &path,
            &[Run {
                at: 0,
                from: self.geometry.root_at(),
                len,
            }],
        )?;
        self.entries(&path, &bytes, dir_meta(), 0)
    }

    /// Reads a directory and all below it.
    fn dir(&mut self, path: &ImgPath, first: u32, meta: Meta, depth: usize) -> Result<Dir, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::corrupt(
                path,
                format!("directories lie more than {MAX_DEPTH} deep"),
            ));
        }
        let runs = self.table.chain(path, first, None)?;
        if runs.iter().map(|it| it.len).sum::<u64>() > MAX_DIR_BYTES {
            return Err(Error::corrupt(
                path,
                "the directory is larger than 65536 entries",
            ));
        }
        let bytes = self.bytes(path, &runs)?;
        self.entries(path, &bytes, meta, depth)
    }

    fn bytes(&self, path: &ImgPath, runs: &[Run]) -> Result<Vec<u8>, Error> {
        let len = runs.iter().map(|it| it.len).sum::<u64>();
        let content = Content::extents(self.volume.clone(), runs, len);
        content.read_all(len).map_err(|source| Error::Io {
            what: format!("directory {path}"),
            source,
        })
    }

    fn entries(
        &mut self,
        path: &ImgPath,
        bytes: &[u8],
        meta: Meta,
        depth: usize,
    ) -> Result<Dir, Error> {
        let mut dir = Dir::new(meta);
        let mut long = LongName::default();
        for raw in bytes.as_chunks::<32>().0 {
            let attributes = raw[11];
            match raw[0] {
                0 => break,
                0xE5 => long.clear(),
                _ if attributes & 0x3F == LONG_NAME => long.push(raw),
                b'.' => long.clear(), // Only "." and ".." begin so.
                _ if attributes & LABEL != 0 => {
                    long.clear();
                    let found = Label::found(raw[..11].try_into().expect("11 bytes were cut out"));
                    if depth == 0 && self.label.is_none() {
                        self.label = found;
                    }
                }
                _ => {
                    let name = name(path, raw, &mut long)?;
                    let node = self.node(
                        &path.join(&name),
                        &Entry::parse(raw, self.geometry.kind),
                        depth,
                    )?;
                    if dir.insert(name.clone(), node).is_some() {
                        return Err(Error::corrupt(
                            &path.join(&name),
                            "the name stands in its directory twice",
                        ));
                    }
                }
            }
        }
        Ok(dir)
    }

    fn node(&mut self, path: &ImgPath, entry: &Entry, depth: usize) -> Result<Node, Error> {
        let meta = entry.meta();
        if entry.attributes & DIRECTORY != 0 {
            let dir = self.dir(path, entry.first, meta, depth + 1)?;
            return Ok(Node::Dir(Box::new(dir)));
        }
        let len = u64::from(entry.size);
        let runs = if len == 0 {
            Vec::new()
        } else {
            self.table.chain(path, entry.first, Some(len))?
        };
        let content = Content::extents(self.volume.clone(), runs, len);
        Ok(Node::File(self.tree.add(File {
            meta,
            kind: FileKind::Regular(content),
        })))
    }
}

/// Returns an entry's long name, or the short one if the long is missing, broken or no name for a file.
fn name(dir: &ImgPath, raw: &[u8; 32], long: &mut LongName) -> Result<Name, Error> {
    let short = Short(raw[..11].try_into().expect("11 bytes were cut out"));
    let long = long.take(short);
    if let Some(name) = long.as_ref().and_then(|it| Name::new(it.as_bytes()).ok()) {
        return Ok(name);
    }
    let text = short.text(raw[12]);
    let name = Name::new(text.as_bytes()).map_err(|err| Error::corrupt(dir, err.to_string()))?;
    match long.filter(|it| it.len() > 255) {
        Some(long) => Err(Error::LongName {
            path: dir.join(&name),
            len: long.len(),
        }),
        None => Ok(name),
    }
}

impl Entry {
    fn parse(raw: &[u8; 32], kind: Kind) -> Self {
        let u16 = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
        let high = if kind == Kind::Fat32 {
            u32::from(u16(20)) << 16
        } else {
            0
        };
        Self {
            attributes: raw[11],
            time: DosTime {
                date: u16(24),
                time: u16(22),
            },
            first: high | u32::from(u16(26)),
            size: u32::from(u16(28)) | u32::from(u16(30)) << 16,
        }
    }

    fn meta(&self) -> Meta {
        let is_dir = self.attributes & DIRECTORY != 0;
        let mode = if is_dir { 0o755 } else { 0o644 };
        let mode = if self.attributes & READ_ONLY == 0 {
            mode
        } else {
            mode & !0o222
        };
        let mut meta = Meta::root_owned(mode, self.time.timestamp(), Layer::default());
        let rest = self.attributes & (HIDDEN_SYSTEM | ARCHIVE);
        if rest != usual(is_dir) {
            meta.xattrs
                .insert(ATTRIBUTES.to_vec(), format!("0x{rest:x}").into_bytes());
        }
        meta
    }
}

/// Returns the attributes that need not be said.
fn usual(is_dir: bool) -> u8 {
    if is_dir { 0 } else { ARCHIVE }
}

/// Returns the attributes of an entry with that metadata, `DIRECTORY` included.
pub(crate) fn attributes(meta: &Meta, is_dir: bool) -> u8 {
    let said = meta
        .xattrs
        .get(ATTRIBUTES)
        .and_then(|it| std::str::from_utf8(it).ok());
    let said = said
        .and_then(|it| it.strip_prefix("0x"))
        .and_then(|it| u32::from_str_radix(it, 16).ok());
    let rest = said.map_or(usual(is_dir), |it| {
        it.to_le_bytes()[0] & (HIDDEN_SYSTEM | ARCHIVE)
    });
    let read_only = if meta.mode & 0o222 == 0 { READ_ONLY } else { 0 };
    rest | read_only | if is_dir { DIRECTORY } else { 0 }
}

fn dir_meta() -> Meta {
    Meta {
        mode: 0o755,
        ..Meta::default()
    }
}
