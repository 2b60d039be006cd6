//! What a file of packets would cost to decode, found by walking its framing alone (RFC 9580, sections 4.2 and 5.2.3).
//!
//! A decoder makes values of hundreds of bytes out of packets and subpackets of two. So they are counted first, and a file
//! with more of them than any keyring has is refused whole: what is cut off could be a revocation.

/// The most packets a file may have; a distribution's keyring has some tens, a key with many friends some hundreds.
const MAX_PACKETS: usize = 4096;
/// The most subpackets all signatures together may have; a signature has some ten.
const MAX_SUBPACKETS: usize = 32 * 1024;

const SIGNATURE: u8 = 2;
const EMBEDDED_SIGNATURE: u8 = 32;

/// Checks that packets are framed by lengths known in advance, and few enough; else returns what is wrong.
pub(crate) fn affordable(packets: &[u8]) -> Result<(), String> {
    let mut rest = packets;
    let (mut count, mut subpackets) = (0, 0);
    while let Some((tag, body, after)) = packet(rest)? {
        rest = after;
        count += 1;
        if tag == SIGNATURE {
            subpackets += signature(body, true);
        }
        if count > MAX_PACKETS {
            return Err(format!("it has more than {MAX_PACKETS} packets"));
        }
        if subpackets > MAX_SUBPACKETS {
            return Err(format!(
                "its signatures have more than {MAX_SUBPACKETS} subpackets"
            ));
        }
    }
    Ok(())
}

/// Takes the first packet: its type, its body, which a cut file does not have whole, and what follows.
#[expect(clippy::type_complexity, reason = "it is taken apart at once")]
fn packet(bytes: &[u8]) -> Result<Option<(u8, &[u8], &[u8])>, String> {
    let Some((&header, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (tag, split) = match header {
        0xc0.. if rest.first().is_some_and(|it| (0xe0..0xff).contains(it)) => {
            return Err("it has a packet in parts".to_owned());
        }
        0xc0.. => (header & 0x3f, variable(rest)),
        0x80.. => {
            let width = match header & 3 {
                it @ 0..=2 => 1 << it,
                _ => return Err("it has a packet without a length".to_owned()),
            };
            ((header >> 2) & 0xf, fixed(rest, width))
        }
        _ => return Err("it has something else than packets".to_owned()),
    };
    // A length that is cut ends the file, for a decoder too.
    Ok(split.map(|(len, rest)| {
        let (body, rest) = rest.split_at(len.min(rest.len()));
        (tag, body, rest)
    }))
}

/// Splits off a length of so many bytes.
fn fixed(bytes: &[u8], width: usize) -> Option<(usize, &[u8])> {
    let (len, rest) = bytes.split_at_checked(width)?;
    let len = len
        .iter()
        .fold(0, |it, byte| (it << 8) | usize::from(*byte));
    Some((len, rest))
}

/// Splits off a length of one, two or five bytes.
fn variable(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..192 => Some((usize::from(first), rest)),
        192..255 => {
            let (&second, rest) = rest.split_first()?;
            let len = ((usize::from(first) - 192) << 8) + usize::from(second) + 192;
            Some((len, rest))
        }
        255 => fixed(rest, 4),
    }
}

/// Counts the subpackets of a signature, and of those that are embedded in it; a decoder comes no further than this does.
fn signature(body: &[u8], outer: bool) -> usize {
    let width = match body.first() {
        Some(4) => 2,
        Some(6) => 4,
        _ => return 0,
    };
    // Version, kind, and the two algorithms; then the hashed and the other subpackets.
    let mut rest = body.get(4..).unwrap_or_default();
    let mut count = 0;
    for _ in 0..2 {
        let Some((len, area)) = fixed(rest, width) else {
            break;
        };
        let (mut area, after) = area.split_at(len.min(area.len()));
        rest = after;
        while let Some((len, body)) = variable(area) {
            let (body, after) = body.split_at(len.min(body.len()));
            area = after;
            count += 1;
            if let Some((kind, embedded)) = body.split_first()
                && kind & 0x7f == EMBEDDED_SIGNATURE
                && outer
            {
                count += signature(embedded, false);
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with a length of five bytes.
    fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).unwrap();
        [&[0xc0 | tag, 255], &len.to_be_bytes()[..], body].concat()
    }

    fn signed(subpackets: &[u8]) -> Vec<u8> {
        let len = u16::try_from(subpackets.len()).unwrap();
        let body = [&[4, 0x13, 22, 8], &len.to_be_bytes()[..], subpackets].concat();
        framed(SIGNATURE, &[&body[..], &[0, 0]].concat())
    }

    #[test]
    fn packets_are_counted_however_their_lengths_are_written() {
        let two_bytes = [&b"\xcd\xc0\0"[..], &[b'x'; 192]].concat();
        for one in [
            &b"\xcd\0"[..],
            b"\xb4\0",
            b"\xb5\0\0",
            b"\xb6\0\0\0\0",
            b"\xcd\xff\0\0\0\0",
            &two_bytes,
        ] {
            assert_eq!(affordable(&one.repeat(MAX_PACKETS)), Ok(()));
            assert!(affordable(&one.repeat(MAX_PACKETS + 1)).is_err(), "{one:?}");
        }
    }

    #[test]
    fn subpackets_are_counted_over_all_signatures_and_within_them() {
        let few = signed(&[1, 0x80].repeat(1024));
        assert_eq!(affordable(&few.repeat(32)), Ok(()));
        assert!(affordable(&few.repeat(33)).is_err());
        let mut embedded = vec![0xff, 0, 0, 0x0f, 0xff, EMBEDDED_SIGNATURE];
        embedded.extend([4, 0x19, 22, 8, 0x0f, 0xf6]);
        embedded.extend([1, 0x80].repeat(0x7fb));
        embedded.extend([0, 0]);
        let deep = signed(&embedded);
        assert!(affordable(&deep.repeat(17)).is_err());
        assert_eq!(affordable(&deep.repeat(15)), Ok(()));
    }

    #[test]
    fn lengths_that_are_not_known_in_advance_are_refused() {
        assert!(affordable(b"\xcd\xe1xx\x01x").is_err());
        assert!(affordable(b"\xb7x").is_err());
        assert!(affordable(b"x").is_err());
        assert_eq!(affordable(b""), Ok(()));
        assert_eq!(affordable(b"\xcd"), Ok(()));
        assert_eq!(affordable(b"\xcd\x05ab"), Ok(()));
    }
}
