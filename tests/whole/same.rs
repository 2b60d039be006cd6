//! The same lock gives the same bytes: whoever builds, wherever, whenever, on however many processors.

use crate::world::{built, folder, run};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

#[test]
fn a_second_build_elsewhere_is_equal_byte_for_byte() {
    let built = built();
    let place = folder("another place");
    for name in ["cluster.toml", "cluster.secrets", "locks"] {
        run(Command::new("cp")
            .arg("-a")
            .arg(built.folder().join(name))
            .arg(&place));
    }
    for (profile, formats) in [
        ("worker-amd64", vec!["ova", "vmdk", "qcow2"]),
        ("worker-arm64", vec!["img"]),
    ] {
        let mut command = built
            .world
            .nodeimg_with(&place, &place.join("cache"), built.world.port);
        command.args([
            "build",
            "--profile",
            profile,
            "--out",
            "elsewhere",
            "--jobs",
            "1",
        ]);
        command.args(formats.iter().flat_map(|it| ["--format", it]));
        command
            .env("TZ", "Pacific/Kiritimati")
            .env("LC_ALL", "tr_TR.UTF-8");
        // umask is a process's own: the shell sets it and becomes the command.
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg("umask 077; exec \"$0\" \"$@\"")
            .arg(command.get_program())
            .args(command.get_args());
        shell
            .current_dir(&place)
            .env("TZ", "Pacific/Kiritimati")
            .env("LC_ALL", "tr_TR.UTF-8")
            .arg0("sh");
        run(&mut shell);
        for format in formats {
            let file = format!("{profile}.{format}");
            run(Command::new("cmp")
                .arg(built.file(&file))
                .arg(place.join("elsewhere").join(&file)));
        }
    }
}
