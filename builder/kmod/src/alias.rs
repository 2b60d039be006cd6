//! Aliases: their normal form, and the device nodes that some of them speak of.

/// Returns an alias as it is looked up: `-` is `_` but in brackets; `None` if brackets do not match.
pub(crate) fn normal(alias: &[u8]) -> Option<Vec<u8>> {
    let mut in_brackets = false;
    let mut normal = Vec::with_capacity(alias.len());
    for byte in alias {
        match byte {
            b'[' if !in_brackets => in_brackets = true,
            b']' if !in_brackets => return None,
            b']' => in_brackets = false,
            _ => {}
        }
        normal.push(if *byte == b'-' && !in_brackets {
            b'_'
        } else {
            *byte
        });
    }
    (!in_brackets).then_some(normal)
}

/// Returns a module's line of `modules.devname`: the node it wants before it is loaded, `fuse fuse c10:229`.
pub(crate) fn device_node(module: &str, aliases: &[Vec<u8>]) -> Option<String> {
    let mut name = None;
    let mut numbers = None;
    for alias in aliases {
        let Ok(alias) = std::str::from_utf8(alias) else {
            continue;
        };
        if let Some(it) = alias.strip_prefix("devname:") {
            name = Some(it);
        } else if let Some(it) = alias.strip_prefix("char-major-").and_then(major_minor) {
            numbers = Some(('c', it));
        } else if let Some(it) = alias.strip_prefix("block-major-").and_then(major_minor) {
            numbers = Some(('b', it));
        }
        if name.is_some() && numbers.is_some() {
            break;
        }
    }
    let (name, (kind, (major, minor))) = (name?, numbers?);
    Some(format!("{module} {name} {kind}{major}:{minor}\n"))
}

fn major_minor(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('-')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_outside_brackets_are_underscores() {
        for (alias, want) in [
            ("fs-ext4", Some("fs_ext4")),
            ("usb:v0A[b-c]-*", Some("usb:v0A[b-c]_*")),
            ("a]", None),
            ("a[b", None),
            ("[[]", Some("[[]")),
        ] {
            assert_eq!(
                normal(alias.as_bytes()),
                want.map(|it| it.as_bytes().to_vec()),
                "{alias}"
            );
        }
    }

    #[test]
    fn a_node_needs_a_name_and_numbers() {
        let line = |aliases: &[&str]| {
            let aliases: Vec<_> = aliases.iter().map(|it| it.as_bytes().to_vec()).collect();
            device_node("m", &aliases)
        };
        assert_eq!(
            line(&["char-major-10-229", "devname:net/tun"]).as_deref(),
            Some("m net/tun c10:229\n")
        );
        assert_eq!(
            line(&["devname:loop", "block-major-7-*", "block-major-7-0"]).as_deref(),
            Some("m loop b7:0\n")
        );
        assert_eq!(line(&["devname:loop", "block-major-7-*"]), None);
        assert_eq!(line(&["char-major-1-1"]), None);
    }
}
