//! Time, real or virtual, as guests see it: wall clock and monotonic clock.
//!
//! Invariant: a virtual clock moves only when told to; clones share it, so several VMs can live in one time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A source of time; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System {
        started: Instant,
    },
    Virtual {
        wall_nanos: Arc<AtomicU64>,
        monotonic_nanos: Arc<AtomicU64>,
    },
}

impl Default for Clock {
    /// The system's clock.
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The clock of this machine.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System {
            started: Instant::now(),
        })
    }

    /// A clock that stands at `unix` after the epoch until it is moved; its monotonic side starts at one hour.
    #[must_use]
    pub fn virtual_at(unix: Duration) -> Self {
        Self(Kind::Virtual {
            wall_nanos: Arc::new(AtomicU64::new(nanos(unix))),
            monotonic_nanos: Arc::new(AtomicU64::new(nanos(Duration::from_secs(3600)))),
        })
    }

    /// Moves both sides of a virtual clock forward. A system clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Kind::Virtual {
            wall_nanos,
            monotonic_nanos,
        } = &self.0
        {
            wall_nanos.fetch_add(nanos(by), Relaxed);
            monotonic_nanos.fetch_add(nanos(by), Relaxed);
        }
    }

    /// Sets the wall side of a virtual clock, backwards too; the monotonic side stays.
    pub fn set_wall(&self, unix: Duration) {
        if let Kind::Virtual { wall_nanos, .. } = &self.0 {
            wall_nanos.store(nanos(unix), Relaxed);
        }
    }

    /// Sets the monotonic side of a virtual clock: a host whose clock misbehaves.
    pub fn set_monotonic(&self, since_start: Duration) {
        if let Kind::Virtual {
            monotonic_nanos, ..
        } = &self.0
        {
            monotonic_nanos.store(nanos(since_start), Relaxed);
        }
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub fn wall_nanos(&self) -> u64 {
        match &self.0 {
            Kind::System { .. } => nanos(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
            Kind::Virtual { wall_nanos, .. } => wall_nanos.load(Relaxed),
        }
    }

    /// Nanoseconds of a clock that never goes back (unless told to).
    #[must_use]
    pub fn monotonic_nanos(&self) -> u64 {
        match &self.0 {
            // An hour ahead, so that a guest can look back over a window that began before it.
            Kind::System { started } => nanos(started.elapsed() + Duration::from_secs(3600)),
            Kind::Virtual {
                monotonic_nanos, ..
            } => monotonic_nanos.load(Relaxed),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
