//! Being asked to end: files under way are removed, and the process ends by the signal it got.
//!
//! Downloads under way stay: they are resumed. A signal that was ignored when the process began, as nohup has it, stays so.

use super::output;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs;

/// Begins to listen, on a thread of its own.
pub(crate) fn listen() {
    let ignored = fs::read_to_string("/proc/self/status").map_or(0, |it| ignored(&it));
    let wanted = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|it| (ignored >> (it - 1)) & 1 == 0);
    // Where it is not possible, a signal ends the process as it always did, and the next build sweeps.
    let Ok(mut signals) = Signals::new(wanted) else {
        return;
    };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            output::abandon_all();
            signal_hook::low_level::emulate_default_handler(signal).ok();
        }
    });
}

/// Returns the mask of ignored signals from `/proc/self/status` (`proc(5)`), bit 0 for signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_kernels_mask() {
        let status = "Name:\tnodeimg\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        assert_eq!(ignored(status), 0x1001);
        assert_eq!(ignored("SigIgn:\tx\n"), 0);
        assert_eq!(ignored(""), 0);
    }
}
