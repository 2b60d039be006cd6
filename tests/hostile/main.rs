//! Every parser against what is damaged: seeds changed here and there, and all that fuzzers ever found.
//!
//! `ci/fuzz` looks for more; what it finds goes to `tests/hostile/found/PARSER/` and is replayed here for ever. Each parser
//! runs in a process of its own whose memory is bounded by the kernel: an input of 1 MiB may cost 64 MiB more than it has.
//! Work without end shows in the bytes that are read of an input, which are counted (`tests::parsers`).

#![expect(
    clippy::print_stdout,
    reason = "a process that is stopped has said where it was"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::parsers::{self, MAX_INPUT, Parser};
use tests::seeds;

/// Says that this process is the bounded one.
const BOUNDED: &str = "NODEIMG_TEST_BOUNDED";
/// Memory of the process with its seeds and nothing done, as measured, rounded up.
const ITSELF_KIB: u64 = 32 << 10;
/// What an input may cost besides what it decodes to, 16 MiB in these tests, and the input itself.
const INPUT_KIB: u64 = (64 + 16 + 1) << 10;
/// Changed inputs made of each seed.
const CHANGES: usize = 150;
/// Processor time of one large input here, in seconds: these parsers are compiled without most optimization.
const LARGE_SECONDS: u64 = 20;
/// Processor time of all inputs of a parser.
const ALL_SECONDS: u64 = 300;
/// The place of the one large input that this process is to read.
const LARGE: &str = "NODEIMG_TEST_LARGE";

macro_rules! parsers {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        /// Every parser has its test.
        #[test]
        fn no_parser_is_left_out() {
            let here = [$(stringify!($name)),*];
            let all: Vec<_> = parsers::ALL.iter().map(|it| it.name).collect();
            assert_eq!(here[..], all);
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).expect("the fuzz targets' manifest");
            for name in here {
                let target = format!("path = \"targets/{name}.rs\"");
                assert!(manifest.contains(&target), "there is no fuzz target for {name}");
                let target = fs::read_to_string(root.join(format!("fuzz/targets/{name}.rs")));
                let call = format!("::{name}(data)");
                assert!(target.expect("the fuzz target").contains(&call), "fuzz target {name} runs another parser");
            }
        }
    };
}

parsers! {
    appliance cluster control deb ext4 fat image journal lock module modules_dep openpgp packages profile qcow2 release script
    stream table tar vmdk xz
}

/// Runs this same test in processes with bounded memory and processor time: one for seeds and what was found, one for each
/// large input. There, runs the parser over its inputs.
fn replay(name: &str) {
    let parser = parsers::named(name);
    let large = || seeds::large::all().into_iter().filter(|it| it.0 == name);
    if let Some(at) = std::env::var_os(LARGE) {
        let at: usize = at
            .to_str()
            .and_then(|it| it.parse().ok())
            .expect("a number");
        let (_, _, input) = large().nth(at).expect("a large input of that number");
        assert!(input.len() <= MAX_INPUT);
        (parser.run)(&input);
    } else if std::env::var_os(BOUNDED).is_some() {
        for (what, input) in inputs(parser) {
            println!("{what}");
            (parser.run)(&input);
        }
    } else {
        bounded(name, None, ALL_SECONDS);
        for (at, (_, what, _)) in large().enumerate() {
            println!("{what}");
            bounded(name, Some(at), LARGE_SECONDS);
        }
    }
}

fn bounded(name: &str, large: Option<usize>, seconds: u64) {
    // A limit on data, not on addresses: reserved room that is never written costs nothing.
    let memory = ITSELF_KIB + INPUT_KIB;
    let limits = format!("ulimit -S -d {memory}; ulimit -t {seconds}; exec \"$@\"");
    let exe = std::env::current_exe().expect("the test's own program");
    let mut command = Command::new("bash");
    command
        .args(["-c", &limits, "bash"])
        .arg(exe)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(BOUNDED, "1")
        // One arena: others reserve room for themselves.
        .env("MALLOC_ARENA_MAX", "1")
        // Where errors carry backtraces, all symbols are read for the first: no cost of the input's.
        .env("RUST_LIB_BACKTRACE", "0");
    if let Some(at) = large {
        command.env(LARGE, at.to_string());
    }
    let output = command.output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said
        .lines()
        .rev()
        .find(|it| it.starts_with('/') || it.starts_with("seed"));
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} fails within {memory} KiB of memory and {seconds} s of processor time, {}; at last it read {}\n{}",
        output.status,
        last.unwrap_or("a large input"),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Returns what was found, the seeds, and changed seeds, each with its name.
fn inputs(parser: &Parser) -> impl Iterator<Item = (String, Vec<u8>)> {
    let found = found(parser.name).into_iter().map(|path| {
        (
            path.display().to_string(),
            fs::read(&path).expect("a file of the tree"),
        )
    });
    let seeds = (parser.seeds)();
    let changed = seeds.into_iter().enumerate().flat_map(|(number, seed)| {
        let changes = if seed.len() > 64 << 10 {
            CHANGES / 3
        } else {
            CHANGES
        };
        let mut random = Random(number as u64 + 1);
        (0..=changes).map(move |at| {
            let mut input = seed.clone();
            if at > 0 {
                random.change(&mut input);
            }
            (format!("seed {number}, change {at}"), input)
        })
    });
    found.chain(changed)
}

fn found(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("hostile/found")
        .join(name);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .map(|it| it.expect("a file of the tree").path())
        .collect();
    paths.sort();
    paths
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from(self.0 >> 33).unwrap_or(0) % below.max(1)
    }

    /// Changes an input once or a few times: bytes, whole fields at their extremes, its end.
    fn change(&mut self, input: &mut Vec<u8>) {
        for _ in 0..=self.next(3) {
            if input.is_empty() {
                return;
            }
            // Half of the changes are near the front, where headers are.
            let reach = if self.next(2) == 0 {
                input.len()
            } else {
                input.len().min(2048)
            };
            let at = self.next(reach);
            match self.next(6) {
                0 => input[at] ^= 1 << self.next(8),
                1 => input[at] = u8::try_from(self.next(256)).unwrap_or(0),
                2 => {
                    let end = (at + [1, 2, 4, 8][self.next(4)]).min(input.len());
                    let value = [0, 0xff, 0x7f, 0x80][self.next(4)];
                    input[at..end].fill(value);
                }
                3 => {
                    let from = self.next(input.len());
                    let len = (1 + self.next(64)).min(input.len() - at.max(from));
                    input.copy_within(from..from + len, at);
                }
                4 => input.truncate(at),
                _ => {
                    let len = (1 + self.next(512)).min(MAX_INPUT - input.len().min(MAX_INPUT));
                    let run = vec![input[at]; len];
                    input.splice(at..at, run);
                }
            }
        }
    }
}
