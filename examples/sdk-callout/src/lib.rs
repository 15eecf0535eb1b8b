//! A filter that asks another service, `auth`, about each request: by HTTP, on `/grpc` by a gRPC call, on `/stream` by a gRPC stream. It
//! lets the request pass, marked with what the service said, or answers in its place. Each tick it asks for `/keys`.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use std::time::Duration;

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType, LogLevel, Status},
};

const SERVICE: &str = "auth";
const TIMEOUT: Duration = Duration::from_millis(500);

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

fn log(text: &str) {
    let _ = hostcalls::log(LogLevel::Info, text);
}

fn ask(context: &dyn Context, path: &str, body: Option<&[u8]>) -> Result<u32, Status> {
    let headers = vec![(":method", "GET"), (":path", path), (":authority", SERVICE)];
    context.dispatch_http_call(SERVICE, headers, body, vec![], TIMEOUT)
}

struct Root;

impl Context for Root {
    fn on_http_call_response(&mut self, _call: u32, headers: usize, body: usize, _trailers: usize) {
        log(&format!("keys: {headers} headers, {body} bytes"));
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.set_tick_period(Duration::from_secs(60));
        true
    }

    fn on_tick(&mut self) {
        if let Err(status) = ask(self, "/keys", None) {
            log(&format!("keys: {status:?}"));
        }
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Callout::default()))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

#[derive(Default)]
struct Callout {
    messages: Vec<Vec<u8>>,
}

impl Callout {
    fn pass(&self, answer: &[u8]) {
        self.set_http_request_header_bytes("x-auth", Some(answer));
        self.resume_http_request();
    }
}

impl HttpContext for Callout {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let metadata = vec![("x-path", path.as_bytes())];
        let asked = match path.as_str() {
            "/grpc" => self.dispatch_grpc_call(
                SERVICE,
                "auth.Auth",
                "Check",
                metadata,
                Some(b"ask"),
                TIMEOUT,
            ),
            "/stream" => self
                .open_grpc_stream(SERVICE, "auth.Auth", "Watch", metadata)
                .inspect(|stream| {
                    self.send_grpc_stream_message(*stream, Some(b"one"), false);
                    self.send_grpc_stream_message(*stream, Some(b"two"), true);
                }),
            _ => ask(self, &path, None),
        };
        if let Err(status) = asked {
            log(&format!("not asked: {status:?}"));
            self.send_http_response(500, vec![], Some(b"not asked\n"));
        }
        Action::Pause
    }
}

impl Context for Callout {
    fn on_http_call_response(&mut self, _call: u32, headers: usize, body: usize, _trailers: usize) {
        // A call that failed has no headers, and the SDK panics when asked for one.
        if headers == 0 {
            log("no answer");
            return self.send_http_response(503, vec![], Some(b"no answer\n"));
        }
        let status = self
            .get_http_call_response_header(":status")
            .unwrap_or_default();
        let body = self
            .get_http_call_response_body(0, body)
            .unwrap_or_default();
        log(&format!("answer: {headers} headers, status {status}"));
        if status == "200" {
            self.pass(&body);
        } else {
            self.send_http_response(403, vec![], Some(&body));
        }
    }

    fn on_grpc_call_response(&mut self, _call: u32, status: u32, size: usize) {
        if status == 0 {
            self.pass(
                &self
                    .get_grpc_call_response_body(0, size)
                    .unwrap_or_default(),
            );
        } else {
            let (_, message) = self.get_grpc_status();
            log(&format!("gRPC: {status} {}", message.unwrap_or_default()));
            self.send_http_response(503, vec![], Some(b"no answer\n"));
        }
    }

    fn on_grpc_stream_initial_metadata(&mut self, _stream: u32, count: u32) {
        log(&format!("metadata: {count}"));
    }

    fn on_grpc_stream_message(&mut self, _stream: u32, size: usize) {
        let message = self.get_grpc_stream_message(0, size);
        self.messages.extend(message);
    }

    fn on_grpc_stream_trailing_metadata(&mut self, _stream: u32, count: u32) {
        log(&format!("trailing metadata: {count}"));
    }

    fn on_grpc_stream_close(&mut self, _stream: u32, status: u32) {
        log(&format!("closed: {status}"));
        self.pass(&self.messages.join(&b'+'));
    }
}
