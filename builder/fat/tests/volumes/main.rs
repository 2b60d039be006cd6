//! What we write is what other programs read, and what they write is what we read.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

mod hostile;
mod kernel;
mod random;
mod reads;
mod tools;
mod trees;
mod writes;
