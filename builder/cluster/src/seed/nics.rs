//! The network interfaces of a machine, and which of them the cluster lives on.

use std::collections::BTreeSet;

use crate::{Fault, Mac};

/// The interfaces of one machine; exactly one of them is on the node network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nics(Vec<NicConfig>);

impl Nics {
    /// Takes interfaces with distinct identifiers, one of which has [`NicRole::Cluster`].
    pub fn new(nics: Vec<NicConfig>) -> Result<Self, Fault> {
        let cluster = nics.iter().filter(|it| it.role == NicRole::Cluster).count();
        if cluster != 1 {
            return Err(Fault::new(
                format!("{cluster} network interfaces are on the node network"),
                "give one of them the role `Cluster`",
            ));
        }
        let mut seen = BTreeSet::new();
        for nic in &nics {
            let valid = !nic.id.is_empty()
                && nic
                    .id
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
            if !valid || !seen.insert(nic.id.as_str()) {
                return Err(Fault::new(
                    format!(
                        "network interface `{}` has a bad or repeated identifier",
                        nic.id
                    ),
                    "use distinct identifiers of letters, digits, `-`, `_` and `.`",
                ));
            }
        }
        Ok(Self(nics))
    }

    /// The one wired interface of a Raspberry Pi.
    pub fn raspberry_pi() -> Self {
        Self(vec![NicConfig::named("eth0", NicRole::Cluster)])
    }

    /// `VirtualBox`'s adapters 1 and 2 by the names their PCI slots give them: NAT, then the node network.
    ///
    /// Not by MAC: an import gives new ones unless it is told otherwise.
    pub fn virtualbox() -> Self {
        Self(vec![
            NicConfig::named("enp0s3", NicRole::Uplink),
            NicConfig::named("enp0s8", NicRole::Cluster),
        ])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &NicConfig> {
        self.0.iter()
    }

    pub(super) fn has_uplink(&self) -> bool {
        self.iter().any(|it| it.role == NicRole::Uplink)
    }
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicConfig {
    /// Its identifier in the network configuration.
    pub id: String,
    /// How it is recognized.
    pub matches: NicMatch,
    /// What it is for.
    pub role: NicRole,
}

impl NicConfig {
    /// An interface whose identifier is its name.
    pub fn named(name: &str, role: NicRole) -> Self {
        Self {
            id: name.to_owned(),
            matches: NicMatch::Name(name.to_owned()),
            role,
        }
    }
}

/// How an interface is recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NicMatch {
    /// By its kernel name, a glob such as `enp*`.
    Name(String),
    /// By its permanent Ethernet address.
    Mac(Mac),
    /// By its kernel driver, a glob.
    Driver(String),
}

/// What an interface is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicRole {
    /// Reaches the outside, by DHCP; the cluster never uses its address.
    Uplink,
    /// Is on the node network.
    Cluster,
}
