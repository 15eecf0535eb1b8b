//! `palisade token verify` and `decode`: what a policy says to a token, provider by provider, without a gateway.
//!
//! **In:** a policy, a request's credentials. **Out:** the engine's verdict for each provider of the route and for the route's whole
//! demand, with the reason in words. **Invariant:** every verdict is one of the engine's own, asked with the policy's own providers and
//! one route; limits, address lists and injection detection are left out (`palisade explain` has them).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base64ct::{Base64, Encoding};
use clap::Args;
use palisade_cli::policy_file::{self, Document};
use palisade_cli::scenario::format::{Configuration, Request, parse};
use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::time::Moment;
use palisade_cli::scenario::value::Surroundings;
use palisade_cli::scenario::{Driver, Outcome, Session, Setup};
use palisade_engine::policy::Policy;
use palisade_engine::request::RequestHead;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::super::Paint;
use super::super::filter::{document, environment, header};
use super::anatomy::Anatomy;
use super::{diagnosis, now, tell};

/// Verify a credential against a policy, offline, and say what is wrong with it.
///
/// Exit code 0: the route lets it pass; 1: it is refused; 2: wrong use.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The policy, YAML or JSON; its secrets come from the environment, or --env.
    #[arg(long, short, value_name = "P")]
    policy: PathBuf,
    /// A route by its name; absent: the one that --path chooses, or the only one that asks for a token, else all providers are asked.
    #[arg(long)]
    route: Option<String>,
    /// Method of the request.
    #[arg(long, default_value = "GET")]
    method: String,
    /// Path of the request.
    #[arg(long, conflicts_with = "route")]
    path: Option<String>,
    /// The token alone; it is put where each provider looks. `-`: standard input.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true, conflicts_with_all = ["headers", "cookies"])]
    token: Option<String>,
    /// A header field of the request; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A cookie of the request; may be repeated.
    #[arg(long = "cookie", value_name = "NAME=VALUE")]
    cookies: Vec<String>,
    /// Body of the request, for signed ones.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// When it is judged: `+1h`, `-10m` or seconds since 1970; absent: now.
    #[arg(long, allow_hyphen_values = true)]
    at: Option<String>,
    /// Address the request comes from.
    #[arg(long, default_value = "127.0.0.1")]
    client: std::net::IpAddr,
    /// The JWK set that a provider would fetch; may be repeated.
    #[arg(long = "jwks-file", value_name = "PROVIDER=FILE")]
    jwks: Vec<String>,
    /// A variable of the policy's environment.
    #[arg(long = "env", value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// A file of such lines.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Show what a token says of itself. Nothing is verified.
#[derive(Debug, Args)]
pub(super) struct Decode {
    /// The token; absent or `-`: standard input.
    token: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What the engine said.
struct Judged {
    /// Nothing: it passed.
    denied: Option<String>,
    /// Provider and check.
    rule: String,
    place: String,
    subject: String,
    /// Neither passed nor refused.
    waits: bool,
}

impl Decode {
    pub(super) fn run(self) -> Result<ExitCode> {
        let token = given(self.token.as_deref().unwrap_or("-"))?;
        let anatomy = Anatomy::of(&token, now()?);
        let human = format!("{}\n  note    nothing was verified", anatomy.human());
        tell(self.json, &anatomy.json(), &human);
        Ok(ExitCode::SUCCESS)
    }
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode> {
        let at = match &self.at {
            None => now()?,
            Some(text) => Moment::parse(text)
                .with_context(|| {
                    format!("--at: `{text}` is no time; write `+1h`, `-10m` or seconds since 1970")
                })?
                .at(now()?),
        };
        for line in &self.headers {
            header(line).with_context(|| "--header".to_owned())?;
        }
        let file = self.policy.display();
        let mut policy: Value = serde_json::from_str(&document(&self.policy)?.json())?;
        self.put_keys(&mut policy)?;
        let env = environment(self.env_file.as_deref(), &self.env)?;
        let compiled = compile(&policy, &env).with_context(|| file.to_string())?;
        let (route, demand) = self.demand(&policy, &compiled)?;
        let Some(demand) = demand else {
            let human = format!("route `{route}` asks for no token: anybody passes");
            tell(
                self.json,
                &json!({ "valid": true, "route": route, "providers": [], "note": human }),
                &human,
            );
            return Ok(ExitCode::SUCCESS);
        };
        let token = self.token.as_deref().map(given).transpose()?;
        if token.is_none() && self.headers.is_empty() && self.cookies.is_empty() {
            bail!(
                "which credential? --token T, --token - (standard input), --header 'name: value' or --cookie name=value"
            );
        }

        let mut told = Vec::new();
        let mut chosen = None;
        for name in accepted(&demand) {
            let provider = policy
                .pointer("/tokens")
                .and_then(|tokens| tokens.get(&name))
                .cloned()
                .unwrap_or_default();
            let fields = self.fields(token.as_deref(), &provider);
            let narrow = narrowed(&policy, &route, &json!({ "any": [name] }));
            let judged = self.judge(&narrow, &env, at, &fields)?;
            let shown = token
                .clone()
                .or_else(|| credential(&fields, &provider))
                .unwrap_or_default();
            let anatomy = Anatomy::of(&shown, at);
            if judged.denied.is_none() && !judged.waits && chosen.is_none() {
                chosen = Some(provider.clone());
            }
            told.push((name, provider, judged, anatomy));
        }
        // A token alone has no place: that of the provider which took it, else of one that could read it.
        let readable = told
            .iter()
            .find(|(_, _, judged, _)| !judged.rule.ends_with("/malformed"));
        let nearest = readable
            .or_else(|| told.first())
            .map(|(_, provider, ..)| provider);
        let place = chosen.as_ref().or(nearest).cloned().unwrap_or_default();
        let whole = narrowed(&policy, &route, &demand);
        let verdict = self.judge(&whole, &env, at, &self.fields(token.as_deref(), &place))?;
        let valid = verdict.denied.is_none() && !verdict.waits;
        let demanded = (!valid && chosen.is_some()).then(|| {
            diagnosis::explain_demand(verdict.denied.as_deref().unwrap_or_default(), &demand)
        });
        self.print(&route, at, valid, &told, &verdict, demanded.as_ref());
        Ok(ExitCode::from(u8::from(!valid)))
    }

    /// Replaces the keys of providers by those of files.
    fn put_keys(&self, policy: &mut Value) -> Result<()> {
        for text in &self.jwks {
            let (name, path) = text
                .split_once('=')
                .with_context(|| format!("--jwks-file: `{text}` is not written PROVIDER=FILE"))?;
            let file = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
            let set: Value = serde_json::from_slice(&file)
                .with_context(|| format!("--jwks-file: {path} is no JSON"))?;
            let provider = policy
                .pointer_mut("/tokens")
                .and_then(|tokens| tokens.get_mut(name))
                .and_then(Value::as_object_mut)
                .with_context(|| format!("--jwks-file: the policy has no provider `{name}`"))?;
            provider.insert("keys".to_owned(), json!([{ "jwks": set }]));
        }
        Ok(())
    }

    /// The route and what it asks; `None`: no token.
    fn demand(&self, policy: &Value, compiled: &Policy) -> Result<(String, Option<Value>)> {
        let routes = policy.get("routes").and_then(Value::as_array);
        let name_of = |route: &Value| {
            let name = route.get("name").and_then(Value::as_str);
            name.unwrap_or_default().to_owned()
        };
        let asks = |route: &&Value| route.get("token").is_some_and(Value::is_object);
        let routes: Vec<&Value> = routes.into_iter().flatten().collect();
        let picked = if let Some(name) = &self.route {
            let found = routes.iter().find(|route| name_of(route) == *name);
            let names: Vec<String> = routes.iter().map(|route| name_of(route)).collect();
            Some(found.copied().with_context(|| {
                format!(
                    "--route: there is no `{name}`; the policy has {}",
                    names.join(", ")
                )
            })?)
        } else if let Some(path) = &self.path {
            let fields = self.head(path);
            let head = RequestHead::decode(
                fields
                    .iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            );
            let route = compiled
                .route_of(&head)
                .and_then(|index| compiled.routes.get(index))
                .with_context(|| format!("no route takes {} {path}: it is refused", self.method))?;
            let name = String::from_utf8_lossy(&route.name).into_owned();
            routes.iter().find(|route| name_of(route) == name).copied()
        } else {
            let mut asking = routes.iter().filter(|route| asks(route));
            match (asking.next(), asking.next()) {
                (Some(only), None) => Some(*only),
                _ => None,
            }
        };
        match picked {
            Some(route) => {
                let demand = route.get("token").filter(|token| token.is_object());
                Ok((name_of(route), demand.cloned()))
            }
            None => {
                let tokens = policy.get("tokens").and_then(Value::as_object);
                let names: Vec<&String> = tokens.into_iter().flat_map(Map::keys).collect();
                if names.is_empty() {
                    bail!("{}: the policy has no `tokens`", self.policy.display());
                }
                Ok(("any".to_owned(), Some(json!({ "any": names }))))
            }
        }
    }

    /// Pseudo-header and header fields without a token.
    fn head(&self, path: &str) -> Vec<(String, String)> {
        let mut fields = vec![
            (":method".to_owned(), self.method.clone()),
            (":path".to_owned(), path.to_owned()),
            (":authority".to_owned(), "example.com".to_owned()),
        ];
        for line in &self.headers {
            match header(line) {
                Ok((name, value)) if name.eq_ignore_ascii_case("host") => {
                    fields.retain(|(name, _)| name != ":authority");
                    fields.push((":authority".to_owned(), value.to_owned()));
                }
                Ok((name, value)) => fields.push((name.to_lowercase(), value.to_owned())),
                Err(_) => {}
            }
        }
        if !self.cookies.is_empty() {
            fields.push(("cookie".to_owned(), self.cookies.join("; ")));
        }
        fields
    }

    /// The same with the token where the provider looks.
    fn fields(&self, token: Option<&str>, provider: &Value) -> Vec<(String, String)> {
        let mut fields = self.head(self.path.as_deref().unwrap_or("/"));
        let Some(token) = token else { return fields };
        let from = |kind: &str| {
            let from = provider.get("from")?;
            let one = match from {
                Value::Array(list) => list.first()?,
                other => other,
            };
            one.get(kind)?.as_str().map(str::to_owned)
        };
        let basic = provider.get("type").and_then(Value::as_str) == Some("basic");
        if let Some(name) = from("header") {
            let prefix = from("prefix").unwrap_or_default();
            fields.push((name, format!("{prefix}{token}")));
        } else if let Some(name) = from("cookie") {
            fields.push(("cookie".to_owned(), format!("{name}={token}")));
        } else if let Some(name) = from("query") {
            if let Some((_, path)) = fields.iter_mut().find(|(name, _)| name == ":path") {
                let joint = if path.contains('?') { '&' } else { '?' };
                path.push_str(&format!("{joint}{name}={token}"));
            }
        } else if basic {
            let text = Base64::encode_string(token.as_bytes());
            fields.push(("authorization".to_owned(), format!("Basic {text}")));
        } else {
            fields.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        fields
    }

    /// Asks the engine.
    fn judge(
        &self,
        policy: &Value,
        env: &BTreeMap<String, String>,
        at: u64,
        fields: &[(String, String)],
    ) -> Result<Judged> {
        let pseudo = |name: &str| {
            let field = fields.iter().find(|(held, _)| held == name);
            field.map_or("", |(_, value)| value.as_str())
        };
        let headers: Vec<[&str; 2]> = fields
            .iter()
            .filter(|(name, _)| !name.starts_with(':'))
            .map(|(name, value)| [name.as_str(), value.as_str()])
            .collect();
        let mut request = json!({
            "method": pseudo(":method"), "path": pseudo(":path"), "host": pseudo(":authority"),
            "headers": headers, "peer": std::net::SocketAddr::new(self.client, 40000).to_string(),
        });
        if let (Some(path), Some(request)) = (&self.body, request.as_object_mut()) {
            let bytes = std::fs::read(path)
                .with_context(|| format!("--body: cannot read {}", path.display()))?;
            request.insert(
                "body".to_owned(),
                json!({ "base64": Base64::encode_string(&bytes) }),
            );
        }
        let text = json!({ "policy": {}, "cases": [{ "name": "it", "requests": [request] }] });
        let file = parse(&text.to_string(), Path::new("request"))?;
        let case = file.cases.first().context("a case")?;
        let configuration = Configuration(policy.clone()).bytes();
        let mut session = Native.start(&Setup {
            file: &file,
            case,
            configuration: &configuration,
            env,
            wall: at,
        })?;
        let surroundings = Surroundings {
            env,
            folder: Path::new(""),
            wall: at,
        };
        let messages = case
            .requests
            .first()
            .map(|request: &Request| request.messages(surroundings));
        let (_, message) = messages
            .context("a request")??
            .into_iter()
            .next()
            .context("a request")?;
        let outcome = session.send(&message)?;
        Judged::of(&outcome)
    }

    fn print(
        &self,
        route: &str,
        at: u64,
        valid: bool,
        told: &[(String, Value, Judged, Anatomy)],
        verdict: &Judged,
        demanded: Option<&(String, String)>,
    ) {
        let paint = Paint::stdout();
        let mut human = Vec::new();
        let mut providers = Vec::new();
        if let Some((.., anatomy)) = told.first() {
            human.push(anatomy.human());
        }
        for (name, provider, judged, anatomy) in told {
            let kind = provider
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if judged.denied.is_none() && !judged.waits {
                human.push(format!(
                    "{} provider `{name}` ({kind}): verified, subject `{}`",
                    paint.green("ok     "),
                    judged.subject
                ));
                providers.push(
                    json!({ "name": name, "type": kind, "valid": true, "subject": judged.subject }),
                );
                continue;
            }
            let reason = match &judged.denied {
                Some(reason) => reason.as_str(),
                None => "keys_unavailable",
            };
            let check = judged.rule.split_once('/').map_or("", |(_, check)| check);
            let (why, fix) = diagnosis::explain(reason, check, provider, anatomy);
            let place = if judged.place.is_empty() {
                String::new()
            } else {
                format!(" in {}", judged.place)
            };
            let at_check = if check.is_empty() {
                String::new()
            } else {
                format!(" at `{check}`")
            };
            human.push(format!(
                "{} provider `{name}` ({kind}): {reason}{at_check}{place}\n          why: {why}\n          fix: {fix}",
                paint.red("refused")
            ));
            providers.push(json!({
                "name": name, "type": kind, "valid": false, "reason": reason, "check": check, "place": judged.place,
                "why": why, "fix": fix,
            }));
        }
        if let Some((why, fix)) = demanded {
            human.push(format!(
                "{} route `{route}`: {}\n          why: {why}\n          fix: {fix}",
                paint.red("refused"),
                verdict.denied.as_deref().unwrap_or_default()
            ));
        }
        human.push(match (&verdict.denied, valid) {
            (_, true) if verdict.subject.is_empty() => {
                format!("{} on route `{route}`", paint.bold("VALID"))
            }
            (_, true) => format!(
                "{} on route `{route}`, subject `{}`",
                paint.bold("VALID"),
                verdict.subject
            ),
            (Some(reason), _) => format!("{} on route `{route}`: {reason}", paint.bold("REFUSED")),
            (None, _) => format!(
                "{} on route `{route}`: something must be fetched first",
                paint.bold("UNDECIDED")
            ),
        });
        let token = told.first().map(|(.., anatomy)| anatomy.json());
        let demand = demanded.map(|(why, fix)| json!({ "why": why, "fix": fix }));
        tell(
            self.json,
            &json!({
                "valid": valid, "route": route, "at": at, "reason": verdict.denied, "subject": verdict.subject,
                "providers": providers, "demand": demand, "token": token,
            }),
            &human.join("\n"),
        );
    }
}

impl Judged {
    /// Of the first finding in the driver's event.
    fn of(outcome: &Outcome) -> Result<Self> {
        let event = outcome.events.as_ref().and_then(|events| events.first());
        let event = event.cloned().unwrap_or_default();
        let field = |name: &str| -> Result<String> {
            let pattern = Regex::new(&format!("\"{name}\":\"([^\"]*)\""))?;
            let found = pattern
                .captures(&event)
                .and_then(|captures| captures.get(1));
            Ok(found.map_or_else(String::new, |found| found.as_str().to_owned()))
        };
        Ok(Self {
            denied: outcome.denied.clone(),
            rule: field("rule")?,
            place: field("place")?,
            subject: field("subject")?,
            waits: outcome.denied.is_none() && outcome.upstream.is_none(),
        })
    }
}

/// The policy's providers with one route for everything.
fn narrowed(policy: &Value, route: &str, demand: &Value) -> Value {
    let mut narrow = Map::new();
    for section in ["client", "tokens", "table"] {
        if let Some(value) = policy.get(section) {
            narrow.insert(section.to_owned(), value.clone());
        }
    }
    narrow.insert("headers".to_owned(), json!({ "methods": [] }));
    narrow.insert("events".to_owned(), json!({ "log": "all" }));
    narrow.insert(
        "routes".to_owned(),
        json!([{ "name": route, "token": demand }]),
    );
    Value::Object(narrow)
}

/// Names of the providers that a demand accepts.
fn accepted(demand: &Value) -> Vec<String> {
    let lists = ["any", "all"]
        .into_iter()
        .filter_map(|key| demand.get(key)?.as_array());
    lists
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// What the request carries where the provider looks; for decoding only.
fn credential(fields: &[(String, String)], provider: &Value) -> Option<String> {
    let from = provider.get("from");
    let named = |kind: &str| from.and_then(|from| from.get(kind)).and_then(Value::as_str);
    let field = |wanted: &str| {
        let mut fields = fields.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    };
    if let Some(name) = named("header") {
        return field(name);
    }
    if let Some(name) = named("cookie") {
        let cookies = field("cookie")?;
        let mut pairs = cookies
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        return pairs
            .find(|(held, _)| *held == name)
            .map(|(_, value)| value.to_owned());
    }
    let value = field("authorization")?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn compile(policy: &Value, env: &BTreeMap<String, String>) -> Result<Policy> {
    let document =
        Document::parse(&policy.to_string()).map_err(|error| anyhow::anyhow!("{error}"))?;
    policy_file::compile(&document.node, env).map_err(|errors| {
        let lines: Vec<String> = errors
            .iter()
            .map(|error| super::super::filter::in_our_words(&error.to_string()))
            .collect();
        anyhow::anyhow!("the policy cannot be used: {}", lines.join("; "))
    })
}

/// A token of the command line, or standard input.
fn given(token: &str) -> Result<String> {
    if token != "-" {
        return Ok(token.trim().to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .context("standard input is not text")?;
    Ok(text.trim().to_owned())
}
