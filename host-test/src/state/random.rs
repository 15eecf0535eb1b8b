//! Randomness for guests: the system's, or a repeatable sequence.
//!
//! Source: the sequence is SplitMix64; it is for tests and keeps no secret.

pub(crate) enum Random {
    Seeded(u64),
    System,
}

impl Random {
    /// Fills the bytes; false if the system has no randomness to give.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> bool {
        let Self::Seeded(state) = self else {
            return getrandom::fill(bytes).is_ok();
        };
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            for (byte, random) in chunk.iter_mut().zip(word.to_le_bytes()) {
                *byte = random;
            }
        }
        true
    }
}
