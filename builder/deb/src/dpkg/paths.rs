//! What bends paths on their way to the disk: diversions, stat overrides, and path filters. dpkg-divert(1),
//! dpkg-statoverride(1), dpkg(1) `--path-exclude`.

use super::accounts::Accounts;
use super::{optional, path};
use crate::error::Error;
use fstree::FileTree;
use std::collections::BTreeMap;

/// Paths that are placed elsewhere unless one package places them.
#[derive(Clone, Debug, Default)]
pub(super) struct Diversions {
    /// From → (to, the package that keeps the original path).
    by_path: BTreeMap<Vec<u8>, (Vec<u8>, Option<String>)>,
    targets: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Diversions {
    /// Parses the file: three lines each, `:` for a diversion by the administrator.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let lines: Vec<&[u8]> = bytes
            .split(|it| *it == b'\n')
            .filter(|it| !it.is_empty())
            .collect();
        let mut all = Self::default();
        for (index, chunk) in lines.chunks(3).enumerate() {
            let &[from, to, package] = chunk else {
                return Err(Error::line(
                    "/var/lib/dpkg/diversions",
                    index * 3 + 1,
                    "a diversion is not three lines",
                ));
            };
            let package = (package != b":").then(|| String::from_utf8_lossy(package).into_owned());
            all.targets.insert(to.to_vec(), from.to_vec());
            all.by_path.insert(from.to_vec(), (to.to_vec(), package));
        }
        Ok(all)
    }

    /// Returns the path that `package` uses for `path`.
    pub(super) fn used<'a>(&'a self, path: &'a [u8], package: &str) -> &'a [u8] {
        match self.by_path.get(path) {
            Some((to, by)) if by.as_deref() != Some(package) => to,
            _ => path,
        }
    }

    /// Returns the package that diverts `path`; `None` also if the administrator does.
    pub(super) fn diverter(&self, path: &[u8]) -> Option<&str> {
        self.by_path.get(path)?.1.as_deref()
    }

    /// Returns the path whose diversion leads here.
    pub(super) fn came_from(&self, path: &[u8]) -> Option<&[u8]> {
        self.targets.get(path).map(Vec::as_slice)
    }
}

/// Owner and mode that the administrator sets for a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Override {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u16,
}

/// Stat overrides by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides(BTreeMap<Vec<u8>, Override>);

impl Overrides {
    /// Parses `user group mode path` lines; `#12` is a number.
    pub(super) fn parse(bytes: &[u8], accounts: &Accounts) -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        for (index, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
            let bad = |why: &str| Error::line("/var/lib/dpkg/statoverride", index + 1, why);
            let fields: Vec<&str> = line.splitn(4, ' ').collect();
            let &[user, group, mode, at] = fields.as_slice() else {
                return Err(bad("it is not `user group mode path`"));
            };
            let id = |text: &str, named: Option<u32>| match text.strip_prefix('#') {
                Some(number) => number.parse().ok(),
                None => named,
            };
            let mode = u16::from_str_radix(mode, 8).ok().filter(|it| *it <= 0o7777);
            let found = Override {
                uid: id(user, accounts.user_named(user))
                    .ok_or_else(|| bad("the user is unknown"))?,
                gid: id(group, accounts.group_named(group))
                    .ok_or_else(|| bad("the group is unknown"))?,
                mode: mode.ok_or_else(|| bad("the mode is not octal"))?,
            };
            all.insert(at.as_bytes().to_vec(), found);
        }
        Ok(Self(all))
    }

    /// Returns the override of a path.
    pub(super) fn get(&self, path: &[u8]) -> Option<Override> {
        self.0.get(path).copied()
    }
}

/// `path-exclude` and `path-include`, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters(Vec<(Vec<u8>, Keep)>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keep {
    Include,
    Exclude,
}

impl Filters {
    /// Reads dpkg's configuration in the tree: the files of `dpkg.cfg.d` in order, then `dpkg.cfg`.
    pub(super) fn read(tree: &FileTree) -> Result<Self, Error> {
        let mut names = Vec::new();
        if let Some(dir) = tree.dir(&path("/etc/dpkg/dpkg.cfg.d")?) {
            let good = |it: &[u8]| {
                it.iter()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b))
            };
            names.extend(
                dir.entries()
                    .map(|(name, _)| name.as_bytes())
                    .filter(|it| good(it))
                    .map(<[u8]>::to_vec),
            );
        }
        let mut all = Self::default();
        for name in names {
            all.parse(&optional(
                tree,
                &format!("/etc/dpkg/dpkg.cfg.d/{}", String::from_utf8_lossy(&name)),
            )?);
        }
        all.parse(&optional(tree, "/etc/dpkg/dpkg.cfg")?);
        Ok(all)
    }

    fn parse(&mut self, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).lines().map(str::trim) {
            let Some((name, value)) = line.split_once(|it: char| it == '=' || it.is_whitespace())
            else {
                continue;
            };
            let value = value
                .trim_start_matches(|it: char| it == '=' || it.is_whitespace())
                .trim_matches('"');
            match name {
                "path-exclude" => self.0.push((value.as_bytes().to_vec(), Keep::Exclude)),
                "path-include" => self.0.push((value.as_bytes().to_vec(), Keep::Include)),
                _ => {}
            }
        }
    }

    /// Returns whether a member is not unpacked; `is_way` says it is a directory or a link, which later includes may need.
    pub(super) fn skips(&self, path: &[u8], is_way: bool) -> bool {
        let last = self
            .0
            .iter()
            .rev()
            .find(|(pattern, _)| matches(pattern, path));
        if last.is_none_or(|(_, keep)| *keep == Keep::Include) {
            return false;
        }
        !(is_way
            && self
                .0
                .iter()
                .filter(|(_, keep)| *keep == Keep::Include)
                .any(|(pattern, _)| {
                    let end = pattern
                        .iter()
                        .position(|it| b"*?[\\".contains(it))
                        .unwrap_or(pattern.len());
                    let mut stem = &pattern[..end];
                    while let Some(shorter) = stem.strip_suffix(b"/") {
                        stem = shorter;
                    }
                    path.starts_with(stem)
                }))
    }
}

/// Matches as fnmatch(3) without flags: `*` and `?` match `/` too.
///
/// One star is remembered at a time, so the cost is at most the product of both lengths.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match one(pattern, p, text[t]) {
            One::Star => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            One::Takes(next) => {
                (p, t) = (next, t + 1);
                continue;
            }
            One::Fails => {}
        }
        let Some((after, from)) = star else {
            return false;
        };
        star = Some((after, from + 1));
        (p, t) = (after, from + 1);
    }
    pattern[p..].iter().all(|it| *it == b'*')
}

enum One {
    Star,
    Takes(usize),
    Fails,
}

fn one(pattern: &[u8], at: usize, byte: u8) -> One {
    match pattern.get(at) {
        Some(b'*') => One::Star,
        Some(b'?') => One::Takes(at + 1),
        Some(b'[') => class(pattern, at, byte),
        Some(b'\\') if pattern.get(at + 1) == Some(&byte) => One::Takes(at + 2),
        Some(b'\\') if at + 1 < pattern.len() => One::Fails,
        Some(it) if *it == byte => One::Takes(at + 1),
        _ => One::Fails,
    }
}

/// Matches a bracket expression.
fn class(pattern: &[u8], at: usize, byte: u8) -> One {
    let negated = matches!(pattern.get(at + 1), Some(b'!' | b'^'));
    let start = at + 1 + usize::from(negated);
    let Some(len) = pattern
        .get(start + 1..)
        .and_then(|it| it.iter().position(|b| *b == b']'))
    else {
        return if byte == b'[' {
            One::Takes(at + 1)
        } else {
            One::Fails
        };
    };
    let set = &pattern[start..=start + len];
    let mut found = false;
    let mut index = 0;
    while index < set.len() {
        if let (Some(b'-'), Some(high)) = (set.get(index + 1), set.get(index + 2)) {
            found |= (set[index]..=*high).contains(&byte);
            index += 3;
        } else {
            found |= set[index] == byte;
            index += 1;
        }
    }
    if found == negated {
        One::Fails
    } else {
        One::Takes(start + len + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, text, want) in [
            ("/usr/share/doc/*", "/usr/share/doc/a/b", true),
            ("/usr/share/doc/*", "/usr/share/doc", false),
            ("*.[0-9a]z", "/x/y.5z", true),
            ("*.[!0-9]z", "/x/y.5z", false),
            ("a?c\\*", "abc*", true),
            ("[]x]", "]", true),
            ("a[", "a[", true),
            (
                "*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                want,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn later_filters_win_and_keep_the_way_open() {
        let mut filters = Filters::default();
        filters.parse(
            b"# x\npath-exclude=/usr/share/doc/*\npath-include = /usr/share/doc/*/copyright\n",
        );
        assert!(filters.skips(b"/usr/share/doc/a/README", false));
        assert!(!filters.skips(b"/usr/share/doc/a/copyright", false));
        assert!(!filters.skips(b"/usr/share/doc/a", true));
        assert!(!filters.skips(b"/usr/bin/x", false));
    }

    #[test]
    fn diversions_spare_their_own_package() {
        let all = Diversions::parse(b"/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n").unwrap();
        assert_eq!(all.used(b"/bin/sh", "bash"), b"/bin/sh.distrib");
        assert_eq!(all.used(b"/bin/sh", "dash"), b"/bin/sh");
        assert_eq!(all.used(b"/a", "x"), b"/b");
        assert_eq!(all.came_from(b"/b"), Some(&b"/a"[..]));
        assert!(Diversions::parse(b"/a\n/b\n").is_err());
    }
}
