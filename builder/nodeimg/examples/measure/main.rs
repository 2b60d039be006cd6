//! Parts of a build by themselves, for `ci/bench` and `ci/growth`, which measure the process from outside.
//!
//! `tree DIR OUT JOBS` writes a folder as an ext4 volume, `raw IMAGE OUT JOBS` a disk image as its own bytes, `grow SAMPLE DATA
//! DISK JOBS` a volume of DISK bytes as a VMDK to nowhere: its files, of 64 KiB each, hold DATA bytes, which repeat a sample.
//! They print bytes. `metadata FILES BYTES DISK` lays out and makes the metadata of a volume, and `stage STAGE FILE JOBS ROUNDS`
//! times one stage beside its library; what these two print is explained where they are. Not part of nodeimg.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::ptr_arg,
    reason = "an example opens files, asks the clock and prints; a Vec is a ReadAt, a slice behind a pointer is not"
)]

mod stages;
mod volumes;

use fstree::{ReadAt, WriteAt};
use std::error::Error;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A file of the host.
struct Host(fs::File, u64);

impl Host {
    fn open(path: &Path) -> io::Result<Self> {
        let file = fs::File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self(file, len))
    }
}

impl ReadAt for Host {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

/// Written as the command writes, and for its reasons: 64 KiB at a time, by one thread at a time.
struct Out(fs::File, Mutex<()>);

impl WriteAt for Out {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let _turn = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = offset;
        for piece in buf.chunks(64 << 10) {
            self.0.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["tree", folder, out, jobs] => {
            let volume = volumes::of_folder(Path::new(folder))?;
            println!("{}", raw(&volume, out, jobs.parse()?)?);
        }
        ["raw", image, out, jobs] => {
            let disk = disk::open(Arc::new(Host::open(Path::new(image))?))?;
            println!("{}", raw(&disk, out, jobs.parse()?)?);
        }
        ["grow", sample, data, disk, jobs] => {
            let volume = volumes::filled(fs::read(sample)?, data.parse()?, disk.parse()?)?;
            println!(
                "{}",
                stages::vmdk(&volume, disk::vmdk::Effort::ByContent, jobs.parse()?)?
            );
        }
        ["metadata", files, bytes, disk] => {
            volumes::metadata(files.parse()?, bytes.parse()?, disk.parse()?)?;
        }
        ["stage", stage, file, jobs, rounds] => {
            let sample = Path::new(file);
            stages::compare(stage, sample, jobs.parse()?, rounds.parse()?)?;
        }
        _ => return Err("measure tree|raw|grow|metadata|stage …".into()),
    }
    Ok(())
}

/// Writes a disk as its own bytes.
fn raw(disk: &dyn ReadAt, out: &str, jobs: NonZeroUsize) -> Outcome<u64> {
    let out = Out(fs::File::create(out)?, Mutex::default());
    disk::raw::write(disk, jobs, &out, &mut |_| ())?;
    out.0.set_len(disk.size())?;
    Ok(disk.size())
}
