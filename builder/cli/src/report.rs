//! What is said at the end: results on standard output, notes and errors on standard error; for programs, all of it as JSON
//! lines on standard output, and errors on standard error too.

use crate::args::Global;
use crate::host;
use anyhow::Result;
use fstree::ReadAt;
use nodeimg::apply::Image;
use nodeimg::digest::Digest;
use nodeimg::emit::Artifact;
use nodeimg::error::Error;
use nodeimg::profile::{Format, Link, Profile};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How results are said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Voice {
    /// Text.
    Person,
    /// JSON lines.
    Json,
}

impl Voice {
    /// Returns the voice that was asked for.
    pub(crate) fn of(global: &Global) -> Self {
        if global.json {
            Self::Json
        } else {
            Self::Person
        }
    }

    /// Says a result.
    pub(crate) fn result(self, text: &str, value: &Value) -> Result<()> {
        let line = match self {
            Self::Person => text.to_owned(),
            Self::Json => value.to_string(),
        };
        let mut out = io::stdout().lock();
        said(writeln!(out, "{line}").and_then(|()| out.flush()))
    }

    /// Says something a person may want to know.
    pub(crate) fn note(self, text: &str) {
        match self {
            Self::Person => writeln!(io::stderr().lock(), "note: {text}").ok(),
            Self::Json => writeln!(
                io::stdout().lock(),
                "{}",
                json!({ "event": "note", "text": text })
            )
            .ok(),
        };
    }
}

/// Judges what became of something that was said: a reader that went away is no failure, a full disk is.
fn said(result: io::Result<()>) -> Result<()> {
    match result {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::world("cannot write to standard output")
                .because(err)
                .into())
        }
        _ => Ok(()),
    }
}

/// Prints a file's bytes as they are.
pub(crate) fn bytes(content: &dyn ReadAt) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    while at < content.size() {
        let n = usize::try_from((content.size() - at).min(1 << 20)).expect("at most 1 MiB");
        content.read_exact_at(&mut buf[..n], at)?;
        if let Err(err) = out.write_all(&buf[..n]) {
            return said(Err(err));
        }
        at += n as u64;
    }
    said(out.flush())
}

impl Voice {
    /// Says why a command failed: the thing, each cause once, and what to do. Returns whose turn it is.
    pub(crate) fn failure(self, error: &anyhow::Error) -> ExitCode {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        let help = help(error);
        let code = code(error);
        let mut text = String::new();
        for (at, cause) in causes.iter().enumerate() {
            let word = if at == 0 { "error" } else { "  because" };
            writeln!(text, "{word}: {cause}").expect("a String takes all");
        }
        if let Some(help) = &help {
            writeln!(text, "help: {help}").expect("a String takes all");
        }
        io::stderr().lock().write_all(text.as_bytes()).ok();
        if self == Self::Json {
            let value = json!({
                "event": "failed",
                "exit_code": code,
                "error": causes[0],
                "causes": causes[1..],
                "help": help,
            });
            writeln!(io::stdout().lock(), "{value}").ok();
        }
        ExitCode::from(code)
    }
}

/// Returns what a person can do about it: as the core says, or as the machine's own error suggests.
fn help(error: &anyhow::Error) -> Option<String> {
    let ours = |cause: &(dyn std::error::Error + 'static)| {
        Some(cause.downcast_ref::<Error>()?.help_text()?.to_owned())
    };
    let machines = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<io::Error>()?.kind();
        host::is_the_machines(cause).then(|| host::help(kind).to_owned())
    };
    error
        .chain()
        .find_map(ours)
        .or_else(|| error.chain().filter_map(machines).find(|it| !it.is_empty()))
}

/// Returns whose turn it is: 1 for the user's, 2 for the world's, which is whatever the machine refused, too.
fn code(error: &anyhow::Error) -> u8 {
    let is_input = |it: &(dyn std::error::Error + 'static)| {
        matches!(it.downcast_ref::<Error>(), Some(Error::Input { .. }))
    };
    let first = error.chain().find(|it| it.is::<Error>());
    if first.is_some_and(is_input) && !error.chain().any(host::is_the_machines) {
        1
    } else {
        2
    }
}

/// What a build came to.
pub(crate) struct Summary<'a> {
    pub(crate) out: &'a Path,
    pub(crate) selected: &'a Profile,
    pub(crate) node: Option<&'a str>,
    pub(crate) image: &'a Image,
    pub(crate) artifacts: &'a [(Format, Artifact)],
    pub(crate) laps: &'a [(String, Duration)],
    pub(crate) peak_memory: Option<u64>,
}

impl Summary<'_> {
    /// Returns the summary as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            writeln!(text, "{name:<10} {value}").expect("a String takes all");
        };
        let node = self
            .node
            .map_or_else(|| "no cluster".to_owned(), |it| format!("node {it}"));
        line("built", &format!("{} ({node})", self.selected.name));
        for (format, artifact) in self.artifacts {
            let path = self.out.join(&artifact.file);
            line(
                "artifact",
                &format!("{} ({})", path.display(), size(artifact.size)),
            );
            match (artifact.sha256, artifact.block_map) {
                (Some(sha256), _) => line("sha256", &sha256.to_string()),
                (None, Some(map)) => line("sha256", &format!("{map} (of its block map)")),
                (None, None) => {}
            }
            line("beside", &artifact.beside.join(", "));
            line("use", &how_to_use(*format, &path));
        }
        line(
            "root",
            &format!(
                "{} in {} files, grows on first boot",
                size(self.image.notes.root_size),
                self.image.notes.root_files
            ),
        );
        for (package, reason) in &self.image.notes.first_boot {
            line("first boot", &format!("configures {package}: {reason}"));
        }
        line("log in", &self.log_in());
        let laps: Vec<String> = self
            .laps
            .iter()
            .map(|(name, took)| format!("{name} {:.1} s", took.as_secs_f32()))
            .collect();
        line("time", &laps.join(", "));
        if let Some(bytes) = self.peak_memory {
            line("memory", &format!("{} at most", size(bytes)));
        }
        text.trim_end().to_owned()
    }

    /// Returns the summary as JSON.
    pub(crate) fn json(&self) -> Value {
        let artifacts: Vec<Value> = self
            .artifacts
            .iter()
            .map(|(format, it)| {
                let mut told = artifact(self.out, *format, it);
                told.insert("beside".to_owned(), json!(it.beside));
                Value::Object(told)
            })
            .collect();
        let laps: serde_json::Map<String, Value> = self
            .laps
            .iter()
            .map(|(name, took)| (name.clone(), json!(took.as_secs_f64())))
            .collect();
        json!({
            "event": "built",
            "profile": self.selected.name,
            "node": self.node,
            "plan": self.image.plan.to_string(),
            "artifacts": artifacts,
            "first_boot": self.image.notes.first_boot.iter().map(|it| &it.0).collect::<Vec<_>>(),
            "seconds": laps,
            "peak_memory": self.peak_memory,
        })
    }

    fn log_in(&self) -> String {
        let admin = &self.selected.admin;
        let forward = self.selected.machine.as_ref().and_then(|machine| {
            machine.nics.iter().find_map(|nic| match &nic.link {
                Link::Nat(forwards) => forwards.iter().find(|it| it.guest == 22),
                _ => None,
            })
        });
        let keys = if admin.ssh_keys.is_empty() && self.node.is_none() {
            "; nobody can: no SSH key was given (--ssh-key)"
        } else {
            ""
        };
        match forward {
            Some(it) => format!("ssh -p {} {}@127.0.0.1{keys}", it.host, admin.user),
            None => format!("ssh {}@ADDRESS{keys}", admin.user),
        }
    }
}

fn how_to_use(format: Format, path: &Path) -> String {
    let path = path.display();
    match format {
        Format::Ova => format!("VBoxManage import {path}"),
        Format::Img => {
            format!("bmaptool copy {path} /dev/sdX, or dd if={path} of=/dev/sdX bs=4M conv=fsync")
        }
        Format::ImgZst | Format::ImgXz => format!("bmaptool copy {path} /dev/sdX"),
        Format::Vmdk => format!("attach a copy: VBoxManage clonemedium {path} disk.vdi"),
        Format::Qcow2 => format!("qemu-system-… -drive file={path},format=qcow2"),
        Format::Raw => format!("qemu-system-… -drive file={path},format=raw"),
    }
}

/// Returns what programs are told of an artifact: what it is, where, and what it hashes to.
pub(crate) fn artifact(out: &Path, format: Format, it: &Artifact) -> Map<String, Value> {
    let digest = |it: Option<Digest>| json!(it.map(|it| it.to_string()));
    [
        ("format", json!(format.name())),
        ("path", json!(out.join(&it.file).to_string_lossy())),
        ("size", json!(it.size)),
        ("sha256", digest(it.sha256)),
        ("block_map_sha256", digest(it.block_map)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

/// Returns a size for people, in binary units.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (bytes * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}
