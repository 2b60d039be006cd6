//! A survey of an image's compressed clusters: what must be known of each to hand its DEFLATE stream on without inflating it.
//!
//! One entry of 40 bytes for each cluster of the disk, all integers little-endian: the stream's length in bytes (u32, 0 for a
//! cluster that is no stream, or holds zeros alone), the Adler-32 of its bytes (u32, RFC 1950), and for each sixteenth of the cluster the
//! offset behind its last byte that is not zero (u16). Made once of an image, and kept by whoever keeps the image.

use super::Qcow2;
use crate::error::Error;
use crate::ordered;
use fstree::{ReadAt, WriteAt};
use libdeflater::adler32;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of an entry.
const ENTRY: usize = 40;
/// Parts of a cluster whose ends are told.
const PARTS: usize = 16;
/// Clusters that are looked at as one job.
const BATCH: u64 = 256;
/// No cluster behind so many counts as a stream: 64 GiB of clusters of 64 KiB, whatever a disk claims to have.
const MOST: u64 = 1 << 20;

/// Surveys an image, and writes its entries to `out`; returns how many bytes they take. Of clusters of 1 MiB and more, none counts
/// as a stream.
pub fn survey(image: &Qcow2, jobs: NonZeroUsize, out: &dyn WriteAt) -> Result<u64, Error> {
    let cluster = image.cluster_bytes();
    let count = image.size().div_ceil(cluster as u64).min(MOST);
    let mut next = 0;
    let mut at = 0;
    ordered::run(
        jobs,
        || {
            let first = next;
            next = count.min(first + BATCH);
            Ok((first < next).then_some(first..next))
        },
        || (Vec::new(), vec![0; cluster]),
        |(stream, content), batch: Range<u64>| {
            let mut entries = Vec::new();
            for index in batch {
                stream.clear();
                let found = image.deflated(index, stream, content)?;
                entries.extend(entry(stream, content, found));
            }
            Ok(entries)
        },
        |entries| {
            out.write_all_at(&entries, at)
                .map_err(Error::io("writing the survey of an image"))?;
            at += entries.len() as u64;
            Ok(())
        },
    )?;
    Ok(at)
}

fn entry(stream: &[u8], content: &[u8], found: bool) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let len = u32::try_from(stream.len()).unwrap_or(0);
    let mut ends = content
        .chunks(content.len() / PARTS)
        .map(|part| part.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1));
    if !found || ends.clone().all(|it| it == 0) {
        return entry;
    }
    entry[..4].copy_from_slice(&len.to_le_bytes());
    entry[4..8].copy_from_slice(&adler32(content).to_le_bytes());
    for (to, end) in entry[8..].chunks_exact_mut(2).zip(&mut ends) {
        let Ok(end) = u16::try_from(end) else {
            return [0; ENTRY];
        };
        to.copy_from_slice(&end.to_le_bytes());
    }
    entry
}

/// An image and its survey.
#[derive(Clone)]
pub struct Streams {
    image: Arc<Qcow2>,
    survey: Arc<dyn ReadAt>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Streams({:?})", self.image)
    }
}

impl Streams {
    /// Returns the streams of an image, of which `survey` holds what [`survey`] wrote.
    pub fn new(image: Arc<Qcow2>, survey: Arc<dyn ReadAt>) -> Self {
        Self { image, survey }
    }

    /// Appends the DEFLATE stream of the cluster numbered `index` to `stream` and returns the Adler-32 of its bytes, if it is
    /// one, not of zeros alone, and zero in `holes`, ranges of bytes within the cluster.
    pub fn append(
        &self,
        index: u64,
        holes: &[Range<usize>],
        stream: &mut Vec<u8>,
    ) -> io::Result<Option<u32>> {
        let mut entry = [0; ENTRY];
        let at = index.checked_mul(ENTRY as u64);
        let Some(at) = at.filter(|it| it + ENTRY as u64 <= self.survey.size()) else {
            return Ok(None);
        };
        self.survey.read_exact_at(&mut entry, at)?;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|it| entry[at + it]));
        let part = self.image.cluster_bytes() / PARTS;
        let ends = |n: usize| usize::from(u16::from_le_bytes([8, 9].map(|it| entry[it + 2 * n])));
        let is_zero = |hole: &Range<usize>| {
            (hole.start / part..hole.end.div_ceil(part))
                .all(|n| n < PARTS && n * part + ends(n) <= hole.start.max(n * part))
        };
        let len = usize::try_from(word(0)).map_err(io::Error::other)?;
        if len == 0 || !holes.iter().all(is_zero) {
            return Ok(None);
        }
        let whole = self.image.append_stream(index, len, stream);
        Ok(whole.map_err(io::Error::other)?.then_some(word(4)))
    }
}
