//! What a maintainer script would do, found out without running it. Debian Policy, chapter 6; debhelper(7).
//!
//! Follows the one way a script takes with given arguments through the commands that debhelper's fragments use. Their
//! effects come back as values; commands that only talk to a running system do nothing in an image; byte-compiling
//! Python and creating temporary files is left out, for Python and the boot do that themselves. Any other command on the
//! way means that the script is not understood.

use super::shell::{Command, Join, List, Part, Word, parse};
use super::units;
use crate::relation::{Constraint, Operator};
use crate::version::Version;
use fstree::{FileKind, FileTree, ImgPath, Node};
use std::collections::BTreeMap;

/// The longest word after expansion, and the longest command: variables that hold one another grow without end.
const MAX_WORD: usize = 1024;
const MAX_COMMAND: usize = 64 << 10;
/// The most variables and effects of a script.
const MAX_MADE: usize = 4096;

/// An effect on the tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// `deb-systemd-helper unmask`
    Unmask(Instance, String),
    /// `deb-systemd-helper enable`
    Enable(Instance, String),
    /// `deb-systemd-helper update-state`
    UpdateState(Instance, String),
    /// `systemctl preset`
    Preset(Instance, String),
    /// `update-rc.d NAME defaults`
    Init(String, InitState),
}

/// Which systemd a unit belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Instance {
    System,
    User,
}

/// Whether `update-rc.d` enables what it registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InitState {
    Enabled,
    Disabled,
}

/// What a script is called with.
pub(super) struct Call<'a> {
    pub(super) tree: &'a FileTree,
    /// Conffiles that will have been moved into place by then.
    pub(super) pending: &'a [ImgPath],
    pub(super) arguments: &'a [&'a str],
}

/// Returns the effects in order, or why the script is not understood.
pub(super) fn effects(script: &[u8], call: &Call<'_>) -> Result<Vec<Effect>, String> {
    let text = std::str::from_utf8(script).map_err(|_| "the script is not UTF-8".to_owned())?;
    let first = text.lines().next().unwrap_or_default().trim_end();
    let shells = [
        "#!/bin/sh",
        "#! /bin/sh",
        "#!/bin/sh -e",
        "#! /bin/sh -e",
        "#!/bin/bash",
        "#!/bin/dash",
        "#!/usr/bin/sh",
    ];
    if !shells.contains(&first) {
        return Err(format!("it is written for {first:?}"));
    }
    let mut walk = Walk {
        call,
        variables: BTreeMap::new(),
        effects: Vec::new(),
    };
    match walk.list(&parse(text)?, Context::Plain)? {
        Flow::On(_) | Flow::Exit(true) => Ok(walk.effects),
        Flow::Exit(false) => Err("it would fail".to_owned()),
    }
}

/// Whether a failing command ends the script, as under `set -e`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Context {
    Plain,
    Condition,
}

enum Flow {
    /// The last command's success.
    On(bool),
    /// The script ended, well or not.
    Exit(bool),
}

struct Walk<'a> {
    call: &'a Call<'a>,
    variables: BTreeMap<String, String>,
    effects: Vec<Effect>,
}

impl Walk<'_> {
    fn list(&mut self, list: &List, context: Context) -> Result<Flow, String> {
        let mut good = true;
        for (index, (join, command)) in list.iter().enumerate() {
            let runs = match join {
                Join::Then => true,
                Join::And => good,
                Join::Or => !good,
            };
            if !runs {
                continue;
            }
            match self.command(command)? {
                Flow::On(it) => good = it,
                exit @ Flow::Exit(_) => return Ok(exit),
            }
            // Failure counts at the end of a chain only, and there only outside of conditions.
            let ends = list
                .get(index + 1)
                .is_none_or(|(join, _)| *join == Join::Then);
            let last_ran = *join == Join::Then || ends;
            let was_not = matches!(command, Command::Simple { not: true, .. });
            if !good
                && ends
                && last_ran
                && context == Context::Plain
                && !was_not
                && *join != Join::And
            {
                return Err("a command would fail".to_owned());
            }
        }
        Ok(Flow::On(good))
    }

    fn command(&mut self, command: &Command) -> Result<Flow, String> {
        match command {
            Command::Simple { not, words } => match self.simple(words)? {
                Flow::On(good) => Ok(Flow::On(good != *not)),
                exit @ Flow::Exit(_) => Ok(exit),
            },
            Command::If {
                not,
                arms,
                otherwise,
            } => {
                for (condition, body) in arms {
                    match self.list(condition, Context::Condition)? {
                        Flow::On(true) if *not => return Err("`! if` is not understood".to_owned()),
                        Flow::On(true) => return self.list(body, Context::Plain),
                        Flow::On(false) => {}
                        exit @ Flow::Exit(_) => return Ok(exit),
                    }
                }
                self.list(otherwise, Context::Plain)
            }
            Command::Case { word, arms } => {
                let value = self.expand(word)?.join(" ");
                for (patterns, body) in arms {
                    for pattern in patterns {
                        let text = pattern
                            .literal()
                            .ok_or("a pattern of `case` is not understood")?;
                        let any = text == "*" && !pattern.quoted;
                        if !any && !pattern.quoted && text.contains(['*', '?', '[']) {
                            return Err("a pattern of `case` is not understood".to_owned());
                        }
                        if any || text == value {
                            return self.list(body, Context::Plain);
                        }
                    }
                }
                Ok(Flow::On(true))
            }
        }
    }

    /// Expands a word: to one, or to none or several for `"$@"`.
    fn expand(&self, word: &Word) -> Result<Vec<String>, String> {
        if word.parts == [Part::Variable("@".to_owned())] {
            return Ok(self
                .call
                .arguments
                .iter()
                .map(|it| (*it).to_owned())
                .collect());
        }
        let mut text = String::new();
        for part in &word.parts {
            match part {
                Part::Text(it) => text.push_str(it),
                Part::Variable(name) => text.push_str(&self.variable(name)?),
                Part::IfSet(name) if self.variable(name)?.is_empty() => {}
                Part::IfSet(name) => return Err(format!("${name} is set")),
                Part::CommandPath(name) => {
                    text.push_str(&self.command_path(name).unwrap_or_default());
                }
            }
            if text.len() > MAX_WORD {
                return Err("a word is longer than 1,024 bytes".to_owned());
            }
        }
        Ok(if text.is_empty() && !word.quoted {
            Vec::new()
        } else {
            vec![text]
        })
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        if let Ok(number) = name.parse::<usize>() {
            let at = number.checked_sub(1).ok_or("$0 is not understood")?;
            return Ok(self
                .call
                .arguments
                .get(at)
                .map_or_else(String::new, |it| (*it).to_owned()));
        }
        match (self.variables.get(name), name) {
            (Some(value), _) => Ok(value.clone()),
            (None, "DPKG_ROOT") => Ok(String::new()),
            (None, _) => Err(format!("${name} is not known")),
        }
    }

    fn command_path(&self, name: &str) -> Option<String> {
        let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        places
            .iter()
            .map(|it| format!("{it}/{name}"))
            .find(|it| self.is_executable(it))
    }

    fn simple(&mut self, words: &[Word]) -> Result<Flow, String> {
        let mut rest = words;
        while let Some((name, value)) = rest.first().and_then(assignment) {
            if rest.len() > 1 {
                return Err("a command has its own environment".to_owned());
            }
            let value = self.expand(&value)?.concat();
            self.variables.insert(name, value);
            rest = &rest[1..];
        }
        if self.variables.len() > MAX_MADE || self.effects.len() > MAX_MADE {
            return Err("it is too long to be a fragment".to_owned());
        }
        let (mut all, mut bytes) = (Vec::new(), 0);
        for word in rest {
            let words = self.expand(word)?;
            bytes += words.iter().map(String::len).sum::<usize>();
            if bytes > MAX_COMMAND {
                return Err("a command is longer than 64 KiB".to_owned());
            }
            all.extend(words);
        }
        let Some((name, arguments)) = all.split_first() else {
            return Ok(Flow::On(true));
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if name == "exit" {
            return Ok(Flow::Exit(matches!(arguments.as_slice(), [] | ["0"])));
        }
        self.run(name, &arguments).map(Flow::On)
    }

    /// Does a command; returns whether it succeeds.
    fn run(&mut self, name: &str, arguments: &[&str]) -> Result<bool, String> {
        match (name, arguments) {
            ("false", _) => Ok(false),
            ("[", [condition @ .., "]"]) | ("test", condition) => self.test(condition),
            ("command", ["-v", program]) | ("which", [program]) => {
                Ok(self.command_path(program).is_some())
            }
            ("dpkg", ["--compare-versions", rest @ ..]) => compare(rest),
            ("deb-systemd-helper", arguments) => self.helper(arguments),
            ("systemctl", arguments) => self.systemctl(arguments),
            ("update-rc.d", [init, "defaults"]) => {
                self.effects
                    .push(Effect::Init((*init).to_owned(), InitState::Enabled));
                Ok(true)
            }
            ("update-rc.d", [init, "defaults-disabled"]) => {
                self.effects
                    .push(Effect::Init((*init).to_owned(), InitState::Disabled));
                Ok(true)
            }
            ("dpkg-maintscript-helper", arguments) => self.maintscript_helper(arguments),
            _ if does_nothing(name, arguments) => Ok(true),
            _ => Err(format!("it runs `{name}`")),
        }
    }

    fn helper(&mut self, arguments: &[&str]) -> Result<bool, String> {
        let mut instance = Instance::System;
        let mut rest = arguments;
        while let [option, after @ ..] = rest
            && option.starts_with("--")
        {
            match *option {
                "--quiet" | "--system" => {}
                "--user" => instance = Instance::User,
                _ => return Err(format!("it runs `deb-systemd-helper {option}`")),
            }
            rest = after;
        }
        let [action, unit_names @ ..] = rest else {
            return Err("it runs `deb-systemd-helper`".to_owned());
        };
        let effect = match *action {
            "unmask" => Effect::Unmask,
            "enable" => Effect::Enable,
            "update-state" => Effect::UpdateState,
            "was-enabled" => {
                return Ok(unit_names
                    .iter()
                    .any(|it| units::was_enabled(self.call.tree, instance, it)));
            }
            "debian-installed" => {
                return Ok(unit_names
                    .iter()
                    .any(|it| units::is_known(self.call.tree, instance, it)));
            }
            _ => return Err(format!("it runs `deb-systemd-helper {action}`")),
        };
        self.effects.extend(
            unit_names
                .iter()
                .map(|it| effect(instance, (*it).to_owned())),
        );
        Ok(true)
    }

    fn systemctl(&mut self, arguments: &[&str]) -> Result<bool, String> {
        let mut instance = Instance::System;
        let mut words = Vec::new();
        for argument in arguments {
            match *argument {
                "--system" | "--no-reload" | "--quiet" | "-q" => {}
                "--user" | "--global" => instance = Instance::User,
                it if it.starts_with('-') => return Err(format!("it runs `systemctl {it}`")),
                it => words.push(it),
            }
        }
        match words.as_slice() {
            ["preset", names @ ..] => {
                self.effects.extend(
                    names
                        .iter()
                        .map(|it| Effect::Preset(instance, (*it).to_owned())),
                );
                Ok(true)
            }
            ["daemon-reload" | "daemon-reexec"]
            | [
                "start" | "stop" | "restart" | "try-restart" | "reload" | "reload-or-restart",
                ..,
            ] => Ok(true),
            _ => Err(format!("it runs `systemctl {}`", words.join(" "))),
        }
    }

    /// The helper acts on upgrades from versions up to the one it names, and else not at all.
    fn maintscript_helper(&mut self, arguments: &[&str]) -> Result<bool, String> {
        let end = arguments
            .iter()
            .position(|it| *it == "--")
            .unwrap_or(arguments.len());
        let prior = match &arguments[..end] {
            ["supports", _] => return Ok(true),
            ["rm_conffile", _, rest @ ..]
            | [
                "mv_conffile" | "symlink_to_dir" | "dir_to_symlink",
                _,
                _,
                rest @ ..,
            ] => rest.first().copied(),
            _ => return Err("it runs `dpkg-maintscript-helper`".to_owned()),
        };
        let Some(old) = self.call.arguments.get(1).filter(|it| !it.is_empty()) else {
            return Ok(true);
        };
        let prior = prior
            .filter(|it| !it.is_empty())
            .ok_or("it moves files on upgrades")?;
        if compare(&[old, "gt", prior])? {
            Ok(true)
        } else {
            Err("it moves files on this upgrade".to_owned())
        }
    }

    fn test(&self, condition: &[&str]) -> Result<bool, String> {
        let (mut condition, mut not) = (condition, false);
        while let ["!", rest @ ..] = condition
            && !rest.is_empty()
        {
            (condition, not) = (rest, !not);
        }
        self.plain_test(condition).map(|it| it != not)
    }

    fn plain_test(&self, condition: &[&str]) -> Result<bool, String> {
        match condition {
            ["-n", text] => Ok(!text.is_empty()),
            ["-n"] => Ok(true),
            ["-z", text] => Ok(text.is_empty()),
            [left, "=" | "==", right] => Ok(left == right),
            [left, "!=", right] => Ok(left != right),
            ["-d", path] => {
                Ok(ImgPath::new(path).is_ok_and(|it| self.call.tree.dir(&it).is_some()))
            }
            ["-e" | "-r", path] => Ok(self.exists(path)),
            ["-f", path] => Ok(self.exists(path)
                && ImgPath::new(path).is_ok_and(|it| self.call.tree.dir(&it).is_none())),
            ["-x", path] => Ok(self.is_executable(path)),
            ["-h" | "-L", path] => Ok(ImgPath::new(path).is_ok_and(|it| {
                matches!(
                    self.call.tree.file_at(&it).map(|it| &it.kind),
                    Some(FileKind::Symlink(_))
                )
            })),
            _ => Err(format!(
                "the test `{}` is not understood",
                condition.join(" ")
            )),
        }
    }

    fn exists(&self, text: &str) -> bool {
        let Ok(path) = ImgPath::new(text) else {
            return false;
        };
        self.call.pending.contains(&path) || self.call.tree.follow(&path).is_ok()
    }

    fn is_executable(&self, text: &str) -> bool {
        let Ok(path) = ImgPath::new(text) else {
            return false;
        };
        let mut at = path.clone();
        if self.call.pending.contains(&path)
            && let Ok(new) = super::with_suffix(&path, ".dpkg-new")
            && self.call.tree.get(&new).is_some()
        {
            at = new;
        }
        let Ok(real) = self.call.tree.follow(&at) else {
            return false;
        };
        match self.call.tree.get(&real) {
            Some(Node::File(id)) => self.call.tree.file(*id).meta.mode & 0o111 != 0,
            Some(Node::Dir(_)) => true,
            None => false,
        }
    }
}

/// Returns whether a command succeeds and leaves nothing behind in an image.
fn does_nothing(name: &str, arguments: &[&str]) -> bool {
    match name {
        // Those after `echo` speak to a running systemd or init, and an image has none; Python compiles what it imports,
        // and the compiled files are a cache.
        ":" | "true" | "echo" | "deb-systemd-invoke" | "invoke-rc.d" | "py3compile"
        | "py3clean" | "pypy3compile" | "pypy3clean" => true,
        "umask" => arguments.len() == 1,
        "set" => {
            let known = ["-e", "-u", "+e", "-x", "+x", "-eu"];
            arguments.iter().all(|it| known.contains(it))
        }
        // The boot creates what tmpfiles.d lists, before any service.
        "systemd-tmpfiles" => arguments.contains(&"--create"),
        _ => false,
    }
}

/// Splits `name=value` off a word.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Part::Text(first)) = word.parts.first() else {
        return None;
    };
    let (name, value) = first.split_once('=')?;
    if name.is_empty()
        || !name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_')
        || name.starts_with(|it: char| it.is_ascii_digit())
    {
        return None;
    }
    let mut rest = Word {
        parts: vec![Part::Text(value.to_owned())],
        quoted: true,
    };
    rest.parts.extend(word.parts.iter().skip(1).cloned());
    Some((name.to_owned(), rest))
}

/// Does `dpkg --compare-versions`; no version is earlier than any, but later for the operators that end in `-nl`.
fn compare(arguments: &[&str]) -> Result<bool, String> {
    let arguments = arguments.strip_prefix(&["--"]).unwrap_or(arguments);
    let &[left, operator, right] = arguments else {
        return Err("a comparison is not understood".to_owned());
    };
    let (plain, nothing_is_late) = operator
        .strip_suffix("-nl")
        .map_or((operator, false), |it| (it, true));
    let operator = match plain {
        "lt" | "<<" => Operator::Earlier,
        "le" | "<=" => Operator::EarlierOrEqual,
        "eq" | "=" => Operator::Equal,
        "ge" | ">=" => Operator::LaterOrEqual,
        "gt" | ">>" => Operator::Later,
        _ => return Err("a comparison is not understood".to_owned()),
    };
    if left.is_empty() || right.is_empty() {
        let order = if nothing_is_late {
            left.is_empty().cmp(&right.is_empty())
        } else {
            right.is_empty().cmp(&left.is_empty())
        };
        return Ok(match operator {
            Operator::Earlier => order.is_lt(),
            Operator::EarlierOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::LaterOrEqual => order.is_ge(),
            Operator::Later => order.is_gt(),
        });
    }
    let version = |text| Version::new(text).map_err(|_| "a version is malformed".to_owned());
    Ok(Constraint {
        operator,
        version: version(right)?,
    }
    .admits(&version(left)?))
}

#[cfg(test)]
#[path = "script/tests.rs"]
mod tests;
