//! `limits[].key`: what tells counters apart.
//!
//! **In:** the list as written. **Out:** [`KeyPart`]s.
//! **Invariant:** no part stands twice; a part that is known only after the phase of its limit is an error.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::policy::compile::Compiler;
use crate::policy::config::one_key;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Path, section};
use crate::policy::values::{BodyField, HeaderName};
use crate::stages::limits::{KeyPart, Limit};

/// A part of a counter's key.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) KeyPart);

section! {
    /// A header or body field whose value tells counters apart.
    struct KeyMap {
        /// Header name.
        header: Option<HeaderName>,
        /// Body field, such as `username` or `user.name`.
        field: Option<BodyField>,
    }
}

impl FromNode for Key {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match node.as_text() {
            Some("account") => return Some(Self(KeyPart::Account)),
            Some("client") => return Some(Self(KeyPart::Client)),
            Some("subject") => return Some(Self(KeyPart::Subject)),
            _ => {}
        }
        if let Node::Map(_) = node {
            match KeyMap::read(node, at, errors)? {
                KeyMap {
                    header: Some(name),
                    field: None,
                } => return Some(Self(KeyPart::Header(name.0))),
                KeyMap {
                    header: None,
                    field: Some(name),
                } => return Some(Self(KeyPart::Field(name.0))),
                KeyMap { .. } => {}
            }
        }
        errors.wrong(at, node, "a part of a key", Self::help());
        None
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "enum": ["client", "account", "subject"] }, one_key(&KeyMap::schema())] })
    }

    fn help() -> String {
        "write `client`, `account`, `subject`, `{ header: NAME }` or `{ field: NAME }`".to_owned()
    }
}

impl Compiler<'_> {
    pub(super) fn limit_key(&mut self, at: &Path, parts: Vec<Key>) -> Vec<KeyPart> {
        let mut key = Vec::new();
        key.extend(parts.into_iter().map(|part| part.0));
        if key.is_empty() {
            self.errors.push(
                &at.key("key"),
                "an empty list",
                "write what tells counters apart such as `[client]`",
            );
        }
        let twice = key.iter().enumerate().any(|(index, part)| {
            key.iter()
                .skip(index.saturating_add(1))
                .any(|other| other == part)
        });
        if twice || key.len() > 4 {
            self.errors.push(
                &at.key("key"),
                "the same part twice, or more than 4",
                "write each part once",
            );
        }
        key
    }

    /// Whether the parts are known when the limit is judged.
    pub(super) fn check_key(&mut self, at: &Path, limit: &Limit) {
        let late = |part: &KeyPart| matches!(part, KeyPart::Subject | KeyPart::Field(_));
        if limit.failures && limit.key.iter().any(late) {
            self.errors.push(
                &at.key("key"),
                "what is known only after the credential was verified",
                "count failures by `client`, `account` and headers",
            );
        }
        if !limit.failures && limit.key.contains(&KeyPart::Account) {
            self.errors.push(
                &at.key("key"),
                "`account` without `count: { failures: authentication }`",
                "write `subject` for who was verified",
            );
        }
    }
}
