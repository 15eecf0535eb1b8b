//! Scenarios in a real Envoy.
//!
//! **Invariant:** it has no virtual clock and no injected faults: [`crate::scenario::unable`] says which cases it can play.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use palisade_host::{LogLevel, LogLine};

use super::http::{Connection, Response};
use super::server::{self, Envoy};
use super::upstream::Upstream;
use crate::scenario::{Driver, Inside, Message, Outcome, Session, Setup, Upstream as Received};

/// The driver.
#[derive(Debug, Clone, Default)]
pub struct InEnvoy {
    /// The program; `None`: it is installed.
    pub binary: Option<PathBuf>,
    /// The filter; `None`: ours, as the shipped configuration names it.
    pub module: Option<PathBuf>,
}

/// A started Envoy and its upstream.
#[derive(Debug)]
pub struct EnvoySession {
    /// The filter is ours: its refusals say their reasons.
    ours: bool,
    envoy: Envoy,
    upstream: Upstream,
}

impl Driver for InEnvoy {
    type Session = EnvoySession;

    fn name(&self) -> &'static str {
        "envoy"
    }

    fn start(&mut self, setup: &Setup<'_>) -> Result<EnvoySession> {
        let upstream = Upstream::start()?;
        let mut start = server::Setup::shipped("body.yaml", upstream.address)?;
        let (from, to) = (
            "                        \"@type\": type.googleapis.com/google.protobuf.Struct\n",
            "                - name: envoy.filters.http.router",
        );
        let (before, rest) = start
            .config
            .split_once(from)
            .ok_or_else(|| anyhow::anyhow!("no Struct in body.yaml"))?;
        let (_, after) = rest
            .split_once(to)
            .ok_or_else(|| anyhow::anyhow!("no router in body.yaml"))?;
        let ours = setup.file.policy_of(setup.case).is_some();
        let text = std::str::from_utf8(setup.configuration)
            .map_err(|_| anyhow::anyhow!("Envoy takes a configuration as UTF-8 text only"))?;
        // JSON is YAML, on one line.
        let (kind, value) = if ours {
            ("Struct", setup.policy()?.to_owned())
        } else {
            ("StringValue", json_text(text))
        };
        start.config = format!(
            "{before}                        \"@type\": type.googleapis.com/google.protobuf.{kind}\n                        value: {value}\n{to}{after}"
        );
        start.replace.extend(self.plugin(setup)?);
        let variables: Vec<&str> = setup.env.keys().map(String::as_str).collect();
        for (from, to) in [
            ("xff_num_trusted_hops: 0", "xff_num_trusted_hops: 1".to_owned()),
            ("codec_type: AUTO", "codec_type: AUTO\n                http_protocol_options: { enable_trailers: true }".to_owned()),
            // The filter judges; Envoy's own path rules are tested in `envoy.rs`.
            ("path_with_escaped_slashes_action: REJECT_REQUEST", "path_with_escaped_slashes_action: KEEP_UNCHANGED".to_owned()),
            ("normalize_path: true", "normalize_path: false".to_owned()),
            ("merge_slashes: true", "merge_slashes: false".to_owned()),
            ("host_env_keys: [PALISADE_JWT_KEY, PALISADE_SESSION_KEY]", format!("host_env_keys: [{}]", variables.join(", "))),
        ] {
            start.replace.push((from.to_owned(), to));
        }
        start.environment = setup
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        start.workers = 2;
        start.binary.clone_from(&self.binary);
        start.verbose = !ours;
        Ok(EnvoySession {
            ours,
            envoy: Envoy::start(&start)?,
            upstream,
        })
    }
}

impl InEnvoy {
    /// What the configuration says of the plugin, where the shipped one says something else.
    fn plugin(&self, setup: &Setup<'_>) -> Result<Vec<(String, String)>> {
        let file = setup.file;
        let mut replace = Vec::new();
        if let Some(module) = &self.module {
            let path = absolute(module)?;
            replace.push((
                "filename: target/palisade.wasm".to_owned(),
                format!("filename: {}", json_text(&path.to_string_lossy())),
            ));
        }
        if !file.root_id.is_empty() {
            let name = "                      name: palisade\n";
            let root = json_text(&file.root_id);
            replace.push((
                name.to_owned(),
                format!("{name}                      root_id: {root}\n"),
            ));
        }
        if let Some(configuration) = &file.vm_configuration {
            let bytes = configuration.bytes();
            let value = json_text(std::str::from_utf8(&bytes)?);
            let before = "                        vm_id: palisade\n";
            replace.push((
                before.to_owned(),
                format!(
                    "{before}                        configuration: {{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: {value} }}\n"
                ),
            ));
        }
        if !file.allow_on_headers_stop_iteration {
            replace.push((
                "allow_on_headers_stop_iteration: true".to_owned(),
                "allow_on_headers_stop_iteration: false".to_owned(),
            ));
        }
        Ok(replace)
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}

/// A text as a JSON string, which YAML reads too.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Session for EnvoySession {
    fn advance(&mut self, _wall_ms: i64, _monotonic_ms: i64) -> Result<()> {
        anyhow::bail!("an Envoy has no virtual clock")
    }

    fn send(&mut self, message: &Message) -> Result<Outcome> {
        self.upstream.answer(message.upstream);
        self.upstream.script(
            message
                .response
                .as_ref()
                .map(|reply| (reply.headers.clone(), reply.chunks.concat())),
        );
        let _ = self.upstream.take();
        let logged = self.envoy.log().len();
        let mut connection = Connection::open(self.envoy.address)?;
        let head_only = pseudo(message, b":method") == b"HEAD";
        // A refusal may come, and the connection end, while the body is still being sent.
        let _ = send(&mut connection, message);
        let answer = connection.receive(head_only);
        let log = self.envoy.log();
        let events: Vec<String> = log
            .get(logged..)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| {
                line.find("{\"ts\"")
                    .and_then(|at| line.get(at..))
                    .map(str::to_owned)
            })
            .collect();
        let upstream = self.upstream.take().into_iter().next().map(received);
        let Ok(answer) = answer else {
            // Envoy's HTTP parser refused it without words: as good as a refusal, and no trap if the next one is answered.
            let alive = super::http::request(self.envoy.admin, "GET", "/ready", &[], b"").is_ok();
            let trap = (!alive).then(|| format!("Envoy is gone:\n{log}"));
            return Ok(Outcome {
                denied: Some(ENVOY.to_owned()),
                trap,
                ..Outcome::default()
            });
        };
        // Its headers may have gone upstream before it answered itself: the access log knows, and comes after all that is logged.
        let (denied, inside) = if self.ours {
            (denied(&answer, &events), None)
        } else {
            let details = Some(self.details(logged)).filter(|details| details != "via_upstream");
            let log = self.envoy.log();
            let inside = Inside {
                logs: guest_lines(log.get(logged..).unwrap_or_default()),
                metrics: self.metrics(),
                ..Inside::default()
            };
            (details, Some(inside))
        };
        Ok(Outcome {
            denied,
            inside,
            status: answer.status,
            reply: answer
                .headers
                .iter()
                .map(|(name, value)| (name.clone().into_bytes(), value.clone()))
                .collect(),
            reply_complete: true,
            reply_body: answer.body,
            upstream,
            events: Some(events),
            ..Outcome::default()
        })
    }
}

impl EnvoySession {
    /// The guest's counters and gauges, as the admin port shows them.
    fn metrics(&self) -> BTreeMap<String, u64> {
        let Ok(stats) = super::http::request(self.envoy.admin, "GET", "/stats", &[], b"") else {
            return BTreeMap::new();
        };
        let metric = |line: &str| {
            let (name, value) = line.strip_prefix("wasmcustom.")?.split_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        String::from_utf8_lossy(&stats.body)
            .lines()
            .filter_map(metric)
            .collect()
    }

    /// Response code details of the last request, from the access log: `PROTOCOL METHOD STATUS DETAILS verdict=…`.
    fn details(&self, logged: usize) -> String {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(500) {
            let log = self.envoy.log();
            let lines = log.get(logged..).unwrap_or_default().lines();
            let found = lines
                .filter_map(|line| line.split_once(" verdict="))
                .filter_map(|(line, _)| line.splitn(4, ' ').nth(3))
                .next_back();
            if let Some(details) = found {
                return details.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        String::new()
    }
}

/// What the guest logged: `[…][info][wasm] […] wasm log NAME ROOT VM: MESSAGE`, the names as far as they are set.
fn guest_lines(log: &str) -> Vec<LogLine> {
    let guest_line = |line: &str| {
        let (head, said) = line.split_once("] wasm log")?;
        let level = match head.split(['[', ']']).nth(5)? {
            "trace" => LogLevel::Trace,
            "debug" => LogLevel::Debug,
            "info" => LogLevel::Info,
            "warning" => LogLevel::Warn,
            "error" => LogLevel::Error,
            _ => LogLevel::Critical,
        };
        let (_, message) = said.split_once(": ")?;
        Some(LogLine {
            level,
            message: message.to_owned(),
        })
    };
    log.lines().filter_map(guest_line).collect()
}

/// The reason's code: from the problem body, else (HEAD, gRPC) from the event.
fn denied(answer: &Response, events: &[String]) -> Option<String> {
    let of_event = || {
        let event = events
            .iter()
            .find(|event| event.contains("\"action\":\"denied\""))?;
        field(event)
    };
    let of_body = || {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        problem.get("code")?.as_str().map(str::to_owned)
    };
    let by_envoy = || {
        (answer.status / 100 == 4 && answer.count("x-envoy-upstream-service-time") == 0)
            .then(|| ENVOY.to_owned())
    };
    of_body().or_else(of_event).or_else(by_envoy)
}

/// Stands where a reason would, when the refusal is not ours.
const ENVOY: &str = "(Envoy refused it by itself)";

fn field(event: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(event).ok()?;
    event.get("reason")?.as_str().map(str::to_owned)
}

fn received(seen: super::upstream::Seen) -> Received {
    let mut headers = vec![
        (b":method".to_vec(), seen.method.into_bytes()),
        (b":path".to_vec(), latin1(&seen.target)),
    ];
    headers.extend(
        seen.headers
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), latin1(&value))),
    );
    Received {
        headers,
        body: seen.body,
        trailers: Vec::new(),
    }
}

/// Bytes of a text of one character a byte.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().filter_map(|c| u8::try_from(c).ok()).collect()
}

fn pseudo<'m>(message: &'m Message, name: &[u8]) -> &'m [u8] {
    message
        .headers
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.as_slice())
        .unwrap_or_default()
}

fn send(connection: &mut Connection, message: &Message) -> std::io::Result<()> {
    let mut head = [
        pseudo(message, b":method"),
        b" ",
        pseudo(message, b":path"),
        b" HTTP/1.1\r\nhost: ",
        pseudo(message, b":authority"),
        b"\r\n",
    ]
    .concat();
    for (name, value) in message
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with(b":"))
    {
        head.extend_from_slice(&[name.as_slice(), b": ", value.as_slice(), b"\r\n"].concat());
    }
    let peer = message
        .peer
        .rsplit_once(':')
        .map_or(message.peer.as_str(), |(address, _)| address);
    head.extend_from_slice(
        format!("x-forwarded-for: {}\r\n", peer.trim_matches(['[', ']'])).as_bytes(),
    );
    let framed = message
        .headers
        .iter()
        .any(|(name, _)| matches!(name.as_slice(), b"content-length" | b"transfer-encoding"));
    let chunked = !message.ends_with_head() && !framed;
    if chunked {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    head.extend_from_slice(b"\r\n");
    connection.send(&head)?;
    let many = message.chunks.len() > 4;
    for chunk in message.chunks.iter().filter(|chunk| !chunk.is_empty()) {
        if chunked {
            connection
                .send(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())?;
        } else {
            connection.send(chunk)?;
        }
        if !many {
            // Apart enough that Envoy sees them apart.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    if chunked {
        let mut end = b"0\r\n".to_vec();
        for (name, value) in &message.trailers {
            end.extend_from_slice(&[name.as_slice(), b": ", value.as_slice(), b"\r\n"].concat());
        }
        end.extend_from_slice(b"\r\n");
        connection.send(&end)?;
    }
    Ok(())
}
