//! SipHash-2-4 with a secret key: where a client's counters and a message's mark stand in their tables. And SipHash-1-3, with half the
//! rounds, for what nobody ever sees and a worker forgets: clean fields of heads.
//!
//! **In:** words and texts. **Out:** 64 bits. **Invariant:** a text goes in with its length, so that two different
//! lists of texts never make the same input; without the secret nobody can aim at a set.
//! **Source:** Aumasson, Bernstein 2012, over input padded to whole words.

/// The low byte of a text's first word: kinds of words a caller puts between texts have another one, so that no
/// length reads as a kind.
pub(crate) const TEXT: u64 = 7;

/// SipHash-2-4, fed with whole words.
pub(crate) struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
    words: u64,
}

impl Sip {
    pub(crate) const fn new(secret: &[u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *secret;
        let k0 = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let k1 = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
            words: 0,
        }
    }

    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    pub(crate) const fn word(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
        self.words = self.words.wrapping_add(1);
    }

    /// A length and the bytes, the last word padded with zeros.
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.word(length.wrapping_shl(8) | TEXT);
        padded(bytes, |word| self.word(word));
    }

    pub(crate) const fn finish(mut self) -> u64 {
        // The length in bytes, modulo 256, in the last byte: always a multiple of eight here.
        self.word(self.words.wrapping_shl(59));
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

/// The bytes as words, the last one padded with zeros.
fn padded(bytes: &[u8], mut take: impl FnMut(u64)) {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        take(u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut last = [0_u8; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        take(u64::from_le_bytes(last));
    }
}

/// SipHash-1-3, fed with whole words.
pub(crate) struct QuickSip(Sip);

impl QuickSip {
    pub(crate) const fn new(secret: &[u8; 16]) -> Self {
        Self(Sip::new(secret))
    }

    pub(crate) const fn word(&mut self, word: u64) {
        self.0.v3 ^= word;
        self.0.round();
        self.0.v0 ^= word;
        self.0.words = self.0.words.wrapping_add(1);
    }

    /// The bytes alone: their length is the caller's to put in.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        padded(bytes, |word| self.word(word));
    }

    pub(crate) const fn finish(mut self) -> u64 {
        self.word(self.0.words.wrapping_shl(59));
        let Self(mut sip) = self;
        sip.v2 ^= 0xff;
        sip.round();
        sip.round();
        sip.round();
        sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_one_agrees_with_the_standard_library() {
        use core::hash::Hasher;
        // The library's own hasher is SipHash-1-3 under a key of zeros.
        for count in 0..70_u64 {
            let mut ours = QuickSip::new(&[0; 16]);
            let mut theirs = std::hash::DefaultHasher::new();
            for word in 0..count {
                let word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                ours.word(word);
                theirs.write(&word.to_le_bytes());
            }
            assert_eq!(ours.finish(), theirs.finish(), "{count} words");
        }
        let hash = |secret: u8, bytes: &[u8]| {
            let mut sip = QuickSip::new(&[secret; 16]);
            sip.bytes(bytes);
            sip.finish()
        };
        assert_ne!(hash(1, b"a"), hash(2, b"a"));
        assert_ne!(hash(1, b"12345678a"), hash(1, b"12345678b"));
        assert_eq!(hash(1, b"a"), hash(1, b"a\0"), "the caller's to tell apart");
    }

    #[test]
    #[expect(
        deprecated,
        reason = "the standard library's SipHash-2-4 is the oracle"
    )]
    fn agrees_with_the_standard_library() {
        use core::hash::{Hasher, SipHasher};
        let secret: [u8; 16] = core::array::from_fn(|i| u8::try_from(i).unwrap() * 7 + 3);
        let half = |from: usize| u64::from_le_bytes(secret[from..from + 8].try_into().unwrap());
        for count in 0..70_u64 {
            let mut ours = Sip::new(&secret);
            let mut theirs = SipHasher::new_with_keys(half(0), half(8));
            for word in 0..count {
                let word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                ours.word(word);
                theirs.write(&word.to_le_bytes());
            }
            assert_eq!(ours.finish(), theirs.finish(), "{count} words");
        }
        assert_eq!(
            Sip::new(&core::array::from_fn(|i| u8::try_from(i).unwrap())).finish(),
            0x726f_db47_dd0e_0e31
        );
    }
}
