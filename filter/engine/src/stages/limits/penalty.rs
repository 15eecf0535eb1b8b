//! What follows repeated excess.

use crate::units::Span;

/// Who is stopped by a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The client, on every route.
    Client,
    /// The client, on the route where it went too far.
    Route,
    /// The verified subject, on every route.
    Subject,
}

impl Scope {
    /// As the policy writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Route => "route",
            Self::Subject => "subject",
        }
    }
}

/// A ban after repeated excess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// Excesses (or their points) within `window` before the ban.
    pub after: u32,
    /// Counted from the first of them.
    pub window: Span,
    /// Length of the first ban.
    pub ban: Span,
    /// Whom it stops.
    pub scope: Scope,
    /// Each further ban is so many times as long, up to `max`.
    pub escalate: u32,
    /// The longest ban.
    pub max: Span,
    /// So long after a ban its level falls by one, and again after each further such time.
    pub decay: Span,
}

/// What else than a penalty of a limit can lead to a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A credential that is not right.
    Authentication,
    /// A request that is refused as an attack.
    Injection,
    /// A request that is refused by a limit.
    Limits,
}

impl Cause {
    /// Its name in findings; no limit has such a name.
    #[must_use]
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Authentication => b"signals:authentication",
            Self::Injection => b"signals:injection",
            Self::Limits => b"signals:limits",
        }
    }
}

/// A ban that follows from a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// What is counted.
    pub cause: Cause,
    /// Count points of attacks instead of requests.
    pub points: bool,
    /// What follows.
    pub penalty: Penalty,
}

impl Penalty {
    /// The length of the ban that follows `level` earlier ones, in milliseconds. Monotonic in `level`.
    pub(super) fn length_ms(&self, level: u32) -> u64 {
        let most = self.max.ms.max(self.ban.ms);
        let factor = u64::from(self.escalate.max(1));
        let mut length = self.ban.ms;
        for _ in 0..level.min(MAX_DOUBLINGS) {
            if length >= most || factor == 1 {
                break;
            }
            length = length.saturating_mul(factor);
        }
        length.min(most)
    }
}

/// Doubled so often, a second is longer than any bound.
const MAX_DOUBLINGS: u32 = 48;

#[cfg(test)]
impl Penalty {
    /// Of the client, always the same length; tests change what they are about.
    pub(crate) fn sample(after: u32, window_ms: u64, ban_ms: u64) -> Self {
        let span = |ms| Span { ms };
        Self {
            after,
            window: span(window_ms),
            ban: span(ban_ms),
            scope: Scope::Client,
            escalate: 1,
            max: span(ban_ms),
            decay: span(86_400_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_bans_are_longer_up_to_the_longest() {
        let mut penalty = Penalty::sample(1, 1, 60);
        assert_eq!([0, 1, 900].map(|level| penalty.length_ms(level)), [60; 3]);
        penalty.escalate = 3;
        penalty.max = Span { ms: 1000 };
        let lengths = [0, 1, 2, 3, u32::MAX].map(|level| penalty.length_ms(level));
        assert_eq!(lengths, [60, 180, 540, 1000, 1000]);
        penalty.max = Span { ms: u64::MAX };
        assert_eq!(penalty.length_ms(u32::MAX), u64::MAX);
        penalty.max = Span { ms: 1 };
        assert_eq!(penalty.length_ms(7), 60, "never shorter than the first");
    }
}
