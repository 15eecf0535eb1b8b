//! `signals`: bans that follow from other things than one limit.
//!
//! **In:** the section as written. **Out:** [`Signal`]s and the addresses that are never banned.
//! **Invariant:** one rule for a cause and scope; whom it stops is known when the cause is.

use alloc::vec::Vec;

use super::{LONGEST_MS, SHORTEST_MS};
use crate::policy::compile::Compiler;
use crate::policy::read::{Located, Path, section};
use crate::policy::values::{Cidr, Count, Duration};
use crate::stages::limits::{Bans, Cause, Penalty, Scope, Signal};

section! {
    /// What follows from what was seen of a client or a subject.
    struct SignalsConfig {
        /// Bans.
        ban: Vec<Located<BanConfig>> = [],
        /// Addresses and networks from which nothing is held against anybody, and whose requests no ban stops: monitoring, health
        /// checks, your own offices. Limits count them (see `limits[].allow`).
        allow: Vec<Cidr> = [],
    }
}

section! {
    /// A ban after repeated attacks, failed authentications or refusals. One of `after` and `score`.
    struct BanConfig {
        /// What is counted: requests refused as an `injection`, credentials that are not right (`authentication`), or requests
        /// refused by any of the `limits`.
        on: Cause,
        /// So many requests within `window`, counted from the first, lead to the ban.
        after: Option<Count<1, 65535>>,
        /// For `injection`: so many points of the requests that were refused.
        score: Option<Count<1, 65535>>,
        /// How long they are counted.
        window: Duration,
        /// Length of the first ban.
        r#for: Duration,
        /// Whom it stops: the `client` or the `subject` on every route, or the client on this `route`.
        scope: Scope = "client",
        /// Each further ban is so many times as long as the one before.
        escalate: Count<1, 100> = 1,
        /// The longest ban; at least `for`.
        max: Duration = "7d",
        /// So long after a ban it is forgotten, the last one first.
        decay: Duration = "1d",
    }
}

impl Compiler<'_> {
    pub(super) fn signals(&mut self, config: SignalsConfig, bans: &mut Bans) {
        for Located { at, value } in config.ban {
            let signal = self.signal(&at, &value);
            let again = |other: &Signal| {
                other.cause == signal.cause && other.penalty.scope == signal.penalty.scope
            };
            if bans.signals.iter().any(again) {
                self.errors.push(
                    &at,
                    "the same cause and scope as an earlier one",
                    "keep one of them",
                );
            }
            bans.learn(&signal.penalty, false);
            bans.signals.push(signal);
        }
        bans.allow = config.allow.into_iter().map(|it| it.0).collect();
    }

    fn signal(&mut self, at: &Path, config: &BanConfig) -> Signal {
        for (key, span) in [
            ("window", config.window.0),
            ("for", config.r#for.0),
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
        if config.after.is_some() == config.score.is_some() && self.errors.is_empty() {
            self.errors
                .push(at, "needs one of `after` and `score`", "write `after: 5`");
        }
        if config.score.is_some() && config.on != Cause::Injection {
            self.errors.push(
                &at.key("score"),
                "only attacks have points",
                "write `after`",
            );
        }
        if config.on == Cause::Authentication && config.scope == Scope::Subject {
            self.errors.push(
                &at.key("scope"),
                "a credential that is not right has no subject",
                "write `client`: whoever names somebody else could have them banned",
            );
        }
        let count = config.after.as_ref().or(config.score.as_ref());
        Signal {
            cause: config.on,
            points: config.score.is_some(),
            penalty: Penalty {
                after: count.map_or(1, |count| count.0),
                window: config.window.0,
                ban: config.r#for.0,
                scope: config.scope,
                escalate: config.escalate.0,
                max: config.max.0.max(config.r#for.0),
                decay: config.decay.0,
            },
        }
    }
}
