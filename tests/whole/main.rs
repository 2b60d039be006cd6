//! Whole builds: the command itself, on stand-ins of the real base images and repositories, judged by independent tools.
//!
//! Needs what `ci/setup` installs and what `ci/stand-ins` makes (it is asked, and quick when all is there), and the
//! command's binary. Run by `ci/end-to-end`; several tests are root.

mod artifacts;
mod boots;
mod clusters;
mod faults;
mod kubernetes;
mod same;
mod world;
