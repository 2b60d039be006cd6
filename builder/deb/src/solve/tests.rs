//! Wishes and what comes of them.

use super::*;
use crate::decode::Compression;
use std::fmt::Write as _;

/// Makes an index of `name version field: value; field: value` lines.
fn index(lines: &str) -> Index {
    let hash = "00".repeat(32);
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        writeln!(
            text,
            "Package: {name}\nVersion: {version}\nArchitecture: amd64"
        )
        .unwrap();
        writeln!(text, "Filename: {name}\nSize: 1\nSHA256: {hash}").unwrap();
        for field in words
            .next()
            .unwrap_or_default()
            .split(';')
            .map(str::trim)
            .filter(|it| !it.is_empty())
        {
            writeln!(text, "{field}").unwrap();
        }
        text.push('\n');
    }
    Index::read(text.as_bytes(), Compression::None, 1 << 20).unwrap()
}

fn status(lines: &str) -> Installed {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        writeln!(text, "Package: {name}\nStatus: install ok installed").unwrap();
        writeln!(text, "Version: {version}\nArchitecture: amd64").unwrap();
        for field in words
            .next()
            .unwrap_or_default()
            .split(';')
            .map(str::trim)
            .filter(|it| !it.is_empty())
        {
            writeln!(text, "{field}").unwrap();
        }
        text.push('\n');
    }
    Installed::parse(text.as_bytes(), &Arch::new("amd64").unwrap()).unwrap()
}

fn run(base: &str, indexes: &[(i32, &str)], wanted: &[&str]) -> Result<Vec<String>, String> {
    let indexes: Vec<(i32, Index)> = indexes
        .iter()
        .map(|(priority, it)| (*priority, index(it)))
        .collect();
    let repositories: Vec<_> = indexes
        .iter()
        .map(|(priority, index)| Repository {
            index,
            priority: *priority,
        })
        .collect();
    let wanted: Vec<_> = wanted.iter().map(|it| Wanted::parse(it).unwrap()).collect();
    let native = Arch::new("amd64").unwrap();
    match solve(&status(base), &repositories, &native, &wanted) {
        Ok(all) => Ok(all
            .iter()
            .map(|it| format!("{} {}", it.entry.name, it.entry.version))
            .collect()),
        Err(error) => Err(error.to_string()),
    }
}

fn check(base: &str, index: &str, wanted: &[&str], want: &[&str]) {
    assert_eq!(run(base, &[(0, index)], wanted).unwrap(), want);
}

#[test]
fn dependencies_come_first_and_recommendations_not_at_all() {
    check(
        "c 1",
        "a 1 Depends: b, c; Recommends: x\nb 1 Pre-Depends: d (>= 2)\nd 1\nd 3\nx 1\nc 2",
        &["a"],
        &["d 3", "b 1", "a 1"],
    );
}

#[test]
fn wishes_may_name_versions() {
    let kubelet = "kubelet 1.36.2-1.1\nkubelet 1.36.10-1.1\nkubelet 1.37.0-1.1";
    check("", kubelet, &["kubelet=1.36.*"], &["kubelet 1.36.10-1.1"]);
    check(
        "",
        kubelet,
        &["kubelet=1.36.2-1.1"],
        &["kubelet 1.36.2-1.1"],
    );
    check("kubelet 1.36.3", kubelet, &["kubelet=1.36.*"], &[]);
    assert!(run("kubelet 1.37.0", &[(0, kubelet)], &["kubelet=1.36.*"]).is_err());
}

#[test]
fn priority_goes_before_version() {
    let all = [(0, "a 9"), (5, "a 1\na 2")];
    assert_eq!(run("", &all, &["a"]).unwrap(), ["a 2"]);
    assert_eq!(run("", &all, &["a=9"]).unwrap(), ["a 9"]);
}

#[test]
fn alternatives_are_tried_in_order_and_what_is_there_serves() {
    let index = "a 1 Depends: x | y\nx 1 Depends: gone\ny 1\nv 1 Provides: m\nb 1 Depends: m\nw 1 Provides: m (= 3)\nc 1 Depends: m (>= 2)";
    check("", index, &["a"], &["y 1", "a 1"]);
    check("y 1", index, &["a"], &["a 1"]);
    check("", index, &["b"], &["v 1", "b 1"]);
    check("z 1 Provides: m", index, &["b"], &["b 1"]);
    check("z 1 Provides: m", index, &["c"], &["w 1", "c 1"]);
}

#[test]
fn an_upgrade_takes_its_dependents_along() {
    check(
        "lib 1\ndev 1 Depends: lib (= 1)\nuser 1 Depends: lib (>= 1)",
        "lib 2\ndev 2 Depends: lib (= 2)\nuser 2\na 1 Depends: lib (>= 2)",
        &["a"],
        &["lib 2", "a 1", "dev 2"],
    );
    let stuck = run(
        "lib 1\nold 1 Depends: lib (<< 2)",
        &[(0, "lib 2\na 1 Depends: lib (>= 2)")],
        &["a"],
    )
    .unwrap_err();
    assert!(
        stuck.contains("old 1 (installed) needs lib (<< 2)"),
        "{stuck}"
    );
}

#[test]
fn conflicts_are_avoided_or_upgraded_away() {
    check(
        "old 1",
        "a 1 Breaks: old (<< 2)\nold 2",
        &["a"],
        &["a 1", "old 2"],
    );
    check(
        "",
        "a 1 Depends: x | y\nb 1 Conflicts: x\nx 1\ny 1",
        &["a", "b"],
        &["y 1", "a 1", "b 1"],
    );
    check("", "mta 1 Provides: m; Conflicts: m", &["mta"], &["mta 1"]);
    let error = run(
        "mta 1 Provides: m; Conflicts: m",
        &[(0, "other 1 Provides: m; Conflicts: m")],
        &["other"],
    );
    assert!(error.unwrap_err().contains("a newer mta"));
    assert!(run("", &[(0, "a 1 Conflicts: b\nb 1")], &["a", "b"]).is_err());
}

#[test]
fn failures_explain_themselves() {
    let error = run(
        "",
        &[(0, "a 1 Depends: b\nb 1 Depends: c (>= 2)\nc 1.5")],
        &["a"],
    )
    .unwrap_err();
    assert_eq!(
        error,
        "a → a 1 needs b → b 1 needs c (>= 2), which nothing meets (there is c 1.5 in repository 1)"
    );
    assert_eq!(
        run("", &[], &["nothing"]).unwrap_err(),
        "nothing, which nothing meets"
    );
}

#[test]
fn a_hopeless_wish_ends() {
    let mut text = String::new();
    for n in 0..40 {
        write!(
            text,
            "p{n} 1 Depends: p{m} | q{m}\nq{n} 1 Depends: p{m} | q{m}\n",
            m = n + 1
        )
        .unwrap();
    }
    assert!(run("", &[(0, &text)], &["p0"]).is_err());
}

#[test]
fn circles_are_allowed() {
    check(
        "",
        "a 1 Depends: b\nb 1 Depends: a",
        &["a"],
        &["b 1", "a 1"],
    );
}

#[test]
fn a_base_has_a_hundred_thousand_relations_and_no_more() {
    let parse = |more: usize| {
        let mut text = String::new();
        for package in 0..100 {
            let count = 1000 + if package == 99 { more } else { 0 };
            let needs = vec!["a|b (= 1)"; count / 2].join(",");
            let rest = if count % 2 == 0 { "" } else { ", c" };
            writeln!(text, "Package: p{package}\nStatus: install ok installed").unwrap();
            writeln!(
                text,
                "Version: 1\nArchitecture: all\nBreaks: {needs}{rest}\n"
            )
            .unwrap();
        }
        Installed::parse(text.as_bytes(), &Arch::new("amd64").unwrap())
    };
    assert!(parse(0).is_ok());
    let error = parse(1).unwrap_err().to_string();
    assert!(
        error.starts_with("with p99 the installed packages have more than 100000 relations"),
        "{error}"
    );
}
