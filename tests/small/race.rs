//! Builds at once in one folder, with one cache: all of them succeed, and what is left is right.

use crate::fault::{self, Action, Calls, Which, number_on};
use crate::world::{assert_whole, reference, world, wrong};
use std::process::{Child, Command, Stdio};

fn spawn(mut command: Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs")
}

#[track_caller]
fn assert_succeeds(child: Child) {
    let output = child.wait_with_output().expect("it ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
}

#[test]
fn builds_at_once_all_succeed() {
    let place = world().place("race");
    let formats = ["img", "ova"];
    reference("card");
    for _ in 0..6 {
        place.forget();
        let children: Vec<Child> = (0..3)
            .map(|_| spawn(place.build("card", &formats)))
            .collect();
        children.into_iter().for_each(assert_succeeds);
        assert_whole(&place.files(), "card", &formats);
        assert_eq!(place.leftovers(), [""; 0]);
    }
}

#[test]
fn a_build_beside_one_that_is_killed_succeeds() {
    let place = world().place("race-killed");
    let formats = ["img"];
    reference("card");
    let calls = fault::calls(&place, place.build("card", &formats), Calls::Change);
    for n in fault::spread(calls.len(), 15) {
        place.forget();
        let mut doomed = place.build("card", &formats);
        fault::at(&mut doomed, Calls::Change, n, Action::Kill);
        let mut doomed = spawn(doomed);
        let other = spawn(place.build("card", &formats));
        doomed.wait().expect("it ends");
        assert_succeeds(other);
        assert_eq!(
            wrong(&place.files(), reference("card")),
            [""; 0],
            "point {n}"
        );
        // What the doomed one left, it may have left after the other looked.
        assert_succeeds(spawn(place.build("card", &formats)));
        assert_whole(&place.files(), "card", &formats);
        assert_eq!(place.leftovers(), [""; 0], "point {n}");
    }
}

#[test]
fn a_lock_that_was_overtaken_leaves_nothing() {
    let place = world().place("race-overtaken");
    let formats = ["img"];
    let calls = fault::calls(&place, place.build("card", &formats), Calls::Change);
    let lock = ".card.lock.partial-";
    let n = number_on(&calls, lock, Which::Last, |_| true);
    place.forget();
    let mut stopped = place.build("card", &formats);
    fault::on(&mut stopped, lock, Calls::Change, n, Action::Stop);
    let mut stopped = spawn(stopped);
    assert!(fault::wait_until_stopped(&mut stopped));
    assert_succeeds(spawn(place.build("card", &formats)));
    assert_eq!(
        place.leftovers().len(),
        1,
        "the one that is stopped has its own"
    );
    stopped.kill().expect("it can be killed");
    stopped.wait().expect("it ends");
    assert_succeeds(spawn(place.build("card", &formats)));
    assert_eq!(place.leftovers(), [""; 0]);
}

#[test]
fn a_build_waits_for_what_another_derives_and_goes_on_when_that_one_dies() {
    let place = world().place("race-stopped");
    let formats = ["img"];
    reference("card");
    let calls = fault::calls(&place, place.build("card", &formats), Calls::Change);
    let derived = "/derived/";
    let n = number_on(&calls, derived, Which::First, |it| it.contains(".partial-")) + 1;
    place.forget();
    let mut stopped = place.build("card", &formats);
    fault::on(&mut stopped, derived, Calls::Change, n, Action::Stop);
    let mut stopped = spawn(stopped);
    assert!(fault::wait_until_stopped(&mut stopped));
    let mut other = spawn(place.build("card", &formats));
    while !place.folder().join("locks/card.lock").exists()
        && other.try_wait().expect("its state").is_none()
    {
        // It takes the inputs that are there, and then wants what the stopped one has begun: the base, to be locked.
        let waits = std::fs::read_to_string("/proc/locks").expect("the kernel's locks");
        if waits
            .lines()
            .any(|it| it.contains("->") && it.contains(&format!(" {} ", other.id())))
        {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(
        other.try_wait().expect("its state").is_none(),
        "it did not wait"
    );
    stopped.kill().expect("it can be killed");
    stopped.wait().expect("it ends");
    assert_succeeds(other);
    assert_whole(&place.files(), "card", &formats);
    assert_eq!(place.leftovers(), [""; 0]);
}
