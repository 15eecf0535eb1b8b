//! What the filters of the portable suites share: a filter is a type with the callbacks it cares for, and [`plugin!`] makes a module of it.
//!
//! Each file in `examples/` is one plugin, written from what its suite expects. Build them all:
//! `cargo build --release --target wasm32-unknown-unknown -p sdk-suites --examples`.

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{BufferType, ContextType, LogLevel, MapType},
};

pub use proxy_wasm::{main, types::Action};

/// Makes the module of a filter.
#[macro_export]
macro_rules! plugin {
    ($filter:ty) => {
        $crate::main! {{ $crate::start::<$filter>(); }}
    };
}

/// A filter: one value configured for the plugin, a clone of it for each stream.
pub trait Filter: Clone + Default + 'static {
    /// The plugin's configuration.
    fn configure(&mut self, _configuration: &str) {}
    /// Request headers.
    fn request_headers(&mut self, _headers: Headers) -> Action {
        Action::Continue
    }
    /// A chunk of request body.
    fn request_body(&mut self, _body: Body) {}
    /// Response headers.
    fn response_headers(&mut self, _headers: Headers) -> Action {
        Action::Continue
    }
    /// A chunk of response body.
    fn response_body(&mut self, _body: Body) {}
}

/// One header map.
#[derive(Debug, Clone, Copy)]
pub struct Headers(MapType);

impl Headers {
    /// A value as text.
    #[must_use]
    pub fn get(self, name: &str) -> Option<String> {
        let value = hostcalls::get_map_value_bytes(self.0, name).ok()??;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    /// All fields.
    #[must_use]
    pub fn all(self) -> Vec<(String, Vec<u8>)> {
        hostcalls::get_map_bytes(self.0).unwrap_or_default()
    }

    /// Sets the one value.
    pub fn set(self, name: &str, value: &str) {
        let _ = hostcalls::set_map_value(self.0, name, Some(value));
    }

    /// Adds a value.
    pub fn add(self, name: &str, value: &str) {
        let _ = hostcalls::add_map_value(self.0, name, value);
    }

    /// Removes a field.
    pub fn remove(self, name: &str) {
        let _ = hostcalls::remove_map_value(self.0, name);
    }
}

/// A chunk of body.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    buffer: BufferType,
    size: usize,
    /// It is the last one.
    pub end: bool,
}

impl Body {
    /// The bytes.
    #[must_use]
    pub fn get(self) -> Vec<u8> {
        hostcalls::get_buffer(self.buffer, 0, self.size)
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// The bytes as text.
    #[must_use]
    pub fn text(self) -> String {
        String::from_utf8_lossy(&self.get()).into_owned()
    }

    /// Puts others in their place.
    pub fn set(self, bytes: &[u8]) {
        let _ = hostcalls::set_buffer(self.buffer, 0, self.size, bytes);
    }
}

/// Answers in the upstream's place.
#[must_use]
pub fn reply(status: u32, headers: &[(&str, &str)], body: &str) -> Action {
    let _ = hostcalls::send_http_response(status, headers.to_vec(), Some(body.as_bytes()));
    Action::Pause
}

/// Logs at level info.
pub fn log(message: &str) {
    let _ = hostcalls::log(LogLevel::Info, message);
}

/// A property as text.
#[must_use]
pub fn property(path: &[&str]) -> Option<String> {
    let value = hostcalls::get_property(path.to_vec()).ok()??;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// Nanoseconds since 1970.
#[must_use]
pub fn now() -> u128 {
    hostcalls::get_current_time()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos())
}

/// A hash of some bytes (FNV-1a).
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The value of a parameter in a path's query, still encoded.
#[must_use]
pub fn query(path: &str, name: &str) -> Option<String> {
    let (_, query) = path.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// A path whose query has the parameter once, at its end; a fragment stays behind it.
#[must_use]
pub fn with_query(path: &str, name: &str, value: &str) -> String {
    let (rest, fragment) = path
        .split_once('#')
        .map_or((path, None), |(rest, fragment)| (rest, Some(fragment)));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name))
        .map(str::to_owned)
        .collect();
    pairs.push(format!("{name}={value}"));
    let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
    format!("{path}?{}{fragment}", pairs.join("&"))
}

/// Puts a text behind the first `<head>` of a body that comes in chunks.
#[derive(Debug, Clone, Default)]
pub struct AfterHead {
    seen: usize,
    done: bool,
}

impl AfterHead {
    /// The chunk with the text in it, if `<head>` ends here.
    #[must_use]
    pub fn chunk(&mut self, chunk: &[u8], text: &str) -> Option<Vec<u8>> {
        const HEAD: &[u8] = b"<head>";
        for (at, byte) in chunk.iter().enumerate() {
            if self.done {
                return None;
            }
            if HEAD.get(self.seen) == Some(byte) {
                self.seen += 1;
            } else {
                self.seen = usize::from(HEAD.first() == Some(byte));
            }
            if self.seen == HEAD.len() {
                self.done = true;
                let (before, after) = chunk.split_at_checked(at + 1)?;
                return Some([before, text.as_bytes(), after].concat());
            }
        }
        None
    }
}

/// Registers a filter: what [`plugin!`] calls.
pub fn start<F: Filter>() {
    proxy_wasm::set_root_context(|_| Box::new(Root(F::default())));
}

struct Root<F>(F);

impl<F: Filter> Context for Root<F> {}

impl<F: Filter> RootContext for Root<F> {
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        self.0.configure(&String::from_utf8_lossy(&bytes));
        true
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream(self.0.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream<F>(F);

impl<F: Filter> Context for Stream<F> {}

impl<F: Filter> HttpContext for Stream<F> {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.0.request_headers(Headers(MapType::HttpRequestHeaders))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        let buffer = BufferType::HttpRequestBody;
        self.0.request_body(Body { buffer, size, end });
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.0
            .response_headers(Headers(MapType::HttpResponseHeaders))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let buffer = BufferType::HttpResponseBody;
        self.0.response_body(Body { buffer, size, end });
        Action::Continue
    }
}
