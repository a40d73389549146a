//! Many single-threaded jobs on a few threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Result;

/// Runs `work` on every job, at most `workers` at once, and returns the results in the order of the
/// jobs. After an error no new job starts, and the error of the earliest job is returned.
pub fn in_parallel<J: Sync, R: Send>(
    workers: usize,
    jobs: Vec<J>,
    work: impl Fn(&J) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<Option<Result<R>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = work(job);
                    if result.is_err() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn results_keep_the_order_of_the_jobs() {
        for workers in [1, 2, 7] {
            let squares = in_parallel(workers, (0..50).collect(), |i| Ok(i * i)).unwrap();
            assert_eq!(squares, (0..50).map(|i| i * i).collect::<Vec<_>>());
        }
        assert!(in_parallel(3, Vec::<u8>::new(), |i| Ok(*i)).unwrap().is_empty());
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let done = AtomicUsize::new(0);
        let outcome = in_parallel(1, (0..100).collect(), |i| {
            done.fetch_add(1, Ordering::Relaxed);
            if *i == 3 { Err(Error::failed("no", "yes")) } else { Ok(()) }
        });
        assert_eq!(outcome.unwrap_err().problem(), "no");
        assert_eq!(done.into_inner(), 4);
    }
}
