//! The policy as a tree, whatever carried it: JSON text, a YAML file, or Envoy's `google.protobuf.Struct`.
//!
//! **In:** bytes or any serde source. **Out:** [`Node`], with maps in document order (a `Struct` has none: by key).
//! **Invariant:** at most [`MAX_DEPTH`] deep; duplicate keys are kept, so that the reader can report them. Numbers
//! are text: Envoy turns some into strings and integers into doubles, so both are read alike later.
//! **Source:** RFC 8259; `google/protobuf/struct.proto`; protobuf encoding guide. Runs at configure time only.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Containers within containers that a policy may have; the policy language itself needs 6.
pub const MAX_DEPTH: usize = 64;

/// One value of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Nothing: `null`, or a YAML key without a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its shortest decimal text (`100` for 100.0).
    Number(String),
    /// Text.
    String(String),
    /// A list, in order.
    List(Vec<Self>),
    /// A map in document order; keys may be repeated (which the reader reports).
    Map(Vec<(String, Self)>),
}

/// Why bytes could not be read as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeError {
    /// In lower case, with the place.
    pub problem: String,
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl Node {
    /// Reads JSON text.
    ///
    /// # Errors
    /// Text that is not JSON, with line and column, or too deep.
    pub fn from_json(text: &str) -> Result<Self, NodeError> {
        serde_json::from_str(text).map_err(|error| NodeError {
            problem: format!("not JSON: {error}"),
        })
    }

    /// Reads the wire form of a `google.protobuf.Struct`. Its map has no order: keys are sorted.
    ///
    /// # Errors
    /// Bytes that are no such message, with the offset.
    pub fn from_struct_wire(bytes: &[u8]) -> Result<Self, NodeError> {
        let mut wire = Wire { bytes, at: 0 };
        wire.structure(bytes.len(), 0)
    }

    /// Reads what a Proxy-Wasm host hands to a plugin: JSON text (from a `StringValue`) or a `Struct`'s wire form.
    ///
    /// # Errors
    /// Neither of them, or nothing: an empty policy would otherwise silently allow everything.
    pub fn from_plugin_bytes(bytes: &[u8]) -> Result<Self, NodeError> {
        let Some(&first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) else {
            return Err(NodeError {
                problem: "the plugin configuration is empty".to_owned(),
            });
        };
        // A `Struct` begins with 0x0A, which is also a line feed before JSON text. They cannot be mistaken: every
        // entry of a `Struct` holds the tag 0x12, a control byte that JSON text never contains.
        if bytes.first() == Some(&0x0A) {
            match Self::from_struct_wire(bytes) {
                Ok(node) => return Ok(node),
                Err(error) if first != b'{' => return Err(error),
                Err(_) => {}
            }
        }
        if first != b'{' {
            return Err(NodeError {
                problem: "the plugin configuration is neither JSON text nor a `Struct`".to_owned(),
            });
        }
        let text = core::str::from_utf8(bytes).map_err(|error| NodeError {
            problem: format!("not JSON: byte {} is not UTF-8", error.valid_up_to()),
        })?;
        Self::from_json(text)
    }

    /// What it is, in the words of an error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Number(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The same where a word is expected: readers of YAML make booleans of `on` and `off`.
    #[must_use]
    pub fn as_word(&self) -> Option<&str> {
        match self {
            Self::Bool(true) => Some("on"),
            Self::Bool(false) => Some("off"),
            other => other.as_text(),
        }
    }

    /// The value of a key, when this is a map that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    fn number(value: f64) -> Self {
        // Beyond 2^53 a double no longer tells neighbours apart; such a number is shown as it is.
        Self::Number(format!("{value}"))
    }
}

/// Sorts by insertion, stable. The library's sort costs 10 KB of code for each element type; these lists are short.
pub(crate) fn sorted<T>(list: Vec<T>, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let mut out: Vec<T> = Vec::with_capacity(list.len());
    for item in list {
        let at = out.partition_point(|other| order(other, &item) != Ordering::Greater);
        out.insert(at, item);
    }
    out
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        At(0).deserialize(source)
    }
}

/// A seed that knows how deep it is.
#[derive(Clone, Copy)]
struct At(usize);

impl At {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.0 >= MAX_DEPTH {
            return Err(E::custom(format_args!("more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self(self.0.saturating_add(1)))
    }
}

impl<'de> DeserializeSeed<'de> for At {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Node, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Node, D::Error> {
        source.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, source: D) -> Result<Node, D::Error> {
        source.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::number(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Node, E> {
        Ok(Node::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Node, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(node) = source.next_element_seed(below)? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Node, A::Error> {
        let below = self.below()?;
        let mut entries = Vec::new();
        // As text, whatever it looks like: `on` is a key, not a boolean.
        while let Some(key) = source.next_key::<String>()? {
            entries.push((key, source.next_value_seed(below)?));
        }
        Ok(Node::Map(entries))
    }
}

/// A cursor over protobuf wire bytes. Every end it is given lies within `bytes`.
struct Wire<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The two wire types used by `Struct` besides LEN.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LEN: u64 = 2;

impl<'a> Wire<'a> {
    /// `Struct { map<string, Value> fields = 1; }`
    fn structure(&mut self, end: usize, depth: usize) -> Result<Node, NodeError> {
        if depth >= MAX_DEPTH {
            return Err(self.error("too deep"));
        }
        let mut entries: Vec<(String, Node)> = Vec::new();
        while self.at < end {
            self.tag(end, 1, LEN)?;
            let entry_end = self.length(end)?;
            let mut key = None;
            let mut value = None;
            while self.at < entry_end {
                match self.any_tag(entry_end)? {
                    (1, LEN) => key = Some(self.text(entry_end)?),
                    (2, LEN) => {
                        let value_end = self.length(entry_end)?;
                        value = Some(self.value(value_end, depth.saturating_add(1))?);
                    }
                    _ => return Err(self.error("an unknown field in a map entry")),
                }
            }
            let Some(value) = value else {
                return Err(self.error("a map entry without a value"));
            };
            entries.push((key.unwrap_or_default(), value));
        }
        Ok(Node::Map(sorted(entries, |left, right| {
            left.0.cmp(&right.0)
        })))
    }

    /// `Value { oneof kind { 1 null, 2 number, 3 string, 4 bool, 5 Struct, 6 ListValue } }`, exactly one.
    fn value(&mut self, end: usize, depth: usize) -> Result<Node, NodeError> {
        if self.at >= end {
            return Err(self.error("a value without a kind"));
        }
        let node = match self.any_tag(end)? {
            (1, VARINT) => {
                self.varint(end)?;
                Node::Null
            }
            (2, FIXED64) => {
                let bytes = self.take(8, end)?;
                let bytes = <[u8; 8]>::try_from(bytes).unwrap_or_default();
                let number = f64::from_le_bytes(bytes);
                if !number.is_finite() {
                    return Err(self.error("a number that is not finite"));
                }
                Node::number(number)
            }
            (3, LEN) => Node::String(self.text(end)?),
            (4, VARINT) => Node::Bool(self.varint(end)? != 0),
            (5, LEN) => {
                let inner = self.length(end)?;
                self.structure(inner, depth)?
            }
            (6, LEN) => {
                let inner = self.length(end)?;
                self.list(inner, depth)?
            }
            _ => return Err(self.error("an unknown field in a value")),
        };
        if self.at != end {
            return Err(self.error("more than one kind in a value"));
        }
        Ok(node)
    }

    /// `ListValue { repeated Value values = 1; }`
    fn list(&mut self, end: usize, depth: usize) -> Result<Node, NodeError> {
        if depth >= MAX_DEPTH {
            return Err(self.error("too deep"));
        }
        let mut list = Vec::new();
        while self.at < end {
            self.tag(end, 1, LEN)?;
            let value_end = self.length(end)?;
            list.push(self.value(value_end, depth.saturating_add(1))?);
        }
        Ok(Node::List(list))
    }

    fn tag(&mut self, end: usize, field: u64, kind: u64) -> Result<(), NodeError> {
        if self.any_tag(end)? == (field, kind) {
            Ok(())
        } else {
            Err(self.error("an unknown field"))
        }
    }

    fn any_tag(&mut self, end: usize) -> Result<(u64, u64), NodeError> {
        let tag = self.varint(end)?;
        Ok((tag >> 3, tag & 7))
    }

    fn varint(&mut self, end: usize) -> Result<u64, NodeError> {
        let mut value = 0u64;
        for shift in (0..64u32).step_by(7) {
            let byte = self.take(1, end)?.first().copied().unwrap_or_default();
            let part = u64::from(byte & 0x7F);
            value |= part.checked_shl(shift).unwrap_or_default();
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a number of more than ten bytes"))
    }

    /// Reads a length; answers where it ends.
    fn length(&mut self, end: usize) -> Result<usize, NodeError> {
        let length = self.varint(end)?;
        usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
            .filter(|inner| *inner <= end)
            .ok_or_else(|| self.error("a length beyond the end"))
    }

    fn text(&mut self, end: usize) -> Result<String, NodeError> {
        let inner = self.length(end)?;
        let bytes = self.take(inner.saturating_sub(self.at), inner)?;
        core::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| self.error("text that is not UTF-8"))
    }

    fn take(&mut self, count: usize, end: usize) -> Result<&'a [u8], NodeError> {
        let stop = self.at.saturating_add(count);
        if stop > end {
            return Err(self.error("cut short"));
        }
        let taken = self
            .bytes
            .get(self.at..stop)
            .ok_or_else(|| self.error("cut short"))?;
        self.at = stop;
        Ok(taken)
    }

    fn error(&self, what: &str) -> NodeError {
        NodeError {
            problem: format!("not a `Struct`: {what} at byte {}", self.at),
        }
    }
}
