//! Fingerprints of version 4 keys: the SHA-1 of a public key packet (RFC 9580, section 5.5.4.2).

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// The fingerprint of a version 4 key, primary or subkey.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    /// Returns a fingerprint from its 20 bytes.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Returns the 20 bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Returns the fingerprint of a version 4 key, `None` for keys of other versions.
    pub(crate) fn of(key: &impl pgp::types::KeyDetails) -> Option<Self> {
        match key.fingerprint() {
            pgp::types::Fingerprint::V4(bytes) => Some(Self(bytes)),
            _ => None,
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|it| write!(f, "{it:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    /// Reads 40 hexadecimal digits of either case; spaces between them are allowed, as `gpg --fingerprint` prints them.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::BadFingerprint {
            text: text.chars().take(80).collect(),
        };
        let digits = text
            .chars()
            .filter(|it| *it != ' ')
            .take(41)
            .map(|it| it.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(bad)?;
        if digits.len() != 40 {
            return Err(bad());
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_digits_and_nothing_else() {
        let text = "790BC7277767219C42C86F933B4FE6ACC0B21F32";
        assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), text);
        let spaced = "790b c727 7767 219c 42c8  6f93 3b4f e6ac c0b2 1f32";
        assert_eq!(spaced.parse::<Fingerprint>().unwrap().to_string(), text);
        for bad in [
            "",
            "C0B21F32",
            "0x790BC7277767219C42C86F933B4FE6ACC0B21F3",
            &text[1..],
            &format!("{text}0"),
            "é",
        ] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
