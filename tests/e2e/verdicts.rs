//! One corpus, three drivers: every case of `tests/corpora/verdicts` on the native engine, on the `.wasm` in our
//! host, and on the `.wasm` in a real Envoy. Each is a test of its own: `cargo test -p palisade-tests --test verdicts NAME`.
//!
//! **Envoy's share:** it has no virtual clock and no injected faults, so cases with either are not its. A case whose request
//! Envoy refuses by itself, before the filter, says `drivers: [native, harness]`; `envoy.rs` shows that it is refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use palisade_cli::scenario::harness::Harness;
use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::{
    Case, Driver, File, Message, Outcome, Session, Setup, Upstream as Received, load, run_file,
};
use palisade_host::Module;
use palisade_tests::envoy::{self, Envoy};
use palisade_tests::http::{Connection, Response};
use palisade_tests::upstream::Upstream;

fn main() {
    let arguments = Arguments::from_args();
    let module = palisade_tests::root().join("target/palisade.wasm");
    if !module.is_file() {
        eprintln!(
            "{} is missing: `cargo xtask wasm` builds it, `cargo xtask test` does so first",
            module.display()
        );
        std::process::exit(1);
    }
    let compiled = match Module::from_file(&module) {
        Ok(compiled) => Arc::new(compiled),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    let mut files: Vec<PathBuf> =
        match std::fs::read_dir(palisade_tests::root().join("tests/corpora/verdicts")) {
            Ok(entries) => entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
                .collect(),
            Err(error) => {
                eprintln!("tests/corpora/verdicts: {error}");
                std::process::exit(1);
            }
        };
    files.sort();
    let mut trials = Vec::new();
    for path in files {
        let file = match load(&path) {
            Ok(file) => Arc::new(file),
            Err(error) => {
                let text = format!("{error:#}");
                trials.push(Trial::test(path.display().to_string(), move || {
                    Err(Failed::from(text))
                }));
                continue;
            }
        };
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        for case in &file.cases {
            let name = |driver: &str| format!("{driver}::{stem}::{}", case.name);
            let only = |case: &Case| {
                Arc::new(File {
                    cases: vec![case.clone()],
                    ..(*file).clone()
                })
            };
            if file.runs_on(case, "native") {
                let one = only(case);
                trials.push(Trial::test(name("native"), move || run(&one, &mut Native)));
            }
            if file.runs_on(case, "harness") {
                let (one, module) = (only(case), compiled.clone());
                trials.push(Trial::test(name("harness"), move || {
                    run(&one, &mut Harness::new((*module).clone()))
                }));
            }
            if file.runs_on(case, "envoy") && fits_envoy(case) {
                let one = only(case);
                trials.push(Trial::test(name("envoy"), move || {
                    let mut one = (*one).clone();
                    // Tokens of a case are minted for its clock: Envoy's is the real one.
                    one.wall = SystemTime::now()
                        .duration_since(UNIX_EPOCH)
                        .map_or(0, |since| since.as_secs());
                    run(&one, &mut InEnvoy)
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn run<D: Driver>(file: &File, driver: &mut D) -> Result<(), Failed> {
    let reports = run_file(file, driver, "");
    if reports.is_empty() {
        return Err("the case did not run".into());
    }
    let differences: Vec<String> = reports
        .into_iter()
        .flat_map(|report| report.differences)
        .collect();
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join("\n").into())
    }
}

/// Whether Envoy can play the case: no clock, no fault, and no peers that it could not tell apart.
fn fits_envoy(case: &Case) -> bool {
    case.requests.iter().all(|request| {
        request.fault.is_none()
            && request.advance.ms == 0
            && request.advance_wall.ms == 0
            && request.advance_monotonic.ms == 0
            && !request.headers.iter().any(|line| {
                format!("{:?}", line.name)
                    .to_ascii_lowercase()
                    .contains("x-forwarded-for")
            })
    })
}

struct InEnvoy;

struct EnvoySession {
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
        let mut start = envoy::Setup::shipped("body.yaml", upstream.address)?;
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
        // JSON is YAML, on one line.
        start.config = format!(
            "{before}                        \"@type\": type.googleapis.com/google.protobuf.Struct\n                        value: {}\n{to}{after}",
            setup.policy
        );
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
        Ok(EnvoySession {
            envoy: Envoy::start(&start)?,
            upstream,
        })
    }
}

impl Session for EnvoySession {
    fn advance(&mut self, _wall_ms: i64, _monotonic_ms: i64) -> Result<()> {
        anyhow::bail!("an Envoy has no virtual clock")
    }

    fn send(&mut self, message: &Message) -> Result<Outcome> {
        self.upstream.answer(message.upstream);
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
            let alive =
                palisade_tests::http::request(self.envoy.admin, "GET", "/ready", &[], b"").is_ok();
            let trap = (!alive).then(|| format!("Envoy is gone:\n{log}"));
            return Ok(Outcome {
                denied: Some(ENVOY.to_owned()),
                trap,
                ..Outcome::default()
            });
        };
        Ok(Outcome {
            denied: denied(&answer, &events),
            status: answer.status,
            reply: answer
                .headers
                .iter()
                .map(|(name, value)| (name.clone().into_bytes(), value.clone()))
                .collect(),
            reply_complete: true,
            upstream,
            events: Some(events),
            trap: None,
        })
    }
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

fn received(seen: palisade_tests::upstream::Seen) -> Received {
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
