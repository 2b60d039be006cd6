//! Names and absolute paths inside an image, as bytes: Linux knows no encoding, and neither do they.
//!
//! A path is lexical: it never holds `.`, `..`, an empty component or NUL. Symbolic links are the tree's business.

use std::borrow::Borrow;
use std::fmt;

/// One name in a directory: 1 to 255 bytes, no `/`, no NUL, neither `.` nor `..`.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(Box<[u8]>);

/// An absolute path inside an image.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ImgPath {
    /// `/` alone for the root, else every component with a leading `/`.
    bytes: Vec<u8>,
}

/// Why bytes are no name or no path.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is no path inside an image: {why}")]
pub struct BadPath {
    text: String,
    why: &'static str,
}

impl BadPath {
    fn new(bytes: &[u8], why: &'static str) -> Self {
        let shown = bytes.get(..300).unwrap_or(bytes);
        Self {
            text: String::from_utf8_lossy(shown).into_owned(),
            why,
        }
    }
}

impl Name {
    /// Returns the name, or why it is none.
    pub fn new(bytes: &[u8]) -> Result<Self, BadPath> {
        match bytes {
            b"" => Err(BadPath::new(bytes, "a name is empty")),
            b"." | b".." => Err(BadPath::new(bytes, "`.` and `..` are not kept")),
            _ if bytes.len() > 255 => Err(BadPath::new(bytes, "a name is longer than 255 bytes")),
            _ if bytes.contains(&b'/') => Err(BadPath::new(bytes, "a name holds `/`")),
            _ if bytes.contains(&0) => Err(BadPath::new(bytes, "a name holds NUL")),
            _ => Ok(Self(bytes.into())),
        }
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Names are in the order of their bytes, so that maps of them are asked by bytes.
impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl ImgPath {
    /// Returns `/`.
    pub fn root() -> Self {
        Self { bytes: vec![b'/'] }
    }

    /// Parses a path that begins with `/`; repeated and trailing `/` are dropped, `.` and `..` refused.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        let text = text.as_ref();
        if text.first() != Some(&b'/') {
            return Err(BadPath::new(text, "it does not begin with `/`"));
        }
        let mut bytes = Vec::new();
        for part in text.split(|it| *it == b'/').filter(|it| !it.is_empty()) {
            bytes.push(b'/');
            bytes.extend(Name::new(part)?.as_bytes());
        }
        Ok(if bytes.is_empty() {
            Self::root()
        } else {
            Self { bytes }
        })
    }

    /// Parses a member name of an archive: `./usr/bin/x`, `usr/bin/x` and `/usr/bin/x` are one path.
    pub fn from_archive(text: &[u8]) -> Result<Self, BadPath> {
        let rest = text
            .strip_prefix(b".")
            .filter(|it| it.is_empty() || it[0] == b'/')
            .unwrap_or(text);
        Self::new([b"/", rest].concat())
    }

    /// Returns this path with one more name.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let mut longer = self.clone();
        longer.push(name);
        longer
    }

    /// Adds a name at the end.
    pub(crate) fn push(&mut self, name: &Name) {
        self.push_part(name.as_bytes());
    }

    fn push_part(&mut self, name: &[u8]) {
        if !self.is_root() {
            self.bytes.push(b'/');
        }
        self.bytes.extend_from_slice(name);
    }

    /// Takes the last name off; `/` stays.
    pub(crate) fn pop(&mut self) {
        let slash = self.bytes.iter().rposition(|it| *it == b'/');
        self.bytes.truncate(slash.unwrap_or_default().max(1));
    }

    /// Returns whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.bytes.len() == 1
    }

    /// Returns the path without its last name; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let mut parent = self.clone();
        parent.pop();
        Some(parent)
    }

    /// Returns the last name; `None` for `/`.
    pub fn file_name(&self) -> Option<Name> {
        let last = self.bytes.rsplit(|it| *it == b'/').next();
        last.filter(|it| !it.is_empty()).map(|it| Name(it.into()))
    }

    /// Iterates over the names from the root down.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.parts().map(|it| Name(it.into()))
    }

    /// Iterates over the names' bytes from the root down.
    pub(crate) fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.bytes
            .split(|it| *it == b'/')
            .filter(|it| !it.is_empty())
    }

    /// Returns this path, without its first `strip` names, below `folder`; `None` if no name is left.
    pub fn below(&self, folder: &Self, strip: usize) -> Option<Self> {
        let mut path = folder.clone();
        for part in self.parts().skip(strip) {
            path.push_part(part);
        }
        (path.bytes.len() > folder.bytes.len()).then_some(path)
    }

    /// Returns whether this path is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        other.is_root()
            || self
                .bytes
                .strip_prefix(other.bytes.as_slice())
                .is_some_and(|it| it.is_empty() || it[0] == b'/')
    }

    /// Returns the bytes, with the leading `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ImgPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.bytes))
    }
}

impl fmt::Debug for ImgPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Returns text that is one line and one field: UTF-8 stays, white space, control characters and `\` are escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char == '\\' || char.is_control() || char.is_whitespace() {
                char.to_string()
                    .bytes()
                    .for_each(|it| text.push_str(&format!("\\x{it:02x}")));
            } else {
                text.push(char);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|it| text.push_str(&format!("\\x{it:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normal() {
        for (text, want) in [
            ("/", Some("/")),
            ("//usr///bin/", Some("/usr/bin")),
            ("usr", None),
            ("/usr/../etc", None),
            ("/a/./b", None),
            ("/a\0b", None),
            ("/a b", Some("/a\\x20b")),
        ] {
            assert_eq!(
                ImgPath::new(text).ok().map(|it| it.to_string()).as_deref(),
                want,
                "{text}"
            );
        }
        assert_eq!(
            ImgPath::from_archive(b"./usr/bin/").unwrap(),
            ImgPath::new("/usr/bin").unwrap()
        );
        assert_eq!(ImgPath::from_archive(b"./").unwrap(), ImgPath::root());
        assert_eq!(ImgPath::from_archive(b".").unwrap(), ImgPath::root());
        assert_eq!(
            ImgPath::from_archive(b".config/x").unwrap(),
            ImgPath::new("/.config/x").unwrap()
        );
        assert!(ImgPath::from_archive(b"../x").is_err());
    }

    #[test]
    fn a_path_goes_below_a_folder_without_its_first_names() {
        let [root, folder, path] = ["/", "/opt/x", "/a/bc/d"].map(|it| ImgPath::new(it).unwrap());
        let below = |folder, strip| path.below(folder, strip).map(|it| it.to_string());
        assert_eq!(below(&folder, 0).as_deref(), Some("/opt/x/a/bc/d"));
        assert_eq!(below(&folder, 2).as_deref(), Some("/opt/x/d"));
        assert_eq!(below(&root, 1).as_deref(), Some("/bc/d"));
        assert_eq!(below(&folder, 3), None);
        assert_eq!(below(&root, 9), None);
        assert_eq!(root.below(&folder, 0), None);
    }

    #[test]
    fn parents_end_at_the_root() {
        let path = ImgPath::new("/a/b").unwrap();
        assert_eq!(path.parent().unwrap().to_string(), "/a");
        assert_eq!(path.parent().unwrap().parent().unwrap(), ImgPath::root());
        assert_eq!(ImgPath::root().parent(), None);
        assert!(path.starts_with(&ImgPath::new("/a").unwrap()));
        assert!(
            !ImgPath::new("/ab")
                .unwrap()
                .starts_with(&ImgPath::new("/a").unwrap())
        );
    }
}
