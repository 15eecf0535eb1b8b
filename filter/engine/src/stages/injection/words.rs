//! Words by table: a case-folded key is built while a tokenizer reads a word and looked up once.
//!
//! **In:** a list of lower-case words with a kind each, sorted while compiling. **Out:** the kind of a word.
//! **Invariant:** keys of words up to 16 bytes are exact; longer ones fold by rotation, and no two listed words share a key.
//! **Cost:** a rotation per byte; a word whose length never starts with that letter costs no search.

/// A case-folded word being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Key {
    bits: u128,
    len: u8,
    first: u8,
}

impl Key {
    /// Adds a byte, ASCII case folded.
    pub(super) const fn push(&mut self, byte: u8) {
        let byte = byte.to_ascii_lowercase();
        if self.len == 0 {
            self.first = byte;
        }
        self.bits = self.bits.rotate_left(8) ^ widen(byte);
        self.len = self.len.saturating_add(1);
    }
}

#[expect(clippy::as_conversions, reason = "widening in a const fn")]
const fn widen(byte: u8) -> u128 {
    byte as u128
}

/// A compiled word list; kinds are the caller's, 0 is "not listed".
#[derive(Debug)]
pub(super) struct Words<const N: usize> {
    entries: [(u128, u8); N],
    lengths: [u32; 32],
}

impl<const N: usize> Words<N> {
    /// Sorts the list; for `const` items only.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "runs while compiling: a fault is a build error"
    )]
    pub(super) const fn new(list: [(&[u8], u8); N]) -> Self {
        let mut entries = [(0_u128, 0_u8); N];
        let mut lengths = [0_u32; 32];
        let mut index = 0;
        while index < N {
            let (word, kind) = list[index];
            let mut key = Key {
                bits: 0,
                len: 0,
                first: 0,
            };
            let mut at = 0;
            while at < word.len() {
                key.push(word[at]);
                at += 1;
            }
            lengths[(key.first & 31) as usize] |= 1 << (key.len & 31);
            let mut slot = index;
            while slot > 0 && entries[slot - 1].0 > key.bits {
                entries[slot] = entries[slot - 1];
                slot -= 1;
            }
            assert!(
                slot == 0 || entries[slot - 1].0 != key.bits,
                "a word is listed twice"
            );
            entries[slot] = (key.bits, kind);
            index += 1;
        }
        Self { entries, lengths }
    }

    /// The kind of a word, 0 when it is not listed.
    pub(super) fn kind(&self, key: Key) -> u8 {
        let lengths = self
            .lengths
            .get(usize::from(key.first & 31))
            .copied()
            .unwrap_or(0);
        if lengths & (1_u32 << (key.len & 31)) == 0 || key.len > 31 {
            return 0;
        }
        let mut low = 0_usize;
        let mut high = N;
        while low < high {
            let middle = low.midpoint(high);
            let Some(&(bits, kind)) = self.entries.get(middle) else {
                return 0;
            };
            match bits.cmp(&key.bits) {
                core::cmp::Ordering::Equal => return kind,
                core::cmp::Ordering::Less => low = middle.saturating_add(1),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        0
    }
}
