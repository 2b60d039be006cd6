//! Where profiles and overlays are read from. The host decides whether that is a folder or the program itself.

use crate::error::Result;
use std::collections::BTreeMap;

/// A read-only tree of small files, named by paths such as `profiles/worker-amd64.toml`.
pub trait Shelf {
    /// Returns a file's bytes, or `None` if there is no such file; one that is there and cannot be read is an error.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// Returns all files below a folder, by their full names, in byte order.
    fn list(&self, folder: &str) -> Vec<String>;
}

impl Shelf for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get(path).cloned())
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{folder}/");
        self.keys()
            .filter(|it| it.starts_with(&prefix))
            .cloned()
            .collect()
    }
}
