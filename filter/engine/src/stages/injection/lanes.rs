//! Classes of sixteen bytes at a time.
//!
//! **In:** bytes. **Out:** the union of their class bits, as `bytes::class` gives them one by one.
//! **Invariant:** exact: [`PRODUCTS`] are sets of rows times columns of the code table, a bit each, so that two look-ups of 16
//! entries (one by the low half of a byte, one by the high half) tell eight of them; a test compares every byte at every place.
//! **Cost:** 20 vector operations for 16 bytes, whatever they are.

use vector::{Lanes, differ, equal, halves, load, or, told, tops};

use super::bytes::{
    AMP, ANGLE, BACKSLASH, BLANK, BRACE, CONTROL, DOLLAR, DOT, DOUBLE, HASH, HIGH, LINE, OPERATOR,
    PAREN, PERCENT, PIPE, PLUS, QUOTE, SCORE, SHELL, SINGLE, SLASH, STAR, TICK, WIDE,
};

/// Control bytes of the second row of the code table, and DEL.
const SECOND_ROW: u32 = 1 << 14;
const DEL: u32 = 1 << 15;
/// `=`, `?`; `^`.
const EQUALS: u32 = 1 << 18;
const CARET: u32 = 1 << 21;
/// `[`, `]`.
const SQUARE: u32 = 1 << 19;
/// 0xE0 and 0xF0; 0xEF.
const LEADS: u32 = 1 << 29;
const FULL: u32 = 1 << 30;

/// Bits that stand for a part of a class only.
const PARTS: u32 = SECOND_ROW | DEL | EQUALS | CARET | SQUARE | LEADS | FULL;

/// What a bit stands for: rows (high halves) and columns (low halves) of the code table, a bit each.
const PRODUCTS: [(u32, u16, u16); 31] = [
    (BLANK, 1 << 2, 1),
    (OPERATOR, 1 << 2, 1 << 1),
    (DOUBLE, 1 << 2, 1 << 2),
    (HASH, 1 << 2, 1 << 3),
    (DOLLAR, 1 << 2, 1 << 4),
    (PERCENT, 1 << 2, 1 << 5),
    (AMP, 1 << 2, 1 << 6),
    (SINGLE, 1 << 2, 1 << 7),
    (PAREN, 1 << 2, 0b11 << 8),
    (STAR, 1 << 2, 1 << 10),
    (PLUS, 1 << 2, 1 << 11),
    (DOT, 1 << 2, 1 << 14),
    (SLASH, 1 << 2, 1 << 15),
    (HIGH, 0xFF00, 0xFFFF),
    (SECOND_ROW, 1 << 1, 0xFFFF),
    (DEL, 1 << 7, 1 << 15),
    (SHELL, 1 << 3, 1 << 11),
    (ANGLE, 1 << 3, 0b101 << 12),
    (EQUALS, 1 << 3, 0b101 << 13),
    (SQUARE, 1 << 5, 0b101 << 11),
    (BACKSLASH, 1 << 5, 1 << 12),
    (CARET, 1 << 5, 1 << 14),
    (SCORE, 1 << 5, 1 << 15),
    (TICK, 1 << 6, 1),
    (BRACE, 1 << 7, 0b101 << 11),
    (PIPE, 1 << 7, 1 << 12),
    (LINE, 1, 0b1_1111 << 9),
    (CONTROL, 1, !(0b1_1111 << 9)),
    (WIDE, 1 << 12, 0b11),
    (LEADS, 0b11 << 14, 1),
    (FULL, 1 << 14, 1 << 15),
];

/// The tables of the bits `from..from + 8`: by the low half of a byte, or by its high half.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
const fn table(from: u32, is_high: bool) -> [u8; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < PRODUCTS.len() {
        let (bit, rows, columns) = PRODUCTS[index];
        let places = if is_high { rows } else { columns };
        let mut place = 0;
        while place < 16 {
            if places & (1 << place) != 0 {
                table[place] |= ((bit >> from) & 0xFF) as u8;
            }
            place += 1;
        }
        index += 1;
    }
    table
}

const LOW: [[u8; 16]; 4] = [
    table(0, false),
    table(8, false),
    table(16, false),
    table(24, false),
];
const TOP: [[u8; 16]; 4] = [
    table(0, true),
    table(8, true),
    table(16, true),
    table(24, true),
];

#[cfg(target_arch = "wasm32")]
mod vector {
    use core::arch::wasm32 as simd;

    pub(super) type Lanes = simd::v128;

    #[inline]
    #[target_feature(enable = "simd128")]
    pub(super) fn load(bytes: &[u8; 16]) -> Lanes {
        let both = u128::from_le_bytes(*bytes);
        let [low, high] =
            [both, both >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        simd::u64x2(low, high)
    }

    #[inline]
    #[target_feature(enable = "simd128")]
    pub(super) fn or(left: Lanes, right: Lanes) -> Lanes {
        simd::v128_or(left, right)
    }

    /// What the tables say of both halves of each byte.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub(super) fn told(bytes: Lanes, low: Lanes, top: Lanes) -> Lanes {
        let columns = simd::v128_and(bytes, simd::u8x16_splat(15));
        let rows = simd::u8x16_shr(bytes, 4);
        simd::v128_and(
            simd::u8x16_swizzle(low, columns),
            simd::u8x16_swizzle(top, rows),
        )
    }

    /// Where both have the same byte.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub(super) fn equal(left: Lanes, right: Lanes) -> Lanes {
        simd::u8x16_eq(left, right)
    }

    /// The top bit of each, the first one lowest.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub(super) fn tops(lanes: Lanes) -> u16 {
        simd::u8x16_bitmask(lanes)
    }

    /// What the bits differ in.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub(super) fn differ(left: Lanes, right: Lanes) -> Lanes {
        simd::v128_xor(left, right)
    }

    #[inline]
    #[target_feature(enable = "simd128")]
    pub(super) fn halves(lanes: Lanes) -> u64 {
        simd::u64x2_extract_lane::<0>(lanes) | simd::u64x2_extract_lane::<1>(lanes)
    }
}

/// The same without vectors.
#[cfg(not(target_arch = "wasm32"))]
mod vector {
    pub(super) type Lanes = [u8; 16];

    pub(super) const fn load(bytes: &[u8; 16]) -> Lanes {
        *bytes
    }

    pub(super) fn or(left: Lanes, right: Lanes) -> Lanes {
        (u128::from_le_bytes(left) | u128::from_le_bytes(right)).to_le_bytes()
    }

    pub(super) fn told(bytes: Lanes, low: Lanes, top: Lanes) -> Lanes {
        let of = |table: Lanes, place: u8| table.get(usize::from(place)).copied().unwrap_or(0);
        bytes.map(|byte| of(low, byte & 15) & of(top, byte >> 4))
    }

    pub(super) fn equal(left: Lanes, right: Lanes) -> Lanes {
        let mut same = [0; 16];
        for (same, (left, right)) in same.iter_mut().zip(left.iter().zip(&right)) {
            *same = if left == right { 0xFF } else { 0 };
        }
        same
    }

    pub(super) fn tops(lanes: Lanes) -> u16 {
        let lowest_last = lanes.iter().rev();
        lowest_last.fold(0, |all, lane| (all << 1) | u16::from(lane >> 7))
    }

    pub(super) fn differ(left: Lanes, right: Lanes) -> Lanes {
        (u128::from_le_bytes(left) ^ u128::from_le_bytes(right)).to_le_bytes()
    }

    pub(super) fn halves(lanes: Lanes) -> u64 {
        let (halves, _) = lanes.as_chunks::<8>();
        halves
            .iter()
            .fold(0, |all, half| all | u64::from_le_bytes(*half))
    }
}

/// The classes that a set of bits stands for.
const fn classed(bits: u32) -> u32 {
    const GROUPS: [(u32, u32); 6] = [
        (SINGLE | DOUBLE | TICK, QUOTE),
        (SQUARE | BRACE, PAREN),
        (EQUALS | CARET, OPERATOR),
        (PIPE, SHELL),
        (SECOND_ROW | DEL, CONTROL),
        (LEADS | FULL, WIDE),
    ];
    let mut all = bits & !PARTS;
    let mut left: &[(u32, u32)] = &GROUPS;
    while let [(group, class), after @ ..] = left {
        if bits & *group != 0 {
            all |= *class;
        }
        left = after;
    }
    all
}

/// Adds what the tables say of 16 bytes.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn add(all: &mut [Lanes; 4], chunk: &[u8; 16]) {
    let chunk = load(chunk);
    let [all_a, all_b, all_c, all_d] = all;
    let [low_a, low_b, low_c, low_d] = &LOW;
    let [top_a, top_b, top_c, top_d] = &TOP;
    *all_a = or(*all_a, told(chunk, load(low_a), load(top_a)));
    *all_b = or(*all_b, told(chunk, load(low_b), load(top_b)));
    *all_c = or(*all_c, told(chunk, load(low_c), load(top_c)));
    *all_d = or(*all_d, told(chunk, load(low_d), load(top_d)));
}

/// Whether `byte` stands in `bytes`.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(super) fn has(bytes: &[u8], byte: u8) -> bool {
    let (chunks, tail) = bytes.as_chunks::<16>();
    let wanted = load(&[byte; 16]);
    let mut all = load(&[0; 16]);
    for chunk in chunks {
        all = or(all, equal(load(chunk), wanted));
    }
    halves(all) != 0 || tail.contains(&byte)
}

/// Where the bytes of `chunk` stand of which both tables say something, a bit each: `low` by the low half of a byte, `top` by its high one.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(super) fn places(chunk: &[u8; 16], low: &[u8; 16], top: &[u8; 16]) -> u16 {
    let found = told(load(chunk), load(low), load(top));
    !tops(equal(found, load(&[0; 16])))
}

/// The first chunk at or after `from` where [`places`] finds something, and what; `from` of the first that is not whole when none does.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(super) fn search(bytes: &[u8], from: usize, low: &[u8; 16], top: &[u8; 16]) -> (usize, u16) {
    let (chunks, _) = bytes.get(from..).unwrap_or(&[]).as_chunks::<16>();
    let (low, top, none) = (load(low), load(top), load(&[0; 16]));
    let mut at = from;
    for chunk in chunks {
        let found = !tops(equal(told(load(chunk), low, top), none));
        if found != 0 {
            return (at, found);
        }
        at = at.saturating_add(16);
    }
    (at, 0)
}

/// Whether two texts of one length are the same.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    let (chunks, tail) = left.as_chunks::<16>();
    let (others, other) = right.as_chunks::<16>();
    let mut all = load(&[0; 16]);
    for (chunk, other) in chunks.iter().zip(others) {
        all = or(all, differ(load(chunk), load(other)));
    }
    left.len() == right.len() && halves(all) == 0 && tail == other
}

/// The classes of all bytes; `None` when they are fewer than 16.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(super) fn classes(bytes: &[u8]) -> Option<u32> {
    let (chunks, tail) = bytes.as_chunks::<16>();
    let last = bytes.last_chunk::<16>()?;
    let mut all = [load(&[0; 16]); 4];
    for chunk in chunks {
        add(&mut all, chunk);
    }
    // The last one overlaps with the one before.
    if !tail.is_empty() {
        add(&mut all, last);
    }
    let [all_a, all_b, all_c, all_d] = all;
    // Eight lanes each: four of the first two and four of the last two in one, then two of each, then one.
    let four = |low: u64, high: u64| {
        let folded = |lanes: u64| (lanes | (lanes >> 32)) & 0xFFFF_FFFF;
        folded(low) | (folded(high) << 32)
    };
    let two = |both: u64| (both | (both >> 16)) & 0x0000_FFFF_0000_FFFF;
    let low = two(four(halves(all_a), halves(all_c)));
    let high = two(four(halves(all_b), halves(all_d)));
    let one = |both: u64| (both | (both >> 8)) & 0x0000_00FF_0000_00FF;
    let both = one(low) | (one(high) << 8);
    let [a, b, _, _, c, d, _, _] = both.to_le_bytes();
    Some(classed(u32::from_le_bytes([a, b, c, d])))
}

#[cfg(test)]
mod tests {
    use super::{has, same};

    #[test]
    fn texts_are_the_same_when_every_byte_is() {
        for length in [0, 1, 15, 16, 17, 32, 40] {
            let one = vec![b'a'; length];
            assert!(same(&one, &one) && !same(&one, &vec![b'a'; length + 1]));
            for at in 0..length {
                let mut other = one.clone();
                other[at] = b'b';
                assert!(!same(&one, &other), "{at} of {length}");
            }
        }
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for length in [0, 1, 15, 16, 17, 32, 40] {
            let mut bytes = vec![b'a'; length];
            assert!(!has(&bytes, 0) && has(&bytes, b'a') == (length > 0));
            for at in 0..length {
                bytes[at] = 0;
                assert!(has(&bytes, 0), "{at} of {length}");
                bytes[at] = b'a';
            }
        }
    }
}
