//! Runs scenario files on a driver.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::expect::Outcome;
use super::format::{Case, Chunks, Fault, File, HeaderLine, Request};
use super::value::Surroundings;

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
}

/// What a case starts from.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The policy, JSON text.
    pub policy: &'a str,
    /// Environment of the VM.
    pub env: &'a BTreeMap<String, String>,
    /// Wall time, seconds since 1970.
    pub wall: u64,
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
    /// What the host does wrong.
    pub fault: Option<Fault>,
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
}

/// What came of one case on one driver.
#[derive(Debug, Clone)]
pub struct Report {
    /// File.
    pub file: String,
    /// Case.
    pub case: String,
    /// Driver.
    pub driver: &'static str,
    /// Differences; empty: passed.
    pub differences: Vec<String>,
}

impl Report {
    /// Whether all was as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs the cases of `file` that `driver` can run and whose `file/name` holds `filter`, in order.
pub fn run_file<D: Driver>(file: &File, driver: &mut D, filter: &str) -> Vec<Report> {
    let mut reports = Vec::new();
    for case in &file.cases {
        let name = file.path.display().to_string();
        if !file.runs_on(case, driver.name()) || !format!("{name}/{}", case.name).contains(filter) {
            continue;
        }
        let differences =
            run_case(file, case, driver).unwrap_or_else(|error| vec![format!("error: {error:#}")]);
        reports.push(Report {
            file: name,
            case: case.name.clone(),
            driver: driver.name(),
            differences,
        });
    }
    reports
}

/// Runs one case: its differences, each with the number of its request.
///
/// # Errors
/// The case cannot be run.
pub fn run_case<D: Driver>(file: &File, case: &Case, driver: &mut D) -> Result<Vec<String>> {
    let policy = file.policy_json(case)?;
    let env = file.env(case);
    let mut wall = file.wall.saturating_mul(1000);
    let mut session = driver.start(&Setup {
        policy: &policy,
        env: &env,
        wall: file.wall,
    })?;
    let mut differences = Vec::new();
    for (index, request) in case.requests.iter().enumerate() {
        let number = index + 1;
        let wall_ms = request.advance.ms.saturating_add(request.advance_wall.ms);
        let monotonic_ms = request
            .advance
            .ms
            .saturating_add(request.advance_monotonic.ms);
        if wall_ms != 0 || monotonic_ms != 0 {
            session.advance(wall_ms, monotonic_ms)?;
            wall = wall.saturating_add_signed(wall_ms);
        }
        let surroundings = Surroundings {
            env: &env,
            wall: wall / 1000,
        };
        'request: for time in 0..request.times {
            for (plan, message) in request.messages(surroundings)? {
                let outcome = session
                    .send(&message)
                    .with_context(|| format!("request {number}{plan}"))?;
                let lines = request.expect.0.differences(
                    &outcome,
                    &message.body(),
                    request.upstream,
                    surroundings,
                )?;
                if !lines.is_empty() {
                    let nth = if request.times > 1 {
                        format!(", time {}", time + 1)
                    } else {
                        String::new()
                    };
                    differences.extend(
                        lines
                            .into_iter()
                            .map(|line| format!("request {number}{nth}{plan}: {line}")),
                    );
                    break 'request;
                }
            }
        }
    }
    Ok(differences)
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
        let message = |chunks| Message {
            headers: headers.clone(),
            chunks,
            trailers: trailers.clone(),
            peer: self.peer.clone(),
            upstream: self.upstream,
            fault: self.fault,
        };
        let Some(body) = &self.body else {
            return Ok(vec![(String::new(), message(Vec::new()))]);
        };
        let body = body.render(surroundings)?;
        let bytes = || body.iter().map(|byte| vec![*byte]).collect::<Vec<_>>();
        Ok(match &self.chunks {
            Chunks::Whole => vec![(String::new(), message(vec![body]))],
            Chunks::Bytes => vec![(String::new(), message(bytes()))],
            Chunks::Every => {
                let mut all = vec![(", byte by byte".to_owned(), message(bytes()))];
                for at in 0..=body.len() {
                    if let Some((left, right)) = body.split_at_checked(at) {
                        all.push((
                            format!(", cut at {at}"),
                            message(vec![left.to_vec(), right.to_vec()]),
                        ));
                    }
                }
                all
            }
            Chunks::Sizes(sizes) => {
                let mut chunks = Vec::new();
                let mut rest = body.as_slice();
                for size in sizes {
                    let (chunk, after) = rest.split_at_checked(*size).unwrap_or((rest, &[]));
                    chunks.push(chunk.to_vec());
                    rest = after;
                }
                if !rest.is_empty() {
                    chunks.push(rest.to_vec());
                }
                vec![(String::new(), message(chunks))]
            }
        })
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
