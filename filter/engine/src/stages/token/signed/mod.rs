//! Signed requests: the credential is a signature over the request, good for a while and for once.
//!
//! **In:** an [`Ask`], the field with the signature. **Out:** [`VerifiedClaims`] of whoever holds the key.
//! **Invariant:** time is judged on both sides of the window before anything is computed; a mark is set when all else
//! held, over what was signed, never over the signature (which may have several spellings), so that nobody without a key
//! can fill the table. Full means refused, unless the policy says otherwise, and then the event says so.

mod base;
pub(super) mod base64;
pub mod body;
mod digest;
pub mod message;
mod sf;

use alloc::vec::Vec;

use super::{Ask, Awaited, Failure, Key, Provider, Stop, VerifiedClaims, copy, split_first};
use crate::env::{Env, Outside};
use crate::finding::{Finding, Findings};
use crate::marks::{Marked, Purpose};
use crate::request::RequestHead;
use crate::units::UnixTime;
use crate::verdict::{Reason, Stage};

/// What all signed requests have in common.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Seconds a signature is good for, before and after its time.
    pub window: u64,
    /// What is done about messages that come again.
    pub replay: Replay,
    /// Who signs; `None`: the id of the key.
    pub subject: Option<Vec<u8>>,
    /// Roles, each followed by a NUL.
    pub roles: Vec<u8>,
}

/// What is done about messages that come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// They are refused; when the table cannot tell, let pass.
    AllowWhenFull,
    /// They are refused; when the table cannot tell, too.
    DenyWhenFull,
    /// They pass.
    Ignore,
}

/// A body signed with an HMAC.
#[derive(Debug, Clone)]
pub struct SignedBody {
    /// Keys; all verify.
    pub keys: Vec<Key>,
    /// How it is signed.
    pub layout: body::Layout,
    /// The rest.
    pub rules: Signed,
}

/// A request signed with HTTP Message Signatures.
#[derive(Debug, Clone)]
pub struct SignedMessage {
    /// Keys; each has an id.
    pub keys: Vec<Key>,
    /// What is asked of a signature.
    pub asked: message::Asked,
    /// The rest.
    pub rules: Signed,
}

/// Judges a signed request.
pub(super) fn verify_message<S: Outside>(
    index: usize,
    provider: &Provider,
    signed: &SignedMessage,
    field: &[u8],
    ask: &Ask<'_>,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Result<VerifiedClaims, Stop> {
    let window = Window::new(env.wall, signed.rules.window);
    let one = signed.asked.find(&signed.keys, ask.head, field, window)?;
    if one.digest {
        let Some(body) = ask.body else {
            return Err(Stop::Awaits(Awaited::Body));
        };
        one.check_digest(ask.head, body)?;
    }
    let base = one.base(base::Message {
        head: ask.head,
        status: None,
    })?;
    if !one.key.verify(env.counters, &base, one.signature()) {
        return Err(Failure::new(Reason::SignatureInvalid, "signature").into());
    }
    let by_nonce: [&[u8]; 3];
    let by_text: [&[u8]; 2];
    let named: &[&[u8]] = if let Some(nonce) = one.nonce {
        by_nonce = [&provider.name, one.key_id, nonce];
        &by_nonce
    } else {
        by_text = [&provider.name, &base];
        &by_text
    };
    let purpose = Purpose::SignedMessage;
    let rules = &signed.rules;
    rules.accept_once(purpose, provider, named, one.until, ask, env, found)?;
    Ok(rules.claims(index, provider, one.key_id)?)
}

/// Judges a signed body.
pub(super) fn verify_body<S: Outside>(
    index: usize,
    provider: &Provider,
    signed: &SignedBody,
    field: &[u8],
    ask: &Ask<'_>,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Result<VerifiedClaims, Stop> {
    let window = Window::new(env.wall, signed.rules.window);
    let announced = signed.layout.announced(ask.head, field, window)?;
    let Some(body) = ask.body else {
        return Err(Stop::Awaits(Awaited::Body));
    };
    let mut named: Vec<&[u8]> = Vec::new();
    named.push(&provider.name);
    signed.layout.text(ask.head, &announced, body, &mut named)?;
    let text = named.get(1..).unwrap_or_default();
    if !announced.is_signed(&signed.keys, text) {
        return Err(Failure::new(Reason::SignatureInvalid, "signature").into());
    }
    let rules = &signed.rules;
    rules.accept_once(
        Purpose::SignedBody,
        provider,
        &named,
        announced.until,
        ask,
        env,
        found,
    )?;
    Ok(rules.claims(index, provider, b"")?)
}

/// Marks a proof of possession, by its key and its id.
pub(super) fn accept_proof<S: Outside>(
    replay: Replay,
    name: &[u8],
    [key, id]: [&[u8]; 2],
    until: u64,
    ask: &Ask<'_>,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Result<(), Failure> {
    let named: [&[u8]; 2] = [key, id];
    match mark(replay, Purpose::Proof, name, &named, until, ask, env, found) {
        Err(failure) if failure.reason == Reason::Replayed => {
            Err(Failure::new(Reason::DpopInvalid, failure.what))
        }
        marked => marked,
    }
}

/// Whether `uri` is where a request goes, query and fragment left out (RFC 9449 §4.3).
pub(super) fn is_target(uri: &[u8], head: &RequestHead<'_>) -> bool {
    let end = uri.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let uri = end.and_then(|end| uri.get(..end)).unwrap_or(uri);
    let Some((scheme, rest)) = split_first(uri, b':') else {
        return false;
    };
    let Some(rest) = rest.strip_prefix(b"//") else {
        return false;
    };
    let slash = rest.iter().position(|byte| *byte == b'/');
    let (authority, path) = slash
        .and_then(|at| rest.split_at_checked(at))
        .unwrap_or((rest, b""));
    let (mut given, mut ours) = (Vec::new(), Vec::new());
    base::write_uri(scheme, authority, path, &mut given);
    base::write_uri(head.scheme, head.authority, head.raw_path, &mut ours);
    given == ours
}

impl Signed {
    /// Marks what was accepted. `named` tells it from everything else.
    #[expect(
        clippy::too_many_arguments,
        reason = "facts of one request; a struct for them would have one user"
    )]
    fn accept_once<S: Outside>(
        &self,
        purpose: Purpose,
        provider: &Provider,
        named: &[&[u8]],
        until: u64,
        ask: &Ask<'_>,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<(), Failure> {
        let name = &provider.name;
        mark(self.replay, purpose, name, named, until, ask, env, found)
    }

    /// Who signed.
    fn claims(
        &self,
        index: usize,
        provider: &Provider,
        key_id: &[u8],
    ) -> Result<VerifiedClaims, Failure> {
        let subject = self.subject.as_deref().unwrap_or(key_id);
        let mut forward = Vec::new();
        for header in &provider.forward {
            forward.push((copy(&header.header), header.of_text(subject)?));
        }
        Ok(VerifiedClaims {
            provider: index,
            subject: copy(subject),
            roles: copy(&self.roles),
            forward,
            ..VerifiedClaims::default()
        })
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "facts of one request; a struct for them would have one user"
)]
fn mark<S: Outside>(
    replay: Replay,
    purpose: Purpose,
    name: &[u8],
    named: &[&[u8]],
    until: u64,
    ask: &Ask<'_>,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Result<(), Failure> {
    if replay == Replay::Ignore || ask.rehearses {
        return Ok(());
    }
    match ask.marks.mark(purpose, named, UnixTime(until), env) {
        Ok(Marked::Fresh) => Ok(()),
        Ok(Marked::Seen) => Err(Failure::new(Reason::Replayed, "replayed")),
        Ok(Marked::Full) if replay == Replay::AllowWhenFull => {
            let finding = Finding::new(Stage::Token, Reason::ReplayCapacity);
            found.push(finding.rule(name));
            Ok(())
        }
        Ok(Marked::Full) => Err(Failure::new(Reason::ReplayCapacity, "full")),
        Err(reason) => Err(Failure::new(reason, "marks")),
    }
}

/// When a signature is good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    now: u64,
    seconds: u64,
}

impl Window {
    pub(super) const fn new(now: UnixTime, seconds: u64) -> Self {
        let UnixTime(now) = now;
        Self { now, seconds }
    }

    /// The last second in which what was signed at `time` is accepted, if it is accepted now.
    pub(super) const fn judge(self, time: u64) -> Result<u64, Failure> {
        let until = time.saturating_add(self.seconds);
        if until < self.now {
            return Err(Failure::new(Reason::SignatureExpired, "old"));
        }
        if time > self.now.saturating_add(self.seconds) {
            return Err(Failure::new(Reason::SignatureExpired, "future"));
        }
        Ok(until)
    }

    /// Whether a last second is over.
    const fn is_over(self, until: u64) -> bool {
        until < self.now
    }

    /// For what carries no time: how long it is remembered.
    const fn end(self) -> u64 {
        self.now.saturating_add(self.seconds)
    }
}

/// Seconds since 1970 in digits.
fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 12 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}
