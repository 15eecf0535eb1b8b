//! A filter with a configuration: a text that goes into a response header. Without one it refuses to start.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType, LogLevel},
};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { text: String::new() }));
}}

struct Root {
    text: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        match self.get_plugin_configuration().map(String::from_utf8) {
            Some(Ok(text)) if !text.is_empty() => {
                self.text = text;
                true
            }
            _ => {
                let _ = hostcalls::log(LogLevel::Error, "the configuration must be a text");
                false
            }
        }
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            text: self.text.clone(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    text: String,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.add_http_response_header("custom-header", &self.text);
        Action::Continue
    }
}
