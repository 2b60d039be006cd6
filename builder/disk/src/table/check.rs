//! What must hold of a table before it is believed or rendered: partitions within the disk and apart.
//!
//! Names the partition that breaks a rule. Alignment is advice and not checked.

use super::{Kind, Partition, Scheme, Table};
use crate::error::Error;

impl Table {
    /// Checks that every partition lies where a disk of `disk_bytes` has room, and that none overlaps another.
    pub fn check(&self, disk_bytes: u64) -> Result<(), Error> {
        let first = match &self.scheme {
            Scheme::Gpt { first_usable, .. } => first_usable.0,
            Scheme::Mbr { .. } => 1,
        };
        let end = self.usable_end(disk_bytes).0;
        for partition in &self.partitions {
            check_range(partition, first, end)?;
            self.check_kind(partition)?;
        }
        self.check_apart()?;
        self.check_logical()
    }

    fn check_kind(&self, partition: &Partition) -> Result<(), Error> {
        let number = partition.number;
        let wrong = |what: &str| {
            Err(Error::Partition {
                number,
                what: what.to_owned(),
            })
        };
        match (&self.scheme, &partition.kind) {
            (Scheme::Gpt { entries, .. }, Kind::Gpt { .. }) if (1..=*entries).contains(&number) => {
                Ok(())
            }
            (Scheme::Mbr { .. }, Kind::Primary { .. }) if (1..=4).contains(&number) => Ok(()),
            (Scheme::Mbr { .. }, Kind::Logical { .. }) if number >= 5 => Ok(()),
            (Scheme::Gpt { .. }, Kind::Gpt { .. })
            | (Scheme::Mbr { .. }, Kind::Primary { .. } | Kind::Logical { .. }) => {
                wrong("the table has no such number")
            }
            _ => wrong("it is of another kind than its table"),
        }
    }

    /// Checks that no two partitions share a sector; the extended one may hold logical ones.
    fn check_apart(&self) -> Result<(), Error> {
        for chosen in [is_top as fn(&Partition) -> bool, is_logical] {
            let mut sorted: Vec<&Partition> =
                self.partitions.iter().filter(|it| chosen(it)).collect();
            sorted.sort_by_key(|partition| partition.start);
            for pair in sorted.windows(2) {
                if pair[0].start.0 + pair[0].sectors > pair[1].start.0 {
                    let what = format!("it overlaps partition {}", pair[0].number);
                    return Err(Error::Partition {
                        number: pair[1].number,
                        what,
                    });
                }
            }
        }
        Ok(())
    }

    /// Checks that logical partitions and their records lie within the extended one, each record before its partition.
    fn check_logical(&self) -> Result<(), Error> {
        let extended = self
            .partitions
            .iter()
            .find(|partition| partition.is_extended());
        for partition in &self.partitions {
            let Kind::Logical { record, .. } = &partition.kind else {
                continue;
            };
            let number = partition.number;
            let wrong = |what: &str| Error::Partition {
                number,
                what: what.to_owned(),
            };
            let extended = extended.ok_or_else(|| wrong("there is no extended partition"))?;
            let end = extended.start.0 + extended.sectors;
            if *record < extended.start
                || *record >= partition.start
                || partition.start.0 + partition.sectors > end
            {
                return Err(wrong(
                    "it or its record lies outside the extended partition",
                ));
            }
        }
        Ok(())
    }
}

fn is_logical(partition: &Partition) -> bool {
    matches!(partition.kind, Kind::Logical { .. })
}

fn is_top(partition: &Partition) -> bool {
    !is_logical(partition)
}

fn check_range(partition: &Partition, first: u64, end: u64) -> Result<(), Error> {
    let Partition {
        number,
        start,
        sectors,
        ..
    } = partition;
    let stop = start.0.checked_add(*sectors);
    if *sectors > 0 && start.0 >= first && stop.is_some_and(|stop| stop <= end) {
        return Ok(());
    }
    let what = format!(
        "{sectors} sectors from {} do not fit into sectors {first} to {end}",
        start.0
    );
    Err(Error::Partition {
        number: *number,
        what,
    })
}
