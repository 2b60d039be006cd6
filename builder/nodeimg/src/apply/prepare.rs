//! Opening every input at once: checking digests and inflating packages is most of a build's work, and none of it waits
//! for another.

use super::Event;
use crate::digest::Digest;
use crate::error::Result;
use crate::plan::{Payload, Plan, Step};
use crate::want::Blobs;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

/// What is done with an input ahead of time.
#[derive(Clone, Copy)]
enum Job {
    /// Its digest is checked.
    Check(Digest),
    /// It is a package: its files are inflated.
    Inflate(Digest),
}

/// Checks all inputs of a plan, and inflates its packages.
pub(super) fn prepare(
    plan: &Plan,
    blobs: &dyn Blobs,
    jobs: NonZeroUsize,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    let todo = todo(plan);
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let (done, finished) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(todo.len()) {
            let done = done.clone();
            let (todo, next, failed) = (&todo, &next, &failed);
            scope.spawn(move || {
                while let Some(job) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = run(*job, blobs) {
                        failed
                            .lock()
                            .expect("no thread panics here")
                            .get_or_insert(error);
                        next.store(todo.len(), Ordering::Relaxed);
                    }
                    // The receiver outlives the threads; nobody minds if it does not.
                    done.send(()).ok();
                }
            });
        }
        drop(done);
        for n in 1..=todo.len() {
            if finished.recv().is_err() {
                break;
            }
            events(Event::Progress(n as u64, todo.len() as u64));
        }
    });
    failed
        .into_inner()
        .expect("no thread panics here")
        .map_or(Ok(()), Err)
}

fn run(job: Job, blobs: &dyn Blobs) -> Result<()> {
    match job {
        Job::Check(digest) => drop(blobs.open(digest)?),
        Job::Inflate(digest) => drop(super::packages::inflated(digest, blobs)?),
    }
    Ok(())
}

fn todo(plan: &Plan) -> Vec<Job> {
    let job = |step: &Step| match step {
        Step::Base { digest, .. }
        | Step::Untar { digest, .. }
        | Step::Put {
            content: Payload::Blob(digest),
            ..
        } => Some(Job::Check(*digest)),
        Step::Unpack { digest, .. } => Some(Job::Inflate(*digest)),
        _ => None,
    };
    plan.steps.iter().filter_map(job).collect()
}
