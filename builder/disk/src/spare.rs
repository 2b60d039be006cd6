//! Buffers that are filled again once nobody needs what is in them.
//!
//! Memory that is new has to be found and cleared by the kernel first, which takes as long as filling it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers that threads lend to each other. It keeps as many as were ever in use at once.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a buffer; what is in it, and how much, means nothing.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.buffers().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 {
            self.buffers().push(buffer);
        }
    }
}
