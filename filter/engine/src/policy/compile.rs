//! From configuration to the compiled policy: checks that span keys, secrets, the order of routes.
//!
//! **In:** [`Config`] and a look-up of environment variables. **Out:** [`Policy`], or every error in document order.
//! **Invariant:** a value of `Policy` cannot be wrong; a missing or short secret is an error that names the variable,
//! never its value. Keys assumed for `palisade check` are left out: such a policy accepts no token.
//! **Source:** RFC 7518 §3.2 (key length), RFC 9110 §7.6.1 (hop-by-hop fields).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use super::config::{AdjustConfig, Config, ExceptConfig, Injection, RouteConfig};
use super::node::{Node, sorted};
use super::read::{Errors, FromNode, Located, Path, PolicyError, nearest, quoted};
use super::tokens::no_token;
use super::values::{Name, Part, SecurityHeaders, Time};
use super::{BodyOver, Events, Implied, Mode, Policy, Route, RouteBody, StageModes};
use crate::marks::Marks;
use crate::stages::access::AccessPolicy;
use crate::stages::headers::{HeaderBounds, HeaderPolicy};
use crate::stages::injection::{Exception, InjectionStage, OperatorPattern, Parts, Rules};
use crate::stages::limits::{Cause, Cost};
use crate::stages::token::{Need, Source, TokenStage};
use crate::units::{Span, UnixTime};

/// Largest body held: Envoy's default buffer limit, over which it answers 413 by itself.
const LARGEST_BODY: u64 = 1024 * 1024;
/// Largest head: Envoy's own bound for request headers can be raised to 8 MiB; 1 MiB is what a guest map holds.
const LARGEST_HEAD: u64 = 1024 * 1024;
/// Exceptions of a policy; each has a metric.
const MOST_EXCEPTIONS: usize = 256;
/// Routes and patterns of a policy; both are tried one by one.
const MOST_ROUTES: usize = 1024;

/// Where keys come from.
#[derive(Clone, Copy)]
pub(super) enum Secrets<'s> {
    /// Environment variables of the VM.
    Environment(&'s dyn Fn(&str) -> Option<Vec<u8>>),
    /// Nowhere: the policy is only checked.
    Assumed,
}

/// Reads and compiles.
pub(super) fn compile(node: &Node, secrets: Secrets<'_>) -> Result<Policy, Vec<PolicyError>> {
    let mut compiler = Compiler {
        errors: Errors::default(),
        secrets,
        implied: Implied::default(),
        revocable: Vec::new(),
        routes_meant: Vec::new(),
    };
    let policy = Config::read(node, &Path::default(), &mut compiler.errors)
        .map(|config| compiler.policy(config));
    match policy {
        Some(policy) if compiler.errors.is_empty() => Ok(policy),
        _ => Err(compiler.errors.finish(node)),
    }
}

/// What compiling gathers.
pub(super) struct Compiler<'s> {
    pub(super) errors: Errors,
    pub(super) secrets: Secrets<'s>,
    pub(super) implied: Implied,
    /// Names of providers that can be revoked.
    pub(in crate::policy) revocable: Vec<Vec<u8>>,
    /// Routes that other sections name.
    pub(in crate::policy) routes_meant: Vec<Located<Name>>,
}

impl Compiler<'_> {
    fn policy(&mut self, config: Config) -> Policy {
        let root = Path::default();
        let body_max = self.size(
            &root.key("body").key("max"),
            config.body.max.0.0,
            1,
            LARGEST_BODY,
        );
        let max = &config.headers.max;
        let max_at = root.key("headers").key("max");
        let max = HeaderBounds {
            count: wide(max.count.0),
            bytes: self.size(&max_at.key("bytes"), max.bytes.0.0, 1, LARGEST_HEAD),
            value: self.size(&max_at.key("value"), max.value.0.0, 1, LARGEST_HEAD),
            target: self.size(&max_at.key("target"), max.target.0.0, 1, LARGEST_HEAD),
            params: wide(max.params.0),
            cookies: wide(max.cookies.0),
        };
        let both = config
            .headers
            .require
            .iter()
            .find(|name| config.headers.forbid.contains(name));
        if let Some(name) = both {
            let name = String::from_utf8_lossy(&name.0);
            let at = root.key("headers").key("require");
            self.errors.push(
                &at,
                format!("`{name}` is also forbidden"),
                "keep it in one of the two lists",
            );
        }
        let headers = HeaderPolicy {
            methods: bytes(config.headers.methods, |it| it.0),
            hosts: bytes(config.headers.hosts, |it| it.0),
            content_types: bytes(config.headers.content_types, |it| it.0),
            require: bytes(config.headers.require, |it| it.0),
            forbid: bytes(config.headers.forbid, |it| it.0),
            max,
            escaped_slash: config.headers.escaped_slash,
        };
        let names: Vec<String> = config
            .tokens
            .0
            .iter()
            .map(|entry| entry.name.clone())
            .collect();
        let mut tokens = self.tokens(config.tokens);
        tokens.remembered = wide(config.token_cache.entries.0);
        // Where a credential is carried, nothing is shown, whatever a list says.
        let mut redact = bytes(config.events.redact, |it| it.0);
        let sources = tokens.providers.iter().flat_map(|it| &it.from);
        for name in sources.filter_map(Source::name) {
            let name = name.to_ascii_lowercase();
            if !redact.contains(&name) {
                redact.push(name);
            }
        }
        let limits = self.limits(
            config.limits,
            &config.table,
            config.signals,
            config.operator.is_some(),
            &mut tokens,
        );
        let operator = self.operator(&root.key("operator"), config.operator);
        let used = tokens.uses_marks() || operator.is_some();
        let marks = self.marks(used, config.table.marks.0);
        let routes = self.routes(config.routes, &names, &tokens);
        for Located { at, value } in core::mem::take(&mut self.routes_meant) {
            self.is_route(&at, &value.0, &routes);
        }
        if config.injection.is_none() {
            for (index, limit) in limits.limits.iter().enumerate() {
                if let Cost::Score(_) = limit.cost {
                    let at = root.key("limits").index(index).key("cost");
                    let problem = "`injection_score` without `injection`";
                    let help = "write `injection: {}`, or another cost";
                    self.errors.push(&at, problem, help);
                }
            }
        }
        for (index, signal) in limits.bans.signals.iter().enumerate() {
            let (silent, needs) = match signal.cause {
                Cause::Injection => (config.injection.is_none(), "injection: {}"),
                Cause::Authentication => (tokens.providers.is_empty(), "a provider in `tokens`"),
                Cause::Limits => (limits.limits.is_empty(), "a limit in `limits`"),
            };
            if silent && self.errors.is_empty() {
                let at = root.key("signals").key("ban").index(index).key("on");
                let problem = "nothing in the policy ever tells of it";
                self.errors.push(&at, problem, format!("add {needs}"));
            }
        }
        let injection_mode = config
            .injection
            .as_ref()
            .map_or(Mode::Enforce, |injection| injection.mode);
        let injection = config
            .injection
            .map(|injection| self.injection(injection, &routes, names.is_empty()));
        self.implied.body_bytes = body_max;
        self.implied.env = sorted(core::mem::take(&mut self.implied.env), Ord::cmp);
        self.implied.env.dedup();
        Policy {
            mode: config.mode,
            stage_modes: StageModes {
                access: config.access.mode,
                headers: config.headers.mode,
                limits: Mode::Enforce,
                injection: injection_mode,
            },
            trusted_hops: config.client.trusted_hops.0,
            access: AccessPolicy {
                deny: config.access.deny.into_iter().map(|it| it.0).collect(),
                allow: config.access.allow.into_iter().map(|it| it.0).collect(),
            },
            headers,
            tokens,
            limits,
            marks,
            operator,
            injection,
            body_max,
            body_over: config.body.over,
            body_compressed: config.body.compressed,
            routes,
            security_headers: match config.responses.security_headers {
                SecurityHeaders::Strict => strict_headers(),
                SecurityHeaders::Off => Vec::new(),
            },
            events: Events {
                log: config.events.log,
                redact,
            },
            trace: config.debug.trace,
            implied: core::mem::take(&mut self.implied),
        }
    }

    fn marks(&mut self, used: bool, count: u32) -> Marks {
        let marks = Marks {
            sets: Marks::sets_for(count),
            ..Marks::default()
        };
        if used {
            self.implied.marks = marks.capacity();
            self.implied.marks_sets = marks.sets;
            self.implied.marks_bytes = marks.memory_bytes();
        }
        marks
    }

    fn routes(
        &mut self,
        list: Option<Vec<Located<RouteConfig>>>,
        providers: &[String],
        tokens: &TokenStage,
    ) -> Vec<Route> {
        let root = Path::default();
        let help =
            "write a route that takes a token, such as `{ name: all, token: { any: [PROVIDER] } }`";
        let Some(list) = list else {
            if !providers.is_empty() && self.errors.is_empty() {
                self.errors
                    .push(&root.key("tokens"), "no route takes a token", help);
            }
            return vec![everything()];
        };
        if list.is_empty() && self.errors.is_empty() {
            let help = "write at least one route, or leave `routes` out to take every request";
            self.errors
                .push(&root.key("routes"), "an empty list takes no request", help);
        }
        let mut routes: Vec<(Route, Path)> = Vec::new();
        for (index, Located { at, value }) in list.into_iter().enumerate() {
            if index == MOST_ROUTES {
                self.errors.push(
                    &at,
                    "too many routes",
                    format!("write at most {MOST_ROUTES}"),
                );
                break;
            }
            let name = value.name.0.into_bytes();
            if routes.iter().any(|(route, _)| route.name == name) {
                self.taken(&at, &name);
            }
            let token = match value.token {
                Some(token) => self.route_token(token, providers, tokens),
                None => {
                    if !providers.is_empty() {
                        let help = "write `none` or `{ any: [PROVIDER] }`: a policy with tokens says it for every route";
                        self.errors.push(&at.key("token"), "missing", help);
                    }
                    no_token()
                }
            };
            if value.body == RouteBody::Stream && tokens.signs_body(&token) {
                self.errors.push(
                    &at.key("body"),
                    "`stream` with a provider that verifies the body: none that streams is ever held",
                    "leave `body` out, or give the signed bodies a route of their own",
                );
            }
            let mut methods = sorted(bytes(value.r#match.methods, |it| it.0), Ord::cmp);
            let mut hosts = sorted(bytes(value.r#match.hosts, |it| it.0), Ord::cmp);
            methods.dedup();
            hosts.dedup();
            let path = value.r#match.path;
            let route = Route {
                name,
                path,
                methods,
                hosts,
                token,
                mode: value.mode,
                body: value.body,
            };
            let same = routes.iter().find(|(other, _)| {
                other.path == route.path
                    && other.methods == route.methods
                    && other.hosts == route.hosts
            });
            if let Some((other, _)) = same {
                let other = String::from_utf8_lossy(&other.name).into_owned();
                self.errors.push(
                    &at.key("match"),
                    format!("the same as that of `{other}`: this route would never be reached"),
                    "remove one of them, or tell them apart by path, methods or hosts",
                );
            }
            routes.push((route, at));
        }
        let unused = routes
            .iter()
            .all(|(route, _)| route.token.need == Need::None);
        if unused && !providers.is_empty() && self.errors.is_empty() {
            self.errors
                .push(&root.key("tokens"), "no route takes a token", help);
        }
        self.implied.routes = routes.len();
        let routes = sorted(routes, |(left, _), (right, _)| left.precedence(right));
        routes.into_iter().map(|(route, _)| route).collect()
    }

    /// `unjudged`: nobody verifies a token.
    fn injection(&mut self, config: Injection, routes: &[Route], unjudged: bool) -> InjectionStage {
        let at = Path::default().key("injection");
        let looks_at = |part| config.inspect.contains(&part);
        let inspect = Parts {
            target: looks_at(Part::Target),
            headers: looks_at(Part::Headers),
            cookies: looks_at(Part::Cookies),
            body: looks_at(Part::Body),
            tokens: unjudged,
        };
        if config.inspect.is_empty() && self.errors.is_empty() {
            self.errors.push(
                &at.key("inspect"),
                "an empty list",
                "name a part, or leave `injection` out",
            );
        }
        let except = self.exceptions(config.except, routes);
        let mut patterns: Vec<OperatorPattern> = Vec::new();
        for (index, Located { at, value }) in config.patterns.into_iter().enumerate() {
            if index == MOST_ROUTES {
                self.errors.push(
                    &at,
                    "too many patterns",
                    format!("write at most {MOST_ROUTES}"),
                );
                break;
            }
            let name = value.name.0.into_bytes();
            if patterns.iter().any(|pattern| pattern.name == name) {
                self.taken(&at, &name);
            }
            patterns.push(OperatorPattern {
                name,
                pattern: value.pattern,
                score: value.score.0,
            });
        }
        let level = u8::try_from(config.level.0).unwrap_or(1);
        let base = Rules::new(level, config.threshold.0);
        let (rules, routes) = self.adjusted(base, config.adjust, routes);
        InjectionStage {
            rules,
            routes,
            inspect,
            except,
            patterns,
            scanners: config.scanners,
            steps: config.steps.0.into(),
            prefix: config.over == BodyOver::Prefix,
        }
    }

    /// The rules of the policy, and of the routes that have their own.
    fn adjusted(
        &mut self,
        base: Rules,
        list: Vec<Located<AdjustConfig>>,
        routes: &[Route],
    ) -> (Rules, Vec<(Vec<u8>, Rules)>) {
        let mut rules = base.clone();
        let mut own: Vec<(Vec<u8>, Rules)> = Vec::new();
        for Located { value, .. } in &list {
            let Some(route) = &value.route else {
                continue;
            };
            let name = route.value.0.as_bytes();
            if !own.iter().any(|(other, _)| other == name) {
                own.push((name.to_vec(), base.clone()));
            }
        }
        for Located { at, value } in list {
            if value.level.is_none() && value.threshold.is_none() {
                let help = "give a `level`, a `threshold` or both";
                self.errors.push(&at, "adjusts nothing", help);
            }
            if let Some(route) = &value.route {
                self.is_route(&route.at, &route.value.0, routes);
            }
            let level = value.level.and_then(|level| u8::try_from(level.0).ok());
            let threshold = value.threshold.map(|threshold| threshold.0);
            let wanted = value.route.map(|route| route.value.0.into_bytes());
            if wanted.is_none() {
                rules.adjust(&value.classes, level, threshold);
            }
            for (name, rules) in &mut own {
                if wanted.as_ref().is_none_or(|wanted| wanted == name) {
                    rules.adjust(&value.classes, level, threshold);
                }
            }
        }
        (rules, own)
    }

    fn exceptions(&mut self, list: Vec<Located<ExceptConfig>>, routes: &[Route]) -> Vec<Exception> {
        let mut out: Vec<Exception> = Vec::new();
        for (index, Located { at, value }) in list.into_iter().enumerate() {
            if index == MOST_EXCEPTIONS {
                let help = format!("write at most {MOST_EXCEPTIONS}");
                self.errors.push(&at, "too many exceptions", help);
                break;
            }
            if value.route.is_none() && value.field.is_none() && value.classes.is_empty() {
                let help = "name a route, a field or classes, or leave `injection` out";
                self.errors.push(&at, "excepts everything", help);
            }
            if let Some(route) = &value.route {
                self.is_route(&route.at, &route.value.0, routes);
            }
            let place = || index.saturating_add(1).to_string();
            let name = value.name.map_or_else(place, |name| name.0).into_bytes();
            if out.iter().any(|other| other.name == name) {
                self.taken(&at, &name);
            }
            out.push(Exception {
                name,
                route: value.route.map(|route| route.value.0.into_bytes()),
                field: value.field.map(|field| field.0),
                classes: value.classes,
                level: u8::try_from(value.level.0).unwrap_or(1),
                expires: value.expires.map(|Time(seconds)| UnixTime(seconds)),
            });
        }
        out
    }

    fn is_route(&mut self, at: &Path, name: &str, routes: &[Route]) {
        if routes.iter().any(|other| other.name == name.as_bytes()) {
            return;
        }
        let known: Vec<_> = routes
            .iter()
            .map(|it| String::from_utf8_lossy(&it.name))
            .collect();
        let help = match nearest(name, known.iter().map(AsRef::as_ref)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}", quoted(known.iter().map(AsRef::as_ref))),
        };
        self.errors
            .push(at, format!("`{name}` is not a route"), help);
    }

    pub(super) fn name(&mut self, at: &Path, name: &str) {
        let mut faults = Errors::default();
        if Name::read(&Node::String(name.to_owned()), at, &mut faults).is_none() {
            let shown = super::read::excerpt(name);
            self.errors
                .push(at, format!("`{shown}` is not a name"), Name::help());
        }
    }

    pub(super) fn taken(&mut self, at: &Path, name: &[u8]) {
        let name = String::from_utf8_lossy(name);
        self.errors.push(
            &at.key("name"),
            format!("`{name}` is taken by an earlier one"),
            "give each its own name",
        );
    }

    fn size(&mut self, at: &Path, bytes: u64, least: u64, most: u64) -> usize {
        if !(least..=most).contains(&bytes) {
            let kib = most / 1024;
            self.errors.push(
                at,
                format!("`{bytes}` bytes are out of range"),
                format!("write a size from `{least}` to `{kib}KiB`"),
            );
        }
        usize::try_from(bytes.min(most)).unwrap_or(usize::MAX)
    }

    pub(super) fn seconds(&mut self, at: &Path, span: Span, least: u64, most: u64) -> u64 {
        let seconds = span.ms / 1000;
        if !span.ms.is_multiple_of(1000) || !(least..=most).contains(&seconds) {
            let help = format!("write whole seconds from `{least}s` to `{most}s`");
            self.errors
                .push(at, format!("`{}ms` is out of range", span.ms), help);
        }
        seconds
    }
}

fn strict_headers() -> Vec<(Vec<u8>, Vec<u8>)> {
    const STRICT: &[(&str, &str)] = &[
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("referrer-policy", "no-referrer"),
    ];
    STRICT
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

fn everything() -> Route {
    Route {
        name: b"default".to_vec(),
        path: None,
        methods: Vec::new(),
        hosts: Vec::new(),
        token: no_token(),
        mode: Mode::Enforce,
        body: RouteBody::Inspect,
    }
}

pub(super) fn bytes<T>(list: Vec<T>, inner: fn(T) -> Vec<u8>) -> Vec<Vec<u8>> {
    list.into_iter().map(inner).collect()
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
