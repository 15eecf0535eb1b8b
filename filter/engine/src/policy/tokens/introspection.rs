//! `type: introspection`.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::remote_keys::{KeysUrl, MAX_WAIT_MS};
use super::{ForwardCredential, Forwarded, From, RuleConfig, Written};
use crate::policy::compile::{Compiler, bytes};
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Located, Named, Path, section};
use crate::policy::values::{Duration, Encoding, EnvName, IntrospectionTag, Pointer, Sealed, Text};
use crate::stages::token::introspection::{Introspection, client_credentials};
use crate::stages::token::{Jwt, Provider, ProviderKind, Revocation};

section! {
    /// Opaque tokens that the server which issued them is asked about (RFC 7662).
    struct IntrospectionConfig {
        /// `introspection`.
        r#type: IntrospectionTag,
        /// Where the token is carried.
        from: From = "bearer",
        /// The introspection endpoint: `https://id.example.com/introspect`. Host and path go into the request; whether it is
        /// encrypted is up to the cluster.
        url: EndpointUrl,
        /// Cluster of the Envoy configuration that leads there.
        cluster: Text,
        /// How long a request waits for the answer.
        timeout: Duration = "2s",
        /// What the filter shows for itself (HTTP Basic).
        client: ClientConfig,
        /// How long a worker remembers an answer; that a token is not active for 10s at most. `0s`: not at all.
        cache: Duration = "60s",
        /// Required `iss`.
        issuer: Option<Text>,
        /// Accepted `aud` values; empty: `aud` is not looked at.
        audiences: Vec<Text> = [],
        /// Clock skew for `exp`, `nbf` and `iat`.
        leeway: Duration = "30s",
        /// Claims that must be present.
        require: Vec<Text> = [],
        /// Headers to set from claims: header name to claim. The client's own copies are removed.
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
    /// A client of the server.
    struct ClientConfig {
        /// Its name there.
        id: Text,
        /// Environment variable of the VM that holds its secret; with `sealed`, the one that opens it.
        env: EnvName,
        /// The secret itself, sealed (Fernet): what `palisade token seal` prints.
        sealed: Option<Sealed>,
        /// How the secret is written, in the variable or under the seal.
        encoding: Encoding = "raw",
    }
}

/// The URL of an endpoint, as of a key set.
#[derive(Debug, Clone)]
pub(crate) struct EndpointUrl(KeysUrl);

impl FromNode for EndpointUrl {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let url = node.as_text().and_then(KeysUrl::parse);
        if url.is_none() {
            errors.wrong(at, node, "the URL of an endpoint", Self::help());
        }
        url.map(Self)
    }

    fn schema() -> Value {
        KeysUrl::schema()
    }

    fn help() -> String {
        "write a URL such as `https://id.example.com/introspect`".into()
    }
}

impl Compiler<'_> {
    pub(super) fn introspection(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: IntrospectionConfig,
    ) -> Provider {
        let IntrospectionTag = config.r#type;
        if config.cluster.0.is_empty() {
            self.errors.push(
                &at.key("cluster"),
                "an empty name",
                "name a cluster of the Envoy configuration",
            );
        }
        let client = config.client;
        let client_at = at.key("client");
        let written = Written {
            env: &client.env,
            sealed: client.sealed.as_ref(),
            encoding: client.encoding,
        };
        // Without secrets the policy is only looked at.
        let secret = self.secret(&client_at, written);
        if secret.as_ref().is_some_and(Vec::is_empty) {
            self.errors.push(
                &client_at,
                "an empty secret",
                "put the client's secret there",
            );
        }
        let timeout_ms = self.within(&at.key("timeout"), &config.timeout, 10, MAX_WAIT_MS);
        let introspection = Introspection {
            cluster: config.cluster.0,
            authority: config.url.0.authority,
            path: config.url.0.path,
            authorization: client_credentials(&client.id.0, &secret.unwrap_or_default()),
            timeout_ms: u32::try_from(timeout_ms).unwrap_or(u32::MAX),
            cache_ms: self.within(&at.key("cache"), &config.cache, 0, 3_600_000),
            rules: Jwt {
                keys: Vec::new(),
                remote: None,
                issuer: config.issuer.map(|it| it.0),
                audiences: bytes(config.audiences, |it| it.0),
                leeway: self.seconds(&at.key("leeway"), config.leeway.0, 0, 3600),
                require: bytes(config.require, |it| it.0),
                require_exp: false,
                revocation: Revocation::default(),
                max_lifetime: None,
                max_age: None,
                dpop: None,
            },
        };
        Provider {
            name,
            from: config.from.0,
            kind: ProviderKind::Introspection(introspection),
            forward: self.forward(config.forward),
            roles: config.roles.0,
            scopes: config.scopes.map(|it| it.0),
            claims: self.rules(config.claims),
            counted: Vec::new(),
            strip: config.forward_credential == ForwardCredential::Strip,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::policy::Policy;

    #[test]
    fn bounds_and_secrets() {
        let policy = |member: &str| {
            let text = format!(
                r#"{{"tokens":{{"opaque":{{"type":"introspection","url":"https://id.example.com/introspect","cluster":"idp",
            "client":{{"id":"shop","env":"SECRET"}}{member}}}}},"routes":[{{"name":"all","match":{{"path":"/*"}},"token":{{"any":["opaque"]}}}}]}}"#
            );
            let secrets = |name: &str| (name == "SECRET").then(|| b"s3cret".to_vec());
            Policy::from_plugin_bytes(text.as_bytes(), &secrets)
        };
        let good = policy("").unwrap();
        let ProviderKind::Introspection(rules) = &good.tokens.providers[0].kind else {
            panic!("another kind");
        };
        assert_eq!((rules.timeout_ms, rules.cache_ms), (2_000, 60_000));
        assert_eq!(rules.path, b"/introspect");
        for wrong in [
            r#","timeout":"0s""#,
            r#","timeout":"31s""#,
            r#","cache":"2h""#,
            r#","cluster":"""#,
            r#","url":"ftp://id""#,
            r#","client":{"id":"shop"}"#,
            r#","client":{"id":"shop","env":"OTHER"}"#,
            r#","allow_on_failure":true"#,
        ] {
            assert!(policy(wrong).is_err(), "{wrong}");
        }
    }
}
