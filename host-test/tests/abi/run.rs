//! Runs one case: the program for the probe, a VM, one exchange, and what is looked at afterwards.
//!
//! Every case starts a VM of its own: a request with a body in two chunks and trailers, a response of the same kind, then waiting queues
//! and a tick. Rows say what each call answered.

use std::{collections::BTreeMap, time::Duration};

use palisade_host::{
    Callout, CalloutEvent, Clock, Clusters, Error, ForeignFunction, ForeignFunctions, LogLevel,
    LogLine, Module, Outcome, Peer, Request, Response, Shared, Status, Step as Moved, Vm, VmConfig,
};
use serde_json::{Value, json};

use crate::{
    cases::{Action, Argument, Case, Step, Wanted, map},
    functions::Function,
    probe::{
        CONTEXT, DUMP, MEMORY, OP_ALLOCATE, OP_RETURN, PHASES, ROOT, SLOTS, STEP, STREAM, TCP,
        TOKEN, WAITING, address, program,
    },
};

const STATUSES: [(&str, i32); 13] = [
    ("OK", 0),
    ("NOT_FOUND", 1),
    ("BAD_ARGUMENT", 2),
    ("SERIALIZATION_FAILURE", 3),
    ("PARSE_FAILURE", 4),
    ("BAD_EXPRESSION", 5),
    ("INVALID_MEMORY_ACCESS", 6),
    ("EMPTY", 7),
    ("CAS_MISMATCH", 8),
    ("RESULT_MISMATCH", 9),
    ("INTERNAL_FAILURE", 10),
    ("BROKEN_CONNECTION", 11),
    ("UNIMPLEMENTED", 12),
];
const ERRNOS: [(&str, i32); 6] = [
    ("SUCCESS", 0),
    ("BADF", 8),
    ("FAULT", 21),
    ("INVAL", 28),
    ("IO", 29),
    ("NOTSUP", 58),
];
/// What a row says where a call did not come back.
const NO_RETURN: &str = "NO_RETURN";
const NOT_REACHED: &str = "NOT_REACHED";

/// One call of one function in one callback.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) function: String,
    pub(crate) phase: &'static str,
    pub(crate) case: String,
    pub(crate) expected: String,
    pub(crate) got: String,
    pub(crate) passed: bool,
}

impl Row {
    pub(crate) fn json(&self) -> Value {
        json!({
            "function": self.function, "phase": self.phase, "case": self.case,
            "expected": self.expected, "got": self.got, "passed": self.passed,
        })
    }
}

/// What a run left behind.
#[derive(Default)]
struct Seen {
    results: BTreeMap<u32, Vec<u8>>,
    logs: Vec<LogLine>,
    outcome: Outcome,
    error: Option<Error>,
    shared: Shared,
    tick_period: Option<Duration>,
    callouts: Vec<Callout>,
    tcp: Vec<String>,
}

/// Runs a case; its rows, and what was wrong.
pub(crate) fn run(module: &Module, functions: &[Function], case: &Case) -> (Vec<Row>, Vec<String>) {
    let mut wrong = Vec::new();
    let slots = slots(case);
    let case = &prepared(case);
    let bytes = match encode(functions, case, &slots) {
        Ok(bytes) => bytes,
        Err(error) => return (Vec::new(), vec![error]),
    };
    let seen = world(module, case, bytes);
    let mut rows = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        let Action::Call {
            function,
            status,
            checks,
            ..
        } = &step.action
        else {
            continue;
        };
        let wasi = function.contains('.');
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let phase = PHASES[step.phase].name;
        let memory = seen.results.get(&number);
        let got = match memory {
            Some(memory) => name(wasi, word(memory, 0).cast_signed()),
            None if status == NO_RETURN => NO_RETURN.to_owned(),
            None => NOT_REACHED.to_owned(),
        };
        let passed = got == *status;
        if !passed {
            let error = seen.error.as_ref().map(|error| format!(" ({error})"));
            wrong.push(format!(
                "line {}: {phase} {function}: {got}, not {status}{}",
                step.line,
                error.unwrap_or_default()
            ));
        }
        rows.push(Row {
            function: function.clone(),
            phase,
            case: case.name.clone(),
            expected: status.clone(),
            got,
            passed,
        });
        for check in memory.into_iter().flat_map(|_| checks) {
            let memory = memory.map_or(&[][..], Vec::as_slice);
            if let Err(error) = look(memory, &slots, &check.slots, &check.wanted) {
                wrong.push(format!("line {}: {phase} {function}: {error}", step.line));
            }
        }
    }
    let failed = case
        .effects
        .iter()
        .any(|effect| effect.starts_with("error"));
    if let Some(error) = seen.error.as_ref().filter(|_| !failed) {
        wrong.push(error.to_string());
    }
    for effect in &case.effects {
        if let Err(error) = happened(effect, &seen) {
            wrong.push(format!("> {effect}: {error}"));
        }
    }
    (rows, wrong)
}

/// Whether a case has a step in a callback.
fn uses(case: &Case, phase: &str) -> bool {
    case.steps
        .iter()
        .any(|step| PHASES[step.phase].name == phase)
}

/// The case with what its callbacks need to come at all: a tick period, a queue in which something waits.
fn prepared(case: &Case) -> Case {
    let mut case = case.clone();
    let unprepared = case.settings.iter().any(|(key, _)| key == "unprepared");
    let uses = |name: &str| !unprepared && uses(&case, name);
    let (tick, queue) = (uses("tick"), uses("queue_ready"));
    let http = uses("http_call_response");
    let grpc = [
        "grpc_initial_metadata",
        "grpc_receive",
        "grpc_trailing_metadata",
        "grpc_close",
    ];
    let grpc = grpc.into_iter().any(uses);
    let configure = PHASES
        .iter()
        .position(|phase| phase.name == "configure")
        .unwrap_or_default();
    let mut add = |function: &str, arguments: Vec<Argument>| {
        case.steps.push(Step {
            phase: configure,
            run: 0,
            action: Action::Call {
                function: function.to_owned(),
                arguments,
                status: "OK".to_owned(),
                checks: Vec::new(),
            },
            line: 0,
        });
    };
    if tick {
        add(
            "proxy_set_tick_period_milliseconds",
            vec![Argument::Number(100)],
        );
    }
    if queue {
        let (name, value) = (b"waiting".to_vec(), b"item".to_vec());
        let slot = || "waiting".to_owned();
        add(
            "proxy_register_shared_queue",
            vec![Argument::Bytes(name), Argument::Out(slot())],
        );
        add(
            "proxy_enqueue_shared_queue",
            vec![Argument::Value(slot()), Argument::Bytes(value)],
        );
    }
    let text = |text: &str| Argument::Bytes(text.as_bytes().to_vec());
    let slot = || Argument::Out("waiting".to_owned());
    if http {
        let headers = [
            (":method", "GET"),
            (":path", "/"),
            (":authority", "backend"),
        ];
        let arguments = vec![
            text("backend"),
            Argument::Bytes(map(&headers)),
            text(""),
            text(""),
            Argument::Number(5000),
            slot(),
        ];
        add("proxy_http_call", arguments);
    }
    if grpc {
        let arguments = vec![
            text("backend"),
            text("service"),
            text("method"),
            text(""),
            slot(),
        ];
        add("proxy_grpc_stream", arguments);
    }
    case
}

/// The case again with the last call's pointers and sizes made invalid one by one; each must be answered so.
pub(crate) fn mutants(case: &Case) -> Vec<Case> {
    let Some((last, before)) = case.steps.split_last() else {
        return Vec::new();
    };
    let Action::Call {
        function,
        arguments,
        ..
    } = &last.action
    else {
        return Vec::new();
    };
    let status = if function.contains('.') {
        "FAULT"
    } else {
        "INVALID_MEMORY_ACCESS"
    };
    let mut mutants = Vec::new();
    let mut mutant = |what: String, arguments: Vec<Argument>| {
        let mut steps = before.to_vec();
        steps.push(Step {
            action: Action::Call {
                function: function.clone(),
                arguments,
                status: status.to_owned(),
                checks: Vec::new(),
            },
            ..last.clone()
        });
        mutants.push(Case {
            name: format!("{}, {what}", case.name),
            settings: case.settings.clone(),
            steps,
            ..Case::default()
        });
    };
    let end = i64::from(MEMORY);
    for (at, argument) in arguments.iter().enumerate() {
        let with = |numbers: &[i64]| {
            let mut all = arguments.clone();
            all.splice(
                at..=at,
                numbers.iter().map(|number| Argument::Number(*number)),
            );
            all
        };
        let (pairs, what): (&[[i64; 2]], _) = match argument {
            Argument::Bytes(_) => (
                &[
                    [end, 1],
                    [end - 1, 2],
                    [-16, 1],
                    [0, -1],
                    [16, 1 << 31],
                    [0, end + 1],
                ],
                "input",
            ),
            Argument::Vectors(_) => (
                &[
                    [end, 1],
                    [end - 7, 1],
                    [-8, 1],
                    [0, -1],
                    [0, 1 << 31],
                    [0, 0x7fff_ffff],
                ],
                "list",
            ),
            Argument::Out(_) => {
                // Two words of 64 bits may be results too; the last three bytes are too few for any.
                for number in [end, end - 3, -4, -1] {
                    mutant(format!("result {at} at {number:#x}"), with(&[number]));
                }
                continue;
            }
            Argument::Number(_) | Argument::Value(_) => continue,
        };
        for pair in pairs {
            mutant(
                format!("{what} {at} at {:#x}, {:#x} long", pair[0], pair[1]),
                with(pair),
            );
        }
    }
    mutants
}

fn name(wasi: bool, number: i32) -> String {
    let names: &[(&str, i32)] = if wasi { &ERRNOS } else { &STATUSES };
    names
        .iter()
        .find(|(_, status)| *status == number)
        .map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// The slots of a case, each 8 bytes.
fn slots(case: &Case) -> Vec<String> {
    let mut slots: Vec<String> = Vec::new();
    for step in &case.steps {
        let Action::Call { arguments, .. } = &step.action else {
            continue;
        };
        for argument in arguments {
            if let Argument::Out(name) = argument
                && !slots.contains(name)
            {
                slots.push(name.clone());
            }
        }
    }
    slots
}

fn slot(slots: &[String], name: &str) -> Result<u32, String> {
    match name {
        "context" => return Ok(CONTEXT),
        "root" => return Ok(ROOT),
        "stream" => return Ok(STREAM),
        "token" => return Ok(TOKEN),
        "waiting" => return Ok(WAITING),
        _ => {}
    }
    let at = slots.iter().position(|slot| slot == name);
    let at = at.ok_or_else(|| format!("no result `{name}`"))?;
    Ok(SLOTS + u32::try_from(at).unwrap_or(0) * 8)
}

fn encode(functions: &[Function], case: &Case, slots: &[String]) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    let mut steps = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        let (op, arguments) = match &step.action {
            Action::Return(number) => (OP_RETURN, vec![Argument::Number(*number)]),
            Action::Allocate(how) => (OP_ALLOCATE, vec![Argument::Number(how.unwrap_or(-1))]),
            Action::Call {
                function,
                arguments,
                ..
            } => {
                let op = functions.iter().position(|known| known.name == *function);
                let op =
                    op.ok_or_else(|| format!("line {}: no function `{function}`", step.line))?;
                (u32::try_from(op).unwrap_or(u32::MAX), arguments.clone())
            }
        };
        let mut numbers: Vec<i64> = Vec::new();
        let mut loaded = 0_u32;
        for argument in &arguments {
            match argument {
                Argument::Number(number) => numbers.push(*number),
                Argument::Bytes(bytes) => {
                    numbers.extend([address(data.len()), length(bytes.len())]);
                    data.extend_from_slice(bytes);
                }
                Argument::Vectors(list) => {
                    let mut entries = Vec::new();
                    for bytes in list {
                        entries.extend(low(address(data.len())).to_le_bytes());
                        entries.extend(low(length(bytes.len())).to_le_bytes());
                        data.extend_from_slice(bytes);
                    }
                    numbers.extend([address(data.len()), length(list.len())]);
                    data.extend(entries);
                }
                Argument::Out(name) => numbers.push(slot(slots, name)?.into()),
                Argument::Value(name) => {
                    loaded |= 1 << numbers.len();
                    numbers.push(slot(slots, name)?.into());
                }
            }
        }
        if let Action::Call { function, .. } = &step.action {
            let wanted = functions.iter().find(|known| known.name == *function);
            if wanted.is_some_and(|wanted| wanted.wide.len() != numbers.len()) {
                return Err(format!(
                    "line {}: {function} has another number of arguments",
                    step.line
                ));
            }
        }
        let mut bytes = [0; STEP];
        let phase = u32::try_from(step.phase).unwrap_or(u32::MAX) | (step.run << 16);
        let head = [phase, op, u32::try_from(number).unwrap_or(u32::MAX), loaded];
        let all = head.into_iter().flat_map(u32::to_le_bytes);
        let all = all.chain(numbers.into_iter().flat_map(i64::to_le_bytes));
        for (place, byte) in bytes.iter_mut().zip(all) {
            *place = byte;
        }
        steps.push(bytes);
    }
    Ok(program(&steps, &data))
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn low(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn request(case: &Case) -> Request {
    let request = Request::new("POST", "/path?query=1")
        .header("x-a", "1")
        .header("x-a", "2")
        .header("x-empty", "");
    if case.settings.iter().any(|(key, _)| key == "bare") {
        return request;
    }
    let request = request.chunk("request ").chunk("body");
    if case.settings.iter().any(|(key, _)| key == "no_trailers") {
        return request;
    }
    request.trailer("x-request-trailer", "t")
}

fn response(case: &Case) -> Response {
    let mut response = Response::new(200, "").header("x-response", "r");
    if case.settings.iter().any(|(key, _)| key == "bare") {
        return response;
    }
    response.chunks = vec![b"response ".to_vec(), b"body".to_vec()];
    response.trailers = Some([("x-response-trailer", "t")].into());
    response
}

/// Starts a VM, gives it an exchange, queues and a tick, and looks at everything.
fn world(module: &Module, case: &Case, program: Vec<u8>) -> Seen {
    let shared = Shared::new();
    // Written once, read by the probe's first callback.
    let _ = shared.set(b"program", &program, 0);
    let mut seen = Seen {
        shared: shared.clone(),
        ..Seen::default()
    };
    let mut config = VmConfig {
        root_id: "root".to_owned(),
        plugin_name: "probe".to_owned(),
        vm_configuration: b"vm configuration".to_vec(),
        plugin_configuration: b"plugin configuration".to_vec(),
        shared: shared.clone(),
        clock: Clock::virtual_at(Duration::from_secs(1_785_542_400)),
        seed: Some(7),
        ..VmConfig::default()
    };
    let mut clusters = Clusters::named(["backend"]);
    let mut answer = String::new();
    for (key, value) in &case.settings {
        match key.as_str() {
            "vm_id" => config.vm_id.clone_from(value),
            "log_level" => {
                config.log_level = LogLevel::from_abi(level(value)).unwrap_or(LogLevel::Trace)
            }
            "env" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                config.environment.push((name.to_owned(), value.to_owned()));
            }
            "clusters" => clusters = Clusters::named(value.split(' ')),
            "answer" => answer.clone_from(value),
            "stop_iteration" => config.allow_on_headers_stop_iteration = true,
            _ => {}
        }
    }
    config.clusters = clusters;
    config.foreign_functions = foreign_functions();
    config.callouts = Some(Box::new(move |callout| answers(callout, &answer)));
    match Vm::start(module, config) {
        Ok(mut vm) => {
            if let Err(error) = live(&mut vm, case, &mut seen) {
                seen.error = Some(error);
            }
            seen.logs.extend(vm.take_logs());
        }
        Err(error) => seen.error = Some(error),
    }
    for (key, value) in shared.data() {
        if let Some([a, b, c, d]) = key.strip_prefix(b"r\0\0\0") {
            seen.results
                .insert(u32::from_le_bytes([*a, *b, *c, *d]), value);
        }
    }
    seen
}

/// `upper` answers its arguments in capitals, `nothing` no bytes, `broken` a failure.
fn foreign_functions() -> ForeignFunctions {
    let upper: ForeignFunction = Box::new(|arguments| Ok(arguments.to_ascii_uppercase()));
    let nothing: ForeignFunction = Box::new(|_| Ok(Vec::new()));
    let broken: ForeignFunction = Box::new(|_| Err(Status::InternalFailure));
    [("upper", upper), ("nothing", nothing), ("broken", broken)]
        .map(|(name, function)| (name.to_owned(), function))
        .into()
}

/// A connection: two pieces from the client, one from the upstream, both sides closed. What went on is kept.
fn connection(vm: &mut Vm, seen: &mut Seen) -> Result<(), Error> {
    let mut forwarded = |step: Moved| match step {
        Moved::Continue(forward) => seen
            .tcp
            .push(String::from_utf8_lossy(&forward.body).into_owned()),
        Moved::Paused => seen.tcp.push("paused".to_owned()),
        Moved::LocalReply(_) => seen.tcp.push("closed".to_owned()),
    };
    let (id, step) = vm.new_connection(Request::get("/").info)?;
    let mut open = !matches!(step, Moved::LocalReply(_));
    for (of_upstream, data, end) in [
        (false, "down", false),
        (false, "stream", true),
        (true, "up", true),
    ] {
        if !open {
            break;
        }
        let step = if of_upstream {
            vm.upstream_data(id, data.as_bytes(), end)?
        } else {
            vm.downstream_data(id, data.as_bytes(), end)?
        };
        open = !matches!(step, Moved::LocalReply(_));
        forwarded(step);
    }
    if open {
        vm.downstream_close(id, Peer::Remote)?;
    }
    vm.finish(id)?;
    Ok(())
}

/// What call-outs get, 10 ms later: a response or a stream's four events; `answer` is `failure`, `never` or nothing.
fn answers(callout: &Callout, answer: &str) -> Vec<(Duration, CalloutEvent)> {
    let events = match (callout, answer) {
        (_, "never") | (Callout::GrpcSend { .. } | Callout::Cancel { .. }, _) => Vec::new(),
        (Callout::Http { .. }, "failure") => vec![CalloutEvent::HttpFailure],
        (Callout::Http { .. }, _) => vec![CalloutEvent::HttpResponse {
            headers: [(":status", "200"), ("x-call", "c")].into(),
            body: b"call body".to_vec(),
            trailers: [("x-call-trailer", "t")].into(),
        }],
        (Callout::Grpc { .. } | Callout::GrpcOpen { .. }, "failure") => {
            vec![CalloutEvent::GrpcClose {
                status: 14,
                message: "down".to_owned(),
            }]
        }
        (Callout::Grpc { .. }, _) => vec![CalloutEvent::GrpcMessage(b"reply".to_vec())],
        (Callout::GrpcOpen { .. }, _) => vec![
            CalloutEvent::GrpcInitialMetadata([("x-initial", "i")].into()),
            CalloutEvent::GrpcMessage(b"message".to_vec()),
            CalloutEvent::GrpcTrailingMetadata([("x-trailing", "t")].into()),
            CalloutEvent::GrpcClose {
                status: 0,
                message: "bye".to_owned(),
            },
        ],
        _ => Vec::new(),
    };
    let delay = Duration::from_millis(10);
    events.into_iter().map(|event| (delay, event)).collect()
}

fn live(vm: &mut Vm, case: &Case, seen: &mut Seen) -> Result<(), Error> {
    seen.logs.extend(vm.take_logs());
    // `tick` and `queue_ready` come only to those who asked.
    seen.tick_period = vm.tick_period();
    let outcome = vm.exchange(&request(case), |_| response(case))?;
    seen.logs.extend(outcome.logs.iter().cloned());
    seen.outcome = outcome;
    vm.deliver_queues()?;
    vm.tick()?;
    if TCP.iter().any(|phase| uses(case, phase)) {
        connection(vm, seen)?;
    }
    if uses(case, "foreign_function") {
        vm.foreign_function(7, b"foreign arguments")?;
    }
    vm.advance(Duration::from_secs(10))?;
    seen.callouts.clone_from(&seen.outcome.callouts);
    seen.tick_period = vm.tick_period();
    Ok(())
}

fn level(name: &str) -> u32 {
    let names = ["trace", "debug", "info", "warn", "error", "critical"];
    let at = names.iter().position(|level| *level == name);
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
}

fn word(memory: &[u8], at: u32) -> u32 {
    let at = at as usize;
    let bytes = memory
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(u32::MAX, u32::from_le_bytes)
}

fn look(memory: &[u8], names: &[String], slots: &[String], wanted: &Wanted) -> Result<(), String> {
    let at = |name: &String| slot(names, name);
    let first = at(slots.first().ok_or("no slot")?)?;
    let number = word(memory, first);
    let wide = i64::from(number) | (i64::from(word(memory, first + 4)) << 32);
    let held = match wanted {
        Wanted::Number(wanted) if i64::from(number) == *wanted & 0xffff_ffff => return Ok(()),
        Wanted::Number(_) => number.to_string(),
        Wanted::NotZero if number != 0 => return Ok(()),
        Wanted::NotZero => "0".to_owned(),
        Wanted::Wide(wanted) if wide == *wanted => return Ok(()),
        Wanted::Wide(_) => wide.to_string(),
        Wanted::Bytes(wanted) => {
            let size = match slots.get(1) {
                Some(slot) => word(memory, at(slot)?) as usize,
                // The bytes themselves are in the slot.
                None => wanted.len(),
            };
            let start = if slots.len() > 1 {
                number as usize
            } else {
                first as usize
            };
            if start + size > DUMP as usize {
                return Err(format!("{size} bytes at {start}, past what is kept"));
            }
            let bytes = memory.get(start..start + size).unwrap_or_default();
            if bytes == wanted.as_slice() {
                return Ok(());
            }
            bytes.escape_ascii().to_string()
        }
    };
    Err(format!("{}: {held}, not {wanted:?}", slots.join("+")))
}

/// Whether an effect was seen.
fn happened(effect: &str, seen: &Seen) -> Result<(), String> {
    let (what, rest) = effect.split_once(' ').unwrap_or((effect, ""));
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let one = |held: String| {
        if held == rest {
            Ok(())
        } else {
            Err(format!("was `{held}`"))
        }
    };
    let pair = || rest.split_once(' ').unwrap_or((rest, ""));
    let upstream = seen.outcome.upstream.as_ref();
    match what {
        "log" => {
            let lines: Vec<String> = seen.logs.iter().map(ToString::to_string).collect();
            let (level, message) = pair();
            let wanted = format!("[{level}] {message}");
            if lines.contains(&wanted) {
                Ok(())
            } else {
                Err(format!("{lines:?}"))
            }
        }
        "no_log" => {
            if seen.logs.is_empty() {
                Ok(())
            } else {
                Err(format!("{:?}", seen.logs))
            }
        }
        "error" => {
            let error = seen
                .error
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            if error.contains(rest) && !error.is_empty() {
                Ok(())
            } else {
                Err(format!("was `{error}`"))
            }
        }
        "status" => one(seen.outcome.status.to_string()),
        "body" => one(text(&seen.outcome.body)),
        "paused" => one_bool(seen.outcome.paused),
        "reset" => one_bool(
            seen.outcome
                .local_reply
                .as_ref()
                .is_some_and(|reply| reply.reset),
        ),
        "details" => one(seen
            .outcome
            .local_reply
            .as_ref()
            .map_or_else(String::new, |reply| reply.details.clone())),
        "header" => {
            let (name, value) = pair();
            let held = seen
                .outcome
                .headers
                .get_all(name)
                .map(text)
                .collect::<Vec<_>>()
                .join(",");
            if held == value {
                Ok(())
            } else {
                Err(format!("was `{held}`"))
            }
        }
        "trailer" => {
            let (name, value) = pair();
            let held = seen
                .outcome
                .trailers
                .iter()
                .flat_map(|list| list.get_all(name).map(text).collect::<Vec<_>>());
            let held = held.collect::<Vec<_>>().join(",");
            if held == value {
                Ok(())
            } else {
                Err(format!("was `{held}`"))
            }
        }
        "no_upstream" => one_bool(upstream.is_none()),
        "upstream_body" => one(upstream
            .map(|upstream| text(&upstream.body))
            .unwrap_or_default()),
        "upstream_header" => {
            let (name, value) = pair();
            let held = upstream
                .into_iter()
                .flat_map(|upstream| upstream.headers.get_all(name).map(text).collect::<Vec<_>>());
            let held = held.collect::<Vec<_>>().join(",");
            if held == value {
                Ok(())
            } else {
                Err(format!("was `{held}`"))
            }
        }
        "upstream_trailer" => {
            let (name, value) = pair();
            let trailers = upstream.and_then(|upstream| upstream.trailers.as_ref());
            let held = trailers
                .into_iter()
                .flat_map(|list| list.get_all(name).map(text).collect::<Vec<_>>());
            let held = held.collect::<Vec<_>>().join(",");
            if held == value {
                Ok(())
            } else {
                Err(format!("was `{held}`"))
            }
        }
        "metric" => {
            let (name, value) = pair();
            let held = seen
                .shared
                .metric(name)
                .map_or_else(String::new, |value| value.to_string());
            if held == value {
                Ok(())
            } else {
                Err(format!("was `{held}`"))
            }
        }
        "data" => {
            let (key, value) = pair();
            let held = seen
                .shared
                .get(key.as_bytes())
                .map(|(value, _)| text(&value))
                .unwrap_or_default();
            if held == value {
                Ok(())
            } else {
                Err(format!("was `{held}`"))
            }
        }
        "filter_state" => {
            let (key, value) = pair();
            let held = seen
                .outcome
                .filter_state
                .get(key)
                .map(|value| text(value))
                .unwrap_or_default();
            if held == value {
                Ok(())
            } else {
                Err(format!("was `{held}`"))
            }
        }
        "callout" => {
            let list: Vec<String> = seen
                .callouts
                .iter()
                .map(|callout| format!("{callout:?}"))
                .collect();
            if list.iter().any(|callout| callout.contains(rest)) {
                Ok(())
            } else {
                Err(format!("{list:?}"))
            }
        }
        "tcp" => one(seen.tcp.join(" ")),
        "callouts" => one(seen.callouts.len().to_string()),
        "tick_period" => one(seen.tick_period.map_or_else(
            || "none".to_owned(),
            |period| period.as_millis().to_string(),
        )),
        _ => Err("no such effect".to_owned()),
    }
}

fn one_bool(held: bool) -> Result<(), String> {
    if held {
        Ok(())
    } else {
        Err("was not so".to_owned())
    }
}
