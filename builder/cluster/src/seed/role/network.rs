//! Settings of pod networks and of MetalLB, as objects of their own interfaces.
//!
//! Calico: <https://docs.tigera.io/calico/latest/reference/installation/api>. Flannel: its own manifest's objects with the fields that
//! differ. MetalLB: <https://metallb.universe.tf/configuration/>. Texts hold numbers, addresses and words of ours only.

use crate::{Announce, Bgp, Calico, Cidr, Cluster, Cni, MetalLb, Stage};

/// Returns names and texts of what follows the manifests of a stage. Names begin with a word no manifest of a user should have.
pub(super) fn settings(cluster: &Cluster, stage: Stage) -> Vec<(&'static str, String)> {
    match stage {
        Stage::Cni => match cluster.cni {
            Cni::Calico(calico) => of_calico(cluster, calico),
            Cni::Flannel => vec![("nodeimg-flannel", flannel(cluster))],
            _ => Vec::new(),
        },
        Stage::Addons => {
            let metallb = cluster.metallb.as_ref();
            metallb
                .map(|it| ("nodeimg-metallb", of_metallb(it)))
                .into_iter()
                .collect()
        }
    }
}

fn of_calico(cluster: &Cluster, calico: Calico) -> Vec<(&'static str, String)> {
    let (nodes, pods) = (cluster.node_cidr, cluster.pod_cidr);
    let encapsulation = calico.encapsulation.as_str();
    let bgp = match calico.bgp {
        Bgp::Enabled(_) => "Enabled",
        Bgp::Disabled => "Disabled",
    };
    // A node's other cards, VirtualBox's NAT with its one address for all, are never taken.
    let installation = format!(
        r#"apiVersion: operator.tigera.io/v1
kind: Installation
metadata:
  name: default
spec:
  calicoNetwork:
    bgp: {bgp}
    nodeAddressAutodetectionV4:
      cidrs: ["{nodes}"]
    ipPools:
    - name: default-ipv4-ippool
      cidr: "{pods}"
      encapsulation: {encapsulation}
      natOutgoing: Enabled
      nodeSelector: all()
---
apiVersion: operator.tigera.io/v1
kind: APIServer
metadata:
  name: default
spec: {{}}
"#
    );
    let mut res = vec![("nodeimg-calico", installation)];
    if let Bgp::Enabled(Some(number)) = calico.bgp {
        let bgp = format!(
            "apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata:\n  name: default\nspec:\n  asNumber: {number}\n  nodeToNodeMeshEnabled: true\n"
        );
        res.push(("nodeimg-calico-bgp", bgp));
    }
    res
}

/// Flannel takes the card of the default route unless it is told another, which here may be the NAT.
fn flannel(cluster: &Cluster) -> String {
    let pods = cluster.pod_cidr;
    let nodes = addresses_of(cluster.node_cidr);
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-flannel-cfg
  namespace: kube-flannel
data:
  net-conf.json: |
    {{ "Network": "{pods}", "EnableNFTables": false, "Backend": {{ "Type": "vxlan" }} }}
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kube-flannel-ds
  namespace: kube-flannel
spec:
  template:
    spec:
      containers:
      - name: kube-flannel
        env:
        - name: FLANNELD_IFACE_REGEX
          value: '{nodes}'
"#
    )
}

/// Returns a regular expression of the addresses in `cidr`.
fn addresses_of(cidr: Cidr) -> String {
    let octets = cidr.network().octets();
    let whole = usize::from(cidr.prefix() / 8);
    let bits = cidr.prefix() % 8;
    let mut res = String::from("^");
    for octet in octets.iter().take(whole) {
        res.push_str(&format!("{octet}[.]"));
    }
    if whole == 4 {
        res.truncate(res.len() - "[.]".len());
        return res + "$";
    }
    if bits > 0 {
        let first = octets[whole];
        let last = first | (0xff >> bits);
        let all: Vec<String> = (first..=last).map(|it| it.to_string()).collect();
        let end = if whole == 3 { "$" } else { "[.]" };
        res.push_str(&format!("({}){end}", all.join("|")));
    }
    res
}

fn of_metallb(metallb: &MetalLb) -> String {
    let ranges: Vec<String> = metallb
        .addresses
        .iter()
        .map(|it| format!("  - {}-{}\n", it.first, it.last))
        .collect();
    let head = |kind: &str, version: &str| {
        format!(
            "apiVersion: metallb.io/{version}\nkind: {kind}\nmetadata:\n  name: nodeimg\n  namespace: metallb-system\n"
        )
    };
    let pool = format!(
        "{}spec:\n  addresses:\n{}",
        head("IPAddressPool", "v1beta1"),
        ranges.concat()
    );
    let announce = match &metallb.announce {
        Announce::Layer2 => format!(
            "{}spec:\n  ipAddressPools: [nodeimg]\n",
            head("L2Advertisement", "v1beta1")
        ),
        Announce::Bgp {
            as_number,
            peer_address,
            peer_as_number,
        } => format!(
            "{}spec:\n  myASN: {as_number}\n  peerASN: {peer_as_number}\n  peerAddress: {peer_address}\n---\n{}spec:\n  ipAddressPools: [nodeimg]\n",
            head("BGPPeer", "v1beta2"),
            head("BGPAdvertisement", "v1beta1")
        ),
    };
    format!("{pool}---\n{announce}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_regular_expression() {
        for (cidr, want) in [
            ("192.168.56.0/24", "^192[.]168[.]56[.]"),
            ("10.0.0.0/8", "^10[.]"),
            ("10.4.16.0/22", "^10[.]4[.](16|17|18|19)[.]"),
            ("10.4.0.8/30", "^10[.]4[.]0[.](8|9|10|11)$"),
            ("10.4.0.8/32", "^10[.]4[.]0[.]8$"),
        ] {
            assert_eq!(addresses_of(cidr.parse().unwrap()), want);
        }
        let all = addresses_of("10.4.0.0/20".parse().unwrap());
        assert!(
            all.starts_with("^10[.]4[.](0|1|2|") && all.ends_with("|15)[.]"),
            "{all}"
        );
    }
}
