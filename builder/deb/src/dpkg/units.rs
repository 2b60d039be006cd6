//! Enabling units, as `deb-systemd-helper`, `systemctl preset` and `update-rc.d` do it in a system that does not run.
//! deb-systemd-helper(1p), systemd.preset(5), systemd.unit(5), update-rc.d(8).
//!
//! Reads `[Install]` sections and presets, makes links and the helper's state files. Instances of templates
//! (`x@y.service`) are enabled only by a template's `DefaultInstance`.

use super::script::{Effect, InitState, Instance};
use super::{Stamp, make_parents, optional, path, put, tree_error};
use crate::error::Error;
use fstree::{Dir, File, FileKind, FileTree, ImgPath, Meta};

/// A link that enabling a unit makes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Link {
    at: String,
    to: String,
}

/// Applies an effect.
pub(super) fn apply(tree: &mut FileTree, effect: &Effect, stamp: Stamp) -> Result<(), Error> {
    match effect {
        Effect::Unmask(instance, unit) => unmask(tree, *instance, unit),
        Effect::Enable(instance, unit) => enable(tree, *instance, unit, stamp),
        Effect::UpdateState(instance, unit) => {
            let Some(links) = closure(tree, *instance, unit)? else {
                return Ok(());
            };
            let lines = links
                .iter()
                .flat_map(|it| [it.at.as_str(), "\n"])
                .collect::<String>();
            put(
                tree,
                &state_file(*instance, unit),
                lines.into_bytes(),
                stamp,
            )
        }
        Effect::Preset(instance, unit) => preset(tree, *instance, unit, stamp),
        Effect::Init(name, state) => init(tree, name, *state, stamp),
    }
}

/// Returns whether all links that the helper recorded for a unit are there; true for a unit it does not know.
pub(super) fn was_enabled(tree: &FileTree, instance: Instance, unit: &str) -> bool {
    let bytes = optional(tree, &state_file(instance, unit)).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .all(|it| is_link(tree, it))
}

/// Returns whether the helper knows the unit.
pub(super) fn is_known(tree: &FileTree, instance: Instance, unit: &str) -> bool {
    ImgPath::new(state_file(instance, unit)).is_ok_and(|it| tree.content(&it).is_some())
}

fn folder(instance: Instance) -> &'static str {
    match instance {
        Instance::System => "system",
        Instance::User => "user",
    }
}

fn state_dir(instance: Instance, kind: &str) -> String {
    let user = if instance == Instance::User {
        "user-"
    } else {
        ""
    };
    format!("/var/lib/systemd/deb-systemd-{user}helper-{kind}")
}

fn state_file(instance: Instance, unit: &str) -> String {
    let base = unit.rsplit('/').next().unwrap_or(unit);
    format!("{}/{base}.dsh-also", state_dir(instance, "enabled"))
}

fn is_link(tree: &FileTree, at: &str) -> bool {
    let file = ImgPath::new(at)
        .ok()
        .and_then(|it| tree.file_at(&it).map(|it| &it.kind));
    matches!(file, Some(FileKind::Symlink(_)))
}

/// Returns the helper's text: its generations differ in what they do, and it says so itself.
fn helper_text(tree: &FileTree) -> String {
    let bytes = optional(tree, "/usr/bin/deb-systemd-helper").unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns where a unit's file is; the administrator's comes first.
fn find_unit(tree: &FileTree, instance: Instance, unit: &str) -> Option<String> {
    let folder = folder(instance);
    let helper = helper_text(tree);
    let (lib, usr) = (
        helper.find("root/lib/systemd/$instance"),
        helper.find("root/usr/lib/systemd/$instance"),
    );
    let mut places = [
        format!("/lib/systemd/{folder}"),
        format!("/usr/lib/systemd/{folder}"),
    ];
    if let (Some(lib), Some(usr)) = (lib, usr)
        && usr < lib
    {
        places.reverse();
    }
    let mut all = std::iter::once(format!("/etc/systemd/{folder}"))
        .chain(places)
        .map(|it| format!("{it}/{unit}"));
    all.find(|it| ImgPath::new(it).is_ok_and(|it| tree.content(&it).is_some()))
}

/// Returns the links of a unit and of all it names in `Also`, or `None` if it has no file.
fn closure(tree: &FileTree, instance: Instance, unit: &str) -> Result<Option<Vec<Link>>, Error> {
    let mut seen = vec![unit.to_owned()];
    links_of(tree, instance, unit, &mut seen)
}

fn links_of(
    tree: &FileTree,
    instance: Instance,
    unit: &str,
    seen: &mut Vec<String>,
) -> Result<Option<Vec<Link>>, Error> {
    let Some(file) = find_unit(tree, instance, unit) else {
        return Ok(None);
    };
    let text = optional(tree, &file)?;
    let (mut links, mut wanting) = (Vec::new(), Vec::new());
    let mut name = unit.to_owned();
    let folder = format!("/etc/systemd/{}", folder(instance));
    for line in String::from_utf8_lossy(&text).lines() {
        let Some((key, value)) = line.trim_start().split_once('=') else {
            continue;
        };
        let unquoted = |it: &str| it.trim_matches(['"', '\'']).to_owned();
        let values = value
            .split_whitespace()
            .map(unquoted)
            .filter(|it| !it.contains('/') && !it.is_empty());
        match key.to_ascii_lowercase().as_str() {
            "wantedby" => wanting.extend(values.map(|it| format!("{folder}/{it}.wants"))),
            "requiredby" => wanting.extend(values.map(|it| format!("{folder}/{it}.requires"))),
            "alias" => links.extend(values.filter(|it| it != unit).map(|it| Link {
                at: format!("{folder}/{it}"),
                to: file.clone(),
            })),
            "also" => {
                for other in values.collect::<Vec<_>>() {
                    if !seen.contains(&other) && seen.len() < 64 {
                        seen.push(other.clone());
                        links.extend(links_of(tree, instance, &other, seen)?.unwrap_or_default());
                    }
                }
            }
            "defaultinstance" => {
                if let Some((stem, suffix)) = unit.split_once("@.") {
                    name = format!("{stem}@{}.{suffix}", unquoted(value.trim()));
                }
            }
            _ => {}
        }
    }
    links.extend(wanting.into_iter().map(|it| Link {
        at: format!("{it}/{name}"),
        to: file.clone(),
    }));
    Ok(Some(links))
}

fn enable(tree: &mut FileTree, instance: Instance, unit: &str, stamp: Stamp) -> Result<(), Error> {
    let Some(links) = closure(tree, instance, unit)? else {
        return Ok(());
    };
    let systemctl = ["/bin/systemctl", "/usr/bin/systemctl"];
    let has_systemctl = systemctl
        .iter()
        .any(|it| ImgPath::new(it).is_ok_and(|it| tree.content(&it).is_some()));
    let by_preset = has_systemctl && helper_text(tree).contains("--preset-mode");
    let mut makes_links = true;
    if by_preset && is_known(tree, instance, unit) {
        makes_links = links.iter().any(|it| is_link(tree, &it.at));
    } else if by_preset {
        preset(tree, instance, unit, stamp)?;
        makes_links = false;
    }
    for link in links {
        record(tree, instance, unit, &link.at, stamp)?;
        let prefix = format!("/etc/systemd/{}/", folder(instance));
        let Some(rest) = link.at.strip_prefix(&prefix) else {
            continue;
        };
        let state = format!("{}/{rest}", state_dir(instance, "enabled"));
        if ImgPath::new(&state).is_ok_and(|it| tree.get(&it).is_some()) {
            continue;
        }
        if makes_links {
            make_link(tree, &link, stamp)?;
        }
        put(tree, &state, Vec::new(), stamp)?;
    }
    Ok(())
}

/// Adds a line to the unit's state file, unless it is there.
fn record(
    tree: &mut FileTree,
    instance: Instance,
    unit: &str,
    line: &str,
    stamp: Stamp,
) -> Result<(), Error> {
    let at = state_file(instance, unit);
    let mut text = String::from_utf8_lossy(&optional(tree, &at)?).into_owned();
    if !text.lines().any(|it| it == line) {
        text.push_str(line);
        text.push('\n');
    }
    put(tree, &at, text.into_bytes(), stamp)
}

/// Makes a link where nothing is yet.
fn make_link(tree: &mut FileTree, link: &Link, stamp: Stamp) -> Result<(), Error> {
    let at = path(&link.at)?;
    if tree.get(&at).is_some() {
        return Ok(());
    }
    make_parents(tree, &at, stamp)?;
    let file = File {
        meta: Meta::root_owned(0o777, stamp.time, stamp.layer),
        kind: FileKind::Symlink(link.to.clone().into_bytes()),
    };
    tree.put(&at, file).map_err(|it| tree_error(&at, it))?;
    Ok(())
}

fn preset(tree: &mut FileTree, instance: Instance, unit: &str, stamp: Stamp) -> Result<(), Error> {
    // `systemctl preset kubelet` means the service.
    let unit = if unit.contains('.') {
        unit.to_owned()
    } else {
        format!("{unit}.service")
    };
    let Some(links) = closure(tree, instance, &unit)? else {
        return Ok(());
    };
    let masked = path(format!("/etc/systemd/{}/{unit}", folder(instance)))?;
    if matches!(tree.file_at(&masked).map(|it| &it.kind), Some(FileKind::Symlink(it)) if it == b"/dev/null")
    {
        return Ok(());
    }
    if !preset_enables(tree, instance, &unit)? {
        return Ok(());
    }
    for link in links {
        make_link(tree, &link, stamp)?;
    }
    Ok(())
}

/// Returns what the first matching line of the presets says; no line means enable.
fn preset_enables(tree: &FileTree, instance: Instance, unit: &str) -> Result<bool, Error> {
    let kind = format!("{}-preset", folder(instance));
    let mut files = std::collections::BTreeMap::new();
    // A file in an earlier folder hides those of its name in later ones.
    for folder in [
        "/lib/systemd",
        "/usr/lib/systemd",
        "/usr/local/lib/systemd",
        "/etc/systemd",
    ] {
        let folder = format!("{folder}/{kind}");
        for (name, _) in tree.dir(&path(&folder)?).into_iter().flat_map(Dir::entries) {
            let name = name.to_string();
            if name.ends_with(".preset") {
                let file = format!("{folder}/{name}");
                files.insert(name, file);
            }
        }
    }
    for file in files.values() {
        for line in String::from_utf8_lossy(&optional(tree, file)?).lines() {
            let mut words = line.split_whitespace();
            let (Some(verb), Some(pattern)) = (words.next(), words.next()) else {
                continue;
            };
            if ["enable", "disable"].contains(&verb)
                && super::paths::matches(pattern.as_bytes(), unit.as_bytes())
            {
                return Ok(verb == "enable");
            }
        }
    }
    Ok(true)
}

/// Takes away a mask that the helper itself made.
fn unmask(tree: &mut FileTree, instance: Instance, unit: &str) -> Result<(), Error> {
    let at = path(format!("/etc/systemd/{}/{unit}", folder(instance)))?;
    let state = path(format!("{}/{unit}", state_dir(instance, "masked")))?;
    let masked = matches!(tree.file_at(&at).map(|it| &it.kind), Some(FileKind::Symlink(it)) if it == b"/dev/null");
    if masked && tree.get(&state).is_some() {
        tree.take(&at);
        tree.take(&state);
        let dir = path(state_dir(instance, "masked"))?;
        if tree.dir(&dir).is_some_and(|it| it.entries().len() == 0) {
            tree.take(&dir);
        }
    }
    Ok(())
}

/// Returns whether the order of init scripts is computed by insserv, which this does not do.
pub(super) fn has_insserv(tree: &FileTree) -> bool {
    let exists = |it: &str| ImgPath::new(it).is_ok_and(|it| tree.content(&it).is_some());
    exists("/etc/insserv.conf") && (exists("/sbin/insserv") || exists("/usr/lib/insserv/insserv"))
}

/// Makes the links of an init script by its LSB header, unless it has any.
fn init(tree: &mut FileTree, name: &str, state: InitState, stamp: Stamp) -> Result<(), Error> {
    const LEVELS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "S"];
    let is_ours = |link: &str| {
        let number = link.get(1..3).unwrap_or_default();
        link.starts_with(['S', 'K'])
            && number.bytes().all(|it| it.is_ascii_digit())
            && link.get(3..) == Some(name)
    };
    for level in LEVELS {
        let dir = tree.dir(&path(format!("/etc/rc{level}.d"))?);
        if dir.is_some_and(|it| it.entries().any(|(link, _)| is_ours(&link.to_string()))) {
            return Ok(());
        }
    }
    let bytes = optional(tree, &format!("/etc/init.d/{name}"))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let header = text.split("### BEGIN INIT INFO").nth(1).unwrap_or_default();
    let header = header.split("### END INIT INFO").next().unwrap_or_default();
    let levels = |key: &str| -> Vec<String> {
        let line = header
            .lines()
            .find_map(|it| it.trim_start_matches(['#', ' ', '\t']).strip_prefix(key));
        let known = |it: &&str| LEVELS.contains(it);
        line.unwrap_or_default()
            .split_whitespace()
            .filter(known)
            .map(str::to_owned)
            .collect()
    };
    let start = if state == InitState::Enabled {
        "S"
    } else {
        "K"
    };
    for (kind, key) in [(start, "Default-Start:"), ("K", "Default-Stop:")] {
        for level in levels(key) {
            let at = format!("/etc/rc{level}.d/{kind}01{name}");
            make_link(
                tree,
                &Link {
                    at,
                    to: format!("../init.d/{name}"),
                },
                stamp,
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fstree::{Layer, Node, Timestamp};

    fn link_to(tree: &FileTree, at: &str) -> Option<String> {
        match tree.get(&ImgPath::new(at).unwrap())? {
            Node::File(id) => match &tree.file(*id).kind {
                FileKind::Symlink(to) => Some(String::from_utf8_lossy(to).into_owned()),
                _ => None,
            },
            Node::Dir(_) => None,
        }
    }

    fn stamp() -> Stamp {
        Stamp {
            layer: Layer(1),
            time: Timestamp::from_secs(7),
        }
    }

    fn tree(files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new(Meta::default());
        for (at, text) in files {
            put(&mut tree, at, text.as_bytes().to_vec(), stamp()).unwrap();
        }
        tree
    }

    const UNIT: (&str, &str) = (
        "/lib/systemd/system/a.service",
        "[Install]\nWantedBy=x.target\nAlias=b.service\nAlso=c.socket a.service\n",
    );
    const SOCKET: (&str, &str) = (
        "/lib/systemd/system/c.socket",
        "[Install]\nRequiredBy=s.target\nAlso=a.service\n",
    );

    #[test]
    fn a_unit_is_enabled_with_all_it_names() {
        let mut tree = tree(&[UNIT, SOCKET]);
        apply(
            &mut tree,
            &Effect::Enable(Instance::System, "a.service".to_owned()),
            stamp(),
        )
        .unwrap();
        for (at, to) in [
            ("/etc/systemd/system/x.target.wants/a.service", UNIT.0),
            ("/etc/systemd/system/b.service", UNIT.0),
            ("/etc/systemd/system/s.target.requires/c.socket", SOCKET.0),
        ] {
            assert_eq!(link_to(&tree, at).as_deref(), Some(to), "{at}");
        }
        assert!(
            was_enabled(&tree, Instance::System, "a.service")
                && is_known(&tree, Instance::System, "a.service")
        );
        tree.take(&ImgPath::new("/etc/systemd/system/b.service").unwrap());
        assert!(!was_enabled(&tree, Instance::System, "a.service"));
    }

    #[test]
    fn presets_decide() {
        let rule = (
            "/etc/systemd/system-preset/10-x.preset",
            "# no\ndisable a*\n",
        );
        let mut tree = tree(&[UNIT, SOCKET, rule]);
        apply(
            &mut tree,
            &Effect::Preset(Instance::System, "a.service".to_owned()),
            stamp(),
        )
        .unwrap();
        assert_eq!(
            link_to(&tree, "/etc/systemd/system/x.target.wants/a.service"),
            None
        );
        apply(
            &mut tree,
            &Effect::Preset(Instance::System, "c.socket".to_owned()),
            stamp(),
        )
        .unwrap();
        assert!(link_to(&tree, "/etc/systemd/system/s.target.requires/c.socket").is_some());
    }

    #[test]
    fn init_scripts_are_linked_once() {
        let header =
            "### BEGIN INIT INFO\n# Default-Start: 2 S\n# Default-Stop:  0\n### END INIT INFO\n";
        let mut tree = tree(&[("/etc/init.d/x", header)]);
        apply(
            &mut tree,
            &Effect::Init("x".to_owned(), InitState::Enabled),
            stamp(),
        )
        .unwrap();
        for at in ["/etc/rc2.d/S01x", "/etc/rcS.d/S01x", "/etc/rc0.d/K01x"] {
            assert_eq!(link_to(&tree, at).as_deref(), Some("../init.d/x"), "{at}");
        }
    }
}
