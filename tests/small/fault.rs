//! Something goes wrong at the Nth call by which a build changes or reads files: `fault.c`, preloaded into the command.

use crate::world::Place;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tests::{repository, run, target};

/// Which calls are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Calls {
    /// Those that change files.
    Change,
    /// Those that read them.
    Read,
}

/// What happens at the call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Nothing: the calls are counted.
    None,
    /// The process is killed before it.
    Kill,
    /// The process is stopped before it.
    Stop,
    /// It fails, with EIO.
    Fail,
    /// It fails, and all after it that need room do, with ENOSPC.
    Full,
    /// Half of its bytes are written.
    Short,
}

/// Which of several calls is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// The first.
    First,
    /// The last.
    Last,
}

/// Gives a command its fault.
pub(crate) fn at(command: &mut Command, calls: Calls, n: usize, action: Action) {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    let shim = SHIM.get_or_init(|| {
        let shim = target().join("small/fault.so");
        fs::create_dir_all(target().join("small")).expect("a folder");
        run(Command::new("cc")
            .args([
                "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o",
            ])
            .arg(&shim)
            .arg(repository().join("tests/small/fault.c")));
        shim
    });
    let calls = match calls {
        Calls::Change => "change",
        Calls::Read => "read",
    };
    let action = match action {
        Action::None => "none",
        Action::Kill => "kill",
        Action::Stop => "stop",
        Action::Fail => "fail=5",
        Action::Full => "full=28",
        Action::Short => "short",
    };
    command
        .env("LD_PRELOAD", shim)
        .env("FAULT", format!("{calls}:{n}:{action}"));
}

/// Gives a command its fault at the Nth of the calls on paths that contain a text. Threads take turns as they please: only so is
/// it known what the call is about.
pub(crate) fn on(command: &mut Command, path: &str, calls: Calls, n: usize, action: Action) {
    at(command, calls, n, action);
    command.env("FAULT_PATH", path);
}

/// Returns which of the calls on paths that contain a text is the first, or the last, that `wanted` holds for: its number
/// among them.
pub(crate) fn number_on(
    calls: &[(String, String)],
    path: &str,
    which: Which,
    wanted: impl Fn(&str) -> bool,
) -> usize {
    let paths = calls.iter().map(|(_, it)| it.as_str());
    let among: Vec<&str> = paths.filter(|it| it.contains(path)).collect();
    let found = match which {
        Which::First => among.iter().position(|it| wanted(it)),
        Which::Last => among.iter().rposition(|it| wanted(it)),
    };
    found.unwrap_or_else(|| panic!("no such call on {path}: {among:?}")) + 1
}

/// Runs a command that must succeed, and returns its calls: a name and a path each.
pub(crate) fn calls(place: &Place, mut command: Command, calls: Calls) -> Vec<(String, String)> {
    let log = place.folder().join("calls.log");
    at(&mut command, calls, 0, Action::None);
    run(command.env("FAULT_LOG", &log));
    let text = fs::read_to_string(&log).expect("the log");
    fs::remove_file(&log).expect("the log");
    let call = |line: &str| {
        let mut parts = line.splitn(3, ' ').skip(1).map(str::to_owned);
        Some((parts.next()?, parts.next()?))
    };
    text.lines().filter_map(call).collect()
}

/// Returns `points` numbers from 1 to `total`, evenly spread, the first and the last among them, no one twice.
pub(crate) fn spread(total: usize, points: usize) -> Vec<usize> {
    assert!(
        total >= points && points > 1,
        "{points} points cannot be spread over {total} calls"
    );
    (0..points)
        .map(|n| 1 + n * (total - 1) / (points - 1))
        .collect()
}

/// Does something for each point, on as many threads as there are places.
pub(crate) fn each(places: &[Place], points: &[usize], work: impl Fn(&Place, usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for place in places {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(place, *point);
                }
            });
        }
    });
}

/// Waits until a process is stopped; returns whether it is, or has ended before.
pub(crate) fn wait_until_stopped(child: &mut Child) -> bool {
    loop {
        if child.try_wait().expect("its state").is_some() {
            return false;
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
        if state == Some(b'T') {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    run(Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name])
        .arg(child.id().to_string()));
}
