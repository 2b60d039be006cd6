//! Looking into an image, ours or another's: partitions, files with the layer each came from, one file's bytes.
//!
//! An image of ours says in `/usr/lib/nodeimg/image.json` what was laid over its base; dpkg's lists in it say
//! which package a file belongs to. Any other image is all base.

use crate::digest::Digest;
use crate::error::{Error, Result, input, world};
use crate::open::{self, OpenDisk};
use crate::plan::DESCRIPTION;
use crate::volumes;
use crate::want::Blobs;
use fstree::{Content, Dir, File, FileKind, FileTree, ImgPath, Meta, Node, ReadAt, Window};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The longest description of an image; as a JSON value in memory it takes some times as much.
const MAX_DESCRIPTION: u64 = 2 << 20;
/// The longest list of a package's files (firmware's has 0.5 MB), and the most bytes of all lists together.
const MAX_LIST: u64 = 4 << 20;
const MAX_LISTS: u64 = 64 << 20;

/// An image taken apart.
pub struct Shown {
    disk: OpenDisk,
    volumes: Vec<Shelved>,
}

/// A volume of an image.
struct Shelved {
    partition: u32,
    kind: &'static str,
    label: String,
    tree: FileTree,
}

/// What stands at a path.
#[derive(Debug)]
pub enum Found {
    /// A file's content.
    File(Content),
    /// A listing, one line an entry.
    Listing(String),
}

/// Finds the file of that name beside the image: an extent of a VMDK whose descriptor is the image.
pub type Beside<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<Option<Arc<dyn ReadAt>>>;

/// Opens an image in any format nodeimg reads or writes.
pub fn open(
    source: Arc<dyn ReadAt>,
    blobs: &dyn Blobs,
    jobs: NonZeroUsize,
    beside: Beside<'_>,
) -> Result<Shown> {
    let source = appliance_disk(source)?;
    let disk = open::open(
        source.clone(),
        "the image",
        || Digest::of_source(&source).map_err(world("reading the image")),
        blobs,
        jobs,
        beside,
    )?;
    let mut volumes = Vec::new();
    for (partition, window) in volumes::windows(&disk)? {
        if let Ok((tree, facts)) = ext4::read_with(window.clone(), jobs) {
            volumes.push(Shelved {
                partition,
                kind: "ext4",
                label: facts.label.escape_ascii().to_string(),
                tree,
            });
        } else if let Ok((tree, facts)) = fat::read(window) {
            let label = facts.label.map_or_else(String::new, |it| it.to_string());
            volumes.push(Shelved {
                partition,
                kind: "fat",
                label,
                tree,
            });
        }
    }
    Ok(Shown { disk, volumes })
}

/// Returns the first VMDK of an appliance, or the source itself if it is none.
fn appliance_disk(source: Arc<dyn ReadAt>) -> Result<Arc<dyn ReadAt>> {
    let mut magic = [0; 5];
    if source.size() < 512 || source.read_exact_at(&mut magic, 257).is_err() || &magic != b"ustar" {
        return Ok(source);
    }
    let mut archive = tar::Archive::new(crate::lock::Reader {
        source: source.clone(),
        at: 0,
    });
    for entry in archive
        .entries_with_seek()
        .map_err(input("the appliance"))?
    {
        let entry = entry.map_err(input("the appliance"))?;
        if entry.path_bytes().ends_with(b".vmdk") {
            let window = Window::new(source.clone(), entry.raw_file_position(), entry.size())
                .ok_or_else(|| Error::input("the appliance's disk is cut off"))?;
            return Ok(Arc::new(window));
        }
    }
    Err(Error::input("the appliance holds no VMDK"))
}

impl Shown {
    /// Returns the partitions and their volumes as text.
    pub fn partitions(&self) -> String {
        let mut text = self.disk.table.to_string();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        for it in &self.volumes {
            writeln!(
                text,
                "volume {} {} {:?} {} files",
                it.partition,
                it.kind,
                it.label,
                it.tree.walk().count()
            )
            .expect("a String takes all");
        }
        text
    }

    /// Returns what stands at `path` of a partition, named by number or label; by default of the first ext4.
    pub fn find(&self, partition: Option<&str>, path: &str) -> Result<Found> {
        let volume = self.volume(partition)?;
        let path = ImgPath::new(path).map_err(input("the path to show"))?;
        if let Some(dir) = volume.tree.dir(&path) {
            let layers = self.layers()?;
            let mut text = String::new();
            list(&volume.tree, &path, dir, &layers, &mut text);
            return Ok(Found::Listing(text));
        }
        match volume.tree.content(&path) {
            Some(content) => Ok(Found::File(content.clone())),
            None => Err(Error::input(format!(
                "there is no file {path} on volume {:?}",
                volume.label
            ))
            .help("`--partition` looks at another one")),
        }
    }

    /// Returns the whole tree of a partition as text, each entry with its layer.
    pub fn tree(&self, partition: Option<&str>) -> Result<String> {
        let volume = self.volume(partition)?;
        let layers = self.layers()?;
        let mut text = String::new();
        for (path, node) in volume.tree.walk() {
            line(&volume.tree, &path, node, &layers, &mut text);
        }
        Ok(text)
    }

    /// Returns the layers as the root file system tells them, which is the first ext4.
    fn layers(&self) -> Result<Layers> {
        let root = self.volumes.iter().find(|it| it.kind == "ext4");
        root.map_or_else(|| Ok(Layers::none()), |it| Layers::of(&it.tree))
    }

    fn volume(&self, wanted: Option<&str>) -> Result<&Shelved> {
        let found = match wanted {
            None => self
                .volumes
                .iter()
                .find(|it| it.kind == "ext4")
                .or_else(|| self.volumes.first()),
            Some(text) => self
                .volumes
                .iter()
                .find(|it| it.label == text || it.partition.to_string() == text),
        };
        found.ok_or_else(|| {
            let known: Vec<_> = self
                .volumes
                .iter()
                .map(|it| format!("{} ({})", it.partition, it.label))
                .collect();
            Error::input("there is no such volume in the image")
                .help(format!("volumes are {}", known.join(", ")))
        })
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({} volumes)", self.volumes.len())
    }
}

fn list(tree: &FileTree, path: &ImgPath, dir: &Dir, layers: &Layers, text: &mut String) {
    for (name, node) in dir.entries() {
        line(tree, &path.join(name), node, layers, text);
    }
}

fn line(tree: &FileTree, path: &ImgPath, node: &Node, layers: &Layers, text: &mut String) {
    let (kind, meta, what): (char, &Meta, String) = match node {
        Node::Dir(dir) => ('d', &dir.meta, String::new()),
        Node::File(id) => {
            let File { meta, kind } = tree.file(*id);
            match kind {
                FileKind::Regular(content) => ('-', meta, content.len().to_string()),
                FileKind::Symlink(target) => {
                    ('l', meta, format!("-> {}", String::from_utf8_lossy(target)))
                }
                FileKind::BlockDevice { major, minor } => ('b', meta, format!("{major},{minor}")),
                FileKind::CharDevice { major, minor } => ('c', meta, format!("{major},{minor}")),
                FileKind::Fifo => ('p', meta, String::new()),
                FileKind::Socket => ('s', meta, String::new()),
            }
        }
    };
    let layer = layers.of_path(path, meta);
    writeln!(
        text,
        "{kind}{:04o} {:>5}:{:<5} {layer:<24} {path} {what}",
        meta.mode, meta.uid, meta.gid
    )
    .expect("a String takes all");
}

/// Which layer a path came from, as far as the image itself tells.
struct Layers {
    /// Overlays, container images and packages by path.
    of: BTreeMap<String, String>,
    /// The build's time, which everything has that was made.
    time: Option<i64>,
}

impl Layers {
    /// Returns the layers of an image that tells none: all is base.
    fn none() -> Self {
        Self {
            of: BTreeMap::new(),
            time: None,
        }
    }

    fn of(tree: &FileTree) -> Result<Self> {
        let mut layers = Self::none();
        let path = ImgPath::new(DESCRIPTION).expect("a constant path");
        let Some(content) = tree.content(&path) else {
            return Ok(layers);
        };
        let bytes = content
            .read_all(MAX_DESCRIPTION)
            .map_err(input(DESCRIPTION))?;
        let text: Value = serde_json::from_slice(&bytes).map_err(input(DESCRIPTION))?;
        layers.time = text["time"].as_i64();
        let packages = text["packages"].as_array().into_iter().flatten();
        layers.packages(tree, packages.filter_map(|it| it["name"].as_str()))?;
        for (kind, named) in [("image", &text["images"]), ("overlay", &text["overlays"])] {
            for (name, paths) in named.as_object().into_iter().flatten() {
                let paths = paths.as_array().into_iter().flatten();
                let paths = paths.filter_map(Value::as_str);
                let entry = |path: &str| (path.to_owned(), format!("{kind} {name}"));
                layers.of.extend(paths.map(entry));
            }
        }
        Ok(layers)
    }

    /// Takes the lists of packages in their order, each once.
    fn packages<'a>(
        &mut self,
        tree: &FileTree,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<()> {
        let info = ImgPath::new("/var/lib/dpkg/info").expect("a constant path");
        let Some(dir) = tree.dir(&info) else {
            return Ok(());
        };
        // `<package>.<kind>`, or `<package>:<architecture>.<kind>`; a package's name may hold dots, a kind does not.
        let order: BTreeMap<&[u8], usize> = names.map(str::as_bytes).zip(0..).collect();
        let mut files: Vec<_> = dir
            .entries()
            .filter_map(|(file, _)| {
                let mut parts = file.as_bytes().rsplitn(2, |it| *it == b'.');
                let (kind, stem) = (parts.next()?, parts.next()?);
                let name = stem.split(|it| *it == b':').next()?;
                Some((*order.get(name)?, name, kind, info.join(file)))
            })
            .collect();
        files.sort_by_key(|it| it.0);
        let mut left = MAX_LISTS;
        for (_, name, kind, path) in files {
            let name = String::from_utf8_lossy(name);
            self.of.insert(path.to_string(), format!("package {name}"));
            let Some(content) = tree.content(&path).filter(|_| kind == b"list") else {
                continue;
            };
            left = left.checked_sub(content.len()).ok_or_else(|| {
                Error::input("the lists of the image's packages are larger than 64 MiB")
            })?;
            let bytes = content
                .read_all(MAX_LIST)
                .map_err(input(format!("the files of package {name}")))?;
            self.package(tree, &name, &bytes);
        }
        Ok(())
    }

    /// Takes a package's list; files of the base that an overlay or package replaced are the later one's.
    fn package(&mut self, tree: &FileTree, name: &str, list: &[u8]) {
        for path in String::from_utf8_lossy(list).lines() {
            // A conffile of a package that is not configured yet waits under a name of its own.
            for path in [path.to_owned(), format!("{path}.dpkg-new")] {
                let real = ImgPath::new(&path)
                    .ok()
                    .and_then(|it| tree.locate(&it).ok());
                let at = real.as_ref().and_then(|it| tree.get(it));
                if let (Some(real), Some(Node::File(_))) = (&real, at) {
                    self.of.insert(real.to_string(), format!("package {name}"));
                }
            }
        }
    }

    fn of_path(&self, path: &ImgPath, meta: &Meta) -> &str {
        match self.of.get(&path.to_string()) {
            Some(layer) => layer,
            None if path.to_string() == DESCRIPTION => "made",
            // FAT counts time in steps of two seconds.
            None if self.time.map(|it| it & !1) == Some(meta.mtime.secs & !1) => "made",
            None => "base",
        }
    }
}
