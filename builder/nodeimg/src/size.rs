//! Sizes as people write them: `4GiB`, `512MiB`, `2GB`.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let bad = || {
            Error::input(format!("{text:?} is no size"))
                .help("write a number and a unit: 4GiB, 512MiB, 2GB")
        };
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
            .ok_or_else(bad)?;
        let number: u64 = number.trim().parse().map_err(|_| bad())?;
        number.checked_mul(unit).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Bytes {
    /// Prints the largest binary unit that divides the size, so that what is printed can be parsed back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS
            .iter()
            .take(4)
            .find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match binary {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, want, shown) in [
            ("4GiB", 4 << 30, "4GiB"),
            ("1536 MiB", 1536 << 20, "1536MiB"),
            ("2GB", 2_000_000_000, "1953125KiB"),
            ("0B", 0, "0B"),
            ("7B", 7, "7B"),
        ] {
            let size: Bytes = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (want, shown), "{text}");
        }
        for text in ["", "4", "GiB", "-1GiB", "99999999TiB", "4gib"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
