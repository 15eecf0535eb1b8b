//! `type: session`: the token, its cookie, CSRF.
//!
//! **Invariant:** what a format, a source or a cookie's name cannot hold is an error, not a rule that never applies.
//! **Source:** RFC 6265bis §4.1.3 (`__Host-`, `__Secure-`), RFC 6454 §7 (origins).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::policy::compile::{Compiler, bytes};
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Located, Named, Path, section};
use crate::policy::tokens::{ForwardCredential, Forwarded, From, RuleConfig, Written, decode_hex};
use crate::policy::values::{
    Attack, Binding, CookieName, CookiePath, Count, Duration, Encoding, EnvName, HeaderName, Host,
    Method, OriginText, Pointer, SameSite, Sealed, SessionTag, Text,
};
use crate::stages::token::{
    Bindings, CookieOut, Csrf, HmacAlgorithm, Prefix, Provider, ProviderKind, Renewal, Revocation,
    Session, SessionFormat, Source,
};

section! {
    /// A session token signed with HMAC-SHA256.
    struct SessionConfig {
        /// `session`.
        r#type: SessionTag,
        /// Where the token is carried.
        from: From,
        /// `v1`: `v1.<payload>.<mac>`; `colon`: `subject:issued_at:hex-hmac`.
        format: SessionFormat = "v1",
        /// Keys; all verify, the first signs renewed tokens.
        keys: Vec<Located<SessionKey>>,
        /// How long a token is valid after it was issued.
        lifetime: Duration = "1h",
        /// Clock skew.
        leeway: Duration = "30s",
        /// How long a token is valid after it was seen last (`v1` only).
        idle: Option<Duration>,
        /// What a token is bound to (`v1` only).
        bind: Vec<Binding> = [],
        /// Leading bits of the client's address that `bind: [client]` looks at.
        client_prefix: ClientPrefix = {},
        /// Whether tokens are renewed: at half of `idle`, and when the first key did not sign them (`v1` only).
        renew: bool = true,
        /// Response header for renewed tokens that were not carried in a cookie; absent: those are not renewed.
        renew_header: Option<HeaderName>,
        /// Attributes of the cookies that the filter sets.
        cookie: CookieConfig = {},
        /// CSRF checks of requests that change something (`v1` in a cookie only).
        csrf: CsrfChoice = false,
        /// Whether sessions can be revoked: each request is looked up in shared data.
        revocable: bool = false,
        /// What costs a session, beside a route with `revoke`.
        revoke_on: Vec<Attack> = [],
        /// Session ids that are revoked, or `sha256:` and the hex of their hash; `subject:issued_at` for `colon`.
        revoked: Vec<Located<Text>> = [],
        /// Headers to set from claims: header name to claim; `/sub` is the subject. The client's own copies are removed.
        forward: Named<Forwarded> = {},
        /// Whether the credential goes on to the upstream once it was verified.
        forward_credential: ForwardCredential = "keep",
        /// The roles: an array of strings, or a string with blanks between.
        roles: Pointer = "/roles",
        /// The scopes, alike; absent: `scope`, else `scp`.
        scopes: Option<Pointer>,
        /// What claims must be.
        claims: Vec<Located<RuleConfig>> = [],
    }
}

section! {
    /// A key of a session provider.
    struct SessionKey {
        /// Environment variable of the VM that holds the key; with `sealed`, the one that opens it.
        env: EnvName,
        /// The key itself, sealed (Fernet): what `palisade token seal` prints.
        sealed: Option<Sealed>,
        /// Key id in the token.
        id: Option<Text>,
        /// How the key is written, in the variable or under the seal.
        encoding: Encoding = "raw",
    }
}

section! {
    /// Leading bits of addresses.
    struct ClientPrefix {
        /// Of IPv4 addresses.
        v4: Count<8, 32> = 32,
        /// Of IPv6 addresses.
        v6: Count<16, 128> = 64,
    }
}

section! {
    /// Attributes of the cookies that the filter sets; a session is always `HttpOnly`.
    struct CookieConfig {
        /// `SameSite`.
        same_site: SameSite = "lax",
        /// `Path`.
        path: CookiePath = "/",
        /// `Domain`; absent: this host only.
        domain: Option<Host>,
        /// `Secure`.
        secure: bool = true,
    }
}

section! {
    /// CSRF checks.
    struct CsrfConfig {
        /// Header that carries the token.
        header: HeaderName = "x-csrf-token",
        /// Cookie that the filter sets for pages to read their token from.
        cookie: CookieName = "csrf",
        /// Whether the filter sets that cookie.
        set_cookie: bool = true,
        /// Origins of others that may send such requests, such as `https://app.example.com`.
        origins: Vec<OriginText> = [],
        /// Whether other hosts of the same site may.
        same_site: bool = false,
        /// Methods that change nothing, and are not checked.
        safe_methods: Vec<Method> = ["GET", "HEAD", "OPTIONS", "TRACE"],
    }
}

/// `true`, `false`, or how.
#[derive(Debug, Clone)]
pub(crate) struct CsrfChoice(Option<CsrfConfig>);

impl FromNode for CsrfChoice {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match (node, node.as_text()) {
            (Node::Map(_), _) => CsrfConfig::read(node, at, errors).map(|it| Self(Some(it))),
            (_, Some("true")) => {
                CsrfConfig::read(&Node::Map(Vec::new()), at, errors).map(|it| Self(Some(it)))
            }
            (_, Some("false")) => Some(Self(None)),
            _ => {
                errors.wrong(at, node, "a choice of CSRF checks", Self::help());
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "type": "boolean" }, CsrfConfig::schema()] })
    }

    fn help() -> String {
        "write `true`, `false`, or a map such as `{ origins: [\"https://app.example.com\"] }`"
            .to_owned()
    }
}

impl Compiler<'_> {
    pub(in crate::policy) fn session(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: SessionConfig,
    ) -> Provider {
        let SessionTag = config.r#type;
        let mut keys = Vec::new();
        let mut ids = Vec::new();
        for key in config.keys.iter() {
            let id = key.value.id.as_ref().map(|id| id.0.clone());
            self.unique_id(&key.at, id.as_ref(), &mut ids);
            keys.extend(self.key(
                &key.at,
                id,
                HmacAlgorithm::Sha256,
                Written {
                    env: &key.value.env,
                    sealed: key.value.sealed.as_ref(),
                    encoding: key.value.encoding,
                },
            ));
        }
        if config.keys.is_empty() {
            self.errors
                .push(&at.key("keys"), "no usable key", "write at least one key");
        }
        let binds = |binding| config.bind.contains(&binding);
        let bind = Bindings {
            client: binds(Binding::Client).then(|| Prefix {
                v4: u8::try_from(config.client_prefix.v4.0).unwrap_or(32),
                v6: u8::try_from(config.client_prefix.v6.0).unwrap_or(128),
            }),
            user_agent: binds(Binding::UserAgent),
            certificate: binds(Binding::Tls),
        };
        let colon = config.format == SessionFormat::Colon;
        if colon {
            for (asked, key, problem) in [
                (bind.any(), "bind", "the format `colon` cannot be bound"),
                (
                    config.idle.is_some(),
                    "idle",
                    "the format `colon` does not say when it was seen",
                ),
                (
                    config.csrf.0.is_some(),
                    "csrf",
                    "the format `colon` has no session id to bind a token to",
                ),
            ] {
                if asked {
                    self.errors.push(
                        &at.key(key),
                        problem,
                        format!("use the format `v1`, or leave `{key}` out"),
                    );
                }
            }
        }
        if let [_, _, ..] = config.from.0.as_slice() {
            self.errors.push(
                &at.key("from"),
                "a session has one place: it is renewed where it is carried",
                "write one place",
            );
        }
        let from = config.from.0.first().cloned().unwrap_or(Source::Bearer);
        if !config.claims.is_empty() && config.format == SessionFormat::Colon {
            self.errors.push(
                &at.key("claims"),
                "the format `colon` has no claims",
                "use the format `v1`, or leave `claims` out",
            );
        }
        let lifetime = self.seconds(&at.key("lifetime"), config.lifetime.0, 1, 366 * 86_400);
        let idle = config
            .idle
            .as_ref()
            .map(|idle| self.seconds(&at.key("idle"), idle.0, 2, lifetime));
        let attributes = self.cookie_attributes(at, &config);
        let renewal = match (&from, config.renew_header) {
            _ if !config.renew || colon => None,
            (Source::Cookie(name), None) => Some(Renewal::Cookie(CookieOut {
                name: name.clone(),
                attributes: [b"; HttpOnly", attributes.as_bytes()].concat(),
            })),
            (_, None) => None,
            (Source::Cookie(_), Some(_)) => {
                self.errors.push(
                    &at.key("renew_header"),
                    "the session is carried in a cookie, and renewed there",
                    "leave it out",
                );
                None
            }
            (_, Some(header)) => Some(Renewal::Header(header.0)),
        };
        let csrf = config.csrf.0.map(|csrf| {
            if !matches!(from, Source::Cookie(_)) {
                self.errors.push(
                    &at.key("csrf"),
                    "the session is not carried in a cookie: no other site can send it",
                    "leave it out",
                );
            }
            if matches!(&from, Source::Cookie(name) if *name == csrf.cookie.0) {
                self.errors.push(
                    &at.key("csrf").key("cookie"),
                    "the same cookie as the session's",
                    "give it a name of its own",
                );
            }
            Csrf {
                header: csrf.header.0,
                cookie: csrf.set_cookie.then(|| CookieOut {
                    name: csrf.cookie.0,
                    attributes: attributes.into_bytes(),
                }),
                origins: bytes(csrf.origins, |it| it.0),
                same_site: csrf.same_site,
                safe_methods: bytes(csrf.safe_methods, |it| it.0),
            }
        });
        let session = Session {
            keys,
            format: config.format,
            lifetime,
            leeway: self.seconds(&at.key("leeway"), config.leeway.0, 0, 3600),
            idle,
            bind,
            renewal,
            csrf,
            revocation: self.revocation(config.revocable, &config.revoke_on, &config.revoked),
        };
        Provider {
            name,
            from: config.from.0,
            kind: ProviderKind::Session(session),
            forward: self.forward(config.forward),
            roles: config.roles.0,
            scopes: config.scopes.map(|it| it.0),
            claims: self.rules(config.claims),
            counted: Vec::new(),
            strip: config.forward_credential == ForwardCredential::Strip,
        }
    }

    /// What follows the age of a cookie, but for `HttpOnly`.
    fn cookie_attributes(&mut self, at: &Path, config: &SessionConfig) -> String {
        let cookie = &config.cookie;
        let at = at.key("cookie");
        let csrf = config.csrf.0.as_ref().map(|csrf| &csrf.cookie.0);
        let session = match config.from.0.first() {
            Some(Source::Cookie(name)) => Some(name),
            _ => None,
        };
        for name in csrf.into_iter().chain(session) {
            let host = name.starts_with(b"__Host-");
            let shown = String::from_utf8_lossy(name);
            if (host || name.starts_with(b"__Secure-")) && !cookie.secure {
                self.errors.push(
                    &at.key("secure"),
                    format!("browsers refuse `{shown}` without `Secure`"),
                    "leave it out",
                );
            }
            if host && (cookie.domain.is_some() || cookie.path.0 != b"/") {
                self.errors.push(
                    &at,
                    format!("browsers refuse `{shown}` with a domain or another path than `/`"),
                    "leave `domain` and `path` out",
                );
            }
        }
        if cookie.same_site == SameSite::None && !cookie.secure {
            self.errors.push(
                &at.key("secure"),
                "browsers refuse `SameSite=None` without `Secure`",
                "leave it out",
            );
        }
        let mut text = format!("; Path={}", String::from_utf8_lossy(&cookie.path.0));
        if let Some(domain) = &cookie.domain {
            text.push_str("; Domain=");
            text.push_str(&String::from_utf8_lossy(&domain.0));
        }
        if cookie.secure {
            text.push_str("; Secure");
        }
        text.push_str(match cookie.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        text
    }

    pub(in crate::policy) fn revocation(
        &mut self,
        revocable: bool,
        revoke_on: &[Attack],
        revoked: &[Located<Text>],
    ) -> Revocation {
        let mut list = Vec::new();
        for entry in revoked {
            if list.len() == MOST_REVOKED {
                self.errors.push(
                    &entry.at,
                    "too many revoked ids",
                    format!("write at most {MOST_REVOKED}: they are compared one by one; or replace the key"),
                );
                break;
            }
            list.push(match entry.value.0.strip_prefix(b"sha256:") {
                None => Revocation::entry(&entry.value.0),
                Some(hex) => {
                    let bytes = decode_hex(hex).and_then(|bytes| bytes.try_into().ok());
                    bytes.unwrap_or_else(|| {
                        self.errors.push(
                            &entry.at,
                            "not a SHA-256 in hex",
                            "write `sha256:` and 64 hex digits, or the id itself",
                        );
                        [0; 32]
                    })
                }
            });
        }
        let on_injection = revoke_on.contains(&Attack::Injection);
        Revocation {
            marks: revocable || on_injection,
            on_injection,
            list,
        }
    }
}

/// Entries of a list of revoked ids: each is compared for each request.
const MOST_REVOKED: usize = 1024;
