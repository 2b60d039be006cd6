//! Decompression with a limit: gzip, xz, zstd, or none.
//!
//! What comes out is counted, so that a small file cannot become an endless one.

use crate::error::Error;
use std::io::{self, Read, Write};

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// zstd, which Ubuntu's packages use.
    Zstd,
}

/// A decoder of xz may use this much memory; the strongest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

impl Compression {
    /// Returns the compression a file name's suffix stands for; no known suffix is [`Compression::None`].
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, it)| it) {
            Some("gz") => Self::Gzip,
            Some("xz") => Self::Xz,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Wraps a reader of compressed bytes.
    pub(crate) fn reader<'a>(
        self,
        source: impl Read + Send + 'a,
    ) -> Result<Box<dyn Read + Send + 'a>, Error> {
        let starting = |source| Error::io("starting a decoder", source);
        Ok(match self {
            Self::None => Box::new(source),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(source)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    XZ_MEMORY,
                    liblzma::stream::CONCATENATED,
                )
                .map_err(|it| starting(it.into()))?;
                Box::new(liblzma::read::XzDecoder::new_stream(source, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(source).map_err(starting)?;
                decoder.window_log_max(27).map_err(starting)?;
                Box::new(decoder)
            }
        })
    }

    /// Decodes all of `source` into `out`; returns the length, or fails past `limit` bytes.
    pub fn decode(
        self,
        source: impl Read + Send,
        out: &mut dyn Write,
        limit: u64,
    ) -> Result<u64, Error> {
        let mut reader = self.reader(source)?;
        let mut buffer = vec![0; 128 << 10];
        let mut total = 0_u64;
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => return Ok(total),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("decompressing", error)),
            };
            total += n as u64;
            if total > limit {
                return Err(Error::TooLarge {
                    what: "decompressed data",
                    limit,
                });
            }
            out.write_all(&buffer[..n])
                .map_err(|it| Error::io("writing decompressed data", it))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_bounded() {
        let packed = zstd::encode_all(&vec![0; 1 << 20][..], 3).unwrap();
        let mut out = Vec::new();
        assert_eq!(
            Compression::Zstd
                .decode(&packed[..], &mut out, 1 << 20)
                .unwrap(),
            1 << 20
        );
        let error = Compression::Zstd
            .decode(&packed[..], &mut io::sink(), (1 << 20) - 1)
            .unwrap_err();
        assert!(error.to_string().contains("longer than 1048575"));
    }

    #[test]
    fn damage_is_an_error() {
        for kind in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            assert!(
                kind.decode(&b"not packed at all"[..], &mut io::sink(), 99)
                    .is_err(),
                "{kind:?}"
            );
        }
        assert_eq!(Compression::of_name("Packages.xz"), Compression::Xz);
        assert_eq!(Compression::of_name("data.tar"), Compression::None);
    }
}
