//! `palisade bans`: asks a running filter who is banned, and lifts or sets a ban.
//!
//! **In:** whom, the address of the edge, the operator's key (environment). **Out:** the filter's answer.
//! **Invariant:** the key comes from the environment, never from an argument; a token is made for one request, holds for a minute and
//! comes once. Exit code 0: done; 1: the filter refused, or does not know whom; 2: wrong use, or nobody answered.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use palisade_cli::envoy::http::{Connection, Response};
use palisade_cli::keys::{base64url, random_bytes};
use palisade_cli::mint;
use palisade_engine::units::Span;
use serde_json::{Map, Value, json};

use super::token::{key, now};

/// Seconds that a token holds: clocks may differ a little.
const LIFETIME_S: u64 = 60;

/// Show, lift and set bans of a running filter, by signed requests to the path of its policy's `operator`.
///
/// Exit code 0: done; 1: the filter refused or does not know whom; 2: wrong use, or nobody answered.
#[derive(Debug, Args)]
pub(crate) struct Bans {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Whether somebody is banned, for how long, by what, what is held against them, and how their limits stand.
    Show(Request),
    /// Lift a ban, and forget all that is held against somebody.
    Lift(Request),
    /// Ban somebody by hand.
    Set {
        #[command(flatten)]
        request: Request,
        /// How long: `30m`, `1h`, `7d`.
        #[arg(long = "for", value_name = "DURATION")]
        span: String,
    },
}

#[derive(Debug, Args)]
struct Request {
    /// The client's address.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "subject")]
    client: Option<IpAddr>,
    /// A subject: `PROVIDER:SUBJECT`.
    #[arg(long, value_name = "PROVIDER:SUBJECT", conflicts_with = "client")]
    subject: Option<String>,
    /// The client on this route only.
    #[arg(long, value_name = "NAME", requires = "client")]
    route: Option<String>,
    /// Where the filter runs: `http://host:port`, perhaps with the path of `operator`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Environment variable that holds the operator's key.
    #[arg(long, value_name = "NAME", default_value = "OPERATOR_KEY")]
    env_key: String,
    /// Print a command for `curl` instead of sending: for edges behind TLS. The token holds for a minute, once.
    #[arg(long)]
    print: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A URL taken apart.
struct Place {
    scheme: String,
    authority: String,
    path: String,
}

impl Bans {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (action, request, span) = match self.action {
            Action::Show(request) => ("show", request, None),
            Action::Lift(request) => ("lift", request, None),
            Action::Set { request, span } => ("set", request, Some(span)),
        };
        let place = Place::parse(&request.url)?;
        let token = request.token(action, span.as_deref(), &place.path)?;
        if request.print {
            say!(
                "curl -sS -X POST -H 'authorization: Bearer {token}' '{}://{}{}'",
                place.scheme,
                place.authority,
                place.path
            );
            return Ok(ExitCode::SUCCESS);
        }
        let response = place.post(&token)?;
        request.tell(&response)
    }
}

impl Request {
    fn token(&self, action: &str, span: Option<&str>, path: &str) -> Result<String> {
        let secret = key(&self.env_key)?;
        let mut claims = Map::new();
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("aud", path.into());
        set("exp", now()?.saturating_add(LIFETIME_S).into());
        set("jti", base64url(&random_bytes(16)?).into());
        set("do", action.into());
        if let Some(client) = self.client {
            set("client", client.to_string().into());
        }
        if let Some(route) = &self.route {
            set("route", route.as_str().into());
        }
        if let Some(text) = &self.subject {
            let (provider, subject) = text
                .split_once(':')
                .with_context(|| format!("`{text}` is no PROVIDER:SUBJECT"))?;
            set("provider", provider.into());
            set("subject", subject.into());
        }
        if let Some(text) = span {
            let span = Span::parse(text)
                .with_context(|| format!("`{text}` is no duration such as `1h`"))?;
            ensure!(
                span.ms >= 1000,
                "`{text}` is too short: a ban lasts a second or more"
            );
            set("for", (span.ms / 1000).into());
        }
        let header = json!({ "alg": "HS256", "typ": "JWT" }).to_string();
        let claims = Value::Object(claims).to_string();
        let token = mint::jwt("HS256", secret.as_bytes(), &header, &claims)?;
        Ok(String::from_utf8_lossy(&token).into_owned())
    }

    fn tell(&self, response: &Response) -> Result<ExitCode> {
        let body = String::from_utf8_lossy(&response.body);
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        if response.status != 200 {
            let code = answer.get("code").and_then(Value::as_str);
            let why = match (response.status, code) {
                (_, Some("token_invalid")) => "the key is not that of the policy's `operator`",
                (_, Some("token_expired" | "token_claims")) => {
                    "the clocks differ by more than a minute, or the path is another"
                }
                (404, _) => "there is no `operator` in the policy, or its path is another",
                _ => "see the filter's events",
            };
            complain!(
                "palisade: {} {}: {why}",
                response.status,
                code.unwrap_or("from the edge")
            );
            return Ok(ExitCode::from(1));
        }
        if let Some(problem) = answer.get("error").and_then(Value::as_str) {
            complain!("palisade: {problem}");
            return Ok(ExitCode::from(1));
        }
        // An upstream answered, not the filter.
        if !answer.get("banned").is_some_and(Value::is_boolean) {
            bail!(
                "this is no answer of the filter: the path of `operator` is another, or no filter is there"
            );
        }
        if self.json {
            say!("{}", body.trim());
            return Ok(ExitCode::SUCCESS);
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        if answer.get("banned") == Some(&Value::Bool(true)) {
            say!(
                "banned for {} s more, by {} (ban {} in a row)",
                number("for_s"),
                text("rule"),
                number("level")
            );
        } else {
            say!(
                "not banned (past bans that are remembered: {})",
                number("level")
            );
        }
        let excesses = answer.get("excesses").and_then(Value::as_array);
        for excess in excesses.into_iter().flatten() {
            say!(
                "  {} held against them by {}",
                excess.get("count").and_then(Value::as_u64).unwrap_or(0),
                excess.get("rule").and_then(Value::as_str).unwrap_or("?")
            );
        }
        let limits = answer.get("limits").and_then(Value::as_array);
        for limit in limits.into_iter().flatten() {
            let number = |name: &str| limit.get(name).and_then(Value::as_u64);
            let more = number("reset_s").map_or_else(String::new, |s| format!(", more in {s} s"));
            say!(
                "  {}: {} of {} used{more}",
                limit.get("limit").and_then(Value::as_str).unwrap_or("?"),
                number("used").unwrap_or(0),
                number("quota").unwrap_or(0)
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Place {
    fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url
            .split_once("://")
            .with_context(|| format!("`{url}` is no URL such as http://127.0.0.1:8080"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = match path {
            "" => "/.palisade/bans".to_owned(),
            path => format!("/{path}"),
        };
        ensure!(!authority.is_empty(), "`{url}` names no host");
        Ok(Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path,
        })
    }

    fn address(&self) -> Result<SocketAddr> {
        let with_port = if self.authority.parse::<SocketAddr>().is_ok()
            || self.authority.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !port.contains(']') && port.parse::<u16>().is_ok()
            }) {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        };
        let mut found = with_port
            .to_socket_addrs()
            .with_context(|| format!("`{}` cannot be resolved", self.authority))?;
        found
            .next()
            .with_context(|| format!("`{}` has no address", self.authority))
    }

    fn post(&self, token: &str) -> Result<Response> {
        ensure!(
            self.scheme == "http",
            "only http is spoken here; for {} let `--print` make a command for curl",
            self.scheme
        );
        let address = self.address()?;
        let unreachable = || format!("{} did not answer", self.authority);
        let mut connection = Connection::open(address).with_context(unreachable)?;
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: palisade\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.path, self.authority
        );
        connection
            .send(request.as_bytes())
            .with_context(unreachable)?;
        connection.receive(false).with_context(unreachable)
    }
}
