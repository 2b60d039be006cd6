//! `nodeimg build`, `plan` and `fetch`.

use super::folder::Folder;
use super::select::{self, Selected};
use super::{Host, fleet};
use crate::args::{Build, Select};
use crate::host::at;
use crate::host::progress::Stage;
use crate::host::usage::{self, Stopwatch};
use crate::report;
use anyhow::Result;
use fstree::ReadAt;
use nodeimg::apply::{self, Event, Image};
use nodeimg::emit::{self, Artifact, Hashing, Target};
use nodeimg::error::Error;
use nodeimg::profile::{Format, Profile};
use nodeimg::want::Fetch as _;
use std::fs;
use std::io;
use std::path::Path;

/// Builds every format that was asked for, of one image or of a cluster's.
pub(super) fn build(host: &Host, args: &Build) -> Result<()> {
    let first = attempt(host, args);
    match first {
        // A cache that rots is nothing to bother anybody with: what was damaged is gone, and comes anew.
        Err(error) if host.inputs.cache().take_spoiled() => {
            host.voice.note(&format!("{error}: building again"));
            // Grains that were made before the damage was seen may be of it.
            host.memory.forget();
            attempt(host, args)
        }
        done => done,
    }
}

fn attempt(host: &Host, args: &Build) -> Result<()> {
    // What cannot end well is said before anything is downloaded.
    if fs::metadata(&args.out).is_ok_and(|it| !it.is_dir()) {
        return Err(at("make folder", &args.out)(io::ErrorKind::NotADirectory.into()).into());
    }
    if args.select.profile.is_none() {
        return fleet::build(host, args);
    }
    let mut watch = Stopwatch::start();
    let selected = select::select(host, &args.select)?;
    let formats = formats(args, &selected.profile)?;
    watch.lap("lock");
    let name = match &selected.node {
        Some(node) if !args.select.node.is_empty() => {
            format!("{}-{node}", selected.profile.name)
        }
        _ => selected.profile.name.clone(),
    };
    let goal = Goal {
        name: &name,
        out: &args.out,
        formats: &formats,
        hashing: args.hashing(),
    };
    let built = image(host, &selected, &goal, &mut watch)?;
    tell_damaged(host);
    let summary = report::Summary {
        out: &args.out,
        selected: &selected.profile,
        node: selected.node.as_deref(),
        image: &built.image,
        artifacts: &built.artifacts,
        laps: watch.laps(),
        peak_memory: usage::peak_memory_bytes(),
    };
    host.voice.result(&summary.text(), &summary.json())
}

/// Returns the formats that were asked for, each once, or the profile's own.
pub(super) fn formats(args: &Build, profile: &Profile) -> Result<Vec<Format>> {
    let mut formats: Vec<Format> = Vec::new();
    for format in args.format.iter().map(|it| Format::from(*it)) {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    if formats.is_empty() {
        formats.push(profile.format);
    }
    if formats.contains(&Format::Ova) && profile.machine.is_none() {
        let what = format!(
            "profile {:?} describes no machine for an appliance",
            profile.name
        );
        return Err(Error::input(what)
            .help("give it a [machine] table, or choose another --format")
            .into());
    }
    Ok(formats)
}

/// What an image is to become.
pub(super) struct Goal<'a> {
    /// The artifacts' name, without its ending.
    pub(super) name: &'a str,
    /// The folder they go to.
    pub(super) out: &'a Path,
    pub(super) formats: &'a [Format],
    /// What is hashed of those that are mostly holes.
    pub(super) hashing: Hashing,
}

/// An image and what was made of it.
pub(super) struct Built {
    pub(super) image: Image,
    pub(super) artifacts: Vec<(Format, Artifact)>,
}

/// Builds one image and writes it in every format that was asked for.
pub(super) fn image(
    host: &Host,
    selected: &Selected,
    goal: &Goal<'_>,
    watch: &mut Stopwatch,
) -> Result<Built> {
    let plan = select::plan(host, selected)?;
    host.inputs.fetch(&selected.wants())?;
    watch.lap("fetch");
    let mut warnings = Vec::new();
    let image = {
        let mut stage = None;
        let mut tell = |event: Event<'_>| match event {
            Event::Stage(name) => stage = Some(Stage::start(&host.report, name, None)),
            Event::Progress(done, total) => {
                if let Some(stage) = &stage {
                    stage.at(done, Some(total));
                }
            }
            Event::Warning(text) => warnings.push(text.to_owned()),
            _ => {}
        };
        apply::apply(&plan, &host.inputs, host.jobs, &mut tell)?
    };
    watch.lap("image");
    // After the bars are gone, which would draw over it.
    for warning in &warnings {
        host.voice.note(warning);
    }
    let sink = Folder {
        path: goal.out,
        readers: selected.readers,
        cache: host.inputs.cache(),
        memory: &host.memory,
    };
    let mut artifacts = Vec::new();
    for format in goal.formats {
        let total = image.disk.size();
        let what = format!("{}.{format}", goal.name);
        let stage = Stage::start(&host.report, &what, Some(total));
        let target = Target {
            name: goal.name,
            format: *format,
            jobs: host.jobs,
            hashing: goal.hashing,
        };
        let artifact = emit::emit(&image, &plan, &target, &sink, &mut |at| {
            stage.at(at, Some(total));
        })?;
        watch.lap(&artifact.file);
        artifacts.push((*format, artifact));
    }
    Ok(Built { image, artifacts })
}

/// Says what in the cache was not as it should have been.
pub(super) fn tell_damaged(host: &Host) {
    let damaged = host
        .memory
        .settle()
        .into_iter()
        .chain(host.inputs.cache().take_damaged());
    for damaged in damaged {
        host.voice.note(&format!(
            "{} was damaged and was made anew",
            damaged.display()
        ));
    }
}

/// Prints the plan.
pub(super) fn plan(host: &Host, args: &Select) -> Result<()> {
    let selected = select::select(host, args)?;
    let plan = select::plan(host, &selected)?;
    host.voice
        .result(plan.to_string().trim_end(), &nodeimg::plan::json(&plan))
}

/// Fills the cache.
pub(super) fn fetch(host: &Host, args: &Select) -> Result<()> {
    let selected = select::select(host, args)?;
    let wants = selected.wants();
    let found = host.inputs.fetch(&wants)?;
    let bytes: u64 = found.iter().map(ReadAt::size).sum();
    let text = format!(
        "{} inputs of profile {} are in the cache, {}",
        found.len(),
        selected.profile.name,
        report::size(bytes)
    );
    host.voice.result(
        &text,
        &serde_json::json!({ "event": "fetched", "inputs": found.len(), "bytes": bytes }),
    )
}
