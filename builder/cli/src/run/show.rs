//! `nodeimg show` and `nodeimg profiles`.

use super::Host;
use crate::args::{Profiles, Show};
use crate::host::file::FileAt;
use crate::host::given;
use anyhow::{Context as _, Result};
use fstree::ReadAt;
use nodeimg::error::Error;
use nodeimg::profile;
use nodeimg::show::{self, Found};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

/// Prints what is in an image.
pub(super) fn show(host: &Host, args: &Show) -> Result<()> {
    let (file, path) = split(&args.what);
    let at = Path::new(file);
    // Before it is opened: opening a pipe waits for a writer.
    if !fs::metadata(at).map_err(given("the image", at))?.is_file() {
        return Err(Error::input(format!("{file} is no regular file"))
            .help("name an image; of a disk, copy it to a file first")
            .into());
    }
    let source: Arc<dyn ReadAt> = Arc::new(FileAt::open(at).map_err(given("the image", at))?);
    let shown = show::open(source, &host.inputs, host.jobs, &mut |name| {
        beside(at, name)
    })
    .with_context(|| format!("showing {file}"))?;
    let partition = args.partition.as_deref();
    match path {
        None => {
            let (partitions, tree) = (shown.partitions(), shown.tree(partition)?);
            let lines: Vec<&str> = tree.lines().collect();
            host.voice.result(
                &format!("{partitions}{}", tree.trim_end()),
                &json!({ "partitions": partitions, "files": lines }),
            )?;
        }
        Some(path) => match shown.find(partition, path)? {
            Found::Listing(text) => {
                host.voice.result(
                    text.trim_end(),
                    &json!({ "files": text.lines().collect::<Vec<_>>() }),
                )?;
            }
            Found::File(content) => {
                crate::report::bytes(&content).with_context(|| format!("reading {path}"))?;
            }
        },
    }
    Ok(())
}

/// Opens the file called `name` in the folder of `image`, if it is there; a name with a folder in it is none.
fn beside(image: &Path, name: &str) -> io::Result<Option<Arc<dyn ReadAt>>> {
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Ok(None);
    }
    match FileAt::open(&image.with_file_name(name)) {
        Ok(file) => Ok(Some(Arc::new(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Splits `IMAGE:PATH`; a path begins with `/`, so that a colon in a file's name does no harm.
fn split(what: &str) -> (&str, Option<&str>) {
    match what.rfind(":/") {
        Some(at) => (&what[..at], Some(&what[at + 1..])),
        None => (what, None),
    }
}

/// Lists the profiles, or prints one.
pub(super) fn profiles(host: &Host, args: &Profiles) -> Result<()> {
    if let Some(name) = &args.name {
        let profile = profile::load(&host.shelves, name)?;
        return host.voice.result(
            profile.to_string().trim_end(),
            &json!({ "profile": name, "text": profile.to_string() }),
        );
    }
    let (mut text, mut list) = (String::new(), Vec::new());
    for name in profile::names(&host.shelves) {
        let summary = profile::load(&host.shelves, &name)
            .map_or_else(|err| format!("cannot be used: {err}"), |it| it.summary);
        text.push_str(&format!("{name:<22} {summary}\n"));
        list.push(json!({ "name": name, "summary": summary }));
    }
    host.voice
        .result(text.trim_end(), &json!({ "profiles": list }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_looked_for_beside_the_image_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x-flat.vmdk"), b"123").unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let image = folder.path().join("x.vmdk");
        let found = |name: &str| beside(&image, name).unwrap().map(|it| it.size());
        assert_eq!(found("x-flat.vmdk"), Some(3));
        assert_eq!(found("y-flat.vmdk"), None);
        let inner = folder.path().join("in/x.vmdk");
        for name in [
            "../x-flat.vmdk",
            "/etc/passwd",
            "in/../x-flat.vmdk",
            "..",
            ".",
        ] {
            assert_eq!(found(name), None, "{name}");
            assert!(beside(&inner, name).unwrap().is_none(), "{name}");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash() {
        for (what, want) in [
            ("a.img", ("a.img", None)),
            ("a.img:/etc/x", ("a.img", Some("/etc/x"))),
            ("a:b.img:/", ("a:b.img", Some("/"))),
            ("/x/a.img:/etc:/y", ("/x/a.img:/etc", Some("/y"))),
        ] {
            assert_eq!(split(what), want);
        }
    }
}
