//! What the gateway counts, and its text forms.
//!
//! **In:** events of workers, metrics of guests. **Out:** `name: value` lines as Envoy's `/stats`, JSON, Prometheus exposition text.
//! **Invariant:** a fixed set of names besides the guest's own; nothing a client sends becomes a name.
//! **Source:** Envoy's admin interface (a guest's metrics stand under `wasmcustom.` there and without it in Prometheus' form);
//! Prometheus' text format 0.0.4.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use palisade_host::{Metric, MetricKind};

/// Upper bounds of the histograms' buckets, in microseconds.
const BOUNDS: [u64; 14] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000,
];

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One more than there are bounds: the last has none.
    buckets: [AtomicU64; 15],
    nanos: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, time: Duration) {
        let micros = time.as_nanos().div_ceil(1000);
        let at = BOUNDS
            .iter()
            .position(|bound| micros <= u128::from(*bound))
            .unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.nanos
            .fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Cumulative counts, each with its bound in seconds (`None` is the last), and the sum in seconds.
    fn read(&self) -> (Vec<(Option<f64>, u64)>, f64) {
        let mut count = 0;
        let cumulative = self
            .buckets
            .iter()
            .enumerate()
            .map(|(at, bucket)| {
                count += bucket.load(Relaxed);
                let bound = BOUNDS
                    .get(at)
                    .map(|micros| Duration::from_micros(*micros).as_secs_f64());
                (bound, count)
            })
            .collect();
        (
            cumulative,
            Duration::from_nanos(self.nanos.load(Relaxed)).as_secs_f64(),
        )
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $kind:ident $text:literal,)*) => {
        /// Counters and gauges of the gateway.
        #[derive(Debug, Default)]
        pub(crate) struct Numbers { $($(#[$doc])* pub(crate) $name: AtomicU64,)* }

        impl Numbers {
            fn list(&self) -> Vec<(&'static str, MetricKind, u64)> {
                vec![$(($text, MetricKind::$kind, self.$name.load(Relaxed)),)*]
            }
        }
    };
}

numbers! {
    connections: Counter "gateway.downstream_cx_total",
    connections_active: Gauge "gateway.downstream_cx_active",
    connections_idle_timeout: Counter "gateway.downstream_cx_idle_timeout",
    tls_errors: Counter "gateway.downstream_tls_error",
    requests: Counter "gateway.downstream_rq_total",
    requests_active: Gauge "gateway.downstream_rq_active",
    requests_1xx: Counter "gateway.downstream_rq_1xx",
    requests_2xx: Counter "gateway.downstream_rq_2xx",
    requests_3xx: Counter "gateway.downstream_rq_3xx",
    requests_4xx: Counter "gateway.downstream_rq_4xx",
    requests_5xx: Counter "gateway.downstream_rq_5xx",
    /// The client went, or its stream was reset.
    requests_broken: Counter "gateway.downstream_rq_rx_reset",
    local_replies: Counter "gateway.local_replies",
    bytes_received: Counter "gateway.downstream_rq_body_bytes",
    bytes_sent: Counter "gateway.downstream_rs_body_bytes",
    upstream_failures: Counter "gateway.upstream_rq_failed",
    callouts: Counter "gateway.callouts_total",
    callouts_active: Gauge "gateway.callouts_active",
    callouts_failed: Counter "gateway.callouts_failed",
    vm_traps: Counter "gateway.vm_traps",
    vm_restarts: Counter "gateway.vm_restarts",
    bypassed: Counter "gateway.requests_not_filtered",
    reloads: Counter "gateway.reload_success",
    reloads_refused: Counter "gateway.reload_rejected",
}

/// Adds one.
pub(crate) fn up(number: &AtomicU64) {
    number.fetch_add(1, Relaxed);
}

/// Takes one away.
pub(crate) fn down(number: &AtomicU64) {
    number.fetch_sub(1, Relaxed);
}

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) numbers: Numbers,
    /// Time in one callback of the guest.
    pub(crate) callbacks: Histogram,
    /// Time from a request's head to the end of its response.
    pub(crate) requests: Histogram,
    /// Linear memory of each worker's VM.
    pub(crate) memory: Vec<AtomicU64>,
    started: Instant,
}

impl Stats {
    pub(crate) fn new(workers: u16) -> Self {
        Self {
            numbers: Numbers::default(),
            callbacks: Histogram::default(),
            requests: Histogram::default(),
            memory: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            started: Instant::now(),
        }
    }

    /// Counts a finished request under its status; 0 is none.
    pub(crate) fn answered(&self, status: u16) {
        let numbers = &self.numbers;
        up(match status / 100 {
            1 => &numbers.requests_1xx,
            2 => &numbers.requests_2xx,
            3 => &numbers.requests_3xx,
            4 => &numbers.requests_4xx,
            5 => &numbers.requests_5xx,
            _ => &numbers.requests_broken,
        });
    }

    fn gauges(&self) -> Vec<(String, MetricKind, u64)> {
        let own = self.numbers.list().into_iter();
        let own = own.map(|(name, kind, value)| (name.to_owned(), kind, value));
        let memory = self.memory.iter().enumerate().map(|(worker, bytes)| {
            let name = format!("gateway.worker_{worker}.vm_memory_bytes");
            (name, MetricKind::Gauge, bytes.load(Relaxed))
        });
        let uptime = self.started.elapsed().as_secs();
        own.chain(memory)
            .chain([(
                "gateway.uptime_seconds".to_owned(),
                MetricKind::Gauge,
                uptime,
            )])
            .collect()
    }

    fn histograms(&self) -> [(&'static str, &Histogram); 2] {
        [
            ("gateway.callback_seconds", &self.callbacks),
            ("gateway.request_seconds", &self.requests),
        ]
    }

    /// `name: value`, sorted.
    pub(crate) fn text(&self, guest: &[Metric]) -> String {
        let mut lines = BTreeMap::new();
        for (name, _, value) in self.gauges() {
            lines.insert(name, value.to_string());
        }
        for (name, histogram) in self.histograms() {
            let (buckets, sum) = histogram.read();
            let count = buckets.last().map_or(0, |(_, count)| *count);
            lines.insert(name.to_owned(), format!("count={count} sum={sum:.6}"));
        }
        for metric in guest {
            let value = match metric.kind {
                MetricKind::Histogram => format!("count={} sum={}", metric.value, metric.sum),
                MetricKind::Counter | MetricKind::Gauge => metric.value.to_string(),
            };
            lines.insert(format!("wasmcustom.{}", one_line(&metric.name)), value);
        }
        lines.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name}: {value}");
            text
        })
    }

    /// As Envoy's: `{"stats": [{"name": …, "value": …}]}`.
    pub(crate) fn json(&self, guest: &[Metric]) -> String {
        let own = self.gauges().into_iter();
        let own = own.map(|(name, _, value)| serde_json::json!({"name": name, "value": value}));
        let guest = guest.iter().map(|metric| {
            let name = format!("wasmcustom.{}", metric.name);
            match metric.kind {
                MetricKind::Histogram => {
                    serde_json::json!({"name": name, "count": metric.value, "sum": metric.sum})
                }
                MetricKind::Counter | MetricKind::Gauge => {
                    serde_json::json!({"name": name, "value": metric.value})
                }
            }
        });
        let histograms = self.histograms().into_iter().map(|(name, histogram)| {
            let (buckets, sum) = histogram.read();
            serde_json::json!({"name": name, "count": buckets.last().map_or(0, |(_, count)| *count), "sum": sum})
        });
        let all: Vec<_> = own.chain(histograms).chain(guest).collect();
        serde_json::json!({ "stats": all }).to_string()
    }

    /// Prometheus' text format.
    pub(crate) fn prometheus(&self, guest: &[Metric]) -> String {
        let mut text = String::new();
        for (name, kind, value) in self.gauges() {
            if !name.contains(".worker_") {
                sample(
                    &mut text,
                    &format!("palisade_{}", sanitised(&name)),
                    kind,
                    value,
                );
            }
        }
        let memory = "palisade_gateway_vm_memory_bytes";
        let _ = writeln!(text, "# TYPE {memory} gauge");
        for (worker, bytes) in self.memory.iter().enumerate() {
            let _ = writeln!(
                text,
                "{memory}{{worker=\"{worker}\"}} {}",
                bytes.load(Relaxed)
            );
        }
        for (name, histogram) in self.histograms() {
            let name = format!("palisade_{}", sanitised(name));
            let (buckets, sum) = histogram.read();
            let _ = writeln!(text, "# TYPE {name} histogram");
            for (bound, count) in &buckets {
                let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
                let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
            }
            let count = buckets.last().map_or(0, |(_, count)| *count);
            let _ = writeln!(text, "{name}_sum {sum}\n{name}_count {count}");
        }
        // Two names of a guest may come to the same one here: a metric must stand only once.
        let own = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let mut seen: BTreeSet<String> = own.map(str::to_owned).collect();
        for metric in guest {
            let mut name = sanitised(&metric.name);
            while !seen.insert(name.clone()) {
                name.push('_');
            }
            if metric.kind == MetricKind::Histogram {
                let _ = writeln!(
                    text,
                    "# TYPE {name} summary\n{name}_sum {}\n{name}_count {}",
                    metric.sum, metric.value
                );
            } else {
                sample(&mut text, &name, metric.kind, metric.value);
            }
        }
        text
    }
}

fn sample(text: &mut String, name: &str, kind: MetricKind, value: u64) {
    let kind = if kind == MetricKind::Counter {
        "counter"
    } else {
        "gauge"
    };
    let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
}

/// A name of the form `[a-zA-Z_:][a-zA-Z0-9_:]*`.
fn sanitised(name: &str) -> String {
    let mut clean: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == ':' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if !clean.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
        clean.insert(0, '_');
    }
    clean
}

/// A name that cannot begin another line.
fn one_line(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_valid_and_stay_apart() {
        for (name, clean) in [
            ("a.b-c", "a_b_c"),
            ("9lives", "_9lives"),
            ("", "_"),
            ("x\ny 1", "x_y_1"),
            ("é", "_"),
        ] {
            assert_eq!(sanitised(name), clean);
        }
        let metric = |name: &str, kind, value| Metric {
            name: name.to_owned(),
            kind,
            value,
            sum: 10,
        };
        let guest = [
            metric("a.b", MetricKind::Counter, 1),
            metric("a-b", MetricKind::Gauge, 2),
            metric("h", MetricKind::Histogram, 3),
            metric("evil\nname 1", MetricKind::Counter, 4),
        ];
        let stats = Stats::new(1);
        let text = stats.prometheus(&guest);
        for line in [
            "# TYPE a_b counter\na_b 1\n",
            "# TYPE a_b_ gauge\na_b_ 2\n",
            "# TYPE h summary\nh_sum 10\nh_count 3\n",
            "evil_name_1 4\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let types: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
        let mut once = types.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), types.len());
        assert!(stats.text(&guest).contains("\nwasmcustom.a.b: 1\n"));
    }

    #[test]
    fn a_histogram_counts_at_and_over_its_bounds() {
        let histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 1_000_000, 1_000_001] {
            histogram.record(Duration::from_micros(micros));
        }
        let (buckets, sum) = histogram.read();
        let counts: Vec<u64> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 6]);
        assert!((sum - 2.000_007).abs() < 1e-9);
    }
}
