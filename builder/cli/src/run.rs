//! What each sub-command does: arguments become plain values of the core, and what comes back is reported.

mod build;
mod cluster;
mod fleet;
mod folder;
mod select;
mod show;
mod token;
mod vault;
mod verify;

use crate::args::{Cli, Command, Global};
use crate::host::cache::{self, Cache};
use crate::host::config::{self, Config, KeySource};
use crate::host::embedded::Shelves;
use crate::host::fetch::{Fetcher, Network, Patience};
use crate::host::inputs::Inputs;
use crate::host::interrupt;
use crate::host::memory::Memory;
use crate::host::passphrase::Passphrase;
use crate::host::progress::{self, Report, Style};
use crate::host::usage;
use crate::report::Voice;
use anyhow::Result;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// What every command works with.
pub(crate) struct Host {
    shelves: Shelves,
    inputs: Inputs,
    memory: Memory,
    keys: BTreeMap<String, KeySource>,
    report: Arc<dyn Report>,
    voice: Voice,
    passphrase: Passphrase,
    jobs: NonZeroUsize,
}

/// Runs a command.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let host = Host::new(&cli.global)?;
    match cli.command {
        Command::Build(it) => build::build(&host, &it),
        Command::Plan(it) => build::plan(&host, &it),
        Command::Fetch(it) => build::fetch(&host, &it),
        Command::Show(it) => show::show(&host, &it),
        Command::Profiles(it) => show::profiles(&host, &it),
        Command::Cluster(it) => cluster::run(&host, it.command),
        Command::VerifyCluster(it) => verify::run(&host, &it),
    }
}

impl Host {
    fn new(global: &Global) -> Result<Self> {
        interrupt::listen();
        usage::allow_many_files();
        let voice = Voice::of(global);
        let config = Config::load(&config::default_files(), &global.mirror, &global.key)?;
        for notice in config.notices() {
            voice.note(&notice);
        }
        let root = global.cache.clone().map_or_else(cache::default_root, Ok)?;
        let report = progress::reporter(if global.json {
            Style::Json
        } else {
            Style::Person
        });
        let network = if global.offline {
            Network::Refused
        } else {
            Network::Allowed
        };
        let fetcher = Fetcher::new(config.mirrors, network, Patience::default());
        let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            shelves: Shelves::beside(Path::new("")),
            memory: Memory::new(root.join("grains")),
            inputs: Inputs::new(Cache::new(root), fetcher, report.clone()),
            keys: config.keys,
            report,
            voice,
            passphrase: Passphrase::new(global.passphrase_file.clone()),
            jobs: global
                .jobs
                .and_then(|it| NonZeroUsize::new(it.into()))
                .unwrap_or(jobs),
        })
    }
}
