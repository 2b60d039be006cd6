//! `nodeimg build`, `plan` and `fetch`.

use super::{Host, select};
use crate::args::{Build, Select};
use crate::host::file::FileOut;
use crate::host::output::Partial;
use crate::host::progress::Stage;
use crate::host::usage::{self, Stopwatch};
use crate::report;
use anyhow::Result;
use fstree::{ReadAt, WriteAt};
use nodeimg::apply::{self, Event};
use nodeimg::emit::{self, Draft, Sink, Target};
use nodeimg::profile::Format;
use nodeimg::want::Fetch as _;
use std::io;
use std::path::PathBuf;

/// Builds every format that was asked for from one image.
pub(super) fn build(host: &Host, args: &Build) -> Result<()> {
    let mut watch = Stopwatch::start();
    let selected = select::select(host, &args.select)?;
    watch.lap("lock");
    host.inputs.fetch(&selected.lock.wants())?;
    watch.lap("fetch");
    let plan = select::plan(host, &selected)?;
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
    let mut formats: Vec<Format> = args.format.iter().map(|it| (*it).into()).collect();
    if formats.is_empty() {
        formats.push(selected.profile.format);
    }
    formats.dedup();
    let name = match &selected.node {
        Some(node) if args.select.node.is_some() => format!("{}-{node}", selected.profile.name),
        _ => selected.profile.name.clone(),
    };
    let sink = Folder(args.out.clone());
    let mut artifacts = Vec::new();
    for format in formats {
        let stage = Stage::start(
            &host.report,
            &format!("{name}.{format}"),
            Some(image.disk.size()),
        );
        let target = Target {
            name: &name,
            format,
            jobs: host.jobs,
        };
        let total = image.disk.size();
        let artifact = emit::emit(&image, &plan, &target, &sink, &mut |at| {
            stage.at(at, Some(total));
        })?;
        watch.lap(&artifact.file);
        artifacts.push((format, artifact));
    }
    for damaged in host.inputs.cache().take_damaged() {
        host.voice.note(&format!(
            "{} was damaged and was made anew",
            damaged.display()
        ));
    }
    let summary = report::Summary {
        out: &args.out,
        selected: &selected.profile,
        node: selected.node.as_deref(),
        image: &image,
        artifacts: &artifacts,
        laps: watch.laps(),
        peak_memory: usage::peak_memory_bytes(),
    };
    host.voice.result(&summary.text(), &summary.json());
    Ok(())
}

/// Prints the plan.
pub(super) fn plan(host: &Host, args: &Select) -> Result<()> {
    let selected = select::select(host, args)?;
    let plan = select::plan(host, &selected)?;
    host.voice
        .result(plan.to_string().trim_end(), &nodeimg::plan::json(&plan));
    Ok(())
}

/// Fills the cache.
pub(super) fn fetch(host: &Host, args: &Select) -> Result<()> {
    let selected = select::select(host, args)?;
    let wants = selected.lock.wants();
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
    );
    Ok(())
}

/// A folder for artifacts.
struct Folder(PathBuf);

impl Sink for Folder {
    fn create(&self, name: &str) -> nodeimg::error::Result<Box<dyn Draft>> {
        Ok(Box::new(FileDraft(Partial::create(&self.0.join(name))?)))
    }
}

/// A file on its way to its name.
struct FileDraft(Partial);

impl FileDraft {
    fn out(&self) -> &FileOut {
        self.0.out()
    }
}

impl WriteAt for FileDraft {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.out().write_all_at(buf, offset)
    }
}

impl ReadAt for FileDraft {
    fn size(&self) -> u64 {
        self.out().file().metadata().map_or(0, |it| it.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self.out().file(), buf, offset)
    }
}

impl Draft for FileDraft {
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.out().set_len(len)
    }

    fn finish(self: Box<Self>) -> nodeimg::error::Result<()> {
        self.0.finish()
    }
}
