//! How somebody's counters stand, as JSON: for a client with the role that may see its own, and for an operator.
//!
//! **In:** the facts of a request, or whom an operator means. **Out:** `limits`: those that count by what is known, with `quota`, `used`,
//! `remaining`, `window_s` and `reset_s` (until more is there); `bans` of the client, of the client on the route and of the subject.
//! **Invariant:** nothing is charged and nothing written. Names in it are those of the policy, which are fit for JSON, never a
//! client's bytes. **Cost:** a load for each limit.

use alloc::vec::Vec;

use super::fields::push_number;
use super::key::{self, KeyPart};
use super::table::Table;
use super::{Facts, Limit, LimitStage, Scope};
use crate::env::{Env, Outside};
use crate::verdict::Reason;

impl LimitStage {
    /// The counters and bans of who asks.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`.
    pub fn view<S: Outside>(
        &self,
        facts: &Facts<'_>,
        env: &mut Env<'_, S>,
    ) -> Result<Vec<u8>, Reason> {
        let mut out = b"{\"limits\":".to_vec();
        self.counters(facts, |_| true, env, &mut out)?;
        out.extend_from_slice(b",\"bans\":{");
        let who = self.who(facts);
        let mut first = true;
        for scope in [Scope::Client, Scope::Route, Scope::Subject] {
            let Some(one) = who.as_ref().and_then(|who| who.identity(scope)) else {
                continue;
            };
            if !first {
                out.push(b',');
            }
            first = false;
            out.push(b'"');
            out.extend_from_slice(scope.name().as_bytes());
            out.extend_from_slice(b"\":");
            let held = Table::new(self).show(one, env)?;
            out.extend_from_slice(&self.json(&held));
        }
        out.extend_from_slice(b"}}");
        Ok(out)
    }

    /// The counters of limits that are told apart by nothing but whom a scope means: the client (and the route), or the subject.
    pub(super) fn counters_of<S: Outside>(
        &self,
        scope: Scope,
        facts: &Facts<'_>,
        env: &mut Env<'_, S>,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let known = |part: &KeyPart| {
            matches!(
                (scope, part),
                (Scope::Client | Scope::Route, KeyPart::Client { .. })
                    | (Scope::Route, KeyPart::Route)
                    | (Scope::Subject, KeyPart::Subject)
            )
        };
        self.counters(facts, |limit| limit.key.iter().all(known), env, out)
    }

    fn counters<S: Outside>(
        &self,
        facts: &Facts<'_>,
        chosen: impl Fn(&Limit) -> bool,
        env: &mut Env<'_, S>,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        out.push(b'[');
        let mut first = true;
        for limit in self.limits.iter().filter(|limit| chosen(limit)) {
            let of_body = limit.key.iter().any(|part| part.field().is_some());
            let mut networks = limit.allow.iter();
            if of_body || networks.any(|network| network.contains(facts.client)) {
                continue;
            }
            let Some(key) = key::hash(&self.hash_key, &limit.key, limit.missing, facts) else {
                continue;
            };
            let quota = limit.quota_of(facts);
            let stands = Table::new(self).peek(limit, quota, key, env)?;
            if !first {
                out.push(b',');
            }
            first = false;
            let unit = limit.unit();
            out.extend_from_slice(b"{\"limit\":\"");
            out.extend_from_slice(&limit.name);
            out.extend_from_slice(b"\",\"quota\":");
            push_number(out, u64::from(quota.count).saturating_mul(unit));
            out.extend_from_slice(b",\"used\":");
            push_number(out, stands.used.saturating_mul(unit));
            out.extend_from_slice(b",\"remaining\":");
            push_number(out, stands.remaining.saturating_mul(unit));
            if quota.window.ms > 0 {
                out.extend_from_slice(b",\"window_s\":");
                push_number(out, quota.window.ms.div_ceil(1000));
            }
            if let Some(wait_ms) = stands.wait_ms {
                out.extend_from_slice(b",\"reset_s\":");
                push_number(out, wait_ms.div_ceil(1000));
            }
            out.push(b'}');
        }
        out.push(b']');
        Ok(())
    }
}
