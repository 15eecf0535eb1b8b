//! An experiment in our host: the pieces as Envoy's HTTP/1 codec would hand them over.

use std::time::Duration;

use palisade_host::{
    Callout, CalloutEvent, CalloutScript, Clock, Clusters, Headers, LogLevel, Module, Request,
    Response, Vm, VmConfig,
};

use super::experiment::{Experiment, Field, Message, Sight, outcome};

/// One byte a character.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect()
}

fn add(headers: &mut Headers, fields: &[Field]) {
    for (name, value) in fields {
        headers.add(name, latin1(value));
    }
}

fn trailers(message: &Message) -> Option<Headers> {
    (!message.trailers.is_empty()).then(|| {
        let mut trailers = Headers::new();
        add(&mut trailers, &message.trailers);
        trailers
    })
}

fn chunks(message: &Message) -> Vec<Vec<u8>> {
    message
        .chunks
        .iter()
        .map(|chunk| chunk.clone().into_bytes())
        .collect()
}

fn request(experiment: &Experiment) -> Request {
    let asked = &experiment.request;
    let mut headers = Headers::from([
        (":authority", "example.com"),
        (":path", asked.path.as_deref().unwrap_or("/")),
        (":method", asked.method.as_deref().unwrap_or("GET")),
        (":scheme", "http"),
        (
            "x-probe",
            &format!("{}|{}", experiment.name, experiment.script),
        ),
    ]);
    // Envoy's codec takes a request's framing off, not a response's.
    let fields: Vec<Field> = asked
        .fields()
        .into_iter()
        .filter(|(name, _)| name != "transfer-encoding")
        .collect();
    add(&mut headers, &fields);
    headers.add("x-forwarded-proto", "http");
    let mut request = Request::get("/");
    request.headers = headers;
    request.chunks = chunks(asked);
    request.trailers = trailers(asked);
    request
}

fn response(experiment: &Experiment) -> Response {
    let answer = &experiment.response;
    let mut headers = Headers::from([(":status", answer.status.unwrap_or(200).to_string())]);
    let fields = answer.fields();
    if !answer.length
        && answer.status != Some(204)
        && experiment.request.method.as_deref() != Some("HEAD")
        && answer.chunks.is_empty()
        && answer.trailers.is_empty()
    {
        headers.add("content-length", "0");
    }
    add(&mut headers, &fields);
    Response {
        headers,
        chunks: chunks(answer),
        trailers: trailers(answer),
    }
}

fn pairs(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// What the upstream and the network answer to call-outs: Envoy hands a refused connection and a time-out over as responses of its own.
fn callouts(experiment: &Experiment) -> CalloutScript {
    let answer = response(experiment);
    let own = |status: u16, text: &str| CalloutEvent::HttpResponse {
        headers: Headers::from([
            (":status", status.to_string()),
            ("content-length", text.len().to_string()),
            ("content-type", "text/plain".to_owned()),
        ]),
        body: text.as_bytes().to_vec(),
        trailers: Headers::new(),
    };
    let mut of_upstream = answer.headers.clone();
    of_upstream.add("x-envoy-upstream-service-time", "0");
    let refused = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
    let (refused, late) = (own(503, refused), own(504, "upstream request timeout"));
    Box::new(move |callout| {
        let event = match callout {
            Callout::Http { cluster, .. } if cluster == "refusing" => refused.clone(),
            Callout::Http {
                headers, timeout, ..
            } if headers.get(":path") == Some(b"/callout-never") => {
                return vec![(*timeout, late.clone())];
            }
            Callout::Http { .. } => CalloutEvent::HttpResponse {
                headers: of_upstream.clone(),
                body: answer.chunks.concat(),
                trailers: Headers::new(),
            },
            _ => return Vec::new(),
        };
        vec![(Duration::from_millis(1), event)]
    })
}

/// Runs one experiment; the outcome in its compared form.
pub(crate) fn run(module: &Module, experiment: &Experiment) -> String {
    let config = VmConfig {
        plugin_name: "probe".to_owned(),
        vm_id: if experiment.filter == "plain" {
            "edge".to_owned()
        } else {
            experiment.filter.clone()
        },
        vm_configuration: b"vm-text".to_vec(),
        plugin_configuration: b"plugin-text".to_vec(),
        clock: Clock::virtual_at(Duration::from_secs(1_790_000_000)),
        log_level: LogLevel::Warn,
        clusters: Clusters::named(["upstream", "refusing"]),
        callouts: Some(callouts(experiment)),
        allow_on_headers_stop_iteration: experiment.filter == "stop",
        ..VmConfig::default()
    };
    let mut vm = Vm::start(module, config).unwrap();
    let mut whole = false;
    let result = vm.exchange(&request(experiment), |_| {
        whole = true;
        response(experiment)
    });
    let seen = match result {
        Ok(seen) => seen,
        Err(error) => return format!("our host: {error}\n"),
    };
    let bodiless =
        matches!(seen.status, 204 | 304) || experiment.request.method.as_deref() == Some("HEAD");
    let reset = seen.local_reply.as_ref().is_some_and(|reply| reply.reset);
    let client = if seen.status == 0 && seen.local_reply.is_none() {
        Sight {
            start: "nothing".to_owned(),
            ..Sight::default()
        }
    } else if reset && seen.status == 0 {
        Sight {
            start: "cut".to_owned(),
            ..Sight::default()
        }
    } else {
        Sight {
            start: seen.status.to_string(),
            headers: pairs(&seen.headers),
            body: if bodiless {
                Vec::new()
            } else {
                seen.body.clone()
            },
            trailers: seen.trailers.as_ref().map(pairs).unwrap_or_default(),
            end: if reset {
                "cut"
            } else if seen.paused && seen.local_reply.is_none() {
                "nothing"
            } else {
                ""
            },
        }
    };
    let upstream = seen.upstream.as_ref().map(|upstream| Sight {
        start: format!(
            "{} {}",
            upstream.headers.text(":method").unwrap_or_default(),
            upstream.headers.text(":path").unwrap_or_default()
        ),
        headers: pairs(&upstream.headers),
        body: upstream.body.clone(),
        trailers: upstream.trailers.as_ref().map(pairs).unwrap_or_default(),
        end: if !whole { "cut" } else { "" },
    });
    let mark = format!("probe[{}] ", experiment.name);
    // What comes after the stream's end.
    let later = vm
        .advance(Duration::from_secs(1))
        .map(|_| vm.take_logs())
        .unwrap_or_default();
    let lines: Vec<String> = seen
        .logs
        .iter()
        .chain(&later)
        .filter_map(|line| {
            line.message
                .split_once(&mark)
                .map(|(_, text)| text.to_owned())
        })
        .collect();
    outcome(&client, upstream.as_ref(), &lines)
}
