//! What tests of several modules share: numbers that look drawn at random and are the same in every run.
//!
//! **In:** a seed. **Out:** numbers (a linear congruential generator modulo 2^64, with Knuth's multiplier; its high bits are the good ones).

/// Numbers of one seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one: its high bits look drawn at random, its low ones do not.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0
    }

    /// A number below `most`, which is from 1 to 2^31.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        let drawn = usize::try_from(self.next() >> 33).unwrap();
        drawn.checked_rem(most).unwrap()
    }

    /// A byte.
    pub(crate) const fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}
