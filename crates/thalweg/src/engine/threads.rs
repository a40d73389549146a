//! Who does the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

/// The threads a step runs on. Results do not depend on it.
#[derive(Clone, Debug, Default)]
pub enum Threads {
    /// Rayon's current pool: the global one, or the one whose worker calls `step`.
    #[default]
    Rayon,
    /// The calling thread only.
    Caller,
    /// A pool of the user's.
    Pool(Arc<rayon::ThreadPool>),
}

impl Threads {
    /// A pool of `count` threads of its own, or the calling thread if `count` is 1. The caller
    /// works too, so the pool has one thread less.
    ///
    /// # Errors
    /// [`Error::Engine`] if `count` is 0 or the pool cannot be started.
    pub fn count(count: usize) -> Result<Threads, Error> {
        match count {
            0 => Err(Error::Engine("threads = 0; it must be at least 1".to_owned())),
            1 => Ok(Threads::Caller),
            n => rayon::ThreadPoolBuilder::new()
                .num_threads(n - 1)
                .thread_name(|i| format!("thalweg-{i}"))
                .build()
                .map(|pool| Threads::Pool(Arc::new(pool)))
                .map_err(|e| Error::Engine(format!("cannot start {n} threads: {e}"))),
        }
    }

    /// Helpers besides the caller.
    fn helpers(&self) -> usize {
        match self {
            Threads::Caller => 0,
            // A caller outside the global pool comes on top of its workers.
            Threads::Rayon => rayon::current_num_threads() - 1,
            Threads::Pool(pool) => pool.current_num_threads(),
        }
    }

    /// Runs `task(0..tasks)`, each once, in any order, and returns when all are done.
    pub(crate) fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let helpers = self.helpers().min(tasks.saturating_sub(1));
        if helpers == 0 {
            return (0..tasks).for_each(task);
        }
        let next = AtomicUsize::new(0);
        let work = &|| {
            loop {
                let k = next.fetch_add(1, Ordering::Relaxed);
                if k >= tasks {
                    return;
                }
                task(k);
            }
        };
        fn shared<'s>(scope: &rayon::Scope<'s>, helpers: usize, work: &'s (dyn Fn() + Sync)) {
            for _ in 0..helpers {
                scope.spawn(move |_| work());
            }
            work();
        }
        match self {
            Threads::Pool(pool) => pool.in_place_scope(|scope| shared(scope, helpers, work)),
            _ => rayon::in_place_scope(|scope| shared(scope, helpers, work)),
        }
    }
}
