//! Functions, consoles and loops of JavaScript, as they stand in a value.
//!
//! **In:** a decoded value and the place of a word. **Out:** what it is worth there.
//! **Invariant:** a function that does nothing, a loop that ends and a console in a program of many lines are no attack.
//! **Source:** ECMAScript §20.2.1 (`Function`); Node.js API (console).
//! **Cost:** every look around is bounded by a constant; the rest of a value is asked at its last call only.

use super::Strength;
use super::bytes::{byte, contains, has_at, is_word, part, rest, skip_space};
use super::code::{self, Arguments};
use super::node::{Text, member};

/// Bytes looked at behind a word.
const REACH: usize = 48;

/// `new Function(…)`, `Function('…')()`, a function as the whole value.
pub(super) fn function(value: &[u8], start: usize, end: usize) -> Option<Strength> {
    let capital = byte(value, start) == b'F' && value.get(start..end) == Some(b"Function");
    if !capital && start > 1 {
        return None;
    }
    let call = code::call(value, start, end)?;
    if capital {
        let fresh = start >= 4 && has_at(value, start.saturating_sub(4), b"new ");
        let named = matches!(call.first, b'"' | b'\'' | b'`');
        let made = fresh && matches!(call.arguments, Arguments::Open | Arguments::Code);
        return Some(if (named || made) && !code::in_sentence(value, start) {
            Strength::Decisive
        } else {
            Strength::Weak
        });
    }
    if value.contains(&b'\n') {
        return None;
    }
    let (open, _) = code::gap(value, end);
    let close = part(value, open, REACH)
        .iter()
        .position(|&byte| byte == b')')?;
    let body = skip_space(value, open.saturating_add(close).saturating_add(1));
    if byte(value, body) != b'{' || is_harmless(rest(value, body.saturating_add(1))) {
        return None;
    }
    Some(Strength::Decisive)
}

/// `return a || b; }`: names, numbers and operators alone, without a call, a member, an index or a string, do nothing.
fn is_harmless(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    let Some(inner) = body.strip_suffix(b"}") else {
        return false;
    };
    let tells = inner
        .trim_ascii_start()
        .strip_prefix(b"return ")
        .is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_alphabetic));
    tells
        && inner.len() < REACH
        && inner.iter().all(|&letter| {
            is_word(letter)
                || matches!(
                    letter,
                    b' ' | b'|' | b'&' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b';'
                )
        })
        && ![&b"this"[..], b"process", b"true", b"global", b"require"]
            .iter()
            .any(|word| contains(inner, word))
}

/// `for (let i = 0; i < 10; i++) { console.log(i); }`: counts, and shows a name.
fn counts(value: &[u8], arguments: usize, close: usize) -> bool {
    // First: of all calls only the last has nothing behind it, so that the rest is asked once.
    let ends = rest(value, close)
        .iter()
        .all(|&byte| matches!(byte, b' ' | b';' | b'}'));
    if !ends {
        return false;
    }
    let head = value.trim_ascii_start();
    let loops = head
        .strip_prefix(b"for")
        .map(<[u8]>::trim_ascii_start)
        .and_then(|head| head.strip_prefix(b"("))
        .is_some_and(|head| {
            [&b"let "[..], b"const ", b"var "]
                .iter()
                .any(|word| head.starts_with(word))
        });
    let named = value
        .get(arguments.saturating_add(1)..close.saturating_sub(1))
        .is_some_and(|names| {
            !names.is_empty()
                && names.iter().all(|&letter| is_word(letter))
                && names.first().is_some_and(u8::is_ascii_alphabetic)
        });
    let before = value.get(..arguments).unwrap_or(&[]);
    let once = super::bytes::tally(before.iter().filter(|&&byte| byte == b'(').take(2)) == 1;
    let ever = contains(value, b";;") || contains(value, b"; ;");
    loops && named && once && !ever
}

/// `console.log(…)`, `console["info"](…)`, `console.info.call(…)` in a single line.
pub(super) fn console(text: Text<'_>, end: usize) -> Option<Strength> {
    let value = text.value;
    let (after, _) = member(value, end)?;
    let after = if has_at(value, after, b".call(") || has_at(value, after, b".apply(") {
        rest(value, after)
            .iter()
            .position(|&byte| byte == b'(')
            .map_or(after, |step| after.saturating_add(step))
    } else {
        after
    };
    if byte(value, after) != b'(' {
        return None;
    }
    let (_, close) = code::arguments(value, after);
    let sentence = close.is_some_and(|close| code::goes_on(value, close));
    let counts = close.is_some_and(|close| counts(value, after, close));
    Some(if sentence || counts || text.lines {
        Strength::Weak
    } else {
        Strength::Decisive
    })
}

/// `while(true)` and what else is always true, in brackets.
pub(super) fn endless(value: &[u8], end: usize) -> Option<Strength> {
    let (open, _) = code::gap(value, end);
    if byte(value, open) != b'(' {
        return None;
    }
    let mut at = open.saturating_add(1);
    let mut negations = 0_u8;
    for _ in 0..16 {
        match byte(value, at) {
            b'!' => negations = negations.wrapping_add(1),
            b'+' | b'-' | b'(' | b' ' => {}
            _ => break,
        }
        at = at.saturating_add(1);
    }
    let text = part(value, at, REACH);
    let length = text
        .iter()
        .position(|&letter| !(is_word(letter)))
        .unwrap_or(text.len());
    let name = text.get(..length)?;
    let empty = matches!(
        text,
        [b'"', b'"', ..]
            | [b'\'', b'\'', ..]
            | [b'`', b'`', ..]
            | [b'{', b'}', ..]
            | [b'[', b']', ..]
    );
    let number = !name.is_empty() && name.iter().all(u8::is_ascii_digit);
    let constant = [
        &b"true"[..],
        b"false",
        b"null",
        b"undefined",
        b"NaN",
        b"Infinity",
        b"this",
        b"String",
        b"Object",
        b"Math",
        b"Date",
    ]
    .contains(&name)
        || name == b"new";
    let odd = negations & 1 == 1;
    let never = match name {
        b"true" => odd,
        b"false" | b"0" => !odd,
        _ => false,
    };
    let tail = rest(text, length);
    let closes = empty || name == b"new" || tail.first() == Some(&b')');
    ((empty || number || constant) && closes && !never).then_some(Strength::Decisive)
}
