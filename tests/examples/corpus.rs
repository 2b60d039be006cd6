//! Writes the seeds of every parser, a folder each: `corpus FOLDER [PARSER]…`.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or_else(|| io::Error::other("usage: corpus FOLDER [PARSER]…"))?;
    let wanted: Vec<String> = arguments.collect();
    for parser in tests::parsers::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|it| it == parser.name) {
            continue;
        }
        let folder = Path::new(&folder).join(parser.name);
        fs::create_dir_all(&folder)?;
        for (at, seed) in (parser.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{at}")), seed)?;
        }
    }
    Ok(())
}
