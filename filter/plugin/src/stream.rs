//! Streams: what each request callback does, in order.
//!
//! **Invariant:** one header-map read a request; a held request leaves only by a verdict (allowed, refused, or 503 by
//! the tick), a request whose verdict cannot be had is refused unless the policy monitors. A refused stream is marked:
//! its own reply is not settled. Edits are written before the stream goes on.
//! **Cost:** hostcalls of an allowed GET: header map, `source.address`, the clocks its policy needs, shared data.

use palisade_engine::addition::Addition;
use palisade_engine::engine::{
    Answer, BodySeen, Engine, Pass, Refusal, Report, Resumed, Suspended, Verdict, Wait, grpc_frame,
};
use palisade_engine::env::{Certificate, Connection, Env, Step};
use palisade_engine::finding::Finding;
use palisade_engine::request::{RequestHead, client_addr};
use palisade_engine::stages::injection::Explained;
use palisade_engine::stages::limits::{Charges, Place, Worker};
use palisade_engine::units::{Monotonic, UnixTime};
use palisade_engine::verdict::{Denial, Edits, Reason, Stage};

use crate::abi::{Action, Buffer, Host, HostError, Level, Map};
use crate::counters::SharedCounters;
use crate::enforce::{self, Held, Reply, Telling};
use crate::metrics::{Count, Meters};
use crate::pairs::Pairs;
use crate::root::{Plugin, Slot};
use crate::telemetry::{self, Outcome};
use crate::trace::{self, Said};
use crate::waits::{Asking, Gathered, Waits};

/// One request and its response.
pub(crate) struct Stream {
    engine: Option<usize>,
    pub(crate) phase: Phase,
    /// What its response is to carry, if it is the upstream's.
    pub(crate) additions: Vec<Addition>,
    /// Places that it holds until it ends or is refused.
    pub(crate) places: Vec<Place>,
}

/// Where a stream is.
pub(crate) enum Phase {
    /// Nothing was judged.
    New,
    /// Nothing more to do.
    Passed,
    /// We answered it.
    Refused,
    /// Its head waits for the body.
    Held(Box<Waiting>),
    /// It waits for what its credentials need.
    Asking(Box<Asking>),
    /// Its head went on; a copy of the body is judged for the report.
    Watched(Box<Watching>),
    /// Its response settles these.
    Settling(Charges),
    /// Its head went on; its body must begin as gRPC does.
    Framed(Box<Framed>),
}

pub(crate) struct Framed {
    /// What its response settles.
    settlement: Option<Charges>,
    /// Its facts, should it be refused.
    report: Report,
    /// Bytes of the first message's prefix that have passed.
    seen: usize,
}

/// Bytes of the prefix of a gRPC message that are looked at.
const FRAME: usize = 2;

pub(crate) struct Waiting {
    suspended: Suspended,
    max: usize,
    /// Of a longer body the beginning is judged.
    prefix: bool,
    since_ms: u64,
    body_seen: bool,
}

pub(crate) struct Watching {
    suspended: Suspended,
    max: usize,
    prefix: bool,
    copy: Vec<u8>,
    too_large: bool,
}

/// What is told of the bytes of a body that were there, one more than the bound at most.
fn answer(bytes: &[u8], max: usize, prefix: bool) -> Answer<'_> {
    match bytes.get(..max).filter(|_| bytes.len() > max) {
        None => Answer::Body(bytes),
        Some(start) if prefix => Answer::BodyPrefix(start),
        Some(_) => Answer::BodyTooLarge,
    }
}

/// A held stream without a body callback for so long: the flag is missing.
const FLAG_MISSING_MS: u64 = 1_000;
/// The same, when bodies are known to arrive: a client that sends its head and no body.
const SLOW_BODY_MS: u64 = 30_000;
const SOURCE_ADDRESS: &[u8] = b"source\0address";
/// Whether the peer has a certificate, a byte; then what Envoy says of it: of several names the first.
const MTLS: &[u8] = b"connection\0mtls";
const MTLS_YES: &[u8] = &[1];
const PEER_SUBJECT: &[u8] = b"connection\0subject_peer_certificate";
const PEER_URI: &[u8] = b"connection\0uri_san_peer_certificate";
const PEER_DNS: &[u8] = b"connection\0dns_san_peer_certificate";
const PEER_SHA256: &[u8] = b"connection\0sha256_peer_certificate_digest";
/// Read as `wasm.verdict` in filter state.
const VERDICT: &[u8] = b"verdict";

impl Stream {
    pub(crate) const fn new(engine: Option<usize>) -> Self {
        Self {
            engine,
            phase: Phase::New,
            additions: Vec::new(),
            places: Vec::new(),
        }
    }

    pub(crate) const fn engine(&self) -> Option<usize> {
        self.engine
    }
}

/// A stream with its engine, for one callback.
pub(crate) struct Turn<'p> {
    /// Context id of the stream.
    pub(crate) id: u32,
    pub(crate) slot: &'p mut Slot,
    pub(crate) phase: &'p mut Phase,
    /// What the response is to carry, if it is the upstream's.
    pub(crate) additions: &'p mut Vec<Addition>,
    /// Places that the stream holds.
    pub(crate) places: &'p mut Vec<Place>,
    pub(crate) worker: &'p mut Worker,
    pub(crate) meters: &'p mut Meters,
    pub(crate) waits: &'p mut Waits,
    pub(crate) host: &'p Host,
}

impl Plugin {
    pub(crate) fn turn<'p>(&'p mut self, host: &'p Host, id: u32) -> Option<Turn<'p>> {
        let stream = self.streams.get_mut(id)?;
        let slot = self.engines.get_mut(stream.engine?)?.as_mut()?;
        Some(Turn {
            id,
            slot,
            phase: &mut stream.phase,
            additions: &mut stream.additions,
            places: &mut stream.places,
            worker: &mut self.worker,
            meters: &mut self.meters,
            waits: &mut self.waits,
            host,
        })
    }

    /// `proxy_on_request_headers`.
    pub(crate) fn request_headers(&mut self, host: &Host, id: u32, ends: bool) -> Action {
        match self.turn(host, id) {
            Some(mut turn) => turn.head(ends),
            // A stream without a policy: the host broke its own order of calls.
            None => {
                self.meters.add(Count::HostFailure);
                let _ = host.send_reply(&enforce::host_failure(&[]));
                Action::Pause
            }
        }
    }

    /// `proxy_on_request_body`.
    pub(crate) fn request_body(&mut self, host: &Host, id: u32, size: usize, ends: bool) -> Action {
        self.turn(host, id)
            .map_or(Action::Pause, |mut turn| turn.body(size, ends))
    }

    /// `proxy_on_request_trailers`: a body ends with them too.
    pub(crate) fn request_trailers(&mut self, host: &Host, id: u32) -> Action {
        self.turn(host, id)
            .map_or(Action::Pause, |mut turn| turn.trailers())
    }

    /// `proxy_on_response_headers`.
    pub(crate) fn response_headers(&mut self, host: &Host, id: u32) {
        if let Some(mut turn) = self.turn(host, id) {
            turn.response();
        }
    }

    /// Answers streams that wait in vain: for a body, or for an answer.
    pub(crate) fn look_after_held(&mut self, host: &Host) {
        let Ok(now) = host.monotonic_ns() else {
            return;
        };
        let now_ms = now / NS_PER_MS;
        for (id, stream) in self.streams.iter_mut() {
            let Some(Some(slot)) = stream.engine.and_then(|index| self.engines.get_mut(index))
            else {
                continue;
            };
            let patience = if slot.bodies_arrive {
                SLOW_BODY_MS
            } else {
                FLAG_MISSING_MS
            };
            // No body callback since then.
            let silent = |since_ms: u64| now_ms.saturating_sub(since_ms) >= patience;
            let (bodiless, answer) = match &stream.phase {
                Phase::Held(waiting) if !waiting.body_seen && silent(waiting.since_ms) => {
                    (true, Answer::BodyUnavailable)
                }
                Phase::Asking(asking) if asking.until_ms <= now_ms => (false, Answer::Unanswered),
                _ => continue,
            };
            if bodiless && !slot.bodies_arrive {
                host.log(Level::Error, FLAG_MISSING);
            }
            if host.act_on(id).is_err() {
                continue;
            }
            let mut turn = Turn {
                id,
                slot,
                phase: &mut stream.phase,
                additions: &mut stream.additions,
                places: &mut stream.places,
                worker: &mut self.worker,
                meters: &mut self.meters,
                waits: &mut self.waits,
                host,
            };
            turn.finish_outside(answer);
        }
    }
}

const FLAG_MISSING: &[u8] =
    b"palisade: a held request was given no body for a second and is answered 503 \
    body_unavailable; set `allow_on_headers_stop_iteration: true` in the filter's PluginConfig";
pub(crate) const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

impl Turn<'_> {
    fn head(&mut self, ends: bool) -> Action {
        self.meters.add(Count::Request);
        match self.judge_head(ends) {
            Ok(action) => action,
            Err(_) => self.host_failed(),
        }
    }

    /// The head's verdict and its effects; an error is a host that did not deliver what the verdict needs.
    fn judge_head(&mut self, ends: bool) -> Result<Action, HostError> {
        let host = self.host;
        if self.slot.engine.policy().trace {
            host.log(Level::Info, trace::marker(Step::Request));
        }
        let head = head(host)?;
        let connection = connection(host, self.slot)?;
        let engine = &self.slot.engine;
        let mut counters = counters(engine, host, self.worker);
        let (mut env, now_ms) = env(engine, host, &mut counters)?;
        let wall = env.wall;
        let verdict = engine.decide_head(&head, connection, ends, &mut self.slot.memory, &mut env);
        if engine.policy().trace {
            let seen = engine.explain_head(&head, wall);
            tell_trace(engine, host, &mut counters, &verdict, &seen);
        }
        self.places.append(&mut self.worker.take_places());
        self.carry_out(verdict, now_ms, Gathered::Open)
    }

    /// The effects of a verdict. A wait that is over at once is followed by the next verdict; each provider waits once, so
    /// there are few.
    pub(crate) fn carry_out(
        &mut self,
        mut verdict: Verdict,
        now_ms: Option<u64>,
        gathered: Gathered,
    ) -> Result<Action, HostError> {
        loop {
            verdict = match verdict {
                Verdict::Allow(pass) => return self.let_pass(pass),
                Verdict::Deny(refusal) => return Ok(self.refuse(refusal)),
                Verdict::Need(Wait::Body { hold, max, prefix }, suspended) => match gathered {
                    Gathered::Whole { size, .. } => {
                        let answer = answer(self.collected(size)?, max, prefix);
                        self.go_on(suspended, answer, None)?
                    }
                    Gathered::Coming { seen, .. } => {
                        return self.hold(suspended, (max, prefix), seen, now_ms);
                    }
                    Gathered::Open if hold => {
                        return self.hold(suspended, (max, prefix), false, now_ms);
                    }
                    // The host was told to keep the body to itself: it would pass unseen.
                    Gathered::Gone if hold => return Err(HostError::BadResult),
                    Gathered::Open | Gathered::Gone => {
                        return self.watch(suspended, max, prefix);
                    }
                },
                Verdict::Need(Wait::Keys { provider, body }, suspended) => {
                    match self.hope_for_keys(provider, now_ms)? {
                        Ok((on, until_ms)) => {
                            return Ok(self.ask(suspended, on, until_ms, body, gathered));
                        }
                        Err(answer) => self.go_on(suspended, answer, self.body_of(gathered)?)?,
                    }
                }
                Verdict::Need(Wait::Fleet(question), suspended) => {
                    match self.ask_service(&question, now_ms) {
                        Ok((on, until_ms)) => {
                            return Ok(self.ask(suspended, on, until_ms, None, gathered));
                        }
                        Err(_) => self.go_on(suspended, Answer::Unanswered, None)?,
                    }
                }
                Verdict::Need(Wait::Callout { callout, body }, suspended) => {
                    match self.call_out(&callout, now_ms) {
                        Ok((on, until_ms)) => {
                            return Ok(self.ask(suspended, on, until_ms, body, gathered));
                        }
                        // The host does not know the cluster, or has no room: nobody answers.
                        Err(_) => {
                            self.go_on(suspended, Answer::Unanswered, self.body_of(gathered)?)?
                        }
                    }
                }
            };
        }
    }

    /// Holds the head until its body is there.
    fn hold(
        &mut self,
        suspended: Suspended,
        (max, prefix): (usize, bool),
        body_seen: bool,
        now_ms: Option<u64>,
    ) -> Result<Action, HostError> {
        let since_ms = match now_ms {
            Some(now) => now,
            None => self.host.monotonic_ns()? / NS_PER_MS,
        };
        *self.phase = Phase::Held(Box::new(Waiting {
            suspended,
            max,
            prefix,
            since_ms,
            body_seen,
        }));
        Ok(Action::Pause)
    }

    /// Lets the head go on and looks at a copy of the body as it passes.
    fn watch(
        &mut self,
        mut suspended: Suspended,
        max: usize,
        prefix: bool,
    ) -> Result<Action, HostError> {
        self.edit(suspended.take_edits())?;
        *self.phase = Phase::Watched(Box::new(Watching {
            suspended,
            max,
            prefix,
            copy: Vec::new(),
            too_large: false,
        }));
        Ok(Action::Continue)
    }

    /// Goes on with the answer to a wait, to the next verdict.
    pub(crate) fn go_on(
        &mut self,
        suspended: Suspended,
        answer: Answer<'_>,
        body: Option<&[u8]>,
    ) -> Result<Verdict, HostError> {
        let verdict = resume(self.slot, self.host, self.worker, suspended, answer, body);
        self.places.append(&mut self.worker.take_places());
        verdict
    }

    /// A refused stream holds no place.
    fn leave(&mut self) {
        leave(&self.slot.engine, self.host, self.worker, self.places);
    }

    /// Writes the edits of an allowed request and lets it go on.
    fn let_pass(&mut self, mut pass: Pass) -> Result<Action, HostError> {
        let telling = enforce::tell_pass(self.slot.engine.policy(), &mut pass);
        let settlement = pass.settlement.take();
        self.edit(pass.edits)?;
        self.passed(settlement, telling);
        Ok(Action::Continue)
    }

    /// Answers a refused request in the upstream's place.
    fn refuse(&mut self, refusal: Refusal) -> Action {
        self.leave();
        let policy = self.slot.engine.policy();
        let reply = enforce::reply(policy, &refusal);
        let telling = enforce::tell_refusal(policy, refusal, Held::Yes);
        self.refused(&reply, &telling);
        Action::Pause
    }

    fn body(&mut self, size: usize, ends: bool) -> Action {
        match self.phase {
            Phase::Held(waiting) => {
                waiting.body_seen = true;
                self.slot.bodies_arrive = true;
                // The buffer is cumulative while the head is held.
                if size > waiting.max && !waiting.prefix {
                    return self.finish_held(Answer::BodyTooLarge);
                }
                if !ends && size <= waiting.max {
                    return Action::Pause;
                }
                self.whole_body(size)
            }
            Phase::Asking(_) => self.asking_body(size, ends),
            Phase::Watched(watching) => {
                // The buffer is the chunk: nothing is held.
                let room = watching.max.saturating_sub(watching.copy.len());
                let most = watching.max.saturating_add(1);
                let wanted = most.saturating_sub(watching.copy.len());
                let size = if watching.prefix {
                    size.min(wanted)
                } else {
                    size
                };
                if size > room && !watching.prefix {
                    watching.too_large = true;
                } else if size > 0 && !watching.too_large {
                    match self.host.buffer(Buffer::RequestBody, size) {
                        Ok(chunk) => watching.copy.extend_from_slice(chunk),
                        Err(_) => watching.too_large = true,
                    }
                }
                if ends {
                    self.finish_watched();
                }
                Action::Continue
            }
            Phase::Framed(_) => self.framed_body(size),
            Phase::New | Phase::Refused => Action::Pause,
            Phase::Passed | Phase::Settling(_) => Action::Continue,
        }
    }

    /// The next bytes of a body that says it is gRPC: one that does not begin so is refused, and goes no further.
    fn framed_body(&mut self, size: usize) -> Action {
        let Phase::Framed(framed) = &mut *self.phase else {
            return Action::Continue;
        };
        let wanted = size.min(FRAME.saturating_sub(framed.seen));
        if wanted == 0 {
            return Action::Continue;
        }
        let Ok(bytes) = self.host.buffer(Buffer::RequestBody, wanted) else {
            return self.host_failed();
        };
        let mut good = true;
        for byte in bytes {
            good &= grpc_frame(framed.seen, *byte);
            framed.seen = framed.seen.saturating_add(1);
        }
        if good {
            if framed.seen >= FRAME {
                let settlement = framed.settlement.take();
                *self.phase = settlement.map_or(Phase::Passed, Phase::Settling);
            }
            return Action::Continue;
        }
        let mut report = framed.report.clone();
        let finding = Finding::new(Stage::Body, Reason::MalformedBody).rule(b"grpc");
        report.findings.push(finding);
        let denial = Denial::new(Stage::Body, Reason::MalformedBody);
        self.refuse(Refusal { denial, report })
    }

    fn trailers(&mut self) -> Action {
        let judged = !matches!(self.phase, Phase::New | Phase::Refused);
        if judged && self.strip_trailers().is_err() {
            return self.host_failed();
        }
        match self.phase {
            Phase::Held(waiting) => {
                // One more than the bound tells "full" from "too large"; the host gives what it has.
                let size = waiting.max.saturating_add(1);
                self.whole_body(size)
            }
            Phase::Asking(_) => self.asking_trailers(),
            Phase::Watched(_) => {
                self.finish_watched();
                Action::Continue
            }
            Phase::New | Phase::Refused => Action::Pause,
            Phase::Passed | Phase::Settling(_) | Phase::Framed(_) => Action::Continue,
        }
    }

    /// Removes the client's copies of forwarded headers: some upstreams merge trailers into the head.
    fn strip_trailers(&self) -> Result<(), HostError> {
        let tokens = &self.slot.engine.policy().tokens;
        if !tokens.forwards() {
            return Ok(());
        }
        let bytes = self.host.header_pairs(Map::RequestTrailers)?;
        let pairs = Pairs::parse(bytes).ok_or(HostError::BadResult)?;
        let copies = pairs.filter(|(name, _)| tokens.is_forwarded(name));
        for (name, _) in copies {
            self.host.remove_header(Map::RequestTrailers, name)?;
        }
        Ok(())
    }

    /// The body has ended: judge it.
    fn whole_body(&mut self, size: usize) -> Action {
        let Phase::Held(waiting) = &*self.phase else {
            return Action::Pause;
        };
        let (max, prefix) = (waiting.max, waiting.prefix);
        // One more than the bound tells "full" from "too large".
        match self.collected(size.min(max.saturating_add(1))) {
            Ok(bytes) => self.finish_held(answer(bytes, max, prefix)),
            Err(_) => self.finish_held(Answer::BodyUnavailable),
        }
    }

    /// The body the host holds.
    pub(crate) fn collected<'h>(&self, size: usize) -> Result<&'h [u8], HostError>
    where
        Self: 'h,
    {
        let host: &'h Host = self.host;
        match size {
            0 => Ok(&[]),
            _ => match host.buffer(Buffer::RequestBody, size) {
                // A host without a buffer for a body that ended: nothing was sent.
                Err(HostError::NotFound) => Ok(&[]),
                other => other,
            },
        }
    }

    fn finish_held(&mut self, answer: Answer<'_>) -> Action {
        match self.try_finish_held(answer) {
            Ok(action) => action,
            Err(_) => self.host_failed(),
        }
    }

    fn try_finish_held(&mut self, answer: Answer<'_>) -> Result<Action, HostError> {
        let phase = core::mem::replace(self.phase, Phase::New);
        let Phase::Held(waiting) = phase else {
            return Ok(Action::Pause);
        };
        let Waiting { suspended, max, .. } = *waiting;
        let gathered = match answer {
            // One more than the bound tells "full" from "too large".
            Answer::Body(_) => Gathered::Whole {
                size: max.saturating_add(1),
                max,
            },
            _ => Gathered::Gone,
        };
        let verdict = self.go_on(suspended, answer, None)?;
        self.carry_out(verdict, None, gathered)
    }

    /// Ends a wait outside the stream's own callbacks: what goes on must be told so.
    pub(crate) fn finish_outside(&mut self, answer: Answer<'_>) {
        let action = match self.phase {
            Phase::Asking(_) => self.finish_asking(answer),
            _ => self.finish_held(answer),
        };
        if action == Action::Continue && self.host.continue_request().is_err() {
            self.meters.add(Count::HostFailure);
            let _ = self.host.close_stream();
        }
    }

    fn finish_watched(&mut self) {
        let phase = core::mem::replace(self.phase, Phase::Passed);
        let Phase::Watched(watching) = phase else {
            *self.phase = phase;
            return;
        };
        let Watching {
            suspended,
            copy,
            too_large,
            max,
            prefix,
        } = *watching;
        let answer = if too_large {
            Answer::BodyTooLarge
        } else {
            answer(&copy, max, prefix)
        };
        let Ok(verdict) = self.go_on(suspended, answer, None) else {
            self.meters.add(Count::HostFailure);
            return;
        };
        let engine = &self.slot.engine;
        match verdict {
            Verdict::Allow(mut pass) => {
                let telling = enforce::tell_pass(engine.policy(), &mut pass);
                let settlement = pass.settlement.take();
                self.passed(settlement, telling);
            }
            Verdict::Deny(refusal) => {
                let telling = enforce::tell_refusal(engine.policy(), refusal, Held::No);
                self.passed(None, Some(telling));
            }
            Verdict::Need(..) => {}
        }
    }

    fn response(&mut self) {
        self.add_to_response();
        let charges = match self.phase {
            Phase::Framed(framed) => framed.settlement.take(),
            _ => None,
        };
        if let Some(charges) = charges {
            self.settle(&charges);
            return;
        }
        match core::mem::replace(self.phase, Phase::Passed) {
            Phase::Settling(charges) => self.settle(&charges),
            other => *self.phase = other,
        }
    }

    /// Settles what a response decides.
    fn settle(&mut self, charges: &Charges) {
        let host = self.host;
        // Without a status the charges stay: an attacker gains nothing from a reply that cannot be read.
        let Some(status) = host
            .header(Map::Response, b":status")
            .ok()
            .and_then(parse_status)
        else {
            return;
        };
        let engine = &self.slot.engine;
        let mut counters = counters(engine, host, self.worker);
        if let Ok((mut env, _)) = env(engine, host, &mut counters) {
            engine.settle(charges, status, &mut env);
        }
    }

    /// Writes edits: first the removals, then what is set; what the response is to carry waits for it.
    fn edit(&mut self, edits: Edits) -> Result<(), HostError> {
        for name in &edits.remove {
            self.host.remove_header(Map::Request, name)?;
        }
        for (name, value) in &edits.set {
            self.host.replace_header(Map::Request, name, value)?;
        }
        if !edits.add.is_empty() {
            *self.additions = edits.add;
        }
        Ok(())
    }

    /// Adds to the upstream's response what it leaves room for. What cannot be added is counted and left: a session
    /// that is not renewed goes on until it is idle.
    fn add_to_response(&mut self) {
        let additions = core::mem::take(self.additions);
        if additions.is_empty() || matches!(self.phase, Phase::Refused) {
            return;
        }
        let host = self.host;
        // What replaces is written without a look at what is there.
        for addition in additions.iter().filter(|addition| addition.replaces) {
            let Addition { name, value, .. } = addition;
            if host.replace_header(Map::Response, name, value).is_err() {
                self.meters.add(Count::HostFailure);
            }
        }
        if additions.iter().all(|addition| addition.replaces) {
            return;
        }
        let pairs = host.header_pairs(Map::Response).ok();
        let Some(pairs) = pairs.and_then(Pairs::parse) else {
            self.meters.add(Count::HostFailure);
            return;
        };
        for addition in additions.iter().filter(|addition| !addition.replaces) {
            let Addition { name, value, .. } = addition;
            if addition.fits(pairs) && host.add_header(Map::Response, name, value).is_err() {
                self.meters.add(Count::HostFailure);
            }
        }
    }

    fn passed(&mut self, settlement: Option<Charges>, telling: Option<Telling>) {
        let framed = telling
            .as_ref()
            .map(|telling| &telling.report)
            .filter(|report| report.body == BodySeen::Framed);
        *self.phase = match (framed, settlement) {
            (Some(report), settlement) => Phase::Framed(Box::new(Framed {
                settlement,
                report: report.clone(),
                seen: 0,
            })),
            (None, Some(charges)) => Phase::Settling(charges),
            (None, None) => Phase::Passed,
        };
        if let Some(telling) = telling {
            self.tell(&telling);
        }
    }

    fn refused(&mut self, reply: &Reply, telling: &Telling) {
        *self.phase = Phase::Refused;
        self.tell(telling);
        self.answer(reply);
    }

    /// Sends a reply in the upstream's place. If the host does not take it, the stream is closed: the client is not left waiting. If
    /// that fails too, the stream stays paused and the host's own time-out ends it.
    fn answer(&mut self, reply: &Reply) {
        if self.host.send_reply(reply).is_err() {
            self.meters.add(Count::HostFailure);
            let _ = self.host.close_stream();
        }
    }

    /// Counts, writes the event and the verdict.
    fn tell(&mut self, telling: &Telling) {
        let report = &telling.report;
        if matches!(
            report.body,
            BodySeen::Streamed | BodySeen::Framed | BodySeen::Prefix
        ) {
            self.meters.add(Count::Streamed);
        }
        match telling.outcome {
            Outcome::Denied(stage, reason) => self.meters.add(Count::Denied(stage, reason)),
            Outcome::Monitored(..) | Outcome::Allowed => {
                for found in report.findings.as_slice() {
                    self.meters.add(Count::Monitored(found.stage, found.reason));
                }
            }
        }
        let policy = self.slot.engine.policy();
        if telling.outcome == Outcome::Allowed && !telling.event {
            return;
        }
        // Access logs lose the word, nobody else anything, when the host has no filter state.
        let _ = self
            .host
            .set_property(VERDICT, &telemetry::verdict(telling.outcome));
        if telling.event {
            let wall_ms = self.host.wall_ns().unwrap_or(0) / NS_PER_MS;
            let line = enforce::event_line(policy, telling, wall_ms);
            self.host.log(Level::Warn, &line);
        }
    }

    /// A hostcall the verdict needs has failed: fail closed, unless the policy monitors.
    #[cold]
    pub(crate) fn host_failed(&mut self) -> Action {
        self.meters.add(Count::HostFailure);
        let policy = self.slot.engine.policy();
        self.host.log(
            Level::Error,
            b"palisade: a hostcall failed before the verdict; the request is refused unless the policy monitors",
        );
        if enforce::passes_unjudged(policy.mode) {
            *self.phase = Phase::Passed;
            return Action::Continue;
        }
        let reply = enforce::host_failure(&policy.security_headers);
        self.leave();
        *self.phase = Phase::Refused;
        self.answer(&reply);
        Action::Pause
    }
}

/// Gives back places of a stream that was refused or has ended. Those that the store does not take back now stay in
/// `places`, to be tried again.
pub(crate) fn leave(engine: &Engine, host: &Host, worker: &mut Worker, places: &mut Vec<Place>) {
    if places.is_empty() {
        return;
    }
    let mut counters = counters(engine, host, worker);
    if let Ok((mut env, _)) = env(engine, host, &mut counters) {
        engine.leave(places, &mut env);
    }
}

/// The request's head; in one hostcall.
fn head(host: &Host) -> Result<RequestHead<'_>, HostError> {
    let bytes = host.header_pairs(Map::Request)?;
    let pairs = Pairs::parse(bytes).ok_or(HostError::BadResult)?;
    Ok(RequestHead::decode(pairs))
}

/// What the policy asks of the request's connection.
fn connection<'h>(host: &'h Host, slot: &Slot) -> Result<Connection<'h>, HostError> {
    let peer = match host.property(SOURCE_ADDRESS) {
        Ok(text) => client_addr::parse_peer(text),
        Err(HostError::NotFound) => None,
        Err(error) => return Err(error),
    };
    let parts = slot.certificate;
    let certificate = if parts.any() && found(host, MTLS)? == MTLS_YES {
        let part = |wanted: bool, path: &[u8]| match wanted {
            true => found(host, path),
            false => Ok(&[][..]),
        };
        Some(Certificate {
            subject: part(parts.subject, PEER_SUBJECT)?,
            uri_san: part(parts.uri, PEER_URI)?,
            dns_san: part(parts.dns, PEER_DNS)?,
            sha256: part(parts.sha256, PEER_SHA256)?,
        })
    } else {
        None
    };
    Ok(Connection { peer, certificate })
}

/// A property; nothing where there is none.
fn found<'h>(host: &'h Host, path: &[u8]) -> Result<&'h [u8], HostError> {
    match host.property(path) {
        Err(HostError::NotFound) => Ok(&[]),
        result => result,
    }
}

/// Goes on with the answer to a wait.
fn resume(
    slot: &mut Slot,
    host: &Host,
    worker: &mut Worker,
    suspended: Suspended,
    answer: Answer<'_>,
    body: Option<&[u8]>,
) -> Result<Verdict, HostError> {
    let engine = &slot.engine;
    let mut counters = counters(engine, host, worker);
    let traced = engine.policy().trace;
    let (head, connection) = if suspended.needs_head() {
        (Some(head(host)?), connection(host, slot)?)
    } else {
        (None, Connection::default())
    };
    let (mut env, _) = env(engine, host, &mut counters)?;
    // The request goes with the verdict, so what can be seen in it is looked at before.
    let seen = match answer {
        Answer::Body(bytes) | Answer::BodyPrefix(bytes) if traced => {
            engine.explain_body(&suspended, bytes, env.wall)
        }
        _ => Explained::default(),
    };
    let resumed = Resumed {
        answer,
        body,
        head: head.as_ref(),
        connection,
    };
    let verdict = engine.resume(suspended, resumed, &mut slot.memory, &mut env);
    if traced {
        tell_trace(engine, host, &mut counters, &verdict, &seen);
    }
    Ok(verdict)
}

/// Writes what a traced decision kept, saw and said.
#[cold]
fn tell_trace(
    engine: &Engine,
    host: &Host,
    counters: &mut SharedCounters<'_>,
    verdict: &Verdict,
    seen: &Explained,
) {
    let policy = engine.policy();
    let redact = &policy.events.redact;
    for (step, note) in counters.take_kept() {
        if let Some(line) = trace::note(policy, note, step) {
            host.log(Level::Info, &line);
        }
    }
    for value in &seen.values {
        host.log(Level::Info, &trace::value(value, redact));
    }
    let (said, report) = match verdict {
        Verdict::Allow(pass) => (Said::Allow, pass.report.as_ref()),
        Verdict::Deny(refusal) => (Said::Deny(&refusal.denial), Some(&refusal.report)),
        Verdict::Need(_, suspended) => (Said::Need, Some(suspended.report())),
    };
    let findings = report.map(|report| report.findings.as_slice());
    let base = policy.injection.as_ref().map(|stage| stage.rules.threshold);
    let threshold = base.map(|base| {
        if seen.threshold > 0 {
            seen.threshold
        } else {
            base
        }
    });
    let findings = findings.unwrap_or_default();
    let line = trace::verdict(said, findings, seen, threshold, redact);
    host.log(Level::Info, &line);
}

fn counters<'h>(engine: &Engine, host: &'h Host, worker: &'h mut Worker) -> SharedCounters<'h> {
    SharedCounters::new(host, worker, engine.policy().trace)
}

/// The outside world; clocks are read only when the policy looks at them.
fn env<'e, 'h>(
    engine: &Engine,
    host: &'h Host,
    counters: &'e mut SharedCounters<'h>,
) -> Result<(Env<'e, SharedCounters<'h>>, Option<u64>), HostError> {
    let policy = engine.policy();
    let now = if policy.limits.reads_clock() || policy.tokens.reads_clock() {
        Some(host.monotonic_ns()? / NS_PER_MS)
    } else {
        None
    };
    let wall = if policy.reads_wall() {
        host.wall_ns()? / NS_PER_S
    } else {
        0
    };
    let env = Env {
        now: Monotonic(now.unwrap_or(0)),
        wall: UnixTime(wall),
        counters,
    };
    Ok((env, now))
}

pub(crate) fn parse_status(text: &[u8]) -> Option<u16> {
    match text {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            let digit = |byte: &u8| u16::from(byte.wrapping_sub(b'0'));
            Some(
                digit(a)
                    .wrapping_mul(100)
                    .wrapping_add(digit(b).wrapping_mul(10))
                    .wrapping_add(digit(c)),
            )
        }
        _ => None,
    }
}
