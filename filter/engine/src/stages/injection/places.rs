//! Where bytes of a set stand in a text, sixteen looked at together.
//!
//! **In:** a text and a set of bytes. **Out:** its places in ascending order, or the first one from a position on.
//! **Invariant:** exact: a set is rows times columns of the code table, at most eight of them; tests compare every byte at every place.
//! **Cost:** ten vector operations for 16 bytes, and a few for every place.

use super::bytes::{self, rest};
use super::lanes;

/// Without vectors one by one is quicker.
const LANES: bool = cfg!(any(test, target_arch = "wasm32"));

/// A set of bytes: rows (high halves) and columns (low halves) of the code table, a bit for those that belong together.
#[derive(Debug)]
pub(super) struct Set {
    low: [u8; 16],
    top: [u8; 16],
}

impl Set {
    /// The bytes of `list`; for `static` items only.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "runs while compiling: a fault is a build error"
    )]
    pub(super) const fn of(list: &[u8]) -> Self {
        let mut columns = [0_u16; 16];
        let mut index = 0;
        while index < list.len() {
            columns[(list[index] >> 4) as usize] |= 1 << (list[index] & 15);
            index += 1;
        }
        let mut set = Self {
            low: [0; 16],
            top: [0; 16],
        };
        let mut bits = 0;
        let mut row = 0;
        while row < 16 {
            // Rows with the same columns share a bit.
            let mut same = 0;
            while columns[same] != columns[row] {
                same += 1;
            }
            if columns[row] == 0 {
                set.top[row] = 0;
            } else if same < row {
                set.top[row] = set.top[same];
            } else {
                assert!(bits < 8, "the set has too many kinds of rows");
                set.top[row] = 1 << bits;
                let mut column = 0;
                while column < 16 {
                    if columns[row] & (1 << column) != 0 {
                        set.low[column] |= 1 << bits;
                    }
                    column += 1;
                }
                bits += 1;
            }
            row += 1;
        }
        set
    }

    pub(super) fn has(&self, byte: u8) -> bool {
        let of = |table: &[u8; 16], place: u8| table.get(usize::from(place)).copied().unwrap_or(0);
        of(&self.low, byte & 15) & of(&self.top, byte >> 4) != 0
    }

    /// The places of the chunk that begins at `base`, in the lowest bits.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn places(&self, bytes: &[u8], base: usize) -> u16 {
        let left = rest(bytes, base);
        if !LANES {
            return self.one_by_one(bytes::upto(left, 16));
        }
        if let Some(chunk) = left.first_chunk::<16>() {
            return lanes::places(chunk, &self.low, &self.top);
        }
        if let Some(last) = bytes.last_chunk::<16>() {
            // What it has more than is left was looked at before.
            let before = u32::try_from(left.len()).map_or(16, |left| 16_u32.saturating_sub(left));
            let all = lanes::places(last, &self.low, &self.top);
            return all.checked_shr(before).unwrap_or(0);
        }
        self.one_by_one(left)
    }

    fn one_by_one(&self, bytes: &[u8]) -> u16 {
        let backwards = bytes.iter().rev();
        backwards.fold(0, |all, &byte| (all << 1) | u16::from(self.has(byte)))
    }
}

/// The places of a set in a text, asked for in ascending order.
#[derive(Debug)]
pub(super) struct Places<'a> {
    bytes: &'a [u8],
    set: &'static Set,
    /// Where the chunk begins that was looked at last, and its places.
    base: usize,
    here: u16,
    /// Where it ends.
    end: usize,
}

impl<'a> Places<'a> {
    pub(super) const fn of(bytes: &'a [u8], set: &'static Set) -> Self {
        Self {
            bytes,
            set,
            base: 0,
            here: 0,
            end: 0,
        }
    }
}

impl Places<'_> {
    /// The first at or after `at`, which is never before what was asked for or found last.
    pub(super) fn from(&mut self, at: usize) -> Option<usize> {
        if at >= self.end {
            return self.search(at);
        }
        let here = self.here & u16::MAX.wrapping_shl(low(at.saturating_sub(self.base)));
        if here == 0 {
            return self.search(self.end);
        }
        Some(self.base.saturating_add(first(here)))
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn search(&mut self, at: usize) -> Option<usize> {
        if !LANES {
            let set = self.set;
            let step = rest(self.bytes, at)
                .iter()
                .position(|&byte| set.has(byte))?;
            self.base = at.saturating_add(step);
            (self.here, self.end) = (1, self.base.saturating_add(1));
            return Some(self.base);
        }
        let Set { low, top } = self.set;
        (self.base, self.here) = lanes::search(self.bytes, at, low, top);
        if self.here == 0 {
            self.here = self.set.places(self.bytes, self.base);
        }
        self.end = self.base.saturating_add(16);
        (self.here != 0).then(|| self.base.saturating_add(first(self.here)))
    }
}

/// Where words of one set begin, and where bytes of another stand.
#[derive(Debug)]
pub(super) struct Leads<'a> {
    bytes: &'a [u8],
    /// Bytes of words.
    inner: &'static Set,
    signs: &'static Set,
    base: usize,
    here: u16,
    /// The last byte looked at belongs to a word.
    within: bool,
}

impl<'a> Leads<'a> {
    /// The sets have no byte in common.
    pub(super) const fn of(bytes: &'a [u8], inner: &'static Set, signs: &'static Set) -> Self {
        Self {
            bytes,
            inner,
            signs,
            base: usize::MAX,
            here: 0,
            within: false,
        }
    }

    /// Looks at the next chunk.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn advance(&mut self) {
        self.base = self
            .base
            .wrapping_add(if self.base == usize::MAX { 1 } else { 16 });
        let inner = self.inner.places(self.bytes, self.base);
        let starts = inner & !((inner << 1) | u16::from(self.within));
        self.within = inner >> 15 != 0;
        self.here = starts | self.signs.places(self.bytes, self.base);
    }
}

impl Iterator for Leads<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.here == 0 {
            self.advance();
            if self.base >= self.bytes.len() {
                return None;
            }
        }
        let at = first(self.here);
        self.here &= self.here.wrapping_sub(1);
        Some(self.base.saturating_add(at))
    }
}

/// The lowest place.
#[expect(clippy::as_conversions, reason = "at most 16")]
const fn first(places: u16) -> usize {
    places.trailing_zeros() as usize
}

/// A number below 16.
fn low(number: usize) -> u32 {
    u32::try_from(number & 15).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Leads, Places, Set};

    static SIGNS: Set = Set::of(b"\t\n<>&;@`/\\{|\xC0\xC1\xE0\xEF\xF0");
    static INNER: Set = Set::of(b"_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    fn all(bytes: &[u8], step: usize) -> Vec<usize> {
        let mut places = Places::of(bytes, &SIGNS);
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(place) = places.from(at) {
            found.push(place);
            at = place.saturating_add(step);
        }
        found
    }

    #[test]
    fn a_set_has_its_bytes_and_no_other() {
        for byte in 0..=255_u8 {
            let sign = b"\t\n<>&;@`/\\{|\xC0\xC1\xE0\xEF\xF0".contains(&byte);
            assert_eq!(SIGNS.has(byte), sign, "{byte:#x}");
            let inner = byte.is_ascii_alphanumeric() || byte == b'_';
            assert_eq!(INNER.has(byte), inner, "{byte:#x}");
        }
    }

    #[test]
    fn every_byte_is_found_at_every_place() {
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 50] {
            let mut bytes = vec![b'a'; length];
            assert!(all(&bytes, 1).is_empty());
            for at in 0..length {
                for byte in 0..=255 {
                    bytes[at] = byte;
                    let wanted: &[usize] = if SIGNS.has(byte) { &[at] } else { &[] };
                    assert_eq!(all(&bytes, 1), wanted, "{byte:#x} at {at} of {length}");
                }
                bytes[at] = b'a';
            }
        }
    }

    #[test]
    fn places_are_found_from_any_position() {
        for length in 0..70_usize {
            let bytes: Vec<u8> = (0..length)
                .map(|at| if at * at % 7 < 3 { b'<' } else { b'b' })
                .collect();
            for step in 1..40 {
                let mut wanted = Vec::new();
                let mut at = 0;
                while let Some(more) = bytes.iter().skip(at).position(|&byte| byte == b'<') {
                    wanted.push(at + more);
                    at += more + step;
                }
                assert_eq!(all(&bytes, step), wanted, "{length} by {step}");
            }
        }
    }

    #[test]
    fn words_begin_where_they_begin() {
        for length in 0..70_usize {
            for every in 1..20 {
                let bytes: Vec<u8> = (0..length)
                    .map(|at| match at % every {
                        0 => b' ',
                        1 if at % 3 == 0 => b'<',
                        _ => b'x',
                    })
                    .collect();
                let wanted: Vec<usize> = (0..length)
                    .filter(|&at| {
                        bytes[at] == b'<' || bytes[at] == b'x' && (at == 0 || bytes[at - 1] != b'x')
                    })
                    .collect();
                let found: Vec<usize> = Leads::of(&bytes, &INNER, &SIGNS).collect();
                assert_eq!(found, wanted, "{length} {every}");
            }
        }
    }
}
