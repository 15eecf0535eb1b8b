//! Words by table: a case-folded hash is built while a tokenizer reads a word and looked up once.
//!
//! **In:** lists of lower-case words with a kind each, hashed while compiling. **Out:** the kind of a word.
//! **Invariant:** no two listed words share a hash and no probe is longer than [`PROBES`], or the build fails.
//! **Source:** FNV-1a, 64 bits. A word that is not listed but hashes like one is read as that one: it can only cost its sender.
//! **Cost:** a multiplication per byte, one or two probes per word.

/// Slots looked at for a word.
const PROBES: usize = 8;

/// A case-folded word being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    /// No byte read.
    pub(super) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// Adds a byte that is folded already.
    pub(super) const fn push_folded(&mut self, byte: u8) {
        self.0 = (self.0 ^ widen(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    /// Adds a byte, ASCII case folded.
    pub(super) const fn push(&mut self, byte: u8) {
        self.0 = (self.0 ^ widen(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    }
}

#[expect(clippy::as_conversions, reason = "widening in a const fn")]
const fn widen(byte: u8) -> u64 {
    byte as u64
}

/// The first two letters of listed words, whatever their case: for each first one, a bit for each second one.
#[derive(Debug)]
pub(super) struct Starts([u32; 32]);

impl Starts {
    /// Those of one list; for `static` items only.
    pub(super) const fn of(list: &[(&[u8], u8)]) -> Self {
        Self([0; 32]).and(list)
    }

    /// Those of another list, too.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "runs while compiling: a fault is a build error"
    )]
    pub(super) const fn and(mut self, list: &[(&[u8], u8)]) -> Self {
        let mut index = 0;
        while index < list.len() {
            let name = list[index].0;
            self.0[(name[0] & 31) as usize] |= 1 << (name[1] & 31);
            index += 1;
        }
        self
    }

    /// Whether a listed word may begin with these two.
    pub(super) fn may(&self, first: u8, second: u8) -> bool {
        let seconds = self.0.get(usize::from(first & 31)).copied().unwrap_or(0);
        seconds.wrapping_shr(u32::from(second & 31)) & 1 != 0
    }
}

/// A compiled word list of `S` slots (a power of two); kinds are the caller's, 0 is "not listed".
#[derive(Debug)]
pub(super) struct Words<const S: usize> {
    slots: [(u64, u32); S],
}

impl<const S: usize> Words<S> {
    /// No words.
    pub(super) const fn empty() -> Self {
        Self { slots: [(0, 0); S] }
    }

    /// A table of one list; for `static` items only.
    pub(super) const fn new(list: &[(&[u8], u8)]) -> Self {
        Self::empty().with(list)
    }

    /// Adds a list of words with a small kind each; for `static` items only.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "runs while compiling: a fault is a build error"
    )]
    pub(super) const fn with(mut self, list: &[(&[u8], u8)]) -> Self {
        let mut index = 0;
        while index < list.len() {
            self = self.bits(&[(list[index].0, list[index].1 as u32)]);
            index += 1;
        }
        self
    }

    /// Adds a list of words with bits; a word listed twice gets the bits of both. For `static` items only.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "runs while compiling: a fault is a build error"
    )]
    pub(super) const fn bits(mut self, list: &[(&[u8], u32)]) -> Self {
        let mut index = 0;
        while index < list.len() {
            let (word, bits) = list[index];
            let mut key = Key::EMPTY;
            let mut at = 0;
            while at < word.len() {
                key.push(word[at]);
                at += 1;
            }
            self = self.key(key, bits);
            index += 1;
        }
        self
    }

    /// Adds words as they read from behind, with the same kind. For `static` items only.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "runs while compiling: a fault is a build error"
    )]
    pub(super) const fn backwards(mut self, list: &[&[u8]], kind: u8) -> Self {
        let mut index = 0;
        while index < list.len() {
            let mut key = Key::EMPTY;
            let mut at = list[index].len();
            while at > 0 {
                at -= 1;
                key.push(list[index][at]);
            }
            self = self.key(key, kind as u32);
            index += 1;
        }
        self
    }

    /// Adds blank-separated words with the same bits. For `static` items only.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "runs while compiling: a fault is a build error"
    )]
    pub(super) const fn text(mut self, words: &[u8], bits: u32) -> Self {
        let mut key = Key::EMPTY;
        let mut at = 0;
        while at < words.len() {
            if words[at] != b' ' {
                key.push(words[at]);
            }
            at += 1;
            if at == words.len() || words[at] == b' ' {
                self = self.key(key, bits);
                key = Key::EMPTY;
                at += 1;
            }
        }
        self
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "runs while compiling: a fault is a build error"
    )]
    const fn key(mut self, key: Key, bits: u32) -> Self {
        let mut slot = home(key.0, S);
        let mut probes = 0;
        while self.slots[slot].1 != 0 && self.slots[slot].0 != key.0 {
            slot = (slot + 1) % S;
            probes += 1;
            assert!(probes < PROBES, "the table is too full");
        }
        self.slots[slot] = (key.0, self.slots[slot].1 | bits);
        self
    }

    /// The kind of a word of a table made by [`Words::with`], 0 when it is not listed.
    pub(super) fn kind(&self, key: Key) -> u8 {
        u8::try_from(self.found(key) & 0xFF).unwrap_or(0)
    }

    /// The bits of a word, 0 when it is not listed.
    pub(super) fn found(&self, key: Key) -> u32 {
        let mut slot = home(key.0, S);
        for _ in 0..PROBES {
            let Some(&(hash, bits)) = self.slots.get(slot) else {
                return 0;
            };
            if bits == 0 || hash == key.0 {
                return bits;
            }
            slot = slot.wrapping_add(1) & S.wrapping_sub(1);
        }
        0
    }
}

#[expect(
    clippy::as_conversions,
    reason = "masked below the table's size; usable in a const fn"
)]
const fn home(hash: u64, slots: usize) -> usize {
    ((hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize) & slots.wrapping_sub(1)
}
