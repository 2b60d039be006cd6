//! Converts a disk from one container to another: `convert KIND IN OUT [JOBS [LEVEL]]`, for measuring.
//!
//! KIND is vmdk, qcow2, qcow2-zstd, raw, zst, xz, or decode (of a compressed raw disk). Not part of nodeimg: the command
//! does the same through its own files.
#![expect(
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example opens files and prints"
)]

use disk::compress::{self, Compression};
use disk::qcow2::{self, Qcow2Compression, Qcow2Options};
use disk::vmdk::{self, Effort, VmdkOptions};
use fstree::{ReadAt, WriteAt};
use std::fs::File;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// A file, its holes found by scanning nothing: all of it is data, as in the worst case.
struct Host(File, u64);

impl ReadAt for Host {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok((offset < self.1).then_some(offset..self.1))
    }
}

impl WriteAt for Host {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }
}

fn main() {
    if let Err(error) = run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [kind, from, to, rest @ ..] = arguments else {
        return Err("convert KIND IN OUT [JOBS [LEVEL]]".into());
    };
    let jobs: NonZeroUsize = rest
        .first()
        .map_or(Ok(NonZeroUsize::MIN), |it| it.parse())?;
    let level = rest.get(1).map(|it| it.parse::<u8>()).transpose()?;
    let file = File::open(from)?;
    let size = file.metadata()?.len();
    let source: Arc<dyn ReadAt> = Arc::new(Host(file, size));
    let out = File::create(to)?;
    let start = std::time::Instant::now();
    let mut stream = io::BufWriter::with_capacity(1 << 20, out.try_clone()?);
    let host = Host(out, 0);
    let quiet = &mut |_| {};
    match kind.as_str() {
        "decode" => {
            let size = disk::compressed::decode(&source, jobs, 1 << 40, &host, quiet)?;
            host.0.set_len(size)?;
        }
        "raw" => {
            let disk = disk::open(source)?;
            let map = disk::raw::write(&disk, jobs, &host, &mut |_| {})?;
            host.0.set_len(map.size)?;
        }
        "vmdk" => {
            let options = VmdkOptions {
                uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
                cid: 1,
                file_name: "disk.vmdk".to_owned(),
                effort: level.map_or(Effort::ByContent, Effort::Level),
                cache: None,
                ready: None,
            };
            println!(
                "{:?}",
                vmdk::write_stream(&disk::open(source)?, &options, jobs, &mut stream, quiet)?
            );
        }
        "qcow2" | "qcow2-zstd" => {
            let level = level.unwrap_or(if kind == "qcow2" { 6 } else { 3 });
            let compression = if kind == "qcow2" {
                Qcow2Compression::Deflate(level.into())
            } else {
                Qcow2Compression::Zstd(level.into())
            };
            let options = Qcow2Options { compression };
            println!(
                "{:?}",
                qcow2::write(&disk::open(source)?, &options, jobs, &host, quiet)?
            );
        }
        "zst" => {
            compress::write(
                &disk::open(source)?,
                Compression::Zst(level.unwrap_or(3).into()),
                jobs,
                &mut stream,
                quiet,
            )?;
        }
        "xz" => {
            compress::write(
                &disk::open(source)?,
                Compression::Xz(level.unwrap_or(1).into()),
                jobs,
                &mut stream,
                quiet,
            )?;
        }
        other => return Err(format!("no such kind: {other}").into()),
    }
    stream.flush()?;
    println!(
        "{:.2} s, {} bytes",
        start.elapsed().as_secs_f64(),
        host.0.metadata()?.len()
    );
    Ok(())
}
