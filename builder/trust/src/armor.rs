//! ASCII armor (RFC 9580, section 6): from text to packets, with nothing before, between or after.
//!
//! The envelope is found here, strictly; only the inside of one block is given to `pgp` to decode.

use crate::error::Error;
use pgp::armor::{Dearmor, DearmorOptions};
use std::io::Read as _;

/// What stands between `-----BEGIN PGP ` and `-----`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Block {
    /// A keyring.
    PublicKey,
    /// One or more signatures.
    Signature,
}

impl Block {
    fn label(self) -> &'static str {
        match self {
            Self::PublicKey => "PUBLIC KEY BLOCK",
            Self::Signature => "SIGNATURE",
        }
    }

    /// Returns what an error calls it.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::PublicKey => "keyring",
            Self::Signature => "signature",
        }
    }
}

/// Returns the packets of a file that is armored or is not: every armored block in it, one after the other.
///
/// A signature is one block; a keyring may be several files put together.
pub(crate) fn packets(file: &[u8], block: Block) -> Result<Vec<u8>, Error> {
    // The first bit of the first byte of every packet is set, and of no armored text (section 4.2).
    if file.first().is_some_and(|it| it & 0x80 != 0) {
        return Ok(file.to_vec());
    }
    let malformed = |why: String| Error::Malformed {
        what: block.what(),
        why,
    };
    let begin = format!("-----BEGIN PGP {}-----", block.label());
    let end = format!("-----END PGP {}-----", block.label());
    let mut packets = Vec::new();
    let mut inside: Option<usize> = None;
    let mut count = 0_usize;
    let mut at = 0;
    for line in file.split_inclusive(|it| *it == b'\n') {
        let start = at;
        at += line.len();
        let text = line.trim_ascii_end();
        match inside {
            None if text == begin.as_bytes() => inside = Some(start),
            None if text.is_empty() => {}
            None => {
                return Err(malformed(format!(
                    "there is something else than {begin} at byte {start}"
                )));
            }
            Some(from) if text == end.as_bytes() => {
                inside = None;
                count += 1;
                decode(&file[from..at], &mut packets).map_err(malformed)?;
            }
            Some(_) => {}
        }
    }
    match (inside, count, block) {
        (Some(_), ..) => Err(malformed(format!("{end} is missing"))),
        (None, 0, _) => Err(malformed("it is empty".to_owned())),
        (None, 2.., Block::Signature) => Err(malformed("there is more than one block".to_owned())),
        (None, ..) => Ok(packets),
    }
}

fn decode(armored: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
    // The checksum says nothing that the signature does not (section 6.1), and new files have none.
    let options = DearmorOptions::new().set_limit(armored.len());
    let mut dearmor = Dearmor::with_options(armored, options);
    dearmor.read_to_end(into).map_err(|err| err.to_string())?;
    let (.., mut rest) = dearmor.into_parts();
    let mut left = Vec::new();
    rest.read_to_end(&mut left).map_err(|err| err.to_string())?;
    if left.trim_ascii().is_empty() {
        Ok(())
    } else {
        Err("there is something after the packets".to_owned())
    }
}
