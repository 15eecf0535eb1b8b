//! `limits[].penalty`: what follows repeated excess.
//!
//! **In:** the section as written. **Out:** [`Penalty`].
//! **Invariant:** the longest ban is at least the first; whom it stops is known when the excess is.

use super::{LONGEST_MS, SHORTEST_MS};
use crate::policy::compile::Compiler;
use crate::policy::read::{Path, section};
use crate::policy::values::{Count, Duration};
use crate::stages::limits::{KeyPart, Limit, Penalty, Phase, Scope};
use crate::units::Span;

section! {
    /// A ban after repeated excess.
    struct PenaltyConfig {
        /// Refusals within one window of the limit, counted from the first, before the ban.
        after: Count<1, 65535>,
        /// Length of the first ban.
        ban: Duration,
        /// Whom it stops: the client or the subject on every route, or the client on this `route`. Absent: `subject` where
        /// the limit's key has it, else `client`.
        scope: Option<Scope>,
        /// Each further ban is so many times as long as the one before.
        escalate: Count<1, 100> = 1,
        /// The longest ban; at least `ban`.
        max: Duration = "7d",
        /// So long after a ban it is forgotten, the last one first.
        decay: Duration = "1d",
    }
}

impl Compiler<'_> {
    pub(super) fn penalty(&mut self, at: &Path, config: &PenaltyConfig, window: Span) -> Penalty {
        for (key, span) in [
            ("ban", config.ban.0),
            ("max", config.max.0),
            ("decay", config.decay.0),
        ] {
            if !(SHORTEST_MS..=LONGEST_MS).contains(&span.ms) {
                self.errors.push(
                    &at.key(key),
                    "out of range",
                    "write a duration from `1s` to `30d`",
                );
            }
        }
        Penalty {
            after: config.after.0,
            window,
            ban: config.ban.0,
            scope: config.scope.unwrap_or(Scope::Client),
            escalate: config.escalate.0,
            max: config.max.0.max(config.ban.0),
            decay: config.decay.0,
        }
    }

    /// Settles whom a limit's penalty stops.
    pub(super) fn check_penalty(&mut self, at: &Path, limit: &mut Limit, scope: Option<Scope>) {
        let by_subject = limit
            .key
            .iter()
            .any(|part| matches!(part, KeyPart::ApiKey | KeyPart::Subject));
        let early = matches!(limit.phase(Some(0)), Phase::Client | Phase::Credential);
        let Some(penalty) = &mut limit.penalty else {
            return;
        };
        if scope.is_none() && by_subject {
            penalty.scope = Scope::Subject;
        }
        if scope == Some(Scope::Subject) && early {
            self.errors.push(
                &at.key("penalty").key("scope"),
                "the subject is not known yet when this limit refuses",
                "write `client`, or add `subject` to the limit's key",
            );
        }
    }
}
