//! Makes the index files of a kernel's modules: what `depmod` writes, as a function of the modules.
//!
//! The text files and the tries of `modules.*.bin` are byte for byte those of kmod 29 and 30, which modprobe of every later
//! version reads. [`index`] reads all modules; [`extend`] adds some to an index that is there and reads only the new ones.
//!
//! Not written: `modules.weakdep`, which those versions do not know, and the symbol versions, which no index holds. Nothing
//! is loaded and no module's code is looked at.

mod alias;
mod elf;
mod error;
mod existing;
mod graph;
mod module;
mod output;
mod symbols;
mod trie;
mod unpack;

pub use error::Error;
pub use existing::{Existing, extend};
pub use module::{Facts, Modules, SEARCH, facts};
pub use output::{IndexFile, Kernel, index};
