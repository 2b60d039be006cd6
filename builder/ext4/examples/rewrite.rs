//! Reads an ext4 image, lays its tree out afresh and writes the volume; prints how long each step took.
//!
//! `cargo run --release -p ext4 --example rewrite IN [OUT]`

#![expect(
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "an example has a host"
)]

use fstree::ReadAt;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;

struct Image(File, u64);

impl ReadAt for Image {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = File::open(args.next().ok_or("which image?")?)?;
    let size = file.metadata()?.len();
    let started = Instant::now();
    let (tree, facts) = ext4::read(Arc::new(Image(file, size)))?;
    println!("{facts}read {:?}", started.elapsed());

    let started = Instant::now();
    let mut options = ext4::Options::like(&facts, size, facts.mkfs_time);
    let smallest = ext4::minimum_size(&tree, &options, 0);
    println!(
        "minimum size {} MiB {:?}",
        smallest >> 20,
        started.elapsed()
    );
    options.size = size.max(smallest);
    let started = Instant::now();
    let layout = ext4::layout(&tree, &options)?;
    println!("layout {:?}", started.elapsed());
    let started = Instant::now();
    let volume = ext4::write(&layout, &tree)?;
    println!("write {:?}", started.elapsed());

    let Some(out) = args.next() else {
        return Ok(());
    };
    let started = Instant::now();
    let out = File::create(out)?;
    out.set_len(volume.size())?;
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    let mut copied = 0;
    while let Some(data) = volume.next_data(at)? {
        // Adjacent tiles go out together.
        let mut end = data.end;
        while end - data.start < 1 << 20
            && let Some(next) = volume.next_data(end)?
            && next.start - end < 4096
        {
            end = next.end;
        }
        at = data.start;
        let n = usize::try_from((end - at).min(1 << 20))?;
        volume.read_exact_at(&mut buf[..n], at)?;
        out.write_all_at(&buf[..n], at)?;
        at += u64::try_from(n)?;
        copied += n;
    }
    println!("copied {} MiB {:?}", copied >> 20, started.elapsed());
    Ok(())
}
