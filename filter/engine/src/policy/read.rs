//! Reading a [`Node`] into configuration types: one declaration gives the reader and the JSON Schema.
//!
//! **In:** a tree. **Out:** a value, and in [`Errors`] every fault found on the way, not only the first.
//! **Invariant:** unknown, repeated and empty keys are errors. A faulty value is replaced by its default (or its
//! list item dropped) so that reading goes on; whoever started the reading refuses the whole when `Errors` is not empty.
//! **Rejected:** serde's derive: it stops at the first error and loses the key path.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde_json::{Map, Value, json};

use super::node::{Node, sorted};

/// One thing wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyError {
    /// Key path, such as `routes[2].token.any[0]`; `policy` for the whole.
    pub path: String,
    /// What is wrong, with the offending value in backticks.
    pub problem: String,
    /// What to write instead.
    pub help: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.problem, self.help)
    }
}

impl core::error::Error for PolicyError {}

/// Where in the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Key(key.to_owned()));
        path
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Index(index));
        path
    }

    /// Places in their containers, from the root down; missing keys come after present ones.
    fn order(&self, root: &Node) -> Vec<usize> {
        let mut node = Some(root);
        let mut order = Vec::new();
        for step in &self.0 {
            let (place, next) = match (step, node) {
                (Step::Key(key), Some(Node::Map(entries))) => entries
                    .iter()
                    .enumerate()
                    .find(|(_, (name, _))| name == key)
                    .map_or((usize::MAX, None), |(place, (_, next))| (place, Some(next))),
                (Step::Index(index), Some(Node::List(list))) => (*index, list.get(*index)),
                _ => (usize::MAX, None),
            };
            order.push(place);
            node = next;
        }
        order
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("policy");
        }
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(&excerpt(key))?;
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<(Path, PolicyError)>);

impl Errors {
    /// Errors reported at most; a policy with more has one mistake repeated.
    const MAX: usize = 100;

    pub(crate) fn push(&mut self, at: &Path, problem: impl Into<String>, help: impl Into<String>) {
        if self.0.len() < Self::MAX {
            let error = PolicyError {
                path: at.to_string(),
                problem: problem.into(),
                help: help.into(),
            };
            self.0.push((at.clone(), error));
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In document order.
    pub(crate) fn finish(self, root: &Node) -> Vec<PolicyError> {
        let list: Vec<_> = self
            .0
            .into_iter()
            .map(|(path, error)| (path.order(root), error))
            .collect();
        let list = sorted(list, |left, right| left.0.cmp(&right.0));
        list.into_iter().map(|(_, error)| error).collect()
    }

    /// The value is not what was expected there.
    pub(crate) fn wrong(&mut self, at: &Path, node: &Node, what: &str, help: impl Into<String>) {
        let problem = match node {
            Node::Null => "empty".to_owned(),
            Node::List(_) | Node::Map(_) => format!("{} is not {what}", node.kind()),
            Node::Bool(_) | Node::Number(_) | Node::String(_) => {
                format!(
                    "`{}` is not {what}",
                    excerpt(node.as_text().unwrap_or_default())
                )
            }
        };
        self.push(at, problem, help);
    }

    /// A key that does not exist here.
    pub(crate) fn unknown(&mut self, at: &Path, key: &str, known: &[&str]) {
        let help = nearest(key, known.iter().copied()).map_or_else(
            || format!("known keys are {}", quoted(known.iter().copied())),
            |near| format!("did you mean `{near}`?"),
        );
        self.push(&at.key(key), "unknown key", help);
    }

    /// A key written more than once.
    pub(crate) fn repeated(&mut self, at: &Path, key: &str) {
        self.push(&at.key(key), "written more than once", "keep one of them");
    }
}

/// A configuration type.
pub(crate) trait FromNode: Sized {
    /// Reads a value; `None` when an error was pushed that leaves nothing usable.
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self>;

    /// Its JSON Schema.
    fn schema() -> Value;

    /// What to write there, beginning with a verb.
    fn help() -> String;

    /// What an absent key without a default means; `None`: the key is required.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: FromNode> FromNode for Option<T> {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        T::read(node, at, errors).map(Some)
    }

    fn schema() -> Value {
        T::schema()
    }

    fn help() -> String {
        T::help()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let Node::List(list) = node else {
            errors.wrong(at, node, "a list", "write a list such as `[…]`");
            return None;
        };
        let items = list.iter().enumerate();
        Some(
            items
                .filter_map(|(index, item)| T::read(item, &at.index(index), errors))
                .collect(),
        )
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }

    fn help() -> String {
        "write a list".to_owned()
    }
}

/// A value that remembers where it stood, for checks across fields.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) at: Path,
    pub(crate) value: T,
}

impl<T: FromNode> FromNode for Located<T> {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        T::read(node, at, errors).map(|value| Self {
            at: at.clone(),
            value,
        })
    }

    fn schema() -> Value {
        T::schema()
    }

    fn help() -> String {
        T::help()
    }
}

/// A map whose keys are names chosen by the operator. A faulty value leaves its name.
#[derive(Debug, Clone)]
pub(crate) struct Named<T>(pub(crate) Vec<Entry<T>>);

#[derive(Debug, Clone)]
pub(crate) struct Entry<T> {
    pub(crate) name: String,
    pub(crate) at: Path,
    pub(crate) value: Option<T>,
}

impl<T: FromNode> FromNode for Named<T> {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let mut named: Vec<Entry<T>> = Vec::new();
        for (name, value) in entries(node, at, errors)? {
            if named.iter().any(|entry| entry.name == *name) {
                errors.repeated(at, name);
                continue;
            }
            let at = at.key(name);
            let value = T::read(value, &at, errors);
            named.push(Entry {
                name: name.clone(),
                at,
                value,
            });
        }
        Some(Self(named))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }

    fn help() -> String {
        "write a map".to_owned()
    }
}

impl FromNode for bool {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match node.as_text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                errors.wrong(at, node, "true or false", Self::help());
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }

    fn help() -> String {
        "write `true` or `false`".to_owned()
    }
}

/// The entries of a map.
pub(crate) fn entries<'n>(
    node: &'n Node,
    at: &Path,
    errors: &mut Errors,
) -> Option<&'n [(String, Node)]> {
    match node {
        Node::Map(entries) => Some(entries),
        _ => {
            errors.wrong(
                at,
                node,
                "a map",
                "write keys and values such as `{ key: value }`",
            );
            None
        }
    }
}

/// What a field is when its key is absent (or its value faulty): the declared default, read like any value.
#[inline(never)]
pub(crate) fn default_of<T: FromNode>(default: Option<&str>) -> Option<T> {
    let Some(text) = default else {
        return T::absent();
    };
    let node = Node::from_json(text).ok()?;
    T::read(&node, &Path::default(), &mut Errors::default())
}

/// Reads a field, once. Apart from the macro's code, which the module would hold once a field, not once a type.
#[inline(never)]
pub(crate) fn take_field<T: FromNode>(
    field: &mut Option<Option<T>>,
    value: &Node,
    at: &Path,
    key: &str,
    errors: &mut Errors,
) {
    if field.is_some() {
        errors.repeated(at, key);
    } else {
        *field = Some(T::read(value, &at.key(key), errors));
    }
}

/// What a field is after all keys were read.
#[inline(never)]
pub(crate) fn finish_field<T: FromNode>(
    field: Option<Option<T>>,
    default: Option<&str>,
    at: &Path,
    key: &str,
    errors: &mut Errors,
) -> Option<T> {
    match field {
        Some(Some(value)) => Some(value),
        Some(None) => default_of::<T>(default),
        None => {
            let value = default_of::<T>(default);
            if value.is_none() {
                errors.push(&at.key(key), "missing", T::help());
            }
            value
        }
    }
}

/// `r#match` is written `match`.
pub(crate) fn key_name(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// Adds description and default of a field to its type's schema.
pub(crate) fn field_schema(mut schema: Value, doc: &str, default: Option<&str>) -> Value {
    if let Value::Object(map) = &mut schema {
        map.insert("description".to_owned(), Value::String(one_line(doc)));
        if let Some(default) = default.and_then(|text| serde_json::from_str(text).ok()) {
            map.insert("default".to_owned(), default);
        }
    }
    schema
}

/// The schema of a section.
pub(crate) fn section_schema(
    doc: &str,
    properties: Map<String, Value>,
    required: &[&str],
) -> Value {
    let mut schema = json!({
        "type": "object",
        "description": one_line(doc),
        "additionalProperties": false,
        "properties": properties,
    });
    if let (Value::Object(map), false) = (&mut schema, required.is_empty()) {
        map.insert("required".to_owned(), json!(required));
    }
    schema
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names in backticks.
pub(crate) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| format!("`{}`", excerpt(name)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// At most 60 characters, on one line, safe to print.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
        .replace("\\\"", "\"")
        .replace("\\'", "'")
        .replace('`', "'")
}

/// The known name that differs least, if it differs by at most a third of its length.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3).max(1))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of the first 64 bytes, in one row.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<u8> = right.bytes().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.bytes().take(64).enumerate() {
        let mut diagonal = line;
        let mut last = line.saturating_add(1);
        let mut next = Vec::with_capacity(row.len());
        next.push(last);
        for (b, above) in right.iter().zip(row.iter().skip(1)) {
            let replace = diagonal.saturating_add(usize::from(a != *b));
            last = replace
                .min(above.saturating_add(1))
                .min(last.saturating_add(1));
            diagonal = *above;
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Declares a section: a struct, its reader and its schema. `name: Type = default` has a default in the policy's
/// own language; without one the key is required, unless the type says what its absence means.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        struct $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident : $type:ty $(= $default:tt)? ,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $( $(#[doc = $field_doc])* pub(crate) $field: $type, )*
        }

        impl $crate::policy::read::FromNode for $name {
            fn read(
                node: &$crate::policy::node::Node,
                at: &$crate::policy::read::Path,
                errors: &mut $crate::policy::read::Errors,
            ) -> Option<Self> {
                use $crate::policy::read::{entries, finish_field, key_name, take_field};
                $( let mut $field: Option<Option<$type>> = None; )*
                for (key, value) in entries(node, at, errors)? {
                    $( if key == key_name(stringify!($field)) {
                        take_field(&mut $field, value, at, key, errors);
                        continue;
                    } )*
                    errors.unknown(at, key, &[$( key_name(stringify!($field)) ),*]);
                }
                $( let $field = finish_field::<$type>(
                    $field,
                    section!(@default $($default)?),
                    at,
                    key_name(stringify!($field)),
                    errors,
                ); )*
                Some(Self { $( $field: $field?, )* })
            }

            fn schema() -> serde_json::Value {
                use $crate::policy::read::{field_schema, key_name, section_schema};
                let mut properties = serde_json::Map::new();
                let mut required = alloc::vec::Vec::new();
                $( {
                    let default: Option<&str> = section!(@default $($default)?);
                    let key = key_name(stringify!($field));
                    properties.insert(
                        key.into(),
                        field_schema(<$type>::schema(), concat!($($field_doc, "\n"),*), default),
                    );
                    if default.is_none() && <$type>::absent().is_none() {
                        required.push(key);
                    }
                } )*
                section_schema(concat!($($doc, "\n"),*), properties, &required)
            }

            fn help() -> alloc::string::String {
                const KEYS: &[&str] = &[$(stringify!($field)),*];
                alloc::format!(
                    "write a map with the keys {}",
                    $crate::policy::read::quoted(KEYS.iter().map(|key| $crate::policy::read::key_name(key)))
                )
            }
        }
    };
    (@default) => { None };
    (@default $default:tt) => { Some(stringify!($default)) };
}

/// Declares the words of an enum.
macro_rules! keywords {
    ($type:ty, $what:literal, { $( $(#[doc = $doc:literal])* $word:literal => $value:expr ),+ $(,)? }) => {
        impl $crate::policy::read::FromNode for $type {
            fn read(
                node: &$crate::policy::node::Node,
                at: &$crate::policy::read::Path,
                errors: &mut $crate::policy::read::Errors,
            ) -> Option<Self> {
                match node.as_word() {
                    $( Some($word) => Some($value), )+
                    _ => {
                        errors.wrong(at, node, $what, Self::help());
                        None
                    }
                }
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),+] })
            }

            fn help() -> alloc::string::String {
                const WORDS: &[&str] = &[$($word),+];
                if let [only] = WORDS {
                    return alloc::format!("write `{only}`");
                }
                alloc::format!("write one of {}", $crate::policy::read::quoted(WORDS.iter().copied()))
            }
        }
    };
}

/// Declares a kind of text: `Name(Inner): "what", "help", "schema pattern", parse`.
macro_rules! texts {
    ($( $(#[doc = $doc:literal])* $name:ident($inner:ty): $what:literal, $help:literal, $pattern:literal, $parse:expr; )+) => { $(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl $crate::policy::read::FromNode for $name {
            fn read(
                node: &$crate::policy::node::Node,
                at: &$crate::policy::read::Path,
                errors: &mut $crate::policy::read::Errors,
            ) -> Option<Self> {
                let parse: fn(&str) -> Option<$inner> = $parse;
                if let Some(value) = node.as_text().and_then(parse) {
                    return Some(Self(value));
                }
                errors.wrong(at, node, $what, $help);
                None
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": ["string", "number"], "pattern": $pattern })
            }

            fn help() -> alloc::string::String {
                alloc::borrow::ToOwned::to_owned($help)
            }
        }
    )+ };
}

pub(crate) use {keywords, section, texts};
