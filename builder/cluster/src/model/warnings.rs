//! What is allowed but likely to disappoint.

use crate::{Cidr, Cluster, Host, Role};

impl Cluster {
    /// Returns what is allowed but likely to disappoint, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut res = Vec::new();
        if self.admin.ssh_keys.is_empty() {
            res.push("no `ssh_keys` in [admin]: nobody will be able to log in".to_owned());
        }
        let nat = virtualbox_nat();
        for (key, cidr) in [
            ("node_cidr", self.node_cidr),
            ("pod_cidr", self.pod_cidr),
            ("service_cidr", self.service_cidr),
        ] {
            if cidr.overlaps(nat) {
                res.push(format!(
                    "`{key}` {cidr} overlaps {nat}, which VirtualBox's NAT gives to every machine: \
                     such a cluster will not work in VirtualBox"
                ));
            }
        }
        let members = self.control_planes().count();
        let founder = self.control_planes().next();
        let single = founder.and_then(|it| it.address).map(Host::Address);
        if members > 1 && single.as_ref() == Some(&self.endpoint.host) {
            res.push(format!(
                "`endpoint` {} is one control plane of {members}: if it fails, so does the API; \
                 point it at a load balancer or a virtual address",
                self.endpoint
            ));
        }
        let balancers = self.of_role(Role::LoadBalancer).count();
        if balancers > 1 && self.load_balancer.virtual_address.is_none() {
            res.push(format!(
                "{balancers} load balancers and no `virtual_address` in [loadbalancer]: \
                 clients know one of them, and if it fails, so does the API"
            ));
        }
        res
    }
}

/// The network of `VirtualBox`'s NAT adapter, the same on every machine.
fn virtualbox_nat() -> Cidr {
    "10.0.2.0/24".parse().expect("a literal network")
}
