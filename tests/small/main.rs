//! Guarantees of whole builds, in a world so small that each can be tried at hundreds of points: privilege, crash safety,
//! determinism, and what a user is told when something is wrong.
//!
//! Needs what `ci/setup` installs, the command's binary, and root for what is about users and full disks. Run by
//! `ci/end-to-end`.

mod apart;
mod cluster;
mod damage;
mod fault;
mod fleet;
mod full;
mod images;
mod inputs;
mod kills;
mod privilege;
mod race;
mod same;
mod sealed;
mod usage;
mod verify;
mod world;
