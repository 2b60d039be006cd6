//! Partition tables and containers against independent tools, and against damage.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools on files"
)]

mod containers;
mod hostile;
mod qcow2;
mod ready;
mod tables;
mod tools;
