//! THE DATA PATH: `decide_head`, `resume`, `settle`. Read this first.
//!
//! **In:** a decoded head (then a body, then a response status) and [`Env`]. **Out:** [`Verdict`].
//! **Invariant:** each stage runs once per request; the one that waits is asked again with what it waited for. A stage
//! that refuses has pushed a finding; `gate` alone decides whether the refusal stands or is only reported. What must
//! be waited for is a value ([`Wait`]), and [`Suspended`] owns what is needed later and borrows nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::addition::Addition;
use crate::budget::{HEAD_SHARE, MAX_STEPS};
use crate::env::{Connection, Env, Note, Outside, Step};
use crate::finding::{Finding, Findings};
use crate::inflate::{Coding, Fault, inflate};
use crate::policy::{BodyCompressed, BodyOver, EventLog, Mode, Policy, Route, RouteBody};
use crate::request::body::{self, BodyKind, Coded};
use crate::request::target;
use crate::request::{RequestHead, client_addr};
use crate::stages::injection::{Clean, Explained, Here, Uses};
use crate::stages::limits::fleet::{self, Question};
use crate::stages::limits::{Algorithm, Cause, Charges, Facts, Fields, Pending, Phase, Place, Who};
use crate::stages::token::{
    self, Ask, Awaited, Callout, Claimed, Credential, MAX_ANSWER_BYTES, Outcome, Replied, Subject,
    Waited,
};
use crate::units::{Monotonic, UnixTime};
use crate::verdict::{Denial, Edits, Reason, Stage};

/// Decides requests under one policy.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
}

/// What becomes of a request.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per request, moved once; a box would cost it an allocation"
)]
pub enum Verdict {
    /// It goes on, with edits.
    Allow(Pass),
    /// It is refused.
    Deny(Refusal),
    /// Something must be waited for; [`Engine::resume`] goes on.
    Need(Wait, Suspended),
}

/// An allowed request.
#[derive(Debug)]
pub struct Pass {
    /// Changes to its head.
    pub edits: Edits,
    /// What its response must settle, if anything.
    pub settlement: Option<Charges>,
    /// What was seen; absent when there is nothing to tell.
    pub report: Option<Report>,
}

/// A refused request.
#[derive(Debug)]
pub struct Refusal {
    /// Reason and headers of the reply.
    pub denial: Denial,
    /// What was seen.
    pub report: Report,
}

/// What must be waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The body, whole.
    Body {
        /// Hold the head until it is judged (`false` in monitor mode: look at a copy as it passes).
        hold: bool,
        /// Bytes at most; more is answered by [`Answer::BodyTooLarge`].
        max: usize,
        /// More is answered by [`Answer::BodyPrefix`] instead.
        prefix: bool,
    },
    /// The keys of a provider, which its memory has noted as wanted.
    Keys {
        /// Index of the provider.
        provider: usize,
        /// Bytes of body at most that are collected meanwhile: the body may have to be judged, and the head goes nowhere
        /// before. `None`: no body will hold this head.
        body: Option<usize>,
    },
    /// The answer to a call-out.
    Callout {
        /// What to send.
        callout: Callout,
        /// As for keys.
        body: Option<usize>,
    },
    /// What a rate limit service says; nothing of the request is judged after it.
    Fleet(Question),
}

/// What one worker remembers between requests under one policy. Bounded, whatever clients send.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of credentials.
    pub tokens: token::Memory,
    /// Of rate limit services.
    pub fleet: fleet::Memory,
    /// Uses of `injection.except`, in the order of the policy.
    pub exceptions: Uses,
    /// Fields of heads in which nothing was found.
    pub clean: Clean,
}

impl Wait {
    const fn provider(&self) -> Option<usize> {
        match self {
            Self::Body { .. } | Self::Fleet(_) => None,
            Self::Keys { provider, .. } => Some(*provider),
            Self::Callout { callout, .. } => Some(callout.provider),
        }
    }
}

/// What a wait ended in.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// The whole body.
    Body(&'a [u8]),
    /// The beginning of a body that is longer than the bound, as much of it as the bound.
    BodyPrefix(&'a [u8]),
    /// The body is longer than the bound.
    BodyTooLarge,
    /// The host did not deliver it.
    BodyUnavailable,
    /// The keys were fetched.
    Keys {
        /// The fetch began after the request did wait: what it did not bring, there is not.
        after: bool,
    },
    /// The call-out was answered.
    Replied {
        /// HTTP status.
        status: u16,
        /// Body, whole.
        body: &'a [u8],
    },
    /// The rate limit service's message.
    Counted(&'a [u8]),
    /// No answer came in time, or none may be waited for.
    Unanswered,
}

/// What happened to the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BodySeen {
    /// There was none, or nothing asked for it.
    #[default]
    None,
    /// It was inspected.
    Inspected,
    /// Its beginning was inspected, the rest passed unseen.
    Prefix,
    /// It passed unseen: CONNECT, upgrade, event stream, or a streaming route.
    Streamed,
    /// It passed unseen as messages of gRPC, and must be such: see [`grpc_frame`].
    Framed,
}

/// Whether the byte at `at` of a body, of its first, may be one of a gRPC message's prefix: compressed or not, then a length below 16 MiB.
/// A body that only says it is gRPC would pass unseen to an application that reads its bytes whatever its type.
#[must_use]
pub const fn grpc_frame(at: usize, byte: u8) -> bool {
    match at {
        0 => byte <= 1,
        1 => byte == 0,
        _ => true,
    }
}

/// Owned facts of a request for its event, its reply and its metrics.
#[derive(Debug, Clone)]
pub struct Report {
    /// Name of the route; empty before one was chosen.
    pub route: Vec<u8>,
    /// The client.
    pub client: IpAddr,
    /// `sub` of the verified token; empty when anonymous.
    pub subject: Vec<u8>,
    /// Method, at most 32 bytes.
    pub method: Vec<u8>,
    /// Judged path, at most 256 bytes, without the query.
    pub path: Vec<u8>,
    /// `x-request-id`, at most 64 bytes.
    pub request_id: Vec<u8>,
    /// A `HEAD` request: the reply has no body.
    pub head_only: bool,
    /// A gRPC request: the reply carries `grpc-status`.
    pub grpc: bool,
    /// What happened to the body.
    pub body: BodySeen,
    /// Findings, in order.
    pub findings: Findings,
}

/// A request that waits. Borrows nothing.
#[derive(Debug)]
pub struct Suspended {
    next: Next,
    pass: Pass,
    charges: Charges,
    report: Report,
}

/// Where a request that waits goes on.
#[derive(Debug)]
enum Next {
    /// At its credentials; the head is read again.
    Token {
        route: usize,
        ends: bool,
        found: Findings,
        /// Who waits; nobody: the body is awaited.
        asking: Option<usize>,
        waited: Vec<Waited>,
        /// How often it was told of keys that may have been fetched too early.
        early: u8,
        /// Places held in case that it fails.
        guard: Option<Charges>,
    },
    /// At its body.
    Body(Held),
    /// At a rate limit service, the last that is asked.
    Fleet(Box<Consulting>),
}

/// What the end of a request needs when a rate limit service has answered.
#[derive(Debug)]
struct Consulting {
    service: usize,
    route: usize,
    /// What is revoked when it passes.
    revoke: Option<(usize, Credential)>,
    /// A body that is looked at as it passes.
    then: Option<(Wait, Held)>,
}

impl Consulting {
    /// What to wait for, and where to go on then.
    fn wait(mut self, question: Question) -> (Wait, Next) {
        self.service = question.service;
        (Wait::Fleet(question), Next::Fleet(Box::new(self)))
    }
}

/// What the body phase needs of the head.
#[derive(Debug)]
struct Held {
    route: usize,
    kind: BodyKind,
    coding: Option<Coding>,
    /// The query, of a form that is inspected.
    query: Vec<u8>,
    /// Limits to judge by it.
    pending: Pending,
    /// What is revoked when it passes, and what when its body attacks.
    revoke: Option<Box<Revocable>>,
}

/// The query of a request whose body is a form: some servers read both together.
fn query_of_form<'a>(head: &RequestHead<'a>) -> &'a [u8] {
    if body::kind(head) != BodyKind::Form {
        return b"";
    }
    let mut parts = head.target.splitn(2, |&byte| byte == b'?');
    parts.next();
    parts.next().unwrap_or_default()
}

/// What the body phase is told of a body.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    kind: BodyKind,
    coding: Option<Coding>,
    query: &'a [u8],
    bytes: &'a [u8],
    /// It is all of it.
    whole: bool,
}

#[derive(Debug)]
struct Revocable {
    passed: Option<(usize, Credential)>,
    attacked: Option<(usize, Credential)>,
}

/// What a request goes on with after a wait.
#[derive(Debug)]
pub struct Resumed<'a> {
    /// What the wait ended in.
    pub answer: Answer<'a>,
    /// The whole body, if it was collected during a wait for something else.
    pub body: Option<&'a [u8]>,
    /// The head once more, when [`Suspended::needs_head`].
    pub head: Option<&'a RequestHead<'a>>,
    /// Its connection; looked at with the head only.
    pub connection: Connection<'a>,
}

impl Suspended {
    /// Whether the head must be read again to go on: it waits for what its credentials need.
    #[must_use]
    pub const fn needs_head(&self) -> bool {
        matches!(self.next, Next::Token { .. })
    }

    /// Facts for the event of a stream that ends while it waits.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The head's edits, for a stream whose head is not held (monitor mode).
    pub fn take_edits(&mut self) -> Edits {
        core::mem::take(&mut self.pass.edits)
    }
}

impl Engine {
    /// An engine for a compiled policy.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self { policy }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What one worker remembers under this policy.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let secret = self.policy.limits.hash_key;
        let injection = self.policy.injection.as_ref();
        Memory {
            tokens: token::Memory::new(&self.policy.tokens, secret),
            fleet: fleet::Memory::default(),
            exceptions: Uses::new(self.policy.exceptions().len()),
            clean: injection.map_or_else(Clean::default, |stage| stage.memory(secret)),
        }
    }

    /// Judges the head. `ends` says that no body follows.
    pub fn decide_head<S: Outside>(
        &self,
        head: &RequestHead<'_>,
        connection: Connection<'_>,
        ends: bool,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
    ) -> Verdict {
        let peer = connection.peer.unwrap_or(UNKNOWN_PEER);
        let client = client_addr::client(head, peer, self.policy.trusted_hops);
        let mut seen = Seen::default();
        let mut charges = Charges::default();
        let asked = Asked {
            ask: Ask {
                head,
                client,
                connection,
                body: ends.then_some(&[]),
                waited: &[],
                marks: &self.policy.marks,
                rehearses: false,
            },
            ends,
        };
        let judged = match self.judge_head(&asked, memory, env, &mut charges, &mut seen) {
            Ok(Some(route)) => {
                let judged =
                    self.judge_subject(&asked, route, memory, env, &mut charges, &mut seen);
                let judged =
                    self.consult_for_head(judged, route, memory, env, &mut charges, &mut seen);
                self.revoke_for_head(judged, route, env, &mut seen)
            }
            Ok(None) => Ok(Judged::Passed),
            Err(denial) => Err(denial),
        };
        env.enter(Step::End);
        self.conclude(judged, &asked, charges, seen)
    }

    /// The head phase up to the credentials; every `?` leaves with a denial. Nothing: no route takes the request, and
    /// the policy monitors.
    fn judge_head<S: Outside>(
        &self,
        asked: &Asked<'_>,
        memory: &Memory,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        seen: &mut Seen,
    ) -> Result<Option<usize>, Denial> {
        let policy = &self.policy;
        let Ask { head, client, .. } = asked.ask;
        let found = &mut seen.found;
        env.enter(Step::Route);
        let matched = policy.route_of(head);
        seen.route = matched;
        let route = matched.and_then(|index| policy.routes.get(index));
        if env.counters.listens() {
            env.counters.note(Note::Route(matched));
        }
        let mode = route.map_or(policy.mode, |route| narrower(policy.mode, route.mode));
        let modes = &policy.stage_modes;

        env.enter(Step::Access);
        gate(
            narrower(mode, modes.access),
            policy.access.inspect(client, found),
        )?;
        if let Some(operator) = policy.operator.as_ref().filter(|it| it.takes(head)) {
            return Err(operator.answer(policy, head, env, found));
        }
        env.enter(Step::Headers);
        gate(
            narrower(mode, modes.headers),
            policy.headers.inspect(head, found),
        )?;
        if let Some(bare) = target::without_parameters(&head.path)
            && (policy.route_for(head, &bare) != matched
                || !policy.limits.same(head.method, &head.path, &bare))
        {
            // Readers differ in whether `/admin;x` is `/admin`: the policy must say the same of both.
            let reason = Reason::MalformedPath;
            let finding = Finding::new(Stage::Route, reason).rule(b"parameters");
            found.push(finding.place(b"path", b""));
            gate::<()>(mode, Err(Denial::new(Stage::Route, reason)))?;
        }
        if route.is_none() {
            found.push(Finding::new(Stage::Route, Reason::RouteNotFound));
            gate::<()>(mode, Err(Denial::new(Stage::Route, Reason::RouteNotFound)))?;
            return Ok(None);
        }
        env.enter(Step::ClientLimits);
        let limits_mode = narrower(mode, modes.limits);
        let watched = limits_mode == Mode::Monitor;
        let facts = asked.facts(route, &Subject::Anonymous, policy);
        let Monotonic(now) = env.now;
        let known = &memory.fleet;
        gate(
            limits_mode,
            policy
                .limits
                .remembered(Phase::Client, &facts, known, now, found),
        )?;
        gate(
            limits_mode,
            policy
                .limits
                .check(Phase::Client, &facts, watched, env, charges, found),
        )?;
        Ok(matched)
    }

    /// The head phase from the credentials on: a request that waited for what they need comes here again.
    fn judge_subject<S: Outside>(
        &self,
        asked: &Asked<'_>,
        index: usize,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        seen: &mut Seen,
    ) -> Result<Judged, Denial> {
        let policy = &self.policy;
        let Some(route) = policy.routes.get(index) else {
            return Ok(Judged::Passed);
        };
        let mode = narrower(policy.mode, route.mode);
        let modes = &policy.stage_modes;
        let limits_mode = narrower(mode, modes.limits);
        let watched = limits_mode == Mode::Monitor;
        let Ask { head, body, .. } = asked.ask;
        if body.is_some() && !asked.ends {
            seen.body = BodySeen::Inspected;
        }
        let found = &mut seen.found;

        let facts = asked.facts(Some(route), &Subject::Anonymous, policy);
        if seen.guard.is_none() && policy.limits.concerns(Phase::Credential, &facts) {
            env.enter(Step::ClientLimits);
            let mut guard = Charges::default();
            let claimed = policy.tokens.claimed_account(&route.token, &asked.ask);
            if claimed != Claimed::Nothing {
                let facts = Facts {
                    account: claimed.account(),
                    ..facts
                };
                gate(
                    limits_mode,
                    policy
                        .limits
                        .check(Phase::Credential, &facts, watched, env, &mut guard, found),
                )?;
            }
            seen.guard = Some(guard);
        }

        env.enter(Step::Token);
        let subject = loop {
            let ask = Ask {
                waited: &seen.waited,
                ..asked.ask
            };
            let tokens = &mut memory.tokens;
            let verified = policy.tokens.verify(&route.token, &ask, tokens, env, found);
            // A place that was held for a failure stays taken by one only.
            let failed = match &verified {
                Ok(Outcome::Awaits(_)) => true,
                Ok(Outcome::Known(_)) => false,
                Err(denial) => denial.reason.is_failed_authentication(),
            };
            if !failed && let Some(guard) = seen.guard.take() {
                policy.limits.release(&guard, env);
            }
            if failed && verified.is_err() {
                let who = policy.limits.who(&facts);
                let watched = mode == Mode::Monitor;
                let limits = &policy.limits;
                limits.signal(Cause::Authentication, 1, who.as_ref(), watched, env, found);
            }
            let awaited = match gate(mode, verified)? {
                Some(Outcome::Awaits(awaited)) => awaited,
                Some(Outcome::Known(subject)) => break Some(subject),
                None => break None,
            };
            // A request is not held to be watched: asked again, the verifier says what it lacks.
            if mode == Mode::Monitor
                && let Some(provider) = awaited.provider()
            {
                seen.waited.push(Waited {
                    provider,
                    keys: false,
                    replied: None,
                });
                continue;
            }
            let wait = match awaited {
                Awaited::Body => {
                    let hold = mode == Mode::Enforce;
                    gate(mode, self.body_of_credentials(route, head, hold, found))?
                }
                Awaited::Keys { provider } => Some(Wait::Keys {
                    provider,
                    body: self.body_to_collect(route, asked),
                }),
                Awaited::Callout(callout) => Some(Wait::Callout {
                    callout,
                    body: self.body_to_collect(route, asked),
                }),
            };
            return Ok(wait.map_or(Judged::Passed, Judged::AwaitsForToken));
        };
        if let Some(subject) = subject {
            seen.subject = subject;
            if env.counters.listens()
                && let Subject::Verified(claims) = &seen.subject
            {
                env.counters.note(Note::Verified(claims.provider()));
            }
            env.enter(Step::Roles);
            gate(
                mode,
                policy.tokens.authorize(&route.token, &seen.subject, found),
            )?;
        }
        let facts = asked.facts(Some(route), &seen.subject, policy);
        let views = policy.operator.as_ref().and_then(|it| it.counters.as_ref());
        if let Some(view) = views.filter(|it| *head.path == *it.path) {
            return Err(view.answer(&policy.limits, &seen.subject, &facts, env, found));
        }
        env.enter(Step::SubjectLimits);
        let Monotonic(now) = env.now;
        let known = &memory.fleet;
        gate(
            limits_mode,
            policy
                .limits
                .remembered(Phase::Subject, &facts, known, now, found),
        )?;
        gate(
            limits_mode,
            policy
                .limits
                .check(Phase::Subject, &facts, watched, env, charges, found),
        )?;
        let injection_mode = narrower(mode, modes.injection);
        if let Some(stage) = &policy.injection {
            env.enter(Step::HeadInjection);
            let mut steps = stage.steps.wrapping_shr(HEAD_SHARE);
            let before = found.as_slice().len();
            let here = Here::new(&route.name, env.wall);
            let clean = &mut memory.clean;
            let inspected = stage.inspect_known_head(head, here, clean, &mut steps, found);
            found.excepted.count_into(&mut memory.exceptions);
            if is_attack(&inspected) {
                let who = policy.limits.who(&facts);
                let watched = injection_mode == Mode::Monitor;
                self.signal_attack(who.as_ref(), before, watched, env, found);
            }
            gate(injection_mode, inspected)?;
        }

        env.enter(Step::Body);
        let pending = policy.limits.pending(&facts);
        let hold = self.reads_body(mode, pending.needs_body());
        let streams = route.body == RouteBody::Stream || body::is_streaming(head);
        let (Some(hold), false, false) = (hold, asked.ends, streams) else {
            if !pending.is_empty() {
                // A body that streams, where somebody would read it, counts as one without fields.
                env.enter(Step::FieldLimits);
                let none = Fields {
                    length: facts.length,
                    ..Fields::default()
                };
                let limits = &policy.limits;
                gate(
                    limits_mode,
                    limits.remembered_pending(&pending, none, &memory.fleet, now, found),
                )?;
                gate(
                    limits_mode,
                    limits.check_pending(&pending, none, watched, env, charges, found),
                )?;
            }
            if hold.is_some() && streams && !asked.ends {
                let framed = self.reads_body(mode, false) == Some(true)
                    && route.body != RouteBody::Stream
                    && body::is_grpc(head);
                seen.body = if framed {
                    BodySeen::Framed
                } else {
                    BodySeen::Streamed
                };
            }
            return Ok(Judged::Passed);
        };
        let mode = if hold { Mode::Enforce } else { Mode::Monitor };
        let coding = self.coding(head);
        let Ok(coding) = coding else {
            let reason = Reason::ContentTypeNotAllowed;
            let finding = Finding::new(Stage::Body, reason).rule(b"content-encoding");
            found.push(finding.place(b"header", b"content-encoding"));
            let mut denial = Denial::new(Stage::Body, reason);
            let mut others = Vec::new();
            others.extend_from_slice(match self.policy.body_compressed {
                BodyCompressed::Inspect => b"gzip, deflate, br, identity",
                BodyCompressed::Refuse => b"identity",
            });
            denial.headers.push(("accept-encoding", others));
            gate::<()>(mode, Err(denial))?;
            return Ok(Judged::Passed);
        };
        if let Some(bytes) = body {
            // The credentials had to wait for it.
            let message = Message {
                kind: body::kind(head),
                coding,
                query: query_of_form(head),
                bytes,
                whole: true,
            };
            self.judge_body(&pending, message, index, memory, env, charges, found)?;
            return Ok(Judged::Passed);
        }
        // Who counts by fields counts by all of them.
        let prefix = self.policy.body_over == BodyOver::Prefix && !pending.needs_body();
        seen.pending = pending;
        Ok(
            gate(mode, self.body_within_bound(head, hold, prefix, found))?
                .map_or(Judged::Passed, Judged::AwaitsBody),
        )
    }

    /// Whether a stage looks at the body of a request, and then whether the head is held for it. `mode` is the
    /// route's; `by_limits` says that a limit does.
    fn reads_body(&self, mode: Mode, by_limits: bool) -> Option<bool> {
        let policy = &self.policy;
        let by_injection = policy
            .injection
            .as_ref()
            .is_some_and(|stage| stage.inspect.body);
        if !by_injection && !by_limits {
            return None;
        }
        let enforces = |stage| narrower(mode, stage) == Mode::Enforce;
        let modes = &policy.stage_modes;
        Some((by_injection && enforces(modes.injection)) || (by_limits && enforces(modes.limits)))
    }

    /// The bound of a body that must be collected while its head waits for something else, as it may have to be judged
    /// before the head goes on. It is judged in no more cases than this tells: the host could not give it any more.
    fn body_to_collect(&self, route: &Route, asked: &Asked<'_>) -> Option<usize> {
        let Ask { head, body, .. } = asked.ask;
        if body.is_some() || route.body == RouteBody::Stream || body::is_streaming(head) {
            return None;
        }
        let mode = narrower(self.policy.mode, route.mode);
        let facts = asked.facts(Some(route), &Subject::Anonymous, &self.policy);
        let by_limits = self.policy.limits.concerns_body(&facts);
        let holds = self.reads_body(mode, by_limits) == Some(true) && self.coding(head).is_ok();
        (holds || self.policy.tokens.reads_body(&route.token)).then_some(self.policy.body_max)
    }

    /// Asks the rate limit services of a request that nothing else speaks against; if a body is judged first, later.
    fn consult_for_head<S: Outside>(
        &self,
        judged: Result<Judged, Denial>,
        route: usize,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        seen: &mut Seen,
    ) -> Result<Judged, Denial> {
        let then = match judged {
            Ok(Judged::Passed) => None,
            // The head does not wait for this body.
            Ok(Judged::AwaitsBody(wait @ Wait::Body { hold: false, .. })) => Some(wait),
            other => return other,
        };
        let question = self.consult(route, memory, env, charges, &mut seen.found)?;
        Ok(match (question, then) {
            (Some(question), then) => Judged::AwaitsFleet(question, then),
            (None, Some(wait)) => Judged::AwaitsBody(wait),
            (None, None) => Judged::Passed,
        })
    }

    fn consult<S: Outside>(
        &self,
        route: usize,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        found: &mut Findings,
    ) -> Result<Option<Question>, Denial> {
        let mode = self.mode_of_limits(route);
        let enforce = mode == Mode::Enforce;
        let limits = &self.policy.limits;
        let consulted = limits.consult(enforce, &mut memory.fleet, env, charges, found);
        Ok(gate(mode, consulted)?.flatten())
    }

    fn mode_of(&self, route: usize) -> Mode {
        let route = self.policy.routes.get(route);
        route.map_or(Mode::Monitor, |route| {
            narrower(self.policy.mode, route.mode)
        })
    }

    fn mode_of_limits(&self, route: usize) -> Mode {
        narrower(self.mode_of(route), self.policy.stage_modes.limits)
    }

    /// Revokes the credential of a request whose route asks for it, once nothing speaks against the request; or
    /// of one that attacks, if its provider says so. A revocation that fails is no logout: the request is refused.
    fn revoke_for_head<S: Outside>(
        &self,
        judged: Result<Judged, Denial>,
        route: usize,
        env: &mut Env<'_, S>,
        seen: &mut Seen,
    ) -> Result<Judged, Denial> {
        let tokens = &self.policy.tokens;
        let Some(route) = self.policy.routes.get(route) else {
            return judged;
        };
        let attacked = match &judged {
            Ok(Judged::Passed) => false,
            Ok(_) => return judged,
            Err(denial) => denial.reason == Reason::Injection,
        };
        if judged.is_err() && !attacked {
            return judged;
        }
        let Some(credential) = tokens.to_revoke(&route.token, &seen.subject, attacked) else {
            return judged;
        };
        if !attacked {
            // What is about to end is not renewed.
            seen.subject.forget_additions();
        }
        let mode = narrower(self.policy.mode, route.mode);
        let revoked = tokens.revoke(&credential, &self.policy.marks, env, &mut seen.found);
        judged.and_then(|judged| gate(mode, revoked).map(|_| judged))
    }

    /// The same when the body has been judged.
    fn revoke_for_body<S: Outside>(
        &self,
        judged: Result<(), Denial>,
        held: &Held,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let mode = self.mode_of(held.route);
        let Some(revocable) = &held.revoke else {
            return judged;
        };
        let credential = match &judged {
            Ok(()) => &revocable.passed,
            Err(denial) if denial.reason == Reason::Injection => &revocable.attacked,
            Err(_) => &None,
        };
        let Some(credential) = credential else {
            return judged;
        };
        let marks = &self.policy.marks;
        let revoked = self.policy.tokens.revoke(credential, marks, env, found);
        judged.and_then(|()| gate(mode, revoked).map(|_| ()))
    }

    /// A wait for the body, unless its declared length is over the bound already.
    fn body_within_bound(
        &self,
        head: &RequestHead<'_>,
        hold: bool,
        prefix: bool,
        found: &mut Findings,
    ) -> Result<Wait, Denial> {
        let max = self.policy.body_max;
        if !prefix && body::declared_length(head).is_some_and(|length| length > max) {
            found.push(Finding::new(Stage::Body, Reason::BodyTooLarge));
            return Err(Denial::new(Stage::Body, Reason::BodyTooLarge));
        }
        Ok(Wait::Body { hold, max, prefix })
    }

    /// What has to be undone before a body can be read; `Err`: nobody here undoes it.
    fn coding(&self, head: &RequestHead<'_>) -> Result<Option<Coding>, ()> {
        match body::coded(head) {
            Coded::Plain => Ok(None),
            Coded::In(coding) if self.policy.body_compressed == BodyCompressed::Inspect => {
                Ok(Some(coding))
            }
            Coded::In(_) | Coded::Otherwise => Err(()),
        }
    }

    /// The same for credentials that cover the body: what streams cannot be shown to be what was signed.
    fn body_of_credentials(
        &self,
        route: &Route,
        head: &RequestHead<'_>,
        hold: bool,
        found: &mut Findings,
    ) -> Result<Wait, Denial> {
        if route.body == RouteBody::Stream || body::is_streaming(head) {
            let reason = Reason::ContentTypeNotAllowed;
            found.push(Finding::new(Stage::Token, reason).rule(b"streamed"));
            return Err(Denial::new(Stage::Token, reason));
        }
        self.body_within_bound(head, hold, false, found)
    }

    /// Goes on after a wait.
    pub fn resume<S: Outside>(
        &self,
        suspended: Suspended,
        resumed: Resumed<'_>,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
    ) -> Verdict {
        let Suspended {
            next,
            pass,
            charges,
            report,
        } = suspended;
        match next {
            Next::Body(held) => {
                self.resume_body(held, resumed.answer, pass, charges, report, memory, env)
            }
            Next::Fleet(consulting) => {
                let answer = resumed.answer;
                self.resume_fleet(*consulting, answer, pass, charges, report, memory, env)
            }
            Next::Token {
                route,
                ends,
                found,
                asking,
                waited,
                early,
                guard,
            } => {
                let seen = Seen {
                    route: Some(route),
                    found,
                    waited,
                    early,
                    guard,
                    ..Seen::default()
                };
                let next = (route, ends, asking);
                self.resume_token(next, seen, resumed, charges, report, memory, env)
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one suspended request; a struct for them would have one user"
    )]
    fn resume_token<S: Outside>(
        &self,
        (route, ends, asking): (usize, bool, Option<usize>),
        mut seen: Seen,
        resumed: Resumed<'_>,
        mut charges: Charges,
        mut report: Report,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
    ) -> Verdict {
        let collected = if ends { Some(&[][..]) } else { resumed.body };
        let (body, replied) = match resumed.answer {
            Answer::Body(bytes) => (Ok(Some(bytes)), None),
            Answer::BodyTooLarge | Answer::BodyPrefix(_) => (Err(Reason::BodyTooLarge), None),
            Answer::BodyUnavailable => (Err(Reason::BodyUnavailable), None),
            Answer::Replied { status, body } if body.len() <= MAX_ANSWER_BYTES => {
                let body = cut(body, MAX_ANSWER_BYTES);
                (Ok(collected), Some(Replied { status, body }))
            }
            Answer::Keys { .. }
            | Answer::Replied { .. }
            | Answer::Counted(_)
            | Answer::Unanswered => (Ok(collected), None),
        };
        let keys = matches!(resumed.answer, Answer::Keys { after: true });
        if matches!(resumed.answer, Answer::Keys { after: false }) && seen.early < MAX_EARLY {
            // It may wait once more, for a fetch of its own.
            seen.early = seen.early.saturating_add(1);
        } else if let Some(provider) = asking {
            seen.waited.push(Waited {
                provider,
                keys,
                replied,
            });
        }
        let (Ok(body), Some(head)) = (body, resumed.head) else {
            // Without the head there is nothing to go on with, and nothing that failed.
            if let Some(guard) = seen.guard.take() {
                self.policy.limits.release(&guard, env);
            }
            let reason = body.err().unwrap_or(Reason::BodyUnavailable);
            seen.found.push(Finding::new(Stage::Body, reason));
            report.findings = seen.found;
            return Verdict::Deny(Refusal {
                denial: Denial::new(Stage::Body, reason),
                report,
            });
        };
        let asked = Asked {
            ask: Ask {
                head,
                client: report.client,
                connection: resumed.connection,
                body,
                waited: &[],
                marks: &self.policy.marks,
                rehearses: false,
            },
            ends,
        };
        let judged = self.judge_subject(&asked, route, memory, env, &mut charges, &mut seen);
        let judged = self.consult_for_head(judged, route, memory, env, &mut charges, &mut seen);
        let judged = self.revoke_for_head(judged, route, env, &mut seen);
        env.enter(Step::End);
        self.conclude(judged, &asked, charges, seen)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one suspended request; a struct for them would have one user"
    )]
    fn resume_body<S: Outside>(
        &self,
        held: Held,
        answer: Answer<'_>,
        pass: Pass,
        mut charges: Charges,
        mut report: Report,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
    ) -> Verdict {
        let judged = match answer {
            Answer::Body(bytes) | Answer::BodyPrefix(bytes) => {
                let whole = matches!(answer, Answer::Body(_));
                let message = Message {
                    kind: held.kind,
                    coding: held.coding,
                    query: &held.query,
                    bytes,
                    whole,
                };
                let found = &mut report.findings;
                let judged = self.judge_body(
                    &held.pending,
                    message,
                    held.route,
                    memory,
                    env,
                    &mut charges,
                    found,
                );
                judged.map(|seen| report.body = seen).inspect_err(|_| {
                    report.body = if whole {
                        BodySeen::Inspected
                    } else {
                        BodySeen::Prefix
                    };
                })
            }
            other => {
                let reason = match other {
                    Answer::BodyTooLarge => Reason::BodyTooLarge,
                    Answer::Body(_)
                    | Answer::BodyPrefix(_)
                    | Answer::BodyUnavailable
                    | Answer::Keys { .. }
                    | Answer::Replied { .. }
                    | Answer::Counted(_)
                    | Answer::Unanswered => Reason::BodyUnavailable,
                };
                report.findings.push(Finding::new(Stage::Body, reason));
                let mode = self.mode_of(held.route);
                gate::<()>(mode, Err(Denial::new(Stage::Body, reason))).map(|_| ())
            }
        };
        let found = &mut report.findings;
        let consulted =
            judged.and_then(|()| self.consult(held.route, memory, env, &mut charges, found));
        let judged = match consulted {
            Ok(Some(question)) => {
                let consulting = Consulting {
                    service: question.service,
                    route: held.route,
                    revoke: held.revoke.and_then(|revocable| revocable.passed),
                    then: None,
                };
                return suspend(consulting.wait(question), pass, charges, report);
            }
            Ok(None) => Ok(()),
            Err(denial) => Err(denial),
        };
        let judged = self.revoke_for_body(judged, &held, env, &mut report.findings);
        env.enter(Step::End);
        self.conclude_late(judged, pass, charges, report)
    }

    /// Goes on with what a rate limit service says.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one suspended request; a struct for them would have one user"
    )]
    fn resume_fleet<S: Outside>(
        &self,
        consulting: Consulting,
        answer: Answer<'_>,
        pass: Pass,
        mut charges: Charges,
        mut report: Report,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
    ) -> Verdict {
        let message = match answer {
            Answer::Counted(message) => Some(message),
            Answer::Body(_)
            | Answer::BodyPrefix(_)
            | Answer::BodyTooLarge
            | Answer::BodyUnavailable
            | Answer::Keys { .. }
            | Answer::Replied { .. }
            | Answer::Unanswered => None,
        };
        let route = consulting.route;
        let consulted = self.policy.limits.consulted(
            consulting.service,
            message,
            &mut memory.fleet,
            env,
            &mut charges,
            &mut report.findings,
        );
        let mut judged = match gate(self.mode_of_limits(route), consulted) {
            Ok(Some(Some(question))) => {
                return suspend(consulting.wait(question), pass, charges, report);
            }
            Ok(_) => Ok(()),
            Err(denial) => Err(denial),
        };
        if judged.is_ok() {
            if let Some((wait, held)) = consulting.then {
                return suspend((wait, Next::Body(held)), pass, charges, report);
            }
            if let Some(credential) = &consulting.revoke {
                let found = &mut report.findings;
                let marks = &self.policy.marks;
                let revoked = self.policy.tokens.revoke(credential, marks, env, found);
                judged = gate(self.mode_of(route), revoked).map(|_| ());
            }
        }
        env.enter(Step::End);
        self.conclude_late(judged, pass, charges, report)
    }

    /// What comes of a request that waited for its body or a service.
    fn conclude_late(
        &self,
        judged: Result<(), Denial>,
        mut pass: Pass,
        charges: Charges,
        report: Report,
    ) -> Verdict {
        match judged {
            Ok(()) => {
                self.answer(&charges, &mut pass.edits);
                if !charges.reserved.is_empty() {
                    pass.settlement = Some(charges);
                }
                if !report.findings.as_slice().is_empty()
                    || report.body == BodySeen::Prefix
                    || self.policy.events.log == EventLog::All
                {
                    pass.report = Some(report);
                }
                Verdict::Allow(pass)
            }
            Err(mut denial) => {
                self.answer_denied(&charges, &mut denial);
                Verdict::Deny(Refusal { denial, report })
            }
        }
    }

    /// The response tells of limits that are always told.
    fn answer(&self, charges: &Charges, edits: &mut Edits) {
        for (name, value) in self.policy.limits.answer(charges) {
            edits.add.push(Addition::replacing(name, value));
        }
    }

    /// So does a reply of ours that another stage caused.
    fn answer_denied(&self, charges: &Charges, denial: &mut Denial) {
        if denial.stage != Stage::Limits {
            let mut fields = self.policy.limits.answer(charges);
            denial.headers.append(&mut fields);
        }
    }

    /// The body phase: a body within the bound, or as much of it. Tells what was seen of it.
    #[expect(
        clippy::too_many_arguments,
        reason = "facts of one request; a struct for them would have one user"
    )]
    fn judge_body<S: Outside>(
        &self,
        pending: &Pending,
        message: Message<'_>,
        route: usize,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        found: &mut Findings,
    ) -> Result<BodySeen, Denial> {
        env.enter(Step::Body);
        let policy = &self.policy;
        let Some(route) = policy.routes.get(route) else {
            return Ok(BodySeen::None);
        };
        let mode = narrower(policy.mode, route.mode);
        let limits_mode = narrower(mode, policy.stage_modes.limits);
        let watched = limits_mode == Mode::Monitor;
        let injection_mode = narrower(mode, policy.stage_modes.injection);
        let mut plain = Vec::new();
        let prefix = policy.body_over == BodyOver::Prefix && !pending.needs_body();
        let mut steps = policy
            .injection
            .as_ref()
            .map_or(MAX_STEPS, |stage| stage.steps);
        let spent =
            policy.injection.as_ref().is_some_and(|stage| stage.prefix) && !pending.needs_body();
        let read = self.plain(message, (prefix, spent), &mut steps, &mut plain, found);
        let Some(Message {
            kind, bytes, whole, ..
        }) = gate(mode, read)?
        else {
            return Ok(BodySeen::None);
        };
        if let Some(stage) = policy.injection.as_ref().filter(|stage| stage.inspect.body) {
            env.enter(Step::BodyInjection);
            let before = found.as_slice().len();
            let here = Here::new(&route.name, env.wall).with_query(message.query);
            let inspected = if whole {
                stage.inspect_body(kind, bytes, here, &mut steps, found)
            } else {
                stage.inspect_prefix(kind, bytes, here, &mut steps, found)
            };
            found.excepted.count_into(&mut memory.exceptions);
            if is_attack(&inspected) {
                let watched = injection_mode == Mode::Monitor;
                self.signal_attack(pending.who(), before, watched, env, found);
            }
            gate(injection_mode, inspected)?;
        }
        if !pending.is_empty() {
            env.enter(Step::FieldLimits);
            let pairs = body::fields(kind, bytes);
            let fields = Fields {
                pairs: &pairs,
                form: kind == BodyKind::Form,
                length: u64::try_from(message.bytes.len()).ok(),
            };
            if policy.limits.contradicted(pending, fields) {
                let reason = Reason::MalformedBody;
                found.push(Finding::new(Stage::Body, reason).rule(b"repeated_field"));
                gate::<()>(limits_mode, Err(Denial::new(Stage::Body, reason)))?;
            }
            let limits = &policy.limits;
            let Monotonic(now) = env.now;
            let known = &memory.fleet;
            gate(
                limits_mode,
                limits.remembered_pending(pending, fields, known, now, found),
            )?;
            gate(
                limits_mode,
                limits.check_pending(pending, fields, watched, env, charges, found),
            )?;
        }
        Ok(if whole {
            BodySeen::Inspected
        } else {
            BodySeen::Prefix
        })
    }

    /// What a message stands for. `prefix`: what is longer than the bound is read as far as that; `spent`: what costs more than `steps`, too.
    fn plain<'a>(
        &self,
        message: Message<'a>,
        (prefix, spent): (bool, bool),
        steps: &mut u64,
        plain: &'a mut Vec<u8>,
        found: &mut Findings,
    ) -> Result<Message<'a>, Denial> {
        let Some(coding) = message.coding.filter(|_| !message.bytes.is_empty()) else {
            return Ok(message);
        };
        let most = self.policy.body_max;
        let whole = match inflate(coding, message.bytes, most, steps, plain) {
            Ok(()) => message.whole,
            Err(Fault::TooLong) if prefix => false,
            Err(Fault::Spent) if spent => false,
            Err(Fault::Truncated) if !message.whole => false,
            Err(fault) => {
                let reason = match fault {
                    Fault::TooLong => Reason::BodyTooLarge,
                    Fault::Spent => Reason::InspectionBudget,
                    Fault::Malformed | Fault::Truncated => Reason::MalformedBody,
                };
                found.push(Finding::new(Stage::Body, reason).rule(b"content-encoding"));
                return Err(Denial::new(Stage::Body, reason));
            }
        };
        Ok(Message {
            bytes: plain,
            whole,
            ..message
        })
    }

    /// An attack was recognised, by the findings from the place `before` on.
    fn signal_attack<S: Outside>(
        &self,
        who: Option<&Who>,
        before: usize,
        watched: bool,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) {
        let attack = found.as_slice().iter().skip(before);
        let points = attack.fold(0_u32, |sum, one| sum.saturating_add(one.score));
        let limits = &self.policy.limits;
        limits.signal(Cause::Injection, points, who, watched, env, found);
    }

    /// Everything that injection detection sees in a head, also beyond the threshold and under exceptions: the stage's own code
    /// once more, telling what it finds. For `debug.trace`, after the verdict.
    #[must_use]
    pub fn explain_head(&self, head: &RequestHead<'_>, now: UnixTime) -> Explained {
        let route = self
            .policy
            .route_of(head)
            .and_then(|index| self.policy.routes.get(index));
        match (&self.policy.injection, route) {
            (Some(stage), Some(route)) => {
                let route = &route.name;
                stage.explain_head(head, Here::new(route, now))
            }
            _ => Explained::default(),
        }
    }

    /// The same for a body, before [`Engine::resume`] takes its request away.
    #[must_use]
    pub fn explain_body(&self, suspended: &Suspended, bytes: &[u8], now: UnixTime) -> Explained {
        let Next::Body(held) = &suspended.next else {
            return Explained::default();
        };
        match (
            self.policy
                .injection
                .as_ref()
                .filter(|stage| stage.inspect.body),
            self.policy.routes.get(held.route),
        ) {
            (Some(stage), Some(route)) => {
                let route = &route.name;
                let mut plain = Vec::new();
                let read = held.coding.map(|coding| {
                    // As far as it goes: this judges nothing.
                    let mut steps = MAX_STEPS.saturating_mul(16);
                    let _ = inflate(coding, bytes, self.policy.body_max, &mut steps, &mut plain);
                });
                let bytes = if read.is_some() { &plain } else { bytes };
                let here = Here::new(route, now).with_query(&held.query);
                stage.explain_body(held.kind, bytes, here)
            }
            _ => Explained::default(),
        }
    }

    /// Settles what a request reserved, when its response status is known.
    pub fn settle<S: Outside>(&self, charges: &Charges, status: u16, env: &mut Env<'_, S>) {
        self.policy.limits.settle(charges, status, env);
    }

    /// Gives back places in flight: the request was refused, or its stream has ended. Those that the store does not take back
    /// now stay in `places`, to be tried again.
    pub fn leave<S: Outside>(&self, places: &mut Vec<Place>, env: &mut Env<'_, S>) {
        self.policy.limits.leave(places, env);
    }

    /// On the tick: gives back what this worker has charged ahead for clients that did not use it.
    pub fn return_leases<S: Outside>(&self, env: &mut Env<'_, S>) {
        self.policy.limits.return_leases(env);
    }

    /// Whether requests in flight are counted: such a worker joins the list of those who live ([`crate::stages::limits::tick`]).
    #[must_use]
    pub fn counts_in_flight(&self) -> bool {
        let mut limits = self.policy.limits.limits.iter();
        limits.any(|limit| limit.algorithm == Algorithm::Concurrency)
    }

    /// What comes of the head phase.
    fn conclude(
        &self,
        judged: Result<Judged, Denial>,
        asked: &Asked<'_>,
        charges: Charges,
        mut seen: Seen,
    ) -> Verdict {
        let Ask { head, client, .. } = asked.ask;
        let judged = match judged {
            Ok(judged) => judged,
            Err(mut denial) => {
                self.answer_denied(&charges, &mut denial);
                return Verdict::Deny(Refusal {
                    denial,
                    report: self.report(head, client, seen),
                });
            }
        };
        let mut pass = Pass {
            edits: Edits::default(),
            settlement: None,
            report: None,
        };
        self.policy
            .tokens
            .edit(head, &mut seen.subject, &mut pass.edits);
        let waits = match (judged, seen.route) {
            (Judged::AwaitsFleet(question, None), Some(route)) => {
                let token = self.policy.routes.get(route).map(|route| &route.token);
                let tokens = &self.policy.tokens;
                let revoke = token.and_then(|token| tokens.to_revoke(token, &seen.subject, false));
                if revoke.is_some() {
                    // What is about to end is not renewed.
                    pass.edits.add.clear();
                }
                let consulting = Consulting {
                    service: question.service,
                    route,
                    revoke,
                    then: None,
                };
                Some(consulting.wait(question))
            }
            (judged @ (Judged::AwaitsBody(_) | Judged::AwaitsFleet(_, Some(_))), Some(route)) => {
                let tokens = &self.policy.tokens;
                let token = self.policy.routes.get(route).map(|route| &route.token);
                let to_revoke = |attacked| tokens.to_revoke(token?, &seen.subject, attacked);
                let (passed, attacked) = (to_revoke(false), to_revoke(true));
                if passed.is_some() {
                    // What is about to end is not renewed.
                    pass.edits.add.clear();
                }
                let revoke = (passed.is_some() || attacked.is_some())
                    .then(|| Box::new(Revocable { passed, attacked }));
                let held = Held {
                    route,
                    kind: body::kind(head),
                    // What cannot be undone was refused.
                    coding: self.coding(head).unwrap_or_default(),
                    query: cut(query_of_form(head), usize::MAX),
                    pending: core::mem::take(&mut seen.pending),
                    revoke,
                };
                match judged {
                    Judged::AwaitsFleet(question, Some(wait)) => {
                        let consulting = Consulting {
                            service: question.service,
                            route,
                            revoke: None,
                            then: Some((wait, held)),
                        };
                        Some(consulting.wait(question))
                    }
                    Judged::AwaitsBody(wait) => Some((wait, Next::Body(held))),
                    Judged::AwaitsFleet(_, None) | Judged::AwaitsForToken(_) | Judged::Passed => {
                        None
                    }
                }
            }
            (Judged::AwaitsForToken(wait), Some(route)) => {
                let next = Next::Token {
                    route,
                    ends: asked.ends,
                    found: core::mem::take(&mut seen.found),
                    asking: wait.provider(),
                    waited: core::mem::take(&mut seen.waited),
                    early: seen.early,
                    guard: seen.guard.take(),
                };
                Some((wait, next))
            }
            _ => None,
        };
        if let Some(waits) = waits {
            return suspend(waits, pass, charges, self.report(head, client, seen));
        }
        self.answer(&charges, &mut pass.edits);
        if !charges.reserved.is_empty() {
            pass.settlement = Some(charges);
        }
        let wanted = match self.policy.events.log {
            EventLog::All => true,
            EventLog::Denied | EventLog::None => {
                !seen.found.as_slice().is_empty()
                    || matches!(seen.body, BodySeen::Streamed | BodySeen::Framed)
            }
        };
        if wanted {
            pass.report = Some(self.report(head, client, seen));
        }
        Verdict::Allow(pass)
    }

    fn report(&self, head: &RequestHead<'_>, client: IpAddr, seen: Seen) -> Report {
        let route = seen
            .route
            .and_then(|index| self.policy.routes.get(index))
            .map(|route: &Route| route.name.clone());
        Report {
            route: route.unwrap_or_default(),
            client,
            subject: match seen.subject {
                Subject::Verified(claims) => claims.subject().to_vec(),
                Subject::Anonymous => Vec::new(),
            },
            method: cut(head.method, 32),
            path: cut(&head.path, 256),
            request_id: cut(head.first(b"x-request-id").unwrap_or_default(), 64),
            head_only: head.method == b"HEAD",
            grpc: body::is_grpc(head),
            body: seen.body,
            findings: seen.found,
        }
    }
}

/// A request in its head phase.
struct Asked<'a> {
    ask: Ask<'a>,
    /// No body follows.
    ends: bool,
}

impl Asked<'_> {
    fn facts<'f>(
        &'f self,
        route: Option<&'f Route>,
        subject: &'f Subject,
        policy: &'f Policy,
    ) -> Facts<'f> {
        let Ask {
            head,
            client,
            connection,
            ..
        } = self.ask;
        let known = subject.known();
        Facts {
            method: head.method,
            path: &head.path,
            route: route.map_or(b"", |route| &route.name),
            pattern: route
                .and_then(|route| route.path.as_ref())
                .map_or(b"", |pattern| &pattern.text),
            client,
            certificate: connection.certificate,
            account: None,
            subject: known.and_then(|(provider, id)| {
                let provider = policy.tokens.providers.get(provider)?;
                Some((provider.name.as_slice(), id))
            }),
            api_key: known.is_some_and(|(provider, _)| policy.tokens.has_api_keys(provider)),
            claims: match subject {
                Subject::Verified(claims) => claims.counted(),
                Subject::Anonymous => &[],
            },
            length: if self.ends {
                Some(0)
            } else {
                body::told_length(head)
            },
            head: Some(head),
        }
    }
}

/// What becomes of a head that nobody refuses.
enum Judged {
    Passed,
    /// Its body is judged next.
    AwaitsBody(Wait),
    /// Its credentials cannot be judged yet.
    AwaitsForToken(Wait),
    /// A rate limit service is asked; then, perhaps, its body is looked at as it passes.
    AwaitsFleet(Question, Option<Wait>),
}

/// What the head phase learns on its way.
#[derive(Default)]
struct Seen {
    route: Option<usize>,
    subject: Subject,
    body: BodySeen,
    found: Findings,
    waited: Vec<Waited>,
    early: u8,
    guard: Option<Charges>,
    pending: Pending,
}

fn is_attack(inspected: &Result<(), Denial>) -> bool {
    let denial = inspected.as_ref().err();
    denial.is_some_and(|denial| denial.reason == Reason::Injection)
}

fn suspend((wait, next): (Wait, Next), pass: Pass, charges: Charges, report: Report) -> Verdict {
    let suspended = Suspended {
        next,
        pass,
        charges,
        report,
    };
    Verdict::Need(wait, suspended)
}

/// Lets a refusal stand, or drops it because it is only to be reported (its finding was pushed).
fn gate<T>(mode: Mode, result: Result<T, Denial>) -> Result<Option<T>, Denial> {
    match (mode, result) {
        (_, Ok(value)) => Ok(Some(value)),
        (Mode::Enforce, Err(denial)) => Err(denial),
        (Mode::Monitor, Err(_)) => Ok(None),
    }
}

/// `monitor` anywhere on the way from policy to stage wins.
const fn narrower(outer: Mode, inner: Mode) -> Mode {
    match (outer, inner) {
        (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
        (Mode::Monitor, _) | (_, Mode::Monitor) => Mode::Monitor,
    }
}

fn cut(bytes: &[u8], most: usize) -> Vec<u8> {
    bytes.get(..most).unwrap_or(bytes).to_vec()
}

/// Fetches that were under way already when a request began to wait, and that it goes on waiting after.
const MAX_EARLY: u8 = 2;
/// Stands for a peer without an IP address (a pipe): one client for all of them.
const UNKNOWN_PEER: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests;
