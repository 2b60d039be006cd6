//! Modules as they are shipped: plain, or compressed with xz, Zstandard or gzip. Told apart by content, not by name.

use crate::error::Error;
use std::borrow::Cow;
use std::io::{self, Read};

/// No module is larger unpacked (the largest known, graphics drivers, have 90 MiB), and no decoder takes more memory.
const MAX_BYTES: u64 = 128 << 20;

/// Returns the module's ELF file.
pub(crate) fn unpack<'a>(path: &str, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
    let unpacked = match bytes {
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => xz(bytes),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            zstd::stream::read::Decoder::with_buffer(bytes).and_then(limited)
        }
        [0x1F, 0x8B, ..] => limited(flate2::bufread::MultiGzDecoder::new(bytes)),
        _ => return Ok(Cow::Borrowed(bytes)),
    };
    unpacked.map(Cow::Owned).map_err(|source| Error::Unpack {
        path: path.to_owned(),
        source,
    })
}

fn xz(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let stream =
        liblzma::stream::Stream::new_stream_decoder(MAX_BYTES, liblzma::stream::CONCATENATED)?;
    limited(liblzma::bufread::XzDecoder::new_stream(bytes, stream))
}

fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 128 MiB unpacked",
        ));
    }
    Ok(bytes)
}
