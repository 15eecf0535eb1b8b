//! What an operator asks of the table of bans, and the answer.
//!
//! **In:** whom, and what to do. **Out:** JSON: `banned`, `for_s`, `rule`, `level`, `excesses`, and of `show` `limits` (`view.rs`).
//! **Invariant:** names in it are those of the policy, never a client's bytes.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::bans::{self, Held};
use super::table::Table;
use super::{Facts, LimitStage, Scope, Who};
use crate::env::{Env, Outside};
use crate::verdict::Reason;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Penal {
    /// Tell.
    Show,
    /// End a ban and forget what is held against somebody.
    Lift,
    /// Ban by hand.
    Set {
        /// How long.
        ms: u64,
    },
}

/// Whom it is about.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// Which of their bans.
    pub scope: Scope,
    /// The client (and route), or the subject.
    pub facts: Facts<'a>,
}

impl LimitStage {
    /// Whether requests from an address are never stopped by a ban.
    #[must_use]
    pub fn never_bans(&self, client: IpAddr) -> bool {
        let mut networks = self.bans.allow.iter();
        networks.any(|network| network.contains(client))
    }

    /// Does it.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`.
    pub fn penal<S: Outside>(
        &self,
        penal: Penal,
        person: &Person<'_>,
        env: &mut Env<'_, S>,
    ) -> Result<Vec<u8>, Reason> {
        let who = Who::new(&self.hash_key, &person.facts);
        let Some(one) = who.and_then(|who| who.identity(person.scope)) else {
            return Ok(self.json(&Held::default()));
        };
        let table = Table::new(self);
        let held = match penal {
            Penal::Show => table.show(one, env)?,
            Penal::Lift => table.lift(one, env)?,
            Penal::Set { ms } => table.ban(one, ms, env)?,
        };
        let mut out = self.json(&held);
        if penal == Penal::Show {
            out.pop();
            out.extend_from_slice(b",\"limits\":");
            self.counters_of(person.scope, &person.facts, env, &mut out)?;
            out.push(b'}');
        }
        Ok(out)
    }

    pub(super) fn json(&self, held: &Held) -> Vec<u8> {
        let mut out = Vec::new();
        let banned = held.wait_ms > 0;
        out.extend_from_slice(if banned {
            b"{\"banned\":true"
        } else {
            b"{\"banned\":false"
        });
        if banned {
            out.extend_from_slice(b",\"for_s\":");
            super::fields::push_number(&mut out, held.wait_ms.div_ceil(1000));
            out.extend_from_slice(b",\"rule\":\"");
            out.extend_from_slice(self.any_rule_name(held.rule));
            out.push(b'"');
        }
        out.extend_from_slice(b",\"level\":");
        super::fields::push_number(&mut out, u64::from(held.level));
        out.extend_from_slice(b",\"excesses\":[");
        let mut first = true;
        for (rule, count) in &held.excesses {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(b"{\"rule\":\"");
            out.extend_from_slice(self.any_rule_name(*rule));
            out.extend_from_slice(b"\",\"count\":");
            super::fields::push_number(&mut out, u64::from(*count));
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        out
    }

    pub(super) fn any_rule_name(&self, rule: u32) -> &[u8] {
        match self.rule_name(rule) {
            b"" if rule == bans::rule(bans::OPERATOR) => b"operator",
            b"" => b"an older policy",
            name => name,
        }
    }
}
