//! From a profile to an artifact, in pure steps.
