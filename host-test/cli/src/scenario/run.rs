//! Runs scenario files on a driver.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use palisade_host::{Headers, StreamInfo};

use anyhow::{Context, Result};

use super::expect::{Difference, Outcome, Sent};
use super::format::{Case, Certificate, Chunks, Fault, File, HeaderLine, Request, StepKind};
use super::value::Surroundings;

/// Bytes of a body that is cut at every place.
const MOST_CUT: usize = 8192;

/// A way to run cases: the engine alone, the filter in our host, the filter in Envoy.
pub trait Driver {
    /// What a session is.
    type Session: Session;

    /// Name, as in `drivers:`.
    fn name(&self) -> &'static str;

    /// Fresh state for a case.
    ///
    /// # Errors
    /// The policy is refused, or the driver cannot start.
    fn start(&mut self, setup: &Setup<'_>) -> Result<Self::Session>;
}

/// One case in progress.
pub trait Session {
    /// Moves the virtual clocks.
    ///
    /// # Errors
    /// The driver has no such clock.
    fn advance(&mut self, wall_ms: i64, monotonic_ms: i64) -> Result<()>;

    /// Sends one request and waits for what comes of it. A trap is an outcome, not an error.
    ///
    /// # Errors
    /// The driver itself failed.
    fn send(&mut self, message: &Message) -> Result<Outcome>;

    /// Makes something else than a request happen.
    ///
    /// # Errors
    /// The driver cannot, or failed.
    fn step(&mut self, kind: StepKind, time: Duration) -> Result<Outcome> {
        anyhow::bail!("this driver has no {kind:?} of {time:?}")
    }

    /// What has gone otherwise than the case says, at its end.
    fn finish(&mut self) -> Vec<Difference> {
        Vec::new()
    }

    /// What the filter did wrong without falling over it, a sentence each.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// What a case starts from.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The file.
    pub file: &'a File,
    /// The case.
    pub case: &'a Case,
    /// Plugin configuration; of our own filter the policy, JSON text.
    pub configuration: &'a [u8],
    /// Environment of the VM.
    pub env: &'a BTreeMap<String, String>,
    /// Wall time, seconds since 1970.
    pub wall: u64,
}

impl Setup<'_> {
    /// The policy of our own filter, JSON text.
    ///
    /// # Errors
    /// The case is one of another filter.
    pub fn policy(&self) -> Result<&str> {
        if self.file.policy_of(self.case).is_none() {
            anyhow::bail!("the case has no policy: it is not one of our filter");
        }
        std::str::from_utf8(self.configuration).context("the policy is no UTF-8")
    }
}

/// A request with every byte known.
#[derive(Debug, Clone)]
pub struct Message {
    /// Pseudo-headers first, then fields in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body chunks; empty: the stream ends with the head (or the trailers).
    pub chunks: Vec<Vec<u8>>,
    /// Trailers.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// `ip:port`.
    pub peer: String,
    /// Status the upstream answers.
    pub upstream: u16,
    /// All that it answers, if the case says it.
    pub response: Option<Reply>,
    /// Properties besides the host's.
    pub properties: Vec<(String, Vec<u8>)>,
    /// What the host does wrong.
    pub fault: Option<Fault>,
}

/// An upstream's answer with every byte known.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Header fields without `:status`.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body chunks.
    pub chunks: Vec<Vec<u8>>,
    /// Trailers.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Message {
    /// Whether the stream ends with its head.
    #[must_use]
    pub fn ends_with_head(&self) -> bool {
        self.chunks.is_empty() && self.trailers.is_empty()
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The request as the host takes it.
    #[must_use]
    pub fn request(&self) -> palisade_host::Request {
        palisade_host::Request {
            headers: pairs(&self.headers),
            chunks: self.chunks.clone(),
            trailers: (!self.trailers.is_empty()).then(|| pairs(&self.trailers)),
            end_on_last_chunk: false,
            info: StreamInfo {
                source_address: self.peer.clone(),
                destination_address: "192.0.2.1:80".to_owned(),
                protocol: "HTTP/1.1".to_owned(),
                properties: self.properties.clone(),
            },
        }
    }
}

/// Header fields as the host takes them.
pub(super) fn pairs(fields: &[(Vec<u8>, Vec<u8>)]) -> Headers {
    fields.iter().map(|(name, value)| (name, value)).collect()
}

/// What came of one case on one driver.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// File.
    pub file: String,
    /// Line the case begins at; 0: unknown.
    pub line: usize,
    /// Case.
    pub case: String,
    /// Driver.
    pub driver: &'static str,
    /// Why it was not run; `None`: it was.
    pub skipped: Option<String>,
    /// Differences; empty: passed, or skipped.
    pub differences: Vec<Difference>,
    /// What the filter did wrong without falling over it, a sentence each.
    pub warnings: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

impl Report {
    /// Whether it was run and all was as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.skipped.is_none() && self.differences.is_empty()
    }

    /// Whether it was run and something was not as expected.
    #[must_use]
    pub const fn failed(&self) -> bool {
        !self.differences.is_empty()
    }
}

/// Runs the cases of `file` that `driver` can run and whose `file/name` holds `filter`, in order.
pub fn run_file<D: Driver>(file: &File, driver: &mut D, filter: &str) -> Vec<Report> {
    let name = driver.name();
    let chosen = file
        .cases
        .iter()
        .filter(|case| super::able::unable(file, case, name).is_none())
        .filter(|case| format!("{}/{}", file.path.display(), case.name).contains(filter));
    chosen.map(|case| report(file, case, driver)).collect()
}

/// Runs one case.
pub fn report<D: Driver>(file: &File, case: &Case, driver: &mut D) -> Report {
    let started = Instant::now();
    let mut warnings = Vec::new();
    let differences = play(file, case, driver, &mut warnings)
        .unwrap_or_else(|error| vec![Difference::new("case", "to run", &format!("{error:#}"))]);
    Report {
        file: file.path.display().to_string(),
        line: file.line_of(case),
        case: case.name.clone(),
        driver: driver.name(),
        skipped: None,
        differences,
        warnings,
        time: started.elapsed(),
    }
}

/// Runs one case: its differences, each with the number of its request.
fn play<D: Driver>(
    file: &File,
    case: &Case,
    driver: &mut D,
    warnings: &mut Vec<String>,
) -> Result<Vec<Difference>> {
    let configuration = file.configuration_of(case)?;
    let ours = file.policy_of(case).is_some();
    let env = file.env(case);
    let mut wall = file.wall.saturating_mul(1000);
    let mut session = driver.start(&Setup {
        file,
        case,
        configuration: &configuration,
        env: &env,
        wall: file.wall,
    })?;
    let mut differences = Vec::new();
    for (index, request) in case.requests.iter().enumerate() {
        let number = index + 1;
        let surroundings = |wall: u64| Surroundings {
            env: &env,
            folder: file.folder(),
            wall: wall / 1000,
        };
        if let Some(kind) = request.step {
            // Waiting is the host's: it moves the clocks itself, from one event to the next.
            let time = Duration::from_millis(request.advance.ms.unsigned_abs());
            for nth in 1..=request.times {
                let outcome = session
                    .step(kind, time)
                    .with_context(|| format!("request {number}"))?;
                wall = wall.saturating_add_signed(request.advance.ms);
                let sent = Sent {
                    request: false,
                    ours,
                    body: &[],
                    status: 0,
                };
                let lines = request
                    .expect
                    .0
                    .differences(&outcome, sent, surroundings(wall))?;
                let place = of_times(number, nth, request.times, "");
                if note(&mut differences, lines, &place) {
                    break;
                }
            }
            continue;
        }
        let wall_ms = request.advance.ms.saturating_add(request.advance_wall.ms);
        let monotonic_ms = request
            .advance
            .ms
            .saturating_add(request.advance_monotonic.ms);
        if wall_ms != 0 || monotonic_ms != 0 {
            session.advance(wall_ms, monotonic_ms)?;
            wall = wall.saturating_add_signed(wall_ms);
        }
        let surroundings = surroundings(wall);
        'request: for nth in 1..=request.times {
            for (plan, message) in request.messages(surroundings)? {
                let outcome = session
                    .send(&message)
                    .with_context(|| format!("request {number}{plan}"))?;
                let sent = Sent {
                    request: true,
                    ours,
                    body: &message.body(),
                    status: message.upstream,
                };
                let lines = request.expect.0.differences(&outcome, sent, surroundings)?;
                let place = of_times(number, nth, request.times, &plan);
                if note(&mut differences, lines, &place) {
                    break 'request;
                }
            }
        }
    }
    differences.extend(session.finish());
    *warnings = session.warnings();
    Ok(differences)
}

fn of_times(number: usize, nth: u32, times: u32, plan: &str) -> String {
    if times > 1 {
        format!("request {number}, time {nth}{plan}")
    } else {
        format!("request {number}{plan}")
    }
}

/// Puts the place to each; whether there are any.
fn note(all: &mut Vec<Difference>, lines: Vec<Difference>, place: &str) -> bool {
    let any = !lines.is_empty();
    all.extend(lines.into_iter().map(|line| Difference {
        request: place.to_owned(),
        ..line
    }));
    any
}

impl Certificate {
    /// What the connection's properties say of it, as a host with TLS has them.
    fn properties(&self, surroundings: Surroundings<'_>) -> Result<Vec<(String, Vec<u8>)>> {
        let mut found = vec![
            ("mtls", vec![1]),
            (
                "subject_peer_certificate",
                self.subject.clone().into_bytes(),
            ),
        ];
        let names = [
            ("uri_san_peer_certificate", &self.uri),
            ("dns_san_peer_certificate", &self.dns),
        ];
        for (name, value) in names {
            if let Some(value) = value {
                found.push((name, value.render(surroundings)?));
            }
        }
        if let Some(digest) = &self.sha256 {
            found.push((
                "sha256_peer_certificate_digest",
                digest.clone().into_bytes(),
            ));
        }
        let path = |(name, value)| (format!("connection.{name}"), value);
        Ok(found.into_iter().map(path).collect())
    }
}

impl Request {
    /// The request as sent: once, or once for each plan of `chunks: every`, with a note for messages.
    ///
    /// # Errors
    /// A value cannot be rendered.
    pub fn messages(&self, surroundings: Surroundings<'_>) -> Result<Vec<(String, Message)>> {
        let mut headers = vec![
            (b":method".to_vec(), self.method.render(surroundings)?),
            (b":scheme".to_vec(), b"http".to_vec()),
            (b":authority".to_vec(), self.host.render(surroundings)?),
            (b":path".to_vec(), self.path.render(surroundings)?),
        ];
        lines(&self.headers, surroundings, &mut headers)?;
        let mut trailers = Vec::new();
        lines(&self.trailers, surroundings, &mut trailers)?;
        let response = match &self.response {
            None => None,
            Some(answered) => {
                let mut reply = Reply::default();
                lines(&answered.headers, surroundings, &mut reply.headers)?;
                lines(&answered.trailers, surroundings, &mut reply.trailers)?;
                if let Some(body) = &answered.body {
                    let body = body.render(surroundings)?;
                    reply.chunks = answered.chunks.cut(&body);
                }
                Some(reply)
            }
        };
        let status = self.response.as_ref().and_then(|answered| answered.status);
        let mut properties = self
            .properties
            .iter()
            .map(|(path, value)| Ok((path.clone(), value.render(surroundings)?)))
            .collect::<Result<Vec<_>>>()?;
        // The first of a name counts.
        if let Some(certificate) = &self.certificate {
            properties.extend(certificate.properties(surroundings)?);
        }
        let message = |chunks| Message {
            headers: headers.clone(),
            chunks,
            trailers: trailers.clone(),
            peer: self.peer.clone(),
            upstream: status.unwrap_or(self.upstream),
            response: response.clone(),
            properties: properties.clone(),
            fault: self.fault,
        };
        let Some(body) = &self.body else {
            return Ok(vec![(String::new(), message(Vec::new()))]);
        };
        let body = body.render(surroundings)?;
        if self.chunks != Chunks::Every {
            return Ok(vec![(String::new(), message(self.chunks.cut(&body)))]);
        }
        // A request each, so their bytes grow with the square.
        if body.len() > MOST_CUT {
            anyhow::bail!(
                "chunks: all: the body has {} bytes; at most {MOST_CUT} are cut at every place",
                body.len()
            );
        }
        let mut all = vec![
            (", whole".to_owned(), message(Chunks::Whole.cut(&body))),
            (
                ", byte by byte".to_owned(),
                message(Chunks::Bytes.cut(&body)),
            ),
        ];
        for at in 0..=body.len() {
            if let Some((left, right)) = body.split_at_checked(at) {
                all.push((
                    format!(", cut at {at}"),
                    message(vec![left.to_vec(), right.to_vec()]),
                ));
            }
        }
        Ok(all)
    }
}

impl Chunks {
    /// A body in chunks; `Every` has no one answer and is left whole.
    fn cut(&self, body: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Self::Whole | Self::Every => vec![body.to_vec()],
            Self::Bytes => body.iter().map(|byte| vec![*byte]).collect(),
            Self::Sizes(sizes) => {
                let mut chunks = Vec::new();
                let mut rest = body;
                for size in sizes {
                    let (chunk, after) = rest.split_at_checked(*size).unwrap_or((rest, &[]));
                    chunks.push(chunk.to_vec());
                    rest = after;
                }
                if !rest.is_empty() {
                    chunks.push(rest.to_vec());
                }
                chunks
            }
        }
    }
}

fn lines(
    from: &[HeaderLine],
    surroundings: Surroundings<'_>,
    to: &mut Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<()> {
    for line in from {
        let name = line.name.render(surroundings)?;
        let value = line.value.render(surroundings)?;
        for number in 1..=line.times {
            let name = if line.times > 1 {
                let number = number.to_string();
                name.iter()
                    .flat_map(|byte| {
                        if *byte == b'#' {
                            number.as_bytes().to_vec()
                        } else {
                            vec![*byte]
                        }
                    })
                    .collect()
            } else {
                name.clone()
            };
            to.push((name, value.clone()));
        }
    }
    Ok(())
}
