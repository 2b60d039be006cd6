//! A stanza of `/var/lib/dpkg/status`: the fields, and the state that dpkg keeps between them.
//!
//! A stanza nobody changes is written as it was read; a changed one in dpkg's own order of fields.

use crate::control::{Paragraph, Paragraphs};
use crate::error::Error;
use crate::name::{Arch, PackageId, PackageName};
use crate::relation::Relations;
use crate::version::Version;
use std::fmt::Write as _;

/// How far a package's installation has come, in dpkg's order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum State {
    NotInstalled,
    ConfigFiles,
    HalfInstalled,
    Unpacked,
    HalfConfigured,
    TriggersAwaited,
    TriggersPending,
    Installed,
}

const STATES: [(State, &str); 8] = [
    (State::NotInstalled, "not-installed"),
    (State::ConfigFiles, "config-files"),
    (State::HalfInstalled, "half-installed"),
    (State::Unpacked, "unpacked"),
    (State::HalfConfigured, "half-configured"),
    (State::TriggersAwaited, "triggers-awaited"),
    (State::TriggersPending, "triggers-pending"),
    (State::Installed, "installed"),
];

/// dpkg's order of fields; others follow in the order of the package's control file.
const ORDER: [&str; 28] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Config-Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
    "Triggers-Pending",
    "Triggers-Awaited",
];

const RELATIONS: [&str; 9] = [
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
];

/// A conffile as `Conffiles` records it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Conffile {
    pub(crate) path: Vec<u8>,
    /// MD5 of the distributed file, or `newconffile` before the first configuration.
    pub(crate) hash: String,
    pub(crate) obsolete: bool,
    pub(crate) remove_on_upgrade: bool,
}

/// A package's stanza.
#[derive(Clone, Debug)]
pub(crate) struct Stanza {
    pub(crate) id: PackageId,
    pub(crate) paragraph: Paragraph,
    pub(crate) state: State,
    pub(crate) conffiles: Vec<Conffile>,
    pub(crate) pending: Vec<String>,
    pub(crate) awaited: Vec<String>,
    wanted: String,
    flag: String,
    /// Whether the fields above differ from the paragraph's text.
    changed: bool,
}

impl Stanza {
    /// Parses the status file.
    pub(crate) fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        Paragraphs::new("/var/lib/dpkg/status", bytes)
            .map(|it| Self::parse(it?))
            .collect()
    }

    fn parse(paragraph: Paragraph) -> Result<Self, Error> {
        let name = PackageName::new(paragraph.require("Package")?)?;
        let status = paragraph.require("Status")?;
        let words: Vec<&str> = status.split_whitespace().collect();
        let &[wanted, flag, state] = words.as_slice() else {
            return Err(Error::syntax("Status", status, "it is not three words"));
        };
        let state = STATES
            .iter()
            .find(|(_, text)| *text == state)
            .map(|(state, _)| *state);
        let state =
            state.ok_or_else(|| Error::syntax("Status", status, "dpkg knows no such state"))?;
        let arch = match paragraph.get("Architecture") {
            Some(arch) => Arch::new(arch)?,
            // A package that is only known by name has none.
            None => Arch::all(),
        };
        let words = |field| {
            paragraph
                .get(field)
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        Ok(Self {
            id: PackageId { name, arch },
            state,
            conffiles: parse_conffiles(paragraph.get("Conffiles").unwrap_or_default())?,
            pending: words("Triggers-Pending"),
            awaited: words("Triggers-Awaited"),
            wanted: wanted.to_owned(),
            flag: flag.to_owned(),
            changed: false,
            paragraph,
        })
    }

    /// Returns the stanza of a package that is being unpacked; fields that dpkg parses are written as it writes them.
    pub(crate) fn unpacked(
        id: PackageId,
        control: &Paragraph,
        old: Option<&Self>,
    ) -> Result<Self, Error> {
        let mut paragraph = Paragraph::default();
        for field in control.fields().filter(|it| !it.value.is_empty()) {
            let known = ORDER.iter().find(|it| it.eq_ignore_ascii_case(&field.name));
            let name = known.copied().unwrap_or(&field.name);
            let value = match name {
                "Status" | "Config-Version" | "Conffiles" | "Triggers-Pending"
                | "Triggers-Awaited" => continue,
                "Essential" | "Protected" | "Multi-Arch" if field.value == "no" => continue,
                "Version" => Version::new(&field.value)?.canonical().to_owned(),
                _ if RELATIONS.contains(&name) => Relations::parse(&field.value)?.to_string(),
                _ => field.value.clone(),
            };
            if !value.is_empty() {
                paragraph.set(name, value);
            }
        }
        if let Some(old) = old {
            for field in ["Priority", "Section"] {
                if let (None, Some(value)) = (paragraph.get(field), old.paragraph.get(field)) {
                    paragraph.set(field, value);
                }
            }
            let configured = match old.state {
                State::Installed | State::TriggersPending | State::TriggersAwaited => {
                    old.paragraph.get("Version")
                }
                _ => old.paragraph.get("Config-Version"),
            };
            if let Some(version) = configured {
                paragraph.set("Config-Version", version);
            }
        }
        Ok(Self {
            id,
            paragraph,
            state: State::HalfInstalled,
            conffiles: Vec::new(),
            pending: Vec::new(),
            awaited: old.map(|it| it.awaited.clone()).unwrap_or_default(),
            wanted: "install".to_owned(),
            flag: "ok".to_owned(),
            changed: true,
        })
    }

    /// Sets the state; states that cannot have pending triggers lose them.
    pub(crate) fn enter(&mut self, state: State) {
        self.state = state;
        if !matches!(state, State::TriggersAwaited | State::TriggersPending) {
            self.pending.clear();
        }
        if matches!(state, State::Installed | State::TriggersPending) {
            self.paragraph.remove("Config-Version");
        }
        self.changed = true;
    }

    /// Says that a field was changed in place.
    pub(crate) fn touch(&mut self) {
        self.changed = true;
    }

    /// Sets what is wanted of the package: `install`, `hold`.
    pub(crate) fn want(&mut self, wanted: &str) {
        wanted.clone_into(&mut self.wanted);
        self.changed = true;
    }

    /// Returns `Version`.
    pub(crate) fn version(&self) -> Result<Version, Error> {
        Version::new(self.paragraph.require("Version")?)
    }

    /// Returns the version that was configured last.
    pub(crate) fn configured_version(&self) -> &str {
        self.paragraph.get("Config-Version").unwrap_or_default()
    }

    /// Returns whether instances of several architectures may stand side by side.
    pub(crate) fn is_multi_arch_same(&self) -> bool {
        self.paragraph.get("Multi-Arch") == Some("same")
    }

    /// Returns the stem of the package's files in `info`.
    pub(crate) fn info_name(&self) -> String {
        if self.is_multi_arch_same() {
            self.id.to_string()
        } else {
            self.id.name.to_string()
        }
    }

    /// Returns whether dpkg would write the stanza at all.
    pub(crate) fn is_informative(&self) -> bool {
        self.state != State::NotInstalled || self.wanted != "unknown"
    }

    /// Returns the stanza as dpkg writes it.
    pub(crate) fn to_text(&self) -> String {
        if !self.changed {
            return self.paragraph.to_text();
        }
        let mut all = self.paragraph.clone();
        let state = STATES
            .iter()
            .find(|(it, _)| *it == self.state)
            .map_or("", |(_, text)| text);
        all.set("Status", format!("{} {} {state}", self.wanted, self.flag));
        for (field, value) in [
            ("Conffiles", self.conffiles_text()),
            ("Triggers-Pending", self.pending.join(" ")),
            ("Triggers-Awaited", self.awaited.join(" ")),
        ] {
            all.remove(field);
            if !value.is_empty() {
                all.set(field, value);
            }
        }
        let mut ordered = Paragraph::default();
        for name in ORDER {
            if let Some(value) = all.get(name) {
                ordered.set(name, value);
            }
        }
        for field in all.fields() {
            ordered.set(&field.name, field.value.clone());
        }
        ordered.to_text()
    }

    fn conffiles_text(&self) -> String {
        let mut text = String::new();
        for it in &self.conffiles {
            write!(text, "\n {} {}", String::from_utf8_lossy(&it.path), it.hash)
                .expect("a String takes all");
            text.push_str(if it.obsolete { " obsolete" } else { "" });
            text.push_str(if it.remove_on_upgrade {
                " remove-on-upgrade"
            } else {
                ""
            });
        }
        text
    }
}

fn parse_conffiles(value: &str) -> Result<Vec<Conffile>, Error> {
    let mut all = Vec::new();
    for line in value.lines().map(str::trim).filter(|it| !it.is_empty()) {
        // Paths may hold spaces; what follows them may not.
        let mut rest = line;
        let mut flag = |name: &str| {
            let cut = rest.strip_suffix(name).and_then(|it| it.strip_suffix(' '));
            rest = cut.unwrap_or(rest);
            cut.is_some()
        };
        let remove_on_upgrade = flag("remove-on-upgrade");
        let obsolete = flag("obsolete");
        let (path, hash) = rest
            .rsplit_once(' ')
            .ok_or_else(|| Error::syntax("Conffiles", line, "it is not `path digest`"))?;
        all.push(Conffile {
            path: path.as_bytes().to_vec(),
            hash: hash.to_owned(),
            obsolete,
            remove_on_upgrade,
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Package: a\nStatus: install ok installed\nOdd: 1\nVersion: 1\nArchitecture: all\nConffiles:\n \
                        /etc/a b 0123 obsolete\n /etc/c 4567\n";

    #[test]
    fn untouched_stanzas_keep_their_text_and_touched_ones_dpkgs_order() {
        let mut stanza = Stanza::parse_all(TEXT.as_bytes()).unwrap().remove(0);
        assert_eq!(stanza.to_text(), TEXT);
        assert_eq!(stanza.conffiles[0].path, b"/etc/a b");
        assert!(stanza.conffiles[0].obsolete && !stanza.conffiles[1].obsolete);
        stanza.want("hold");
        assert_eq!(
            stanza.to_text(),
            "Package: a\nStatus: hold ok installed\nArchitecture: all\nVersion: 1\nConffiles:\n /etc/a b 0123 \
             obsolete\n /etc/c 4567\nOdd: 1\n"
        );
    }

    #[test]
    fn bad_states_are_refused() {
        for bad in ["install ok", "install ok gone", ""] {
            assert!(
                Stanza::parse_all(format!("Package: a\nStatus: {bad}\n").as_bytes()).is_err(),
                "{bad}"
            );
        }
    }
}
