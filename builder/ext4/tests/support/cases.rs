//! Random cases, each from a number of its own, so that the number alone brings a failure back.
//!
//! `NODEIMG_CASES` says how many there are in place of the default, `NODEIMG_SEED` which is the first (and then, without
//! `NODEIMG_CASES`, the only one).

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Numbers that look random and are not: SplitMix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`, which is not 0.
    pub fn long(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.long(u64::try_from(n.max(1)).unwrap())).unwrap()
    }

    /// Returns true once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// Runs as many cases as are wanted and returns how many; one that fails says how to run it alone.
pub fn each_case(test: &str, default: u64, mut run: impl FnMut(usize, &mut Rng)) -> u64 {
    let first = number("NODEIMG_SEED");
    let count = number("NODEIMG_CASES").unwrap_or(if first.is_some() { 1 } else { default });
    let first = first.unwrap_or(0);
    for seed in first..first + count {
        // Names are part of the seed, so that tests do not all try the same.
        let salt = test.bytes().fold(0, |sum: u64, it| {
            sum.wrapping_mul(31).wrapping_add(u64::from(it))
        });
        let mut rng = Rng::new(seed ^ salt << 32);
        let case = usize::try_from(seed).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(case, &mut rng)));
        assert!(
            outcome.is_ok(),
            "{test}: NODEIMG_SEED={seed} brings back what is said above"
        );
    }
    count
}
