//! What must hold of a run, whatever the order.
//!
//! In: a finished run. Out: nothing, or how it breaks the property, in words.
//! Invariant: a property looks at what came of the requests, never at how.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::simulate::Run;

type Check = dyn Fn(&Run) -> Option<String> + Send + Sync;

/// Something that must hold of every run.
#[derive(Clone)]
pub struct Property {
    name: String,
    check: Arc<Check>,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Property").field(&self.name).finish()
    }
}

impl Property {
    /// One of your own: says how a run breaks it, or nothing.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        check: impl Fn(&Run) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            check: Arc::new(check),
        }
    }

    /// At most `limit` requests of a client reach the upstream.
    #[must_use]
    pub fn at_most(limit: u64) -> Self {
        Self::new(format!("admitted <= {limit}"), move |run| {
            let (client, admitted) = run
                .admitted()
                .into_iter()
                .find(|(_, admitted)| *admitted > limit)?;
            Some(format!(
                "{admitted} requests of client {client} were admitted, the limit is {limit}"
            ))
        })
    }

    /// At most `limit` requests of a client reach the upstream in any span of this length, by a clock without skew.
    #[must_use]
    pub fn at_most_in(limit: u64, span: Duration) -> Self {
        Self::new(format!("admitted <= {limit} in any {span:?}"), move |run| {
            let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
            for answer in run.answers.iter().filter(|answer| answer.admitted > 0) {
                times.entry(&answer.client).or_default().push(answer.at);
            }
            for (client, mut times) in times {
                times.sort_unstable();
                let beyond = usize::try_from(limit).unwrap_or(usize::MAX);
                let later = times.iter().skip(beyond);
                let mut pairs = times.iter().zip(later);
                if let Some((from, to)) = pairs.find(|(from, to)| **to - **from < span) {
                    return Some(format!(
                        "{} requests of client {client} were admitted from {from:?} to {to:?}, the limit is {limit} in {span:?}",
                        limit.saturating_add(1)
                    ));
                }
            }
            None
        })
    }

    /// No client is refused before its limit: of each client's requests the limit or all reach the upstream.
    #[must_use]
    pub fn at_least(limit: u64) -> Self {
        Self::new(format!("admitted >= min({limit}, requests)"), move |run| {
            let (client, admitted, due) = run
                .admitted()
                .into_iter()
                .map(|(client, admitted)| {
                    let of = |answer: &&super::Answer| answer.client == client;
                    let sent = run.answers.iter().filter(of).count();
                    (
                        client,
                        admitted,
                        limit.min(u64::try_from(sent).unwrap_or(u64::MAX)),
                    )
                })
                .find(|(_, admitted, due)| admitted < due)?;
            Some(format!(
                "{admitted} requests of client {client} were admitted, {due} should have been"
            ))
        })
    }

    /// No guest traps, exits, runs without end, or refuses to start.
    #[must_use]
    pub fn no_trap() -> Self {
        Self::new("no trap", |run| run.faults.first().cloned())
    }

    /// Each request is answered (or its stream reset), and reaches the upstream at most once. A guest whose reply is made to fail can
    /// still close the stream; only when that fails too it is not blamed.
    #[must_use]
    pub fn answered_once() -> Self {
        Self::new("every request answered once", |run| {
            let (number, answer) = run.answers.iter().enumerate().find(|(_, answer)| {
                let answered = answer.answers == 1 || answer.silenced;
                !answered || answer.admitted > 1
            })?;
            Some(match (answer.answers, answer.admitted) {
                (0 | 1, admitted) if admitted > 1 => {
                    format!("request {number} reached the upstream {admitted} times")
                }
                (0, _) => format!("request {number} (worker {}) got no answer", answer.worker),
                (answers, _) => format!("request {number} was answered {answers} times"),
            })
        })
    }

    /// No stream is left when all requests are over.
    #[must_use]
    pub fn nothing_held() -> Self {
        Self::new("no stream left held", |run| {
            (run.held > 0).then(|| format!("{} streams were still held at the end", run.held))
        })
    }

    /// The three that every filter should have: no trap, one answer each, nothing left.
    #[must_use]
    pub fn sane() -> Vec<Self> {
        vec![Self::no_trap(), Self::answered_once(), Self::nothing_held()]
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How a run breaks it; `None`: it holds.
    #[must_use]
    pub fn breaks(&self, run: &Run) -> Option<String> {
        (self.check)(run)
    }
}
