//! A JSON pull reader (RFC 8259) over bytes: for claims and bodies. No recursion, no tree, no panic.
//!
//! **In:** bytes of an attacker. **Out:** [`Event`]s that borrow them; [`members`], [`pointer()`] for claims.
//! **Invariant:** what is yielded was checked up to there: grammar, escapes, UTF-8, no control byte in a
//! string, nothing after the text. Equal names in one object are NOT refused by the reader (bodies have
//! them); [`pointer()`] and [`unique_names`] refuse them, as RFC 8725 and RFC 7515 §4 want for tokens.
//! **Source:** RFC 8259, RFC 6901 (pointers).
//! **Cost:** linear, one pass (a pointer: one pass a segment); depth ≤ 64 in one `u64`.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::budget::MAX_JSON_DEPTH;

/// One token of a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// A member's name.
    Key(Text<'a>),
    /// A string.
    String(Text<'a>),
    /// A number as written.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// A JSON string as written, between its quotes; escapes and UTF-8 already checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// Bytes between the quotes.
    pub raw: &'a [u8],
    /// Whether there is a `\`.
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// The string's bytes, escapes undone (lone surrogates become U+FFFD).
    #[must_use]
    pub fn decode(&self) -> Cow<'a, [u8]> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Whether the decoded string is `bytes`.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        if self.escaped {
            unescape(self.raw) == bytes
        } else {
            self.raw == bytes
        }
    }
}

/// Where reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset.
    pub offset: usize,
}

/// The reader.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the latest token starts.
    token: usize,
    /// A bit a container, innermost lowest: 1 object, 0 array.
    stack: u64,
    depth: usize,
    limit: usize,
    expect: Expect,
}

/// What may stand at the read position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A value.
    Value,
    /// A value or `]`.
    ValueOrEnd,
    /// A name or `}`.
    KeyOrEnd,
    /// A comma or the container's end; outside of containers, the end of the text.
    Next,
    /// Nothing: reading failed.
    Failed,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, at most `depth` containers deep (at most 64: a bit each tells object from array).
    #[must_use]
    pub fn new(bytes: &'a [u8], depth: usize) -> Self {
        Self {
            bytes,
            at: 0,
            token: 0,
            stack: 0,
            depth: 0,
            limit: depth.min(MAX_JSON_DEPTH),
            expect: Expect::Value,
        }
    }

    /// The next event; `None` after the whole text was read.
    ///
    /// # Errors
    /// [`JsonError`] at the first byte that is not JSON, or too deep; every later call repeats it.
    pub fn next_event(&mut self) -> Result<Option<Event<'a>>, JsonError> {
        let result = self.step();
        if result.is_err() {
            self.expect = Expect::Failed;
        }
        result
    }

    /// Reads one whole value and gives its bytes as written; `None` where the container (or the text) ends.
    /// To be called where a value can stand: first, after a [`Event::Key`], or in an array.
    ///
    /// # Errors
    /// As [`Reader::next_event`]; also when a name stands here.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, JsonError> {
        // Strings are most values: they go without an event.
        if self.expect == Expect::Value {
            self.skip_blanks();
            if self.peek() == Some(b'"') {
                return self.string_value().map(Some);
            }
        }
        let outside = self.depth;
        let event = self.next_event()?;
        let start = self.token;
        match event {
            None | Some(Event::ObjectEnd | Event::ArrayEnd) => return Ok(None),
            Some(Event::Key(_)) => {
                self.expect = Expect::Failed;
                return Err(JsonError { offset: start });
            }
            Some(_) => {}
        }
        while self.depth > outside {
            self.next_event()?;
        }
        Ok(self.bytes.get(start..self.at))
    }

    /// A string as written; the read position is on its opening quote, where a value can stand.
    fn string_value(&mut self) -> Result<&'a [u8], JsonError> {
        if let Err(error) = self.read_text() {
            self.expect = Expect::Failed;
            return Err(error);
        }
        self.expect = Expect::Next;
        Ok(self.bytes.get(self.token..self.at).unwrap_or_default())
    }

    /// Containers open at the read position.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }

    #[inline]
    fn step(&mut self) -> Result<Option<Event<'a>>, JsonError> {
        if self.expect == Expect::Failed {
            return Err(self.error());
        }
        self.skip_blanks();
        let mut wants_key = false;
        match self.expect {
            Expect::Value => {}
            Expect::ValueOrEnd => {
                if self.peek() == Some(b']') {
                    return Ok(Some(self.close()));
                }
            }
            Expect::KeyOrEnd => {
                if self.peek() == Some(b'}') {
                    return Ok(Some(self.close()));
                }
                wants_key = true;
            }
            Expect::Next if self.depth == 0 => {
                return match self.peek() {
                    None => Ok(None),
                    Some(_) => Err(self.error()),
                };
            }
            Expect::Next => {
                wants_key = self.stack & 1 == 1;
                match (self.peek(), wants_key) {
                    (Some(b','), _) => {
                        self.advance();
                        self.skip_blanks();
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => return Ok(Some(self.close())),
                    _ => return Err(self.error()),
                }
            }
            Expect::Failed => return Err(self.error()),
        }
        // Called once each, so that both become part of this.
        if wants_key {
            self.read_key().map(Some)
        } else {
            self.read_value().map(Some)
        }
    }

    #[inline]
    fn read_key(&mut self) -> Result<Event<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.error());
        }
        let text = self.read_text()?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.error());
        }
        self.advance();
        self.expect = Expect::Value;
        Ok(Event::Key(text))
    }

    #[inline]
    fn read_value(&mut self) -> Result<Event<'a>, JsonError> {
        self.token = self.at;
        let event = match self.peek() {
            Some(b'{') => return self.open(1, Expect::KeyOrEnd, Event::ObjectStart),
            Some(b'[') => return self.open(0, Expect::ValueOrEnd, Event::ArrayStart),
            Some(b'"') => Event::String(self.read_text()?),
            Some(b'-' | b'0'..=b'9') => Event::Number(self.read_number()?),
            Some(b't') => self.read_word(b"true", Event::Bool(true))?,
            Some(b'f') => self.read_word(b"false", Event::Bool(false))?,
            Some(b'n') => self.read_word(b"null", Event::Null)?,
            _ => return Err(self.error()),
        };
        self.expect = Expect::Next;
        Ok(event)
    }

    fn open(&mut self, bit: u64, inside: Expect, event: Event<'a>) -> Result<Event<'a>, JsonError> {
        if self.depth >= self.limit {
            return Err(self.error());
        }
        self.depth = self.depth.wrapping_add(1);
        self.stack = self.stack.wrapping_shl(1) | bit;
        self.expect = inside;
        self.advance();
        Ok(event)
    }

    const fn close(&mut self) -> Event<'a> {
        let object = self.stack & 1 == 1;
        self.token = self.at;
        self.stack = self.stack.wrapping_shr(1);
        self.depth = self.depth.saturating_sub(1);
        self.expect = Expect::Next;
        self.advance();
        if object {
            Event::ObjectEnd
        } else {
            Event::ArrayEnd
        }
    }

    /// Reads a string; the read position is on its opening quote.
    fn read_text(&mut self) -> Result<Text<'a>, JsonError> {
        self.token = self.at;
        self.advance();
        let start = self.at;
        let mut escaped = false;
        let mut ascii = true;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at = self.at.wrapping_add(plain_len(rest));
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.advance();
                    self.read_escape()?;
                }
                Some(0x80..) => {
                    ascii = false;
                    self.advance();
                }
                _ => return Err(self.error()),
            }
        }
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        if !ascii && let Err(error) = core::str::from_utf8(raw) {
            self.at = start.saturating_add(error.valid_up_to());
            return Err(self.error());
        }
        self.advance();
        Ok(Text { raw, escaped })
    }

    fn read_escape(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.advance(),
            Some(b'u') => {
                self.advance();
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error());
                    }
                    self.advance();
                }
            }
            _ => return Err(self.error()),
        }
        Ok(())
    }

    fn read_number(&mut self) -> Result<&'a [u8], JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.advance();
        }
        if self.peek() == Some(b'0') {
            self.advance();
        } else {
            self.read_digits()?;
        }
        if self.peek() == Some(b'.') {
            self.advance();
            self.read_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.advance();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.advance();
            }
            self.read_digits()?;
        }
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    /// At least one digit.
    fn read_digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.error());
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.advance();
        }
        Ok(())
    }

    fn read_word(&mut self, word: &[u8], event: Event<'a>) -> Result<Event<'a>, JsonError> {
        for byte in word {
            if self.peek() != Some(*byte) {
                return Err(self.error());
            }
            self.advance();
        }
        Ok(event)
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.advance();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Over a byte that was seen, so `at` stays within the length.
    const fn advance(&mut self) {
        self.at = self.at.wrapping_add(1);
    }

    const fn error(&self) -> JsonError {
        JsonError { offset: self.at }
    }
}

/// Bytes up to the first that is not plain, eight at a time.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    const BLANKS: u64 = u64::from_ne_bytes([b' '; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut plain = 0_usize;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // A borrow marks wrong bytes only above a right one, and the lowest mark is what counts.
        let quotes = (word ^ QUOTES).wrapping_sub(ONES) & !(word ^ QUOTES);
        let backslashes = (word ^ BACKSLASHES).wrapping_sub(ONES) & !(word ^ BACKSLASHES);
        let marks = (quotes | backslashes | word.wrapping_sub(BLANKS) | word) & HIGHS;
        if marks != 0 {
            let [place, ..] = marks.trailing_zeros().wrapping_shr(3).to_le_bytes();
            return plain.wrapping_add(usize::from(place));
        }
        plain = plain.wrapping_add(8);
    }
    plain.wrapping_add(rest.iter().take_while(|byte| is_plain(**byte)).count())
}

/// Bytes of a string that need no look: ASCII without quote, backslash and control bytes.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x80 && byte != b'"' && byte != b'\\'
}

/// Undoes checked escapes. Text that was not checked (a hand-made [`Text`]) loses nothing: bad escapes stay.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escape, tail)) = rest.split_first() else {
            out.push(byte);
            break;
        };
        rest = tail;
        match escape {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let Some((unit, tail)) = code_unit(rest) else {
                    out.extend_from_slice(b"\\u");
                    continue;
                };
                rest = tail;
                let mut scalar = unit;
                if (0xd800..0xdc00).contains(&unit) {
                    let low = rest.strip_prefix(b"\\u").and_then(code_unit);
                    if let Some((low @ 0xdc00..0xe000, tail)) = low {
                        rest = tail;
                        scalar = ((unit & 0x3ff).wrapping_shl(10) | (low & 0x3ff))
                            .wrapping_add(0x1_0000);
                    }
                }
                push_scalar(&mut out, scalar);
            }
            other => out.push(other),
        }
    }
    out
}

/// Four hex digits.
fn code_unit(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<4>()?;
    let mut unit = 0_u32;
    for digit in digits {
        unit = unit.wrapping_shl(4) | char::from(*digit).to_digit(16)?;
    }
    Some((unit, rest))
}

/// UTF-8 of a scalar value; U+FFFD for a surrogate.
fn push_scalar(out: &mut Vec<u8>, scalar: u32) {
    let scalar = match scalar {
        0xd800..=0xdfff | 0x11_0000.. => 0xfffd,
        other => other,
    };
    let [_, high, middle, low] =
        (scalar & 0x3f | (scalar & 0xfc0) << 2 | (scalar & 0x3_f000) << 4).to_be_bytes();
    let lead = scalar.wrapping_shr(18).to_le_bytes()[0];
    match scalar {
        0..0x80 => out.push(low & 0x3f | middle.wrapping_shl(6)),
        0x80..0x800 => out.extend_from_slice(&[0xc0 | middle, 0x80 | low]),
        0x800..0x1_0000 => out.extend_from_slice(&[0xe0 | high, 0x80 | middle, 0x80 | low]),
        _ => out.extend_from_slice(&[0xf0 | lead, 0x80 | high, 0x80 | middle, 0x80 | low]),
    }
}

/// A member of an object: its name and its value's bytes as written.
pub type Member<'a> = (Text<'a>, &'a [u8]);

/// The members of the object that `bytes` are, in order. The whole text is validated when the iterator
/// has ended without an error; any other top-level value is an error.
#[must_use]
pub fn members(bytes: &[u8]) -> Members<'_> {
    Members {
        reader: Reader::new(bytes, MAX_JSON_DEPTH),
        state: MembersState::Before,
    }
}

/// See [`members`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    reader: Reader<'a>,
    state: MembersState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MembersState {
    Before,
    Inside,
    Done,
}

impl<'a> Members<'a> {
    fn step(&mut self) -> Result<Option<Member<'a>>, JsonError> {
        if self.state == MembersState::Before {
            self.state = MembersState::Inside;
            if self.reader.next_event()? != Some(Event::ObjectStart) {
                return Err(JsonError { offset: 0 });
            }
        }
        match self.reader.next_event()? {
            Some(Event::Key(name)) => Ok(self.reader.value()?.map(|value| (name, value))),
            _ => {
                self.state = MembersState::Done;
                self.reader.next_event().map(|_| None)
            }
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == MembersState::Done {
            return None;
        }
        let result = self.step();
        if result.is_err() {
            self.state = MembersState::Done;
        }
        result.transpose()
    }
}

/// Whether `bytes` are one object of at most `most` members whose (decoded) names all differ.
///
/// **Cost:** `most` comparisons a member.
///
/// # Errors
/// As [`members`].
pub fn unique_names(bytes: &[u8], most: usize) -> Result<bool, JsonError> {
    let mut names: Vec<Cow<'_, [u8]>> = Vec::new();
    let mut unique = true;
    for member in members(bytes) {
        let name = member?.0.decode();
        if unique {
            unique = names.len() < most && !names.contains(&name);
            names.push(name);
        }
    }
    Ok(unique)
}

/// The bytes, as written, of the value at a JSON Pointer (RFC 6901): `""` is the whole text, `/a/0` an
/// element. `None` when there is no such value or the pointer is not one.
///
/// # Errors
/// When `bytes` are not JSON as a whole, or a name on the way occurs twice in its object.
pub fn pointer<'a>(bytes: &'a [u8], pointer: &[u8]) -> Result<Option<&'a [u8]>, JsonError> {
    let mut whole = Reader::new(bytes, MAX_JSON_DEPTH);
    let mut here = whole.value()?;
    whole.next_event()?;
    let mut segments = pointer.split(|byte| *byte == b'/');
    if segments.next() != Some(b"") {
        return Ok(None);
    }
    for segment in segments {
        let Some(inside) = here else { break };
        here = child(inside, segment)?;
    }
    Ok(here)
}

/// The member or element of a container.
fn child<'a>(container: &'a [u8], segment: &[u8]) -> Result<Option<&'a [u8]>, JsonError> {
    let mut reader = Reader::new(container, MAX_JSON_DEPTH);
    match reader.next_event()? {
        Some(Event::ObjectStart) => {
            let mut found = None;
            while let Some(Event::Key(name)) = reader.next_event()? {
                let offset = reader.token;
                let value = reader.value()?;
                if segment_is(segment, &name.decode())
                    && core::mem::replace(&mut found, value).is_some()
                {
                    return Err(JsonError { offset });
                }
            }
            Ok(found)
        }
        Some(Event::ArrayStart) => {
            let Some(mut skip) = element_index(segment) else {
                return Ok(None);
            };
            while let Some(value) = reader.value()? {
                let Some(left) = skip.checked_sub(1) else {
                    return Ok(Some(value));
                };
                skip = left;
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Whether a pointer segment, `~1` and `~0` undone, is `name`.
fn segment_is(segment: &[u8], name: &[u8]) -> bool {
    let mut name = name.iter();
    let mut segment = segment.iter();
    while let Some(byte) = segment.next() {
        let wanted = match byte {
            b'~' => match segment.next() {
                Some(b'0') => b'~',
                Some(b'1') => b'/',
                _ => return false,
            },
            other => *other,
        };
        if name.next() != Some(&wanted) {
            return false;
        }
    }
    name.next().is_none()
}

/// `0`, or digits without a leading zero.
fn element_index(segment: &[u8]) -> Option<usize> {
    if segment.is_empty() || (segment.len() > 1 && segment.first() == Some(&b'0')) {
        return None;
    }
    segment.iter().try_fold(0_usize, |index, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        index
            .checked_mul(10)?
            .checked_add(usize::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests;
