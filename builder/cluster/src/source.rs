//! Where things are: addresses on servers, digests that pin them, paths on nodes, and the names of manifests.

use std::fmt;
use std::str::FromStr;

use crate::Fault;
use crate::name::{label, text_newtype};

text_newtype!(
    /// The name of a manifest or a volume, one DNS label: part of a file's name on the node.
    ManifestName,
    |text| label("name", text)
);
text_newtype!(
    /// An address on a server: `https://` or `http://`, without spaces, quotes or a password.
    Url,
    |text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.and_then(|it| it.split('/').next()).unwrap_or_default();
        let plain = text.bytes().all(|it| it.is_ascii_graphic() && !b"\"'`<>\\{}|^".contains(&it));
        if plain && !host.is_empty() && !host.contains('@') && text.len() <= 2000 {
            return Ok(());
        }
        Err(Fault::new(
            "not the URL of a file",
            "write it whole, such as https://example.org/manifest.yaml, without user name and password",
        ))
    }
);
text_newtype!(
    /// A SHA-256 digest, 64 hexadecimal digits in lower case.
    Sha256Hex,
    |text| {
        if text.len() == 64 && text.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it)) {
            return Ok(());
        }
        Err(Fault::new(
            format!("`{text}` is not a SHA-256 digest"),
            "write the 64 digits that `sha256sum` prints for the file",
        ))
    }
);
text_newtype!(
    /// An absolute path on a node, in its plainest spelling: no `..`, no doubled slash, no character a shell or YAML could misread.
    AbsolutePath,
    |text| {
        let part = |it: &str| {
            !it.is_empty()
                && it != "."
                && it != ".."
                && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.+@".contains(&it))
        };
        if text.len() <= 255 && text.strip_prefix('/').is_some_and(|it| it.split('/').all(part)) {
            return Ok(());
        }
        Err(Fault::new(
            format!("`{text}` is not an absolute path"),
            "write it from the root without `..` and spaces, such as /srv/nfs",
        ))
    }
);

/// Checks the path of a file beside the cluster's; only the host can say whether it exists.
pub(crate) fn local_path(text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
        return Err(Fault::new(
            "not the path of a file",
            "write it relative to the cluster's file, such as manifests/ingress.yaml",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_whole_and_hold_no_password() {
        assert!("https://example.org/a/b.yaml?x=1".parse::<Url>().is_ok());
        for bad in [
            "",
            "https://",
            "ftp://example.org/a",
            "example.org/a",
            "https://me:secret@example.org/a",
            "https://example.org/a b",
            "https://example.org/\"",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_are_as_sha256sum_prints_them() {
        assert!("0a".repeat(32).parse::<Sha256Hex>().is_ok());
        for bad in ["", &"0A".repeat(32), &"0a".repeat(31), &"0g".repeat(32)] {
            assert!(bad.parse::<Sha256Hex>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_have_one_spelling() {
        for good in ["/srv", "/srv/nfs", "/var/log/k8s-audit.log"] {
            assert!(good.parse::<AbsolutePath>().is_ok(), "{good}");
        }
        for bad in ["", "/", "srv", "/srv/", "//srv", "/srv/..", "/a b", "/a'b"] {
            assert!(bad.parse::<AbsolutePath>().is_err(), "{bad}");
        }
    }
}
