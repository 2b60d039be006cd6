//! Reads ext4 into a tree and writes a tree as a fresh ext4.
