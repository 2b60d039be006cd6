//! Addresses: IPv4 networks in CIDR notation (RFC 4632), hosts with a port, and Ethernet addresses (EUI-48).
//!
//! IPv6 and dual-stack clusters are not supported; an IPv6 value is refused by name.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use crate::{DnsName, Fault, hex};

/// An IPv4 network whose host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// The first address, all host bits zero.
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// The number of network bits, 0 to 32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The last address, all host bits one.
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | !mask(self.prefix))
    }

    /// Says whether the network holds `address`.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.network.to_bits()
    }

    /// Says whether the two networks share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix))
        .unwrap_or_default()
}

impl FromStr for Cidr {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let help = "write an IPv4 network such as 192.168.56.0/24";
        let wrong = || Fault::new(format!("`{text}` is not an IPv4 network"), help);
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address = ipv4(address).map_err(|fault| Fault::new(fault.what, help))?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        if prefix > 32 {
            return Err(wrong());
        }
        let network = Ipv4Addr::from_bits(address.to_bits() & mask(prefix));
        if network != address {
            return Err(Fault::new(
                format!("`{text}` has host bits set"),
                format!("write the network itself: {network}/{prefix}"),
            ));
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// Reads an IPv4 address, and says so if it is an IPv6 address.
pub(crate) fn ipv4(text: &str) -> Result<Ipv4Addr, Fault> {
    text.parse().map_err(|_| {
        let what = if text.parse::<Ipv6Addr>().is_ok() {
            format!("`{text}` is an IPv6 address, which is not supported")
        } else {
            format!("`{text}` is not an IPv4 address")
        };
        Fault::new(what, "write four numbers such as 192.168.56.10")
    })
}

/// A host by address or by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// By IPv4 address.
    Address(Ipv4Addr),
    /// By DNS name.
    Name(DnsName),
}

impl FromStr for Host {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        // A name whose last label is a number is read as an address everywhere (RFC 1123 §2.1), so it must be one.
        let numeric = text
            .rsplit('.')
            .next()
            .is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()));
        if numeric || text.contains(':') {
            ipv4(text).map(Self::Address)
        } else {
            text.parse().map(Self::Name)
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A host and a TCP port, `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Address or name.
    pub host: Host,
    /// TCP port, never 0.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let help = "write host:port such as 192.168.56.10:6443 or api.example.org:6443";
        let wrong = || Fault::new(format!("`{text}` is not host:port"), help);
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host
            .parse()
            .map_err(|fault: Fault| Fault::new(fault.what, help))?;
        let port = port.parse().map_err(|_| wrong())?;
        if port == 0 {
            return Err(wrong());
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The Ethernet address of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Makes an address of six octets, or `None` for a group address, which no interface can have.
    pub fn new(octets: [u8; 6]) -> Option<Self> {
        (octets[0] & 1 == 0 && octets != [0; 6]).then_some(Self(octets))
    }

    /// Makes an address that `VirtualBox` may give a card: its own three octets, then these.
    pub fn virtualbox([d, e, f]: [u8; 3]) -> Self {
        Self([0x08, 0x00, 0x27, d, e, f])
    }

    /// Twelve upper-case hexadecimal digits without separator, as `VirtualBox` writes it.
    pub fn compact(self) -> String {
        hex::encode_upper(&self.0)
    }
}

impl FromStr for Mac {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let help = "write six pairs of hexadecimal digits such as 08:00:27:00:00:0a";
        let wrong = || Fault::new(format!("`{text}` is not a MAC address"), help);
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|it| it.len() == 2).ok_or_else(wrong)?;
            if !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Self::new(octets).ok_or_else(|| {
            Fault::new(
                format!("`{text}` is no address of an interface"),
                "the first octet must be even (not a group address) and not all octets zero",
            )
        })
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ":" };
            write!(f, "{separator}{octet:02x}")?;
        }
        Ok(())
    }
}

/// The serial number of a Raspberry Pi's board, 64 bits, as `/proc/device-tree/serial-number` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(u64);

impl FromStr for Serial {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let wrong = || {
            Fault::new(
                format!("`{text}` is not the serial number of a Raspberry Pi"),
                "write the digits that `cat /proc/device-tree/serial-number` shows there, such as 100000003d1d5d2b",
            )
        };
        // Eight digits are how boards of old print it.
        if !(8..=16).contains(&text.len()) || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u64::from_str_radix(text, 16)
            .ok()
            .filter(|it| *it != 0)
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_know_what_they_hold() {
        let cidr: Cidr = "192.168.56.0/24".parse().unwrap();
        assert!(cidr.contains(Ipv4Addr::new(192, 168, 56, 255)));
        assert!(!cidr.contains(Ipv4Addr::new(192, 168, 57, 0)));
        assert_eq!(cidr.broadcast(), Ipv4Addr::new(192, 168, 56, 255));
        assert_eq!(cidr.to_string(), "192.168.56.0/24");
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.overlaps(cidr) && cidr.overlaps(all));
        let one: Cidr = "192.168.57.1/32".parse().unwrap();
        assert!(!one.overlaps(cidr));
        assert_eq!(one.broadcast(), one.network());
    }

    #[test]
    fn malformed_networks_are_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/8",
            "10.0.0.1/8",
            "/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        let fault = "10.96.0.1/12".parse::<Cidr>().unwrap_err();
        assert_eq!(fault.help, "write the network itself: 10.96.0.0/12");
    }

    #[test]
    fn hosts_are_addresses_or_names_but_never_half_of_each() {
        assert!(matches!("10.0.0.1".parse(), Ok(Host::Address(_))));
        assert!(matches!("api.example.org".parse(), Ok(Host::Name(_))));
        for text in ["10.0.0.256", "10.0.0", "::1", "a_b", ""] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
        for text in ["api", "api:", "api:0", "api:65536", ":6443", "api:-1"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn macs_are_read_in_both_spellings_and_group_addresses_are_refused() {
        let mac: Mac = "08-00-27-AB-cd-0f".parse().unwrap();
        assert_eq!(mac.to_string(), "08:00:27:ab:cd:0f");
        assert_eq!(mac.compact(), "080027ABCD0F");
        for text in [
            "01:00:00:00:00:00",
            "00:00:00:00:00:00",
            "08:00:27",
            "+8:00:27:00:00:01",
            "08:00:27:00:00:00:00",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn serial_numbers_are_the_boards() {
        let serial: Serial = "100000003D1D5D2B".parse().unwrap();
        assert_eq!(serial.to_string(), "100000003d1d5d2b");
        let old: Serial = "3d1d5d2b".parse().unwrap();
        assert_eq!(old.to_string(), "000000003d1d5d2b");
        for text in [
            "",
            "0000000000000000",
            "3d1d5d2",
            "+00000003d1d5d2b",
            "100000003d1d5d2b0",
        ] {
            assert!(text.parse::<Serial>().is_err(), "{text}");
        }
    }
}
