//! `type: hmac`: bodies that their sender has signed with a shared secret.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::policy::compile::Compiler;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Located, Named, Path, keywords, section, texts};
use crate::policy::tokens::{Forwarded, Sealed, Written, decode_base64};
use crate::policy::values::{Duration, Encoding, EnvName, HeaderName, Text, is_token};
use crate::stages::token::signed::body::{Format, Layout, MOST_KEYS, MacEncoding, Part, Place};
use crate::stages::token::signed::{Replay, Signed, SignedBody};
use crate::stages::token::{Forward, HmacAlgorithm, Key, Provider, ProviderKind, Secret, Source};

section! {
    /// A body signed with an HMAC, in the layout of a known sender or one described here.
    struct HmacConfig {
        /// `hmac`.
        r#type: HmacTag,
        /// A known layout; absent: `signature` and `signed` describe it.
        scheme: Option<Scheme>,
        /// Where the signature is.
        signature: Option<SignatureConfig>,
        /// What is signed, such as `{timestamp}.{body}`. In braces: `body`, `method`, `path`, `query`, `target` (as
        /// received), `timestamp`, `header:NAME`. What stands before the body must not contain the literal that follows it,
        /// what stands behind the body not the literal before it.
        signed: Option<Template>,
        /// Header with the time of signing, in seconds since 1970; absent: nothing tells the time.
        timestamp: Option<HeaderName>,
        /// Hash of the HMAC.
        algorithm: Option<Hash>,
        /// Keys; all verify, so that one can follow another.
        keys: Vec<Located<HmacKey>>,
        /// How old or how far ahead a signature may be; without a time, how long a body is remembered.
        window: Duration = "5m",
        /// What is done about bodies that come again within the window.
        replay: ReplayConfig = {},
        /// Who signs; absent: the provider's name.
        subject: Option<Text>,
        /// Roles of whoever signs.
        roles: Vec<Text> = [],
        /// Headers to set: header name to `/sub`. The client's own copies are removed.
        forward: Named<Forwarded> = {},
    }
}

section! {
    /// The header that carries the signature.
    struct SignatureConfig {
        /// Its name; it is sent once.
        header: HeaderName,
        /// What stands before the signature.
        prefix: Option<Text>,
        /// How the signature is written.
        encoding: MacEncoding = "hex",
    }
}

section! {
    /// A key of an `hmac` provider.
    struct HmacKey {
        /// Environment variable of the VM that holds the key.
        env: EnvName,
        /// The key itself, sealed (Fernet): what `palisade token seal` prints.
        sealed: Option<Sealed>,
        /// How the key is written, in the variable or under the seal; absent: `raw`, or for `standard-webhooks`
        /// `whsec_` and base64.
        encoding: Option<Encoding>,
    }
}

/// The tag of an HMAC provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HmacTag;

/// Layouts of known senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Github,
    Slack,
    StandardWebhooks,
    Stripe,
}

/// Hash of a layout's HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(HmacAlgorithm);

keywords!(HmacTag, "a signed body", { "hmac" => Self });
keywords!(Scheme, "a known layout", {
    "standard-webhooks" => Self::StandardWebhooks, "github" => Self::Github, "stripe" => Self::Stripe, "slack" => Self::Slack
});
keywords!(Hash, "a hash", {
    "sha256" => Self(HmacAlgorithm::Sha256), "sha384" => Self(HmacAlgorithm::Sha384), "sha512" => Self(HmacAlgorithm::Sha512)
});
keywords!(MacEncoding, "an encoding", { "hex" => Self::Hex, "base64" => Self::Base64 });

texts! {
    /// What is signed.
    Template(Vec<Part>): "a template", "write what is signed, `{body}` in it, such as `{timestamp}.{body}`; a literal between two of `{…}`",
        "^[^{}]{0,64}(\\{[a-z]+(:[^{}]{1,128})?\\}[^{}]{0,64})+$", template;
}

/// What is done about requests that come again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayConfig(pub(crate) Replay);

section! {
    /// Requests that come again are refused.
    struct ReplayMap {
        /// What is done when the table of marks cannot tell: `deny` (503) or `allow`, with a finding in the event.
        on_full: OnFull = "deny",
    }
}

/// When the table of marks is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFull {
    Allow,
    Deny,
}

keywords!(OnFull, "a choice", { "deny" => Self::Deny, "allow" => Self::Allow });

impl FromNode for ReplayConfig {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        if node.as_text() == Some("ignore") {
            return Some(Self(Replay::Ignore));
        }
        if let Node::Map(_) = node {
            return ReplayMap::read(node, at, errors).map(|map| {
                Self(match map.on_full {
                    OnFull::Allow => Replay::AllowWhenFull,
                    OnFull::Deny => Replay::DenyWhenFull,
                })
            });
        }
        errors.wrong(at, node, "a choice", Self::help());
        None
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "const": "ignore" }, ReplayMap::schema()] })
    }

    fn help() -> String {
        "write `{ on_full: deny }`, `{ on_full: allow }` or `ignore`".to_owned()
    }
}

impl Compiler<'_> {
    pub(in crate::policy) fn hmac(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: HmacConfig,
    ) -> Provider {
        let HmacTag = config.r#type;
        let algorithm = config
            .algorithm
            .map_or(HmacAlgorithm::Sha256, |Hash(algorithm)| algorithm);
        let (header, layout) = match config.scheme {
            Some(scheme) => {
                let own = config.signature.is_some()
                    || config.signed.is_some()
                    || config.timestamp.is_some()
                    || config.algorithm.is_some();
                if own {
                    self.errors.push(
                        &at.key("scheme"),
                        "the layout is described twice",
                        "leave `scheme` out, or `signature`, `signed`, `timestamp` and `algorithm`",
                    );
                }
                scheme.layout()
            }
            None => self.own_layout(at, &config),
        };
        let mut keys = Vec::new();
        for key in &config.keys {
            let webhooks = config.scheme == Some(Scheme::StandardWebhooks);
            let encoding = key.value.encoding;
            keys.extend(self.sender_key(key, algorithm, webhooks && encoding.is_none()));
        }
        if config.keys.is_empty() || config.keys.len() > MOST_KEYS {
            self.errors.push(
                &at.key("keys"),
                "no usable key, or too many",
                format!("write 1 to {MOST_KEYS} keys"),
            );
        }
        let rules = Signed {
            window: self.seconds(&at.key("window"), config.window.0, 1, 86_400),
            replay: config.replay.0,
            subject: Some(config.subject.map_or_else(|| name.clone(), |it| it.0)),
            roles: role_list(&config.roles),
        };
        Provider {
            name,
            from: vec![Source::Header(header)],
            kind: ProviderKind::SignedBody(SignedBody {
                keys,
                layout,
                rules,
            }),
            forward: self.forward_subject(config.forward),
            roles: Vec::new(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        }
    }

    /// Senders choose these secrets: less than the hash is discouraged (RFC 2104 §3), less than 128 bits is refused.
    fn sender_key(
        &mut self,
        key: &Located<HmacKey>,
        algorithm: HmacAlgorithm,
        webhooks: bool,
    ) -> Option<Key> {
        const LEAST: usize = 16;
        let written = Written {
            env: &key.value.env,
            sealed: key.value.sealed.as_ref(),
            encoding: key.value.encoding.unwrap_or(Encoding::Raw),
        };
        let mut secret = self.secret(&key.at, written)?;
        if webhooks {
            let text = secret.trim_ascii();
            let text = text.strip_prefix(b"whsec_").unwrap_or(text);
            secret = decode_base64(text).unwrap_or_default();
        }
        if secret.len() < LEAST {
            let (place, named) = written.place();
            self.errors.push(
                &key.at.key(place),
                format!(
                    "the key in {named} has {} bytes that can be read, it needs at least {LEAST}",
                    secret.len()
                ),
                "use the secret as the sender shows it (`standard-webhooks`: `whsec_` and base64)",
            );
            return None;
        }
        Key::new(None, algorithm, &Secret(secret))
    }

    fn own_layout(&mut self, at: &Path, config: &HmacConfig) -> (Vec<u8>, Layout) {
        let (Some(signature), Some(signed)) = (&config.signature, &config.signed) else {
            self.errors.push(
                at,
                "no layout",
                "write a `scheme` such as `standard-webhooks`, or `signature` and `signed`",
            );
            return Scheme::Github.layout();
        };
        let timed = signed.0.contains(&Part::Timestamp)
            || config
                .timestamp
                .as_ref()
                .is_some_and(|name| signed.0.contains(&Part::Header(name.0.clone())));
        if timed != config.timestamp.is_some() {
            self.errors.push(
                &at.key("timestamp"),
                "a time that is not signed, or signed and not named",
                "name the header in `timestamp`, and write `{timestamp}` in `signed`",
            );
        }
        let prefix = signature.prefix.as_ref();
        let layout = Layout {
            format: Format::One {
                prefix: prefix.map_or_else(Vec::new, |prefix| prefix.0.clone()),
            },
            encoding: signature.encoding,
            timestamp: config
                .timestamp
                .as_ref()
                .map(|name| Place::Header(name.0.clone())),
            signed: signed.0.clone(),
        };
        (signature.header.0.clone(), layout)
    }

    /// `forward` of a provider that knows a subject and nothing else.
    pub(in crate::policy) fn forward_subject(&mut self, forward: Named<Forwarded>) -> Vec<Forward> {
        for entry in &forward.0 {
            if entry.value.as_ref().is_some_and(|it| it.claim != b"/sub") {
                self.errors.push(
                    &entry.at,
                    "a signature tells who signed, and nothing else",
                    "write `/sub`",
                );
            }
        }
        self.forward(forward)
    }
}

/// Each followed by a NUL.
pub(in crate::policy) fn role_list(roles: &[Text]) -> Vec<u8> {
    let mut list = Vec::new();
    for role in roles {
        list.extend_from_slice(&role.0);
        list.push(0);
    }
    list
}

impl Scheme {
    fn layout(self) -> (Vec<u8>, Layout) {
        let header = |name: &[u8]| Part::Header(name.to_vec());
        let text = |text: &[u8]| Part::Literal(text.to_vec());
        let (name, layout): (&[u8], Layout) = match self {
            Self::Github => (
                b"x-hub-signature-256",
                Layout {
                    format: Format::One {
                        prefix: b"sha256=".to_vec(),
                    },
                    encoding: MacEncoding::Hex,
                    timestamp: None,
                    signed: vec![Part::Body],
                },
            ),
            Self::Slack => (
                b"x-slack-signature",
                Layout {
                    format: Format::One {
                        prefix: b"v0=".to_vec(),
                    },
                    encoding: MacEncoding::Hex,
                    timestamp: Some(Place::Header(b"x-slack-request-timestamp".to_vec())),
                    signed: vec![text(b"v0:"), Part::Timestamp, text(b":"), Part::Body],
                },
            ),
            Self::StandardWebhooks => (
                b"webhook-signature",
                Layout {
                    format: Format::Blanks {
                        prefix: b"v1,".to_vec(),
                    },
                    encoding: MacEncoding::Base64,
                    timestamp: Some(Place::Header(b"webhook-timestamp".to_vec())),
                    signed: vec![
                        header(b"webhook-id"),
                        text(b"."),
                        Part::Timestamp,
                        text(b"."),
                        Part::Body,
                    ],
                },
            ),
            Self::Stripe => (
                b"stripe-signature",
                Layout {
                    format: Format::Pairs {
                        signature: b"v1".to_vec(),
                    },
                    encoding: MacEncoding::Hex,
                    timestamp: Some(Place::Pair(b"t".to_vec())),
                    signed: vec![Part::Timestamp, text(b"."), Part::Body],
                },
            ),
        };
        (name.to_vec(), layout)
    }
}

/// `{body}` once, a literal between two variables and of at most 64 bytes.
fn template(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (literal, after) = match rest.split_once('{') {
            Some((literal, after)) => (literal, Some(after)),
            None => (rest, None),
        };
        if literal.len() > 64 || literal.contains('}') || parts.len() > 32 {
            return None;
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.as_bytes().to_vec()));
        }
        let Some(after) = after else { break };
        let (variable, after) = after.split_once('}')?;
        if !matches!(parts.last(), None | Some(Part::Literal(_))) {
            return None;
        }
        parts.push(match variable {
            "body" => Part::Body,
            "method" => Part::Method,
            "path" => Part::Path,
            "query" => Part::Query,
            "target" => Part::Target,
            "timestamp" => Part::Timestamp,
            named => {
                let name = named.strip_prefix("header:")?;
                let name = is_token(name).then(|| name.to_ascii_lowercase())?;
                Part::Header(name.into_bytes())
            }
        });
        rest = after;
    }
    let bodies = parts.iter().filter(|part| **part == Part::Body).count();
    (bodies == 1).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let literal = |text: &str| Part::Literal(text.as_bytes().to_vec());
        assert_eq!(
            template("v1:{method}\n{header:X-Date}\n{body}").unwrap(),
            [
                literal("v1:"),
                Part::Method,
                literal("\n"),
                Part::Header(b"x-date".to_vec()),
                literal("\n"),
                Part::Body
            ]
        );
        for wrong in [
            "",
            "{timestamp}.",
            "{timestamp}{body}",
            "{body}.{body}",
            "{nothing}.{body}",
            "{header:}.{body}",
            "{header:a b}.{body}",
            "{body",
            "}{body}",
        ] {
            assert!(template(wrong).is_none(), "{wrong}");
        }
    }
}
