//! The policy language, section by section: each declaration below is the reader, the documentation and the schema.
//!
//! **In:** a [`Node`]. **Out:** [`Config`], which mirrors the text; `compile.rs` checks what spans keys.
//! **Invariant:** every default is written here once, in the policy's own language, and read like any other value.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::limits::{LimitConfig, SignalsConfig, Table};
use super::operator::OperatorConfig;
use super::read::{Located, Named, section};
use super::tokens::{RouteTokenConfig, Token};
use super::values::{
    BodyField, Cidr, Count, FieldName, HeaderName, Host, MediaType, Method, Name, Part,
    SecurityHeaders, Size, Time,
};
use super::{BodyCompressed, BodyOver, EventLog, Mode, RouteBody};
use crate::pattern::Pattern;
use crate::request::target::PathPattern;
use crate::stages::headers::EscapedSlash;
use crate::stages::injection::Class;

section! {
    /// A Palisade policy. Sections are the stages, in the order a request meets them.
    struct Config {
        /// Whether denials are carried out (`enforce`) or only reported (`monitor`).
        mode: Mode = "enforce",
        /// Who the client is.
        client: Client = {},
        /// Address lists.
        access: Access = {},
        /// Header inspection.
        headers: Headers = {},
        /// Token providers by name.
        tokens: Named<Token> = {},
        /// Tokens whose signature was verified.
        token_cache: TokenCacheConfig = {},
        /// Rate limits; all that match are charged.
        limits: Vec<Located<LimitConfig>> = [],
        /// Sizes of the tables in shared memory.
        table: Table = {},
        /// Bans that follow from attacks, failed authentications and refusals.
        signals: SignalsConfig = {},
        /// Requests of the operator; absent: there are none.
        operator: Option<OperatorConfig>,
        /// Injection detection; absent: off.
        injection: Option<Injection>,
        /// Bodies.
        body: Body = {},
        /// Routes, chosen by specificity: exact path, longer literal prefix, wildcard; then hosts, then methods; then
        /// their order. A request that no route takes is refused. Absent: one route for everything, without a token.
        routes: Option<Vec<Located<RouteConfig>>>,
        /// Our own replies.
        responses: Responses = {},
        /// Events.
        events: EventsConfig = {},
        /// For the desk, never for an edge: what `palisade explain` reads.
        debug: Debug = {},
    }
}

section! {
    /// Who the client is.
    struct Client {
        /// Proxies in front of us whose `x-forwarded-for` entries are believed; 0: the peer is the client.
        trusted_hops: Count<0, 16> = 0,
    }
}

section! {
    /// Address lists: `deny` wins; a list of `allow` refuses everybody else.
    struct Access {
        /// Refused addresses and networks.
        deny: Vec<Cidr> = [],
        /// If not empty, only these.
        allow: Vec<Cidr> = [],
        /// Mode of this stage.
        mode: Mode = "enforce",
    }
}

section! {
    /// Header inspection.
    struct Headers {
        /// Allowed methods; an empty list allows all.
        methods: Vec<Method> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        /// Allowed hosts, without port; `*.example.com` takes any subdomain; an empty list allows all.
        hosts: Vec<Host> = [],
        /// Allowed content types of requests with a body; an empty list allows all.
        content_types: Vec<MediaType> = [],
        /// Bounds.
        max: HeaderMax = {},
        /// Headers that must be present.
        require: Vec<HeaderName> = [],
        /// Headers that must not be present.
        forbid: Vec<HeaderName> = ["x-original-url", "x-rewrite-url"],
        /// What to do with an encoded slash in the path: refuse it or keep it as data of its segment.
        escaped_slash: EscapedSlash = "deny",
        /// Mode of this stage.
        mode: Mode = "enforce",
    }
}

section! {
    /// Bounds of the head; each is the largest value let through.
    struct HeaderMax {
        /// Header fields.
        count: Count<1, 1024> = 100,
        /// Bytes of all names and values.
        bytes: Size = "32KiB",
        /// Bytes of one value.
        value: Size = "8KiB",
        /// Bytes of the request target.
        target: Size = "8KiB",
        /// Query parameters.
        params: Count<0, 4096> = 256,
        /// Cookie pairs.
        cookies: Count<0, 1024> = 64,
    }
}

section! {
    /// Tokens whose signature was verified, remembered by each worker; all else is judged on every request.
    struct TokenCacheConfig {
        /// Tokens remembered, at most 4 KiB each on average; 0: none.
        entries: Count<0, 65536> = 1024,
    }
}

section! {
    /// Injection detection.
    struct Injection {
        /// How suspicious: 1 (few false alarms) to 4.
        level: Count<1, 4> = 1,
        /// Score that blocks.
        threshold: Count<1, 1000> = 5,
        /// What is looked at.
        inspect: Vec<Part> = ["target", "headers", "cookies", "body"],
        /// Levels and thresholds of single routes and classes; where several fit, the last one that says so.
        adjust: Vec<Located<AdjustConfig>> = [],
        /// Exceptions; in one, all given parts must hold.
        except: Vec<Located<ExceptConfig>> = [],
        /// The operator's own patterns.
        patterns: Vec<Located<PatternConfig>> = [],
        /// Names that well-known scanners give themselves are attacks of class `scanner`.
        scanners: bool = false,
        /// Steps that a body may spend, and a head a quarter of them: one for each byte in each pass over it.
        steps: Count<65536, 67108864> = 1000000,
        /// When they are spent: refused, or judged by what was looked at until then.
        over: BodyOver = "deny",
        /// Mode of this stage.
        mode: Mode = "enforce",
    }
}

section! {
    /// Another level or threshold.
    struct AdjustConfig {
        /// Name of a route; absent: all.
        route: Option<Located<Name>>,
        /// Attack classes; absent: all.
        classes: Vec<Class> = [],
        /// How suspicious.
        level: Option<Count<1, 4>>,
        /// Score that blocks. With `classes`: of each of them alone; they are then counted apart from the others.
        threshold: Option<Count<1, 1000>>,
    }
}

section! {
    /// An exception from injection detection.
    struct ExceptConfig {
        /// Name in metrics; absent: its place in the list, from 1.
        name: Option<Name>,
        /// Name of a route.
        route: Option<Located<Name>>,
        /// Name of a parameter, cookie, header or body field.
        field: Option<BodyField>,
        /// Attack classes; absent: all.
        classes: Vec<Class> = [],
        /// Only hits that are no surer than this: 1 (all), 3 (those that block from level 3 on), 4.
        level: Count<1, 4> = 1,
        /// The day or time at which it ends.
        expires: Option<Time>,
    }
}

section! {
    /// An operator's pattern, matched anywhere in a decoded value.
    struct PatternConfig {
        /// Name, unique; shown in events.
        name: Name,
        /// Regular expression over bytes, without look-around and back-references; matching is linear.
        pattern: Pattern,
        /// Points of a match.
        score: Count<1, 1000> = 5,
    }
}

section! {
    /// Bodies.
    struct Body {
        /// Largest body held for inspection; a longer one is refused where bodies are inspected.
        max: Size = "128KiB",
        /// Bodies over `max`: refused, or inspected as far as that.
        over: BodyOver = "deny",
        /// Bodies in gzip, deflate or brotli: inspected as what they stand for, at most `max` of it, or refused.
        compressed: BodyCompressed = "inspect",
    }
}

section! {
    /// A route.
    struct RouteConfig {
        /// Name, unique.
        name: Name,
        /// Which requests it takes; absent: all.
        r#match: Match = {},
        /// Token demands; may be left out only when the policy has no tokens.
        token: Option<Located<RouteTokenConfig>>,
        /// Mode of this route.
        mode: Mode = "enforce",
        /// Whether bodies may be held for inspection, or always stream through.
        body: RouteBody = "inspect",
    }
}

section! {
    /// Which requests a route takes; all given conditions must hold.
    struct Match {
        /// Path: `/a` is exact, `/a/*` takes `/a` and all below it; absent: all.
        path: Option<PathPattern>,
        /// Methods; absent: all.
        methods: Vec<Method> = [],
        /// Hosts as in `headers.hosts`; absent: all.
        hosts: Vec<Host> = [],
    }
}

section! {
    /// Our own replies.
    struct Responses {
        /// Whether they carry security headers.
        security_headers: SecurityHeaders = "strict",
    }
}

section! {
    /// Events: one JSON line a request.
    struct EventsConfig {
        /// Which requests: those denied or with findings, all, or none.
        log: EventLog = "denied",
        /// Names of headers, cookies, parameters and fields whose values are never shown.
        redact: Vec<FieldName> = ["authorization", "proxy-authorization", "cookie", "password", "passwd", "secret", "token"],
    }
}

section! {
    /// For the desk, never for an edge: what `palisade explain` reads.
    struct Debug {
        /// Log each step of each decision (level info), with the bytes that matched and what decoding made of them.
        trace: bool = false,
    }
}

/// The schema of a section of which exactly one key is written.
pub(super) fn one_key(section: &Value) -> Value {
    let mut schema = section.clone();
    if let Value::Object(map) = &mut schema {
        map.insert("minProperties".to_owned(), json!(1));
        map.insert("maxProperties".to_owned(), json!(1));
    }
    schema
}
