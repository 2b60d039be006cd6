//! Overlays: file trees with a small manifest for what a file tree in git cannot hold.
//!
//! `overlays/<name>/overlay.toml` gives modes, owners, links, units and removals; `overlays/<name>/files/` is laid over the
//! image's root. A file marked `template` is rendered with strict undefined values. Nothing in an overlay is ever run.

use crate::error::{Error, Result, input};
use crate::shelf::Shelf;
use crate::toml_text;
use fstree::ImgPath;
use serde::{Deserialize, Serialize};

/// An overlay, rendered: nothing is left to look up.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Its name.
    pub name: String,
    /// Files with their content.
    pub files: Vec<OverlayFile>,
    /// Directories with other than default metadata.
    pub dirs: Vec<(ImgPath, Owner)>,
    /// Symbolic links and their targets.
    pub links: Vec<(ImgPath, String)>,
    /// Units to enable, disable and mask.
    pub units: Units,
    /// Paths to remove; `*` in the last name stands for any text.
    pub remove: Vec<String>,
    /// Files to leave empty.
    pub empty: Vec<ImgPath>,
}

/// A file of an overlay.
#[derive(Clone, Debug)]
pub struct OverlayFile {
    /// Where it goes.
    pub path: ImgPath,
    /// Mode and owner.
    pub owner: Owner,
    /// Its content, rendered.
    pub bytes: Vec<u8>,
}

/// Mode and owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Units an overlay changes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Enabled by the links their `[Install]` sections ask for.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Such links removed.
    #[serde(default)]
    pub disable: Vec<String>,
    /// Linked to `/dev/null`.
    #[serde(default)]
    pub mask: Vec<String>,
}

/// What a template may name.
#[derive(Clone, Debug, Serialize)]
pub struct Values {
    /// `kubernetes.version`, `kubernetes.minor`, `kubernetes.pause_image`; a node without Kubernetes has none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesValues>,
    /// `profile.name`, `profile.role`.
    pub profile: ProfileValues,
    /// Debian's name of the architecture.
    pub arch: String,
    /// `build.time`, `build.time_rfc3339`.
    pub build: BuildValues,
    /// `base.summary`.
    pub base: BaseValues,
}

/// See [`Values`].
#[derive(Clone, Debug, Serialize)]
pub struct KubernetesValues {
    /// Exact: `1.36.2`.
    pub version: String,
    /// `1.36`.
    pub minor: String,
    /// The sandbox image, on nodes that run pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_image: Option<String>,
}

/// See [`Values`].
#[derive(Clone, Debug, Serialize)]
pub struct ProfileValues {
    /// The profile's name.
    pub name: String,
    /// Its role.
    pub role: String,
}

/// See [`Values`].
#[derive(Clone, Debug, Serialize)]
pub struct BuildValues {
    /// The lock's time in seconds since 1970.
    pub time: i64,
    /// The same as text.
    pub time_rfc3339: String,
}

/// See [`Values`].
#[derive(Clone, Debug, Serialize)]
pub struct BaseValues {
    /// The base's one line for people.
    pub summary: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(rename = "summary")]
    _summary: String,
    #[serde(default)]
    file: Vec<FileEntry>,
    #[serde(default)]
    dir: Vec<DirEntry>,
    #[serde(default)]
    link: Vec<LinkEntry>,
    #[serde(default)]
    units: Units,
    #[serde(default)]
    remove: Paths,
    #[serde(default)]
    empty: Paths,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    path: String,
    mode: Option<String>,
    owner: Option<String>,
    #[serde(default)]
    template: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirEntry {
    path: String,
    mode: Option<String>,
    owner: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkEntry {
    path: String,
    target: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paths {
    #[serde(default)]
    paths: Vec<String>,
}

/// Reads an overlay and renders its templates.
pub fn load(shelf: &dyn Shelf, name: &str, values: &Values) -> Result<Overlay> {
    let manifest_path = format!("overlays/{name}/overlay.toml");
    let bytes = shelf.read(&manifest_path)?.ok_or_else(|| {
        Error::input(format!("there is no overlay {name:?}"))
            .help(format!("{manifest_path} is its manifest"))
    })?;
    let manifest: Manifest = toml_text::parse(&manifest_path, &bytes)?;
    let place = |path: &str| ImgPath::new(path).map_err(input(manifest_path.clone()));
    let mut overlay = Overlay {
        name: name.to_owned(),
        units: manifest.units,
        ..Overlay::default()
    };
    let prefix = format!("overlays/{name}/files");
    let mut unused: Vec<&str> = manifest.file.iter().map(|it| it.path.as_str()).collect();
    for full in shelf.list(&prefix) {
        let path = &full[prefix.len()..];
        let entry = manifest.file.iter().find(|it| it.path == path);
        unused.retain(|it| *it != path);
        let bytes = shelf
            .read(&full)?
            .ok_or_else(|| Error::world(format!("{full} vanished while it was read")))?;
        let bytes = if entry.is_some_and(|it| it.template) {
            render(&full, &bytes, values)?
        } else {
            bytes
        };
        let (mode, owner) =
            entry.map_or((None, None), |it| (it.mode.as_deref(), it.owner.as_deref()));
        overlay.files.push(OverlayFile {
            path: place(path)?,
            owner: own(&manifest_path, mode, owner, 0o644)?,
            bytes,
        });
    }
    if let Some(path) = unused.first() {
        return Err(Error::input(format!(
            "{manifest_path} names {path}, which is not below {prefix}"
        )));
    }
    for dir in manifest.dir {
        let owner = own(
            &manifest_path,
            dir.mode.as_deref(),
            dir.owner.as_deref(),
            0o755,
        )?;
        overlay.dirs.push((place(&dir.path)?, owner));
    }
    for link in manifest.link {
        overlay.links.push((place(&link.path)?, link.target));
    }
    for path in &manifest.remove.paths {
        place(path)?;
    }
    overlay.remove = manifest.remove.paths;
    overlay.empty = manifest
        .empty
        .paths
        .iter()
        .map(|it| place(it))
        .collect::<Result<_>>()?;
    Ok(overlay)
}

fn own(place: &str, mode: Option<&str>, owner: Option<&str>, default_mode: u16) -> Result<Owner> {
    let bad = |text: &str, want: &str| Error::input(format!("{place}: {text:?} is not {want}"));
    let mode = match mode {
        None => default_mode,
        Some(text) => u16::from_str_radix(text, 8)
            .ok()
            .filter(|it| *it <= 0o7777)
            .ok_or_else(|| bad(text, "a mode such as \"0755\""))?,
    };
    let (uid, gid) = match owner {
        None => (0, 0),
        Some(text) => text
            .split_once(':')
            .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)))
            .ok_or_else(|| bad(text, "an owner such as \"0:0\""))?,
    };
    Ok(Owner { mode, uid, gid })
}

fn render(file: &str, bytes: &[u8], values: &Values) -> Result<Vec<u8>> {
    let text =
        std::str::from_utf8(bytes).map_err(input(format!("template {file} is not UTF-8 text")))?;
    let mut environment = minijinja::Environment::empty();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let mut rendered = environment
        .render_str(text, minijinja::value::Serde(values))
        .map_err(|cause| {
            let line = cause
                .line()
                .map_or_else(String::new, |it| format!(", line {it}"));
            Error::input(format!("template {file}{line} cannot be rendered")).because(cause)
        })?;
    // The engine drops one line end at the end of a template, which a file needs.
    if text.ends_with('\n') {
        rendered.push('\n');
    }
    Ok(rendered.into_bytes())
}
