//! kube-vip as a static pod: the control planes keep a virtual address among themselves, by ARP and a lease in the cluster.
//!
//! <https://kube-vip.io/docs/installation/static/>. The founder's pod uses super-admin.conf: admin.conf has no rights until kubeadm
//! has given them, which it does through the very address that kube-vip is to hold (kubernetes 1.29 and newer).

use core::net::Ipv4Addr;

use super::super::{NicMatch, NicRole, Order};
use crate::Node;
use crate::file::API_PORT;

/// Writes the pod of `node`. No value can hold a character that YAML would misread: they are addresses, names and an image.
pub(super) fn render(order: &Order<'_>, node: &Node, address: Ipv4Addr, image: &str) -> String {
    let kubeconfig = if order.cluster.founds(node) {
        "super-admin.conf"
    } else {
        "admin.conf"
    };
    let interface = order
        .nics
        .iter()
        .find(|it| it.role == NicRole::Cluster)
        .and_then(|it| match &it.matches {
            NicMatch::Name(name) if !name.contains(['*', '?', '[']) => Some(name.as_str()),
            _ => None,
        });
    let interface = interface.map_or_else(String::new, |it| {
        format!("    - {{ name: vip_interface, value: \"{it}\" }}\n")
    });
    format!(
        r#"apiVersion: v1
kind: Pod
metadata:
  name: kube-vip
  namespace: kube-system
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  hostAliases:
  - ip: "127.0.0.1"
    hostnames: [kubernetes]
  containers:
  - name: kube-vip
    image: "{image}"
    imagePullPolicy: IfNotPresent
    args: [manager]
    env:
    - {{ name: vip_arp, value: "true" }}
    - {{ name: address, value: "{address}" }}
    - {{ name: port, value: "{API_PORT}" }}
{interface}    - {{ name: vip_cidr, value: "32" }}
    - {{ name: vip_subnet, value: "32" }}
    - {{ name: cp_enable, value: "true" }}
    - {{ name: cp_namespace, value: kube-system }}
    - {{ name: vip_leaderelection, value: "true" }}
    - {{ name: vip_leasename, value: plndr-cp-lock }}
    - {{ name: vip_leaseduration, value: "15" }}
    - {{ name: vip_renewdeadline, value: "10" }}
    - {{ name: vip_retryperiod, value: "2" }}
    - name: vip_nodename
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    securityContext:
      capabilities:
        drop: [ALL]
        add: [NET_ADMIN, NET_RAW]
    volumeMounts:
    - mountPath: /etc/kubernetes/admin.conf
      name: kubeconfig
      readOnly: true
  volumes:
  - name: kubeconfig
    hostPath:
      path: /etc/kubernetes/{kubeconfig}
"#
    )
}
