//! keepalived: the address that moves to a load balancer that is alive, by VRRP version 2 (RFC 3768) with keepalived's own
//! extensions, unicast between the load balancers.
//!
//! The password of VRRP protects against another group's mistakes, not against anybody who listens.

use std::fmt::Write as _;

use super::{NODE_INTERFACE, NODE_IP, NodeFile, SERVICE};
use crate::{Cluster, Keeper, Node, Role, Secret, Secrets};

/// The priority of the first load balancer of the file; 255 would be the address's owner.
const FIRST_PRIORITY: u8 = 200;

/// Makes `keepalived.conf` of `node`, or nothing where keepalived holds no address.
pub(super) fn file(cluster: &Cluster, secrets: &Secrets, node: &Node) -> Option<NodeFile> {
    let text = render(cluster, secrets, node)?;
    Some(NodeFile::private(
        format!("{SERVICE}/keepalived.conf"),
        text,
    ))
}

fn render(cluster: &Cluster, secrets: &Secrets, node: &Node) -> Option<Secret> {
    let virtual_address = cluster.load_balancer.virtual_address.as_ref()?;
    let Keeper::Keepalived { router_id } = virtual_address.keeper else {
        return None;
    };
    let rank = cluster
        .of_role(Role::LoadBalancer)
        .position(|it| it.name == node.name)?;
    let step = u8::try_from(rank * 10).unwrap_or(u8::MAX);
    let priority = FIRST_PRIORITY.saturating_sub(step).max(1);
    let mut peers = String::new();
    for peer in cluster.of_role(Role::LoadBalancer) {
        if let Some(address) = peer.address.filter(|_| peer.name != node.name) {
            writeln!(peers, "\t\t{address}").expect("a String takes all");
        }
    }
    // A load balancer alone has nobody to speak to.
    let unicast = if peers.is_empty() {
        String::new()
    } else {
        format!("\tunicast_src_ip {NODE_IP}\n\tunicast_peer {{\n{peers}\t}}\n")
    };
    Some(Secret::new(format!(
        "\
# Keeps the address of cluster {cluster_name}'s API on a load balancer that is alive. Made by nodeimg.
global_defs {{
\trouter_id {node_name}
\tenable_script_security
\tscript_user root
}}

vrrp_script haproxy {{
\tscript \"/usr/bin/systemctl is-active --quiet haproxy.service\"
\tinterval 2
\ttimeout 5
\tfall 3
\trise 2
}}

vrrp_instance kubernetes-api {{
\tstate BACKUP
\tinterface {NODE_INTERFACE}
\tvirtual_router_id {router_id}
\tpriority {priority}
\tadvert_int 1
{unicast}\tauthentication {{
\t\tauth_type PASS
\t\tauth_pass {password}
\t}}
\tvirtual_ipaddress {{
\t\t{address}/32
\t}}
\ttrack_script {{
\t\thaproxy
\t}}
}}
",
        cluster_name = cluster.name,
        node_name = node.name,
        password = secrets.vrrp_password().expose(),
        address = virtual_address.address,
    )))
}
