//! One stage of a build beside the library that does its work: what is left of the library's speed once work is cut, handed
//! to threads, and put in order again.

use crate::{Host, Outcome};
use disk::compress::{self, Compression};
use disk::vmdk::{self, Effort, VmdkOptions};
use fstree::{ReadAt, Window};
use libdeflater::{CompressionLvl, Compressor};
use liblzma::stream::{Action, Check, Status};
use nodeimg::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::hint::black_box;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// One level for all, so that the library does the same work.
const DEFLATE_LEVEL: u8 = 2;
const ZST_LEVEL: i32 = 3;
const XZ_PRESET: u32 = 3;
const GRAIN: usize = 64 << 10;
const FRAME: usize = 4 << 20;

/// Writes a disk as a VMDK to nowhere; returns its bytes.
pub(crate) fn vmdk(disk: &dyn ReadAt, effort: Effort, jobs: NonZeroUsize) -> Outcome<u64> {
    let options = VmdkOptions {
        uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
        cid: 1,
        file_name: "disk.vmdk".to_owned(),
        effort,
        cache: None,
        ready: None,
    };
    Ok(vmdk::write_stream(disk, &options, jobs, &mut io::sink(), &mut |_| ())?.bytes)
}

/// Times a stage on a file, `rounds` times by turns. Prints median seconds of three: the library alone on one thread; the
/// library on `jobs` threads that share nothing, each with its own part of the file; nodeimg's stage with `jobs` threads.
pub(crate) fn compare(stage: &str, file: &Path, jobs: NonZeroUsize, rounds: usize) -> Outcome<()> {
    let bytes = fs::read(file)?;
    let library = library(stage)?;
    let mut taken = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        taken[0].push(timed(|| {
            library(&bytes);
            Ok(())
        })?);
        taken[1].push(timed(|| {
            std::thread::scope(|scope| {
                for part in parts(&bytes, jobs) {
                    scope.spawn(move || library(part));
                }
            });
            Ok(())
        })?);
        taken[2].push(timed(|| ours(stage, file, &bytes, jobs))?);
    }
    for mut seconds in taken {
        seconds.sort_by(f64::total_cmp);
        println!("{:.4}", seconds[seconds.len() / 2]);
    }
    Ok(())
}

fn timed(work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Cuts bytes into a part for each job, at whole frames.
fn parts(bytes: &[u8], jobs: NonZeroUsize) -> impl Iterator<Item = &[u8]> {
    let len = bytes.len().div_ceil(jobs.get()).next_multiple_of(2 * FRAME);
    bytes.chunks(len)
}

/// Returns what a library does to bytes, in the pieces that nodeimg gives it.
fn library(stage: &str) -> Outcome<fn(&[u8])> {
    Ok(match stage {
        "sha256" => |bytes| {
            black_box(Sha256::digest(bytes));
        },
        "deflate" => |bytes| {
            let level = CompressionLvl::new(i32::from(DEFLATE_LEVEL)).expect("a level");
            let mut compressor = Compressor::new(level);
            let mut out = vec![0; compressor.zlib_compress_bound(GRAIN)];
            for grain in bytes.chunks(GRAIN) {
                black_box(compressor.zlib_compress(grain, &mut out).expect("room"));
            }
        },
        "zst" => |bytes| {
            let mut compressor = zstd::bulk::Compressor::new(ZST_LEVEL).expect("a level");
            for frame in bytes.chunks(FRAME) {
                black_box(compressor.compress(frame).expect("memory"));
            }
        },
        "xz" => |bytes| {
            for block in bytes.chunks(2 * FRAME) {
                let encoder = liblzma::stream::Stream::new_easy_encoder(XZ_PRESET, Check::Crc32);
                let mut encoder = encoder.expect("memory");
                let mut out = Vec::with_capacity(block.len() + (1 << 16));
                let status = encoder.process_vec(block, &mut out, Action::Finish);
                assert_eq!(status.expect("memory"), Status::StreamEnd, "there is room");
            }
        },
        other => return Err(format!("no such stage: {other}").into()),
    })
}

/// Does one stage's work as a build does. Inputs are hashed each by one thread: here there are as many as jobs.
fn ours(stage: &str, file: &Path, bytes: &Vec<u8>, jobs: NonZeroUsize) -> Outcome<()> {
    let compression = match stage {
        "sha256" => {
            let host: Arc<dyn ReadAt> = Arc::new(Host::open(file)?);
            std::thread::scope(|scope| {
                let mut at = 0;
                for part in parts(bytes, jobs) {
                    let window = Window::new(host.clone(), at, part.len() as u64).expect("within");
                    scope.spawn(move || black_box(Digest::of_source(&window).expect("readable")));
                    at += part.len() as u64;
                }
            });
            return Ok(());
        }
        "deflate" => return vmdk(bytes, Effort::Level(DEFLATE_LEVEL), jobs).map(|_| ()),
        "zst" => Compression::Zst(ZST_LEVEL),
        _ => Compression::Xz(XZ_PRESET),
    };
    compress::write(bytes, compression, jobs, &mut io::sink(), &mut |_| ())?;
    Ok(())
}
