//! Folders that stand in for a server: their files are copied, as if they came over the network.

use super::{Progress, check_limit, check_size};
use crate::host::at;
use nodeimg::error::{Error, Result};
use nodeimg::want::Want;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Copies a file of a folder that stands in for a server.
pub(super) fn copy(
    want: &Want,
    file: &Path,
    partial: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let missing = |err| {
        Error::input(format!(
            "{} is not at {}, which stands in for {}",
            want.what,
            file.display(),
            want.url
        ))
        .because(err)
    };
    let mut from = File::open(file).map_err(missing)?;
    let meta = from.metadata().map_err(at("read", file))?;
    if !meta.is_file() {
        return Err(Error::input(format!(
            "{} is no regular file",
            file.display()
        )));
    }
    check_size(want, meta.len())?;
    let mut to = File::create(partial).map_err(at("make", partial))?;
    let mut buf = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let n = from.read(&mut buf).map_err(at("read", file))?;
        if n == 0 {
            return Ok(());
        }
        done += n as u64;
        check_limit(want, done)?;
        to.write_all(&buf[..n]).map_err(at("write", partial))?;
        progress(Progress::At(done, Some(meta.len())));
    }
}
