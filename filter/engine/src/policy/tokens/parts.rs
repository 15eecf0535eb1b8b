//! What a provider and a route say of credentials and claims: places, forwarded headers, claim rules.
//!
//! **In:** parts of the sections as written. **Out:** [`Source`], [`Forward`], [`Rule`], or errors with their key paths.
//! **Invariant:** a header that claims are forwarded in is no header of the connection, of the client or of the host; a
//! claim rule asks something.
//! **Source:** RFC 6901 (pointers), RFC 9110 §7.6.1 (hop-by-hop fields).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::policy::compile::Compiler;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Located, Named, Path, excerpt, keywords, section};
use crate::policy::values::{BodyField, CookieName, HeaderName, Pointer, Text, is_token};
use crate::stages::token::rule::compare;
use crate::stages::token::{Form, Forward, Rule, Source, Test};

/// Where a credential is carried: one place or several.
#[derive(Debug, Clone)]
pub(crate) struct From(pub(crate) Vec<Source>);

section! {
    /// A header, a cookie or a query parameter that carries the credential.
    struct Carrier {
        /// Header name; its whole value is the credential, or what follows `prefix`.
        header: Option<HeaderName>,
        /// Scheme before the credential in a header, such as `JWT`; another scheme carries nothing.
        prefix: Option<Text>,
        /// Cookie name.
        cookie: Option<CookieName>,
        /// Name of a query parameter. A URL is kept in histories and logs: for clients that cannot send a header.
        query: Option<BodyField>,
    }
}

fn source(node: &Node, at: &Path, errors: &mut Errors) -> Option<Source> {
    if node.as_text() == Some("bearer") {
        return Some(Source::Bearer);
    }
    if let Node::Map(_) = node {
        match Carrier::read(node, at, errors)? {
            Carrier {
                header: Some(name),
                prefix: None,
                cookie: None,
                query: None,
            } => return Some(Source::Header(name.0)),
            Carrier {
                header: Some(name),
                prefix: Some(prefix),
                cookie: None,
                query: None,
            } => {
                let prefix = prefix.0.trim_ascii().to_vec();
                let header = name.0;
                return Some(Source::Scheme { header, prefix });
            }
            Carrier {
                header: None,
                prefix: None,
                cookie: Some(name),
                query: None,
            } => return Some(Source::Cookie(name.0)),
            Carrier {
                header: None,
                prefix: None,
                cookie: None,
                query: Some(name),
            } => return Some(Source::Query(name.0)),
            Carrier { .. } => {}
        }
    }
    errors.wrong(at, node, "a place for a credential", From::help());
    None
}

impl FromNode for From {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let Node::List(list) = node else {
            return source(node, at, errors).map(|source| Self(vec![source]));
        };
        let mut sources: Vec<Source> = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let at = at.index(index);
            let Some(source) = source(item, &at, errors) else {
                continue;
            };
            if sources.contains(&source) {
                errors.push(&at, "a place that is named before", "keep one of them");
            } else {
                sources.push(source);
            }
        }
        if list.is_empty() {
            errors.push(at, "an empty list", Self::help());
            return None;
        }
        Some(Self(sources))
    }

    fn schema() -> Value {
        let mut carrier = Carrier::schema();
        if let Value::Object(map) = &mut carrier {
            map.insert(
                "oneOf".to_owned(),
                json!([{ "required": ["header"] }, { "required": ["cookie"] }, { "required": ["query"] }]),
            );
            map.insert(
                "dependentRequired".to_owned(),
                json!({ "prefix": ["header"] }),
            );
        }
        let one = json!({ "oneOf": [{ "const": "bearer" }, carrier] });
        json!({ "oneOf": [one.clone(), { "type": "array", "items": one, "minItems": 1 }] })
    }

    fn help() -> String {
        "write `bearer`, `{ header: NAME }`, `{ cookie: NAME }`, `{ query: NAME }`, or a list of them"
            .to_owned()
    }
}

/// What becomes of a credential that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForwardCredential {
    Keep,
    Strip,
}

keywords!(ForwardCredential, "a choice", { "keep" => Self::Keep, "strip" => Self::Strip });
keywords!(Form, "a form of a header", {
    "plain" => Self::Plain, "text" => Self::Text, "list" => Self::List, "json" => Self::Json, "base64" => Self::Base64
});

/// A claim to forward.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    pub(super) claim: Vec<u8>,
    pub(super) form: Form,
}

section! {
    /// A claim and how it is written into its header.
    struct ForwardedClaim {
        /// JSON Pointer or dotted name; the empty text is the whole payload.
        claim: Whole,
        /// `plain`: a scalar as it is, an array of strings with commas; `text`: a scalar; `list`: an array of scalars with
        /// commas; `json`: without blanks; `base64`: base64url without padding, of a string's text or of the JSON as signed.
        r#as: Form = "plain",
    }
}

/// A claim, or the whole payload.
#[derive(Debug, Clone)]
pub(crate) struct Whole(Vec<u8>);

impl FromNode for Whole {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        if node.as_text() == Some("") {
            return Some(Self(Vec::new()));
        }
        Pointer::read(node, at, errors).map(|pointer| Self(pointer.0))
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "const": "" }, Pointer::schema()] })
    }

    fn help() -> String {
        Pointer::help()
    }
}

impl FromNode for Forwarded {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let Node::Map(_) = node else {
            return Pointer::read(node, at, errors).map(|pointer| Self {
                claim: pointer.0,
                form: Form::Plain,
            });
        };
        let ForwardedClaim { claim, r#as: form } = ForwardedClaim::read(node, at, errors)?;
        if claim.0.is_empty() && !matches!(form, Form::Json | Form::Base64) {
            errors.push(
                &at.key("as"),
                "a payload is no scalar and no list",
                "write `as: base64` or `as: json`",
            );
        }
        Some(Self {
            claim: claim.0,
            form,
        })
    }

    fn schema() -> Value {
        json!({ "oneOf": [Pointer::schema(), ForwardedClaim::schema()] })
    }

    fn help() -> String {
        "write a claim such as `/sub`, or `{ claim: /roles, as: list }`".to_owned()
    }
}

section! {
    /// What a claim must be; all given tests must hold. A claim that is absent or `null` holds only `exists: false`.
    struct RuleConfig {
        /// JSON Pointer or dotted name of the claim.
        claim: ClaimName,
        /// The claim is this text, number or boolean.
        equals: Option<Scalar>,
        /// The claim is one of these.
        one_of: Option<Vec<Scalar>>,
        /// A list (or words between blanks) that has this, or all of these.
        contains: Option<Scalars>,
        /// A list (or words between blanks) that has one of these.
        contains_any: Option<Vec<Scalar>>,
        /// A number, at least this.
        min: Option<Number>,
        /// A number, at most this.
        max: Option<Number>,
        /// Whether the claim is there.
        exists: Option<bool>,
    }
}

/// A claim with the text that names it.
#[derive(Debug, Clone)]
pub(crate) struct ClaimName {
    pointer: Vec<u8>,
    name: Vec<u8>,
}

impl FromNode for ClaimName {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let pointer = Pointer::read(node, at, errors)?.0;
        let name = node.as_text().unwrap_or_default().as_bytes().to_vec();
        Some(Self { pointer, name })
    }

    fn schema() -> Value {
        Pointer::schema()
    }

    fn help() -> String {
        Pointer::help()
    }
}

/// A text, number or boolean, as its text: the claim's type says how it is compared.
#[derive(Debug, Clone)]
pub(crate) struct Scalar(Vec<u8>);

impl FromNode for Scalar {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match node.as_text() {
            Some(text) if text.len() <= 1024 => Some(Self(text.as_bytes().to_vec())),
            _ => {
                errors.wrong(at, node, "a text, number or boolean", Self::help());
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": ["string", "number", "boolean"] })
    }

    fn help() -> String {
        "write a text of at most 1024 bytes, a number, `true` or `false`".to_owned()
    }
}

/// One value or a list of them.
#[derive(Debug, Clone)]
pub(crate) struct Scalars(Vec<Scalar>);

impl FromNode for Scalars {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match node {
            Node::List(_) => Vec::<Scalar>::read(node, at, errors).map(Self),
            _ => Scalar::read(node, at, errors).map(|value| Self(vec![value])),
        }
    }

    fn schema() -> Value {
        json!({ "oneOf": [Scalar::schema(), Vec::<Scalar>::schema()] })
    }

    fn help() -> String {
        "write a value or a list of values".to_owned()
    }
}

/// A number of any size.
#[derive(Debug, Clone)]
pub(crate) struct Number(Vec<u8>);

impl FromNode for Number {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let text = node.as_text().map(str::as_bytes).unwrap_or_default();
        if compare(text, text).is_some() {
            return Some(Self(text.to_vec()));
        }
        errors.wrong(at, node, "a number", Self::help());
        None
    }

    fn schema() -> Value {
        json!({ "type": ["number", "string"], "pattern": "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]{1,9})?$" })
    }

    fn help() -> String {
        "write a number such as `18` or `0.5`".to_owned()
    }
}

impl Compiler<'_> {
    pub(in crate::policy) fn forward(&mut self, forward: Named<Forwarded>) -> Vec<Forward> {
        let mut out = Vec::new();
        for entry in forward.0 {
            let name = entry.name.as_str();
            if !is_token(name)
                || name.len() > 128
                || name.bytes().any(|byte| byte.is_ascii_uppercase())
            {
                self.errors.push(
                    &entry.at,
                    format!("`{}` is not a lower-case header name", excerpt(name)),
                    "write a name such as `x-user`",
                );
            } else if RESERVED.contains(&name) {
                self.errors.push(
                    &entry.at,
                    format!("`{name}` belongs to the connection or the client"),
                    "write a name of your own such as `x-user`",
                );
            } else if let Some(Forwarded { claim, form }) = entry.value {
                out.push(Forward {
                    header: entry.name.into_bytes(),
                    claim,
                    form,
                });
            }
        }
        out
    }

    pub(in crate::policy) fn rules(&mut self, rules: Vec<Located<RuleConfig>>) -> Vec<Rule> {
        let mut out = Vec::new();
        for Located { at, value } in rules {
            let texts = |list: Vec<Scalar>| list.into_iter().map(|it| it.0).collect::<Vec<_>>();
            let mut tests = Vec::new();
            let lists: [(_, _, fn(_) -> _); 3] = [
                ("one_of", value.one_of.map(texts), Test::OneOf),
                (
                    "contains",
                    value.contains.map(|it| texts(it.0)),
                    Test::Contains,
                ),
                (
                    "contains_any",
                    value.contains_any.map(texts),
                    Test::ContainsAny,
                ),
            ];
            tests.extend(value.equals.map(|it| Test::OneOf(vec![it.0])));
            for (key, list, test) in lists {
                let Some(list) = list else { continue };
                if list.is_empty() {
                    self.errors
                        .push(&at.key(key), "an empty list", "write at least one value");
                }
                tests.push(test(list));
            }
            tests.extend(value.min.map(|it| Test::Min(it.0)));
            tests.extend(value.max.map(|it| Test::Max(it.0)));
            tests.extend(value.exists.map(Test::Exists));
            if tests.is_empty() {
                self.errors.push(
                    &at,
                    "a rule that asks nothing",
                    "write `equals`, `one_of`, `contains`, `contains_any`, `min`, `max` or `exists`",
                );
            }
            out.push(Rule {
                name: value.claim.name,
                claim: value.claim.pointer,
                tests,
            });
        }
        out
    }
}

/// Headers a claim is never forwarded in: hop-by-hop, framing, routing, credentials, and what the host writes itself.
const RESERVED: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];
