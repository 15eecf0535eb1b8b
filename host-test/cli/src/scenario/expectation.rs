//! The shape of what a scenario expects.
//!
//! **Invariant:** unknown keys are errors, and so are patterns that do not compile: a misspelt expectation cannot pass silently.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::value::Value;

/// What must come of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectTable {
    /// The reason's code, or the response code details of any filter; absent: it is allowed.
    #[serde(default)]
    pub deny: Option<String>,
    /// The filter answers itself.
    #[serde(default)]
    pub local_reply: Option<LocalReply>,
    /// Status at the client; absent: that of the reason, or the upstream's.
    #[serde(default)]
    pub status: Option<u16>,
    /// Header fields of the reply.
    #[serde(default)]
    pub reply: Fields,
    /// Body of the reply.
    #[serde(default)]
    pub reply_body: Option<Text>,
    /// Trailers of the reply.
    #[serde(default)]
    pub reply_trailers: Fields,
    /// Header fields at the upstream, or `none`: it got nothing.
    #[serde(default)]
    pub upstream: Upstream,
    /// The upstream got exactly this target.
    #[serde(default)]
    pub upstream_path: Option<Value>,
    /// Body at the upstream; absent: as sent, for our own filter.
    #[serde(default)]
    pub upstream_body: Option<Text>,
    /// Trailers at the upstream.
    #[serde(default)]
    pub upstream_trailers: Fields,
    /// Texts that the events hold, all of them.
    #[serde(default)]
    pub event: Vec<String>,
    /// Texts that no event holds.
    #[serde(default)]
    pub event_lacks: Vec<String>,
    /// Each fits some line of the log.
    #[serde(default)]
    pub logs: Vec<Line>,
    /// Texts that no line of the log holds.
    #[serde(default)]
    pub logs_lack: Vec<String>,
    /// Metrics have these values now.
    #[serde(default)]
    pub metrics: BTreeMap<String, u64>,
    /// Shared data hold these values now.
    #[serde(default)]
    pub shared_data: BTreeMap<String, Value>,
    /// The stream's filter state: what the filter stored by `proxy_set_property`, as `wasm.` and its path.
    #[serde(default)]
    pub filter_state: BTreeMap<String, Value>,
    /// Hostcalls are made at most so often.
    #[serde(default)]
    pub calls: BTreeMap<String, usize>,
    /// All callbacks together use at most so much fuel.
    #[serde(default)]
    pub fuel: Option<u64>,
    /// The filter fails, and the error holds this text.
    #[serde(default)]
    pub trap: Option<String>,
    /// The filter holds the stream and nothing frees it.
    #[serde(default)]
    pub paused: bool,
}

/// A local reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalReply {
    /// Response code details.
    #[serde(default)]
    pub details: Option<String>,
    /// gRPC status.
    #[serde(default)]
    pub grpc_status: Option<i32>,
}

/// What must come of a request: `allow`, a reason's code, or a table.
#[derive(Debug, Clone, Default)]
pub struct Expect(pub ExpectTable);

/// What must hold of some header fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Names that must be there.
    #[serde(default)]
    pub present: Vec<String>,
    /// Names that must not.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Each name has exactly this value, once.
    #[serde(default)]
    pub equal: Vec<(String, Value)>,
    /// Each name has a value that holds this text.
    #[serde(default)]
    pub contain: Vec<(String, String)>,
    /// Each name has a value that this pattern matches.
    #[serde(default)]
    pub matches: Vec<(String, String)>,
}

/// What must hold at the upstream.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    /// It got nothing.
    pub none: bool,
    /// It got these.
    pub fields: Fields,
}

/// What must hold of a body: a text it equals, or a table.
#[derive(Debug, Clone, Default)]
pub struct Text(pub TextTable);

/// What must hold of a body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextTable {
    /// It is this.
    #[serde(default)]
    pub equal: Option<Value>,
    /// It holds all of these.
    #[serde(default)]
    pub contain: Vec<String>,
    /// It holds none of these.
    #[serde(default)]
    pub lack: Vec<String>,
    /// This pattern matches somewhere in it.
    #[serde(default)]
    pub matches: Option<String>,
}

/// A line of the log: a text it holds, or a table.
#[derive(Debug, Clone, Default)]
pub struct Line(pub LineTable);

/// A line of the log.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineTable {
    /// It holds this text.
    #[serde(default)]
    pub contains: Option<String>,
    /// This pattern matches somewhere in it.
    #[serde(default)]
    pub matches: Option<String>,
    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    #[serde(default)]
    pub level: Option<Level>,
}

/// Severity of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// 0
    Trace,
    /// 1
    Debug,
    /// 2
    Info,
    /// 3
    Warn,
    /// 4
    Error,
    /// 5
    Critical,
}

impl ExpectTable {
    /// Whether the filter must answer in the upstream's place.
    #[must_use]
    pub const fn denied(&self) -> bool {
        self.deny.is_some() || self.local_reply.is_some()
    }

    /// # Errors
    /// A pattern does not compile.
    pub(super) fn check_patterns(&self) -> Result<()> {
        let fields = [
            &self.reply,
            &self.reply_trailers,
            &self.upstream.fields,
            &self.upstream_trailers,
        ];
        let of_fields = fields
            .into_iter()
            .flat_map(|fields| &fields.matches)
            .map(|(_, pattern)| pattern);
        let of_bodies = [&self.reply_body, &self.upstream_body]
            .into_iter()
            .flatten()
            .filter_map(|text| text.0.matches.as_ref());
        let of_logs = self.logs.iter().filter_map(|line| line.0.matches.as_ref());
        for pattern in of_fields.chain(of_bodies).chain(of_logs) {
            Regex::new(pattern).with_context(|| format!("`{pattern}` is no pattern"))?;
        }
        Ok(())
    }

    /// What only a host with the filter in it can show; `None`: the engine alone can.
    #[must_use]
    pub fn needs_a_filter(&self) -> Option<&'static str> {
        let seen = [
            (self.local_reply.is_some(), "local_reply"),
            (self.reply_body.is_some(), "reply_body"),
            (self.upstream_body.is_some(), "upstream_body"),
            (!self.logs.is_empty() || !self.logs_lack.is_empty(), "logs"),
            (!self.filter_state.is_empty(), "filter_state"),
            (!self.metrics.is_empty(), "metrics"),
            (self.needs_our_host().is_some(), "the host's own state"),
        ];
        seen.into_iter()
            .find(|(used, _)| *used)
            .map(|(_, what)| what)
    }

    /// Whether it looks at what the filter logs or counts.
    #[must_use]
    pub fn looks_inside(&self) -> bool {
        !(self.logs.is_empty() && self.logs_lack.is_empty() && self.metrics.is_empty())
    }

    /// What only our host can show.
    #[must_use]
    pub fn needs_our_host(&self) -> Option<&'static str> {
        let seen = [
            (!self.shared_data.is_empty(), "shared_data"),
            (!self.filter_state.is_empty(), "filter_state"),
            (!self.calls.is_empty(), "calls"),
            (self.fuel.is_some(), "fuel"),
            (self.trap.is_some(), "trap"),
            (self.paused, "paused"),
        ];
        seen.into_iter()
            .find(|(used, _)| *used)
            .map(|(_, what)| what)
    }
}

/// Reads a text by `text`, or a table.
struct TextOr<T> {
    what: &'static str,
    text: fn(&str) -> Option<T>,
    table: std::marker::PhantomData<T>,
}

impl<'de, T> TextOr<T> {
    fn read<D: Deserializer<'de>>(
        deserializer: D,
        what: &'static str,
        text: fn(&str) -> Option<T>,
    ) -> Result<T, D::Error>
    where
        Self: Visitor<'de, Value = T>,
    {
        deserializer.deserialize_any(Self {
            what,
            text,
            table: std::marker::PhantomData,
        })
    }
}

/// A table that may be written as a text.
macro_rules! text_or_table {
    ($type:ty, $table:ty, $wrap:expr, $what:literal, $text:expr) => {
        impl<'de> Visitor<'de> for TextOr<$type> {
            type Value = $type;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.what)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                (self.text)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                <$table>::deserialize(de::value::MapAccessDeserializer::new(map)).map($wrap)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                TextOr::<$type>::read(deserializer, $what, $text)
            }
        }
    };
}

text_or_table!(
    Expect,
    ExpectTable,
    Expect,
    "`allow`, a reason's code, or a table of expectations",
    |text| {
        Some(Expect(ExpectTable {
            deny: (text != "allow").then(|| text.to_owned()),
            ..ExpectTable::default()
        }))
    }
);

text_or_table!(
    Upstream,
    Fields,
    |fields| Upstream {
        none: false,
        fields
    },
    "`none`, or a table of header fields",
    |text| {
        (text == "none").then(|| Upstream {
            none: true,
            ..Upstream::default()
        })
    }
);

text_or_table!(
    Text,
    TextTable,
    Text,
    "a body, or a table with `equal`, `contain`, `lack`, `matches`",
    |text| {
        Some(Text(TextTable {
            equal: Some(Value::from(text)),
            ..TextTable::default()
        }))
    }
);

text_or_table!(
    Line,
    LineTable,
    Line,
    "a text, or a table with `contains`, `matches`, `level`",
    |text| {
        Some(Line(LineTable {
            contains: Some(text.to_owned()),
            ..LineTable::default()
        }))
    }
);
