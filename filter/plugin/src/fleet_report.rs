//! Hits that rate limit services are told of on the tick, and what they answer.
//!
//! **Invariant:** bounded: [`MAX_CALLS`] are under way in a VM; what is over waits in the engine's memory, which is fixed in size.
//! An answer that comes too late, twice or to nobody is dropped. Hits of a call that fails are not told again: counted
//! twice would be worse than late.
//! **Cost:** a call for each key with hits and interval.

use palisade_engine::stages::limits::fleet::{
    GRPC_METHOD, GRPC_SERVICE, Question, Report, Service,
};

use crate::abi::{Host, HostError, Level};
use crate::metrics::Count;
use crate::root::Plugin;
use crate::stream::NS_PER_MS;
use crate::telemetry;
use crate::waits::{Waits, message};

/// Calls under way at a time in one VM.
const MAX_CALLS: usize = 256;
/// What a host's own time-out may be late by.
const GRACE_MS: u64 = 1_000;

/// A service that is told of hits.
pub(crate) struct Told {
    token: u32,
    engine: usize,
    report: Report,
    until_ms: u64,
}

/// Calls a service.
pub(crate) fn call(host: &Host, question: &Question) -> Result<u32, HostError> {
    host.grpc_call(
        &question.upstream,
        GRPC_SERVICE,
        GRPC_METHOD,
        &question.message,
        question.timeout_ms,
    )
}

impl Plugin {
    /// Tells the services of the hits that are due.
    pub(crate) fn report_hits(&mut self, host: &Host, now: u64) {
        self.give_up(host, now);
        // Not `enumerate`: it counts with a check.
        for index in 0..self.engines.len() {
            let Some(Some(slot)) = self.engines.get_mut(index) else {
                continue;
            };
            let room = MAX_CALLS.saturating_sub(self.waits.reports.len());
            let limits = &slot.engine.policy().limits;
            for report in limits.reports(&mut slot.memory.fleet, now, room) {
                self.meters.add(Count::FleetCall);
                match call(host, &report.question) {
                    Ok(token) => self.waits.reports.push(Told {
                        token,
                        engine: index,
                        until_ms: now
                            .saturating_add(u64::from(report.question.timeout_ms))
                            .saturating_add(GRACE_MS),
                        report,
                    }),
                    // The host does not know the cluster.
                    Err(_) => {
                        let news = limits.reported(&report, None, &mut slot.memory.fleet, now);
                        tell(host, &limits.services, &report, news);
                    }
                }
            }
        }
    }

    /// Calls that no host will answer any more.
    fn give_up(&mut self, host: &Host, now: u64) {
        for told in self.waits.take_reports(|told| told.until_ms <= now) {
            self.heard(host, &told, None, now);
        }
    }

    /// The answer to a report; `false`: the token is none of ours.
    pub(crate) fn report_answered(&mut self, host: &Host, token: u32, size: Option<usize>) -> bool {
        let mut reports = self.waits.reports.iter();
        if !reports.any(|told| told.token == token) {
            return false;
        }
        let now = host.monotonic_ns().unwrap_or(0) / NS_PER_MS;
        let message = size.and_then(|size| message(host, size));
        for told in self.waits.take_reports(|told| told.token == token) {
            self.heard(host, &told, message, now);
        }
        true
    }

    fn heard(&mut self, host: &Host, told: &Told, message: Option<&[u8]>, now: u64) {
        let Some(Some(slot)) = self.engines.get_mut(told.engine) else {
            return;
        };
        let limits = &slot.engine.policy().limits;
        let news = limits.reported(&told.report, message, &mut slot.memory.fleet, now);
        tell(host, &limits.services, &told.report, news);
    }
}

impl Waits {
    /// Takes those that `ended`.
    fn take_reports(&mut self, ended: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut taken = Vec::new();
        for told in core::mem::take(&mut self.reports) {
            if ended(&told) {
                taken.push(told);
            } else {
                self.reports.push(told);
            }
        }
        taken
    }

    /// An engine has gone, and those who would hear of its reports.
    pub(crate) fn forget_reports(&mut self, engine: usize) {
        self.reports.retain(|told| told.engine != engine);
    }
}

/// Tells that a service has gone, or come back.
fn tell(host: &Host, services: &[Service], report: &Report, news: Option<bool>) {
    let Some((answers, service)) = news.zip(services.get(report.question.service)) else {
        return;
    };
    let wall_ms = host.wall_ns().unwrap_or(0) / NS_PER_MS;
    let line = telemetry::fleet_event(&service.cluster, &service.domain, answers, wall_ms);
    let level = if answers { Level::Info } else { Level::Warn };
    host.log(level, &line);
}
