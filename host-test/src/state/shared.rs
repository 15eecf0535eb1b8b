//! What VMs of one `vm_id` have in common: shared data, shared queues, metrics.
//!
//! In: hostcalls of any number of VMs in any number of threads. Out: the same, inspectable from a test.
//! Invariant: Envoy's semantics: cas 0 is unconditional, a missing key ignores cas, an existing key with another cas is refused;
//! there is no delete. Every compare-and-swap is atomic under one lock.
//! Source: ABI v0.2.1, sections Shared Key-Value Store, Shared Queues, Metrics; where silent, proxy-wasm's C++ host.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::abi::types::Status;

/// Shared data, queues and metrics; clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    data: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    next_cas: u32,
    queues: Vec<Queue>,
    metrics: Vec<Metric>,
}

/// Values in the order they came.
#[derive(Debug)]
struct Queue {
    vm_id: Vec<u8>,
    name: Vec<u8>,
    values: VecDeque<Vec<u8>>,
    /// Values put in of which nobody was told.
    notices: usize,
}

/// The kind of a metric, as the ABI numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// 0: only goes up.
    Counter,
    /// 1: goes up and down.
    Gauge,
    /// 2: values recorded.
    Histogram,
}

/// One metric as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name the guest gave.
    pub name: String,
    /// Its kind.
    pub kind: MetricKind,
    /// Counter or gauge value; for a histogram the number of values recorded.
    pub value: u64,
    /// Sum of the values recorded in a histogram.
    pub sum: u64,
}

impl Shared {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value and its cas number; `NotFound` if the key was never set.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        self.lock().data.get(key).cloned().ok_or(Status::NotFound)
    }

    /// Writes a value if `cas` is 0, or the key is new, or `cas` is the number the value was read with.
    ///
    /// # Errors
    /// `CasMismatch`.
    pub fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let mut inner = self.lock();
        // Numbers start at 1 and skip 0, which means "unconditional".
        let next = inner
            .next_cas
            .checked_add(1)
            .filter(|next| *next != u32::MAX)
            .unwrap_or(1);
        if let Some((held, held_cas)) = inner.data.get_mut(key) {
            if cas != 0 && cas != *held_cas {
                return Err(Status::CasMismatch);
            }
            held.clear();
            held.extend_from_slice(value);
            *held_cas = next;
        } else {
            inner.data.insert(key.to_vec(), (value.to_vec(), next));
        }
        inner.next_cas = next;
        Ok(())
    }

    /// All shared data in the order of the keys.
    #[must_use]
    pub fn data(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.lock()
            .data
            .iter()
            .map(|(key, (value, _))| (key.clone(), value.clone()))
            .collect()
    }

    /// Number of keys and bytes of keys and values: what never shrinks.
    #[must_use]
    pub fn data_size(&self) -> (usize, usize) {
        let inner = self.lock();
        (
            inner.data.len(),
            inner
                .data
                .iter()
                .map(|(key, (value, _))| key.len() + value.len())
                .sum(),
        )
    }

    /// The number of a queue, made if it is new.
    pub fn register_queue(&self, vm_id: &[u8], name: &[u8]) -> u32 {
        let mut inner = self.lock();
        if let Some(at) = inner
            .queues
            .iter()
            .position(|queue| queue.vm_id == vm_id && queue.name == name)
        {
            return number(at);
        }
        inner.queues.push(Queue {
            vm_id: vm_id.to_vec(),
            name: name.to_vec(),
            values: VecDeque::new(),
            notices: 0,
        });
        number(inner.queues.len() - 1)
    }

    /// The number of a queue somebody registered.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn resolve_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, Status> {
        let inner = self.lock();
        let at = inner
            .queues
            .iter()
            .position(|queue| queue.vm_id == vm_id && queue.name == name);
        at.map(number).ok_or(Status::NotFound)
    }

    /// Puts a value at the end of a queue.
    ///
    /// # Errors
    /// `NotFound` for a number never handed out.
    pub fn enqueue(&self, queue: u32, value: &[u8]) -> Result<(), Status> {
        let mut inner = self.lock();
        let queue = index(queue)
            .and_then(|at| inner.queues.get_mut(at))
            .ok_or(Status::NotFound)?;
        queue.values.push_back(value.to_vec());
        queue.notices += 1;
        Ok(())
    }

    /// Takes the value at the head of a queue.
    ///
    /// # Errors
    /// `NotFound` for a number never handed out, `Empty` if nothing waits.
    pub fn dequeue(&self, queue: u32) -> Result<Vec<u8>, Status> {
        let mut inner = self.lock();
        let queue = index(queue)
            .and_then(|at| inner.queues.get_mut(at))
            .ok_or(Status::NotFound)?;
        queue.values.pop_front().ok_or(Status::Empty)
    }

    /// Puts a value that nobody could take back to the head of its queue.
    pub(crate) fn put_back(&self, queue: u32, value: Vec<u8>) {
        let mut inner = self.lock();
        if let Some(queue) = index(queue).and_then(|at| inner.queues.get_mut(at)) {
            queue.values.push_front(value);
        }
    }

    /// Whether something waits in a queue.
    #[must_use]
    pub fn queue_waits(&self, queue: u32) -> bool {
        let inner = self.lock();
        index(queue)
            .and_then(|at| inner.queues.get(at))
            .is_some_and(|queue| !queue.values.is_empty())
    }

    /// How often a value was put in a queue since somebody was last told.
    pub(crate) fn take_notices(&self, queue: u32) -> usize {
        let mut inner = self.lock();
        index(queue)
            .and_then(|at| inner.queues.get_mut(at))
            .map_or(0, |queue| std::mem::take(&mut queue.notices))
    }

    /// The number of a metric, made if it is new; the same name and kind give the same number in every VM.
    pub fn define_metric(&self, kind: MetricKind, name: &str) -> u32 {
        let mut inner = self.lock();
        if let Some(at) = inner
            .metrics
            .iter()
            .position(|metric| metric.kind == kind && metric.name == name)
        {
            return metric_number(at, kind);
        }
        inner.metrics.push(Metric {
            name: name.to_owned(),
            kind,
            value: 0,
            sum: 0,
        });
        metric_number(inner.metrics.len() - 1, kind)
    }

    /// Records a value: added to a counter, replaces a gauge, joins a histogram.
    ///
    /// # Errors
    /// `NotFound` for a number never handed out.
    pub fn record_metric(&self, metric: u32, value: u64) -> Result<(), Status> {
        let mut inner = self.lock();
        let metric = metric_index(metric)
            .and_then(|at| inner.metrics.get_mut(at))
            .ok_or(Status::NotFound)?;
        match metric.kind {
            MetricKind::Counter => metric.value = metric.value.wrapping_add(value),
            MetricKind::Gauge => metric.value = value,
            MetricKind::Histogram => {
                metric.value = metric.value.wrapping_add(1);
                metric.sum = metric.sum.wrapping_add(value);
            }
        }
        Ok(())
    }

    /// Moves a counter up, a gauge up or down.
    ///
    /// # Errors
    /// `NotFound` for a number never handed out, `BadArgument` for a counter that does not go up or a histogram's number.
    pub fn increment_metric(&self, metric: u32, delta: i64) -> Result<(), Status> {
        no_histogram(metric)?;
        let mut inner = self.lock();
        let metric = metric_index(metric)
            .and_then(|at| inner.metrics.get_mut(at))
            .ok_or(Status::NotFound)?;
        match (metric.kind, delta) {
            (MetricKind::Counter, 1..) | (MetricKind::Gauge, _) => {
                metric.value = metric.value.wrapping_add_signed(delta);
                Ok(())
            }
            (MetricKind::Counter | MetricKind::Histogram, _) => Err(Status::BadArgument),
        }
    }

    /// The value of a counter or gauge.
    ///
    /// # Errors
    /// `NotFound` for a number never handed out, `BadArgument` for a histogram.
    pub fn read_metric(&self, metric: u32) -> Result<u64, Status> {
        no_histogram(metric)?;
        let inner = self.lock();
        let metric = metric_index(metric)
            .and_then(|at| inner.metrics.get(at))
            .ok_or(Status::NotFound)?;
        if metric.kind == MetricKind::Histogram {
            Err(Status::BadArgument)
        } else {
            Ok(metric.value)
        }
    }

    /// All metrics as they stand, in the order they were defined.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        self.lock().metrics.clone()
    }

    /// The value of the metric of this name, if one was defined.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.lock()
            .metrics
            .iter()
            .find(|metric| metric.name == name)
            .map(|metric| metric.value)
    }
}

/// Queues and metrics are numbered from 1, so that 0 is never a valid one.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1)
}

fn index(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}

/// A metric's number has its kind in the low two bits, as in Envoy: what cannot be asked of a kind is refused before the number is looked up.
fn metric_number(at: usize, kind: MetricKind) -> u32 {
    number(at).saturating_mul(4) | kind as u32
}

fn metric_index(number: u32) -> Option<usize> {
    index(number >> 2)
}

fn no_histogram(number: u32) -> Result<(), Status> {
    let kinds = [MetricKind::Counter as u32, MetricKind::Gauge as u32];
    if kinds.contains(&(number & 3)) {
        Ok(())
    } else {
        Err(Status::BadArgument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cas_as_envoy_has_it() {
        let shared = Shared::new();
        assert_eq!(shared.get(b"k"), Err(Status::NotFound));
        // A missing key ignores cas.
        assert_eq!(shared.set(b"k", b"1", u32::MAX), Ok(()));
        assert_eq!(shared.set(b"k", b"2", u32::MAX), Err(Status::CasMismatch));
        let (_, cas) = shared.get(b"k").unwrap();
        assert_eq!(shared.set(b"k", b"2", cas), Ok(()));
        assert_eq!(shared.set(b"k", b"3", cas), Err(Status::CasMismatch));
        assert_eq!(shared.set(b"k", b"4", 0), Ok(()));
        assert_eq!(shared.get(b"k").unwrap().0, b"4");
        assert_eq!(shared.data_size(), (1, 2));
    }

    #[test]
    fn queues_and_metrics() {
        let shared = Shared::new();
        assert_eq!(shared.resolve_queue(b"", b"q"), Err(Status::NotFound));
        let queue = shared.register_queue(b"", b"q");
        assert_eq!(shared.resolve_queue(b"", b"q"), Ok(queue));
        assert_eq!(shared.dequeue(queue), Err(Status::Empty));
        assert_eq!(shared.dequeue(queue + 1), Err(Status::NotFound));
        assert_eq!(shared.dequeue(0), Err(Status::NotFound));
        shared.enqueue(queue, b"x").unwrap();
        assert_eq!(shared.dequeue(queue).unwrap(), b"x");

        let counter = shared.define_metric(MetricKind::Counter, "c");
        assert_eq!(shared.define_metric(MetricKind::Counter, "c"), counter);
        shared.increment_metric(counter, 2).unwrap();
        assert_eq!(
            shared.increment_metric(counter, -1),
            Err(Status::BadArgument)
        );
        assert_eq!(shared.read_metric(counter), Ok(2));
        let gauge = shared.define_metric(MetricKind::Gauge, "g");
        shared.record_metric(gauge, 5).unwrap();
        shared.increment_metric(gauge, -2).unwrap();
        assert_eq!(shared.metric("g"), Some(3));
        let histogram = shared.define_metric(MetricKind::Histogram, "h");
        shared.record_metric(histogram, 7).unwrap();
        assert_eq!(shared.read_metric(histogram), Err(Status::BadArgument));
        assert_eq!(shared.read_metric(96), Err(Status::NotFound));
        assert_eq!(shared.read_metric(98), Err(Status::BadArgument));
    }
}
