//! A cluster's secrets under a passphrase: nothing in plain is left, and all that is made of them is the same.

use crate::world::{Place, below, mode, read, world};
use std::fs;
use std::process::{Command, Output};
use tests::{run, text};

const PASSPHRASE: &str = "correct horse battery";

/// Returns a command that is given a passphrase by a file.
fn knowing(place: &Place, passphrase: &str) -> Command {
    let file = place.folder().join("passphrase");
    fs::write(&file, format!("{passphrase}\n")).expect("a file");
    let mut command = place.nodeimg();
    command.arg("--passphrase-file").arg(file);
    command
}

fn seed_of(place: &Place, command: &mut Command) -> Vec<u8> {
    let asked = ["build", "--node", "card01", "--per-node", "only-seed"];
    run(command.args(asked));
    read(&place.out().join("seeds/card01"))["user-data"].clone()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sealed_secrets_make_the_same_seeds_and_nothing_in_plain_is_left() {
    let place = world().place("sealed");
    let plain = seed_of(&place, &mut place.nodeimg());
    run(knowing(&place, PASSPHRASE).args(["cluster", "init", "--encrypt"]));
    let folder = place.folder().join("cluster.secrets");
    let names: Vec<String> = below(&folder)
        .iter()
        .map(|it| {
            it.strip_prefix(&folder)
                .expect("below")
                .display()
                .to_string()
        })
        .collect();
    let left = [
        "ca-hash",
        "known_hosts",
        "pki/ca.crt",
        "pki/etcd/ca.crt",
        "pki/front-proxy-ca.crt",
        "pki/sa.pub",
        "secrets.toml.asc",
    ];
    assert_eq!(names, left);
    for path in below(&folder) {
        let bytes = fs::read_to_string(&path).expect("text");
        assert!(
            !bytes.contains("PRIVATE") && !bytes.contains("seed"),
            "{}",
            path.display()
        );
    }
    let sealed = folder.join("secrets.toml.asc");
    assert_eq!(mode(&sealed), 0o600);
    assert!(seed_of(&place, &mut knowing(&place, PASSPHRASE)) == plain);
    // They stay as they are kept, and what is done to them is kept with them.
    run(knowing(&place, PASSPHRASE).args(["cluster", "token", "revoke", "card01"]));
    run(knowing(&place, PASSPHRASE).args(["cluster", "init"]));
    assert_eq!(below(&folder).len(), left.len());
    assert!(seed_of(&place, &mut knowing(&place, PASSPHRASE)) != plain);
}

#[test]
fn who_does_not_know_the_passphrase_learns_nothing() {
    let place = world().place("sealed-wrong");
    let short = knowing(&place, "short")
        .args(["cluster", "init", "--encrypt"])
        .output();
    assert!(refused(&short.expect("it runs")).contains("fewer than 8 characters"));
    run(knowing(&place, PASSPHRASE).args(["cluster", "init", "--encrypt"]));
    let asked = ["cluster", "export-kubeconfig"];
    let wrong = knowing(&place, "incorrect horse").args(asked).output();
    let told = refused(&wrong.expect("it runs"));
    assert!(
        told.contains("secrets.toml.asc cannot be opened")
            && told.contains("the passphrase is wrong"),
        "{told}"
    );
    let command = place.nodeimg();
    let alone = Command::new("setsid")
        .arg("--wait")
        .arg(command.get_program())
        .args(command.get_args())
        .args(asked)
        .current_dir(place.folder())
        .output();
    let told = refused(&alone.expect("it runs"));
    assert!(
        told.contains("no terminal") && told.contains("help: --passphrase-file"),
        "{told}"
    );
}

/// Types a passphrase when asked, and prints what the terminal showed.
const TYPIST: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        more = b""
    if not more:
        break
    if b"Passphrase" not in shown and b"Passphrase" in shown + more:
        os.write(terminal, sys.argv[1].encode() + b"\n")
    shown += more
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_passphrase_that_is_typed_is_not_shown() {
    let place = world().place("sealed-typed");
    run(knowing(&place, PASSPHRASE).args(["cluster", "init", "--encrypt"]));
    let command = place.nodeimg();
    let shown = text(&run(Command::new("python3")
        .args(["-c", TYPIST, PASSPHRASE])
        .arg(command.get_program())
        .args(command.get_args())
        .args(["cluster", "token", "list"])
        .current_dir(place.folder())));
    assert!(
        shown.contains("Passphrase of the cluster's secrets: "),
        "{shown}"
    );
    assert!(
        shown.contains("card01") && !shown.contains("horse"),
        "{shown}"
    );
}
