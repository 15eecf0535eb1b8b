//! Which driver can run which case.
//!
//! **Invariant:** a case that a driver cannot run is skipped with a reason; nothing is left out silently.

use super::format::{Case, File, Request};

/// Why `driver` cannot run the case; `None`: it can.
#[must_use]
pub fn unable(file: &File, case: &Case, driver: &str) -> Option<String> {
    if !file.runs_on(case, driver) {
        let drivers = if case.drivers.is_empty() {
            &file.drivers
        } else {
            &case.drivers
        };
        return Some(format!("it is for {}", drivers.join(" and ")));
    }
    match driver {
        "native" => engine(file, case),
        "envoy" => envoy(file, case),
        _ => None,
    }
}

/// The engine alone has no host around it.
fn engine(file: &File, case: &Case) -> Option<String> {
    if file.policy_of(case).is_none() {
        return Some("it is not a case of our own filter: it has no policy".to_owned());
    }
    if !case.callouts.is_empty() {
        return Some("the engine makes no call-outs".to_owned());
    }
    case.requests.iter().find_map(|request| {
        let needs = if request.step.is_some() {
            Some("step")
        } else if request.response.is_some() {
            Some("response")
        } else {
            request.expect.0.needs_a_filter()
        };
        needs.map(|what| format!("the engine alone cannot show `{what}`"))
    })
}

/// A real Envoy has no virtual clock, no scripted peers, and shows of its inside the log and the metrics.
fn envoy(file: &File, case: &Case) -> Option<String> {
    if let Some(name) = file.without_functions.first() {
        return Some(format!("it has the function {name}"));
    }
    if !case.callouts.is_empty() {
        return Some("its call-outs are scripted".to_owned());
    }
    let looks = case
        .requests
        .iter()
        .any(|request| request.expect.0.looks_inside());
    if looks && file.policy_of(case).is_some() {
        return Some("our filter's log in Envoy is its events: expect `event`".to_owned());
    }
    case.requests.iter().find_map(in_envoy)
}

fn in_envoy(request: &Request) -> Option<String> {
    let moved = [
        request.advance,
        request.advance_wall,
        request.advance_monotonic,
    ];
    let names_peer = request.headers.iter().any(|line| {
        format!("{:?}", line.name)
            .to_ascii_lowercase()
            .contains("x-forwarded-for")
    });
    let response = request.response.as_ref();
    let reason = if request.step.is_some() {
        "it has a step besides requests"
    } else if moved.iter().any(|step| step.ms != 0) {
        "it moves the clock"
    } else if request.fault.is_some() {
        "it breaks the host"
    } else if names_peer {
        "it fakes x-forwarded-for"
    } else if !request.properties.is_empty() {
        "it sets properties"
    } else if request.certificate.is_some() {
        "its client has a certificate"
    } else if response.is_some_and(|response| !response.trailers.is_empty()) {
        "the upstream sends trailers"
    } else if let Some(what) = request.expect.0.needs_our_host() {
        return Some(format!("Envoy does not show `{what}`"));
    } else {
        return None;
    };
    Some(reason.to_owned())
}
