//! Decides where everything goes, from sizes alone: each directory, then what is in it, in the tree's order, without gaps.
//!
//! A file with two names is laid out twice, since FAT has no hard links. Reads no content.

use crate::error::Error;
use crate::geometry::{Cluster, FIRST, Geometry, Kind};
use crate::name::{Stored, check, folded, store};
use crate::options::Options;
use crate::read::attributes;
use crate::time::DosTime;
use fstree::{Dir, FileKind, FileTree, ImgPath, Meta, Node};
use std::collections::BTreeMap;
use std::fmt;

/// No directory has more entries of 32 bytes, and no tree of directories is deeper than `fat::read` goes.
const MAX_SLOTS: u64 = 65_536;
const MAX_DEPTH: usize = 128;

/// Where everything goes. Its `Display` is one line an entry: first cluster, clusters, path.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) options: Options,
    pub(crate) geometry: Geometry,
    /// Directories in walk order, the root first.
    pub(crate) dirs: Vec<PlacedDir>,
    /// Regular files in walk order.
    pub(crate) files: Vec<PlacedFile>,
    /// The first cluster that nobody has.
    pub(crate) end: Cluster,
}

/// A directory and the entries that stand in it.
#[derive(Clone, Debug)]
pub(crate) struct PlacedDir {
    pub(crate) path: ImgPath,
    pub(crate) chain: Chain,
    /// First cluster of the parent; 0 if that is the root.
    pub(crate) parent: u32,
    pub(crate) time: DosTime,
    pub(crate) entries: Vec<PlacedEntry>,
}

/// An entry as it will stand in its directory.
#[derive(Clone, Debug)]
pub(crate) struct PlacedEntry {
    pub(crate) name: Stored,
    pub(crate) attributes: u8,
    pub(crate) time: DosTime,
    pub(crate) first: u32,
    pub(crate) size: u32,
}

/// A file and its clusters.
#[derive(Clone, Debug)]
pub(crate) struct PlacedFile {
    pub(crate) path: ImgPath,
    pub(crate) chain: Chain,
    pub(crate) size: u32,
}

/// Clusters that follow each other; none have no first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chain {
    pub(crate) first: u32,
    pub(crate) len: u32,
}

impl Layout {
    /// Returns the clusters that nobody has.
    pub fn free_clusters(&self) -> u64 {
        self.geometry.clusters - u64::from(self.end.0 - FIRST)
    }

    /// Returns the bytes of a cluster.
    pub fn cluster_bytes(&self) -> u64 {
        self.geometry.cluster_bytes()
    }

    /// Returns which format it is.
    pub fn kind(&self) -> Kind {
        self.geometry.kind
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = Chain> + '_ {
        self.dirs
            .iter()
            .map(|it| it.chain)
            .chain(self.files.iter().map(|it| it.chain))
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dirs = self.dirs.iter().map(|it| (it.chain, &it.path));
        let files = self.files.iter().map(|it| (it.chain, &it.path));
        let lines: BTreeMap<_, _> = dirs
            .chain(files)
            .map(|(chain, path)| (path, chain))
            .collect();
        let Geometry { kind, clusters, .. } = self.geometry;
        writeln!(
            f,
            "{kind} clusters={clusters} bytes={} free={}",
            self.cluster_bytes(),
            self.free_clusters()
        )?;
        for (path, chain) in lines {
            writeln!(f, "{:>9} {:>9} {path}", chain.first, chain.len)?;
        }
        Ok(())
    }
}

/// Returns where everything of `tree` goes on a volume of that shape, or what is in the way.
pub fn layout(tree: &FileTree, options: &Options) -> Result<Layout, Error> {
    let geometry = options.geometry()?;
    let mut layouter = Layouter {
        tree,
        geometry,
        next: u64::from(FIRST),
        dirs: Vec::new(),
        files: Vec::new(),
    };
    let label = u64::from(options.facts.label.is_some());
    layouter.dir(tree.root(), &ImgPath::root(), None, label)?;
    let Layouter {
        geometry,
        next,
        dirs,
        files,
        ..
    } = layouter;
    let needed = next - u64::from(FIRST);
    if needed > geometry.clusters {
        let cluster_bytes = geometry.cluster_bytes();
        return Err(Error::Full {
            needed,
            available: geometry.clusters,
            cluster_bytes,
        });
    }
    let end = Cluster(u32::try_from(next).expect("cluster numbers fit 28 bits"));
    Ok(Layout {
        options: options.clone(),
        geometry,
        dirs,
        files,
        end,
    })
}

struct Layouter<'a> {
    tree: &'a FileTree,
    geometry: Geometry,
    /// The next cluster; it runs past the end of a full volume, to tell how much is needed.
    next: u64,
    dirs: Vec<PlacedDir>,
    files: Vec<PlacedFile>,
}

impl Layouter<'_> {
    /// Lays out a directory and all below it; `parent` is the first cluster of its parent, `extra` entries are kept free.
    fn dir(
        &mut self,
        dir: &Dir,
        path: &ImgPath,
        parent: Option<u32>,
        extra: u64,
    ) -> Result<Chain, Error> {
        let names = stored_names(dir, path)?;
        let slots = extra + names.iter().map(|it| it.slots() as u64).sum::<u64>();
        if slots > MAX_SLOTS {
            return Err(Error::unrepresentable(
                path,
                format!("it needs {slots} entries of 32 bytes, FAT allows {MAX_SLOTS}"),
            ));
        }
        if path.names().count() > MAX_DEPTH {
            return Err(Error::unrepresentable(
                path,
                format!("it lies more than {MAX_DEPTH} directories deep"),
            ));
        }
        let chain = if parent.is_none() && self.geometry.kind != Kind::Fat32 {
            let available = self.geometry.root_entries;
            if slots > available {
                return Err(Error::RootFull {
                    needed: slots,
                    available,
                });
            }
            Chain { first: 0, len: 0 }
        } else {
            self.chain((slots * 32).max(1))
        };
        let index = self.dirs.len();
        let time = DosTime::from_timestamp(dir.meta.mtime);
        self.dirs.push(PlacedDir {
            path: path.clone(),
            chain,
            parent: parent.unwrap_or(0),
            time,
            entries: Vec::new(),
        });
        // The root is cluster 0 to its children, wherever it is.
        let here = if parent.is_none() { 0 } else { chain.first };
        let mut entries = Vec::with_capacity(names.len());
        for ((name, node), stored) in dir.entries().zip(names) {
            entries.push(self.entry(node, &path.join(name), here, stored)?);
        }
        self.dirs[index].entries = entries;
        Ok(chain)
    }

    fn entry(
        &mut self,
        node: &Node,
        path: &ImgPath,
        parent: u32,
        name: Stored,
    ) -> Result<PlacedEntry, Error> {
        let place = |meta: &Meta, is_dir, chain: Chain, size| PlacedEntry {
            name,
            attributes: attributes(meta, is_dir),
            time: DosTime::from_timestamp(meta.mtime),
            first: chain.first,
            size,
        };
        match node {
            Node::Dir(dir) => Ok(place(
                &dir.meta,
                true,
                self.dir(dir, path, Some(parent), 2)?,
                0,
            )),
            Node::File(id) => {
                let file = self.tree.file(*id);
                let FileKind::Regular(content) = &file.kind else {
                    return Err(Error::unrepresentable(
                        path,
                        "it is neither a regular file nor a directory",
                    ));
                };
                let too_large =
                    |_| Error::unrepresentable(path, "it is larger than 4 GiB less one byte");
                let size = u32::try_from(content.len()).map_err(too_large)?;
                let chain = self.chain(content.len());
                self.files.push(PlacedFile {
                    path: path.clone(),
                    chain,
                    size,
                });
                Ok(place(&file.meta, false, chain, size))
            }
        }
    }

    /// Takes clusters for so many bytes.
    fn chain(&mut self, bytes: u64) -> Chain {
        let len = bytes.div_ceil(self.geometry.cluster_bytes());
        let first = if len == 0 { 0 } else { self.next };
        self.next += len;
        // What does not fit is never written: layout ends in an error then.
        let narrow = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        Chain {
            first: narrow(first),
            len: narrow(len),
        }
    }
}

/// Returns how the names of a directory are stored, in its order.
fn stored_names(dir: &Dir, path: &ImgPath) -> Result<Vec<Stored>, Error> {
    let mut names = Vec::with_capacity(dir.entries().len());
    let mut seen = BTreeMap::new();
    for (name, _) in dir.entries() {
        let text =
            check(name.as_bytes()).map_err(|why| Error::unrepresentable(&path.join(name), why))?;
        if let Some(other) = seen.insert(folded(text), name) {
            let why = format!("its name differs from {other} by case only");
            return Err(Error::unrepresentable(&path.join(name), why));
        }
        names.push(text);
    }
    Ok(store(&names))
}
