//! Triggers: who is interested in what, and what became of it. deb-triggers(5); dpkg's `triggers.txt`.
//!
//! As with `dpkg --no-triggers`, nothing is processed: interested packages become `triggers-pending` and wait for the
//! machine's own dpkg. dpkg turns the order of `Triggers-Pending` around each time it reads it; that order has no meaning.

use super::{Dpkg, Stamp, State, optional, path, put};
use crate::error::Error;
use crate::name::PackageId;
use fstree::{Dir, FileTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const FOLDER: &str = "/var/lib/dpkg/triggers";
/// The longest `triggers` file: real ones have ten lines, and each is looked for among all interests.
const MAX_DIRECTIVES: usize = 64 << 10;

/// Whether the activating package waits until the trigger is processed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Await {
    Yes,
    No,
}

/// An interested package, as the database names it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Interest {
    package: String,
    awaits: Await,
}

/// The database of interests.
#[derive(Clone, Debug, Default)]
pub(super) struct Triggers {
    /// Interests in files, in the order of `triggers/File`.
    files: Vec<(Vec<u8>, Interest)>,
    named: BTreeMap<String, Vec<Interest>>,
    files_changed: bool,
    named_changed: BTreeSet<String>,
}

/// A directive of a package's `triggers` file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Directive {
    Interest(String, Await),
    Activate(String, Await),
}

/// Parses a package's `triggers` file.
pub(super) fn parse(package: &PackageId, bytes: &[u8]) -> Result<Vec<Directive>, Error> {
    let mut all = Vec::new();
    if bytes.len() > MAX_DIRECTIVES {
        return Err(Error::TooLarge {
            what: "a package's triggers file",
            limit: MAX_DIRECTIVES as u64,
        });
    }
    for (index, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: &str| Error::line(&format!("triggers of {package}"), index + 1, why);
        let (command, trigger) = line
            .split_once([' ', '\t'])
            .ok_or_else(|| bad("it is no `directive trigger`"))?;
        let trigger = trigger.trim().to_owned();
        if trigger.is_empty() || trigger.bytes().any(|it| !(33..=126).contains(&it)) {
            return Err(bad("the trigger's name is malformed"));
        }
        if !trigger.starts_with('/') && trigger.contains(['/', '_']) {
            return Err(bad("the trigger is neither a path nor a name"));
        }
        all.push(match command {
            "interest" | "interest-await" => Directive::Interest(trigger, Await::Yes),
            "interest-noawait" => Directive::Interest(trigger, Await::No),
            "activate" | "activate-await" => Directive::Activate(trigger, Await::Yes),
            "activate-noawait" => Directive::Activate(trigger, Await::No),
            _ => return Err(bad("dpkg knows no such directive")),
        });
    }
    Ok(all)
}

impl Interest {
    fn parse(text: &str) -> Self {
        let (package, option) = text.split_once('/').unwrap_or((text, ""));
        let awaits = if option == "noawait" {
            Await::No
        } else {
            Await::Yes
        };
        Self {
            package: package.to_owned(),
            awaits,
        }
    }

    fn text(&self) -> String {
        let option = if self.awaits == Await::No {
            "/noawait"
        } else {
            ""
        };
        format!("{}{option}", self.package)
    }
}

impl Triggers {
    /// Reads the folder.
    pub(super) fn read(tree: &FileTree) -> Result<Self, Error> {
        let mut all = Self::default();
        for line in String::from_utf8_lossy(&optional(tree, &format!("{FOLDER}/File"))?).lines() {
            let Some((file, package)) = line
                .split_once(' ')
                .filter(|(file, _)| file.starts_with('/'))
            else {
                return Err(Error::syntax(
                    "line of triggers/File",
                    line,
                    "it is not `path package`",
                ));
            };
            all.files
                .push((file.as_bytes().to_vec(), Interest::parse(package)));
        }
        let names: Vec<_> = tree
            .dir(&path(FOLDER)?)
            .into_iter()
            .flat_map(Dir::entries)
            .map(|(name, _)| name)
            .collect();
        for name in names {
            let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
            if ["File", "Unincorp", "Lock"].contains(&name.as_str()) {
                continue;
            }
            let bytes = optional(tree, &format!("{FOLDER}/{name}"))?;
            let interests = String::from_utf8_lossy(&bytes)
                .lines()
                .map(Interest::parse)
                .collect();
            all.named.insert(name, interests);
        }
        Ok(all)
    }

    /// Writes what changed.
    pub(super) fn write(&self, tree: &mut FileTree, stamp: Stamp) -> Result<(), Error> {
        if self.files_changed {
            let mut bytes = Vec::new();
            for (file, interest) in &self.files {
                bytes.extend_from_slice(file);
                bytes.extend_from_slice(format!(" {}\n", interest.text()).as_bytes());
            }
            Self::write_file(tree, "File", bytes, stamp)?;
        }
        for name in &self.named_changed {
            let mut text = String::new();
            for interest in self.named.get(name).into_iter().flatten() {
                writeln!(text, "{}", interest.text()).expect("a String takes all");
            }
            Self::write_file(tree, name, text.into_bytes(), stamp)?;
        }
        Ok(())
    }

    fn write_file(
        tree: &mut FileTree,
        name: &str,
        bytes: Vec<u8>,
        stamp: Stamp,
    ) -> Result<(), Error> {
        let at = format!("{FOLDER}/{name}");
        if bytes.is_empty() {
            tree.take(&path(&at)?);
            return Ok(());
        }
        put(tree, &at, bytes, stamp)
    }

    /// Takes a package's interests out.
    pub(super) fn forget(&mut self, package: &str, directives: &[Directive]) {
        for directive in directives {
            let Directive::Interest(trigger, _) = directive else {
                continue;
            };
            if trigger.starts_with('/') {
                let before = self.files.len();
                self.files
                    .retain(|(file, it)| file != trigger.as_bytes() || it.package != package);
                self.files_changed |= self.files.len() != before;
            } else {
                let interests = self.named.entry(trigger.clone()).or_default();
                interests.retain(|it| it.package != package);
                self.named_changed.insert(trigger.clone());
            }
        }
    }

    /// Adds a package's interests.
    pub(super) fn remember(&mut self, package: &str, directives: &[Directive]) {
        for directive in directives {
            let Directive::Interest(trigger, awaits) = directive else {
                continue;
            };
            let interest = Interest {
                package: package.to_owned(),
                awaits: *awaits,
            };
            if trigger.starts_with('/') {
                let same = |(file, it): &&mut (Vec<u8>, Interest)| {
                    file == trigger.as_bytes() && it.package == package
                };
                if let Some((_, found)) = self.files.iter_mut().find(same) {
                    // dpkg notes the option of a repeated interest and does not count that as a change.
                    *found = interest;
                } else {
                    self.files.push((trigger.as_bytes().to_vec(), interest));
                    self.files_changed = true;
                }
            } else {
                let interests = self.named.entry(trigger.clone()).or_default();
                interests.retain(|it| it.package != package);
                interests.push(interest);
                self.named_changed.insert(trigger.clone());
            }
        }
    }

    /// Returns who is interested in exactly this path, in the order in which dpkg tells them.
    fn interested_in(&self, file: &[u8]) -> Vec<Interest> {
        self.files
            .iter()
            .rev()
            .filter(|(path, _)| path == file)
            .map(|(_, it)| it.clone())
            .collect()
    }
}

impl Dpkg {
    /// Activates what a `triggers` file says, as dpkg does when it unpacks and again when it configures.
    pub(super) fn activate_directives(&mut self, by: &PackageId, directives: &[Directive]) {
        for directive in directives {
            let Directive::Activate(trigger, awaits) = directive else {
                continue;
            };
            let waiting = (*awaits == Await::Yes).then_some(by);
            if trigger.starts_with('/') {
                self.activate_below(trigger.as_bytes(), waiting);
            } else {
                for interest in self
                    .triggers
                    .named
                    .get(trigger)
                    .cloned()
                    .unwrap_or_default()
                {
                    self.activate(&interest, trigger, waiting);
                }
            }
        }
    }

    /// Activates the interests in one path.
    pub(super) fn activate_file(&mut self, file: &[u8], by: Option<&PackageId>) {
        for interest in self.triggers.interested_in(file) {
            self.activate(&interest, &String::from_utf8_lossy(file), by);
        }
    }

    /// Activates the interests in a path and in all directories above it.
    pub(super) fn activate_below(&mut self, file: &[u8], by: Option<&PackageId>) {
        let mut rest = file;
        loop {
            self.activate_file(rest, by);
            match rest.iter().rposition(|it| *it == b'/') {
                Some(slash) if slash > 0 => rest = &rest[..slash],
                _ => return,
            }
        }
    }

    fn activate(&mut self, interest: &Interest, trigger: &str, by: Option<&PackageId>) {
        let Some(pending) = self.find(&interest.package).cloned() else {
            return;
        };
        let label = self.label(&pending);
        let Some(stanza) = self
            .packages
            .get_mut(&pending)
            .filter(|it| it.state >= State::TriggersAwaited)
        else {
            return;
        };
        if !stanza.pending.iter().any(|it| it == trigger) {
            stanza.pending.insert(0, trigger.to_owned());
            let waits = !stanza.awaited.is_empty();
            stanza.enter(if waits {
                State::TriggersAwaited
            } else {
                State::TriggersPending
            });
        }
        let by = if interest.awaits == Await::Yes {
            by
        } else {
            None
        };
        if let Some(waiting) = by.and_then(|it| self.packages.get_mut(it)) {
            if !waiting.awaited.contains(&label) {
                waiting.awaited.push(label);
                waiting.touch();
            }
            if waiting.state > State::TriggersAwaited {
                waiting.enter(State::TriggersAwaited);
            }
        }
    }
}
