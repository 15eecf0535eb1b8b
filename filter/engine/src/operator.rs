//! Requests of the operator: who is banned, and lifting or setting a ban by hand. And of those with a role that may see how their
//! own counters stand.
//!
//! **In:** a POST to the path of `operator`, with a JWT (HS256) under its key as `authorization: Bearer`. **Out:** the answer, as the
//! reply of [`Reason::Operator`], or why there is none. **Invariant:** nothing is done without a token that verifies, is for this path
//! (`aud`), ends within [`LONGEST_S`] (`exp`) and comes for the first time (`jti`). Nothing goes upstream. Each claim is known, and
//! stands once. The event names what was done and to whom.
//! **Claims:** `aud`, `exp`, `jti`, `do` (`show`, `lift`, `set`), `client` (and `route`) or `provider` and `subject`; for `set` `for` in seconds.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::env::{Env, Outside};
use crate::finding::{Finding, Findings};
use crate::json;
use crate::marks::{Marked, Marks, Purpose};
use crate::policy::Policy;
use crate::request::RequestHead;
use crate::request::client_addr::parse_peer;
use crate::stages::limits::{Facts, LimitStage, Penal, Person, Scope};
use crate::stages::token::jws::verify_compact;
use crate::stages::token::{Key, Subject};
use crate::units::UnixTime;
use crate::verdict::{Denial, Reason, Stage};

/// The longest time from now to a token's `exp`.
pub const LONGEST_S: u64 = 300;

/// The longest text of a token.
const MAX_TEXT: usize = 256;

/// The compiled `operator` section.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Where requests go.
    pub path: Vec<u8>,
    /// Verifies them; `None`: the policy is only checked.
    pub key: Option<Key>,
    /// Who sees how limits stand; `None`: nobody but the operator.
    pub counters: Option<View>,
}

/// The compiled `operator.counters`.
#[derive(Debug, Clone)]
pub struct View {
    /// Where requests go.
    pub path: Vec<u8>,
    /// One of these is needed.
    pub roles: Vec<Vec<u8>>,
}

impl View {
    /// Answers a request for its own counters, by who was verified. The reply is a [`Denial`]: nothing goes upstream.
    pub fn answer<S: Outside>(
        &self,
        limits: &LimitStage,
        subject: &Subject,
        facts: &Facts<'_>,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Denial {
        let has = |role: &[u8]| self.roles.iter().any(|asked| asked == role);
        let answered = match subject {
            _ if facts.method != b"GET" => Err(Reason::MethodNotAllowed),
            Subject::Anonymous => Err(Reason::TokenMissing),
            Subject::Verified(claims) if !claims.roles().any(has) => Err(Reason::MissingRole),
            Subject::Verified(_) => limits.view(facts, env),
        };
        let (reason, body) = match answered {
            Ok(body) => (Reason::Operator, Some(body)),
            Err(reason) => (reason, None),
        };
        found.push(Finding::new(Stage::Limits, reason).rule(b"counters"));
        let mut denial = Denial::new(Stage::Limits, reason);
        denial.body = body;
        if reason == Reason::MethodNotAllowed {
            denial.headers.push(("allow", b"GET".to_vec()));
        }
        denial
    }
}

/// What a token asks for.
#[derive(Debug, Default)]
struct Order<'t> {
    audience: Option<Cow<'t, [u8]>>,
    expires: Option<u64>,
    id: Option<Cow<'t, [u8]>>,
    action: Option<Cow<'t, [u8]>>,
    client: Option<Cow<'t, [u8]>>,
    route: Option<Cow<'t, [u8]>>,
    provider: Option<Cow<'t, [u8]>>,
    subject: Option<Cow<'t, [u8]>>,
    seconds: Option<u64>,
}

impl<'t> Order<'t> {
    /// `None`: not an object of claims we know, each once.
    fn read(payload: &'t [u8]) -> Option<Self> {
        let mut order = Self::default();
        for member in json::members(payload) {
            let (name, value) = member.ok()?;
            let name = name.decode();
            let number = match name.as_ref() {
                b"exp" => Some(&mut order.expires),
                b"for" => Some(&mut order.seconds),
                _ => None,
            };
            if let Some(number) = number {
                if number.is_some() {
                    return None;
                }
                *number = Some(core::str::from_utf8(value).ok()?.parse().ok()?);
                continue;
            }
            let text = match name.as_ref() {
                b"aud" => &mut order.audience,
                b"jti" => &mut order.id,
                b"do" => &mut order.action,
                b"client" => &mut order.client,
                b"route" => &mut order.route,
                b"provider" => &mut order.provider,
                b"subject" => &mut order.subject,
                // When it was made is of no interest: `exp` is bounded.
                b"iat" => continue,
                _ => return None,
            };
            let value = string(value)?.decode();
            if text.is_some() || value.is_empty() || value.len() > MAX_TEXT {
                return None;
            }
            *text = Some(value);
        }
        Some(order)
    }
}

impl Operator {
    /// Whether a request is the operator's.
    #[must_use]
    pub fn takes(&self, head: &RequestHead<'_>) -> bool {
        *head.path == *self.path
    }

    /// Does what it asks for. The reply, whatever comes of it, is a [`Denial`]: nothing goes upstream.
    pub fn answer<S: Outside>(
        &self,
        policy: &Policy,
        head: &RequestHead<'_>,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Denial {
        match self.obey(policy, head, env, found) {
            Ok(body) => {
                let mut denial = Denial::new(Stage::Limits, Reason::Operator);
                denial.body = Some(body);
                denial
            }
            Err(reason) => {
                found.push(Finding::new(Stage::Limits, reason).rule(b"operator"));
                let mut denial = Denial::new(Stage::Limits, reason);
                if reason == Reason::MethodNotAllowed {
                    denial.headers.push(("allow", b"POST".to_vec()));
                }
                denial
            }
        }
    }

    fn obey<S: Outside>(
        &self,
        policy: &Policy,
        head: &RequestHead<'_>,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<Vec<u8>, Reason> {
        if head.method != b"POST" {
            return Err(Reason::MethodNotAllowed);
        }
        let mut sent = head.all(b"authorization");
        let credential = sent.next().ok_or(Reason::TokenMissing)?;
        if sent.next().is_some() {
            return Err(Reason::MultipleCredentials);
        }
        let token = credential
            .strip_prefix(b"Bearer ")
            .ok_or(Reason::TokenMissing)?;
        let payload = verify_compact(self.key.as_slice(), env.counters, token)
            .map_err(|_| Reason::TokenInvalid)?;
        let order = Order::read(&payload).ok_or(Reason::TokenClaims)?;
        self.judge(&order, &policy.marks, env)?;
        Ok(carry_out(&order, policy, env, found))
    }

    /// Whether a token with a good signature may be obeyed, now and once.
    fn judge<S: Outside>(
        &self,
        order: &Order<'_>,
        marks: &Marks,
        env: &mut Env<'_, S>,
    ) -> Result<(), Reason> {
        let (Some(audience), Some(expires), Some(id)) = (&order.audience, order.expires, &order.id)
        else {
            return Err(Reason::TokenClaims);
        };
        let UnixTime(now) = env.wall;
        if **audience != *self.path || expires > now.saturating_add(LONGEST_S) {
            return Err(Reason::TokenClaims);
        }
        if expires < now {
            return Err(Reason::TokenExpired);
        }
        match marks.mark(Purpose::Operator, &[id], UnixTime(expires), env)? {
            Marked::Fresh => Ok(()),
            Marked::Seen => Err(Reason::Replayed),
            Marked::Full => Err(Reason::ReplayCapacity),
        }
    }
}

/// The answer as JSON: `error`, or what is known of the person now.
fn carry_out<S: Outside>(
    order: &Order<'_>,
    policy: &Policy,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Vec<u8> {
    let action = order.action.as_deref().unwrap_or_default();
    let penal = match (action, order.seconds) {
        (b"show", None) => Penal::Show,
        (b"lift", None) => Penal::Lift,
        (b"set", Some(seconds)) => Penal::Set {
            ms: seconds.saturating_mul(1000),
        },
        _ => return fault(b"what to do is not clear"),
    };
    let (person, shown) = match person(order, policy) {
        Ok(named) => named,
        Err(problem) => return fault(problem),
    };
    if matches!(penal, Penal::Set { .. })
        && person.scope != Scope::Subject
        && policy.limits.never_bans(person.facts.client)
    {
        return fault(b"this address is never banned (`signals.allow`)");
    }
    let finding = Finding::new(Stage::Limits, Reason::Operator).rule(action);
    let finding = finding.place(person.scope.name().as_bytes(), b"");
    found.push(finding.evidence(&shown));
    match policy.limits.penal(penal, &person, env) {
        Ok(answer) => answer,
        Err(reason) => fault(reason.row().code.as_bytes()),
    }
}

/// The text of a value that was read as JSON, when it is a string.
fn string(value: &[u8]) -> Option<json::Text<'_>> {
    let raw = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let escaped = raw.contains(&b'\\');
    Some(json::Text { raw, escaped })
}

fn fault(problem: &[u8]) -> Vec<u8> {
    let mut out = b"{\"error\":\"".to_vec();
    out.extend_from_slice(problem);
    out.extend_from_slice(b"\"}");
    out
}

/// Whom a token names, and how an event shows it.
fn person<'o>(
    order: &'o Order<'_>,
    policy: &'o Policy,
) -> Result<(Person<'o>, Vec<u8>), &'static [u8]> {
    let nobody = IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED);
    match (&order.client, &order.provider, &order.subject) {
        (Some(client), None, None) => {
            let address = parse_peer(client).ok_or(&b"the client is no address"[..])?;
            let facts = match &order.route {
                None => Facts::of(address),
                Some(name) => {
                    let known = policy.routes.iter().any(|route| *route.name == **name);
                    if !known {
                        return Err(b"the policy has no such route");
                    }
                    Facts {
                        route: name,
                        ..Facts::of(address)
                    }
                }
            };
            let scope = match order.route {
                None => Scope::Client,
                Some(_) => Scope::Route,
            };
            Ok((Person { scope, facts }, client.to_vec()))
        }
        (None, Some(provider), Some(subject)) if order.route.is_none() => {
            let mut providers = policy.tokens.providers.iter();
            if !providers.any(|one| *one.name == **provider) {
                return Err(b"the policy has no such provider");
            }
            let facts = Facts {
                subject: Some((provider, subject)),
                ..Facts::of(nobody)
            };
            let scope = Scope::Subject;
            Ok((Person { scope, facts }, subject.to_vec()))
        }
        _ => Err(b"name a client (and perhaps a route), or a provider and a subject"),
    }
}
