//! Bytes that go out one after the other, whole buffers at a time.
//!
//! [`std::io::Write`] lends its bytes, so that who passes them on to another thread has to copy them. Here they change hands.

use std::io;

/// A place that takes bytes in their order.
pub trait Append {
    /// Takes all of `bytes`, which come after those before. Returns a buffer that the caller may fill next: what is in it
    /// means nothing, and it may be one that was taken earlier.
    fn append(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>>;
}

impl<W: io::Write> Append for W {
    fn append(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.write_all(&bytes)?;
        Ok(bytes)
    }
}
