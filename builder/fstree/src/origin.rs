//! Where bytes come from: names for sources that never change, so that what was once made of bytes is found again without
//! reading them.
//!
//! Names are given by those who verified a source; nothing here checks one, and nothing here reads.

use crate::bytes::ReadAt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The name of a source whose bytes never change: equal names and equal offsets mean equal bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourceName(pub [u8; 32]);

/// Where a stretch of bytes comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// All of it is zero.
    Zeros,
    /// It is what a named source holds from an offset on.
    Named(SourceName, u64),
    /// Nobody can tell without reading it.
    Unnamed,
}

/// Tells of a range of `source` as if it began at `at`.
pub(crate) fn tell_moved(
    source: &dyn ReadAt,
    range: Range<u64>,
    at: u64,
    tell: &mut dyn FnMut(Range<u64>, Origin),
) {
    let start = range.start;
    source.origins(range, &mut |part, origin| {
        tell(part.start - start + at..part.end - start + at, origin);
    });
}

/// A source with a name.
#[derive(Clone)]
pub struct Named {
    source: Arc<dyn ReadAt>,
    name: SourceName,
}

impl Named {
    /// Gives `source` a name that no other bytes have.
    pub fn new(source: Arc<dyn ReadAt>, name: SourceName) -> Self {
        Self { source, name }
    }
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Named({} B)", self.source.size())
    }
}

impl ReadAt for Named {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.source.read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.source.next_data(offset)
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        let offset = range.start;
        if !range.is_empty() {
            tell(range, Origin::Named(self.name, offset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{Window, Zeros};
    use crate::content::{Content, Run};
    use crate::mosaic::MosaicBuilder;

    fn origins(source: &dyn ReadAt, range: Range<u64>) -> Vec<(Range<u64>, Origin)> {
        let mut told = Vec::new();
        source.origins(range, &mut |range, origin| told.push((range, origin)));
        told
    }

    #[test]
    fn origins_reach_through_windows_contents_and_mosaics() {
        let name = SourceName([7; 32]);
        let named: Arc<dyn ReadAt> = Arc::new(Named::new(Arc::new(vec![1; 100]), name));
        let window: Arc<dyn ReadAt> = Arc::new(Window::new(named, 10, 80).unwrap());
        let runs = [
            Run {
                at: 2,
                from: 20,
                len: 3,
            },
            Run {
                at: 8,
                from: 5,
                len: 2,
            },
        ];
        let content = Content::extents(window.clone(), runs, 12);
        let mut builder = MosaicBuilder::new();
        builder.place(4, Arc::new(content), 0, 12);
        builder.bytes(16, vec![5; 4]);
        builder.place(20, window, 1, 4);
        builder.place(24, Arc::new(Zeros(9)), 0, 4);
        let mosaic = builder.finish(40).unwrap();
        assert_eq!(
            origins(&mosaic, 1..40),
            [
                (1..4, Origin::Zeros),
                (4..6, Origin::Zeros),
                (6..9, Origin::Named(name, 30)),
                (9..12, Origin::Zeros),
                (12..14, Origin::Named(name, 15)),
                (14..16, Origin::Zeros),
                (16..20, Origin::Unnamed),
                (20..24, Origin::Named(name, 11)),
                (24..28, Origin::Zeros),
                (28..40, Origin::Zeros),
            ]
        );
        assert_eq!(
            origins(&mosaic, 13..18),
            [
                (13..14, Origin::Named(name, 16)),
                (14..16, Origin::Zeros),
                (16..18, Origin::Unnamed)
            ]
        );
        assert_eq!(origins(&mosaic, 30..30), []);
    }
}
