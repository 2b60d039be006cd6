//! A table as text, in the words of `sfdisk -d`.
//!
//! For people and for comparing; reading it back is sfdisk's business.

use super::{Active, Kind, Scheme, Table};
use std::fmt;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Scheme::Gpt {
                disk_guid,
                first_usable,
                ..
            } => {
                writeln!(f, "label: gpt\nlabel-id: {}", upper(disk_guid))?;
                writeln!(f, "unit: sectors\nfirst-lba: {}", first_usable.0)?;
            }
            Scheme::Mbr { signature, .. } => {
                writeln!(f, "label: dos\nlabel-id: 0x{signature:08x}\nunit: sectors")?;
            }
        }
        writeln!(f, "sector-size: {}\n", self.sector.bytes())?;
        for partition in &self.partitions {
            write!(
                f,
                "{} : start={:12}, size={:12}, ",
                partition.number, partition.start.0, partition.sectors
            )?;
            match &partition.kind {
                Kind::Gpt {
                    type_guid,
                    unique_guid,
                    attributes,
                    name,
                } => {
                    write!(f, "type={}, uuid={}", upper(type_guid), upper(unique_guid))?;
                    if name.0[0] != 0 {
                        write!(f, ", name={:?}", name.to_string())?;
                    }
                    if *attributes != 0 {
                        write!(f, ", attrs={attributes:#x}")?;
                    }
                }
                Kind::Primary { type_code, active }
                | Kind::Logical {
                    type_code, active, ..
                } => {
                    write!(f, "type={type_code:x}")?;
                    if *active == Active::Yes {
                        f.write_str(", bootable")?;
                    }
                }
            }
            writeln!(f)?;
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "# {warning}"))
    }
}

fn upper(guid: &super::Guid) -> String {
    guid.to_string().to_ascii_uppercase()
}
