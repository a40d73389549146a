//! A team of threads that waits awake for a moment: a step on a model that fits the caches is over in
//! less time than a sleeping thread takes to wake.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::threads::Threads;

/// How long a helper stays awake after a job. Steps of a small model follow each other faster; a
/// training loop that computes longer between them is not robbed of a core for long.
const AWAKE: Duration = Duration::from_micros(50);

/// How many times in a row a thread looks before it offers its core to others: it may be the one that
/// the thread it waits for is waiting for.
const LOOKS: u32 = 64;

/// The bits of a round that say how many helpers are wanted.
const WANTED_BITS: u32 = 16;
const _: () = assert!(Threads::MOST <= 1 << WANTED_BITS);

/// What every thread of a team is to run, once each.
type Job = *const (dyn Fn() + Sync);

struct Shared {
    /// Counts the jobs in its high bits; a helper runs one whenever it has changed, if it is among the first
    /// of which the low bits say how many are wanted. One word, for a helper that is not wanted is not waited
    /// for, and may read late.
    round: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    /// Helpers that have not finished the job.
    busy: AtomicUsize,
    failed: AtomicBool,
    stop: AtomicBool,
    /// Whether each helper sleeps or is about to.
    asleep: Vec<AtomicBool>,
}

// SAFETY: `job` is written while no helper is busy, and read only while one is.
unsafe impl Sync for Shared {}
// SAFETY: the job is only dereferenced while its owner waits for it.
unsafe impl Send for Shared {}

/// Helpers besides the caller.
pub(super) struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    /// One job at a time.
    turn: Mutex<()>,
}

impl Team {
    /// Starts `helpers` threads.
    pub(super) fn start(helpers: usize) -> std::io::Result<Team> {
        let shared = Arc::new(Shared {
            round: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            busy: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asleep: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
        });
        let mut team = Team { shared, helpers: vec![], turn: Mutex::new(()) };
        for k in 0..helpers {
            let shared = team.shared.clone();
            let helper = std::thread::Builder::new().name(format!("thalweg-{k}"));
            team.helpers.push(helper.spawn(move || shared.serve(k))?);
        }
        Ok(team)
    }

    pub(super) fn helpers(&self) -> usize {
        self.helpers.len()
    }

    /// Runs `job` once on each of so many `helpers`, at most all, and on the caller. If the team is at work
    /// for another caller, on this one only.
    pub(super) fn run(&self, helpers: usize, job: &(dyn Fn() + Sync)) {
        let helpers = helpers.min(self.helpers.len());
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            // After a panic nothing is left half done: all helpers were waited for.
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return job(),
        };
        let shared = &*self.shared;
        // SAFETY: only the lifetime is forgotten, and this function waits for every helper to be
        // done; no helper is busy, so nobody reads.
        unsafe {
            *shared.job.get() =
                Some(std::mem::transmute::<*const (dyn Fn() + Sync + '_), Job>(job));
        }
        shared.busy.store(helpers, Ordering::Relaxed);
        let count = (shared.round.load(Ordering::Relaxed) >> WANTED_BITS) + 1;
        shared.round.store(count << WANTED_BITS | helpers as u64, Ordering::SeqCst);
        for (helper, asleep) in self.helpers.iter().zip(&shared.asleep).take(helpers) {
            if asleep.load(Ordering::SeqCst) {
                helper.thread().unpark();
            }
        }
        let mine = catch_unwind(AssertUnwindSafe(job));
        let mut spins = 0u32;
        while shared.busy.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins > LOOKS { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        let failed = shared.failed.swap(false, Ordering::Relaxed);
        if let Err(panic) = mine {
            std::panic::resume_unwind(panic);
        }
        assert!(!failed, "a thread of the step panicked");
    }
}

impl Shared {
    /// What helper `k` does until the team ends.
    fn serve(&self, k: usize) {
        let mut seen = 0;
        loop {
            self.wait(k, seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            seen = self.round.load(Ordering::SeqCst);
            if k as u64 >= seen & ((1 << WANTED_BITS) - 1) {
                continue;
            }
            // SAFETY: the caller wrote it before it raised `round`, and waits until all are done.
            let done = catch_unwind(AssertUnwindSafe(|| unsafe {
                if let Some(job) = *self.job.get() {
                    (*job)();
                }
            }));
            if done.is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for a round after `seen`, awake at first.
    fn wait(&self, k: usize, seen: u64) {
        let start = Instant::now();
        let mut spins = 0u32;
        while self.round.load(Ordering::SeqCst) == seen {
            spins += 1;
            if !spins.is_multiple_of(LOOKS) {
                std::hint::spin_loop();
                continue;
            }
            if start.elapsed() > AWAKE {
                self.asleep[k].store(true, Ordering::SeqCst);
                // The round may have been raised before the caller could see that this one sleeps.
                while self.round.load(Ordering::SeqCst) == seen {
                    std::thread::park();
                }
                self.asleep[k].store(false, Ordering::SeqCst);
                return;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.round.fetch_add(1 << WANTED_BITS, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            // A helper that panicked has reported it to the caller of its job.
            let _ = helper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_that_is_wanted_runs_a_job_once() {
        for helpers in [0, 1, 3] {
            let team = Team::start(helpers).expect("threads");
            for round in 1..=2000 {
                // Now all of them, now fewer, now none.
                let wanted = helpers - round % (helpers + 1);
                let count = AtomicUsize::new(0);
                team.run(wanted, &|| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(count.load(Ordering::Relaxed), wanted + 1);
                if round % 500 == 0 {
                    // Long enough for all to fall asleep.
                    std::thread::sleep(4 * AWAKE);
                }
            }
        }
    }

    #[test]
    fn callers_that_meet_do_not_wait_for_each_other() {
        let team = Team::start(1).expect("threads");
        let count = AtomicUsize::new(0);
        team.run(1, &|| team.run(1, &|| _ = count.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::start(2).expect("threads");
        let caller = std::thread::current().id();
        let result = catch_unwind(AssertUnwindSafe(|| {
            team.run(2, &|| assert!(std::thread::current().id() == caller, "a helper"));
        }));
        assert!(result.is_err());
        let count = AtomicUsize::new(0);
        team.run(2, &|| _ = count.fetch_add(1, Ordering::Relaxed));
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }
}
