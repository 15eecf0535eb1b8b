//! Choices drawn from a seed.
//!
//! Invariant: the same seed and the same stream give the same sequence on every machine, so a seed printed today replays tomorrow.
//! Source: SplitMix64.

/// A sequence of choices.
#[derive(Clone, Debug)]
pub(super) struct Choices(u64);

impl Choices {
    /// A sequence of its own for each `stream` of a seed: what one worker draws does not move what another draws.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut choices = Self(seed);
        let mixed = choices.next();
        let mut choices = Self(mixed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        choices.next();
        choices
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// An index into something of this length; 0 if it is empty.
    pub(super) fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        // 53 bits, as many as a double holds.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_repeat_and_keep_their_bounds() {
        let draw = |seed, stream| {
            let mut choices = Choices::new(seed, stream);
            (0..64).map(|_| choices.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
        let seen = draw(1, 0);
        assert!(seen.iter().all(|number| *number < 10) && seen.contains(&0) && seen.contains(&9));
        let mut choices = Choices::new(1, 0);
        assert_eq!((choices.below(0), choices.index(0)), (0, 0));
        let hits = (0..10_000).filter(|_| choices.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert!(!choices.chance(0.0) && choices.chance(1.0));
    }
}
