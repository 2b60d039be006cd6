//! A disk stored as clusters behind tables, read from many threads: what qcow2 and sparse VMDK have in common.
//!
//! A format says where each cluster is ([`ClusterMap`]); this reads them. A compressed cluster that is wanted whole goes
//! straight to the reader's buffer; one wanted in part is kept a while, since its neighbour's reader comes next. Memory is
//! bounded by a budget in bytes. Does not parse.

use crate::error::Error;
use crate::spare::Spare;
use fstree::ReadAt;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of decompressed clusters kept.
const CLUSTER_BUDGET: usize = 16 << 20;
/// Clusters that one call of `next_data` looks at when all of them hold data. Most who ask want a file's few blocks, and those who
/// want more ask again.
const MERGED_CLUSTERS: u64 = 8;

/// Where a cluster's bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Nowhere: it reads as zero.
    Hole,
    /// In the source, as they are, from this offset; what lies past the source's end reads as zero.
    Plain(u64),
    /// In the source, compressed: offset and the most bytes that it can take.
    Compressed(u64, usize),
}

/// What a format must know of itself.
pub(crate) trait ClusterMap: Send + Sync {
    /// Returns the bytes of one cluster.
    fn cluster_bytes(&self) -> usize;
    /// Returns the bytes of the disk.
    fn disk_bytes(&self) -> u64;
    /// Returns the container.
    fn source(&self) -> &Arc<dyn ReadAt>;
    /// Returns where the cluster numbered `index` is.
    fn place(&self, index: u64) -> Result<Place, Error>;
    /// Returns how many clusters from `index` on are known to be holes; 0 if it holds data.
    fn holes(&self, index: u64) -> Result<u64, Error>;
    /// Decompresses `packed`, found at `at`, into all of `out`, which is one cluster; `index` is its number.
    fn unpack(&self, index: u64, at: u64, packed: &[u8], out: &mut [u8]) -> Result<(), Error>;
}

/// A [`ClusterMap`] as a disk.
pub(crate) struct Clustered<M> {
    map: M,
    kept: Kept<Vec<u8>>,
    /// For compressed clusters on their way to be decompressed.
    packed: Spare,
}

impl<M: ClusterMap> Clustered<M> {
    /// Returns the disk behind `map`.
    pub(crate) fn new(map: M) -> Self {
        let kept = Kept::new(CLUSTER_BUDGET / map.cluster_bytes().max(1));
        Self {
            map,
            kept,
            packed: Spare::default(),
        }
    }

    /// Returns the map.
    pub(crate) fn map(&self) -> &M {
        &self.map
    }

    /// Fills `out` with bytes of the cluster `index` from `skip` on.
    fn read_cluster(&self, index: u64, skip: usize, out: &mut [u8]) -> Result<(), Error> {
        match self.map.place(index)? {
            Place::Hole => out.fill(0),
            Place::Plain(at) => read_padded(self.map.source(), out, at + skip as u64)?,
            Place::Compressed(at, most) => {
                if out.len() == self.map.cluster_bytes() {
                    return self.unpack(index, at, most, out);
                }
                let cluster = self.kept.get(index, || {
                    let mut cluster = vec![0; self.map.cluster_bytes()];
                    self.unpack(index, at, most, &mut cluster)?;
                    Ok(cluster)
                })?;
                out.copy_from_slice(&cluster[skip..skip + out.len()]);
            }
        }
        Ok(())
    }

    fn unpack(&self, index: u64, at: u64, most: usize, out: &mut [u8]) -> Result<(), Error> {
        let mut packed = self.packed.take();
        packed.resize(there(self.map.source(), at, most), 0);
        self.read_packed(index, at, &mut packed)?;
        self.map.unpack(index, at, &packed, out)?;
        self.packed.give(packed);
        Ok(())
    }

    fn read_packed(&self, index: u64, at: u64, out: &mut [u8]) -> Result<(), Error> {
        let source = self.map.source();
        source
            .read_exact_at(out, at)
            .map_err(Error::io(format!("reading cluster {index}")))
    }

    /// Appends the compressed form of a cluster, and what follows it, to `packed`: its number, where it is, the most that it takes.
    pub(crate) fn append_packed(
        &self,
        (index, at, most): (u64, u64, usize),
        packed: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = packed.len();
        packed.resize(start + there(self.map.source(), at, most), 0);
        self.read_packed(index, at, &mut packed[start..])
    }
}

/// Returns how many bytes of `most` a source has from `at` on.
fn there(source: &dyn ReadAt, at: u64, most: usize) -> usize {
    let left = source.size().saturating_sub(at);
    usize::try_from(left).map_or(most, |left| left.min(most))
}

/// Fills `out` from `at` of `source`, with zeros past its end.
fn read_padded(source: &dyn ReadAt, out: &mut [u8], at: u64) -> Result<(), Error> {
    let (inside, past) = out.split_at_mut(there(source, at, out.len()));
    past.fill(0);
    source
        .read_exact_at(inside, at)
        .map_err(Error::io(format!("reading a cluster at byte {at}")))
}

impl<M: ClusterMap> ReadAt for Clustered<M> {
    fn size(&self) -> u64 {
        self.map.disk_bytes()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset
            .checked_add(buf.len() as u64)
            .filter(|end| *end <= self.size());
        if end.is_none() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "read past the disk's end",
            ));
        }
        let cluster = self.map.cluster_bytes();
        let mut index = offset / cluster as u64;
        let mut skip = usize::try_from(offset % cluster as u64).map_err(io::Error::other)?;
        let mut rest = buf;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(rest.len().min(cluster - skip));
            self.read_cluster(index, skip, now)?;
            rest = later;
            index += 1;
            skip = 0;
        }
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        if offset >= self.size() {
            return Ok(None);
        }
        let cluster = self.map.cluster_bytes() as u64;
        let count = self.size().div_ceil(cluster);
        let mut first = offset / cluster;
        while first < count {
            match self.map.holes(first)? {
                0 => break,
                clusters => first = first.saturating_add(clusters),
            }
        }
        if first >= count {
            return Ok(None);
        }
        let mut last = first + 1;
        let most = first.saturating_add(MERGED_CLUSTERS).min(count);
        while last < most && !matches!(self.map.place(last)?, Place::Hole) {
            last += 1;
        }
        Ok(Some(
            (first * cluster).max(offset)..last.saturating_mul(cluster).min(self.size()),
        ))
    }
}

const SHARDS: u64 = 8;

/// A bounded number of things made from the source, the least lately used dropped first; several threads use it at once.
pub(crate) struct Kept<V> {
    shards: Vec<Mutex<Shard<V>>>,
    most: usize,
}

struct Shard<V> {
    clock: u64,
    things: BTreeMap<u64, (u64, Arc<V>)>,
}

impl<V> Kept<V> {
    /// Returns an empty store that keeps about `most` things.
    pub(crate) fn new(most: usize) -> Self {
        let shards = (0..SHARDS)
            .map(|_| {
                Mutex::new(Shard {
                    clock: 0,
                    things: BTreeMap::new(),
                })
            })
            .collect();
        Self {
            shards,
            most: (most / 8).max(1),
        }
    }

    /// Returns the thing called `key`, made by `make` if it is not here.
    pub(crate) fn get(
        &self,
        key: u64,
        make: impl FnOnce() -> Result<V, Error>,
    ) -> Result<Arc<V>, Error> {
        // Fibonacci hashing: keys are often multiples of a power of two, which the low bits alone would put in one shard.
        let shard =
            usize::try_from((key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61) % SHARDS).unwrap_or(0);
        let lock = || {
            self.shards[shard]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        {
            let mut shard = lock();
            shard.clock += 1;
            let clock = shard.clock;
            if let Some((used, thing)) = shard.things.get_mut(&key) {
                *used = clock;
                return Ok(thing.clone());
            }
        }
        // Made outside the lock: two threads may make the same thing, but neither waits for the other.
        let thing = Arc::new(make()?);
        let mut shard = lock();
        let clock = shard.clock;
        shard.things.insert(key, (clock, thing.clone()));
        if shard.things.len() > self.most {
            let oldest = shard
                .things
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(key, _)| *key);
            oldest.and_then(|key| shard.things.remove(&key));
        }
        Ok(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A disk of a million clusters that all hold data, and how often it was asked where one is.
    struct Full(Arc<dyn ReadAt>, AtomicU64);

    impl ClusterMap for Full {
        fn cluster_bytes(&self) -> usize {
            512
        }

        fn disk_bytes(&self) -> u64 {
            512 << 20
        }

        fn source(&self) -> &Arc<dyn ReadAt> {
            &self.0
        }

        fn place(&self, index: u64) -> Result<Place, Error> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(Place::Plain(index * 512))
        }

        fn holes(&self, _: u64) -> Result<u64, Error> {
            Ok(0)
        }

        fn unpack(&self, _: u64, _: u64, _: &[u8], _: &mut [u8]) -> Result<(), Error> {
            Err(Error::NoPartition(0))
        }
    }

    #[test]
    fn who_asks_for_the_next_data_waits_for_a_few_clusters_only() {
        let disk = Clustered::new(Full(Arc::new(Vec::new()), AtomicU64::new(0)));
        for offset in [0, 700, 256 << 20] {
            let data = disk.next_data(offset).unwrap().unwrap();
            assert!(data.start == offset && data.end > offset + 3000, "{data:?}");
        }
        let asked = disk.map().1.load(Ordering::Relaxed);
        assert!(asked <= 3 * MERGED_CLUSTERS, "{asked} times");
    }

    #[test]
    fn the_store_stays_within_its_bound() {
        let kept = Kept::new(16);
        for key in 0..1000 {
            assert_eq!(*kept.get(key * 4096, || Ok(key)).unwrap(), key);
        }
        let things: usize = kept
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().things.len())
            .sum();
        assert!(things <= 16, "{things}");
        assert_eq!(
            *kept.get(999 * 4096, || Err(Error::NoPartition(0))).unwrap(),
            999
        );
    }
}
