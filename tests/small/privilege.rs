//! Privilege: a whole build by `nobody`, who may not gain any, makes no system call that wants some, and starts no program.

use crate::world::{assert_whole, through, world};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tests::run;

/// Calls that mount, enter or make namespaces, become somebody else, load code into the kernel, or look into others.
const FORBIDDEN: &[&str] = &[
    "mount",
    "umount2",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "ptrace",
    "process_vm_writev",
    "bpf",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "mknod",
    "mknodat",
    "swapon",
    "swapoff",
    "reboot",
    "sethostname",
    "quotactl",
    "fork",
    "vfork",
    "memfd_create",
    "userfaultfd",
    "perf_event_open",
    "open_by_handle_at",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
];

/// Devices through which a process could get at others' disks or run machines.
const DEVICES: &[&str] = &[
    "/dev/loop",
    "/dev/mapper",
    "/dev/kvm",
    "/dev/fuse",
    "/dev/nbd",
    "/dev/sd",
    "/dev/vd",
    "/dev/nvme",
];

/// Returns what a trace of strace's shows that a build may not do.
fn offences(trace: &str) -> Vec<&str> {
    let mut programs = 0;
    trace
        .lines()
        .filter(|line| {
            // `1234 name(arguments) = result`; the rest of an interrupted call begins with `<...`.
            let call = line
                .split_once(' ')
                .map_or("", |(_, rest)| rest.trim_start());
            let Some((name, arguments)) = call.split_once('(') else {
                return false;
            };
            match name {
                "execve" | "execveat" => {
                    programs += 1;
                    programs > 1
                }
                "clone" | "clone3" => {
                    arguments.contains("CLONE_NEW") || !arguments.contains("CLONE_THREAD")
                }
                "ioctl" => ["LOOP_", "NBD_", "DM_", "KVM_", "BLK"]
                    .iter()
                    .any(|it| arguments.contains(it)),
                "open" | "openat" | "openat2" => DEVICES.iter().any(|it| arguments.contains(it)),
                "socket" => !["AF_INET,", "AF_INET6,", "AF_UNIX,", "AF_NETLINK,"]
                    .iter()
                    .any(|it| arguments.starts_with(it)),
                _ => FORBIDDEN.contains(&name),
            }
        })
        .collect()
}

/// Runs a command as nobody under strace, without any way to more rights; returns the trace of all its threads.
fn traced(command: &Command, log: &Path) -> String {
    let strace = [
        "setpriv",
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
        "strace",
        "-f",
        "-qq",
        "-s",
        "0",
        "-o",
        log.to_str().expect("UTF-8"),
        "--",
    ];
    run(&mut through(&strace, command));
    fs::read_to_string(log).expect("the trace")
}

/// Returns a folder that nobody may write to, and in it a copy of a program nobody may run.
fn nobodys_folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let home = tempfile::tempdir().expect("a folder");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
    let program = home.path().join("nodeimg");
    fs::copy(tests::binary(), &program).expect("a copy");
    (home, program)
}

#[test]
fn a_build_by_nobody_wants_no_privilege_and_starts_no_program() {
    let (home, program) = nobodys_folder();
    let copy = world().copy(home.path());
    let (_server, port) = tests::serve(&copy.mirror(), &[]);
    let place = copy.place_at(home.path().join("place"));
    place.take_from(
        &format!("http://127.0.0.1:{port}/{}", crate::world::HOST),
        &copy.key(),
    );
    run(Command::new("chown")
        .args(["-R", "nobody:nogroup"])
        .arg(place.folder()));
    let is_clean = |command: &Command| {
        let trace = traced(command, &place.folder().join("trace"));
        let seen = |name: &str| trace.lines().any(|it| it.contains(&format!(" {name}(")));
        for name in ["execve", "openat", "pwrite64", "connect"] {
            assert!(seen(name), "strace saw no {name}:\n{trace}");
        }
        assert!(seen("clone3") || seen("clone"), "strace saw no thread");
        assert_eq!(offences(&trace), [""; 0]);
    };
    for (profile, formats) in [
        ("vm", &["ova", "vmdk", "qcow2", "raw"][..]),
        ("card", &["img", "img.zst", "img.xz"]),
    ] {
        let mut command = Command::new(&program);
        place.set(&mut command);
        command.args(["build", "--profile", profile]);
        command.args(formats.iter().flat_map(|it| ["--format", it]));
        is_clean(&command);
        let files = place
            .files()
            .into_iter()
            .filter(|(name, _)| name.starts_with(profile))
            .collect();
        assert_whole(&files, profile, formats);
    }
    // Those of nodes of a cluster, with their keys.
    for (node, format) in [("vm01", "vmdk"), ("card01", "img")] {
        place.forget();
        let mut command = Command::new(&program);
        place.set(&mut command);
        command.args(["build", "--node", node, "--format", format]);
        command.args(["--per-node", "image"]);
        is_clean(&command);
        let (name, files) = (format!("{node}.{format}"), place.files());
        assert!(files.contains_key(&name), "{:?}", files.keys());
    }
}

#[test]
fn what_wants_privilege_or_starts_a_program_is_seen() {
    let (home, _) = nobodys_folder();
    for (script, name) in [
        ("exec /bin/true", "execve"),
        ("/bin/true; exit 0", "fork"),
        ("unshare --mount true || exit 0", "unshare"),
        ("mount -t tmpfs none / || exit 0", "mount"),
        ("chroot / true || exit 0", "chroot"),
        ("chown root /tmp || exit 0", "fchownat"),
        ("losetup -f || exit 0", "execve"),
    ] {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let trace = traced(&command, &home.path().join("trace"));
        let found = offences(&trace);
        // A shell makes a process as its C library likes: fork, vfork, or clone.
        let names = if name == "fork" {
            vec!["fork(", "clone(", "clone3("]
        } else {
            vec![name]
        };
        let is_seen = found
            .iter()
            .any(|line| names.iter().any(|it| line.contains(it)));
        assert!(is_seen, "{script}: {found:?} of\n{trace}");
    }
    let made_up = "1 execve(\"a\") = 0\n1 clone3({flags=CLONE_VM|CLONE_THREAD}) = 2\n1 ioctl(3, LOOP_CTL_GET_FREE) = -1\n\
        1 openat(AT_FDCWD, \"/dev/loop0\", O_RDWR) = -1\n1 clone(flags=CLONE_NEWUSER|SIGCHLD) = 3\n1 socket(AF_ALG, SOCK_SEQPACKET, 0) = 4\n\
        1 read(3, \"\", 0) = 0\n";
    assert_eq!(offences(made_up).len(), 4);
}
