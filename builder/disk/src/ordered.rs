//! Work done by many threads whose results are handed on in order, with a bounded number under way.
//!
//! One caller gives a source of jobs, a function that does one, and a function that takes the results one by one on the
//! calling thread. What comes out does not depend on the number of threads. Knows nothing of disks.

use crate::error::Error;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Results that may wait for their turn, for each thread.
const AHEAD_PER_JOB: u64 = 4;

/// Does every job that `next` gives with `work`, on `jobs` threads, and gives the results in order to `take`.
///
/// `fresh` makes what one thread keeps between its jobs. The first error in the order of jobs is the one returned.
pub(crate) fn run<J: Send, S, R: Send>(
    jobs: NonZeroUsize,
    next: impl FnMut() -> Result<Option<J>, Error> + Send,
    fresh: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, J) -> Result<R, Error> + Sync,
    take: impl FnMut(R) -> Result<(), Error>,
) -> Result<(), Error> {
    if jobs.get() == 1 {
        return run_here(next, &mut fresh(), work, take);
    }
    let ahead = AHEAD_PER_JOB * jobs.get() as u64;
    let line = Line {
        jobs: Mutex::new(Jobs { next, given: 0 }),
        state: Mutex::new(State {
            done: BTreeMap::new(),
            taken: 0,
            end: None,
            stopped: false,
        }),
        changed: Condvar::new(),
        ahead,
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| line.serve(&fresh, &work));
        }
        // A panic in `take` unwinds through here: the threads must be told, or the scope waits for them for ever.
        let stop = StopOnDrop(&line);
        let result = line.collect(take);
        drop(stop);
        result
    })
}

fn run_here<J, S, R>(
    mut next: impl FnMut() -> Result<Option<J>, Error>,
    state: &mut S,
    work: impl Fn(&mut S, J) -> Result<R, Error>,
    mut take: impl FnMut(R) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some(job) = next()? {
        take(work(state, job)?)?;
    }
    Ok(())
}

struct Line<N, R> {
    jobs: Mutex<Jobs<N>>,
    state: Mutex<State<R>>,
    changed: Condvar,
    ahead: u64,
}

/// Where jobs come from; locked while one is fetched, so that numbers and jobs agree.
struct Jobs<N> {
    next: N,
    given: u64,
}

struct State<R> {
    done: BTreeMap<u64, Result<R, Error>>,
    taken: u64,
    end: Option<u64>,
    stopped: bool,
}

/// Stops the line when a thread leaves it, for whatever reason.
struct StopOnDrop<'a, N, R>(&'a Line<N, R>);

impl<N, R> Drop for StopOnDrop<'_, N, R> {
    fn drop(&mut self) {
        self.0.state().stopped = true;
        self.0.changed.notify_all();
    }
}

impl<N, R> Line<N, R> {
    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the next job and its number, after there is room for its result.
    fn fetch<J>(&self) -> Option<(u64, Result<J, Error>)>
    where
        N: FnMut() -> Result<Option<J>, Error>,
    {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let number = jobs.given;
        let mut state = self.state();
        while !state.stopped && state.end.is_none() && number >= state.taken + self.ahead {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped || state.end.is_some() {
            return None;
        }
        drop(state);
        let job = (jobs.next)().transpose();
        if let Some(job) = job {
            jobs.given += 1;
            return Some((number, job));
        }
        self.state().end = Some(number);
        self.changed.notify_all();
        None
    }

    fn serve<J, S>(&self, fresh: &impl Fn() -> S, work: &impl Fn(&mut S, J) -> Result<R, Error>)
    where
        N: FnMut() -> Result<Option<J>, Error>,
    {
        let mut panicked = PanicGuard {
            line: self,
            armed: true,
        };
        let mut own = fresh();
        while let Some((number, job)) = self.fetch() {
            let result = job.and_then(|job| work(&mut own, job));
            let mut state = self.state();
            if result.is_err() {
                // Later jobs are of no use to anyone; earlier ones still come first.
                state.end = Some(state.end.map_or(number + 1, |end| end.min(number + 1)));
            }
            state.done.insert(number, result);
            drop(state);
            self.changed.notify_all();
        }
        panicked.armed = false;
    }

    /// Takes results in order until the last; returns early if the threads are gone.
    fn collect(&self, mut take: impl FnMut(R) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let mut state = self.state();
            let result = loop {
                let turn = state.taken;
                if let Some(result) = state.done.remove(&turn) {
                    break result;
                }
                if state.stopped || state.end.is_some_and(|end| turn >= end) {
                    return Ok(());
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            };
            state.taken += 1;
            drop(state);
            self.changed.notify_all();
            take(result?)?;
        }
    }
}

/// Lets the collector go when a worker panics; the scope then hands the panic on.
struct PanicGuard<'a, N, R> {
    line: &'a Line<N, R>,
    armed: bool,
}

impl<N, R> Drop for PanicGuard<'_, N, R> {
    fn drop(&mut self) {
        if self.armed {
            self.line.state().stopped = true;
            self.line.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(jobs: usize, count: u64, fail_at: Option<u64>) -> (Vec<u64>, Result<(), Error>) {
        let mut next = 0;
        let mut seen = Vec::new();
        let result = run(
            NonZeroUsize::new(jobs).unwrap(),
            || {
                next += 1;
                Ok((next <= count).then_some(next - 1))
            },
            || (),
            |(), job| {
                if Some(job) == fail_at {
                    return Err(Error::NoPartition(7));
                }
                // Uneven work, so that threads overtake each other.
                Ok((0..(job * 7919) % 5000)
                    .fold(job, |sum, it| std::hint::black_box(sum ^ it ^ it)))
            },
            |result| {
                seen.push(result);
                Ok(())
            },
        );
        (seen, result)
    }

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        for jobs in [1, 2, 3, 8] {
            let (seen, result) = numbers(jobs, 500, None);
            result.unwrap();
            assert_eq!(seen, (0..500).collect::<Vec<_>>(), "{jobs} jobs");
        }
    }

    #[test]
    fn the_first_error_in_order_ends_the_line() {
        for jobs in [1, 2, 4] {
            let (seen, result) = numbers(jobs, 500, Some(123));
            assert!(matches!(result, Err(Error::NoPartition(7))), "{jobs} jobs");
            assert_eq!(seen, (0..123).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_of_the_taker_stops_the_threads() {
        let result = run(
            NonZeroUsize::new(3).unwrap(),
            || Ok(Some(1)),
            || (),
            |(), job: u32| Ok(job),
            |_| Err(Error::NoPartition(1)),
        );
        assert!(matches!(result, Err(Error::NoPartition(1))));
    }
}
