//! The OVA: OVF descriptor, manifest and disk in one tar archive, written in one pass over the disk.
//!
//! POSIX.1-1988 ustar with GNU's base-256 sizes past 8 GiB and never a pax header, which VirtualBox refuses; members in the
//! order of DMTF DSP0243. Descriptor and manifest stand before the disk but tell its size and digest, so their room is kept
//! free and filled at the end; spaces after the descriptor's last element make its length independent of the outcome.

use super::hashed::Hashed;
use crate::digest::Digest;
use disk::Append;
use fstree::WriteAt;
use std::io;

/// A tar block.
const BLOCK: u64 = 512;
/// The largest size that eleven octal digits tell.
const MAX_OCTAL: u64 = 0o777_7777_7777;

/// What the archive's members are called: `NAME.ovf`, `NAME.mf` and the disk's own name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// The name of descriptor and manifest, without extension.
    pub(crate) base: &'a str,
    /// The disk's file name.
    pub(crate) disk: &'a str,
}

/// Writes an archive to `out`, and returns its size in bytes.
///
/// `ovf` gives the descriptor's text for a disk file of that many bytes; `disk` writes the disk. All members have the time
/// `mtime`, in seconds since 1970.
pub(crate) fn write<E>(
    out: &dyn WriteAt,
    names: Names<'_>,
    mtime: u64,
    ovf: &dyn Fn(u64) -> String,
    disk: impl FnOnce(&mut dyn Append) -> Result<(), E>,
) -> Result<u64, Failure<E>> {
    let (ovf_name, mf_name) = (format!("{}.ovf", names.base), format!("{}.mf", names.base));
    // Twenty digits are the most that a size takes.
    let ovf_len = ovf(u64::MAX).len() + 1;
    let manifest = |ovf: Digest, disk: Digest| {
        format!(
            "SHA256({ovf_name})= {ovf}\nSHA256({})= {disk}\n",
            names.disk
        )
    };
    let nothing = Digest::of(&[]);
    let mf_len = manifest(nothing, nothing).len();
    let mf_at = BLOCK + padded(ovf_len as u64);
    let disk_at = mf_at + BLOCK + padded(mf_len as u64) + BLOCK;

    let mut member = Hashed::new(out, disk_at);
    disk(&mut member).map_err(Failure::Disk)?;
    let (end, sha256) = member.finish().map_err(Failure::Archive)?;
    let disk_len = end - disk_at;

    let mut text = ovf(disk_len);
    text.extend(std::iter::repeat_n(' ', ovf_len - 1 - text.len()));
    text.push('\n');
    let manifest = manifest(Digest::of(text.as_bytes()), sha256);
    let put = |at: u64, bytes: &[u8]| out.write_all_at(bytes, at);
    let finish = || {
        put(0, &header(&ovf_name, ovf_len as u64, mtime)?)?;
        put(BLOCK, text.as_bytes())?;
        put(mf_at, &header(&mf_name, mf_len as u64, mtime)?)?;
        put(mf_at + BLOCK, manifest.as_bytes())?;
        put(disk_at - BLOCK, &header(names.disk, disk_len, mtime)?)?;
        // The last member's padding and two blocks of zeros end the archive; the file may not be longer than written.
        let zeros = vec![
            0;
            usize::try_from(padded(disk_len) - disk_len + 2 * BLOCK)
                .map_err(io::Error::other)?
        ];
        put(end, &zeros)?;
        Ok(end + zeros.len() as u64)
    };
    finish().map_err(Failure::Archive)
}

/// Why an archive could not be written.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// The disk's writer failed.
    Disk(E),
    /// The archive could not take it.
    Archive(io::Error),
}

fn padded(len: u64) -> u64 {
    len.next_multiple_of(BLOCK)
}

/// Returns a member's header.
fn header(name: &str, size: u64, mtime: u64) -> io::Result<[u8; 512]> {
    if name.is_empty()
        || name.len() > 100
        || !name.bytes().all(|it| it.is_ascii_graphic() && it != b'/')
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is no flat ASCII name of at most 100 bytes"),
        ));
    }
    let mut bytes = [0; 512];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size <= MAX_OCTAL {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        // GNU's base-256: the first bit set, then the number in big-endian order.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, format!("{:011o}\0", mtime.min(MAX_OCTAL)).as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(265, b"root\0");
    put(297, b"root\0");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Memory;
    use super::*;
    use std::io::Read as _;

    #[test]
    fn another_reader_finds_three_members_and_the_manifest_holds() {
        for len in [0usize, 1, 511, 512, 3 << 20] {
            let memory = Memory::new(4 << 20);
            let names = Names {
                base: "node",
                disk: "node-disk001.vmdk",
            };
            let ovf = |size: u64| format!("<Envelope size=\"{size}\"/>\n");
            let write_disk = |out: &mut dyn Append| out.append(vec![7; len]).map(drop);
            let size = write(&memory, names, 1_700_000_000, &ovf, write_disk).unwrap();
            let bytes = memory.into_bytes();
            assert_eq!(bytes.len() as u64, size);
            let mut members = Vec::new();
            for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                assert_eq!(entry.header().mtime().unwrap(), 1_700_000_000);
                members.push((entry.path().unwrap().display().to_string(), content));
            }
            let order: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(order, ["node.ovf", "node.mf", "node-disk001.vmdk"]);
            assert!(
                String::from_utf8_lossy(&members[0].1)
                    .starts_with(&format!("<Envelope size=\"{len}\"/>"))
            );
            assert_eq!(members[2].1, vec![7; len]);
            let (ovf, disk) = (Digest::of(&members[0].1), Digest::of(&members[2].1));
            let expected = format!("SHA256(node.ovf)= {ovf}\nSHA256(node-disk001.vmdk)= {disk}\n");
            assert_eq!(String::from_utf8_lossy(&members[1].1), expected);
        }
    }

    #[test]
    fn sizes_past_8_gib_are_told_in_base_256() {
        let header = header("a", (8 << 30) + 5, 0).unwrap();
        assert_eq!(header[124..136], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5]);
        assert_eq!(
            tar::Header::from_byte_slice(&header).entry_size().unwrap(),
            (8 << 30) + 5
        );
    }

    #[test]
    fn names_that_readers_trip_over_are_refused() {
        for name in ["", "a/b", "ä", "a b", &"x".repeat(101)] {
            assert!(header(name, 0, 0).is_err(), "{name}");
        }
    }
}
