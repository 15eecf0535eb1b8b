//! Brotli: what a body in `br` says.
//!
//! **In:** bytes of an attacker and a bound. **Out:** what they stand for, or how far it got and why it ended there.
//! **Invariant:** never more than the bound is written; a copy reaches no further back than the window that the message names; bytes
//! behind the end are a fault, and so are windows of more than 16 MiB, which no HTTP client may use.
//! **Source:** RFC 7932; the dictionary is that of the crate `brotli-decompressor`, all else is ours.
//! **Cost:** linear in input and output: a few dozen instructions a byte. What few bits can demand beyond that (codes, maps of contexts)
//! is paid from an allowance, [`ALLOWANCE`] and [`ALLOWANCE_PER_BYTE`]; it bounds memory, too.

mod codes;
#[cfg(test)]
mod tests;
mod words;

use alloc::vec::Vec;

use self::codes::{Code, Store};
use crate::inflate::{Bits, Fault, pay};

/// Steps that a message may make while it builds codes and maps: entries of tables, symbols, places moved.
const ALLOWANCE: usize = 1 << 16;
/// More of them for each of its bytes. What encoders write stays below.
const ALLOWANCE_PER_BYTE: usize = 32;

/// Of the allowance, what a step of the caller's budget is worth.
const ALLOWANCE_PER_STEP: usize = 16;

/// Undoes Brotli, at most `most` bytes, into `out`, for at most `steps`.
pub(crate) fn decode(
    input: &[u8],
    most: usize,
    steps: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let allowance = input
        .len()
        .saturating_mul(ALLOWANCE_PER_BYTE)
        .saturating_add(ALLOWANCE);
    let mut reader = Reader {
        bits: Bits::new(input),
        input,
        window: 0,
        most,
        start: out.len(),
        allowance,
        distances: [4, 11, 15, 16],
        word: Vec::new(),
        steps,
        out,
    };
    reader.window = reader.window_size()?;
    let mut store = Store::default();
    loop {
        let before = reader.allowance;
        let last = reader.block(&mut store);
        let made = before.saturating_sub(reader.allowance);
        let cost = made.wrapping_div(ALLOWANCE_PER_STEP);
        pay(reader.steps, cost.saturating_add(2))?;
        if last? {
            break;
        }
    }
    reader.align()?;
    if reader.bits.rest().is_empty() {
        Ok(())
    } else {
        Err(Fault::Malformed)
    }
}

struct Reader<'a, 'o> {
    bits: Bits<'a>,
    input: &'a [u8],
    /// How far a copy may reach back.
    window: usize,
    most: usize,
    /// Where the message begins in `out`.
    start: usize,
    /// What is left of the allowance.
    allowance: usize,
    /// The last four, the latest first.
    distances: [usize; 4],
    /// A word of the dictionary.
    word: Vec<u8>,
    /// Steps of the caller.
    steps: &'o mut u64,
    out: &'o mut Vec<u8>,
}

/// Blocks of one kind of symbols within a meta-block.
struct Blocks {
    /// How many types there are.
    types: usize,
    /// Codes of the next type and length; `None`: there is one type, and it never ends.
    codes: Option<(Code, Code)>,
    current: usize,
    before: usize,
    left: usize,
}

impl Reader<'_, '_> {
    fn take(&mut self, count: u32) -> Result<usize, Fault> {
        let number = self.bits.take_long(count)?;
        usize::try_from(number).map_err(|_| Fault::Malformed)
    }

    fn flag(&mut self) -> Result<bool, Fault> {
        Ok(self.bits.take_long(1)? == 1)
    }

    fn pay(&mut self, steps: usize) -> Result<(), Fault> {
        self.allowance = self.allowance.checked_sub(steps).ok_or(Fault::Malformed)?;
        Ok(())
    }

    /// To the next whole byte; what is passed over must be zeros.
    fn align(&mut self) -> Result<(), Fault> {
        if self.bits.take_long(self.bits.unaligned())? != 0 {
            return Err(Fault::Malformed);
        }
        self.bits.align(self.input);
        Ok(())
    }

    fn window_size(&mut self) -> Result<usize, Fault> {
        let bits = if !self.flag()? {
            16
        } else {
            match self.bits.take_long(3)? {
                0 => match self.bits.take_long(3)? {
                    0 => 17,
                    // What "large window" streams begin with.
                    1 => return Err(Fault::Malformed),
                    more => more.wrapping_add(8),
                },
                more => more.wrapping_add(17),
            }
        };
        Ok(1_usize.wrapping_shl(bits).saturating_sub(16))
    }

    /// One meta-block; whether it was the last.
    fn block(&mut self, store: &mut Store) -> Result<bool, Fault> {
        let last = self.flag()?;
        if last && self.flag()? {
            return Ok(true);
        }
        let nibbles = self.bits.take_long(2)?.wrapping_add(4);
        if nibbles == 7 {
            self.metadata()?;
            return Ok(last);
        }
        let length = self.take(nibbles.wrapping_mul(4))?;
        let least = 1_usize.wrapping_shl(nibbles.wrapping_sub(1).wrapping_mul(4));
        if nibbles > 4 && length < least {
            return Err(Fault::Malformed);
        }
        let length = length.saturating_add(1);
        if !last && self.flag()? {
            self.align()?;
            let rest = self.bits.rest();
            let stored = rest.get(..length).unwrap_or(rest);
            self.write(stored)?;
            self.bits
                .restart(rest.get(length..).ok_or(Fault::Truncated)?);
        } else {
            store.clear();
            self.compressed(length, store)?;
        }
        Ok(last)
    }

    /// Passed over.
    fn metadata(&mut self) -> Result<(), Fault> {
        if self.flag()? {
            return Err(Fault::Malformed);
        }
        let bytes = self.bits.take_long(2)?;
        let number = self.take(bytes.wrapping_mul(8))?;
        let least = 1_usize.wrapping_shl(bytes.saturating_sub(1).wrapping_mul(8));
        if bytes > 1 && number < least {
            return Err(Fault::Malformed);
        }
        self.align()?;
        let length = if bytes == 0 {
            0
        } else {
            number.saturating_add(1)
        };
        let rest = self.bits.rest().get(length..);
        self.bits.restart(rest.ok_or(Fault::Truncated)?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let room = self.most.saturating_sub(self.out.len());
        self.out
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if bytes.len() > room {
            return Err(Fault::TooLong);
        }
        Ok(())
    }

    /// 1 to 256, small numbers in fewer bits.
    fn count(&mut self) -> Result<usize, Fault> {
        if !self.flag()? {
            return Ok(1);
        }
        let bits = self.bits.take_long(3)?;
        let more = self.take(bits)?;
        Ok(1_usize
            .wrapping_shl(bits)
            .saturating_add(more)
            .saturating_add(1))
    }

    fn code(&mut self, symbols: usize, store: &mut Store) -> Result<Code, Fault> {
        let (code, steps) = codes::read(&mut self.bits, symbols, store)?;
        self.pay(steps)?;
        Ok(code)
    }

    fn codes(
        &mut self,
        count: usize,
        symbols: usize,
        store: &mut Store,
    ) -> Result<Vec<Code>, Fault> {
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.code(symbols, store)?);
        }
        Ok(codes)
    }

    fn next(&mut self, code: &Code, store: &Store) -> Result<usize, Fault> {
        code.next(&mut self.bits, store)
    }

    fn blocks(&mut self, store: &mut Store) -> Result<Blocks, Fault> {
        let types = self.count()?;
        let mut blocks = Blocks {
            types,
            codes: None,
            current: 0,
            before: 1,
            left: usize::MAX,
        };
        if types >= 2 {
            let of_types = self.code(types.saturating_add(2), store)?;
            let of_lengths = self.code(26, store)?;
            blocks.left = self.block_length(&of_lengths, store)?;
            blocks.codes = Some((of_types, of_lengths));
        }
        Ok(blocks)
    }

    fn block_length(&mut self, code: &Code, store: &Store) -> Result<usize, Fault> {
        let symbol = self.next(code, store)?;
        self.number(&BLOCK_LENGTHS, symbol)
    }

    fn number(&mut self, table: &[(u16, u8)], symbol: usize) -> Result<usize, Fault> {
        let &(base, bits) = table.get(symbol).ok_or(Fault::Malformed)?;
        let more = self.take(u32::from(bits))?;
        Ok(usize::from(base).saturating_add(more))
    }

    /// The type of the block that the next symbol is in.
    fn step(&mut self, blocks: &mut Blocks, store: &Store) -> Result<usize, Fault> {
        if blocks.left == 0
            && let Some((of_types, of_lengths)) = &blocks.codes
        {
            let next = match self.next(of_types, store)? {
                0 => blocks.before,
                1 => blocks.current.wrapping_add(1),
                number => number.wrapping_sub(2),
            };
            blocks.before = blocks.current;
            blocks.current = if next >= blocks.types {
                next.saturating_sub(blocks.types)
            } else {
                next
            };
            blocks.left = self.block_length(of_lengths, store)?;
        }
        blocks.left = blocks.left.wrapping_sub(1);
        Ok(blocks.current)
    }

    /// Which of `codes` codes is used in which context. Nothing, where there is one.
    fn map(&mut self, size: usize, codes: usize, store: &mut Store) -> Result<Vec<u8>, Fault> {
        let mut map = Vec::new();
        if codes < 2 {
            return Ok(map);
        }
        let runs = if self.flag()? {
            self.take(4)?.saturating_add(1)
        } else {
            0
        };
        let code = self.code(codes.saturating_add(runs), store)?;
        self.pay(size)?;
        while map.len() < size {
            let symbol = self.next(&code, store)?;
            if symbol == 0 {
                map.push(0);
            } else if symbol > runs {
                let [index, ..] = symbol.saturating_sub(runs).to_le_bytes();
                map.push(index);
            } else {
                let bits = u32::try_from(symbol).unwrap_or(0);
                let times = 1_usize.wrapping_shl(bits).saturating_add(self.take(bits)?);
                if times > size.saturating_sub(map.len()) {
                    return Err(Fault::Malformed);
                }
                map.extend(core::iter::repeat_n(0, times));
            }
        }
        if self.flag()? {
            self.undo_moves(&mut map)?;
        }
        Ok(map)
    }

    /// Undoes the move to front.
    fn undo_moves(&mut self, map: &mut [u8]) -> Result<(), Fault> {
        let mut order = [0_u8; 256];
        for (slot, byte) in order.iter_mut().zip(0..=255) {
            *slot = byte;
        }
        for slot in map {
            let index = usize::from(*slot);
            self.pay(index)?;
            let mut front = order.get(index).copied().unwrap_or(0);
            *slot = front;
            for place in order.iter_mut().take(index.saturating_add(1)) {
                core::mem::swap(place, &mut front);
            }
        }
        Ok(())
    }

    /// A meta-block of `length` bytes that brings its codes.
    fn compressed(&mut self, length: usize, store: &mut Store) -> Result<(), Fault> {
        let mut literals = self.blocks(store)?;
        let mut commands = self.blocks(store)?;
        let mut distances = self.blocks(store)?;
        let postfix = self.bits.take_long(2)?;
        let direct = self.take(4)?.wrapping_shl(postfix);
        let mut modes = Vec::new();
        for _ in 0..literals.types {
            let [mode, ..] = self.bits.take_long(2)?.to_le_bytes();
            modes.push(mode);
        }
        let of_literals = self.count()?;
        let literal_map = self.map(literals.types.saturating_mul(64), of_literals, store)?;
        let of_distances = self.count()?;
        let distance_map = self.map(distances.types.saturating_mul(4), of_distances, store)?;
        let literal_codes = self.codes(of_literals, 256, store)?;
        let command_codes = self.codes(commands.types, 704, store)?;
        let far = 48_usize.wrapping_shl(postfix);
        let symbols = far.saturating_add(direct).saturating_add(16);
        let distance_codes = self.codes(of_distances, symbols, store)?;

        let mut left = length;
        while left > 0 {
            let kind = self.step(&mut commands, store)?;
            let code = command_codes.get(kind).ok_or(Fault::Malformed)?;
            let command = self.next(code, store)?;
            let (insert, copy) = split(command);
            let insert = self.number(&INSERTS, insert)?;
            let copy = self.number(&COPIES, copy)?;
            pay(self.steps, insert.saturating_add(4))?;

            left = left.checked_sub(insert).ok_or(Fault::Malformed)?;
            for _ in 0..insert {
                let kind = self.step(&mut literals, store)?;
                let context = match (of_literals, self.out.get(self.start..)) {
                    (1, _) => 0,
                    (_, Some([.., before, last])) => {
                        let mode = modes.get(kind).copied().unwrap_or(0);
                        words::context(mode, *last, *before)
                    }
                    (_, Some([last])) => {
                        let mode = modes.get(kind).copied().unwrap_or(0);
                        words::context(mode, *last, 0)
                    }
                    _ => words::context(modes.get(kind).copied().unwrap_or(0), 0, 0),
                };
                let place = kind.wrapping_mul(64).wrapping_add(usize::from(context));
                let code = literal_map.get(place).copied().unwrap_or(0);
                let code = literal_codes.get(usize::from(code));
                let literal = self.next(code.ok_or(Fault::Malformed)?, store)?;
                if self.out.len() >= self.most {
                    return Err(Fault::TooLong);
                }
                self.out.push(literal.to_le_bytes()[0]);
            }
            if left == 0 {
                return Ok(());
            }

            let symbol = if command < 128 {
                0
            } else {
                let kind = self.step(&mut distances, store)?;
                let context = copy.saturating_sub(2).min(3);
                let place = kind.wrapping_mul(4).wrapping_add(context);
                let code = distance_map.get(place).copied().unwrap_or(0);
                let code = distance_codes.get(usize::from(code));
                self.next(code.ok_or(Fault::Malformed)?, store)?
            };
            let distance = self.distance(symbol, postfix, direct)?;
            let written = self.out.len().saturating_sub(self.start).min(self.window);
            let length = if distance > written {
                self.dictionary_word(copy, distance.saturating_sub(written), left)?
            } else {
                if symbol != 0 {
                    let [first, second, third, _] = self.distances;
                    self.distances = [distance, first, second, third];
                }
                self.copy(copy.min(left), distance)?;
                copy
            };
            left = left.checked_sub(length).ok_or(Fault::Malformed)?;
        }
        Ok(())
    }

    fn distance(&mut self, symbol: usize, postfix: u32, direct: usize) -> Result<usize, Fault> {
        let [first, second, third, fourth] = self.distances;
        let distance = match symbol {
            0 => first,
            1 => second,
            2 => third,
            3 => fourth,
            // One to three less or more than the last or the one before.
            4..16 => {
                let (base, step) = if symbol < 10 {
                    (first, symbol.wrapping_sub(4))
                } else {
                    (second, symbol.wrapping_sub(10))
                };
                let by = step.wrapping_shr(1).wrapping_add(1);
                if step & 1 == 0 {
                    base.saturating_sub(by)
                } else {
                    base.saturating_add(by)
                }
            }
            _ => {
                let symbol = symbol.wrapping_sub(16);
                match symbol.checked_sub(direct) {
                    None => symbol.wrapping_add(1),
                    Some(symbol) => {
                        let high = symbol.wrapping_shr(postfix);
                        let low = symbol & 1_usize.wrapping_shl(postfix).wrapping_sub(1);
                        let bits = u32::try_from(high.wrapping_shr(1))
                            .unwrap_or(0)
                            .wrapping_add(1);
                        let base = (2 | (high & 1)).wrapping_shl(bits).wrapping_sub(4);
                        base.wrapping_add(self.take(bits)?)
                            .wrapping_shl(postfix)
                            .wrapping_add(low)
                            .wrapping_add(direct)
                            .wrapping_add(1)
                    }
                }
            }
        };
        if distance == 0 {
            return Err(Fault::Malformed);
        }
        Ok(distance)
    }

    /// How many bytes it wrote. Nothing is left of some words; what names them takes ten bits at least.
    fn dictionary_word(
        &mut self,
        length: usize,
        number: usize,
        left: usize,
    ) -> Result<usize, Fault> {
        let number = number.saturating_sub(1);
        let (word, change) = words::word(length, number).ok_or(Fault::Malformed)?;
        let mut changed = core::mem::take(&mut self.word);
        words::changed(word, change, &mut changed).ok_or(Fault::Malformed)?;
        if changed.len() > left {
            return Err(Fault::Malformed);
        }
        self.write(&changed)?;
        let length = changed.len();
        self.word = changed;
        Ok(length)
    }

    fn copy(&mut self, length: usize, distance: usize) -> Result<(), Fault> {
        let from = self.out.len().checked_sub(distance);
        let mut from = from.ok_or(Fault::Malformed)?;
        for _ in 0..length {
            if self.out.len() >= self.most {
                return Err(Fault::TooLong);
            }
            self.out.push(self.out.get(from).copied().unwrap_or(0));
            from = from.wrapping_add(1);
        }
        Ok(())
    }
}

/// The codes of both lengths of a command. Cells of 64 commands lie in a square of 3 by 3, the first twice.
fn split(command: usize) -> (usize, usize) {
    const CELLS: [(usize, usize); 11] = [
        (0, 0),
        (0, 8),
        (0, 0),
        (0, 8),
        (8, 0),
        (8, 8),
        (0, 16),
        (16, 0),
        (8, 16),
        (16, 8),
        (16, 16),
    ];
    let cell = CELLS.get(command.wrapping_shr(6)).copied();
    let (insert, copy) = cell.unwrap_or_default();
    (insert | (command.wrapping_shr(3) & 7), copy | (command & 7))
}

/// Base and extra bits of the lengths of blocks.
const BLOCK_LENGTHS: [(u16, u8); 26] = [
    (1, 2),
    (5, 2),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 3),
    (41, 3),
    (49, 4),
    (65, 4),
    (81, 4),
    (97, 4),
    (113, 5),
    (145, 5),
    (177, 5),
    (209, 5),
    (241, 6),
    (305, 6),
    (369, 7),
    (497, 8),
    (753, 9),
    (1265, 10),
    (2289, 11),
    (4337, 12),
    (8433, 13),
    (16625, 24),
];
/// The same of inserted literals.
const INSERTS: [(u16, u8); 24] = [
    (0, 0),
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 1),
    (8, 1),
    (10, 2),
    (14, 2),
    (18, 3),
    (26, 3),
    (34, 4),
    (50, 4),
    (66, 5),
    (98, 5),
    (130, 6),
    (194, 7),
    (322, 8),
    (578, 9),
    (1090, 10),
    (2114, 12),
    (6210, 14),
    (22594, 24),
];
/// The same of copies.
const COPIES: [(u16, u8); 24] = [
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 1),
    (12, 1),
    (14, 2),
    (18, 2),
    (22, 3),
    (30, 3),
    (38, 4),
    (54, 4),
    (70, 5),
    (102, 5),
    (134, 6),
    (198, 7),
    (326, 8),
    (582, 9),
    (1094, 10),
    (2118, 24),
];
