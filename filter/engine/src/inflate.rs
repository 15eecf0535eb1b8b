//! What a compressed body says: DEFLATE, bare or in the wrapping of gzip or zlib, and the door to Brotli.
//!
//! **In:** bytes of an attacker and a bound. **Out:** what they stand for, or how far it got and why it ended there.
//! **Invariant:** never more than the bound is written, nothing is allocated ahead of what was read; bytes behind the end are a fault, as
//! another reader might take them for the message. Checksums are not compared: what is inspected is what any reader sees.
//! **Source:** RFC 1951, RFC 1950 §2.2, RFC 1952 §2.3.
//! **Cost:** linear in input and output; a few dozen instructions a byte. Codes cost far more than the bits that demand them: they are paid
//! from the step budget, as symbols are.

use alloc::vec::Vec;

use crate::brotli;

/// How a message is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: in zlib's wrapping, as RFC 9110 says, or bare, as some clients do.
    Deflate,
    /// `br`.
    Brotli,
}

/// Why inflating ended early. What was read until then stands in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not compressed in this way.
    Malformed,
    /// The input ended too soon.
    Truncated,
    /// More than the bound would be written.
    TooLong,
    /// It would cost more than the steps that are left.
    Spent,
}

/// Undoes a coding, at most `most` bytes, for at most `steps` (of some 100 instructions).
///
/// # Errors
/// See [`Fault`].
pub fn inflate(
    coding: Coding,
    input: &[u8],
    most: usize,
    steps: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    out.clear();
    let mut left = input;
    let mut fixed = None;
    match coding {
        Coding::Brotli => brotli::decode(input, most, steps, out),
        Coding::Gzip => {
            // Members follow one another.
            loop {
                pay(steps, 8)?;
                let mut bits = Bits::new(gzip_header(left)?);
                blocks(&mut bits, &mut fixed, most, steps, out)?;
                left = bits.rest().get(8..).ok_or(Fault::Truncated)?;
                if left.is_empty() {
                    return Ok(());
                }
            }
        }
        Coding::Deflate => {
            let wrapped = match left {
                [method, flags, ..] => {
                    let check = u16::from_be_bytes([*method, *flags]);
                    method & 0x0F == 8 && check.wrapping_rem(31) == 0 && flags & 0x20 == 0
                }
                _ => false,
            };
            if wrapped {
                left = left.get(2..).unwrap_or_default();
            }
            let mut bits = Bits::new(left);
            blocks(&mut bits, &mut fixed, most, steps, out)?;
            let tail = if wrapped {
                bits.rest().get(4..).ok_or(Fault::Truncated)?
            } else {
                bits.rest()
            };
            if tail.is_empty() {
                Ok(())
            } else {
                Err(Fault::Malformed)
            }
        }
    }
}

/// Pays for what is done, or ends.
pub(crate) fn pay(steps: &mut u64, count: usize) -> Result<(), Fault> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    *steps = steps.saturating_sub(count);
    if *steps == 0 {
        Err(Fault::Spent)
    } else {
        Ok(())
    }
}

/// Over the header of a member.
fn gzip_header(input: &[u8]) -> Result<&[u8], Fault> {
    let [0x1F, 0x8B, 8, flags, _, _, _, _, _, _, left @ ..] = input else {
        return Err(if input.len() < 10 {
            Fault::Truncated
        } else {
            Fault::Malformed
        });
    };
    if flags & 0xE0 != 0 {
        return Err(Fault::Malformed);
    }
    let mut left = left;
    if flags & 4 != 0 {
        let [low, high, after @ ..] = left else {
            return Err(Fault::Truncated);
        };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        left = after.get(length..).ok_or(Fault::Truncated)?;
    }
    // The file's name and a comment end with a zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = left.iter().position(|&byte| byte == 0);
            let end = end.ok_or(Fault::Truncated)?;
            left = left
                .get(end..)
                .and_then(|left| left.get(1..))
                .ok_or(Fault::Truncated)?;
        }
    }
    if flags & 2 != 0 {
        left = left.get(2..).ok_or(Fault::Truncated)?;
    }
    Ok(left)
}

/// Bits, lowest first.
pub(crate) struct Bits<'a> {
    left: &'a [u8],
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(crate) const fn new(left: &'a [u8]) -> Self {
        Self {
            left,
            held: 0,
            count: 0,
        }
    }

    /// Holds 48 bits or all that is left.
    fn fill(&mut self) {
        while self.count < 48
            && let Some((&byte, left)) = self.left.split_first()
        {
            self.held |= u64::from(byte).wrapping_shl(self.count);
            self.count = self.count.wrapping_add(8);
            self.left = left;
        }
    }

    /// The next 16, with zeros behind the end.
    pub(crate) fn peek(&mut self) -> u16 {
        self.fill();
        let [low, high, ..] = self.held.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    pub(crate) fn skip(&mut self, count: u32) -> Result<(), Fault> {
        if self.count < count {
            return Err(Fault::Truncated);
        }
        self.held = self.held.wrapping_shr(count);
        self.count = self.count.wrapping_sub(count);
        Ok(())
    }

    /// A prefix code a bit at a time, by how many codes there are of each length (RFC 1951 §3.2.2): its place among all of them, by
    /// length and value.
    pub(crate) fn long_code(&mut self, counts: &[u16; MAX_BITS + 1]) -> Result<usize, Fault> {
        let mut window = self.peek();
        let (mut code, mut first, mut place) = (0_u16, 0_u16, 0_u16);
        let mut length = 0_u32;
        for count in counts.iter().skip(1) {
            length = length.wrapping_add(1);
            code |= window & 1;
            window = window.wrapping_shr(1);
            let offset = code.wrapping_sub(first);
            if offset < *count {
                self.skip(length)?;
                return Ok(usize::from(place.wrapping_add(offset)));
            }
            first = first.wrapping_add(*count).wrapping_shl(1);
            place = place.wrapping_add(*count);
            code = code.wrapping_shl(1);
        }
        Err(if self.count < length {
            Fault::Truncated
        } else {
            Fault::Malformed
        })
    }

    /// At most 16 bits.
    fn take(&mut self, count: u32) -> Result<u16, Fault> {
        let [low, high, ..] = self.take_long(count)?.to_le_bytes();
        Ok(u16::from_le_bytes([low, high]))
    }

    /// At most 32 bits.
    pub(crate) fn take_long(&mut self, count: u32) -> Result<u32, Fault> {
        self.fill();
        let mask = 1_u64.wrapping_shl(count).wrapping_sub(1);
        let [a, b, c, d, ..] = (self.held & mask).to_le_bytes();
        self.skip(count)?;
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    /// The bytes from the next whole one on.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.left
    }

    /// Goes on there, once aligned.
    pub(crate) fn restart(&mut self, left: &'a [u8]) {
        self.left = left;
    }

    /// How many bits are left of the byte that is being read.
    pub(crate) fn unaligned(&self) -> u32 {
        self.count & 7
    }

    /// Gives back the whole bytes that are held. What is given back was read from just before `left`.
    pub(crate) fn align(&mut self, input: &'a [u8]) {
        let held = usize::try_from(self.count.wrapping_shr(3)).unwrap_or(0);
        let at = input
            .len()
            .saturating_sub(self.left.len())
            .saturating_sub(held);
        self.left = input.get(at..).unwrap_or_default();
        self.held = 0;
        self.count = 0;
    }
}

/// Bits that one look-up decodes; longer codes are rare.
const QUICK: u32 = 9;
const QUICK_SIZE: usize = 1 << QUICK;
pub(crate) const MAX_BITS: usize = 15;

/// A Huffman code.
struct Code {
    /// By the next [`QUICK`] bits: the symbol above, its length in the lowest four bits; 0: a longer code.
    quick: [u16; QUICK_SIZE],
    /// How many codes there are of each length.
    counts: [u16; MAX_BITS + 1],
    /// Symbols by length, then by value.
    symbols: [u16; 288],
}

impl Code {
    /// Lengths of at most 288 symbols; 0: the symbol does not occur.
    fn new(lengths: &[u8]) -> Result<Self, Fault> {
        let mut code = Self {
            quick: [0; QUICK_SIZE],
            counts: [0; MAX_BITS + 1],
            symbols: [0; 288],
        };
        for length in lengths {
            if let Some(count) = code.counts.get_mut(usize::from(*length)) {
                *count = count.saturating_add(1);
            }
        }
        if let Some(none) = code.counts.first_mut() {
            *none = 0;
        }
        // First code and first place of each length.
        let mut next = [(0_u16, 0_u16); MAX_BITS + 1];
        let (mut first, mut place, mut room) = (0_u16, 0_u16, 1_u32);
        for (count, next) in code.counts.iter().zip(next.iter_mut()).skip(1) {
            first = first.wrapping_shl(1);
            room = room.wrapping_shl(1);
            *next = (first, place);
            room = room
                .checked_sub(u32::from(*count))
                .ok_or(Fault::Malformed)?;
            first = first.wrapping_add(*count);
            place = place.wrapping_add(*count);
        }
        for (symbol, length) in (0..288_u16).zip(lengths) {
            if *length == 0 {
                continue;
            }
            let Some((first, place)) = next.get_mut(usize::from(*length)) else {
                return Err(Fault::Malformed);
            };
            if let Some(slot) = code.symbols.get_mut(usize::from(*place)) {
                *slot = symbol;
            }
            let bits = u32::from(*length);
            if bits <= QUICK {
                let mut at =
                    usize::from(first.reverse_bits().wrapping_shr(16_u32.wrapping_sub(bits)));
                while let Some(slot) = code.quick.get_mut(at) {
                    *slot = symbol.wrapping_shl(4) | u16::from(*length);
                    at = at.wrapping_add(1_usize.wrapping_shl(bits));
                }
            }
            *first = first.wrapping_add(1);
            *place = place.wrapping_add(1);
        }
        Ok(code)
    }

    fn next(&self, bits: &mut Bits<'_>) -> Result<u16, Fault> {
        let window = bits.peek();
        let quick = self.quick.get(usize::from(window) & (QUICK_SIZE - 1));
        if let Some(&entry) = quick.filter(|entry| **entry != 0) {
            bits.skip(u32::from(entry & 15))?;
            return Ok(entry.wrapping_shr(4));
        }
        let place = bits.long_code(&self.counts)?;
        self.symbols.get(place).copied().ok_or(Fault::Malformed)
    }
}

/// Steps of the codes that a block brings.
const OWN_CODES: usize = 128;
/// Steps of a block whatever stands in it.
const BLOCK: usize = 2;

/// The codes of blocks that bring none.
fn fixed_codes() -> Result<(Code, Code), Fault> {
    let mut lengths = [8_u8; 288];
    for (symbol, length) in (0..288_u16).zip(lengths.iter_mut()) {
        *length = match symbol {
            144..=255 => 9,
            256..=279 => 7,
            _ => 8,
        };
    }
    Ok((Code::new(&lengths)?, Code::new(&[5; 30])?))
}

/// All blocks; afterwards `bits.rest()` is what stands behind them.
fn blocks(
    bits: &mut Bits<'_>,
    fixed: &mut Option<(Code, Code)>,
    most: usize,
    steps: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let input = bits.left;
    let start = out.len();
    loop {
        pay(steps, BLOCK)?;
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.align(input);
                let [low, high, low_not, high_not, left @ ..] = bits.left else {
                    return Err(Fault::Truncated);
                };
                let length = u16::from_le_bytes([*low, *high]);
                if length != !u16::from_le_bytes([*low_not, *high_not]) {
                    return Err(Fault::Malformed);
                }
                let length = usize::from(length);
                let stored = left.get(..length).unwrap_or(left);
                let room = most.saturating_sub(out.len());
                out.extend_from_slice(stored.get(..room).unwrap_or(stored));
                if stored.len() > room {
                    return Err(Fault::TooLong);
                }
                bits.left = left.get(length..).ok_or(Fault::Truncated)?;
            }
            1 => {
                // Ten bits may ask for them again: they are built once a message.
                let (literals, distances) = match fixed {
                    Some(codes) => codes,
                    None => {
                        pay(steps, OWN_CODES)?;
                        fixed.insert(fixed_codes()?)
                    }
                };
                symbols(bits, (literals, distances), start, most, steps, out)?;
            }
            2 => {
                pay(steps, OWN_CODES)?;
                let (literals, distances) = codes(bits)?;
                symbols(bits, (&literals, &distances), start, most, steps, out)?;
            }
            _ => return Err(Fault::Malformed),
        }
        if last {
            bits.align(input);
            return Ok(());
        }
    }
}

/// The codes of a block that brings its own.
fn codes(bits: &mut Bits<'_>) -> Result<(Code, Code), Fault> {
    const ORDER: [u8; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let literals = usize::from(bits.take(5)?).saturating_add(257);
    let distances = usize::from(bits.take(5)?).saturating_add(1);
    let given = usize::from(bits.take(4)?).saturating_add(4);
    if literals > 286 || distances > 30 {
        return Err(Fault::Malformed);
    }
    let mut lengths = [0_u8; 320];
    for place in ORDER.iter().take(given) {
        let [length, _] = bits.take(3)?.to_le_bytes();
        if let Some(slot) = lengths.get_mut(usize::from(*place)) {
            *slot = length;
        }
    }
    let code = Code::new(lengths.get(..19).unwrap_or_default())?;
    let wanted = literals.saturating_add(distances);
    lengths = [0; 320];
    let (mut at, mut before) = (0_usize, 0_u8);
    while at < wanted {
        let symbol = code.next(bits)?;
        let (length, times) = match symbol {
            0..=15 => (symbol.to_le_bytes()[0], 1),
            16 if at == 0 => return Err(Fault::Malformed),
            16 => (before, bits.take(2)?.wrapping_add(3)),
            17 => (0, bits.take(3)?.wrapping_add(3)),
            _ => (0, bits.take(7)?.wrapping_add(11)),
        };
        before = length;
        for _ in 0..times {
            if at >= wanted {
                return Err(Fault::Malformed);
            }
            if let Some(slot) = lengths.get_mut(at) {
                *slot = length;
            }
            at = at.saturating_add(1);
        }
    }
    let (of_literals, rest) = lengths.split_at_checked(literals).unwrap_or_default();
    let of_distances = rest.get(..distances).unwrap_or_default();
    Ok((Code::new(of_literals)?, Code::new(of_distances)?))
}

/// Base and extra bits of lengths from symbol 257 on.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// The same of distances.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// The symbols of one block. A copy reaches no further back than `start`.
fn symbols(
    bits: &mut Bits<'_>,
    (literals, distances): (&Code, &Code),
    start: usize,
    most: usize,
    steps: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    loop {
        pay(steps, 1)?;
        let symbol = literals.next(bits)?;
        if symbol < 256 {
            if out.len() >= most {
                return Err(Fault::TooLong);
            }
            out.push(symbol.to_le_bytes()[0]);
            continue;
        }
        if symbol == 256 {
            return Ok(());
        }
        let length = number(bits, &LENGTHS, symbol.wrapping_sub(257))?;
        let distance = distances.next(bits)?;
        let distance = number(bits, &DISTANCES, distance)?;
        let from = out
            .len()
            .checked_sub(distance)
            .filter(|from| *from >= start);
        let mut from = from.ok_or(Fault::Malformed)?;
        for _ in 0..length {
            if out.len() >= most {
                return Err(Fault::TooLong);
            }
            out.push(out.get(from).copied().unwrap_or(0));
            from = from.wrapping_add(1);
        }
    }
}

fn number(bits: &mut Bits<'_>, table: &[(u16, u8)], symbol: u16) -> Result<usize, Fault> {
    let &(base, extra) = table.get(usize::from(symbol)).ok_or(Fault::Malformed)?;
    let extra = bits.take(u32::from(extra))?;
    Ok(usize::from(base).saturating_add(usize::from(extra)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::MAX_STEPS;
    use crate::testing::Random;

    const TEXT: &str = "{\"q\":\"1 union select password from users -- \"}";
    const GZIP: &str = "1f8b0800000000000203ab562a54b252325428cdcbcccf53284ecd494d2e5128482c2e2ecf2f4a51482bcacf55282d4e2d2a56d0d55550aa0500c418de852e000000";
    const ZLIB: &str = "78daab562a54b252325428cdcbcccf53284ecd494d2e5128482c2e2ecf2f4a51482bcacf55282d4e2d2a56d0d55550aa05006d980f99";
    const STORED: &str = "012e00d1ff7b2271223a223120756e696f6e2073656c6563742070617373776f72642066726f6d207573657273202d2d20227d";
    const BARE: &str = "ab562a54b252325428cdcbcccf53284ecd494d2e5128482c2e2ecf2f4a51482bcacf55282d4e2d2a56d0d55550aa0500";
    /// A block with codes of its own, and long copies.
    const CODES: &str = "75d3414e03310c85e13da7c80158c4769249380ea8a85505155004c7ef66fc66f5af6d59f667bbbe94fbf954be7e2f6f\
        d7f2fa7dfbfb2cefb7ffe752cbfdf271fa793288db1e7788b73d1e105f7bbc51fdb1277448f0be270c4888acb0518bd9\
        c3848491432c4898a96095c6a88244495715c2b4969d58a0574e6348ba52c41055aa36d05d5508d6a77a21da704db470\
        7fba31d26dd275d26d4d55f05467f6e2a4db3d2772d2ed5bba38e90ee93ae98ea30ae96e472fa4bb1d13e1e9ca254877\
        49374877694781b75bb5eac0e3adba98c0eb351d5e747c2509c7c01cbd4110b185be2926ffa4e62264ebfaed07";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |digit: u8| char::from(digit).to_digit(16).unwrap().to_le_bytes()[0];
        let (pairs, _) = hex.as_bytes().as_chunks::<2>();
        let pairs = pairs.iter();
        pairs
            .map(|[high, low]| digit(*high) << 4 | digit(*low))
            .collect()
    }

    fn read(coding: Coding, input: &[u8], most: usize) -> (Result<(), Fault>, Vec<u8>) {
        let mut out = Vec::new();
        let result = inflate(coding, input, most, &mut { MAX_STEPS }, &mut out);
        assert!(out.len() <= most);
        (result, out)
    }

    #[test]
    fn messages_are_read() {
        let twice = [bytes(GZIP), bytes(GZIP)].concat();
        let counted: String = (0..40)
            .map(|n| format!("{n}: the quick brown fox, {} times\n", n * n))
            .collect();
        let cases = [
            (Coding::Gzip, bytes(GZIP), TEXT.to_owned()),
            (Coding::Gzip, twice, TEXT.repeat(2)),
            (Coding::Deflate, bytes(ZLIB), TEXT.to_owned()),
            (Coding::Deflate, bytes(BARE), TEXT.to_owned()),
            (Coding::Deflate, bytes(STORED), TEXT.to_owned()),
            (Coding::Deflate, bytes(CODES), counted),
        ];
        for (coding, input, expected) in cases {
            let most = expected.len();
            assert_eq!(
                read(coding, &input, most),
                (Ok(()), expected.clone().into_bytes())
            );
            let cut = expected.as_bytes()[..most - 1].to_vec();
            assert_eq!(read(coding, &input, most - 1), (Err(Fault::TooLong), cut));
        }
    }

    #[test]
    fn headers_of_gzip_are_skipped() {
        let plain = bytes(GZIP);
        let with = |flags: u8, extra: &[u8]| {
            let mut message = plain[..10].to_vec();
            message[3] = flags;
            message.extend_from_slice(extra);
            message.extend_from_slice(&plain[10..]);
            read(Coding::Gzip, &message, 1000).0
        };
        assert_eq!(with(4 + 8 + 16 + 2, b"\x02\x00xxname\0comment\0cc"), Ok(()));
        assert_eq!(with(8, b"a\0"), Ok(()));
        assert_eq!(with(0x20, b""), Err(Fault::Malformed));
        let endless = b"\x1f\x8b\x08\x08\0\0\0\0\0\0name";
        assert_eq!(read(Coding::Gzip, endless, 9).0, Err(Fault::Truncated));
    }

    #[test]
    fn what_is_cut_or_followed_by_more_is_a_fault() {
        for (coding, message) in [
            (Coding::Gzip, bytes(GZIP)),
            (Coding::Deflate, bytes(ZLIB)),
            (Coding::Deflate, bytes(CODES)),
        ] {
            for end in 0..message.len() {
                let (result, out) = read(coding, &message[..end], 4096);
                assert!(result.is_err(), "{end}");
                assert!(out.len() <= 4096);
            }
            let more = [&message[..], b"x"].concat();
            assert!(read(coding, &more, 4096).0.is_err());
        }
    }

    /// A kilobyte that says a megabyte: it stops at the bound.
    #[test]
    fn bombs_end_at_the_bound() {
        // One literal, then copies of 258 bytes from one byte back, in the fixed code: 285 is 11000101, distance 0 is 00000.
        let mut bits: Vec<bool> = vec![true, true, false];
        let mut code = |value: u16, length: u32| {
            for bit in (0..length).rev() {
                bits.push(value >> bit & 1 == 1);
            }
        };
        code(0x30 + 97, 8);
        for _ in 0..4000 {
            code(0b1100_0101, 8);
            code(0, 5);
        }
        code(0, 7);
        let message: Vec<u8> = bits
            .chunks(8)
            .map(|bits| (0..).zip(bits).map(|(at, bit)| u8::from(*bit) << at).sum())
            .collect();
        let all = 1 + 4000 * 258;
        let (result, out) = read(Coding::Deflate, &message, all);
        assert_eq!((result, out.len()), (Ok(()), all));
        assert_eq!(
            read(Coding::Deflate, &message, 131_072).0,
            Err(Fault::TooLong)
        );
    }

    #[test]
    fn any_bytes_end() {
        let mut random = Random::new(1);
        let mut input = bytes(CODES);
        for _ in 0..20_000 {
            let at = random.below(input.len());
            input[at] ^= 1 << random.below(8);
            let _ = read(Coding::Deflate, &input, 10_000);
        }
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                let _ = read(Coding::Deflate, &[first, second, 0xA5, first], 100);
                let _ = read(Coding::Gzip, &[0x1F, 0x8B, 8, first, second], 100);
            }
        }
    }

    #[test]
    fn an_encoders_messages_are_read() {
        use flate2::Compression;
        use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};
        use std::io::Read as _;
        let schema = include_bytes!("../policy.schema.json");
        let mut random = Random::new(7);
        let texts = [
            Vec::new(),
            b"a".to_vec(),
            TEXT.into(),
            schema.to_vec(),
            vec![b'a'; 70_000],
            b"abc".repeat(9_000),
            (0..20_000).map(|_| random.byte()).collect(),
        ];
        for text in texts {
            for level in 0..=9 {
                let level = Compression::new(level);
                let (mut bare, mut zlib, mut gzip) = (Vec::new(), Vec::new(), Vec::new());
                let text = text.as_slice();
                DeflateEncoder::new(text, level)
                    .read_to_end(&mut bare)
                    .unwrap();
                ZlibEncoder::new(text, level)
                    .read_to_end(&mut zlib)
                    .unwrap();
                GzEncoder::new(text, level).read_to_end(&mut gzip).unwrap();
                for (coding, message) in [
                    (Coding::Deflate, bare),
                    (Coding::Deflate, zlib),
                    (Coding::Gzip, gzip),
                ] {
                    let (result, out) = read(coding, &message, text.len());
                    assert_eq!(result, Ok(()), "{level:?} {coding:?} {}", text.len());
                    assert!(out == text, "{level:?} {coding:?} {}", text.len());
                }
            }
        }
    }
}
