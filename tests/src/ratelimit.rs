//! A rate limit service and its Redis, for suites about a fleet.
//!
//! The service is `tests/ratelimit-engine` (limitador); `cargo xtask ratelimit-engine` builds it and installs Redis.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::envoy::Setup;
use crate::root;

/// A process that ends with its value, by its id.
#[derive(Debug)]
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody has just now.
///
/// # Errors
/// As the socket says.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn built(error: &io::Error, what: &str) -> io::Error {
    io::Error::other(format!(
        "{what} does not start ({error}): `cargo xtask ratelimit-engine` builds and installs it"
    ))
}

/// Redis on a port, without anything on disk.
///
/// # Errors
/// It is not installed, or does not listen within ten seconds.
pub fn redis(port: u16) -> io::Result<Running> {
    let mut command = Command::new("redis-server");
    let text = port.to_string();
    command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        &text,
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    let child = command.stdout(Stdio::null()).spawn();
    let child = Running(child.map_err(|error| built(&error, "redis-server"))?);
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(io::Error::other("Redis does not listen"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(child)
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    _running: Running,
}

impl Service {
    /// Starts one over a Redis, with the domain `edge`.
    ///
    /// # Errors
    /// It is not built, or does not say where it listens.
    pub fn start(redis: u16, arguments: &[&str]) -> io::Result<Self> {
        let program = root().join("target/ratelimit-engine/debug/ratelimit-engine");
        let mut command = Command::new(&program);
        let redis = format!("redis://127.0.0.1:{redis}");
        command.args(["--redis", &redis, "--domain", "edge"]);
        let child = command.args(arguments).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| built(&error, &program.display().to_string()))?;
        let output = child.stdout.take();
        let running = Running(child);
        let mut line = String::new();
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line
            .trim()
            .strip_prefix("listening ")
            .and_then(|text| text.parse().ok());
        let address = address.ok_or_else(|| io::Error::other(format!("it says {line:?}")))?;
        Ok(Self {
            address,
            _running: running,
        })
    }
}

/// Gives the Envoy a cluster `ratelimit` that leads to the service.
pub fn cluster(setup: &mut Setup, service: SocketAddr) {
    let cluster = format!(
        "  clusters:
    - name: ratelimit
      type: STATIC
      connect_timeout: 0.25s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{ http2_protocol_options: {{}} }}
      load_assignment:
        cluster_name: ratelimit
        endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }} }}] }}]
",
        service.port()
    );
    setup.config = setup.config.replacen("  clusters:\n", &cluster, 1);
}
