//! Writes what every parser is tried on: `corpus FOLDER [PARSER]…` makes `FOLDER/corpus/PARSER/`, seeds for fuzzers, and
//! `FOLDER/large/PARSER/`, inputs of 1 MiB that are as costly as may be.

use std::path::{Path, PathBuf};
use std::{env, fs, io};
use tests::{parsers, seeds};

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or_else(|| io::Error::other("usage: corpus FOLDER [PARSER]…"))?;
    let wanted: Vec<String> = arguments.collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|it| it == name);
    let make = |kind: &str, name: &str| -> io::Result<PathBuf> {
        let folder = Path::new(&folder).join(kind).join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    for parser in parsers::ALL.iter().filter(|it| is_wanted(it.name)) {
        let folder = make("corpus", parser.name)?;
        for (at, seed) in (parser.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{at}")), seed)?;
        }
    }
    for (name, what, input) in seeds::large::all() {
        if is_wanted(name) {
            fs::write(make("large", name)?.join(what.replace(' ', "-")), input)?;
        }
    }
    Ok(())
}
