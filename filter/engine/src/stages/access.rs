//! Address lists: deny wins; a non-empty allow list refuses everybody else.
//!
//! **In:** the client's address (see `request/client_addr.rs`). **Out:** a denial, or nothing.
//! **Cost:** one comparison a network of the policy.

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::finding::{Finding, Findings};
use crate::request::client_addr::Network;
use crate::verdict::{Denial, Reason, Stage};

/// Compiled `access` section.
#[derive(Debug, Clone, Default)]
pub struct AccessPolicy {
    /// Refused.
    pub deny: Vec<Network>,
    /// If not empty, only these.
    pub allow: Vec<Network>,
}

impl AccessPolicy {
    /// Judges the client. The finding's rule is the list that refused: `deny` or `allow`.
    ///
    /// # Errors
    /// `AddressDenied`.
    pub fn inspect(&self, client: IpAddr, found: &mut Findings) -> Result<(), Denial> {
        let listed = |list: &[Network]| list.iter().any(|network| network.contains(client));
        let rule: &[u8] = if listed(&self.deny) {
            b"deny"
        } else if !self.allow.is_empty() && !listed(&self.allow) {
            b"allow"
        } else {
            return Ok(());
        };
        found.push(
            Finding::new(Stage::Access, Reason::AddressDenied)
                .rule(rule)
                .place(b"client", b""),
        );
        Err(Denial::new(Stage::Access, Reason::AddressDenied))
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    #[test]
    fn lists() {
        type List = &'static [&'static str];
        const CASES: &[(List, List, &str, Option<&[u8]>)] = &[
            (&[], &[], "1.2.3.4", None),
            (&["1.2.3.0/24"], &[], "1.2.3.4", Some(b"deny")),
            (&["1.2.3.0/24"], &[], "::ffff:1.2.3.4", Some(b"deny")),
            (&["1.2.3.0/24"], &[], "1.2.4.4", None),
            (&["1.2.3.0/24"], &["1.0.0.0/8"], "1.2.3.4", Some(b"deny")),
            (&[], &["1.0.0.0/8"], "1.2.3.4", None),
            (&[], &["1.0.0.0/8"], "2.2.3.4", Some(b"allow")),
            (&[], &["1.0.0.0/8", "::1"], "::1", None),
            (&[], &["1.0.0.0/8"], "::1", Some(b"allow")),
        ];
        for (deny, allow, client, expected) in CASES {
            let read = |list: &[&str]| {
                list.iter()
                    .filter_map(|text| Network::parse(text).ok())
                    .collect()
            };
            let policy = AccessPolicy {
                deny: read(deny),
                allow: read(allow),
            };
            let mut found = Findings::default();
            let client = client.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let denial = policy.inspect(client, &mut found).err();
            assert_eq!(
                denial.map(|denial| denial.reason),
                expected.map(|_| Reason::AddressDenied)
            );
            assert_eq!(
                found.as_slice().first().map(|finding| &finding.rule[..]),
                *expected
            );
        }
    }
}
