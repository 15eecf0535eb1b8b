//! Requests that wait for somebody beside the client: for the answer to a call-out, or for keys.
//!
//! **Invariant:** the head of a request whose body may have to be judged stays here, and its body is collected, until both the
//! answer and the body are there; only a request that no body will hold is stopped whole ([`Action::Stop`]), as its body can
//! never be asked for again: continued, its head goes upstream at once. An answer nobody waits for any more is dropped. Waits
//! are bounded in number and in time.
//! **Cost:** a wait keeps the engine's suspended request; head and body stay with the host and are read again.

use palisade_engine::engine::{Answer, Suspended};
use palisade_engine::stages::limits::fleet::{self, Question};
use palisade_engine::stages::token::{Callout, MAX_ANSWER_BYTES};

use crate::abi::{Action, Buffer, Host, HostError, Map};
use crate::fleet_report::{self, Told};
use crate::key_fetch::{Flight, Hope, Patience};
use crate::metrics::Count;
use crate::pairs;
use crate::root::{HASTY_TICK_MS, Plugin};
use crate::stream::{NS_PER_MS, Phase, Stream, Turn, parse_status};

/// Requests of one VM that may wait at the same time; more are judged without an answer.
pub(crate) const MAX_WAITING: u32 = 1_000;
/// Requests that go on in one callback; the next tick is near.
const MAX_RELEASED: usize = 256;
/// What a host's own time-out may be late by.
const GRACE_MS: u64 = 1_000;

/// Who waits, in this VM.
#[derive(Default)]
pub(crate) struct Waits {
    /// Calls under way and the streams they are for.
    calls: Vec<(u32, u32)>,
    /// The same of gRPC calls, which have tokens of their own.
    services: Vec<(u32, u32)>,
    /// Services that are told of hits.
    pub(crate) reports: Vec<Told>,
    /// Streams that wait.
    waiting: u32,
    /// Those of them that wait for keys.
    for_keys: u32,
    /// Counts how often the tick was hastened; never 0 after the first time.
    hastened: u32,
    /// Fetches of keys under way.
    pub(crate) flights: Vec<Flight>,
}

/// What a request waits for.
#[derive(Clone, Copy)]
pub(crate) enum On {
    /// The answer to the call-out of this token.
    Callout(u32),
    /// The keys of a provider.
    Keys(Patience),
    /// The answer to the gRPC call of this token.
    Service(u32),
}

/// A request that waits.
pub(crate) struct Asking {
    suspended: Suspended,
    on: On,
    /// When it goes on without an answer.
    pub(crate) until_ms: u64,
    gathered: Gathered,
}

/// What is with the body of a request.
#[derive(Clone, Copy)]
pub(crate) enum Gathered {
    /// Its head is being judged: the host can still be asked for the body.
    Open,
    /// It cannot be had before the head goes on, or there is none.
    Gone,
    /// The host collects it.
    Coming { max: usize, seen: bool },
    /// The host holds all of it, `size` bytes or fewer.
    Whole { size: usize, max: usize },
}

impl Waits {
    /// A stream has ended.
    pub(crate) fn forget(&mut self, stream: &Stream) {
        if let Phase::Asking(asking) = &stream.phase {
            self.over(asking.on);
        }
    }

    /// Whether anybody waits.
    pub(crate) const fn somebody(&self) -> bool {
        self.waiting > 0
    }

    /// Changes each time the tick is hastened.
    pub(crate) const fn haste(&self) -> u32 {
        self.hastened.saturating_add(1)
    }

    /// Fetches whose lease has ended are none of ours any more.
    pub(crate) fn forget_flights(&mut self, now: u64) {
        self.flights.retain(|flight| now < flight.until);
    }

    /// A wait is over, however it ended.
    fn over(&mut self, on: On) {
        self.waiting = self.waiting.saturating_sub(1);
        match on {
            On::Callout(token) => self.calls.retain(|(call, _)| *call != token),
            On::Service(token) => self.services.retain(|(call, _)| *call != token),
            On::Keys(_) => self.for_keys = self.for_keys.saturating_sub(1),
        }
    }
}

impl Plugin {
    /// `proxy_on_http_call_response`. Without headers the call failed, or took too long.
    pub(crate) fn callout_answered(&mut self, host: &Host, token: u32, came: bool, size: usize) {
        if self.keys_answered(host, token, came, size) {
            return;
        }
        let call = self.waits.calls.iter().find(|(call, _)| *call == token);
        let Some(id) = call.map(|(_, stream)| *stream) else {
            return;
        };
        let Some(mut turn) = self.turn(host, id) else {
            return;
        };
        match turn.phase {
            Phase::Asking(asking) if matches!(asking.on, On::Callout(call) if call == token) => {}
            _ => return,
        }
        // Read before the stream becomes the context that calls act on.
        let answer = if came { answer(host, size) } else { None };
        if host.act_on(id).is_err() {
            return;
        }
        turn.finish_outside(answer.unwrap_or(Answer::Unanswered));
    }
}

impl Plugin {
    /// `proxy_on_grpc_receive`, `proxy_on_grpc_close`: a rate limit service has answered with a message of this size, or has failed.
    pub(crate) fn service_answered(&mut self, host: &Host, token: u32, size: Option<usize>) {
        if self.report_answered(host, token, size) {
            return;
        }
        let call = self.waits.services.iter().find(|(call, _)| *call == token);
        let Some(id) = call.map(|(_, stream)| *stream) else {
            return;
        };
        let Some(mut turn) = self.turn(host, id) else {
            return;
        };
        match turn.phase {
            Phase::Asking(asking) if matches!(asking.on, On::Service(call) if call == token) => {}
            _ => return,
        }
        // Read before the stream becomes the context that calls act on.
        let message = size.and_then(|size| message(host, size));
        if host.act_on(id).is_err() {
            return;
        }
        turn.finish_outside(message.map_or(Answer::Unanswered, Answer::Counted));
    }
}

/// The message of the gRPC answer whose callback runs; nothing when it cannot be read or is too long.
pub(crate) fn message(host: &Host, size: usize) -> Option<&[u8]> {
    match size {
        0 => Some(&[]),
        1..=fleet::MAX_ANSWER_BYTES => host.buffer(Buffer::GrpcMessage, size).ok(),
        _ => None,
    }
}

impl Plugin {
    /// Lets requests go on whose keys are there, or will not come. Some at a time: each costs a signature.
    pub(crate) fn release(&mut self, host: &Host, now: u64) {
        if self.waits.for_keys == 0 {
            return;
        }
        let mut released = 0_usize;
        for (id, stream) in self.streams.iter_mut() {
            let Phase::Asking(asking) = &stream.phase else {
                continue;
            };
            let On::Keys(wait) = asking.on else {
                continue;
            };
            let Some(Some(slot)) = stream
                .engine()
                .and_then(|index| self.engines.get_mut(index))
            else {
                continue;
            };
            let news = slot.news_of_keys(wait, now);
            let Some(answer) = news else {
                continue;
            };
            if released >= MAX_RELEASED {
                return;
            }
            if host.act_on(id).is_err() {
                continue;
            }
            released = released.saturating_add(1);
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

/// The answer of the call-out whose callback runs; nothing when it cannot be read or is too long.
fn answer(host: &Host, size: usize) -> Option<Answer<'_>> {
    let status = host.header(Map::Callout, b":status").ok()?;
    let status = parse_status(status)?;
    let body = match size {
        0 => &[],
        1..=MAX_ANSWER_BYTES => host.buffer(Buffer::CalloutBody, size).ok()?,
        _ => return None,
    };
    Some(Answer::Replied { status, body })
}

impl Turn<'_> {
    /// Sends a call-out: its token, and when to stop waiting for it.
    pub(crate) fn call_out(
        &mut self,
        callout: &Callout,
        now_ms: Option<u64>,
    ) -> Result<(On, u64), HostError> {
        if self.waits.waiting >= MAX_WAITING {
            return Err(HostError::NotFound);
        }
        let now_ms = match now_ms {
            Some(now) => now,
            None => self.host.monotonic_ns()? / NS_PER_MS,
        };
        let headers = callout.headers.iter();
        let headers =
            pairs::encode(headers.map(|(name, value)| (name.as_slice(), value.as_slice())));
        let token = self.host.http_call(
            &callout.cluster,
            &headers,
            &callout.body,
            callout.timeout_ms,
        )?;
        let until_ms = now_ms
            .saturating_add(u64::from(callout.timeout_ms))
            .saturating_add(GRACE_MS);
        Ok((On::Callout(token), until_ms))
    }

    /// Asks a rate limit service: as [`Turn::call_out`].
    pub(crate) fn ask_service(
        &mut self,
        question: &Question,
        now_ms: Option<u64>,
    ) -> Result<(On, u64), HostError> {
        if self.waits.waiting >= MAX_WAITING {
            return Err(HostError::NotFound);
        }
        let now_ms = match now_ms {
            Some(now) => now,
            None => self.host.monotonic_ns()? / NS_PER_MS,
        };
        let token = fleet_report::call(self.host, question)?;
        self.meters.add(Count::FleetCall);
        let until_ms = now_ms
            .saturating_add(u64::from(question.timeout_ms))
            .saturating_add(GRACE_MS);
        Ok((On::Service(token), until_ms))
    }

    /// Whether to wait for keys, and until when; else what to go on with.
    pub(crate) fn hope_for_keys(
        &mut self,
        provider: usize,
        now_ms: Option<u64>,
    ) -> Result<Result<(On, u64), Answer<'static>>, HostError> {
        let now = match now_ms {
            Some(now) => now,
            None => self.host.monotonic_ns()? / NS_PER_MS,
        };
        if self.waits.waiting >= MAX_WAITING {
            return Ok(Err(Answer::Unanswered));
        }
        let hope = self
            .slot
            .hope_for_keys(self.host, self.waits, provider, now);
        Ok(match hope {
            Hope::Now => Err(Answer::Keys { after: false }),
            Hope::None => Err(Answer::Unanswered),
            Hope::Wait(wait) => Ok((On::Keys(wait), wait.until_ms)),
        })
    }

    /// Waits. `body`: bytes at most of a body that may have to be judged.
    pub(crate) fn ask(
        &mut self,
        suspended: Suspended,
        on: On,
        until_ms: u64,
        body: Option<usize>,
        gathered: Gathered,
    ) -> Action {
        let waits = &mut *self.waits;
        waits.waiting = waits.waiting.saturating_add(1);
        match on {
            On::Callout(token) => waits.calls.push((token, self.id)),
            On::Service(token) => waits.services.push((token, self.id)),
            On::Keys(_) => {
                waits.for_keys = waits.for_keys.saturating_add(1);
                if waits.for_keys == 1 && self.host.set_tick_period(HASTY_TICK_MS).is_ok() {
                    waits.hastened = waits.hastened.wrapping_add(1);
                }
            }
        }
        let (gathered, action) = match (gathered, body) {
            (Gathered::Open, None) => (Gathered::Gone, Action::Stop),
            (Gathered::Open, Some(max)) => (Gathered::Coming { max, seen: false }, Action::Pause),
            (other, _) => (other, Action::Pause),
        };
        *self.phase = Phase::Asking(Box::new(Asking {
            suspended,
            on,
            until_ms,
            gathered,
        }));
        action
    }

    /// What was collected of the body, if all of it was.
    pub(crate) fn body_of<'h>(&self, gathered: Gathered) -> Result<Option<&'h [u8]>, HostError>
    where
        Self: 'h,
    {
        match gathered {
            Gathered::Whole { size, max } => {
                let body = self.collected(size)?;
                if body.len() > max {
                    return Err(HostError::BadResult);
                }
                Ok(Some(body))
            }
            Gathered::Open | Gathered::Gone | Gathered::Coming { .. } => Ok(None),
        }
    }

    /// A piece of body while the answer is awaited: the host collects it.
    pub(crate) fn asking_body(&mut self, size: usize, ends: bool) -> Action {
        let Phase::Asking(asking) = &mut *self.phase else {
            return Action::Pause;
        };
        if let Gathered::Coming { max, .. } = asking.gathered {
            self.slot.bodies_arrive = true;
            if size > max {
                return self.finish_asking(Answer::BodyTooLarge);
            }
            asking.gathered = if ends {
                Gathered::Whole { size, max }
            } else {
                Gathered::Coming { max, seen: true }
            };
        }
        Action::Pause
    }

    /// Trailers while the answer is awaited: the body has ended.
    pub(crate) fn asking_trailers(&mut self) -> Action {
        if let Phase::Asking(asking) = &mut *self.phase
            && let Gathered::Coming { max, .. } = asking.gathered
        {
            // Pieces over the bound were refused as they came.
            asking.gathered = Gathered::Whole { size: max, max };
        }
        Action::Pause
    }

    /// Ends the wait: the stream's own callbacks return the action.
    pub(crate) fn finish_asking(&mut self, answer: Answer<'_>) -> Action {
        let phase = core::mem::replace(self.phase, Phase::New);
        let Phase::Asking(asking) = phase else {
            *self.phase = phase;
            return Action::Pause;
        };
        let Asking {
            suspended,
            on,
            gathered,
            ..
        } = *asking;
        self.waits.over(on);
        let verdict = self
            .body_of(gathered)
            .and_then(|body| self.go_on(suspended, answer, body))
            .and_then(|verdict| self.carry_out(verdict, None, gathered));
        match verdict {
            Ok(action) => action,
            Err(_) => self.host_failed(),
        }
    }
}
