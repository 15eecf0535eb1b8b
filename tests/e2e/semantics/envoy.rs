//! One Envoy for all experiments: a listener for each configuration of the filter.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use palisade_tests::envoy::{Envoy, Setup};

use super::experiment::{Experiment, outcome};
use super::wire::{PATIENCE, Upstream, ask};

/// Listeners: name, failure policy, flag. `edge` is the one that the starter of Envoys looks for.
const FILTERS: [(&str, &str, bool); 2] = [
    ("edge", "FAIL_CLOSED", false),
    ("stop", "FAIL_CLOSED", true),
];

/// How long what comes after a stream's end is awaited.
const LINGER: Duration = Duration::from_millis(120);

pub(crate) struct Lab {
    upstream: Upstream,
    running: RefCell<Running>,
}

struct Running {
    envoy: Envoy,
    addresses: Vec<(String, SocketAddr)>,
}

impl Lab {
    pub(crate) fn start() -> Self {
        let upstream = Upstream::start();
        let running = RefCell::new(Running::start(&upstream));
        Self { upstream, running }
    }

    /// Runs one experiment; the outcome in its compared form. An Envoy that it ended is started anew.
    pub(crate) fn run(&self, experiment: &Experiment) -> String {
        let seen = self.running.borrow().run(&self.upstream, experiment);
        if self.running.borrow().envoy.admin_get("/ready").is_err() {
            *self.running.borrow_mut() = Running::start(&self.upstream);
            return format!("Envoy crashed\n{seen}");
        }
        seen
    }
}

impl Running {
    fn start(upstream: &Upstream) -> Self {
        let setup = Setup {
            config: config(),
            workers: 1,
            upstream: upstream.address,
            environment: Vec::new(),
            binary: None,
            verbose: false,
            replace: Vec::new(),
        };
        let envoy = Envoy::start(&setup).unwrap_or_else(|error| panic!("{error:#}"));
        let listeners = envoy.admin_get("/listeners").unwrap();
        let addresses = listeners
            .lines()
            .filter_map(|line| line.split_once("::"))
            .map(|(name, address)| (name.to_owned(), address.trim().parse().unwrap()))
            .collect();
        Self { envoy, addresses }
    }

    fn address(&self, filter: &str) -> SocketAddr {
        let filter = if filter == "plain" { "edge" } else { filter };
        let found = self.addresses.iter().find(|(name, _)| name == filter);
        found.unwrap_or_else(|| panic!("no filter `{filter}`")).1
    }

    fn run(&self, upstream: &Upstream, experiment: &Experiment) -> String {
        let before = self.envoy.log().len();
        upstream.answer(&experiment.response);
        let script = format!("{}|{}", experiment.name, experiment.script);
        let client = ask(
            self.address(&experiment.filter),
            &experiment.request,
            &script,
            PATIENCE,
        );
        let mark = format!("probe[{}] ", experiment.name);
        let started = Instant::now();
        let lines = loop {
            let log = self.envoy.log();
            let lines: Vec<String> = log
                .get(before..)
                .unwrap_or_default()
                .lines()
                .filter_map(|line| line.split_once(&mark))
                .map(|(_, text)| text.to_owned())
                .collect();
            let lingers = experiment.linger && started.elapsed() < LINGER;
            if (lines.last().is_some_and(|line| line == "delete") && !lingers)
                || started.elapsed() > Duration::from_millis(500)
            {
                break lines;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        outcome(&client, upstream.take().as_ref(), &lines)
    }
}

fn config() -> String {
    let listeners: String = FILTERS
        .iter()
        .map(|(name, policy, stop)| listener(name, policy, *stop, ["vm-text", "plugin-text"]))
        .collect();
    around(&listeners)
}

/// A configuration with these listeners.
pub(crate) fn around(listeners: &str) -> String {
    format!(
        r#"static_resources:
  listeners:
{listeners}
  clusters:
    - name: upstream
      type: STATIC
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{ http_protocol_options: {{ enable_trailers: true }} }}
      load_assignment:
        cluster_name: upstream
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 8080 }} }} }}
    - name: refusing
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: refusing
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 1 }} }} }}
admin:
  address: {{ socket_address: {{ address: 127.0.0.1, port_value: 9901 }} }}
"#
    )
}

/// A listener with the probe; `texts` are the configurations of VM and plugin.
pub(crate) fn listener(name: &str, policy: &str, stop: bool, [vm, plugin]: [&str; 2]) -> String {
    format!(
        r#"    - name: {name}
      address: {{ socket_address: {{ address: 127.0.0.1, port_value: 10000 }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: {name}
                codec_type: AUTO
                # A connection that is to go goes at once, instead of waiting for the client.
                delayed_close_timeout: 0s
                generate_request_id: false
                http_protocol_options: {{ enable_trailers: true }}
                server_header_transformation: PASS_THROUGH
                http_filters:
                - name: probe
                  typed_config:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                    config:
                      name: probe
                      failure_policy: {policy}
                      allow_on_headers_stop_iteration: {stop}
                      vm_config:
                        vm_id: {name}
                        runtime: envoy.wasm.runtime.v8
                        code: {{ local: {{ filename: target/guests/wasm32-unknown-unknown/release/probe.wasm }} }}
                        configuration:
                          "@type": type.googleapis.com/google.protobuf.StringValue
                          value: {vm}
                      configuration:
                        "@type": type.googleapis.com/google.protobuf.StringValue
                        value: {plugin}
                - name: envoy.filters.http.router
                  typed_config:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                    suppress_envoy_headers: true
                route_config:
                  virtual_hosts:
                    - name: upstream
                      domains: ["*"]
                      routes:
                        - match: {{ prefix: "/" }}
                          route: {{ cluster: upstream }}
"#
    )
}
