//! Requests that wait for somebody beside the client: for the answer to a call-out.
//!
//! **Invariant:** the head of a request whose body may have to be judged stays here, and its body is collected, until both the
//! answer and the body are there; only a request that no body will hold is stopped whole ([`Action::Stop`]), as its body can
//! never be asked for again: continued, its head goes upstream at once. An answer nobody waits for any more is dropped. Waits
//! are bounded in number and in time.
//! **Cost:** a wait keeps the engine's suspended request; head and body stay with the host and are read again.

use palisade_engine::engine::{Answer, Suspended};
use palisade_engine::stages::token::{Callout, MAX_ANSWER_BYTES};

use crate::abi::{Action, Buffer, Host, HostError, Map};
use crate::pairs;
use crate::root::Plugin;
use crate::stream::{NS_PER_MS, Phase, Stream, Turn, parse_status};

/// Requests of one VM that may wait at the same time; more are judged without an answer.
pub(crate) const MAX_WAITING: u32 = 1_000;
/// What a host's own time-out may be late by.
const GRACE_MS: u64 = 1_000;

/// Who waits, in this VM.
#[derive(Default)]
pub(crate) struct Waits {
    /// Calls under way and the streams they are for.
    calls: Vec<(u32, u32)>,
    /// Streams that wait.
    waiting: u32,
}

/// A request that waits.
pub(crate) struct Asking {
    suspended: Suspended,
    /// Its call-out.
    token: u32,
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
            self.over(asking.token);
        }
    }

    /// A wait is over, however it ended.
    fn over(&mut self, token: u32) {
        self.waiting = self.waiting.saturating_sub(1);
        self.calls.retain(|(call, _)| *call != token);
    }
}

impl Plugin {
    /// `proxy_on_http_call_response`. Without headers the call failed, or took too long.
    pub(crate) fn callout_answered(&mut self, host: &Host, token: u32, came: bool, size: usize) {
        let call = self.waits.calls.iter().find(|(call, _)| *call == token);
        let Some(id) = call.map(|(_, stream)| *stream) else {
            return;
        };
        let Some(mut turn) = self.turn(host, id) else {
            return;
        };
        match turn.phase {
            Phase::Asking(asking) if asking.token == token => {}
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
    ) -> Result<(u32, u64), HostError> {
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
        Ok((token, until_ms))
    }

    /// Waits for the answer to a call-out. `body`: bytes at most of a body that may have to be judged.
    pub(crate) fn ask(
        &mut self,
        suspended: Suspended,
        token: u32,
        until_ms: u64,
        body: Option<usize>,
        gathered: Gathered,
    ) -> Action {
        self.waits.waiting = self.waits.waiting.saturating_add(1);
        self.waits.calls.push((token, self.id));
        let (gathered, action) = match (gathered, body) {
            (Gathered::Open, None) => (Gathered::Gone, Action::Stop),
            (Gathered::Open, Some(max)) => (Gathered::Coming { max, seen: false }, Action::Pause),
            (other, _) => (other, Action::Pause),
        };
        *self.phase = Phase::Asking(Box::new(Asking {
            suspended,
            token,
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
            token,
            gathered,
            ..
        } = *asking;
        self.waits.over(token);
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
