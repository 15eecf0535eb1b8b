//! What each algorithm promises: so many in any window, and no fewer than a plain model of it while demand lasts.
//!
//! **Invariant:** the models know nothing of the engine; where it may round, they round against the client.

use crate::world::{self, Random};

/// An algorithm under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sliding,
    Bucket,
    Fixed,
}

/// A limit of that kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) kind: Kind,
    pub(crate) quota: u64,
    pub(crate) window_ms: u64,
    /// Of a bucket.
    pub(crate) burst: u64,
    /// Places charged ahead; 0: none.
    pub(crate) lease: u64,
}

impl Kind {
    pub(crate) fn any(random: &mut Random) -> Self {
        [Self::Sliding, Self::Bucket, Self::Fixed][usize::try_from(random.below(3)).unwrap()]
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sliding => "sliding_window",
            Self::Bucket => "token_bucket",
            Self::Fixed => "fixed_window",
        }
    }
}

impl Limit {
    pub(crate) fn policy(self) -> String {
        let mut more = match self.kind {
            Kind::Bucket => format!(", burst: {}", self.burst),
            Kind::Sliding | Kind::Fixed => String::new(),
        };
        if self.lease > 0 {
            more.push_str(&format!(", lease: {}", self.lease));
        }
        format!(
            "limits: [{{ name: a, key: [client], quota: {}/{}ms, algorithm: {}{more} }}]",
            self.quota,
            self.window_ms,
            self.kind.name()
        )
    }

    /// How many any span of the window's length holds at most.
    pub(crate) const fn bound(self) -> u64 {
        match self.kind {
            Kind::Sliding => self.quota,
            Kind::Bucket => self.quota + self.burst,
            Kind::Fixed => 2 * self.quota,
        }
    }

    /// How many more leases may add to a window: a bucket drains while a place waits to be given out.
    pub(crate) const fn leased(self, workers: u64) -> u64 {
        match self.kind {
            Kind::Bucket => self.lease * workers,
            Kind::Sliding | Kind::Fixed => 0,
        }
    }

    /// How many may come at once.
    pub(crate) const fn at_once(self) -> u64 {
        match self.kind {
            Kind::Bucket => self.burst,
            Kind::Sliding | Kind::Fixed => self.quota,
        }
    }

    /// How many of `demand` are admitted at least.
    pub(crate) fn least(self, demand: &[u64]) -> u64 {
        match self.kind {
            // The oldest sub-window counts in full: a place is released a sixteenth of the window late, and a sub-window's rounding.
            Kind::Sliding => {
                let late = self.window_ms + self.window_ms.div_ceil(16) + 17;
                world::greedy(demand, self.quota, late)
            }
            Kind::Bucket => {
                // One token each `every`, at most `burst` of them: the time at which the bucket is full again may lie so far ahead.
                let every = self.window_ms.div_ceil(self.quota) + 1;
                let (mut full_at, mut admitted) = (0, 0);
                for now in demand {
                    let next = full_at.max(*now) + every;
                    if next <= now + every * self.burst {
                        full_at = next;
                        admitted += 1;
                    }
                }
                admitted
            }
            Kind::Fixed => {
                let (mut window, mut taken, mut admitted) = (u64::MAX, 0, 0);
                for now in demand {
                    if now / self.window_ms != window {
                        (window, taken) = (now / self.window_ms, 0);
                    }
                    if taken < self.quota {
                        taken += 1;
                        admitted += 1;
                    }
                }
                admitted
            }
        }
    }

    /// More than the quota in one of the aligned windows.
    pub(crate) fn breaks_alignment(self, times: &[u64]) -> Option<String> {
        if self.kind != Kind::Fixed {
            return None;
        }
        times
            .chunk_by(|left, right| left / self.window_ms == right / self.window_ms)
            .map(|of| u64::try_from(of.len()).unwrap())
            .find(|taken| *taken > self.quota)
            .map(|taken| format!("{taken} in one aligned window"))
    }
}
