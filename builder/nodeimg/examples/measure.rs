//! Parts of a build by themselves, for measuring: `measure tree DIR OUT JOBS`, `measure raw IMAGE OUT JOBS`,
//! `measure grow SAMPLE DATA DISK JOBS`, and `measure STAGE FILE JOBS` with the stages sha256, deflate, zst and xz.
//!
//! `tree` writes a folder as an ext4 volume, `raw` a disk image as its own bytes; `grow` writes a disk of DISK bytes, DATA of which repeat a sample, as a VMDK to
//! nowhere. Prints bytes. Not part of nodeimg: `ci/bench` measures the process from outside.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::ptr_arg,
    reason = "an example opens files and prints"
)]

use disk::compress::{self, Compression};
use disk::vmdk::{self, VmdkOptions};
use ext4::Options;
use fstree::{
    Content, File, FileKind, FileTree, ImgPath, Layer, Meta, Mosaic, MosaicBuilder, ReadAt,
    Timestamp, WriteAt,
};
use sha2::{Digest as _, Sha256};
use std::error::Error;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A file of the host that is opened each time it is read.
struct Host(PathBuf, u64);

impl ReadAt for Host {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        fs::File::open(&self.0)?.read_exact_at(buf, offset)
    }
}

struct Out(fs::File);

impl WriteAt for Out {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let bytes = match words[..] {
        ["tree", folder, out, jobs] => tree(Path::new(folder), out, jobs.parse()?)?,
        ["raw", image, out, jobs] => {
            let image = Host(image.into(), fs::metadata(image)?.len());
            raw(&disk::open(Arc::new(image))?, out, jobs.parse()?)?
        }
        ["grow", sample, data, disk, jobs] => {
            let disk = grow(&fs::read(sample)?, data.parse()?, disk.parse()?)?;
            written(&disk, jobs.parse()?)?
        }
        [stage, file, jobs] => stage_of(stage, &fs::read(file)?, jobs.parse()?)?,
        _ => return Err("measure tree|raw|grow|sha256|deflate|zst|xz …".into()),
    };
    println!("{bytes}");
    Ok(())
}

/// Writes a folder as a volume of the smallest size that holds it.
fn tree(folder: &Path, out: &str, jobs: NonZeroUsize) -> Outcome<u64> {
    let mut tree = FileTree::new(meta(&fs::symlink_metadata(folder)?));
    fill(&mut tree, folder, &ImgPath::root())?;
    let mut options = Options::new(0, [7; 16], Timestamp::from_secs(1_700_000_000));
    options.size = ext4::minimum_size(&tree, &options, 0);
    let volume = ext4::write(&ext4::layout(&tree, &options)?, &tree)?;
    raw(&volume, out, jobs)
}

/// Writes a disk as its own bytes.
fn raw(disk: &dyn ReadAt, out: &str, jobs: NonZeroUsize) -> Outcome<u64> {
    let out = Out(fs::File::create(out)?);
    disk::raw::write(disk, jobs, &out, &mut |_| ())?;
    out.0.set_len(disk.size())?;
    Ok(disk.size())
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
        let name = fstree::Name::new(entry.file_name().as_bytes())?;
        let path = at.join(&name);
        let meta = meta(&found);
        let kind = if found.is_dir() {
            tree.put_dir(&path, meta)?;
            fill(tree, &entry.path(), &path)?;
            continue;
        } else if found.is_symlink() {
            FileKind::Symlink(fs::read_link(entry.path())?.as_os_str().as_bytes().to_vec())
        } else {
            let host = Arc::new(Host(entry.path(), found.len()));
            FileKind::Regular(Content::range(host, 0, found.len()))
        };
        tree.put(&path, File { meta, kind })?;
    }
    Ok(())
}

/// Returns a disk whose first `data` bytes repeat a sample.
fn grow(sample: &[u8], data: u64, disk: u64) -> Outcome<Mosaic> {
    let (len, sample): (_, Arc<dyn ReadAt>) = (sample.len() as u64, Arc::new(sample.to_vec()));
    let mut builder = MosaicBuilder::new();
    let mut at = 0;
    while at < data {
        builder.place(at, sample.clone(), 0, len.min(data - at));
        at += len;
    }
    Ok(builder.finish(disk.max(data))?)
}

fn written(disk: &dyn ReadAt, jobs: NonZeroUsize) -> Outcome<u64> {
    let options = VmdkOptions {
        uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
        cid: 1,
        file_name: "disk.vmdk".to_owned(),
        level: VmdkOptions::LEVEL,
        cache: None,
    };
    Ok(vmdk::write_stream(disk, &options, jobs, &mut io::sink(), &mut |_| ())?.bytes)
}

/// Does one stage's work on a file in memory; digests are of as many parts as there are jobs, as inputs are many.
fn stage_of(stage: &str, bytes: &Vec<u8>, jobs: NonZeroUsize) -> Outcome<u64> {
    let len = bytes.len() as u64;
    let compression = match stage {
        "sha256" => {
            std::thread::scope(|scope| {
                for part in bytes.chunks(bytes.len().div_ceil(jobs.get())) {
                    scope.spawn(move || std::hint::black_box(Sha256::digest(part)));
                }
            });
            return Ok(len);
        }
        "deflate" => return written(bytes, jobs).map(|_| len),
        "zst" => Compression::Zst(3),
        "xz" => Compression::Xz(3),
        other => return Err(format!("no such stage: {other}").into()),
    };
    compress::write(bytes, compression, jobs, &mut io::sink(), &mut |_| ())?;
    Ok(len)
}
