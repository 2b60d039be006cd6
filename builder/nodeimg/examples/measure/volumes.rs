//! Volumes to measure: a folder of the host, and trees that are made up.

use crate::Outcome;
use ext4::Options;
use fstree::{
    Content, File, FileKind, FileTree, ImgPath, Layer, Meta, Mosaic, Name, Named, ReadAt,
    SourceName, Timestamp,
};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Bytes of a made up file: about the mean of a Linux system's.
const FILE: u64 = 64 << 10;
/// Made up files in one directory.
const IN_ONE: u64 = 1000;

/// A file of the host that is opened each time it is read: a tree has more of them than a process may hold open.
struct Unopened(PathBuf, u64);

impl ReadAt for Unopened {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        fs::File::open(&self.0)?.read_exact_at(buf, offset)
    }
}

fn options(size: u64) -> Options {
    Options::new(size, [7; 16], Timestamp::from_secs(1_700_000_000))
}

fn volume(tree: &FileTree, size: u64) -> Outcome<Mosaic> {
    Ok(ext4::write(&ext4::layout(tree, &options(size))?, tree)?)
}

/// Returns a folder as a volume of the smallest size that holds it.
pub(crate) fn of_folder(folder: &Path) -> Outcome<Mosaic> {
    let mut tree = FileTree::new(meta(&fs::symlink_metadata(folder)?));
    fill(&mut tree, folder, &ImgPath::root())?;
    let size = ext4::minimum_size(&tree, &options(0), 0);
    volume(&tree, size)
}

fn meta(it: &fs::Metadata) -> Meta {
    Meta {
        mode: u16::try_from(it.mode() & 0o7777).unwrap_or(0o644),
        uid: it.uid(),
        gid: it.gid(),
        mtime: Timestamp::from_secs(it.mtime()),
        layer: Layer(0),
        ..Meta::default()
    }
}

/// Puts what is in a folder of the host into the tree.
fn fill(tree: &mut FileTree, folder: &Path, at: &ImgPath) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        let path = at.join(&Name::new(entry.file_name().as_bytes())?);
        let meta = meta(&found);
        let kind = if found.is_dir() {
            tree.put_dir(&path, meta)?;
            fill(tree, &entry.path(), &path)?;
            continue;
        } else if found.is_symlink() {
            FileKind::Symlink(fs::read_link(entry.path())?.as_os_str().as_bytes().to_vec())
        } else {
            let host = Arc::new(Unopened(entry.path(), found.len()));
            FileKind::Regular(Content::range(host, 0, found.len()))
        };
        tree.put(&path, File { meta, kind })?;
    }
    Ok(())
}

/// A source that repeats a sample.
struct Repeated(Vec<u8>, u64);

impl ReadAt for Repeated {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, mut buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut at = usize::try_from(offset % self.0.len() as u64).map_err(io::Error::other)?;
        while !buf.is_empty() {
            let n = buf.len().min(self.0.len() - at);
            let (now, rest) = buf.split_at_mut(n);
            now.copy_from_slice(&self.0[at..at + n]);
            (buf, at) = (rest, 0);
        }
        Ok(())
    }
}

/// Puts `count` files with so many bytes of `source` each, one after the other, into directories.
fn made_up(tree: &mut FileTree, count: u64, source: &Arc<dyn ReadAt>, len: u64) -> Outcome<()> {
    let meta = Meta::root_owned(0o644, Timestamp::from_secs(1_600_000_000), Layer(0));
    let folder_meta = Meta::root_owned(0o755, meta.mtime, Layer(0));
    let mut folder = ImgPath::root();
    for number in 0..count {
        if number % IN_ONE == 0 {
            let name = format!("folder-{}", number / IN_ONE);
            folder = ImgPath::root().join(&Name::new(name.as_bytes())?);
            tree.put_dir(&folder, folder_meta.clone())?;
        }
        let name = format!("some-file-{number}.txt");
        let content = Content::range(source.clone(), number * len, len);
        let kind = FileKind::Regular(content);
        let file = File {
            meta: meta.clone(),
            kind,
        };
        tree.put(&folder.join(&Name::new(name.as_bytes())?), file)?;
    }
    Ok(())
}

fn empty_tree() -> FileTree {
    let time = Timestamp::from_secs(1_600_000_000);
    FileTree::new(Meta::root_owned(0o755, time, Layer(0)))
}

/// Returns a volume of at least `size` bytes whose files hold `data` bytes.
pub(crate) fn filled(sample: Vec<u8>, data: u64, size: u64) -> Outcome<Mosaic> {
    let mut tree = empty_tree();
    let source = Named::new(Arc::new(Repeated(sample, data)), SourceName([1; 32]));
    let source: Arc<dyn ReadAt> = Arc::new(source);
    made_up(&mut tree, data / FILE, &source, FILE)?;
    let size = size.max(ext4::minimum_size(&tree, &options(size), 0));
    volume(&tree, size)
}

/// Lays out and makes the metadata of a volume of `size` bytes, with so many empty files and one file of `bytes` bytes.
/// Prints the seconds it took to lay out and to make, the bytes of metadata, and `VmRSS` before and `VmHWM` after in KiB.
pub(crate) fn metadata(files: u64, bytes: u64, size: u64) -> Outcome<()> {
    let mut tree = empty_tree();
    let source: Arc<dyn ReadAt> = Arc::new(Repeated(vec![1], bytes.max(1)));
    made_up(&mut tree, files, &source, 0)?;
    if bytes > 0 {
        let kind = FileKind::Regular(Content::range(source, 0, bytes));
        let meta = Meta::root_owned(0o644, Timestamp::from_secs(0), Layer(0));
        tree.put(
            &ImgPath::root().join(&Name::new(b"large")?),
            File { meta, kind },
        )?;
    }
    let before = memory("VmRSS:")?;
    let options = options(size);
    let start = Instant::now();
    let layout = ext4::layout(&tree, &options)?;
    let laid_out = start.elapsed().as_secs_f64();
    let volume = ext4::write(&layout, &tree)?;
    let made = start.elapsed().as_secs_f64() - laid_out;
    let (mut data, mut at) = (0, 0);
    while let Some(range) = volume.next_data(at)? {
        data += range.end - range.start;
        at = range.end;
    }
    let metadata = data.saturating_sub(bytes);
    let after = memory("VmHWM:")?;
    println!("{laid_out:.4} {made:.4} {metadata} {before} {after}");
    Ok(())
}

/// Returns a line of the kernel's account of this process, in KiB.
fn memory(field: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|it| it.strip_prefix(field));
    let number = line.and_then(|it| it.split_whitespace().next());
    Ok(number.ok_or("the kernel tells no memory")?.parse()?)
}
