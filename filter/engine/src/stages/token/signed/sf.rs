//! Structured field values: lists, dictionaries and items, read strictly and written in canonical form.
//!
//! **In:** a field value (lines joined by `, `). **Out:** a tree over its bytes. **Invariant:** what is not in the
//! grammar is refused, nothing is repaired: base64 needs its padding and has zero bits behind its last byte, which a
//! parser may let pass (RFC 9651 §4.2.7) and we do not. Writing what was read gives one spelling for one value.
//! **Source:** RFC 9651 §4.1, §4.2. **Cost:** linear, but for equal names, which are looked for among at most `most`
//! members of a container; more of them are refused. No recursion: an inner list holds no lists.

use alloc::vec::Vec;

/// A value without parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bare<'a> {
    Boolean(bool),
    /// Standard base64, canonical.
    Bytes(&'a [u8]),
    /// Seconds since 1970.
    Date(i64),
    /// In thousandths.
    Decimal(i64),
    /// Its UTF-8.
    Display(Vec<u8>),
    Integer(i64),
    /// Between the quotes, as written: what can be escaped must be, so there is one spelling.
    String(&'a [u8]),
    Token(&'a [u8]),
}

/// Parameters in order, the last of equal names.
pub(super) type Parameters<'a> = Vec<(&'a [u8], Bare<'a>)>;

/// A value with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) value: Bare<'a>,
    pub(super) parameters: Parameters<'a>,
}

/// A member of a list or a dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member<'a> {
    Inner(Vec<Item<'a>>, Parameters<'a>),
    Item(Item<'a>),
}

/// Members by name, in order of first occurrence, the last value of equal names.
pub(super) type Dictionary<'a> = Vec<(&'a [u8], Member<'a>)>;

/// Reads a dictionary; an empty value is an empty one.
pub(super) fn dictionary(text: &[u8], most: usize) -> Option<Dictionary<'_>> {
    let mut reader = Reader::new(text, most);
    let mut members: Dictionary<'_> = Vec::new();
    let mut more = !reader.rest.is_empty();
    while more {
        let name = reader.key()?;
        let member = if reader.take(b'=') {
            reader.member()?
        } else {
            Member::Item(Item {
                value: Bare::Boolean(true),
                parameters: reader.parameters()?,
            })
        };
        put(&mut members, name, member, most)?;
        more = reader.comma()?;
    }
    Some(members)
}

/// Reads a list; an empty value is an empty one.
#[cfg(test)]
pub(super) fn list(text: &[u8], most: usize) -> Option<Vec<Member<'_>>> {
    let mut reader = Reader::new(text, most);
    let mut members = Vec::new();
    let mut more = !reader.rest.is_empty();
    while more {
        if members.len() >= most {
            return None;
        }
        members.push(reader.member()?);
        more = reader.comma()?;
    }
    Some(members)
}

/// Reads an item.
#[cfg(test)]
pub(super) fn item(text: &[u8], most: usize) -> Option<Item<'_>> {
    let mut reader = Reader::new(text, most);
    let item = reader.item()?;
    reader.rest.is_empty().then_some(item)
}

struct Reader<'a> {
    rest: &'a [u8],
    most: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], most: usize) -> Self {
        let mut reader = Self { rest: text, most };
        reader.skip_spaces();
        while let [before @ .., b' '] = reader.rest {
            reader.rest = before;
        }
        reader
    }

    fn skip_spaces(&mut self) {
        while self.take(b' ') {}
    }

    /// The next byte, if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn while_in(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|byte| !class(*byte))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, b""));
        self.rest = rest;
        taken
    }

    /// Between members: whether another follows. A comma at the end is refused.
    fn comma(&mut self) -> Option<bool> {
        self.while_in(|byte| matches!(byte, b' ' | b'\t'));
        if self.rest.is_empty() {
            return Some(false);
        }
        if !self.take(b',') {
            return None;
        }
        self.while_in(|byte| matches!(byte, b' ' | b'\t'));
        (!self.rest.is_empty()).then_some(true)
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let first = self.rest.first()?;
        if !(first.is_ascii_lowercase() || *first == b'*') {
            return None;
        }
        Some(self.while_in(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-' | b'.' | b'*')
        }))
    }

    fn member(&mut self) -> Option<Member<'a>> {
        if !self.take(b'(') {
            return self.item().map(Member::Item);
        }
        let mut items = Vec::new();
        loop {
            self.skip_spaces();
            if self.take(b')') {
                return Some(Member::Inner(items, self.parameters()?));
            }
            if items.len() >= self.most {
                return None;
            }
            items.push(self.item()?);
            if !matches!(self.rest, [b' ' | b')', ..]) {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Item<'a>> {
        Some(Item {
            value: self.bare()?,
            parameters: self.parameters()?,
        })
    }

    fn parameters(&mut self) -> Option<Parameters<'a>> {
        let mut parameters = Vec::new();
        while self.take(b';') {
            self.skip_spaces();
            let name = self.key()?;
            let value = if self.take(b'=') {
                self.bare()?
            } else {
                Bare::Boolean(true)
            };
            put(&mut parameters, name, value, self.most)?;
        }
        Some(parameters)
    }

    fn bare(&mut self) -> Option<Bare<'a>> {
        match self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => Some(Bare::Token(self.while_in(is_token_byte))),
            b':' => self.bytes(),
            b'?' => self.boolean(),
            b'@' => self.date(),
            b'%' => self.display(),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Bare<'a>> {
        let negative = self.take(b'-');
        let digits = self.while_in(|byte| byte.is_ascii_digit());
        let whole = decimal(digits)?;
        let sign = if negative { -1 } else { 1 };
        if !self.take(b'.') {
            return (digits.len() <= 15).then(|| Bare::Integer(whole.saturating_mul(sign)));
        }
        let fraction = self.while_in(|byte| byte.is_ascii_digit());
        let scale = match fraction.len() {
            1 => 100,
            2 => 10,
            3 => 1,
            _ => return None,
        };
        let thousandths = whole
            .saturating_mul(1000)
            .saturating_add(decimal(fraction)?.saturating_mul(scale));
        (digits.len() <= 12).then(|| Bare::Decimal(thousandths.saturating_mul(sign)))
    }

    fn string(&mut self) -> Option<Bare<'a>> {
        let text = self.rest.strip_prefix(b"\"")?;
        let mut escaped = false;
        let mut end = 0_usize;
        for byte in text {
            match (escaped, byte) {
                (true, b'"' | b'\\') => escaped = false,
                (false, b'"') => {
                    let (text, rest) = text.split_at_checked(end)?;
                    self.rest = rest.get(1..)?;
                    return Some(Bare::String(text));
                }
                (false, b'\\') => escaped = true,
                (false, 0x20..=0x7e) => {}
                _ => return None,
            }
            end = end.saturating_add(1);
        }
        None
    }

    fn bytes(&mut self) -> Option<Bare<'a>> {
        self.take(b':');
        let text = self.while_in(|byte| byte != b':');
        if !self.take(b':') || !super::base64::is_canonical(text) {
            return None;
        }
        Some(Bare::Bytes(text))
    }

    fn boolean(&mut self) -> Option<Bare<'a>> {
        self.take(b'?');
        if self.take(b'1') {
            Some(Bare::Boolean(true))
        } else if self.take(b'0') {
            Some(Bare::Boolean(false))
        } else {
            None
        }
    }

    fn date(&mut self) -> Option<Bare<'a>> {
        self.take(b'@');
        match self.number()? {
            Bare::Integer(seconds) => Some(Bare::Date(seconds)),
            _ => None,
        }
    }

    fn display(&mut self) -> Option<Bare<'a>> {
        let text = self.rest.strip_prefix(b"%\"")?;
        let mut decoded = Vec::new();
        let mut bytes = text.iter();
        loop {
            match bytes.next()? {
                b'%' => {
                    let high = lower_hex(*bytes.next()?)?;
                    let low = lower_hex(*bytes.next()?)?;
                    decoded.push(high.wrapping_shl(4) | low);
                }
                b'"' => break,
                byte @ 0x20..=0x7e => decoded.push(*byte),
                _ => return None,
            }
        }
        self.rest = bytes.as_slice();
        core::str::from_utf8(&decoded).ok()?;
        Some(Bare::Display(decoded))
    }
}

/// Adds a member, or replaces the value of an equal name (RFC 9651 §4.2.2: the last one counts).
fn put<'a, T>(
    members: &mut Vec<(&'a [u8], T)>,
    name: &'a [u8],
    value: T,
    most: usize,
) -> Option<()> {
    if let Some((_, earlier)) = members.iter_mut().find(|(other, _)| *other == name) {
        *earlier = value;
    } else if members.len() < most {
        members.push((name, value));
    } else {
        return None;
    }
    Some(())
}

/// One to fifteen digits.
fn decimal(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    Some(digits.iter().fold(0_i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit.wrapping_sub(b'0')))
    }))
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
                | b':'
                | b'/'
        )
}

const fn lower_hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// Writes a dictionary.
pub(super) fn write_dictionary(dictionary: &Dictionary<'_>, out: &mut Vec<u8>) {
    let mut first = true;
    for (name, member) in dictionary {
        if !first {
            out.extend_from_slice(b", ");
        }
        first = false;
        out.extend_from_slice(name);
        match member {
            Member::Item(Item {
                value: Bare::Boolean(true),
                parameters,
            }) => write_parameters(parameters, out),
            member => {
                out.push(b'=');
                write_member(member, out);
            }
        }
    }
}

/// Writes a member of a list, or the value of a dictionary's member.
pub(super) fn write_member(member: &Member<'_>, out: &mut Vec<u8>) {
    match member {
        Member::Inner(items, parameters) => write_inner(items, parameters, out),
        Member::Item(item) => write_item(item, out),
    }
}

/// Writes an inner list.
pub(super) fn write_inner(items: &[Item<'_>], parameters: &Parameters<'_>, out: &mut Vec<u8>) {
    out.push(b'(');
    let mut first = true;
    for item in items {
        if !first {
            out.push(b' ');
        }
        first = false;
        write_item(item, out);
    }
    out.push(b')');
    write_parameters(parameters, out);
}

/// Writes an item.
pub(super) fn write_item(item: &Item<'_>, out: &mut Vec<u8>) {
    write_bare(&item.value, out);
    write_parameters(&item.parameters, out);
}

fn write_parameters(parameters: &Parameters<'_>, out: &mut Vec<u8>) {
    for (name, value) in parameters {
        out.push(b';');
        out.extend_from_slice(name);
        if *value != Bare::Boolean(true) {
            out.push(b'=');
            write_bare(value, out);
        }
    }
}

fn write_bare(value: &Bare<'_>, out: &mut Vec<u8>) {
    match value {
        Bare::Boolean(yes) => out.extend_from_slice(if *yes { b"?1" } else { b"?0" }),
        Bare::Bytes(text) => {
            out.push(b':');
            out.extend_from_slice(text);
            out.push(b':');
        }
        Bare::Date(seconds) => {
            out.push(b'@');
            write_integer(*seconds, out);
        }
        Bare::Decimal(thousandths) => write_decimal(*thousandths, out),
        Bare::Display(text) => write_display(text, out),
        Bare::Integer(number) => write_integer(*number, out),
        Bare::String(text) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Bare::Token(text) => out.extend_from_slice(text),
    }
}

fn write_integer(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_digits(number.unsigned_abs(), 1, out);
}

fn write_decimal(thousandths: i64, out: &mut Vec<u8>) {
    if thousandths < 0 {
        out.push(b'-');
    }
    let number = thousandths.unsigned_abs();
    write_digits(number / 1000, 1, out);
    out.push(b'.');
    let fraction = number.wrapping_rem(1000);
    match (fraction.wrapping_rem(100), fraction.wrapping_rem(10)) {
        (0, _) => write_digits(fraction / 100, 1, out),
        (_, 0) => write_digits(fraction / 10, 2, out),
        _ => write_digits(fraction, 3, out),
    }
}

/// Decimal digits, at least `least` of them.
fn write_digits(number: u64, least: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut left = number;
    let mut used = 0_usize;
    for digit in digits.iter_mut().rev() {
        if left == 0 && used >= least {
            break;
        }
        let [low, ..] = left.wrapping_rem(10).to_le_bytes();
        *digit = b'0'.wrapping_add(low);
        left /= 10;
        used = used.saturating_add(1);
    }
    let start = digits.len().saturating_sub(used);
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn write_display(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"%\"");
    for byte in text {
        match byte {
            b'%' | b'"' | 0..=0x1f | 0x7f.. => {
                out.push(b'%');
                out.extend(DIGITS.get(usize::from(byte >> 4)));
                out.extend(DIGITS.get(usize::from(byte & 15)));
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
