//! Inputs that the parsers understand, small, and made by code each time: what fuzzers and damage begin with.
//!
//! Ours and the independent tools' where there are both. What a tool needs to know besides is fixed, but for times.

pub mod disks;
pub mod kernel;
pub mod large;
pub mod packages;
pub mod signatures;
pub mod texts;
pub mod volumes;

use std::path::Path;
use std::process::Command;

/// Runs `tool`, which the Debian package `package` holds, in `folder`, and returns what it printed.
fn run(folder: &Path, tool: &str, package: &str, arguments: &[&str]) -> Vec<u8> {
    // What bounds our own process in some tests is not for tools, whose threads want room.
    let output = Command::new("bash")
        .args([
            "-c",
            "ulimit -S -d \"$(ulimit -H -d)\"; exec \"$@\"",
            "bash",
            tool,
        ])
        .args(arguments)
        .current_dir(folder)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .env("GNUPGHOME", folder)
        .output();
    let output = output.unwrap_or_else(|it| panic!("bash: {it}"));
    assert!(
        output.status.code() != Some(127),
        "{tool} is missing; install the Debian package {package}"
    );
    assert!(
        output.status.success(),
        "{tool} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Returns a folder that is gone at the end.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/tmp").expect("a temporary folder")
}

/// Returns `len` bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(len).collect()
}
