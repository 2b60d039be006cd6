//! The index is the one that depmod writes, for the modules of a real kernel.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

mod equal;
mod hostile;
mod kernel;
