//! What PHP calls by the value of a variable, or by a name in pieces: `$f(…)`, `${'a'}`, `("sys"."tem")(…)`.
//!
//! **In:** a decoded value and the place of a `$` or of a bracket. **Out:** what it is worth there.
//! **Invariant:** `$f(x)$` is mathematics, `$ACME (Acme)` a stock; what a sentence tells of is weak.
//! **Source:** PHP manual: variable functions, variable variables.
//! **Cost:** every look around is bounded by a constant; a callee is read back as far as it may be a listed name.

use super::Strength;
use super::bytes::{byte, has_at, is_space, is_word, part, skip_space};
use super::code::{self, Arguments, Gap};
use super::php_words::{GLOBALS, TORN};
use super::words::{Key, Words};

/// Bytes of a name or an index that are read.
const REACH: usize = 48;

/// Variables as functions, variable variables, superglobals.
pub(super) fn dollar(value: &[u8], at: usize, is_name: bool) -> Option<Strength> {
    let mut start = at.saturating_add(1);
    if at > 0 && byte(value, at.saturating_sub(1)) == b'$' {
        return None;
    }
    for _ in 0..4 {
        if byte(value, start) != b'$' {
            break;
        }
        start = start.saturating_add(1);
    }
    let open = skip_space(value, start);
    if byte(value, open) == b'{' {
        return braces(value, at, start, open);
    }
    let first = byte(value, start);
    if !(first.is_ascii_alphabetic() || first == b'_') {
        return None;
    }
    let name = part(value, start, REACH);
    let length = name
        .iter()
        .position(|&letter| !is_word(letter))
        .unwrap_or(name.len());
    let end = start.saturating_add(length);
    let name = value.get(start..end)?;
    let after = code::gap(value, end).0;
    let indexed = matches!(byte(value, after), b'[' | b'{');
    if GLOBALS
        .iter()
        .any(|global| name.eq_ignore_ascii_case(global))
    {
        let whole = is_name && at == 0 && end == value.len();
        return Some(if whole || (indexed && !code::in_sentence(value, at)) {
            Strength::Decisive
        } else {
            Strength::Weak
        });
    }
    // `$$_[0]`: a variable whose name another holds, at the head of a value.
    let doubled = start.saturating_sub(at) == 2 && at == 0 && name.starts_with(b"_");
    if doubled && indexed && name.len() < 4 {
        return Some(Strength::Decisive);
    }
    let (call_at, gap) = groups(value, end)?;
    called(value, at, call_at, gap)
}

/// Skips indices (`[…]`, `{…}`, none of them empty) from `from` on; the place of the bracket of a call, and the gap before it.
fn groups(value: &[u8], from: usize) -> Option<(usize, Gap)> {
    let mut at = from;
    for _ in 0..6 {
        let (next, gap) = code::gap(value, at);
        let close = match byte(value, next) {
            b'(' => return Some((next, gap)),
            b'[' => b']',
            b'{' => b'}',
            _ => return None,
        };
        let inner = part(value, next.saturating_add(1), REACH);
        let length = inner.iter().position(|&byte| byte == close)?;
        if length == 0 {
            return None;
        }
        at = next.saturating_add(length).saturating_add(2);
        // An index that holds an index: `$a[$b[1]]`.
        if byte(value, at) == close {
            at = at.saturating_add(1);
        }
    }
    None
}

/// A call of what a variable holds. `$f(x)$` is mathematics, `$ACME (Acme)` a stock, `$list(name)` an array of Tcl, and in a
/// password nothing closes or ends as in code.
fn called(value: &[u8], at: usize, open: usize, gap: Gap) -> Option<Strength> {
    let (arguments, end) = code::arguments(value, open);
    let end = end?;
    let tail = part(value, end, REACH);
    let mut before = 0;
    let formula = tail.iter().any(|&next| {
        let open = core::mem::replace(&mut before, next) == b'$';
        open && !(next.is_ascii_alphabetic() || matches!(next, b'_' | b'{' | b'$'))
    }) || tail.last() == Some(&b'$');
    let inner = code::gap(value, open.saturating_add(1)).0;
    let name =
        byte(value, inner).is_ascii_alphabetic() && byte(value, code::word(value, inner).0) != b'(';
    let before = at.checked_sub(1).map_or(b' ', |at| byte(value, at));
    let odd = is_word(before) || before == b'%' || is_word(byte(value, end));
    let mention = code::in_sentence(value, at) || code::goes_on(value, end);
    if mention
        || formula
        || name
        || odd
        || byte(value, inner) == b'{'
        || arguments == Arguments::Text
    {
        return Some(Strength::Weak);
    }
    let whole = at <= 1 && end.saturating_add(1) >= value.len();
    match gap {
        Gap::Blank if !whole => Some(Strength::Weak),
        _ => Some(Strength::Decisive),
    }
}

/// `${…}`, with blanks or without.
fn braces(value: &[u8], at: usize, sigil: usize, open: usize) -> Option<Strength> {
    let inner = skip_space(value, open.saturating_add(1));
    let first = byte(value, inner);
    let odd = match first {
        b'"' | b'\'' | b'$' | b'@' => true,
        b'}' | 0 => return None,
        // `$ {command} --flag`: a prompt, and a place to fill in.
        _ if open > sigil && is_word(first) && byte(value, code::word(value, inner).0) == b'}' => {
            false
        }
        _ => open > sigil && (is_word(first)),
    };
    if odd {
        return Some(if code::in_sentence(value, at) {
            Strength::Weak
        } else {
            Strength::Decisive
        });
    }
    let tail = part(value, inner, REACH);
    let length = tail.iter().position(|&byte| byte == b'}')?;
    let after = inner.saturating_add(length).saturating_add(1);
    let (open, gap) = groups(value, after)?;
    called(value, at, open, gap)
}

/// `("system")(…)`, `(sy.(st).em)(…)`, `[system][0](…)`, `($f)(…)`: the bracket at `open` calls what stands before it.
/// `before`: the last byte before it that is no blank; `dollars`: the value has a `$`.
pub(super) fn callee(value: &[u8], open: usize, before: u8, dollars: bool) -> Option<Strength> {
    let commented = before == b'/' && has_at(value, open.saturating_sub(2), b"*/");
    if !matches!(before, b')' | b']' | b'}' | b'"' | b'\'') && !commented {
        return None;
    }
    let gap = byte(value, open.saturating_sub(1)) == b' ';
    // What a variable in brackets needs, however its name goes on.
    let variable = dollars && matches!(before, b')' | b'/') && !gap;
    let mut reversed = Key::EMPTY;
    let mut length = 0_usize;
    // The letters so far may be the end of a listed name.
    let mut piece = Some(Piece::EMPTY);
    // What was read since is no letter.
    let mut same = true;
    let mut at = open;
    let mut boundary = false;
    let mut comment = false;
    for _ in 0..64_u8 {
        let Some(previous) = at.checked_sub(1) else {
            boundary = true;
            break;
        };
        at = previous;
        let letter = byte(value, at);
        if comment {
            comment = !(letter == b'/' && byte(value, at.saturating_add(1)) == b'*');
            continue;
        }
        match letter {
            b'.' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'' | b'@' => {}
            b'/' if at > 0 && byte(value, at.saturating_sub(1)) == b'*' => comment = true,
            _ if is_word(letter) => {
                // Behind the name there may be an index.
                if length == 0 && letter.is_ascii_digit() {
                    continue;
                }
                if length >= 24 {
                    break;
                }
                length = length.saturating_add(1);
                reversed.push(letter);
                piece = piece.and_then(|piece| piece.before(letter));
                if piece.is_none() && !variable {
                    return None;
                }
                same = false;
            }
            b'$' => {
                if variable && length > 0 {
                    return Some(Strength::Decisive);
                }
                break;
            }
            _ if is_space(letter) => {}
            _ => {
                boundary = true;
                break;
            }
        }
        if !same && length > 3 && !is_word(byte(value, at.saturating_sub(1))) {
            if piece.is_some() && TORN_BACK.kind(reversed) != 0 {
                boundary = true;
                break;
            }
            same = true;
        }
    }
    if !boundary || piece.is_none() || TORN_BACK.kind(reversed) == 0 {
        return None;
    }
    let quoted = matches!(
        byte(value, code::gap(value, open.saturating_add(1)).0),
        b'"' | b'\'' | b'$' | b'@'
    );
    if (gap && !quoted && before != b']' && before != b'}') || code::in_sentence(value, at) {
        return None;
    }
    Some(Strength::Decisive)
}

/// Functions that run something, as they read from behind.
static TORN_BACK: Words<64> = Words::empty().backwards(&TORN, 1);

/// The end of a name of [`TORN`]: a hash of its letters, read from behind.
#[derive(Clone, Copy)]
struct Piece(u32);

impl Piece {
    const EMPTY: Self = Self(0x811c_9dc5);

    /// The piece with the letter that stands before it; nothing when no listed name ends so. (Another text may seem to be one: it
    /// is read further, and is none as a whole.)
    fn before(self, letter: u8) -> Option<Self> {
        let longer = self.with(letter.to_ascii_lowercase());
        let (slot, bit) = longer.place();
        let known = PIECES.get(slot).is_some_and(|bits| bits & bit != 0);
        known.then_some(longer)
    }

    #[expect(clippy::as_conversions, reason = "widening in a const fn")]
    const fn with(self, letter: u8) -> Self {
        Self((self.0 ^ letter as u32).wrapping_mul(0x0100_0193))
    }

    /// Its slot of [`PIECES`], and its bit there.
    #[expect(clippy::as_conversions, reason = "seven bits, in a const fn")]
    const fn place(self) -> (usize, u32) {
        ((self.0 >> 25) as usize, 1_u32.wrapping_shl(self.0 >> 20))
    }
}

/// The ends of all names of [`TORN`], a bit each.
#[expect(
    clippy::indexing_slicing,
    reason = "runs while compiling: a fault is a build error"
)]
static PIECES: [u32; 128] = {
    let mut table = [0; 128];
    let mut index = 0;
    while index < TORN.len() {
        let mut piece = Piece::EMPTY;
        let mut from = TORN[index].len();
        while from > 0 {
            from -= 1;
            piece = piece.with(TORN[index][from]);
            let (slot, bit) = piece.place();
            table[slot] |= bit;
        }
        index += 1;
    }
    table
};
