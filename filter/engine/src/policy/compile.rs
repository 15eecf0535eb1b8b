//! From configuration to the compiled policy: checks that span keys, secrets, the order of routes.
//!
//! **In:** [`Config`] and a look-up of environment variables. **Out:** [`Policy`], or every error in document order.
//! **Invariant:** a value of `Policy` cannot be wrong; a missing or short secret is an error that names the variable,
//! never its value. Keys assumed for `palisade check` are left out: such a policy accepts no token.
//! **Source:** RFC 7518 §3.2 (key length), RFC 9110 §7.6.1 (hop-by-hop fields).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::config::{
    Config, Injection, JwtConfig, Limit as LimitConfig, RouteConfig, RouteTokenConfig,
    SessionConfig, Token,
};
use super::node::{Node, sorted};
use super::read::{Errors, FromNode, Located, Named, Path, PolicyError, nearest, quoted};
use super::values::{
    Binding, Encoding, JwtTag, Part, Pointer, SecurityHeaders, SessionTag, is_token,
};
use super::{Events, Implied, Mode, Policy, Route, RouteBody, StageModes};
use crate::marks::Marks;
use crate::stages::access::AccessPolicy;
use crate::stages::headers::{HeaderBounds, HeaderPolicy};
use crate::stages::injection::{Exception, InjectionStage, OperatorPattern, Parts};
use crate::stages::limits::{
    Algorithm, Condition, KeyPart, Limit, LimitStage, MAX_LOG_QUOTA, Penalty, WAYS,
};
use crate::stages::token::{
    HmacAlgorithm, Jwt, Key, Need, Provider, ProviderKind, RouteToken, Secret, Session,
    SessionFormat, TokenStage,
};
use crate::units::Span;

/// Longest window of a limit and longest ban, in milliseconds: counters live in memory, not on disk.
const LONGEST_MS: u64 = 30 * 86_400_000;
/// Shortest window: the ring has 16 counters of at least a millisecond, and clocks of hosts tick in milliseconds.
const SHORTEST_MS: u64 = 1_000;
/// Largest body held: Envoy's default buffer limit, over which it answers 413 by itself.
const LARGEST_BODY: u64 = 1024 * 1024;
/// Largest head: Envoy's own bound for request headers can be raised to 8 MiB; 1 MiB is what a guest map holds.
const LARGEST_HEAD: u64 = 1024 * 1024;
/// Limits of a policy: each has a place in the client's slot.
const MOST_LIMITS: usize = 32;
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
    };
    let policy = Config::read(node, &Path::default(), &mut compiler.errors)
        .map(|config| compiler.policy(config));
    match policy {
        Some(policy) if compiler.errors.is_empty() => Ok(policy),
        _ => Err(compiler.errors.finish(node)),
    }
}

struct Compiler<'s> {
    errors: Errors,
    secrets: Secrets<'s>,
    implied: Implied,
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
        let tokens = self.tokens(config.tokens);
        let limits = self.limits(config.limits, config.table.clients.0);
        let marks = self.marks(&tokens, config.table.marks.0);
        let routes = self.routes(config.routes, &names);
        let injection_mode = config
            .injection
            .as_ref()
            .map_or(Mode::Enforce, |injection| injection.mode);
        let injection = config
            .injection
            .map(|injection| self.injection(injection, &routes));
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
            injection,
            body_max,
            routes,
            security_headers: match config.responses.security_headers {
                SecurityHeaders::Strict => strict_headers(),
                SecurityHeaders::Off => Vec::new(),
            },
            events: Events {
                log: config.events.log,
                redact: bytes(config.events.redact, |it| it.0),
            },
            trace: config.debug.trace,
            implied: core::mem::take(&mut self.implied),
        }
    }

    fn tokens(&mut self, tokens: Named<Token>) -> TokenStage {
        let mut providers = Vec::new();
        for entry in tokens.0 {
            self.name(&entry.at, &entry.name);
            let name = entry.name.into_bytes();
            match entry.value {
                Some(Token::Jwt(config)) => providers.push(self.jwt(&entry.at, name, config)),
                Some(Token::Session(config)) => {
                    providers.push(self.session(&entry.at, name, config))
                }
                None => {}
            }
        }
        TokenStage { providers }
    }

    fn jwt(&mut self, at: &Path, name: Vec<u8>, config: JwtConfig) -> Provider {
        let JwtTag = config.r#type;
        let mut keys = Vec::new();
        let mut ids = Vec::new();
        for key in config.keys.iter() {
            let allowed = config.algorithms.as_ref();
            if allowed.is_some_and(|list| !list.contains(&key.value.algorithm)) {
                let name = key.value.algorithm.name();
                self.errors.push(
                    &key.at.key("algorithm"),
                    format!("`{name}` is not in `algorithms`"),
                    "add it there, or use a key of a listed algorithm",
                );
            }
            let id = key.value.id.as_ref().map(|id| id.0.clone());
            self.unique_id(&key.at, id.as_ref(), &mut ids);
            keys.extend(self.key(
                &key.at,
                id,
                key.value.algorithm,
                &key.value.env.0,
                key.value.encoding,
            ));
        }
        if config.keys.is_empty() {
            self.errors
                .push(&at.key("keys"), "no usable key", "write at least one key");
        }
        let jwt = Jwt {
            keys,
            issuer: config.issuer.map(|it| it.0),
            audiences: bytes(config.audiences, |it| it.0),
            leeway: self.seconds(&at.key("leeway"), config.leeway.0, 0, 3600),
            require: bytes(config.require, |it| it.0),
            require_exp: config.require_exp,
        };
        Provider {
            name,
            from: config.from.0,
            kind: ProviderKind::Jwt(jwt),
            forward: self.forward(config.forward),
            roles: config.roles.0,
        }
    }

    fn session(&mut self, at: &Path, name: Vec<u8>, config: SessionConfig) -> Provider {
        let SessionTag = config.r#type;
        let mut keys = Vec::new();
        let mut ids = Vec::new();
        for key in config.keys.iter() {
            let id = key.value.id.as_ref().map(|id| id.0.clone());
            self.unique_id(&key.at, id.as_ref(), &mut ids);
            keys.extend(self.key(
                &key.at,
                id,
                HmacAlgorithm::Sha256,
                &key.value.env.0,
                key.value.encoding,
            ));
        }
        if config.keys.is_empty() {
            self.errors
                .push(&at.key("keys"), "no usable key", "write at least one key");
        }
        let bind_client = config.bind.contains(&Binding::Client);
        if bind_client && config.format == SessionFormat::Colon {
            self.errors.push(
                &at.key("bind"),
                "the format `colon` cannot be bound",
                "use the format `v1`, or leave `bind` out",
            );
        }
        let session = Session {
            keys,
            format: config.format,
            lifetime: self.seconds(&at.key("lifetime"), config.lifetime.0, 1, 366 * 86_400),
            leeway: self.seconds(&at.key("leeway"), config.leeway.0, 0, 3600),
            bind_client,
        };
        Provider {
            name,
            from: config.from.0,
            kind: ProviderKind::Session(session),
            forward: self.forward(config.forward),
            roles: config.roles.0,
        }
    }

    fn unique_id(&mut self, at: &Path, id: Option<&Vec<u8>>, ids: &mut Vec<Vec<u8>>) {
        let Some(id) = id else { return };
        if ids.contains(id) {
            let id = String::from_utf8_lossy(id);
            self.errors.push(
                &at.key("id"),
                format!("`{id}` is used by an earlier key"),
                "give each key its own id",
            );
        } else {
            ids.push(id.clone());
        }
    }

    fn key(
        &mut self,
        at: &Path,
        id: Option<Vec<u8>>,
        algorithm: HmacAlgorithm,
        env: &str,
        encoding: Encoding,
    ) -> Option<Key> {
        self.implied.keys = self.implied.keys.saturating_add(1);
        self.implied.env.push(env.to_owned());
        let Secrets::Environment(lookup) = self.secrets else {
            return None;
        };
        let at = at.key("env");
        let Some(value) = lookup(env) else {
            self.errors.push(
                &at,
                format!("`{env}` is not set in the environment of the VM"),
                "name it in `environment_variables` of the Envoy configuration (`host_env_keys` or `key_values`)",
            );
            return None;
        };
        let decoded = match encoding {
            Encoding::Raw => Some(value),
            Encoding::Hex => decode_hex(&value),
            Encoding::Base64 => decode_base64(&value),
        };
        let Some(secret) = decoded else {
            self.errors.push(
                &at,
                format!(
                    "the value of `{env}` is not in the encoding of this key (value not shown)"
                ),
                "set `encoding` to `raw`, `base64` or `hex`, as the value is written",
            );
            return None;
        };
        let least = algorithm.mac_bytes();
        if secret.len() < least {
            self.errors.push(
                &at,
                format!(
                    "the key in `{env}` has {} bytes, {} needs at least {least}",
                    secret.len(),
                    algorithm.name()
                ),
                "use a longer random key (RFC 7518 section 3.2)",
            );
            return None;
        }
        Key::new(id, algorithm, &Secret(secret))
    }

    fn forward(&mut self, forward: Named<Pointer>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut out = Vec::new();
        for entry in forward.0 {
            let name = entry.name.as_str();
            if !is_token(name)
                || name.len() > 128
                || name.bytes().any(|byte| byte.is_ascii_uppercase())
            {
                self.errors.push(
                    &entry.at,
                    format!(
                        "`{}` is not a lower-case header name",
                        super::read::excerpt(name)
                    ),
                    "write a name such as `x-user`",
                );
            } else if RESERVED.contains(&name) {
                self.errors.push(
                    &entry.at,
                    format!("`{name}` belongs to the connection or the client"),
                    "write a name of your own such as `x-user`",
                );
            } else if let Some(pointer) = entry.value {
                out.push((entry.name.into_bytes(), pointer.0));
            }
        }
        out
    }

    fn limits(&mut self, list: Vec<Located<LimitConfig>>, clients: u32) -> LimitStage {
        let mut limits: Vec<Limit> = Vec::new();
        for (index, Located { at, value }) in list.into_iter().enumerate() {
            if index == MOST_LIMITS {
                self.errors.push(
                    &at,
                    "too many limits",
                    format!("write at most {MOST_LIMITS}"),
                );
            }
            let name = value.name.0.into_bytes();
            if limits.iter().any(|limit| limit.name == name) {
                self.taken(&at, &name);
            }
            limits.push(Limit {
                name,
                when: Condition {
                    methods: bytes(value.when.methods, |it| it.0),
                    path: value.when.path,
                },
                key: self.limit_key(&at, value.key.into_iter().map(|it| it.0).collect()),
                quota: value.quota.0,
                algorithm: value.algorithm,
                penalty: value.penalty.map(|penalty| Penalty {
                    after: penalty.after.0,
                    ban: penalty.ban.0,
                }),
                statuses: value.count.as_ref().map_or_else(Vec::new, |count| {
                    count
                        .status
                        .iter()
                        .filter_map(|status| u16::try_from(status.0).ok())
                        .collect()
                }),
                monitor: value.mode == Mode::Monitor,
            });
            let Some(limit) = limits.last() else { continue };
            let (window, quota) = (limit.quota.window.ms, limit.quota.count);
            if !(SHORTEST_MS..=LONGEST_MS).contains(&window) {
                self.errors.push(
                    &at.key("quota"),
                    "the window is out of range",
                    "write a window from `1s` to `30d`",
                );
            }
            if limit.algorithm == Algorithm::ExactLog && quota > MAX_LOG_QUOTA {
                self.errors.push(
                    &at.key("quota"),
                    format!("`{quota}` is too many for `exact_log`"),
                    format!("write at most {MAX_LOG_QUOTA}, or use `sliding_window`"),
                );
            }
            if limit
                .penalty
                .is_some_and(|penalty| !(SHORTEST_MS..=LONGEST_MS).contains(&penalty.ban.ms))
            {
                self.errors.push(
                    &at.key("penalty").key("ban"),
                    "out of range",
                    "write a ban from `1s` to `30d`",
                );
            }
            if value.count.is_some_and(|count| count.status.is_empty()) {
                self.errors.push(
                    &at.key("count").key("status"),
                    "an empty list counts nothing",
                    "write statuses such as `[401, 403]`, or leave `count` out",
                );
            }
        }
        let ways = u32::try_from(WAYS).unwrap_or(u32::MAX);
        let sets = clients.div_ceil(ways).next_power_of_two();
        let stage = LimitStage {
            limits,
            sets,
            ..LimitStage::default()
        };
        if !stage.limits.is_empty() {
            self.implied.table_sets = sets;
            self.implied.table_clients = sets.saturating_mul(ways);
            self.implied.table_bytes = stage.memory_bytes();
        }
        stage
    }

    fn marks(&mut self, tokens: &TokenStage, count: u32) -> Marks {
        let marks = Marks {
            sets: Marks::sets_for(count),
            ..Marks::default()
        };
        if tokens.uses_marks() {
            self.implied.marks = marks.capacity();
            self.implied.marks_sets = marks.sets;
            self.implied.marks_bytes = marks.memory_bytes();
        }
        marks
    }

    fn limit_key(&mut self, at: &Path, key: Vec<KeyPart>) -> Vec<KeyPart> {
        if key.is_empty() {
            self.errors.push(
                &at.key("key"),
                "an empty list",
                "write what tells counters apart such as `[client]`",
            );
        }
        let twice = key.iter().enumerate().any(|(index, part)| {
            key.iter()
                .skip(index.saturating_add(1))
                .any(|other| other == part)
        });
        if twice || key.len() > 4 {
            self.errors.push(
                &at.key("key"),
                "the same part twice, or more than 4",
                "write each part once",
            );
        }
        key
    }

    fn routes(
        &mut self,
        list: Option<Vec<Located<RouteConfig>>>,
        providers: &[String],
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
                Some(token) => self.route_token(&token, providers),
                None => {
                    if !providers.is_empty() {
                        let help = "write `none` or `{ any: [PROVIDER] }`: a policy with tokens says it for every route";
                        self.errors.push(&at.key("token"), "missing", help);
                    }
                    no_token()
                }
            };
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

    fn route_token(
        &mut self,
        token: &Located<RouteTokenConfig>,
        providers: &[String],
    ) -> RouteToken {
        let RouteTokenConfig::Demand(demand) = &token.value else {
            return no_token();
        };
        let mut any = Vec::new();
        for named in &demand.any {
            let name = String::from_utf8_lossy(&named.value.0);
            match providers.iter().position(|provider| *provider == name) {
                Some(index) if any.contains(&index) => {
                    self.errors.push(
                        &named.at,
                        format!("`{name}` is written twice"),
                        "keep one of them",
                    );
                }
                Some(index) => any.push(index),
                None => {
                    let known = providers.iter().map(String::as_str);
                    let help = match nearest(&name, known.clone()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if providers.is_empty() => "name it in `tokens`".to_owned(),
                        None => format!("write one of {}", quoted(known)),
                    };
                    let shown = super::read::excerpt(&name);
                    self.errors.push(
                        &named.at,
                        format!("`{shown}` is not a provider of `tokens`"),
                        help,
                    );
                }
            }
        }
        if demand.any.is_empty() && self.errors.is_empty() {
            self.errors.push(
                &token.at.key("any"),
                "an empty list",
                "name a provider, or write `token: none`",
            );
        }
        if demand.optional && !demand.roles.is_empty() {
            self.errors.push(
                &token.at.key("roles"),
                "roles are asked of an optional token",
                "leave `optional` out: a request without a token has no roles",
            );
        }
        RouteToken {
            need: if demand.optional {
                Need::Optional
            } else {
                Need::Required
            },
            any,
            roles: demand.roles.iter().map(|role| role.0.clone()).collect(),
        }
    }

    fn injection(&mut self, config: Injection, routes: &[Route]) -> InjectionStage {
        let at = Path::default().key("injection");
        let looks_at = |part| config.inspect.contains(&part);
        let inspect = Parts {
            target: looks_at(Part::Target),
            headers: looks_at(Part::Headers),
            cookies: looks_at(Part::Cookies),
            body: looks_at(Part::Body),
        };
        if config.inspect.is_empty() && self.errors.is_empty() {
            self.errors.push(
                &at.key("inspect"),
                "an empty list",
                "name a part, or leave `injection` out",
            );
        }
        let mut except = Vec::new();
        for Located { at, value } in config.except {
            if value.route.is_none() && value.field.is_none() && value.classes.is_empty() {
                let help = "name a route, a field or classes, or leave `injection` out";
                self.errors.push(&at, "excepts everything", help);
            }
            if let Some(route) = &value.route {
                let name = &route.value.0;
                if !routes.iter().any(|other| other.name == name.as_bytes()) {
                    let known: Vec<_> = routes
                        .iter()
                        .map(|it| String::from_utf8_lossy(&it.name))
                        .collect();
                    let help = match nearest(name, known.iter().map(AsRef::as_ref)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("write one of {}", quoted(known.iter().map(AsRef::as_ref))),
                    };
                    self.errors
                        .push(&route.at, format!("`{name}` is not a route"), help);
                }
            }
            except.push(Exception {
                route: value.route.map(|route| route.value.0.into_bytes()),
                field: value.field.map(|field| field.0),
                classes: value.classes,
            });
        }
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
        InjectionStage {
            level: u8::try_from(config.level.0).unwrap_or(1),
            threshold: config.threshold.0,
            inspect,
            except,
            patterns,
        }
    }

    fn name(&mut self, at: &Path, name: &str) {
        let mut faults = Errors::default();
        if super::values::Name::read(&Node::String(name.to_owned()), at, &mut faults).is_none() {
            let shown = super::read::excerpt(name);
            self.errors.push(
                at,
                format!("`{shown}` is not a name"),
                super::values::Name::help(),
            );
        }
    }

    fn taken(&mut self, at: &Path, name: &[u8]) {
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

    fn seconds(&mut self, at: &Path, span: Span, least: u64, most: u64) -> u64 {
        let seconds = span.ms / 1000;
        if !span.ms.is_multiple_of(1000) || !(least..=most).contains(&seconds) {
            let help = format!("write whole seconds from `{least}s` to `{most}s`");
            self.errors
                .push(at, format!("`{}ms` is out of range", span.ms), help);
        }
        seconds
    }
}

/// Headers a claim is never forwarded in: hop-by-hop, framing, routing, credentials, and what the host writes itself.
const RESERVED: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

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

const fn no_token() -> RouteToken {
    RouteToken {
        need: Need::None,
        any: Vec::new(),
        roles: Vec::new(),
    }
}

fn bytes<T>(list: Vec<T>, inner: fn(T) -> Vec<u8>) -> Vec<Vec<u8>> {
    list.into_iter().map(inner).collect()
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.trim_ascii();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// RFC 4648 §4 or §5, with or without padding; bits beyond the last byte must be zero.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let (body, padded) = match text {
        [body @ .., b'=', b'='] => (body, 2),
        [body @ .., b'='] => (body, 1),
        body => (body, 0),
    };
    let odd = body.len().wrapping_rem(4);
    if odd == 1 || (padded > 0 && odd.saturating_add(padded) != 4) {
        return None;
    }
    let mut out = Vec::new();
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in body {
        let value = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            out.push(u8::try_from((held >> bits) & 0xFF).unwrap_or_default());
            held &= (1u32 << bits).saturating_sub(1);
        }
    }
    (held == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_encodings() {
        const HEX: &[(&str, Option<&[u8]>)] = &[
            ("", Some(b"")),
            ("00fF", Some(&[0, 255])),
            ("0", None),
            ("zz", None),
            ("0a\n", Some(&[10])),
        ];
        for (text, expected) in HEX {
            assert_eq!(
                decode_hex(text.as_bytes()).as_deref(),
                *expected,
                "{text:?}"
            );
        }
        // RFC 4648 §10, then the URL alphabet, then what is refused.
        const BASE64: &[(&str, Option<&[u8]>)] = &[
            ("", Some(b"")),
            ("Zg==", Some(b"f")),
            ("Zg", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYmFy\n", Some(b"foobar")),
            ("-_-_", Some(&[0xFB, 0xFF, 0xBF])),
            ("+/+/", Some(&[0xFB, 0xFF, 0xBF])),
            ("Zh==", None),
            ("Z", None),
            ("Zg=", None),
            ("Zm9v=", None),
            ("Zm 9", None),
        ];
        for (text, expected) in BASE64 {
            assert_eq!(
                decode_base64(text.as_bytes()).as_deref(),
                *expected,
                "{text:?}"
            );
        }
    }
}
