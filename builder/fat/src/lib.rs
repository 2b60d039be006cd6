//! Reads FAT into a tree and writes a tree as a fresh FAT.
