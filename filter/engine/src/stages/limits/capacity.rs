//! When newcomers begin to be refused: how much of others' charging the table takes before its floors speak.
//!
//! **In:** a limit, ways and sets. **Out:** [`Capacity`], for `palisade check`.
//!
//! A newcomer starts from its set's floor, and is refused when that has reached the quota. The floor rises by one only when a
//! record leaves a full set, and it is the emptiest that leaves: all `ways` records stood above the floor then, each by a
//! charge of its own that still counted. So a floor at the quota costs others `ways × quota` charges, and all of them
//! count at one of the floor's rises. What the floor holds was charged within one lifetime of a charge before now, and what counted at
//! its rises within one more. Hence, with fewer than `charges` by others in every span of `horizon`, no newcomer is refused:
//!
//! | kind | charges | horizon |
//! |---|---|---|
//! | log | ways × quota | 2 (window + 1 ms) |
//! | ring | ways × quota | 2 × 17/16 window: a charge counts at most 17 sub-windows |
//! | fixed window | ways × quota | the window: all charges go at once |
//! | bucket | ways × burst | window × burst / quota: debts of records and floor are paid at one rate |
//!
//! For a cost of N, read quota - N + 1 for the quota. Nobody can aim at a set (the hash has a secret), so clients that come once
//! fall on the sets at random: `table` is the rate at which the fullest of all sets stays below `charges` in a horizon
//! but for one chance in a billion. Who spends whole quotas instead needs `ways + 1` clients that happen to share a set.

use super::counts::Rule;
use super::{Algorithm, Limit, LimitStage};

/// Below what charging by others no newcomer of a limit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Charges in one set ...
    pub charges: u64,
    /// ... within so many milliseconds.
    pub horizon_ms: u64,
    /// The same as charges in 1000 seconds, when they come evenly.
    pub set: u64,
    /// Charges of ever new clients over the whole table in 1000 seconds; 0: the sets are too small for chance.
    pub table: u64,
}

impl LimitStage {
    /// What the table takes before newcomers of `limit` are refused. `None`: requests in flight have no floor, and those who
    /// do not fit into a set share a quota (`concurrency.rs`).
    #[must_use]
    pub fn capacity(&self, limit: &Limit) -> Option<Capacity> {
        if limit.algorithm == Algorithm::Concurrency {
            return None;
        }
        let (places, horizon_ms) = Rule::new(limit, limit.quota).horizon();
        let ways = u64::try_from(self.ways()).unwrap_or(u64::MAX);
        let charges = ways.saturating_mul(places);
        let per = |count: u64| {
            let scaled = u128::from(count).saturating_mul(1_000_000);
            let rate = scaled.checked_div(u128::from(horizon_ms)).unwrap_or(0);
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        let sets = self.table_sets();
        // One in a billion is e^-20.7; a set more adds its logarithm (0.7 for each doubling).
        let doublings = u64::from(u64::BITS.saturating_sub(sets.leading_zeros()));
        let odds = doublings.saturating_mul(7).div_ceil(10).saturating_add(21);
        Some(Capacity {
            charges,
            horizon_ms,
            set: per(charges.saturating_sub(1)),
            table: per(mean_milli(charges, odds).saturating_mul(sets)) / 1000,
        })
    }
}

/// The largest mean, in thousandths, of a Poisson count that reaches `most` with a chance of at most e^-`odds`.
fn mean_milli(most: u64, odds: u64) -> u64 {
    // Bernstein: (most - mean)² >= 2 odds (mean + (most - mean) / 3), solved for the distance, in thousandths.
    let odds_milli = odds.saturating_mul(1000);
    let third = odds_milli.saturating_mul(2) / 3;
    let most_milli = most.saturating_mul(1000);
    let square = third
        .saturating_mul(third)
        .saturating_add(odds_milli.saturating_mul(most_milli).saturating_mul(2));
    let distance = square.isqrt().saturating_add(1).saturating_sub(third);
    let by_bernstein = most_milli.saturating_sub(distance);
    by_bernstein.max(small_mean_milli(most, odds))
}

/// The same for few charges, by P(X >= n) <= mean^n / n!.
fn small_mean_milli(most: u64, odds: u64) -> u64 {
    let Ok(most) = u8::try_from(most) else {
        return 0;
    };
    let rare = |milli: u32| {
        // 1/e for each of the odds, one factor of mean/i for each charge.
        let mut chance = 1.0_f64;
        for i in 1..=most {
            chance *= f64::from(milli) / 1000.0 / f64::from(i);
        }
        for _ in 0..odds {
            chance *= core::f64::consts::E;
        }
        chance <= 1.0
    };
    let (mut low, mut high) = (0_u32, u32::from(most).saturating_mul(1000));
    while high.saturating_sub(low) > 1 {
        let middle = low.midpoint(high);
        if rare(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_keep_their_distance() {
        // By hand: 8 charges at odds of e^-31 allow (8! e^-31)^(1/8) = 0.0781.
        assert_eq!(small_mean_milli(8, 31), 78);
        assert_eq!(mean_milli(8, 31), 78);
        // 800 - (-20.67 + sqrt(20.67² + 2 · 31 · 800)).
        assert!(
            (596_900..597_100).contains(&mean_milli(800, 31)),
            "{}",
            mean_milli(800, 31)
        );
        assert_eq!(mean_milli(0, 31), 0);
        for most in [1, 2, 3, 10, 40, 100, 255, 256, 1000, 1_000_000] {
            let mean = mean_milli(most, 31);
            assert!(mean < most * 1000, "{most}: {mean}");
            assert!(mean <= mean_milli(most + 1, 31), "{most}");
        }
        assert!(mean_milli(u64::MAX, 31) < u64::MAX);
    }
}
