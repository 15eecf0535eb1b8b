//! What the probe does in a callback: find the rule, log, act, answer.
//!
//! Invariant: numbers that differ between hosts for no reason (context ids, queue, metric and call numbers) are never logged.

use std::collections::{HashMap, HashSet};

use crate::abi;

/// One stream with its script.
#[derive(Default)]
struct Stream {
    name: String,
    rules: Vec<(String, Vec<Vec<Vec<u8>>>)>,
    /// How often each callback has come.
    seen: HashMap<&'static str, u32>,
    /// Ticks to come before it gets one; 0: wants none.
    waits: u32,
}

/// All that the guest knows.
#[derive(Default)]
pub(crate) struct Probe {
    streams: HashMap<u32, Stream>,
    roots: HashMap<u32, String>,
    /// Roots that have had a tick.
    ticked: HashSet<u32>,
    /// Which stream began a call, registered a queue: its name goes before what comes of it.
    calls: HashMap<u32, (u32, String)>,
    queues: HashMap<u32, String>,
    cas: u32,
    queue: u32,
    metric: u32,
}

/// The level of the probe's lines: error, so that every host shows them.
const LEVEL: i32 = 4;
/// Between ticks.
const PERIOD_MS: u32 = 50;
/// Ticks that a waiting stream lets pass and the one it gets: by then every piece of a message has come.
const TICKS: u32 = 2;

impl Probe {
    pub(crate) fn create(&mut self, context: u32, parent: u32) {
        if parent == 0 {
            self.roots.insert(context, String::new());
        } else {
            self.streams.insert(context, Stream::default());
        }
    }

    pub(crate) fn vm_start(&mut self, root: u32, size: usize) -> i32 {
        let known = self.roots.contains_key(&root);
        let (status, bytes) = abi::buffer(6, 0, u32::MAX);
        say(
            "root",
            &format!(
                "vm_start size={size} created={known} {status} {}",
                show(&bytes)
            ),
        );
        1
    }

    /// The configuration is the root's name, or `reject`.
    pub(crate) fn configure(&mut self, root: u32, size: usize) -> i32 {
        let (status, bytes) = abi::buffer(7, 0, 1 << 20);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        say("root", &format!("configure size={size} {status} {text}"));
        let accepted = text != "reject";
        self.roots.insert(root, text);
        abi::set_period(PERIOD_MS);
        i32::from(accepted)
    }

    pub(crate) fn tick(&mut self, root: u32) {
        if self.ticked.insert(root) {
            let name = self.roots.get(&root).map_or("", String::as_str);
            say("root", &format!("first tick {name}"));
        }
        let mut waiting: Vec<u32> = self
            .streams
            .iter_mut()
            .filter_map(|(id, stream)| {
                let due = stream.waits == 1;
                stream.waits = stream.waits.saturating_sub(1);
                due.then_some(*id)
            })
            .collect();
        waiting.sort_unstable();
        for context in waiting {
            abi::set_context(context);
            self.run(context, "tick", "", 0);
            abi::set_context(root);
        }
    }

    pub(crate) fn queue_ready(&mut self, root: u32, queue: u32) {
        let known = self.roots.contains_key(&root);
        if let Some(name) = self.queues.get(&queue) {
            say(name, &format!("queue_ready root={known}"));
        }
    }

    pub(crate) fn call_response(
        &mut self,
        context: u32,
        call: u32,
        headers: u32,
        body: u32,
        trailers: u32,
    ) {
        let Some((began, name)) = self.calls.remove(&call) else {
            return;
        };
        if !self.streams.contains_key(&began) {
            say(&name, "call, its stream gone");
            return;
        }
        let what = format!(
            "root={} n={headers} body={body} trailers={trailers}",
            self.roots.contains_key(&context)
        );
        if began != context {
            abi::set_context(began);
        }
        self.run(began, "call", &what, 0);
    }

    pub(crate) fn request_headers(&mut self, context: u32, count: u32, end: u32) -> i32 {
        let (status, script) = abi::header(0, b"x-probe");
        if status != 0 {
            return 0;
        }
        let script = String::from_utf8_lossy(&script).into_owned();
        let (name, rules) = script.split_once('|').unwrap_or((&script, ""));
        let stream = self.streams.entry(context).or_default();
        name.clone_into(&mut stream.name);
        stream.rules = rules.split(';').filter_map(rule).collect();
        self.run(context, "qh", &format!("n={count} end={end}"), 0)
    }

    pub(crate) fn delete(&mut self, context: u32) {
        self.run(context, "delete", "", 0);
        self.streams.remove(&context);
        self.roots.remove(&context);
    }

    /// Runs the rule of a callback; the result is what the callback answers.
    pub(crate) fn run(
        &mut self,
        context: u32,
        callback: &'static str,
        arguments: &str,
        answer: i32,
    ) -> i32 {
        let Some(stream) = self.streams.get_mut(&context) else {
            return answer;
        };
        if stream.name.is_empty() {
            return answer;
        }
        let times = stream.seen.entry(callback).or_default();
        *times += 1;
        let numbered = format!("{callback}#{times}");
        let name = stream.name.clone();
        let find = |wanted: &str| {
            stream
                .rules
                .iter()
                .find(|(at, _)| at == wanted)
                .map(|(_, actions)| actions.clone())
        };
        let actions = find(&numbered)
            .or_else(|| find(callback))
            .unwrap_or_default();
        say(&name, &format!("{callback} {arguments}"));
        let mut answer = answer;
        for action in &actions {
            let mut words = action.iter().map(Vec::as_slice);
            let verb = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
            let rest: Vec<&[u8]> = words.collect();
            let words = Words(&rest);
            match verb.as_str() {
                "ret" => answer = words.int(0),
                "wait" => {
                    if let Some(stream) = self.streams.get_mut(&context) {
                        stream.waits = TICKS;
                    }
                }
                // A trap: integer division by what is zero at run time.
                "trap" => std::process::abort(),
                verb => {
                    let result = self.act(context, &name, verb, &words);
                    let shown: Vec<String> = rest.iter().map(|word| shorten(word)).collect();
                    say(&name, &format!("  {verb} {} -> {result}", shown.join(" ")));
                }
            }
        }
        answer
    }

    fn act(&mut self, context: u32, name: &str, verb: &str, words: &Words<'_>) -> String {
        let (kind, one, two) = (words.int(0), words.bytes(1), words.bytes(2));
        match verb {
            "map" => {
                let (status, bytes) = abi::map(kind);
                format!("{status} {}", show_map(&bytes))
            }
            "mapsize" => pair(abi::map_size(kind)),
            "setmap" => abi::set_map(kind, &encode(one)).to_string(),
            "get" => text(abi::header(kind, one)),
            "add" => abi::add_header(kind, one, two).to_string(),
            "rep" => abi::replace_header(kind, one, two).to_string(),
            "rem" => abi::remove_header(kind, one).to_string(),
            "buf" => text(abi::buffer(
                kind,
                words.number(1),
                words.number_or(2, 1 << 20),
            )),
            "bufstat" => pair(abi::buffer_status(kind)),
            "setbuf" => {
                let bytes = words.bytes(3);
                abi::set_buffer(kind, words.number(1), words.number(2), bytes).to_string()
            }
            "cont" => abi::resume(kind).to_string(),
            "close" => abi::close(kind).to_string(),
            // STATUS BODY GRPC HEADERS
            "reply" => {
                let grpc = if words.0.len() > 2 { words.int(2) } else { -1 };
                abi::reply(kind, b"probe", one, &encode(words.bytes(3)), grpc).to_string()
            }
            "sget" => {
                let (status, value, cas) = abi::shared(words.bytes(0));
                self.cas = cas;
                format!("{status} {} cas={}", show(&value), cas != 0)
            }
            // KEY VALUE CAS: a number, or `last` as read
            "sset" => {
                let cas = if two == b"last" {
                    self.cas
                } else {
                    words.number(2)
                };
                abi::set_shared(words.bytes(0), one, cas).to_string()
            }
            "qreg" => {
                let (status, queue) = abi::register_queue(words.bytes(0));
                let same = self.queue == queue;
                self.queue = queue;
                self.queues.insert(queue, name.to_owned());
                format!("{status} valid={} as_before={same}", queue != 0)
            }
            "qres" => {
                let (status, queue) = abi::resolve_queue(words.bytes(0), one);
                format!("{status} as_before={}", self.queue == queue)
            }
            "qput" => abi::enqueue(words.number_or(0, self.queue), one).to_string(),
            "qtake" => text(abi::dequeue(words.number_or(0, self.queue))),
            // KIND NAME
            "mdef" => {
                let (status, metric) = abi::define_metric(kind, one);
                let same = self.metric == metric;
                self.metric = metric;
                format!("{status} as_before={same}")
            }
            "mrec" => abi::record_metric(
                words.number_or(0, self.metric),
                words.long(1).cast_unsigned(),
            )
            .to_string(),
            "minc" => {
                abi::increment_metric(words.number_or(0, self.metric), words.long(1)).to_string()
            }
            "mget" => pair(abi::metric(words.number_or(0, self.metric))),
            "prop" => text(abi::property(&path(words.bytes(0)))),
            "setprop" => abi::set_property(&path(words.bytes(0)), one).to_string(),
            // CLUSTER HEADERS TIMEOUT BODY
            "call" => {
                let (status, call) = abi::http_call(
                    words.bytes(0),
                    &encode(one),
                    words.bytes(3),
                    words.number_or(2, 1000),
                );
                if status == 0 {
                    self.calls.insert(call, (context, name.to_owned()));
                }
                status.to_string()
            }
            "ffi" => text(abi::foreign(words.bytes(0), one)),
            "period" => abi::set_period(words.number(0)).to_string(),
            "effective" => abi::set_context(words.number(0)).to_string(),
            "done" => abi::done().to_string(),
            "status" => {
                let (status, code, message) = abi::status();
                format!("{status} {code} {}", show(&message))
            }
            "level" => pair(abi::log_level()),
            "log" => abi::log(kind, "line at a level of its own").to_string(),
            "now" => {
                let (status, time) = abi::time();
                format!("{status} set={}", time > 1_600_000_000_000_000_000)
            }
            "alloc" => {
                let (abi_name, malloc) = abi::allocations();
                format!(
                    "proxy_on_memory_allocate={} malloc={}",
                    abi_name > 0,
                    malloc > 0
                )
            }
            other => format!("no action `{other}`"),
        }
    }
}

fn say(name: &str, text: &str) {
    abi::log(LEVEL, &format!("probe[{name}] {}", text.trim_end()));
}

/// Words after the verb, missing ones empty.
struct Words<'a>(&'a [&'a [u8]]);

impl Words<'_> {
    fn bytes(&self, at: usize) -> &[u8] {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn long(&self, at: usize) -> i64 {
        let text = String::from_utf8_lossy(self.bytes(at));
        text.parse().unwrap_or_default()
    }

    fn int(&self, at: usize) -> i32 {
        i32::try_from(self.long(at)).unwrap_or_default()
    }

    fn number(&self, at: usize) -> u32 {
        self.number_or(at, 0)
    }

    fn number_or(&self, at: usize, other: u32) -> u32 {
        let text = String::from_utf8_lossy(self.bytes(at));
        text.parse().unwrap_or(other)
    }
}

/// `qb#2: act a b, act`.
fn rule(text: &str) -> Option<(String, Vec<Vec<Vec<u8>>>)> {
    let (at, actions) = text.split_once(':')?;
    let actions = actions
        .split(',')
        .map(|action| action.split_ascii_whitespace().map(decode).collect())
        .collect();
    Some((at.trim().to_owned(), actions))
}

fn decode(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        let hex = more
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = hex {
            out.push(byte);
            rest = more.get(2..).unwrap_or_default();
        } else {
            out.push(*first);
        }
    }
    out
}

/// `a.b` as a property's path, its segments split by NUL.
fn path(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|byte| if *byte == b'.' { 0 } else { *byte })
        .collect()
}

/// `a=1&b=2` as a header map.
fn encode(text: &[u8]) -> Vec<u8> {
    let pairs: Vec<(&[u8], &[u8])> = text
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair
                .iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            (name, value.get(1..).unwrap_or_default())
        })
        .collect();
    let mut out = Vec::new();
    let mut number =
        |n: usize| out.extend_from_slice(&u32::try_from(n).unwrap_or_default().to_le_bytes());
    number(pairs.len());
    for (name, value) in &pairs {
        number(name.len());
        number(value.len());
    }
    for (name, value) in &pairs {
        for part in [name, value] {
            out.extend_from_slice(part);
            out.push(0);
        }
    }
    out
}

/// A map as the host gave it: `a=1&b=2`, in its order, without the script.
fn show_map(bytes: &[u8]) -> String {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let Some(count) = number(0) else {
        return "(no bytes)".to_owned();
    };
    let mut at = 4 + count * 8;
    let mut fields = Vec::new();
    for pair in 0..count {
        let mut field = Vec::new();
        for part in 0..2 {
            let size = number(4 + pair * 8 + part * 4).unwrap_or_default();
            field.push(bytes.get(at..at + size).unwrap_or(b"(cut)"));
            at += size + 1;
        }
        if field.first() != Some(&&b"x-probe"[..]) {
            fields.push(
                field
                    .iter()
                    .map(|part| show(part))
                    .collect::<Vec<_>>()
                    .join("="),
            );
        }
    }
    fields.join("&")
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A word of the script in the log: it is known, its first bytes tell it from its like.
fn shorten(word: &[u8]) -> String {
    match word.get(..96) {
        Some(first) => format!("{}.. {} bytes", show(first), word.len()),
        None => show(word),
    }
}

fn text((status, bytes): abi::Answer<Vec<u8>>) -> String {
    format!("{status} {}", show(&bytes))
}

fn pair<T: std::fmt::Display>((status, value): abi::Answer<T>) -> String {
    format!("{status} {value}")
}
