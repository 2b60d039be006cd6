//! HAProxy before the API servers: TCP, health by `/readyz`, metrics for Prometheus.
//!
//! <https://docs.haproxy.org/2.4/configuration.html>, the version of Ubuntu 22.04. TLS passes through: who is spoken to is
//! checked by the client, with the cluster's authority.

use std::fmt::Write as _;

use super::{NODE_IP, NodeFile, SERVICE};
use crate::Cluster;
use crate::file::API_PORT;

/// Checks that must fail before a server is given no more connections, and that must succeed before it is again.
const FALL: u8 = 3;
const RISE: u8 = 2;

/// Makes `haproxy.cfg`, the same on every load balancer.
pub(super) fn file(cluster: &Cluster) -> NodeFile {
    NodeFile::public(format!("{SERVICE}/haproxy.cfg"), render(cluster))
}

fn render(cluster: &Cluster) -> String {
    let mut res = format!(
        "\
# Leads clients of cluster {name} to its API servers. Made by nodeimg.
global
\tlog /dev/log local0
\tuser haproxy
\tgroup haproxy
\tmaxconn 8000

defaults
\tmode tcp
\toption dontlognull
\toption clitcpka
\toption srvtcpka
\ttimeout connect 5s
\ttimeout check 5s
\t# Watches are silent for long.
\ttimeout client 1h
\ttimeout server 1h

resolvers system
\tparse-resolv-conf
\thold valid 10s

frontend kubernetes-api
\tlog global
\toption tcplog
\tbind :{port}
\tdefault_backend kubernetes-api

backend kubernetes-api
\tbalance roundrobin
\toption httpchk GET /readyz
\thttp-check expect status 200
\t# The check asks nothing secret; a client checks the certificate of the server it is led to.
\tdefault-server check check-ssl verify none inter 3s fall {FALL} rise {RISE}
",
        name = cluster.name,
        port = cluster.endpoint.port,
    );
    for node in cluster.control_planes() {
        // Without an address of its own in the file a node is looked up, again and again: it may not be there yet.
        let place = match node.address {
            Some(address) => format!("{address}:{API_PORT}"),
            None => format!(
                "{}:{API_PORT} resolvers system init-addr libc,none",
                cluster.fqdn(node)
            ),
        };
        writeln!(res, "\tserver {} {place}", node.name).expect("a String takes all");
    }
    write!(
        res,
        "
frontend metrics
\tbind {NODE_IP}:{}
\tmode http
\thttp-request use-service prometheus-exporter if {{ path /metrics }}
\tstats enable
\tstats uri /stats
",
        cluster.load_balancer.metrics_port
    )
    .expect("a String takes all");
    res
}
