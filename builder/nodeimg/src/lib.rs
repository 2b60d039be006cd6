//! From a profile to an artifact, in pure steps.
//!
//! [`profile::load`] reads what a person asks for; [`lock::lock`] pins every input by SHA-256; [`plan::plan`] writes out
//! every step; [`apply::apply`] carries them out on values that still point into the inputs; [`emit`] pulls an artifact out
//! of the result. A stage sees only what stands to its left. The host — files, network, clock, terminal — is reached
//! through three small traits: [`shelf::Shelf`] and [`want::Fetch`] while planning, [`want::Blobs`] while building.

pub mod apply;
pub mod base;
pub mod digest;
pub mod emit;
pub mod error;
pub mod facts;
pub mod health;
pub mod lock;
mod open;
pub mod overlay;
pub mod plan;
pub mod preload;
pub mod profile;
pub mod reference;
pub mod seed;
pub mod shelf;
pub mod show;
pub mod size;
mod tables;
pub mod time;
mod toml_text;
mod volumes;
pub mod want;
