//! The descriptor, the text part of a VMDK: which extents there are.
//!
//! VMware, "Virtual Disk Format 5.0", section "The Descriptor File". Reads the extent lines and the parent; writes the one
//! of a streamOptimized disk with the keys and values VirtualBox writes. Other keys are not looked at.

use super::FORMAT;
use crate::error::Error;

/// The CID that means "no parent".
const NO_PARENT: &str = "ffffffff";

/// How an extent's file holds its sectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ExtentKind {
    /// As they are, from this sector of the file.
    Flat(u64),
    /// In a sparse extent.
    Sparse,
    /// There is no file: zeros.
    Zero,
}

/// One line of the extent description.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Extent {
    pub(super) sectors: u64,
    pub(super) kind: ExtentKind,
    pub(super) file: String,
}

/// Returns the extents that a descriptor names.
pub(super) fn extents(text: &str) -> Result<Vec<Extent>, Error> {
    let mut extents = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
    {
        if let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case("parentCID")
            && !value.trim().eq_ignore_ascii_case(NO_PARENT)
        {
            return Err(Error::unsupported(
                FORMAT,
                "a disk with a parent (a snapshot)",
            ));
        }
        let access = line.split_ascii_whitespace().next().unwrap_or("");
        if matches!(access, "RW" | "RDONLY" | "NOACCESS") {
            extents.push(extent(line).ok_or_else(|| {
                Error::corrupt(
                    FORMAT,
                    format!("line {number} of the descriptor is no extent"),
                    0,
                )
            })??);
        }
    }
    Ok(extents)
}

/// Reads `ACCESS SECTORS KIND "FILE" OFFSET`.
fn extent(line: &str) -> Option<Result<Extent, Error>> {
    let (before, file, after) = match line.split_once('"') {
        Some((before, rest)) => {
            let (file, after) = rest.rsplit_once('"')?;
            (before, file, after)
        }
        None => (line, "", ""),
    };
    let mut words = before.split_ascii_whitespace().skip(1);
    let sectors = words.next()?.parse().ok()?;
    let offset = match after.trim() {
        "" => 0,
        offset => offset.parse().ok()?,
    };
    let kind = match words.next()? {
        "FLAT" | "VMFS" => ExtentKind::Flat(offset),
        "SPARSE" => ExtentKind::Sparse,
        "ZERO" => ExtentKind::Zero,
        other => {
            return Some(Err(Error::unsupported(
                FORMAT,
                format!("an extent of kind {other}"),
            )));
        }
    };
    Some(Ok(Extent {
        sectors,
        kind,
        file: file.to_owned(),
    }))
}

/// What the descriptor of a streamOptimized disk says.
pub(super) struct Stream<'a> {
    pub(super) sectors: u64,
    pub(super) cid: u32,
    pub(super) uuid: &'a str,
    pub(super) file_name: &'a str,
}

impl Stream<'_> {
    /// Returns the descriptor's text.
    pub(super) fn text(&self) -> String {
        let Self {
            sectors,
            cid,
            uuid,
            file_name,
        } = self;
        // The geometry every BIOS translates to LBA; 16,383 cylinders is the most it can say.
        let cylinders = (sectors / (16 * 63)).min(16_383);
        let none = "00000000-0000-0000-0000-000000000000";
        format!(
            "# Disk DescriptorFile\n\
             version=1\n\
             CID={cid:08x}\n\
             parentCID={NO_PARENT}\n\
             createType=\"streamOptimized\"\n\
             \n\
             # Extent description\n\
             RDONLY {sectors} SPARSE \"{file_name}\"\n\
             \n\
             # The disk Data Base \n\
             #DDB\n\
             \n\
             ddb.virtualHWVersion = \"4\"\n\
             ddb.adapterType=\"ide\"\n\
             ddb.geometry.cylinders=\"{cylinders}\"\n\
             ddb.geometry.heads=\"16\"\n\
             ddb.geometry.sectors=\"63\"\n\
             ddb.uuid.image=\"{uuid}\"\n\
             ddb.uuid.parent=\"{none}\"\n\
             ddb.uuid.modification=\"{none}\"\n\
             ddb.uuid.parentmodification=\"{none}\"\n\
             ddb.comment=\"\"\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_descriptor_names_one_sparse_extent() {
        let text = Stream {
            sectors: 131_072,
            cid: 0xfe,
            uuid: "u",
            file_name: "a b.vmdk",
        }
        .text();
        assert!(text.contains("\nCID=000000fe\n"));
        let expected = Extent {
            sectors: 131_072,
            kind: ExtentKind::Sparse,
            file: "a b.vmdk".to_owned(),
        };
        assert_eq!(extents(&text).unwrap(), [expected]);
    }

    #[test]
    fn flat_and_zero_extents_are_read_and_others_named() {
        let text = "RW 100 FLAT \"x-flat.vmdk\" 8\nRW 5 ZERO\n";
        let kinds: Vec<_> = extents(text)
            .unwrap()
            .into_iter()
            .map(|it| (it.sectors, it.kind))
            .collect();
        assert_eq!(kinds, [(100, ExtentKind::Flat(8)), (5, ExtentKind::Zero)]);
        assert!(
            extents("RW 5 SESPARSE \"x\"")
                .unwrap_err()
                .to_string()
                .contains("SESPARSE")
        );
        assert!(extents("RW many FLAT \"x\" 0").is_err());
        assert!(
            extents("parentCID=12345678\n")
                .unwrap_err()
                .to_string()
                .contains("parent")
        );
    }
}
