//! Who does the work.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::team::Team;
use crate::error::Error;

/// The threads a step runs on. Results do not depend on it.
#[derive(Clone, Default)]
pub enum Threads {
    /// Rayon's current pool: the global one, or the one whose worker calls `step`. What a step hands to it is
    /// allocated, once per pass and worker; threads of the optimizer's own allocate nothing.
    #[default]
    Rayon,
    /// The calling thread only.
    Caller,
    /// A pool of the user's.
    Pool(Arc<rayon::ThreadPool>),
    /// Threads of the optimizer's own, made by [`count`](Self::count).
    Own(OwnThreads),
}

/// Threads that belong to an optimizer.
#[derive(Clone)]
pub struct OwnThreads(Arc<Team>);

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Threads::Rayon => "Rayon",
            Threads::Caller => "Caller",
            Threads::Pool(_) => "Pool",
            Threads::Own(_) => "Own",
        };
        write!(f, "{name}({})", self.helpers() + 1)
    }
}

impl fmt::Debug for OwnThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnThreads({})", self.0.helpers())
    }
}

impl Threads {
    /// The most threads of its own that an optimizer may have: more than any machine runs at once.
    pub(crate) const MOST: usize = 1 << 16;

    /// `count` threads of its own, at most 65,536, or the calling thread if `count` is 1. The caller works
    /// too, so one less is started. They wait awake for 50 µs after a step, then sleep.
    ///
    /// # Errors
    /// [`Error::Engine`] if `count` is out of range or the threads cannot be started.
    pub fn count(count: usize) -> Result<Threads, Error> {
        match count {
            1 => Ok(Threads::Caller),
            n if n == 0 || n > Threads::MOST => {
                Err(Error::Engine(format!("threads = {n} is outside [1, {}]", Threads::MOST)))
            }
            n => Team::start(n - 1)
                .map(|team| Threads::Own(OwnThreads(Arc::new(team))))
                .map_err(|e| Error::Engine(format!("cannot start {n} threads: {e}"))),
        }
    }

    /// Helpers besides the caller.
    pub(crate) fn helpers(&self) -> usize {
        match self {
            Threads::Caller => 0,
            // A caller outside the global pool comes on top of its workers.
            Threads::Rayon => rayon::current_num_threads() - 1,
            Threads::Pool(pool) => pool.current_num_threads(),
            Threads::Own(team) => team.0.helpers(),
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
            Threads::Own(team) => team.0.run(helpers, work),
            Threads::Pool(pool) => pool.in_place_scope(|scope| shared(scope, helpers, work)),
            _ => rayon::in_place_scope(|scope| shared(scope, helpers, work)),
        }
    }
}
