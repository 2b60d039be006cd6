//! Tests of `seed`.
