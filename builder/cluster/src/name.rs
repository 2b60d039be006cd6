//! Names: hosts (RFC 1123), users, profiles and SSH public keys, each believed once it is made.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};

use crate::Fault;

pub(crate) const LABEL_HELP: &str =
    "use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63";

/// Says whether `text` is one DNS label as Kubernetes wants it (RFC 1123, lower case).
pub(crate) fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |it: &u8| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == b'-';
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(inner)
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

/// Defines a text newtype whose `FromStr` runs one check.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Fault;

            fn from_str(text: &str) -> Result<Self, Fault> {
                let check: fn(&str) -> Result<(), Fault> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use text_newtype;

text_newtype!(
    /// The cluster's name, one DNS label; it salts every derived secret.
    ClusterName,
    |text| label("cluster name", text)
);
text_newtype!(
    /// A node's name, one DNS label: its hostname and its name in Kubernetes.
    NodeName,
    |text| {
        label("node name", text)?;
        if text == "localhost" {
            return Err(Fault::new("node name `localhost` is taken by every machine", "choose another"));
        }
        Ok(())
    }
);
text_newtype!(
    /// A DNS name of one or more labels (RFC 1123, lower case, at most 253 characters).
    DnsName,
    |text| {
        if text.len() <= 253 && text.split('.').all(is_label) {
            return Ok(());
        }
        Err(Fault::new(format!("`{text}` is not a DNS name"), format!("between dots, {LABEL_HELP}")))
    }
);
text_newtype!(
    /// The name of an image profile: lower-case letters, digits and hyphens.
    ProfileName,
    |text| label("profile name", text)
);
text_newtype!(
    /// A login name as `useradd` accepts it; never `root`.
    UserName,
    |text| {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|it| it.is_ascii_lowercase() || it == b'_');
        let rest = bytes.all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"_-".contains(&it));
        if text == "root" {
            return Err(Fault::new("the admin user cannot be root", "choose another; it may use sudo"));
        }
        if first && rest && text.len() <= 32 {
            return Ok(());
        }
        Err(Fault::new(
            format!("`{text}` is not a user name"),
            "use lower-case letters, digits, `_` and `-`, not beginning with a digit, at most 32",
        ))
    }
);
text_newtype!(
    /// One line of an `authorized_keys` file: an OpenSSH public key, optionally with a comment.
    SshKey,
    ssh_key
);

pub(crate) fn label(kind: &str, text: &str) -> Result<(), Fault> {
    if is_label(text) {
        return Ok(());
    }
    Err(Fault::new(
        format!("{kind} `{text}` is not an RFC 1123 label"),
        LABEL_HELP,
    ))
}

const SSH_KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Checks the type, and that the blob repeats the type (RFC 4253 §6.6): a cut or mixed-up line is caught before a login fails.
fn ssh_key(text: &str) -> Result<(), Fault> {
    const HELP: &str = "paste the one line of a .pub file, such as ~/.ssh/id_ed25519.pub";
    // What was given is not repeated: it may be a private key.
    let wrong = |what: &str| Err(Fault::new(format!("SSH key {what}"), HELP));
    if text.contains("PRIVATE KEY") {
        return wrong("is a private key, which must never be in a cluster file");
    }
    if text.chars().any(char::is_control) {
        return wrong("holds a line break or a control character");
    }
    let mut words = text.split(' ');
    let kind = words.next().unwrap_or_default();
    if !SSH_KEY_TYPES.contains(&kind) {
        return wrong("does not begin with a known key type");
    }
    let Ok(blob) = Base64::decode_vec(words.next().unwrap_or_default()) else {
        return wrong("is not base64 after its type");
    };
    let len = u32::try_from(kind.len()).unwrap_or_default().to_be_bytes();
    let rest = blob
        .strip_prefix(&len[..])
        .and_then(|it| it.strip_prefix(kind.as_bytes()));
    match rest {
        Some(rest) if rest.len() > 4 => Ok(()),
        _ => wrong("is cut short or does not match its type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_rfc_1123() {
        for good in ["a", "node01", "7", "a-b", &"a".repeat(63)] {
            assert!(good.parse::<NodeName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a.b",
            "ä",
            "localhost",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
        assert!("cluster.local".parse::<DnsName>().is_ok());
        for bad in ["", ".", "a..b", "a.", "Cluster.local"] {
            assert!(bad.parse::<DnsName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn user_names_are_what_useradd_takes() {
        for bad in ["root", "", "1a", "a b", "a'b", "Admin", &"a".repeat(33)] {
            assert!(bad.parse::<UserName>().is_err(), "{bad}");
        }
        assert!("_ops-1".parse::<UserName>().is_ok());
    }

    #[test]
    fn ssh_keys_are_whole_public_keys() {
        let good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@laptop";
        assert!(good.parse::<SshKey>().is_ok());
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
            "from=\"*\" ssh-ed25519 AAAA",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            &format!("{good}\n{good}"),
        ] {
            assert!(bad.parse::<SshKey>().is_err(), "{bad}");
        }
    }
}
