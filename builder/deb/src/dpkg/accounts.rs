//! Users and groups of the tree, by name: `/etc/passwd` and `/etc/group`. passwd(5), group(5).

use super::optional;
use crate::error::Error;
use crate::tar::Owner;
use fstree::FileTree;
use std::collections::BTreeMap;

/// Numbers by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

impl Accounts {
    /// Reads both files; a missing one knows nobody.
    pub(super) fn read(tree: &FileTree) -> Result<Self, Error> {
        Ok(Self {
            users: parse(&optional(tree, "/etc/passwd")?),
            groups: parse(&optional(tree, "/etc/group")?),
        })
    }

    /// Returns the user's number: the name's where it is known, else the archive's.
    pub(super) fn user(&self, owner: &Owner) -> u32 {
        owner
            .name
            .as_ref()
            .and_then(|it| self.users.get(it))
            .copied()
            .unwrap_or(owner.id)
    }

    /// Returns the group's number, likewise.
    pub(super) fn group(&self, owner: &Owner) -> u32 {
        owner
            .name
            .as_ref()
            .and_then(|it| self.groups.get(it))
            .copied()
            .unwrap_or(owner.id)
    }

    pub(super) fn user_named(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied()
    }

    pub(super) fn group_named(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied()
    }
}

fn parse(bytes: &[u8]) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(id))) =
            (fields.next(), fields.next(), fields.next().map(str::parse))
        {
            // The first line of a name counts, as in getpwnam(3).
            all.entry(name.to_owned()).or_insert(id);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_win_over_numbers() {
        let accounts = Accounts {
            users: parse(b"root:x:0:0::/:\nx:x:7:\nx:x:8:\nbad\n"),
            groups: BTreeMap::new(),
        };
        let owner = |name: Option<&str>| Owner {
            id: 5,
            name: name.map(str::to_owned),
        };
        assert_eq!(accounts.user(&owner(Some("x"))), 7);
        assert_eq!(accounts.user(&owner(Some("y"))), 5);
        assert_eq!(accounts.group(&owner(None)), 5);
    }
}
