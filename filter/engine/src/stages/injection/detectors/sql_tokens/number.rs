//! The SQL tokenizer's numbers and block comments.
//!
//! **In:** a value and where one starts. **Out:** tokens, and where it ends.
//! **Invariant:** at least one byte is taken.
//! **Cost:** linear in what is taken.

use super::super::bytes::{byte, is_word, pair, rest, skip_space, tally};
use super::read::{Builder, blank_until, read_word};
use super::{Flags, Kind};

/// `/*…*/` is a blank, `/*!50000…*/` is code, `/*…` cuts off the rest.
pub(super) fn block_comment(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let inside = at.saturating_add(2);
    builder.pending |= Flags::COMMENTED.0;
    // A blank before the mark is what a filter that strips it would leave.
    let marked = skip_space(value, inside).min(inside.saturating_add(2));
    if byte(value, marked) == b'!' {
        let digits = rest(value, marked.saturating_add(1));
        let digits = tally(
            digits
                .iter()
                .take(6)
                .take_while(|byte| byte.is_ascii_digit()),
        );
        return marked.saturating_add(digits).saturating_add(1);
    }
    if byte(value, inside) == b'!'
        || (byte(value, inside) == b'M' && byte(value, inside.saturating_add(1)) == b'!')
    {
        let digits = tally(
            rest(value, inside)
                .iter()
                .take(7)
                .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'!' | b'M')),
        );
        return inside.saturating_add(digits.max(1));
    }
    let close = pair(rest(value, inside), |first, second| {
        first == b'*' && second == b'/'
    });
    match close {
        Some(step) => inside.saturating_add(step).saturating_add(2),
        None => {
            builder.push(Kind::Comment, blank_until(value, inside, value.len()), at);
            value.len()
        }
    }
}

/// Numbers: `1`, `1.5e3`, `0x1F`, `1e1`; a number that runs into letters is a word.
pub(super) fn number(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let hex = byte(value, at) == b'0'
        && matches!(byte(value, at.saturating_add(1)), b'x' | b'X' | b'b' | b'B');
    let body = if hex { at.saturating_add(2) } else { at };
    let mut end = body;
    let mut exponent = false;
    let mut dots = 0_u8;
    while let Some(&digit) = value.get(end) {
        let belongs = if hex {
            digit.is_ascii_hexdigit()
        } else if digit.is_ascii_digit() || digit == b'.' {
            dots = dots.saturating_add(u8::from(digit == b'.'));
            true
        } else if matches!(digit, b'e' | b'E') && !exponent && {
            let after = byte(value, end.saturating_add(1));
            after.is_ascii_digit()
                || (matches!(after, b'+' | b'-')
                    && byte(value, end.saturating_add(2)).is_ascii_digit())
        } {
            exponent = true;
            end = end.saturating_add(1);
            true
        } else {
            false
        };
        if !belongs {
            break;
        }
        end = end.saturating_add(1);
    }
    // MySQL reads `1.e` before a bracket or a dot as nothing at all.
    if dots == 1
        && byte(value, end.wrapping_sub(1)) == b'.'
        && matches!(byte(value, end), b'e' | b'E')
        && !is_word(byte(value, end.saturating_add(1)))
    {
        let dot = end.saturating_sub(1);
        if super::super::sqli::void(value, dot) {
            builder.push(Kind::Danger, Flags::CALLED.0, at);
        }
        builder.pending |= Flags::COMMENTED.0;
        return end.saturating_add(1);
    }
    if is_word(byte(value, end)) {
        // `1union`, `1or` split where a keyword starts; `5th` stays a word.
        // and Oracle's suffixes do not hide it: `1fUNION`.
        let suffix = matches!(byte(value, end) | 0x20, b'f' | b'd' | b'e');
        for start in [end, end.saturating_add(usize::from(suffix))] {
            let kind = read_word(value, start).kind;
            let clause = matches!(
                kind,
                Kind::Logic
                    | Kind::Union
                    | Kind::Order
                    | Kind::Having
                    | Kind::From
                    | Kind::Like
                    | Kind::Waitfor
            );
            if !hex && clause && (start == end || kind == Kind::Union) {
                builder.push(Kind::Num, 0, at);
                return start;
            }
        }
        if let Some(end) = typographic(value, end) {
            builder.push(Kind::Num, 0, at);
            return end;
        }
        builder.push(Kind::Word, 0, at);
        return read_word(value, end).end;
    }
    // A version or an address is no number.
    builder.push(if dots > 1 { Kind::Word } else { Kind::Num }, 0, at);
    end.max(at.saturating_add(1))
}

/// The position of a typographic dash that ends a number.
fn typographic(value: &[u8], at: usize) -> Option<usize> {
    let dash = byte(value, at) == 0xE2
        && byte(value, at.saturating_add(1)) == 0x80
        && matches!(byte(value, at.saturating_add(2)), 0x93 | 0x94);
    dash.then_some(at)
}
