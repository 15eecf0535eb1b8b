//! Prefix codes of Brotli.
//!
//! **In:** bits of an attacker. **Out:** codes, and the symbols that they stand for.
//! **Invariant:** a code is complete, or of one symbol and no bit; a symbol is one of the alphabet.
//! **Source:** RFC 7932 §3.
//! **Cost:** building: the symbols that occur and a table of at most 256 entries; a run of zeros is one step. Reading: one look-up, or
//! one step for each bit of a long code.

use alloc::vec::Vec;

use crate::inflate::{Bits, Fault, MAX_BITS};

/// Bits that one look-up decodes at most.
const QUICK: usize = 8;
/// A code that is longer than the look-up.
const LONGER: u16 = u16::MAX;

/// Tables of all codes of a meta-block, and what is at hand while one is built.
#[derive(Debug, Default)]
pub(super) struct Store {
    tables: Vec<u16>,
    /// Symbols that occur with the lengths of their codes.
    used: Vec<(u16, u8)>,
}

impl Store {
    pub(super) fn clear(&mut self) {
        self.tables.clear();
    }
}

/// A code: where its tables stand.
#[derive(Debug, Clone)]
pub(super) struct Code {
    /// By the next bits: the symbol above, its length in the lowest four bits. Behind them the symbols by length, then by value.
    at: usize,
    /// As many entries as the look-up has.
    entries: usize,
    /// How many codes there are of each length.
    counts: [u16; MAX_BITS + 1],
}

impl Code {
    /// From `store.used`, where symbols of one length stand in their order.
    fn new(store: &mut Store) -> Result<Self, Fault> {
        let mut counts = [0_u16; MAX_BITS + 1];
        let mut longest = 0;
        for (_, length) in &store.used {
            let length = usize::from(*length);
            longest = longest.max(length);
            if let Some(count) = counts.get_mut(length) {
                *count = count.saturating_add(1);
            }
        }
        if let Some(none) = counts.first_mut() {
            *none = 0;
        }
        let bits = u32::try_from(longest.min(QUICK)).unwrap_or(0);
        let entries = 1_usize.wrapping_shl(bits);
        let at = store.tables.len();
        let room = entries.saturating_add(store.used.len());
        store.tables.extend(core::iter::repeat_n(LONGER, room));
        let tables = store.tables.get_mut(at..).unwrap_or_default();
        let (quick, symbols) = tables
            .split_at_mut_checked(entries)
            .ok_or(Fault::Malformed)?;
        // First code and first place of each length.
        let mut next = [(0_u16, 0_u16); MAX_BITS + 1];
        let (mut first, mut place) = (0_u16, 0_u16);
        for (count, next) in counts.iter().zip(next.iter_mut()).skip(1) {
            first = first.wrapping_shl(1);
            *next = (first, place);
            first = first.wrapping_add(*count);
            place = place.wrapping_add(*count);
        }
        for (symbol, length) in &store.used {
            let Some((first, place)) = next.get_mut(usize::from(*length)) else {
                return Err(Fault::Malformed);
            };
            if let Some(slot) = symbols.get_mut(usize::from(*place)) {
                *slot = *symbol;
            }
            let bits = u32::from(*length);
            let mut index = match bits {
                0 => 0,
                bits => usize::from(first.reverse_bits().wrapping_shr(16_u32.wrapping_sub(bits))),
            };
            if usize::from(*length) <= QUICK {
                while let Some(slot) = quick.get_mut(index) {
                    *slot = symbol.wrapping_shl(4) | u16::from(*length);
                    index = index.wrapping_add(1_usize.wrapping_shl(bits));
                }
            }
            *first = first.wrapping_add(1);
            *place = place.wrapping_add(1);
        }
        Ok(Self {
            at,
            entries,
            counts,
        })
    }

    /// The next symbol.
    pub(super) fn next(&self, bits: &mut Bits<'_>, store: &Store) -> Result<usize, Fault> {
        let index = usize::from(bits.peek()) & self.entries.wrapping_sub(1);
        let entry = store.tables.get(self.at.wrapping_add(index));
        let entry = *entry.ok_or(Fault::Malformed)?;
        if entry != LONGER {
            bits.skip(u32::from(entry & 15))?;
            return Ok(usize::from(entry.wrapping_shr(4)));
        }
        let place = bits.long_code(&self.counts)?;
        let at = self.at.wrapping_add(self.entries).wrapping_add(place);
        let symbol = store.tables.get(at).copied();
        symbol.map(usize::from).ok_or(Fault::Malformed)
    }
}

/// Reads a code of an alphabet of so many symbols, and tells how many steps it took to build.
pub(super) fn read(
    bits: &mut Bits<'_>,
    symbols: usize,
    store: &mut Store,
) -> Result<(Code, usize), Fault> {
    store.used.clear();
    match bits.take_long(2)? {
        1 => simple(bits, symbols, store)?,
        skipped => complex(bits, symbols, skipped, store)?,
    }
    let code = Code::new(store)?;
    let steps = code
        .entries
        .saturating_add(store.used.len())
        .saturating_add(16);
    Ok((code, steps))
}

/// One to four symbols, named.
fn simple(bits: &mut Bits<'_>, symbols: usize, store: &mut Store) -> Result<(), Fault> {
    let count = bits.take_long(2)?.wrapping_add(1);
    let highest = u32::try_from(symbols).unwrap_or(0).saturating_sub(1);
    let width = 32_u32.saturating_sub(highest.leading_zeros());
    let mut named = [0_u16; 4];
    for slot in named.iter_mut().zip(0..count) {
        let symbol = bits.take_long(width)?;
        if symbol > highest {
            return Err(Fault::Malformed);
        }
        *slot.0 = u16::try_from(symbol).unwrap_or(0);
    }
    let [a, b, c, d] = named;
    let ordered = |one: u16, other: u16| (one.min(other), one.max(other));
    let (b_or_c, c_or_b) = ordered(b, c);
    let alike = match count {
        1 => false,
        2 => a == b,
        3 => a == b || a == c || b == c,
        _ => a == b || a == c || a == d || b == c || b == d || c == d,
    };
    if alike {
        return Err(Fault::Malformed);
    }
    match count {
        1 => store.used.push((a, 0)),
        2 => {
            let (low, high) = ordered(a, b);
            store.used.extend([(low, 1), (high, 1)]);
        }
        3 => store.used.extend([(a, 1), (b_or_c, 2), (c_or_b, 2)]),
        _ if bits.take_long(1)? == 1 => {
            let (low, high) = ordered(c, d);
            store.used.extend([(a, 1), (b, 2), (low, 3), (high, 3)]);
        }
        _ => {
            let ((a, b), (c, d)) = (ordered(a, b), ordered(c, d));
            let ((a, c), (b, d)) = (ordered(a, c), ordered(b, d));
            let (b, c) = ordered(b, c);
            store.used.extend([(a, 2), (b, 2), (c, 2), (d, 2)]);
        }
    }
    Ok(())
}

/// The lengths of all symbols, in a code that comes first.
fn complex(
    bits: &mut Bits<'_>,
    symbols: usize,
    skipped: u32,
    store: &mut Store,
) -> Result<(), Fault> {
    const ORDER: [u8; 18] = [1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    // By four bits: a length, and how many of the bits say it.
    const LENGTHS: [(u8, u32); 16] = [
        (0, 2),
        (4, 2),
        (3, 2),
        (2, 3),
        (0, 2),
        (4, 2),
        (3, 2),
        (1, 4),
        (0, 2),
        (4, 2),
        (3, 2),
        (2, 3),
        (0, 2),
        (4, 2),
        (3, 2),
        (5, 4),
    ];
    let mut lengths = [0_u8; 18];
    let (mut room, mut given) = (32_u32, 0_u32);
    let skipped = usize::try_from(skipped).unwrap_or(0);
    for place in ORDER.iter().skip(skipped) {
        if room == 0 {
            break;
        }
        let entry = LENGTHS.get(usize::from(bits.peek() & 15)).copied();
        let (length, width) = entry.unwrap_or_default();
        bits.skip(width)?;
        if length != 0 {
            if let Some(slot) = lengths.get_mut(usize::from(*place)) {
                *slot = length;
            }
            given = given.wrapping_add(1);
            let taken = 32_u32.wrapping_shr(u32::from(length));
            room = room.checked_sub(taken).ok_or(Fault::Malformed)?;
        }
    }
    if given != 1 && room != 0 {
        return Err(Fault::Malformed);
    }
    for (symbol, length) in (0..18_u16).zip(lengths) {
        if length != 0 {
            // One symbol takes no bit.
            let length = if given == 1 { 0 } else { length };
            store.used.push((symbol, length));
        }
    }
    let code = Code::new(store)?;
    store.used.clear();

    let (mut symbol, mut room) = (0_usize, 32_768_u32);
    // The last length that was not zero; the length that is being repeated and how often it was so far.
    let (mut last, mut repeated, mut times) = (8_u8, 0_u8, 0_usize);
    while symbol < symbols && room > 0 {
        let [read, ..] = code.next(bits, store)?.to_le_bytes();
        let (length, count) = if read < 16 {
            times = 0;
            if read != 0 {
                last = read;
            }
            (read, 1)
        } else {
            let (length, extra) = if read == 16 { (last, 2) } else { (0, 3) };
            if length != repeated {
                repeated = length;
                times = 0;
            }
            // One repetition behind another multiplies it.
            let before = times;
            if times > 0 {
                times = times.saturating_sub(2).wrapping_shl(extra);
            }
            let more = usize::try_from(bits.take_long(extra)?).unwrap_or(0);
            times = times.saturating_add(more).saturating_add(3);
            (length, times.saturating_sub(before))
        };
        if count > symbols.saturating_sub(symbol) {
            return Err(Fault::Malformed);
        }
        if length == 0 {
            symbol = symbol.saturating_add(count);
            continue;
        }
        let taken = 32_768_u32.wrapping_shr(u32::from(length));
        for _ in 0..count {
            room = room.checked_sub(taken).ok_or(Fault::Malformed)?;
            store
                .used
                .push((u16::try_from(symbol).unwrap_or(0), length));
            symbol = symbol.saturating_add(1);
        }
    }
    if room == 0 {
        Ok(())
    } else {
        Err(Fault::Malformed)
    }
}
