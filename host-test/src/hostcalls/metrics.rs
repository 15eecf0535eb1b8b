//! ABI section Metrics.

use crate::{
    abi::{
        memory::{Answer, Cx},
        types::Status,
    },
    state::shared::MetricKind,
};

pub(super) fn define(
    cx: &mut Cx<'_, '_>,
    kind: i32,
    name: i32,
    name_size: i32,
    metric_out: i32,
) -> Answer {
    let kind = match kind {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Histogram,
        _ => return Err(Status::BadArgument.into()),
    };
    let name = cx.read(name, name_size)?;
    cx.check_u32(metric_out)?;
    let metric = cx
        .state()
        .shared
        .define_metric(kind, &String::from_utf8_lossy(&name));
    let metric = metric.map_err(|status| cx.store(status))?;
    cx.write_u32(metric_out, metric)
}

pub(super) fn record(cx: &mut Cx<'_, '_>, metric: i32, value: i64) -> Answer {
    Ok(cx
        .state()
        .shared
        .record_metric(metric.cast_unsigned(), value.cast_unsigned())?)
}

pub(super) fn increment(cx: &mut Cx<'_, '_>, metric: i32, delta: i64) -> Answer {
    Ok(cx
        .state()
        .shared
        .increment_metric(metric.cast_unsigned(), delta)?)
}

pub(super) fn get(cx: &mut Cx<'_, '_>, metric: i32, value_out: i32) -> Answer {
    let (metric, state) = (metric.cast_unsigned(), cx.state());
    let read = state.shared.read_metric(metric);
    let (name, value) = (metric.to_string(), read.unwrap_or_default());
    state.seen(
        "proxy_get_metric",
        name.as_bytes(),
        0,
        &value.to_le_bytes(),
        &read,
    );
    let value = read?;
    cx.write_u64(value_out, value)
}
