//! `type: message_signature`: requests signed with HTTP Message Signatures (RFC 9421).

use alloc::vec;
use alloc::vec::Vec;

use crate::policy::compile::Compiler;
use crate::policy::read::{Located, Named, Path, keywords, section, texts};
use crate::policy::tokens::hmac::{ReplayConfig, role_list};

use crate::policy::tokens::Forwarded;
use crate::policy::tokens::jwt_keys::JwtKey;
use crate::policy::values::{Duration, Text, is_token};
use crate::stages::token::signed::message::{Asked, Required};
use crate::stages::token::signed::{Signed, SignedMessage};
use crate::stages::token::{Algorithm, Key, Provider, ProviderKind, Source};

section! {
    /// A request signed with HTTP Message Signatures (RFC 9421).
    struct MessageSignatureConfig {
        /// `message_signature`.
        r#type: MessageSignatureTag,
        /// Keys, each with an id, which `keyid` of the signature names. A key carries its algorithm: HS256 is
        /// `hmac-sha256`, RS256 `rsa-v1_5-sha256`, PS512 `rsa-pss-sha512`, ES256 `ecdsa-p256-sha256`, ES384
        /// `ecdsa-p384-sha384`, EdDSA `ed25519`.
        keys: Vec<Located<JwtKey>>,
        /// What must be covered: component names; `@target`: `@target-uri`, or `@authority` with `@request-target`, or
        /// `@authority` with `@path` and, when there is a query, `@query`; `content-digest`: when there is a body.
        require: Vec<Component> = ["@method", "@target", "content-digest"],
        /// Only signatures with this label; absent: any.
        label: Option<Text>,
        /// Only signatures with this `tag`; absent: any.
        tag: Option<Text>,
        /// Whether a `nonce` must be there.
        nonce: bool = false,
        /// How old or how far ahead `created` may be.
        window: Duration = "5m",
        /// What is done about requests that come again within the window.
        replay: ReplayConfig = {},
        /// Who signs; absent: the id of the key.
        subject: Option<Text>,
        /// Roles of whoever signs.
        roles: Vec<Text> = [],
        /// Headers to set: header name to `/sub`. The client's own copies are removed.
        forward: Named<Forwarded> = {},
    }
}

/// The tag of an RFC 9421 provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageSignatureTag;

keywords!(MessageSignatureTag, "a signed request", { "message_signature" => Self });

texts! {
    /// Something a signature must cover.
    Component(Required): "a component", "write a component such as `@method`, `@target`, `content-digest` or the name of a header",
        "^@?[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$", component;
}

/// Derived components that stand alone (RFC 9421 §2.2).
const DERIVED: &[&str] = &[
    "@authority",
    "@method",
    "@path",
    "@query",
    "@request-target",
    "@scheme",
    "@target-uri",
];

/// Algorithms with a name in RFC 9421.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::Hs256,
    Algorithm::Rs256,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];

fn component(text: &str) -> Option<Required> {
    let name = text.to_ascii_lowercase();
    match name.as_str() {
        "@target" => Some(Required::Target),
        "content-digest" => Some(Required::Digest),
        _ if DERIVED.contains(&name.as_str()) => Some(Required::Component(name.into_bytes())),
        _ if is_token(&name) && name.len() <= 128 => Some(Required::Component(name.into_bytes())),
        _ => None,
    }
}

impl Compiler<'_> {
    pub(in crate::policy) fn message_signature(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: MessageSignatureConfig,
    ) -> Provider {
        let MessageSignatureTag = config.r#type;
        let mut keys: Vec<Key> = Vec::new();
        let mut ids = Vec::new();
        for key in &config.keys {
            for added in self.jwt_key(&key.at, &key.value, Some(ALGORITHMS)) {
                match added.id().map(<[u8]>::to_vec) {
                    Some(id) => self.unique_id(&key.at, Some(&id), &mut ids),
                    None => self.errors.push(
                        &key.at,
                        "a key without an id",
                        "write `id` (`kid` in a JWK): the signature names its key by it",
                    ),
                }
                keys.push(added);
            }
        }
        if config.keys.is_empty() {
            self.errors
                .push(&at.key("keys"), "no usable key", "write at least one key");
        }
        if config.require.is_empty() && self.errors.is_empty() {
            self.errors.push(
                &at.key("require"),
                "a signature that need not cover anything",
                "name components such as `[\"@method\", \"@target\", content-digest]`",
            );
        }
        let asked = Asked {
            label: config.label.map(|it| it.0),
            tag: config.tag.map(|it| it.0),
            required: config.require.into_iter().map(|it| it.0).collect(),
            nonce: config.nonce,
        };
        let rules = Signed {
            window: self.seconds(&at.key("window"), config.window.0, 1, 86_400),
            replay: config.replay.0,
            subject: config.subject.map(|it| it.0),
            roles: role_list(&config.roles),
        };
        Provider {
            name,
            from: vec![Source::Header(b"signature-input".to_vec())],
            kind: ProviderKind::SignedMessage(SignedMessage { keys, asked, rules }),
            forward: self.forward_subject(config.forward),
            roles: Vec::new(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        }
    }
}
