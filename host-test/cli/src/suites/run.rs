//! Runs one test of a suite.

use std::time::Duration;

use palisade_host::{
    Called, Clock, Error, Headers, LogLevel, Module, StreamId, StreamInfo, Vm, VmConfig,
};

use super::matching::{Fields, Phase};
use super::{Invocation, Suite, Test};

/// What differs; nothing: the test passed.
///
/// As the suites' own runner does it: a fresh VM, plugin `test` without root id, environment or VM configuration; both clocks stand;
/// one stream; callbacks one at a time, without a proxy's buffering. Headers come sorted by name, one field a name, and never with the end
/// of the stream. Without a chunking plan each body is one chunk that ends the stream; with one, the expectation is about the
/// chunks put together again. After a local reply no callback runs, and later phases come out empty. A trap ends the test.
#[must_use]
pub fn run(suite: &Suite, test: &Test, module: &Module) -> Vec<String> {
    let mut failures = Vec::new();
    if let Err(error) = play(suite, test, module, &mut failures) {
        failures.push(error);
    }
    failures
}

fn play(
    suite: &Suite,
    test: &Test,
    module: &Module,
    failures: &mut Vec<String>,
) -> Result<(), String> {
    let now = match suite.time_secs {
        0 => Duration::from_millis(1),
        seconds => Duration::from_secs(seconds),
    };
    let clock = Clock::virtual_at(now);
    clock.set_monotonic(now);
    // 0 stands for info, and the others are one above the ABI's numbers.
    let level = suite.log_level.checked_sub(1).unwrap_or(2);
    let config = VmConfig {
        plugin_name: "test".to_owned(),
        plugin_configuration: suite.config.clone().into_bytes(),
        clock,
        log_level: LogLevel::from_abi(level).unwrap_or(LogLevel::Info),
        ..VmConfig::default()
    };
    let in_phase = |phase: &'static str| move |error: Error| format!("{phase}: {error}");
    let mut vm = Vm::start(module, config).map_err(in_phase("plugin_init"))?;
    test.plugin_init
        .check_logs("plugin_init", &logs(&mut vm), failures);
    let info = StreamInfo {
        properties: test
            .properties
            .iter()
            .map(|(path, value)| (path.clone(), value.clone().into_bytes()))
            .collect(),
        ..StreamInfo::default()
    };
    let id = vm.new_stream(info).map_err(in_phase("stream_init"))?;
    test.stream_init
        .check_logs("stream_init", &logs(&mut vm), failures);
    let mut stream = Stream {
        vm,
        id,
        replied: false,
    };
    if let Some(invocation) = &test.request_headers {
        stream.headers("request_headers", invocation, failures)?;
    }
    stream.bodies("request_body", &test.request_body, test, failures)?;
    if let Some(invocation) = &test.response_headers {
        stream.headers("response_headers", invocation, failures)?;
    }
    stream.bodies("response_body", &test.response_body, test, failures)?;
    let mut vm = stream.vm;
    vm.finish(id).map_err(in_phase("stream_destroy"))?;
    test.stream_destroy
        .check_logs("stream_destroy", &logs(&mut vm), failures);
    Ok(())
}

/// The suites' runner reads the number unsigned: -1, which stands for none, is the greatest.
const NO_GRPC_STATUS: i64 = u32::MAX as i64;

struct Stream {
    vm: Vm,
    id: StreamId,
    replied: bool,
}

impl Stream {
    fn headers(
        &mut self,
        phase: &str,
        invocation: &Invocation,
        failures: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut result = Phase {
            goes_on: true,
            ..Phase::default()
        };
        if !self.replied {
            let mut fields = Fields::default();
            for (name, value) in &invocation.input.headers {
                fields.add(name, value);
            }
            let headers: Headers = fields.sorted().into_iter().collect();
            let called = self
                .vm
                .call_headers(self.id, phase == "response_headers", headers, false)
                .map_err(|error| self.failed(phase, &error))?;
            // 0 goes on, 2 goes on and ends the stream.
            result.goes_on = called.reply.is_none() && matches!(called.action, 0 | 2);
            result.headers = Fields::of(called.headers.iter());
            self.note_reply(called, &mut result);
        }
        result.logs = logs(&mut self.vm);
        invocation
            .expect
            .check(phase, &invocation.input.headers, &result, failures);
        Ok(())
    }

    fn bodies(
        &mut self,
        phase: &str,
        invocations: &[Invocation],
        test: &Test,
        failures: &mut Vec<String>,
    ) -> Result<(), String> {
        let planned = test.num_chunks.is_some() || test.chunk_size.is_some();
        if planned && invocations.len() > 1 {
            return Err(format!("{phase}: a chunking plan is for one body only"));
        }
        for invocation in invocations {
            let mut result = Phase {
                goes_on: true,
                ..Phase::default()
            };
            let mut body = Vec::new();
            let chunks = test.chunks(invocation.input.body.as_bytes());
            let last = chunks.len().saturating_sub(1);
            for (position, chunk) in chunks.into_iter().enumerate() {
                // What a phase logs is what its last chunk logs.
                let _ = logs(&mut self.vm);
                if self.replied {
                    continue;
                }
                let mut called = self
                    .vm
                    .call_body(self.id, phase == "response_body", chunk, position == last)
                    .map_err(|error| self.failed(phase, &error))?;
                body.append(&mut called.body);
                if called.reply.is_some() {
                    self.note_reply(called, &mut result);
                    // A body's expectation is about the body, unless it asks for the reply.
                    if invocation.expect.immediate.is_none() {
                        result = Phase {
                            goes_on: true,
                            ..Phase::default()
                        };
                    }
                }
            }
            if result.status == 0 {
                result.body = String::from_utf8_lossy(&body).into_owned();
            }
            result.logs = logs(&mut self.vm);
            invocation.expect.check(phase, &[], &result, failures);
        }
        Ok(())
    }

    fn note_reply(&mut self, called: Called, result: &mut Phase) {
        let Some(reply) = called.reply else { return };
        self.replied = true;
        result.goes_on = false;
        result.status = u32::from(reply.status);
        result.grpc_status = reply.grpc_status.map_or(NO_GRPC_STATUS, i64::from);
        result.details = reply.details;
        // The reply's own map: a later field of one name replaces an earlier one.
        let mut headers = Headers::new();
        for (name, value) in reply.headers.iter() {
            headers.set(name, value);
        }
        result.headers = Fields::of(headers.iter());
        result.body = String::from_utf8_lossy(&reply.body).into_owned();
    }

    fn failed(&mut self, phase: &str, error: &Error) -> String {
        // With its last log lines.
        format!("{phase}: {error}")
    }
}

impl Test {
    /// A body cut by the plan; one chunk without a plan, and an empty one for an empty body.
    fn chunks<'a>(&self, body: &'a [u8]) -> Vec<&'a [u8]> {
        let (size, most) = match (self.num_chunks, self.chunk_size) {
            (Some(chunks), _) => (
                body.len().checked_div(chunks).unwrap_or(0),
                chunks.saturating_sub(1),
            ),
            (None, Some(size)) => (size, usize::MAX),
            (None, None) => (0, 0),
        };
        let mut chunks = Vec::new();
        let mut rest = body;
        while size > 0 && chunks.len() < most && rest.len() > size {
            let (chunk, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            chunks.push(chunk);
            rest = after;
        }
        chunks.push(rest);
        chunks
    }
}

fn logs(vm: &mut Vm) -> Vec<String> {
    vm.take_logs()
        .into_iter()
        .map(|line| line.message)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Test;

    /// `num_chunks`, `chunk_size`, the body, the chunks.
    type Case = (
        Option<usize>,
        Option<usize>,
        &'static str,
        &'static [&'static str],
    );

    #[test]
    fn bodies_are_cut_by_the_plan() {
        let plan = |num_chunks, chunk_size| Test {
            num_chunks,
            chunk_size,
            ..Test::default()
        };
        let cases: [Case; 9] = [
            (None, None, "12345", &["12345"]),
            (None, None, "", &[""]),
            (Some(5), None, "1234567890", &["12", "34", "56", "78", "90"]),
            (Some(3), None, "1234567890", &["123", "456", "7890"]),
            (Some(1), None, "12345", &["12345"]),
            (None, Some(2), "12345", &["12", "34", "5"]),
            (None, Some(2), "1234", &["12", "34"]),
            (None, Some(9), "1234", &["1234"]),
            (Some(4), None, "", &[""]),
        ];
        for (count, size, body, expected) in cases {
            let expected: Vec<&[u8]> = expected.iter().map(|chunk| chunk.as_bytes()).collect();
            assert_eq!(
                plan(count, size).chunks(body.as_bytes()),
                expected,
                "{body} {count:?} {size:?}"
            );
        }
    }
}
