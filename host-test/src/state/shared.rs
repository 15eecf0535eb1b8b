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

/// Bytes that guests may put into one store, [`ENTRY`] for each entry among them.
pub(crate) const MOST: usize = 1 << 30;
/// What an entry costs besides its bytes.
const ENTRY: usize = 128;

#[derive(Debug)]
struct Inner {
    data: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    next_cas: u32,
    queues: Vec<Queue>,
    queue_numbers: HashMap<(Vec<u8>, Vec<u8>), u32>,
    metrics: Vec<Metric>,
    metric_numbers: HashMap<(MetricKind, String), u32>,
    /// What all this takes, and may take.
    bytes: usize,
    most: usize,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            data: HashMap::new(),
            next_cas: 0,
            queues: Vec::new(),
            queue_numbers: HashMap::new(),
            metrics: Vec::new(),
            metric_numbers: HashMap::new(),
            bytes: 0,
            most: MOST,
        }
    }
}

impl Inner {
    /// Takes note of what is about to be put in.
    fn grow(&mut self, by: usize) -> Result<(), Status> {
        let bytes = self.bytes.saturating_add(by);
        if bytes > self.most {
            return Err(Status::InternalFailure);
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// Values in the order they came.
#[derive(Debug)]
struct Queue {
    values: VecDeque<Vec<u8>>,
    /// Values put in of which nobody was told.
    notices: usize,
}

/// The kind of a metric, as the ABI numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// An empty store that takes no more than this of its guests; a plain one takes 1 GiB.
    #[must_use]
    pub fn with_limit(bytes: usize) -> Self {
        let shared = Self::default();
        shared.lock().most = bytes;
        shared
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
    /// `CasMismatch`; `InternalFailure` if the store is full.
    pub fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let mut inner = self.lock();
        let inner = &mut *inner;
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
            let bytes = (inner.bytes - held.len()).saturating_add(value.len());
            if bytes > inner.most && value.len() > held.len() {
                return Err(Status::InternalFailure);
            }
            inner.bytes = bytes;
            // A large value does not hold its memory for a small one.
            *held = value.to_vec();
            *held_cas = next;
        } else {
            inner.grow(key.len() + value.len() + ENTRY)?;
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
    ///
    /// # Errors
    /// `InternalFailure` if the store is full.
    pub fn register_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, Status> {
        let mut inner = self.lock();
        let key = (vm_id.to_vec(), name.to_vec());
        if let Some(number) = inner.queue_numbers.get(&key) {
            return Ok(*number);
        }
        inner.grow(vm_id.len() + name.len() + ENTRY)?;
        inner.queues.push(Queue {
            values: VecDeque::new(),
            notices: 0,
        });
        let number = number(inner.queues.len() - 1);
        inner.queue_numbers.insert(key, number);
        Ok(number)
    }

    /// The number of a queue somebody registered.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn resolve_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, Status> {
        let key = (vm_id.to_vec(), name.to_vec());
        let found = self.lock().queue_numbers.get(&key).copied();
        found.ok_or(Status::NotFound)
    }

    /// Puts a value at the end of a queue.
    ///
    /// # Errors
    /// `NotFound` for a number never handed out, `InternalFailure` if the store is full.
    pub fn enqueue(&self, queue: u32, value: &[u8]) -> Result<(), Status> {
        let mut inner = self.lock();
        let at = index(queue).filter(|at| *at < inner.queues.len());
        let at = at.ok_or(Status::NotFound)?;
        inner.grow(value.len() + ENTRY)?;
        if let Some(queue) = inner.queues.get_mut(at) {
            queue.values.push_back(value.to_vec());
            queue.notices += 1;
        }
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
        let value = queue.values.pop_front().ok_or(Status::Empty)?;
        inner.bytes = inner.bytes.saturating_sub(value.len() + ENTRY);
        Ok(value)
    }

    /// Puts a value that nobody could take back to the head of its queue.
    pub(crate) fn put_back(&self, queue: u32, value: Vec<u8>) {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_add(value.len() + ENTRY);
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
    ///
    /// # Errors
    /// `InternalFailure` if the store is full.
    pub fn define_metric(&self, kind: MetricKind, name: &str) -> Result<u32, Status> {
        let mut inner = self.lock();
        let key = (kind, name.to_owned());
        if let Some(number) = inner.metric_numbers.get(&key) {
            return Ok(*number);
        }
        // It is kept twice.
        inner.grow(2 * name.len() + ENTRY)?;
        inner.metrics.push(Metric {
            name: name.to_owned(),
            kind,
            value: 0,
            sum: 0,
        });
        let number = metric_number(inner.metrics.len() - 1, kind);
        inner.metric_numbers.insert(key, number);
        Ok(number)
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
        let queue = shared.register_queue(b"", b"q").unwrap();
        assert_eq!(shared.resolve_queue(b"", b"q"), Ok(queue));
        assert_eq!(shared.dequeue(queue), Err(Status::Empty));
        assert_eq!(shared.dequeue(queue + 1), Err(Status::NotFound));
        assert_eq!(shared.dequeue(0), Err(Status::NotFound));
        shared.enqueue(queue, b"x").unwrap();
        assert_eq!(shared.dequeue(queue).unwrap(), b"x");

        let counter = shared.define_metric(MetricKind::Counter, "c").unwrap();
        assert_eq!(shared.define_metric(MetricKind::Counter, "c"), Ok(counter));
        shared.increment_metric(counter, 2).unwrap();
        assert_eq!(
            shared.increment_metric(counter, -1),
            Err(Status::BadArgument)
        );
        assert_eq!(shared.read_metric(counter), Ok(2));
        let gauge = shared.define_metric(MetricKind::Gauge, "g").unwrap();
        shared.record_metric(gauge, 5).unwrap();
        shared.increment_metric(gauge, -2).unwrap();
        assert_eq!(shared.metric("g"), Some(3));
        let histogram = shared.define_metric(MetricKind::Histogram, "h").unwrap();
        shared.record_metric(histogram, 7).unwrap();
        assert_eq!(shared.read_metric(histogram), Err(Status::BadArgument));
        assert_eq!(shared.read_metric(96), Err(Status::NotFound));
        assert_eq!(shared.read_metric(98), Err(Status::BadArgument));
    }

    #[test]
    fn a_store_that_is_full_says_so_and_works_on() {
        // Room for two entries of one byte's name and one byte's value.
        let most = 2 * (ENTRY + 2);
        let full = Err(Status::InternalFailure);
        let shared = Shared::with_limit(most);
        shared.set(b"a", b"1", 0).unwrap();
        shared.set(b"b", b"1", 0).unwrap();
        assert_eq!(shared.set(b"c", b"", 0), full);
        assert_eq!(shared.set(b"a", b"12", 0), full);
        assert_eq!(shared.get(b"a").unwrap().0, b"1");
        shared.set(b"a", b"", 0).unwrap();
        shared.set(b"b", b"12", 0).unwrap();
        assert_eq!(shared.set(b"b", b"123", 0), full);
        assert!(shared.define_metric(MetricKind::Gauge, "").is_err());
        assert!(shared.register_queue(b"", b"").is_err());

        // A queue gives back what was taken out.
        let shared = Shared::with_limit(most);
        let queue = shared.register_queue(b"", b"q").unwrap();
        for _ in 0..3 {
            shared.enqueue(queue, b"123").unwrap();
            assert_eq!(shared.enqueue(queue, b""), full);
            assert_eq!(shared.dequeue(queue).unwrap(), b"123");
        }
    }
}
