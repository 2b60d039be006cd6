//! OpenPGP signatures by pinned keys.
