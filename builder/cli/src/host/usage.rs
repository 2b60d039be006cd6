//! What a build takes: time by stage, peak memory, open files. And what time it is.

use rustix::process::{Resource, Rlimit};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Times stages that follow each other.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    last: Instant,
    laps: Vec<(String, Duration)>,
}

impl Stopwatch {
    /// Starts.
    pub(crate) fn start() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }

    /// Ends a stage, which began where the last one ended; a name seen before adds to that one.
    pub(crate) fn lap(&mut self, name: &str) {
        let now = Instant::now();
        let took = now - std::mem::replace(&mut self.last, now);
        match self.laps.iter_mut().find(|(it, _)| it == name) {
            Some((_, sum)) => *sum += took,
            None => self.laps.push((name.to_owned(), took)),
        }
    }

    /// Returns the stages in the order they first ended.
    pub(crate) fn laps(&self) -> &[(String, Duration)] {
        &self.laps
    }
}

/// Returns the most memory this process had at once, in bytes (`proc(5)`, `VmHWM`), where the kernel tells.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Raises this process's limit of open files as far as it may be: every input of a build stays open.
pub(crate) fn allow_many_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // A build of few packages needs no more than there is.
    rustix::process::setrlimit(Resource::Nofile, raised).ok();
}

/// Returns the seconds since 1970-01-01 00:00:00 UTC: for judging signatures, never for anything in an image.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |it| it.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_where_there_is_one() {
        assert_eq!(
            parse_peak("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(parse_peak("VmHWM:\t1234\n"), None);
        assert_eq!(parse_peak("VmHWM:\t18446744073709551615 kB"), None);
        assert!(peak_memory_bytes().is_some_and(|it| it > 100 << 10));
    }

    #[test]
    fn laps_of_one_name_add_up() {
        let mut watch = Stopwatch::start();
        for name in ["a", "b", "a"] {
            watch.lap(name);
        }
        assert_eq!(
            watch
                .laps()
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
    }
}
