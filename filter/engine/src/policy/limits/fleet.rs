//! `limits[].scope` and `limits[].service`: limits that several Envoys count together.
//!
//! **In:** the section as written. **Out:** [`Fleet`], and its [`Service`]: one for all limits that describe the same.
//! **Invariant:** a share that admits nobody is an error, and so is a service that no limit asks.

use alloc::vec::Vec;

use crate::policy::compile::Compiler;
use crate::policy::read::{Located, Path, keywords, section, texts};
use crate::policy::tokens::Written;
use crate::policy::values::{Duration, Encoding, EnvName, Sealed, Text};
use crate::stages::limits::fleet::{Delivery, Fleet, Keys, OnFailure, Service};
use crate::stages::limits::{Algorithm, Limit};

/// Who counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Local,
    Fleet,
}

keywords!(Scope, "a scope", { "local" => Self::Local, "fleet" => Self::Fleet });
keywords!(Delivery, "a choice", { "sync" => Self::Sync, "async" => Self::Async });
keywords!(OnFailure, "a choice", { "local" => Self::Local, "deny" => Self::Deny, "allow" => Self::Allow });

texts! {
    /// A part of a whole, such as `1/4`.
    Share((u32, u32)): "a share", "write a part of a whole such as `1/4`", "^[1-9][0-9]{0,4}/[1-9][0-9]{0,4}$", share;
}

section! {
    /// A rate limit service (`envoy.service.ratelimit.v3`).
    struct ServiceConfig {
        /// Cluster of the Envoy configuration that leads to it, by HTTP/2.
        cluster: Text,
        /// Domain of its limits.
        domain: Text,
        /// `sync`: each request waits for its answer. `async`: it is told of hits once an `interval`, and whom it
        /// refuses is refused from then on.
        mode: Delivery = "sync",
        /// How long its answer is waited for.
        timeout: Duration = "250ms",
        /// What decides when it does not answer: this Envoy's `share` of the quota, or nobody or everybody passes.
        on_failure: OnFailure = "local",
        /// This Envoy's share of the quota while the service does not answer: with four Envoys `1/4`.
        share: Share = "1/1",
        /// How often it is told of hits with `mode: async`.
        interval: Duration = "100ms",
        /// The key of the hash that the service is shown in place of clients; the same on all Envoys. Without it the hash hides no
        /// value that can be guessed, such as an address.
        secret: Option<Located<SecretConfig>>,
    }
}

section! {
    /// A secret.
    struct SecretConfig {
        /// Environment variable of the VM that holds it; with `sealed`, the one that opens it.
        env: EnvName,
        /// The secret itself, sealed (Fernet): what `palisade token seal` prints.
        sealed: Option<Sealed>,
        /// How the secret is written, in the variable or under the seal.
        encoding: Encoding = "raw",
    }
}

/// Shortest secret, in bytes.
const SHORTEST_SECRET: usize = 16;

fn share(text: &str) -> Option<(u32, u32)> {
    let (part, whole) = text.split_once('/')?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 5;
        digits.then(|| text.parse().ok()).flatten()
    };
    let (part, whole) = (number(part)?, number(whole)?);
    (part > 0 && part <= whole).then_some((part, whole))
}

impl Compiler<'_> {
    /// A limit's part in the fleet, with its service among `services`.
    pub(super) fn fleet(
        &mut self,
        at: &Path,
        scope: Scope,
        service: Option<Located<ServiceConfig>>,
        services: &mut Vec<Service>,
    ) -> Option<Fleet> {
        let config = match (scope, service) {
            (Scope::Local, None) => return None,
            (Scope::Fleet, Some(service)) => service,
            (Scope::Local, Some(service)) => {
                self.errors.push(
                    &service.at,
                    "a service without `scope: fleet`",
                    "write `scope: fleet`, or leave `service` out",
                );
                return None;
            }
            (Scope::Fleet, None) => {
                self.errors.push(
                    &at.key("scope"),
                    "`fleet` without a service",
                    "write `service: { cluster: ratelimit, domain: edge }`",
                );
                return None;
            }
        };
        let Located { at, value: config } = config;
        let secret = config.secret.map(|Located { at, value }| {
            let written = Written {
                env: &value.env,
                sealed: value.sealed.as_ref(),
                encoding: value.encoding,
            };
            // Without secrets the policy is only looked at.
            let secret = self.secret(&at, written);
            if secret.as_ref().is_some_and(|it| it.len() < SHORTEST_SECRET) {
                self.errors.push(
                    &at,
                    "a secret of less than 16 bytes",
                    "put at least 16 random bytes there",
                );
            }
            secret.unwrap_or_default()
        });
        let timeout_ms = self.within(&at.key("timeout"), &config.timeout, 10, 10_000);
        let service = Service {
            keys: Keys::derive(&secret.unwrap_or_default(), &config.domain.0),
            cluster: config.cluster.0,
            domain: config.domain.0,
            delivery: config.mode,
            timeout_ms: u32::try_from(timeout_ms).unwrap_or(u32::MAX),
            on_failure: config.on_failure,
            interval_ms: self.within(&at.key("interval"), &config.interval, 20, 10_000),
        };
        let known = services.iter().position(|other| *other == service);
        let index = known.unwrap_or(services.len());
        if known.is_none() {
            services.push(service);
        }
        Some(Fleet {
            service: index,
            share: config.share.0,
        })
    }

    /// What goes with a fleet, and whether the share lets anybody pass.
    pub(super) fn check_fleet(&mut self, at: &Path, limit: &Limit) {
        let Some(fleet) = limit.fleet else {
            return;
        };
        if limit.failures || !limit.statuses.is_empty() {
            self.errors.push(
                &at.key("count"),
                "with `scope: fleet`: a service cannot be given back what it counted",
                "count requests, or write `scope: local`",
            );
        }
        if limit.algorithm == Algorithm::Concurrency {
            self.errors.push(
                &at.key("algorithm"),
                "`concurrency` with `scope: fleet`: a service counts requests, not those in flight",
                "write another algorithm, or `scope: local`",
            );
        }
        let (least, _) = limit.quotas();
        if fleet.share_of(least) == 0 {
            self.errors.push(
                &at.key("service").key("share"),
                "less than one request of the quota",
                "write a larger share, or `on_failure: deny`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;
    use crate::policy::Policy;

    const SECRET: &[u8] = b"sixteen bytes or more";

    fn policy(limits: &[&str]) -> Result<Policy, Vec<String>> {
        let mut list = Vec::new();
        for (index, members) in limits.iter().enumerate() {
            list.push(format!(r#"{{"name":"l{index}","quota":"4/1m",{members}}}"#));
        }
        let text = format!(r#"{{"limits":[{}]}}"#, list.join(","));
        let secrets = |name: &str| match name {
            "SECRET" => Some(SECRET.to_vec()),
            "SHORT" => Some(b"fifteen bytes..".to_vec()),
            _ => None,
        };
        Policy::from_plugin_bytes(text.as_bytes(), &secrets)
            .map_err(|errors| errors.into_iter().map(|error| error.path).collect())
    }

    #[test]
    fn defaults_are_safe_and_limits_share_a_service() {
        let one = r#""scope":"fleet","service":{"cluster":"r","domain":"d"}"#;
        let other = r#""scope":"fleet","service":{"cluster":"r","domain":"d","share":"1/2"}"#;
        let third = r#""scope":"fleet","service":{"cluster":"r","domain":"e","mode":"async","interval":"20ms"}"#;
        let policy = policy(&[one, other, third, r#""scope":"local""#]).unwrap();
        let expected = Service {
            cluster: b"r".to_vec(),
            domain: b"d".to_vec(),
            delivery: Delivery::Sync,
            timeout_ms: 250,
            on_failure: OnFailure::Local,
            interval_ms: 100,
            keys: Keys::derive(b"", b"d"),
        };
        let stage = policy.limits;
        assert_eq!(stage.services[0], expected);
        let parts: Vec<_> = stage.limits.iter().map(|limit| limit.fleet).collect();
        let part = |service, share| Some(Fleet { service, share });
        assert_eq!(
            parts,
            [part(0, (1, 1)), part(0, (1, 2)), part(1, (1, 1)), None]
        );
        assert_eq!(stage.reports_every_ms(), Some(20));
    }

    #[test]
    fn a_secret_keys_the_hash() {
        let keys = |member: &str| {
            let service =
                format!(r#""scope":"fleet","service":{{"cluster":"r","domain":"d"{member}}}"#);
            policy(&[&service]).map(|policy| policy.limits.services[0].keys.clone())
        };
        let keyed = keys(r#","secret":{"env":"SECRET"}"#).unwrap();
        assert_eq!(keyed, Keys::derive(SECRET, b"d"));
        assert_ne!(keyed, keys("").unwrap());
        for wrong in ["SHORT", "ABSENT"] {
            assert!(
                keys(&format!(r#","secret":{{"env":"{wrong}"}}"#)).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_cannot_work_is_an_error() {
        let service = r#""scope":"fleet","service":{"cluster":"r","domain":"d""#;
        let table = [
            (String::from(r#""scope":"fleet""#), "limits[0].scope"),
            (
                String::from(r#""service":{"cluster":"r","domain":"d"}"#),
                "limits[0].service",
            ),
            (
                format!(r#"{service}}},"count":{{"status":[401]}}"#),
                "limits[0].count",
            ),
            (
                format!(r#"{service}}},"count":{{"failures":"authentication"}}"#),
                "limits[0].count",
            ),
            (
                format!(r#"{service},"share":"1/5"}}"#),
                "limits[0].service.share",
            ),
            (
                format!(r#"{service},"share":"2/1"}}"#),
                "limits[0].service.share",
            ),
            (
                format!(r#"{service},"share":"0/1"}}"#),
                "limits[0].service.share",
            ),
            (
                format!(r#"{service},"share":"+1/2"}}"#),
                "limits[0].service.share",
            ),
            (
                format!(r#"{service},"timeout":"11s"}}"#),
                "limits[0].service.timeout",
            ),
            (
                format!(r#"{service},"timeout":"1ms"}}"#),
                "limits[0].service.timeout",
            ),
            (
                format!(r#"{service},"interval":"10ms"}}"#),
                "limits[0].service.interval",
            ),
            (
                format!(r#"{service},"mode":"maybe"}}"#),
                "limits[0].service.mode",
            ),
            (
                format!(r#"{service},"on_failure":"pass"}}"#),
                "limits[0].service.on_failure",
            ),
        ];
        for (members, path) in table {
            let mut found = policy(&[&members]).unwrap_err();
            // Without a provider nobody fails either.
            found.retain(|path| path != "limits[0].count.failures");
            assert_eq!(found, [path], "{members}");
        }
    }
}
