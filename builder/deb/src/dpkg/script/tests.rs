//! Scripts as debhelper writes them, and ways in which they may not be understood.

use super::*;
use fstree::Meta;

const UNIT: &str = r#"#!/bin/sh
set -e
# Automatically added by dh_installsystemd/13.6ubuntu1
if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] || [ "$1" = "abort-remove" ] ; then
	deb-systemd-helper unmask 'x.service' >/dev/null || true
	# A comment; with 'quotes" in it.
	if deb-systemd-helper --quiet was-enabled 'x.service'; then
		deb-systemd-helper enable 'x.service' >/dev/null || true
	else
		deb-systemd-helper update-state 'x.service' >/dev/null || true
	fi
fi
# End automatically added section
if [ "$1" = "configure" ] ; then
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
		if [ -n "$2" ]; then
			_dh_action=restart
		else
			_dh_action=start
		fi
		deb-systemd-invoke $_dh_action 'x.service' >/dev/null || true
	fi
fi
exit 0
"#;

fn run(script: &str, arguments: &[&str]) -> Result<Vec<Effect>, String> {
    let tree = FileTree::new(Meta::default());
    effects(
        script.as_bytes(),
        &Call {
            tree: &tree,
            pending: &[],
            arguments,
        },
    )
}

#[test]
fn the_units_of_a_fragment_are_its_effects() {
    let want = vec![
        Effect::Unmask(Instance::System, "x.service".to_owned()),
        Effect::Enable(Instance::System, "x.service".to_owned()),
    ];
    assert_eq!(run(UNIT, &["configure", ""]).unwrap(), want);
    assert_eq!(run(UNIT, &["triggered", "x"]).unwrap(), []);
}

#[test]
fn presets_as_rpm_macros_write_them() {
    let script = "#!/bin/sh\nif [ \"$1\" = \"configure\" ] ; then\n        # Initial installation\n        systemctl preset \
                  kubelet.service >/dev/null 2>&1 || :\nfi\n";
    let want = vec![Effect::Preset(
        Instance::System,
        "kubelet.service".to_owned(),
    )];
    assert_eq!(run(script, &["configure"]).unwrap(), want);
}

#[test]
fn only_the_way_taken_counts() {
    let script = |body: &str| format!("#!/bin/sh\nset -e\n{body}\n");
    for good in [
        "case \"$1\" in\n configure) ;;\n *) adduser x ;;\nesac",
        "if [ -x \"$(command -v nothing)\" ]; then nothing; fi",
        "if dpkg --compare-versions \"$2\" lt-nl 1.0; then rm /x; fi",
        "dpkg-maintscript-helper rm_conffile /etc/x 1.0\\~ -- \"$@\"",
        "[ \"$1\" = upgrade ] && rm -rf /x",
        "exit 0\nadduser x",
        "if command -v py3compile >/dev/null 2>&1; then\n py3compile -p x\nfi",
    ] {
        assert_eq!(
            run(&script(good), &["configure", ""]).as_deref(),
            Ok(&[][..]),
            "{good}"
        );
    }
    for bad in [
        "adduser x",
        "update-alternatives --install a b c 1",
        "systemd-sysusers x.conf",
        "false",
        "exit 1",
        "x=1 y",
        "[ a -a b ]",
        "echo $unknown",
        "case \"$1\" in conf*) ;; esac",
        "! if true; then true; fi",
    ] {
        assert!(run(&script(bad), &["configure", ""]).is_err(), "{bad}");
    }
    let helper = script("dpkg-maintscript-helper rm_conffile /etc/x 1.0 -- \"$@\"");
    assert!(run(&helper, &["configure", "0.9"]).is_err());
    assert!(run(&helper, &["configure", "1.1"]).is_ok());
    assert!(run("#!/usr/bin/perl\n", &["configure"]).is_err());
}

#[test]
fn small_scripts_cannot_ask_for_much() {
    let script = |body: &str| format!("#!/bin/sh\n{body}\n");
    let doubling = format!("x=abcdefgh\n{}", "x=$x$x\n".repeat(60));
    let why = run(&script(&doubling), &[]).unwrap_err();
    assert!(why.contains("1,024 bytes"), "{why}");
    let long = format!("x={}\ntrue {}", "y".repeat(1000), "$x ".repeat(80_000));
    let why = run(&script(&long), &[]).unwrap_err();
    assert!(why.contains("64 KiB"), "{why}");
    let effects = "deb-systemd-helper enable x\n".repeat(9000);
    let why = run(&script(&effects), &[]).unwrap_err();
    assert!(why.contains("too long"), "{why}");
    // Not one call within another.
    let not = format!("if [ {} -n x ]; then false; fi", "! ".repeat(100_000));
    run(&script(&not), &[]).unwrap_err();
    let not = format!("if [ {} -n x ]; then true; fi", "! ".repeat(30_000));
    assert_eq!(run(&script(&not), &[]).as_deref(), Ok(&[][..]));
}
