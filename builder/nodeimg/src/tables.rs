//! What every build reads of a large input, in one piece: a base's tables and directories and dpkg's database, a tarball's headers.
//!
//! They lie scattered, a few KiB here and there, and each costs verifying, or decoding, 64 KiB around it. So the ranges that
//! are read are noted once, and their bytes kept by the host. Layout, all integers little-endian: count of ranges (u64); start
//! and length of each (u64), in rising order and apart from each other; the bytes of all, one after the other.

use crate::error::Result;
use crate::want::Blobs;
use fstree::{Mosaic, MosaicBuilder, Origin, ReadAt, WriteAt};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are copied at once.
const PIECE: u64 = 1 << 20;
/// A range takes so many bytes before the bytes begin.
const ENTRY: u64 = 16;

/// Returns the source with what `read` reads of it taken from what was kept under `key`, or kept now.
///
/// `key` names the source, and what `read` reads.
pub(crate) fn kept(
    source: Arc<dyn ReadAt>,
    key: &str,
    blobs: &dyn Blobs,
    read: impl Fn(&Arc<dyn ReadAt>) -> Result<()>,
) -> Result<Arc<dyn ReadAt>> {
    let mut failed = None;
    let blob = blobs.derive(&format!("{key}.tables 1"), &mut |out| {
        let noting = Arc::new(Noting {
            source: source.clone(),
            seen: Mutex::default(),
        });
        let noted: Arc<dyn ReadAt> = noting.clone();
        if let Err(error) = read(&noted) {
            // It is told as if nothing had been kept.
            failed = Some(error);
            return Err(io::Error::other("it cannot be read"));
        }
        write(&source, &noting.ranges(), out)
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let bytes = Ranges::read(&blob?).and_then(|it| it.over(&source));
    let bytes = bytes.map_err(crate::error::world("reading what was kept"))?;
    Ok(Arc::new(Kept { bytes, source }))
}

/// Writes ranges of a source; returns how many bytes that makes.
fn write(source: &dyn ReadAt, ranges: &[Range<u64>], out: &dyn WriteAt) -> io::Result<u64> {
    let mut front = (ranges.len() as u64).to_le_bytes().to_vec();
    for range in ranges {
        front.extend(range.start.to_le_bytes());
        front.extend((range.end - range.start).to_le_bytes());
    }
    out.write_all_at(&front, 0)?;
    let (mut at, mut buf) = (front.len() as u64, Vec::new());
    for range in ranges {
        let mut from = range.start;
        while from < range.end {
            let len = (range.end - from).min(PIECE);
            buf.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
            source.read_exact_at(&mut buf, from)?;
            out.write_all_at(&buf, at)?;
            (from, at) = (from + len, at + len);
        }
    }
    Ok(at)
}

/// A source of which it is noted what is read.
struct Noting {
    source: Arc<dyn ReadAt>,
    seen: Mutex<Vec<Range<u64>>>,
}

impl Noting {
    /// Returns the ranges that were read, in order; those that meet are one.
    fn ranges(&self) -> Vec<Range<u64>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = std::mem::take(&mut *seen);
        all.sort_by_key(|it| it.start);
        let mut apart: Vec<Range<u64>> = Vec::new();
        for range in all {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }
}

impl ReadAt for Noting {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.source.read_exact_at(buf, offset)?;
        if !buf.is_empty() {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(offset..offset + buf.len() as u64);
        }
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.source.next_data(offset)
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        self.source.origins(range, tell);
    }
}

/// Ranges of a source that were kept.
struct Ranges {
    blob: Arc<dyn ReadAt>,
    /// Each range of the source, and where its bytes are in the blob.
    places: Vec<(Range<u64>, u64)>,
}

impl Ranges {
    /// Reads where what is; [`io::ErrorKind::InvalidData`] says that the blob is not one of these.
    fn read(blob: &Arc<dyn ReadAt>) -> io::Result<Self> {
        let bad = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "these are no ranges of a source",
            )
        };
        let mut number = [0; 8];
        blob.read_exact_at(&mut number, 0)?;
        let count = u64::from_le_bytes(number);
        let front = count.checked_mul(ENTRY).and_then(|it| it.checked_add(8));
        let front = front.filter(|it| *it <= blob.size()).ok_or_else(bad)?;
        let len = usize::try_from(front - 8).map_err(io::Error::other)?;
        let mut entries = vec![0; len];
        blob.read_exact_at(&mut entries, 8)?;
        let (entries, _) = entries.as_chunks::<8>();
        let (mut at, mut end, mut places) = (front, 0, Vec::new());
        for pair in entries.chunks_exact(2) {
            let (start, len) = (u64::from_le_bytes(pair[0]), u64::from_le_bytes(pair[1]));
            let range = start..start.checked_add(len).ok_or_else(bad)?;
            if range.start < end || range.is_empty() {
                return Err(bad());
            }
            end = range.end;
            places.push((range, at));
            at = at.checked_add(len).ok_or_else(bad)?;
        }
        if at != blob.size() {
            return Err(bad());
        }
        Ok(Self {
            blob: blob.clone(),
            places,
        })
    }

    /// Returns the bytes of the source, these in place of its own.
    fn over(&self, source: &Arc<dyn ReadAt>) -> io::Result<Mosaic> {
        let (mut tiles, mut end) = (MosaicBuilder::new(), 0);
        for (range, at) in &self.places {
            tiles.place(end, source.clone(), end, range.start - end);
            tiles.place(range.start, self.blob.clone(), *at, range.end - range.start);
            end = range.end;
        }
        let rest = source.size().saturating_sub(end);
        tiles.place(end, source.clone(), end, rest);
        tiles.finish(source.size()).map_err(io::Error::other)
    }
}

/// A source of which some ranges were kept. Where data is and what it is called is what the source says.
struct Kept {
    /// What was kept, and the source around it.
    bytes: Mosaic,
    source: Arc<dyn ReadAt>,
}

impl ReadAt for Kept {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes.read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.source.next_data(offset)
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        self.source.origins(range, tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::want::held::{File, Host};
    use fstree::{Named, SourceName};

    const SIZE: u64 = 3 << 20;

    fn byte(at: u64) -> u8 {
        (at / 3 % 251).to_le_bytes()[0]
    }

    /// A disk that fails where it should not be read.
    struct Disk(fn(u64) -> bool);

    impl ReadAt for Disk {
        fn size(&self) -> u64 {
            SIZE
        }

        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            for (at, it) in (offset..).zip(buf) {
                if at >= SIZE || !self.0(at) {
                    return Err(io::Error::other(format!("read at {at}")));
                }
                *it = byte(at);
            }
            Ok(())
        }
    }

    fn open(readable: fn(u64) -> bool) -> Arc<dyn ReadAt> {
        let disk = Named::new(Arc::new(Disk(readable)), SourceName([7; 32]));
        Arc::new(disk)
    }

    /// Two ranges, of which one is read in three parts, the last first.
    fn read(disk: &Arc<dyn ReadAt>) -> Result<()> {
        for (at, len) in [(5000, 1000), (1 << 20, 1_500_000), (4000, 700), (4500, 500)] {
            let mut buf = vec![0; len];
            let done = disk.read_exact_at(&mut buf, at);
            done.map_err(crate::error::input("the disk"))?;
        }
        Ok(())
    }

    fn was_read(at: u64) -> bool {
        (4000..6000).contains(&at) || (1 << 20..(1 << 20) + 1_500_000).contains(&at)
    }

    #[test]
    fn what_was_read_once_is_read_no_more_and_all_bytes_are_the_disks() {
        let host = Host::default();
        kept(open(|_| true), "x", &host, read).unwrap();
        let again = kept(open(|at| !was_read(at)), "x", &host, |_| panic!("again")).unwrap();
        read(&again).unwrap();
        let (blob, front) = (host.derived.lock().unwrap()["x.tables 1"].len(), 8 + 2 * 16);
        assert_eq!(blob, front + 2000 + 1_500_000);
        let ends = [
            0,
            1,
            3999,
            4000,
            4001,
            5999,
            6000,
            6001,
            1 << 20,
            2_548_576,
            SIZE,
        ];
        for start in ends {
            for end in ends.into_iter().filter(|it| *it >= start) {
                let mut buf = vec![0xee; usize::try_from(end - start).unwrap()];
                again.read_exact_at(&mut buf, start).unwrap();
                assert!(buf.iter().zip(start..).all(|(it, at)| *it == byte(at)));
            }
        }
        assert!(again.read_exact_at(&mut [0; 2], SIZE - 1).is_err());
        let mut told = Vec::new();
        let mut tell = |range, origin| told.push((range, origin));
        again.origins(3000..5000, &mut tell);
        let origin = Origin::Named(SourceName([7; 32]), 3000);
        assert_eq!(told, [(3000..5000, origin)]);
    }

    #[test]
    fn what_cannot_be_read_is_told_as_such_and_nothing_is_kept() {
        let host = Host::default();
        let error = kept(open(|at| at < 4500), "x", &host, read).err().unwrap();
        assert!(matches!(error, Error::Input { .. }), "{error:?}");
        assert!(host.derived.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_list_of_ranges_is_an_error() {
        let file = File::default();
        let disk = Disk(|_| true);
        let size = write(&disk, &[5..10, 20..30], &file).unwrap();
        let good = file.0.into_inner().unwrap();
        let ranges = |bytes: &[u8]| Ranges::read(&(Arc::new(bytes.to_vec()) as Arc<dyn ReadAt>));
        assert_eq!(ranges(&good).unwrap().places, [(5..10, 40), (20..30, 45)]);
        for len in 0..good.len() {
            assert!(ranges(&good[..len]).is_err(), "cut at {len}");
        }
        // The count, starts and lengths; what else is flipped is content.
        for at in 0..usize::try_from(size).unwrap() - 15 {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            let start = (8..40).contains(&at) && (at - 8) % 16 < 8;
            assert!(ranges(&bad).is_err() || start, "byte {at}");
        }
    }
}
