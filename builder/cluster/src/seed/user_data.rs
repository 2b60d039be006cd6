//! `user-data`: a `#cloud-config` that names the node, lets the administrator in, grows the disk, and starts our join unit.
//!
//! <https://cloudinit.readthedocs.io/en/latest/reference/modules.html>. No package is installed and no password set.

use serde::Serialize;

use super::role::NodeFile;
use super::{Order, env, hosts, role};
use crate::{Cluster, Error, Node, Secret, SshKey, yaml};

#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "cloud-init's keys are what they are"
)]
struct CloudConfig<'a> {
    hostname: &'a str,
    fqdn: String,
    preserve_hostname: bool,
    manage_etc_hosts: bool,
    users: [User<'a>; 1],
    disable_root: bool,
    ssh_pwauth: bool,
    ssh_deletekeys: bool,
    ssh_keys: SshKeys<'a>,
    growpart: Growpart,
    resize_rootfs: bool,
    write_files: Vec<WriteFile>,
    runcmd: Vec<Vec<&'static str>>,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    gecos: &'static str,
    groups: [&'static str; 3],
    sudo: &'static str,
    shell: &'static str,
    lock_passwd: bool,
    // The schema wants at least one where the key is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh_authorized_keys: Vec<&'a str>,
}

#[derive(Serialize)]
struct SshKeys<'a> {
    ed25519_private: &'a str,
    ed25519_public: &'a str,
}

#[derive(Serialize)]
struct Growpart {
    mode: &'static str,
    devices: [&'static str; 1],
}

#[derive(Serialize)]
struct WriteFile {
    path: String,
    owner: &'static str,
    permissions: String,
    #[serde(serialize_with = "literal")]
    content: String,
}

#[expect(
    clippy::ptr_arg,
    reason = "serde calls it with a reference to the field"
)]
fn literal<S: serde::Serializer>(text: &String, serializer: S) -> Result<S::Ok, S::Error> {
    yaml::literal(text, serializer)
}

impl From<&NodeFile> for WriteFile {
    fn from(it: &NodeFile) -> Self {
        Self {
            path: it.path.clone(),
            owner: "root:root",
            permissions: format!("{:04o}", it.mode.bits()),
            content: it.content.expose().to_owned(),
        }
    }
}

/// Writes the user-data of `node`.
pub(super) fn render(order: &Order<'_>, node: &Node) -> Result<Secret, Error> {
    let cluster = order.cluster;
    let host_key = order.secrets.identity(&node.name).ssh_host_key;
    let admin = &cluster.admin;
    let config = CloudConfig {
        hostname: node.name.as_str(),
        fqdn: cluster.fqdn(node),
        preserve_hostname: false,
        // Ours is written whole below; cloud-init's own template knows only this node.
        manage_etc_hosts: false,
        users: [User {
            name: admin.user.as_str(),
            gecos: "Cluster administrator",
            groups: ["adm", "sudo", "systemd-journal"],
            sudo: "ALL=(ALL) NOPASSWD:ALL",
            shell: "/bin/bash",
            lock_passwd: true,
            ssh_authorized_keys: admin.ssh_keys.iter().map(SshKey::as_str).collect(),
        }],
        disable_root: true,
        ssh_pwauth: false,
        ssh_deletekeys: true,
        ssh_keys: SshKeys {
            ed25519_private: host_key.private.expose(),
            ed25519_public: &host_key.public,
        },
        growpart: Growpart {
            mode: "auto",
            devices: ["/"],
        },
        resize_rootfs: true,
        write_files: write_files(order, node)?,
        runcmd: runcmd(cluster, node),
    };
    let text = yaml::document("user-data", &config)?;
    Ok(Secret::new(format!("#cloud-config\n{text}")))
}

fn write_files(order: &Order<'_>, node: &Node) -> Result<Vec<WriteFile>, Error> {
    let Order {
        cluster,
        secrets,
        release,
        ..
    } = *order;
    let env = env::render(cluster, secrets, node, release);
    let mut files = vec![
        NodeFile::machine_id(order.secrets.identity(&node.name).machine_id),
        NodeFile::public("/etc/hosts", hosts::render(cluster, node)),
        NodeFile::public("/etc/nodeimg/node.env", env),
    ];
    files.extend(role::files(order, node)?);
    if !cluster.time_servers.is_empty() {
        files.push(NodeFile::public(
            "/etc/systemd/timesyncd.conf.d/10-nodeimg.conf",
            timesyncd(cluster),
        ));
    }
    Ok(files.iter().map(WriteFile::from).collect())
}

fn timesyncd(cluster: &Cluster) -> String {
    let servers: Vec<String> = cluster
        .time_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    format!("[Time]\nNTP={}\n", servers.join(" "))
}

fn runcmd(cluster: &Cluster, node: &Node) -> Vec<Vec<&'static str>> {
    // The journal began under the identity that systemd made up before the seed was read.
    let mut res = vec![vec!["systemctl", "restart", "systemd-journald.service"]];
    if !cluster.time_servers.is_empty() {
        // It started long before its file was written.
        res.push(vec![
            "systemctl",
            "try-restart",
            "systemd-timesyncd.service",
        ]);
    }
    let unit = if node.role.has_kubelet() {
        "nodeimg-join.service"
    } else {
        "nodeimg-role.service"
    };
    // The unit waits for the clock and the network itself; cloud-init is not to wait for it.
    res.push(vec!["systemctl", "start", "--no-block", unit]);
    res
}
