//! A filter without requests: it greets, asks for ticks, and logs the time and a count on each.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use std::time::{Duration, UNIX_EPOCH};

use proxy_wasm::{
    hostcalls,
    traits::{Context, RootContext},
    types::{LogLevel, MetricType},
};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Hello { ticks: 0, metric: None }));
}}

struct Hello {
    ticks: u32,
    metric: Option<u32>,
}

impl Context for Hello {}

impl RootContext for Hello {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        self.metric = hostcalls::define_metric(MetricType::Counter, "hello_ticks").ok();
        self.set_tick_period(Duration::from_secs(5));
        hostcalls::log(LogLevel::Info, "hello").is_ok()
    }

    fn on_tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        if let Some(metric) = self.metric {
            // A lost count is no reason to stop ticking.
            let _ = hostcalls::increment_metric(metric, 1);
        }
        let seconds = self
            .get_current_time()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let _ = hostcalls::log(LogLevel::Info, &format!("tick {} at {seconds}", self.ticks));
    }
}
