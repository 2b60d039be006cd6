//! `network-config` version 2 (netplan's syntax): the node network with the node's address, an uplink with what DHCP gives.
//!
//! Every interface is optional: a cable that is not plugged in does not hold up the boot.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use serde::Serialize;

use super::{NicConfig, NicMatch, NicRole, Nics};
use crate::{Cluster, Error, Node, yaml};

#[derive(Serialize)]
struct NetworkConfig<'a> {
    version: u8,
    renderer: &'static str,
    ethernets: BTreeMap<&'a str, Ethernet<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Ethernet<'a> {
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matches: Option<Match<'a>>,
    optional: bool,
    dhcp4: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp_identifier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp4_overrides: Option<Dhcp4Overrides>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<[String; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<Vec<Route>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameservers: Option<Nameservers<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Match<'a> {
    Name(&'a str),
    MacAddress(String),
    Driver(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Dhcp4Overrides {
    route_metric: u32,
}

#[derive(Serialize)]
struct Route {
    to: String,
    via: Ipv4Addr,
}

#[derive(Serialize)]
struct Nameservers<'a> {
    addresses: &'a [Ipv4Addr],
}

/// Writes the network configuration of `node`.
pub(super) fn render(cluster: &Cluster, node: &Node, nics: &Nics) -> Result<String, Error> {
    let ethernets = nics
        .iter()
        .map(|nic| {
            let ethernet = match (nic.role, node.address) {
                (NicRole::Uplink, _) => by_dhcp(nic, 100),
                (NicRole::Cluster, None) => Ethernet {
                    routes: some(routes(cluster, node)),
                    ..by_dhcp(nic, 200)
                },
                (NicRole::Cluster, Some(address)) => fixed(cluster, node, address, nic, nics),
            };
            (nic.id.as_str(), ethernet)
        })
        .collect();
    let config = NetworkConfig {
        version: 2,
        // Without it some images give the file to another renderer, which goes back to DHCP.
        renderer: "networkd",
        ethernets,
    };
    yaml::document("network-config", &config)
}

fn by_dhcp(nic: &NicConfig, route_metric: u32) -> Ethernet<'_> {
    Ethernet {
        dhcp4: true,
        // A lease by machine-id would be shared by machines that were cloned after their first boot.
        dhcp_identifier: Some("mac"),
        dhcp4_overrides: Some(Dhcp4Overrides { route_metric }),
        ..bare(nic)
    }
}

fn fixed<'a>(
    cluster: &'a Cluster,
    node: &Node,
    address: Ipv4Addr,
    nic: &'a NicConfig,
    nics: &Nics,
) -> Ethernet<'a> {
    let network = &cluster.network;
    // Beside an uplink the node network leads nowhere: its gateway would take the default route away.
    let alone = !nics.has_uplink();
    let gateway = network.gateway.filter(|_| alone);
    // `default` is not known to the netplan of 20.04.
    let everywhere = gateway.map(|via| Route {
        to: "0.0.0.0/0".to_owned(),
        via,
    });
    let ways = everywhere
        .into_iter()
        .chain(routes(cluster, node))
        .collect();
    let nameservers = alone && !network.nameservers.is_empty();
    Ethernet {
        addresses: Some([format!("{address}/{}", cluster.node_cidr.prefix())]),
        routes: some(ways),
        nameservers: nameservers.then_some(Nameservers {
            addresses: &network.nameservers,
        }),
        ..bare(nic)
    }
}

/// The static routes of `node`: those of all nodes, then its own.
fn routes(cluster: &Cluster, node: &Node) -> Vec<Route> {
    let all = cluster.network.routes.iter().chain(&node.routes);
    all.map(|it| Route {
        to: it.to.to_string(),
        via: it.via,
    })
    .collect()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn bare(nic: &NicConfig) -> Ethernet<'_> {
    Ethernet {
        matches: match &nic.matches {
            // netplan takes the identifier for the name where nothing else is said.
            NicMatch::Name(name) if *name == nic.id => None,
            NicMatch::Name(name) => Some(Match::Name(name)),
            NicMatch::Mac(mac) => Some(Match::MacAddress(mac.to_string())),
            NicMatch::Driver(driver) => Some(Match::Driver(driver)),
        },
        optional: true,
        dhcp4: false,
        dhcp_identifier: None,
        dhcp4_overrides: None,
        addresses: None,
        routes: None,
        nameservers: None,
    }
}
