//! `limits` and `table`: what a limit counts, by what, how many, and what follows.
//!
//! **In:** the sections as written. **Out:** [`LimitStage`], or errors with their key paths.
//! **Invariant:** every default is written here once, in the policy's own language; what a limit cannot know in its phase is
//! an error, never a limit that counts nothing.

mod algorithm;
mod concurrency;
mod cost;
mod count;
mod dead;
mod fleet;
mod key;
mod lease;
mod penalty;
mod plan;
mod signals;
#[cfg(test)]
mod tests;
mod when;

use alloc::format;
use alloc::vec::Vec;

use super::Mode;
use super::compile::Compiler;
use super::read::{Located, Path, keywords, section};
use super::values::{Cidr, Count, Name, QuotaText};
use crate::sets::MAX_SETS;
use crate::stages::limits::fleet::Service;
use crate::stages::limits::{
    Algorithm, Bans, DEFAULT_WAYS, LONGEST_MS, Limit, LimitStage, Missing, Shown, Telling,
};
use crate::stages::token::TokenStage;
use cost::CostConfig;
use count::CountBy;
use fleet::{Scope, ServiceConfig};
use key::{Key, MissingWord};
use penalty::PenaltyConfig;
use plan::PlansConfig;
pub(super) use signals::SignalsConfig;
use when::When;

/// Shortest window: the ring has 16 counters of at least a millisecond, and clocks of hosts tick in milliseconds.
const SHORTEST_MS: u64 = 1_000;
/// Limits of a policy: each has a place in the client's slot.
const MOST_LIMITS: usize = 32;

section! {
    /// A rate limit.
    struct LimitConfig {
        /// Name, unique.
        name: Name,
        /// Which requests are counted; absent: all.
        when: When = {},
        /// Addresses and networks that this limit never counts.
        allow: Vec<Cidr> = [],
        /// What tells counters apart.
        key: Vec<Key> = ["client"],
        /// What becomes of a request without a value that the key asks for: counted together with all others without it, or not
        /// counted. Absent: counted, but not where the value is of a verified credential and nobody was verified.
        missing: Option<MissingWord>,
        /// How many in which window, such as `100/10m`; of `concurrency` how many at a time, such as `50`.
        quota: QuotaText,
        /// Other quotas for some, by a claim.
        plans: Option<PlansConfig>,
        /// What a request is charged.
        cost: CostConfig = 1,
        /// How it counts: `sliding_window` never admits more than the quota in any window; `token_bucket` at most quota and burst;
        /// `fixed_window` at most twice the quota; `concurrency` never has more in flight.
        algorithm: Algorithm = "sliding_window",
        /// Tokens of a `token_bucket`: how many may come at once.
        burst: Option<Count<1, 4294967295>>,
        /// Places that a worker charges ahead for a busy client, and gives out without asking the shared store.
        lease: Option<Count<2, 65535>>,
        /// Ban after repeated excess.
        penalty: Option<PenaltyConfig>,
        /// Count by response instead of by request.
        count: Option<CountBy>,
        /// Who counts together: the workers of one Envoy, or several Envoys by a rate limit service.
        scope: Scope = "local",
        /// The rate limit service of `scope: fleet`.
        service: Option<Located<ServiceConfig>>,
        /// When the client is told of this limit, by `RateLimit` fields: when it is refused, always, or never.
        headers: Shown = "denied",
        /// Whether it is told by `x-ratelimit-limit`, `-remaining` and `-reset` too.
        legacy: bool = false,
        /// Whether it is told a partition key: the same for all requests that are counted together.
        partition_key: bool = false,
        /// Mode of this limit.
        mode: Mode = "enforce",
    }
}

section! {
    /// The tables in shared memory: fixed in size, whatever clients do.
    struct Table {
        /// Clients held at a time for each limit; beyond it the least active make room.
        clients: Count<64, 524288> = 65536,
        /// Clients that share a set: more ways, fewer newcomers refused under attack, longer entries.
        ways: Count<2, 16> = 8,
        /// Marks held at a time: messages and proofs accepted within their windows, credentials revoked before their end.
        marks: Count<64, 1048576> = 65536,
        /// Bans held at a time, counts of excesses that may lead to one and past bans that are remembered among them: they stand in
        /// the table of `clients`.
        bans: Count<64, 524288> = 16384,
    }
}

keywords!(Shown, "a choice", { "denied" => Self::Denied, "always" => Self::Always, "off" => Self::Never });

impl Compiler<'_> {
    pub(super) fn limits(
        &mut self,
        list: Vec<Located<LimitConfig>>,
        table: &Table,
        signals: SignalsConfig,
        operator: bool,
        tokens: &mut TokenStage,
    ) -> LimitStage {
        let mut limits: Vec<Limit> = Vec::new();
        let mut services = Vec::new();
        for (index, Located { at, value }) in list.into_iter().enumerate() {
            if index == MOST_LIMITS {
                self.errors.push(
                    &at,
                    "too many limits",
                    format!("write at most {MOST_LIMITS}"),
                );
            }
            let limit = self.limit(&at, value, tokens, &mut services);
            if limits.iter().any(|earlier| earlier.name == limit.name) {
                self.taken(&at, &limit.name);
            }
            limits.push(limit);
        }
        Self::keep_claims(&mut limits, tokens);
        let ways = u8::try_from(table.ways.0).unwrap_or(DEFAULT_WAYS);
        let wanted = table.clients.0.div_ceil(u32::from(ways));
        let sets = wanted.next_power_of_two();
        if sets > MAX_SETS {
            let most = MAX_SETS.saturating_mul(u32::from(ways));
            self.errors.push(
                &Path::default().key("table").key("clients"),
                format!("`{}` is too many for {ways} ways", table.clients.0),
                format!("write at most {most}, or more `ways`"),
            );
        }
        let mut bans = Bans {
            count: table.bans.0,
            ..Bans::default()
        };
        for limit in &limits {
            if let Some(penalty) = &limit.penalty {
                bans.learn(penalty, limit.monitor);
            }
        }
        self.signals(signals, &mut bans);
        if operator {
            // An operator may ban anybody.
            bans.clients = true;
            bans.subjects = true;
            bans.enforces = true;
        }
        // Bans stand in the limits' entries.
        let sets = if bans.is_used() {
            sets.max(Bans::sets_for(table.bans.0))
        } else {
            sets
        };
        bans.sets = sets;
        let stage = LimitStage {
            limits,
            sets,
            bans,
            services,
            ways,
            ..LimitStage::default()
        };
        if stage.bans.is_used() {
            self.implied.bans = stage.bans.capacity();
        }
        if !stage.limits.is_empty() {
            self.implied.table_clients = sets.saturating_mul(u32::from(ways));
        }
        self.implied.table_bytes = stage.memory_bytes();
        if self.implied.table_bytes > 0 {
            self.implied.table_sets = sets;
        }
        stage
    }

    fn limit(
        &mut self,
        at: &Path,
        config: LimitConfig,
        tokens: &TokenStage,
        services: &mut Vec<Service>,
    ) -> Limit {
        let burst = self.burst(at, &config);
        let key = self.limit_key(at, config.key);
        let window = config.quota.0.window;
        let scope = config.penalty.as_ref().and_then(|penalty| penalty.scope);
        let penalty = config
            .penalty
            .map(|penalty| self.penalty(&at.key("penalty"), &penalty, window));
        let (statuses, failures) = self.count_by(&at.key("count"), config.count);
        let fleet = self.fleet(at, config.scope, config.service, services);
        let mut limit = Limit {
            name: config.name.0.into_bytes(),
            when: self.condition(config.when),
            allow: config.allow.into_iter().map(|it| it.0).collect(),
            key,
            missing: config.missing.map_or(Missing::Usual, |word| word.0),
            plans: config
                .plans
                .map(|plans| self.plans(at, plans, config.quota.0)),
            cost: config.cost.0,
            quota: config.quota.0,
            algorithm: config.algorithm,
            burst,
            lease: config.lease.map_or(0, |lease| lease.0),
            penalty,
            statuses,
            failures,
            fleet,
            telling: Telling {
                shown: config.headers,
                legacy: config.legacy,
                partition: config.partition_key,
            },
            monitor: config.mode == Mode::Monitor,
        };
        self.check_window(at, &limit);
        self.check_lease(at, &limit);
        self.check_key(at, &limit, tokens);
        self.check_counts(at, &limit, tokens);
        self.check_cost(at, &limit);
        self.check_penalty(at, &mut limit, scope);
        self.check_fleet(at, &limit);
        limit
    }

    fn check_window(&mut self, at: &Path, limit: &Limit) {
        if limit.algorithm == Algorithm::Concurrency {
            self.check_concurrency(at, limit);
        } else if limit.quota.window.ms == 0 {
            self.errors.push(
                &at.key("quota"),
                "without a window",
                "write a count and a window such as `100/10m`; a count alone goes with `algorithm: concurrency`",
            );
        } else if !(SHORTEST_MS..=LONGEST_MS).contains(&limit.quota.window.ms) {
            self.errors.push(
                &at.key("quota"),
                "the window is out of range",
                "write a window from `1s` to `30d`",
            );
        }
    }
}
