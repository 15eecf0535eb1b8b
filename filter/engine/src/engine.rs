//! THE DATA PATH: `decide_head`, `resume`, `settle`. Read this first.
//!
//! **In:** a decoded head (then a body, then a response status) and [`Env`]. **Out:** [`Verdict`].
//! **Invariant:** each stage runs once per request. A stage that refuses has pushed a finding; `gate`
//! alone decides whether the refusal stands or is only reported. What must be waited for is a value
//! ([`Wait`]), and [`Suspended`] owns what is needed later and borrows nothing.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::budget::MAX_STEPS;
use crate::env::{CounterStore, Env, Note, Step};
use crate::finding::{Finding, Findings};
use crate::policy::{EventLog, Mode, Policy, Route, RouteBody};
use crate::request::body::{self, BodyKind};
use crate::request::target;
use crate::request::{RequestHead, client_addr};
use crate::stages::injection::Explained;
use crate::stages::limits::{Charges, Facts, Phase};
use crate::stages::token::Subject;
use crate::verdict::{Denial, Edits, Reason, Stage};

/// Decides requests under one policy.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
}

/// What becomes of a request.
#[derive(Debug)]
#[cfg_attr(
    target_pointer_width = "64",
    expect(
        clippy::large_enum_variant,
        reason = "one per request, moved once; a box would cost it an allocation"
    )
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The body, whole.
    Body {
        /// Hold the head until it is judged (`false` in monitor mode: look at a copy as it passes).
        hold: bool,
        /// Bytes at most; more is answered by [`Answer::BodyTooLarge`].
        max: usize,
    },
}

/// What a wait ended in.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// The whole body.
    Body(&'a [u8]),
    /// The body is longer than the bound.
    BodyTooLarge,
    /// The host did not deliver it.
    BodyUnavailable,
}

/// What happened to the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodySeen {
    /// There was none, or nothing asked for it.
    None,
    /// It was inspected.
    Inspected,
    /// It passed unseen: gRPC, CONNECT, upgrade, event stream, or a streaming route.
    Streamed,
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

/// A request between head and body. Borrows nothing.
#[derive(Debug)]
pub struct Suspended {
    held: Held,
    pass: Pass,
    charges: Charges,
    report: Report,
}

/// What the body phase needs of the head; whole, where the report's texts are cut.
#[derive(Debug)]
struct Held {
    route: usize,
    kind: BodyKind,
    provider: Option<usize>,
    method: Vec<u8>,
    path: Vec<u8>,
}

impl Suspended {
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

    /// Judges the head. `peer` is the downstream address as the host knows it; `ends` says that no body follows.
    pub fn decide_head<S: CounterStore>(
        &self,
        head: &RequestHead<'_>,
        peer: Option<IpAddr>,
        ends: bool,
        env: &mut Env<'_, S>,
    ) -> Verdict {
        let client =
            client_addr::client(head, peer.unwrap_or(UNKNOWN_PEER), self.policy.trusted_hops);
        let mut seen = Seen {
            route: None,
            subject: Subject::Anonymous,
            body: BodySeen::None,
            found: Findings::default(),
        };
        let mut charges = Charges::default();
        let judged = self.judge_head(head, client, ends, env, &mut charges, &mut seen);
        env.enter(Step::End);
        match judged {
            Ok(wait) => self.pass_head(wait, head, client, charges, seen),
            Err(denial) => Verdict::Deny(Refusal {
                denial,
                report: self.report(head, client, seen),
            }),
        }
    }

    /// The whole head phase in one place; every `?` leaves with a denial.
    fn judge_head<S: CounterStore>(
        &self,
        head: &RequestHead<'_>,
        client: IpAddr,
        ends: bool,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        seen: &mut Seen,
    ) -> Result<Option<Wait>, Denial> {
        let policy = &self.policy;
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
        let Some(route) = route else {
            found.push(Finding::new(Stage::Route, Reason::RouteNotFound));
            gate::<()>(mode, Err(Denial::new(Stage::Route, Reason::RouteNotFound)))?;
            return Ok(None);
        };
        let limits_mode = narrower(mode, modes.limits);
        let mut facts = Facts {
            method: head.method,
            path: &head.path,
            client,
            subject: None,
            head: Some(head),
            fields: &[],
        };
        env.enter(Step::ClientLimits);
        gate(
            limits_mode,
            policy
                .limits
                .check(Phase::Client, &facts, env, charges, found),
        )?;
        env.enter(Step::Token);
        let verified = gate(
            mode,
            policy
                .tokens
                .verify(&route.token, head, client, env.wall, found),
        )?;
        if let Some(subject) = verified {
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
        if let Subject::Verified(claims) = &seen.subject {
            facts.subject = Some((claims.provider(), claims.subject()));
        }
        env.enter(Step::SubjectLimits);
        gate(
            limits_mode,
            policy
                .limits
                .check(Phase::Subject, &facts, env, charges, found),
        )?;
        let injection_mode = narrower(mode, modes.injection);
        if let Some(stage) = &policy.injection {
            env.enter(Step::HeadInjection);
            let mut steps = MAX_STEPS;
            gate(
                injection_mode,
                stage.inspect_head(head, &route.name, &mut steps, found),
            )?;
        }

        env.enter(Step::Body);
        let by_injection = policy
            .injection
            .as_ref()
            .is_some_and(|stage| stage.inspect.body);
        let by_limits = policy
            .limits
            .concerns(Phase::Field, head.method, &head.path);
        if !by_injection && !by_limits {
            return Ok(None);
        }
        if ends {
            env.enter(Step::FieldLimits);
            gate(
                limits_mode,
                policy
                    .limits
                    .check(Phase::Field, &facts, env, charges, found),
            )?;
            return Ok(None);
        }
        if route.body == RouteBody::Stream || body::is_streaming(head) {
            seen.body = BodySeen::Streamed;
            return Ok(None);
        }
        let hold = (by_injection && injection_mode == Mode::Enforce)
            || (by_limits && limits_mode == Mode::Enforce);
        let mode = if hold { Mode::Enforce } else { Mode::Monitor };
        if body::is_coded(head) {
            let reason = Reason::ContentTypeNotAllowed;
            let finding = Finding::new(Stage::Body, reason).rule(b"content-encoding");
            found.push(finding.place(b"header", b"content-encoding"));
            let mut denial = Denial::new(Stage::Body, reason);
            let mut plain = Vec::new();
            plain.extend_from_slice(b"identity");
            denial.headers.push(("accept-encoding", plain));
            gate::<()>(mode, Err(denial))?;
            return Ok(None);
        }
        if body::declared_length(head).is_some_and(|length| length > policy.body_max) {
            found.push(Finding::new(Stage::Body, Reason::BodyTooLarge));
            gate::<()>(mode, Err(Denial::new(Stage::Body, Reason::BodyTooLarge)))?;
            return Ok(None);
        }
        Ok(Some(Wait::Body {
            hold,
            max: policy.body_max,
        }))
    }

    /// Goes on after a wait.
    pub fn resume<S: CounterStore>(
        &self,
        suspended: Suspended,
        answer: Answer<'_>,
        env: &mut Env<'_, S>,
    ) -> Verdict {
        let Suspended {
            held,
            mut pass,
            mut charges,
            mut report,
        } = suspended;
        let judged = self.judge_body(&held, answer, env, &mut charges, &mut report);
        env.enter(Step::End);
        match judged {
            Ok(()) => {
                if !charges.reserved.is_empty() {
                    pass.settlement = Some(charges);
                }
                if !report.findings.as_slice().is_empty() || self.policy.events.log == EventLog::All
                {
                    pass.report = Some(report);
                }
                Verdict::Allow(pass)
            }
            Err(denial) => Verdict::Deny(Refusal { denial, report }),
        }
    }

    fn judge_body<S: CounterStore>(
        &self,
        held: &Held,
        answer: Answer<'_>,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        report: &mut Report,
    ) -> Result<(), Denial> {
        env.enter(Step::Body);
        let policy = &self.policy;
        let Some(route) = policy.routes.get(held.route) else {
            return Ok(());
        };
        let mode = narrower(policy.mode, route.mode);
        let limits_mode = narrower(mode, policy.stage_modes.limits);
        let injection_mode = narrower(mode, policy.stage_modes.injection);
        let found = &mut report.findings;
        let bytes = match answer {
            Answer::Body(bytes) => bytes,
            Answer::BodyTooLarge | Answer::BodyUnavailable => {
                let reason = match answer {
                    Answer::BodyTooLarge => Reason::BodyTooLarge,
                    Answer::Body(_) | Answer::BodyUnavailable => Reason::BodyUnavailable,
                };
                found.push(Finding::new(Stage::Body, reason));
                return gate::<()>(mode, Err(Denial::new(Stage::Body, reason))).map(|_| ());
            }
        };
        report.body = BodySeen::Inspected;
        if let Some(stage) = policy.injection.as_ref().filter(|stage| stage.inspect.body) {
            env.enter(Step::BodyInjection);
            let mut steps = MAX_STEPS;
            gate(
                injection_mode,
                stage.inspect_body(held.kind, bytes, &route.name, &mut steps, found),
            )?;
        }
        if policy
            .limits
            .concerns(Phase::Field, &held.method, &held.path)
        {
            env.enter(Step::FieldLimits);
            let fields = body::fields(held.kind, bytes);
            if policy
                .limits
                .contradicted(&held.method, &held.path, &fields)
            {
                let reason = Reason::MalformedBody;
                found.push(Finding::new(Stage::Body, reason).rule(b"repeated_field"));
                gate::<()>(limits_mode, Err(Denial::new(Stage::Body, reason)))?;
            }
            let facts = Facts {
                method: &held.method,
                path: &held.path,
                client: report.client,
                subject: held
                    .provider
                    .map(|provider| (provider, report.subject.as_slice())),
                head: None,
                fields: &fields,
            };
            gate(
                limits_mode,
                policy
                    .limits
                    .check(Phase::Field, &facts, env, charges, found),
            )?;
        }
        Ok(())
    }

    /// Everything that injection detection sees in a head, also beyond the threshold and under exceptions: the stage's own code
    /// once more, telling what it finds. For `debug.trace`, after the verdict.
    #[must_use]
    pub fn explain_head(&self, head: &RequestHead<'_>) -> Explained {
        let route = self
            .policy
            .route_of(head)
            .and_then(|index| self.policy.routes.get(index));
        match (&self.policy.injection, route) {
            (Some(stage), Some(route)) => stage.explain_head(head, &route.name),
            _ => Explained::default(),
        }
    }

    /// The same for a body, before [`Engine::resume`] takes its request away.
    #[must_use]
    pub fn explain_body(&self, suspended: &Suspended, bytes: &[u8]) -> Explained {
        let held = &suspended.held;
        match (
            self.policy
                .injection
                .as_ref()
                .filter(|stage| stage.inspect.body),
            self.policy.routes.get(held.route),
        ) {
            (Some(stage), Some(route)) => stage.explain_body(held.kind, bytes, &route.name),
            _ => Explained::default(),
        }
    }

    /// Settles what a request reserved, when its response status is known.
    pub fn settle<S: CounterStore>(&self, charges: &Charges, status: u16, env: &mut Env<'_, S>) {
        self.policy.limits.settle(charges, status, env);
    }

    fn pass_head(
        &self,
        wait: Option<Wait>,
        head: &RequestHead<'_>,
        client: IpAddr,
        charges: Charges,
        mut seen: Seen,
    ) -> Verdict {
        let mut pass = Pass {
            edits: Edits::default(),
            settlement: None,
            report: None,
        };
        self.policy
            .tokens
            .edit(head, &mut seen.subject, &mut pass.edits);
        let route = seen.route;
        if let (Some(wait), Some(route)) = (wait, route) {
            let kind = body::kind(head);
            let provider = match &seen.subject {
                Subject::Verified(claims) => Some(claims.provider()),
                Subject::Anonymous => None,
            };
            let report = self.report(head, client, seen);
            return Verdict::Need(
                wait,
                Suspended {
                    held: Held {
                        route,
                        kind,
                        provider,
                        method: cut(head.method, usize::MAX),
                        path: cut(&head.path, usize::MAX),
                    },
                    pass,
                    charges,
                    report,
                },
            );
        }
        if !charges.reserved.is_empty() {
            pass.settlement = Some(charges);
        }
        let wanted = match self.policy.events.log {
            EventLog::All => true,
            EventLog::Denied | EventLog::None => {
                !seen.found.as_slice().is_empty() || seen.body == BodySeen::Streamed
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

/// What the head phase learns on its way.
struct Seen {
    route: Option<usize>,
    subject: Subject,
    body: BodySeen,
    found: Findings,
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

/// Stands for a peer without an IP address (a pipe): one client for all of them.
const UNKNOWN_PEER: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests;
