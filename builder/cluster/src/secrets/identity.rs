//! What makes a node itself: machine-id(5), an Ethernet address, and an Ed25519 SSH host key in OpenSSH's formats.
//!
//! The private key's file is the `openssh-key-v1` format of OpenSSH's `PROTOCOL.key`, without a passphrase.

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::SigningKey;

use super::{Secrets, der, derive};
use crate::{Cluster, Mac, NodeName, Secret, hex};

/// A node's identity; the same for the same seed, cluster and node name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// 32 hexadecimal digits, a random UUID without hyphens, for `/etc/machine-id`.
    pub machine_id: String,
    /// The host key `sshd` shows.
    pub ssh_host_key: SshHostKey,
    mac: [u8; 3],
}

/// An SSH host key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshHostKey {
    /// The text of `ssh_host_ed25519_key`.
    pub private: Secret,
    /// The text of `ssh_host_ed25519_key.pub`: type, key and the node's name as comment, without a line end.
    pub public: String,
}

impl Identity {
    pub(super) fn derive(secrets: &Secrets, node: &NodeName) -> Self {
        let mut uuid: [u8; 16] = derive::bytes(secrets, &format!("machine-id/{node}"));
        // Version 4, variant 1 (RFC 9562 §5.4), as systemd makes its own.
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Self {
            machine_id: hex::encode(&uuid),
            ssh_host_key: ssh_host_key(secrets, node),
            mac: derive::bytes(secrets, &format!("mac/{node}")),
        }
    }

    /// Returns the address of a virtual machine's card on the node network, one of `VirtualBox`'s.
    pub fn mac(&self) -> Mac {
        Mac::virtualbox(self.mac)
    }
}

const KEY_TYPE: &str = "ssh-ed25519";

fn ssh_host_key(secrets: &Secrets, node: &NodeName) -> SshHostKey {
    let key = SigningKey::from_bytes(&derive::bytes(
        secrets,
        &format!("ssh-host-key/{}", secrets.generation(node)),
    ));
    let public = key.verifying_key().to_bytes();
    let mut blob = Vec::new();
    string(&mut blob, KEY_TYPE.as_bytes());
    string(&mut blob, &public);

    let mut inner = Vec::new();
    // Two equal numbers tell a right passphrase from a wrong one; there is none, so the number may be any.
    inner.extend_from_slice(&public[..4]);
    inner.extend_from_slice(&public[..4]);
    inner.extend_from_slice(&blob);
    string(&mut inner, &key.to_keypair_bytes());
    string(&mut inner, node.as_str().as_bytes());
    // Padding is 1, 2, 3 … to a whole block, which is 8 bytes without a cipher.
    for pad in 1_u8.. {
        if inner.len() % 8 == 0 {
            break;
        }
        inner.push(pad);
    }

    let mut file = b"openssh-key-v1\0".to_vec();
    string(&mut file, b"none");
    string(&mut file, b"none");
    string(&mut file, b"");
    file.extend_from_slice(&1_u32.to_be_bytes());
    string(&mut file, &blob);
    string(&mut file, &inner);
    SshHostKey {
        private: Secret::new(der::lines("OPENSSH PRIVATE KEY", &file, 70)),
        public: format!("{KEY_TYPE} {} {node}", Base64::encode_string(&blob)),
    }
}

/// Appends a string as SSH writes it (RFC 4251 §5): length in 32 bits, then the bytes.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("keys and names are short");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn known_hosts(secrets: &Secrets, cluster: &Cluster) -> String {
    let lines: Vec<String> = cluster
        .nodes
        .iter()
        .map(|node| {
            let fqdn = cluster.fqdn(node);
            let mut names = vec![node.name.to_string()];
            if fqdn != node.name.as_str() {
                names.push(fqdn);
            }
            names.extend(node.address.map(|it| it.to_string()));
            let key = secrets.identity(&node.name).ssh_host_key.public;
            format!("{} {key}\n", names.join(","))
        })
        .collect();
    lines.concat()
}
