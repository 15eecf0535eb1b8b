//! Choice of the route: the first that matches in a list sorted by specificity when the policy is compiled.
//!
//! **In:** the decoded head. **Out:** an index. **Invariant:** map order never counts; routes that match the same
//! paths, hosts and methods are refused by `compile.rs`. **Cost:** linear in routes and path; no allocation.

use core::cmp::{Ordering, Reverse};

use super::{Policy, Route};
use crate::request::RequestHead;
use crate::request::target::{PathPattern, Specificity};

impl Policy {
    /// Index of the route that takes this head: the first that matches in `routes`.
    #[must_use]
    pub fn route_of(&self, head: &RequestHead<'_>) -> Option<usize> {
        self.route_for(head, &head.path)
    }

    /// Index of the route that would take this head if its path were `path`.
    pub(crate) fn route_for(&self, head: &RequestHead<'_>, path: &[u8]) -> Option<usize> {
        self.routes.iter().position(|route| route.takes(head, path))
    }
}

impl Route {
    /// Whether all conditions hold.
    fn takes(&self, head: &RequestHead<'_>, path: &[u8]) -> bool {
        let path = self
            .path
            .as_ref()
            .is_none_or(|pattern| pattern.matches(path));
        let method =
            self.methods.is_empty() || self.methods.iter().any(|method| method == head.method);
        let host = || {
            let host = without_port(head.authority);
            self.hosts.iter().any(|pattern| host_matches(pattern, host))
        };
        path && method && (self.hosts.is_empty() || host())
    }

    /// More specific routes first: exact path, longer literal prefix, more literals; then hosts, then methods.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn rank(&self) -> impl Ord {
        let path = self.path.as_ref().map(path_rank);
        let wildcard_hosts = self.hosts.iter().any(|host| host.starts_with(b"*"));
        let hosts = (!self.hosts.is_empty(), !wildcard_hosts);
        Reverse((path, hosts, !self.methods.is_empty()))
    }
}

fn path_rank(path: &PathPattern) -> (bool, usize, Specificity) {
    let prefix = path.text.iter().position(|byte| *byte == b'*');
    (
        prefix.is_none(),
        prefix.unwrap_or(path.text.len()),
        path.specificity(),
    )
}

/// Without a trailing `:port`; the brackets of an IPv6 literal stay.
fn without_port(authority: &[u8]) -> &[u8] {
    match authority
        .iter()
        .rposition(|byte| matches!(byte, b':' | b']'))
    {
        Some(at) if authority.get(at) == Some(&b':') => authority.get(..at).unwrap_or_default(),
        _ => authority,
    }
}

/// `pattern` is lower case, exact or `*.domain`; one trailing dot of the host is the same host (RFC 3986 §3.2.2).
fn host_matches(pattern: &[u8], host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    match pattern.strip_prefix(b"*") {
        None => host.eq_ignore_ascii_case(pattern),
        Some(domain) => host
            .len()
            .checked_sub(domain.len())
            .filter(|label| *label > 0)
            .and_then(|label| host.get(label..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(domain)),
    }
}
