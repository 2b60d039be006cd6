//! The `nodeimg` command: arguments, the host's files and network, messages.

fn main() {}
