//! `limits[].cost`: what a request is charged.
//!
//! **In:** a number or a map as written. **Out:** [`Cost`].
//! **Invariant:** a cost that a quota of the limit can never hold is an error.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use serde_json::{Value, json};

use crate::policy::compile::Compiler;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Path, section};
use crate::policy::values::{Count, HeaderName, Size};
use crate::stages::limits::{Algorithm, Cost, Limit};

type Units = Count<1, 1_000_000>;

section! {
    /// A cost that depends on the request: by one of `header`, `body`, `injection_score`.
    struct CostMap {
        /// A header that says it, in digits. The client chooses it, unless the application's own front sets it.
        header: Option<HeaderName>,
        /// (of a header) The most; also the cost of what is no number.
        max: Option<Units>,
        /// (of a header) The cost of a request without it; 1 when absent.
        missing: Option<Units>,
        /// One for each started so many bytes of the body, such as `1KiB`.
        body: Option<Size>,
        /// One for each started so many points of findings; a request without any is not counted.
        injection_score: Option<Units>,
    }
}

/// What a request is charged.
#[derive(Debug, Clone)]
pub(crate) struct CostConfig(pub(crate) Cost);

impl CostConfig {
    fn of(map: CostMap) -> Option<Cost> {
        Some(match map {
            CostMap {
                header: Some(name),
                max: Some(max),
                missing,
                body: None,
                injection_score: None,
            } => Cost::Header {
                name: name.0,
                max: max.0,
                missing: missing.map_or(1, |it| it.0),
            },
            CostMap {
                header: None,
                max: None,
                missing: None,
                body: Some(unit),
                injection_score: None,
            } if unit.0.0 > 0 => Cost::Body(unit.0.0),
            CostMap {
                header: None,
                max: None,
                missing: None,
                body: None,
                injection_score: Some(points),
            } => Cost::Score(points.0),
            _ => return None,
        })
    }
}

impl FromNode for CostConfig {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        if !matches!(node, Node::Map(_)) {
            return Units::read(node, at, errors).map(|units| Self(Cost::Fixed(units.0)));
        }
        let map = CostMap::read(node, at, errors)?;
        if !errors.is_empty() {
            // What was faulty is not there.
            return None;
        }
        let cost = Self::of(map);
        if cost.is_none() {
            errors.push(at, "not one cost", Self::help());
        }
        cost.map(Self)
    }

    fn schema() -> Value {
        json!({ "oneOf": [Units::schema(), CostMap::schema()] })
    }

    fn help() -> String {
        "write a number, `{ header: NAME, max: 100 }`, `{ body: 1KiB }` or `{ injection_score: 5 }`"
            .to_owned()
    }
}

impl Compiler<'_> {
    /// Whether it can be paid, and is known in time.
    pub(super) fn check_cost(&mut self, at: &Path, limit: &Limit) {
        let at = at.key("cost");
        let (least, _) = limit.quotas();
        let capacity = match limit.algorithm {
            Algorithm::TokenBucket => limit.burst,
            _ => least,
        };
        let dearest = match &limit.cost {
            Cost::Fixed(cost) => *cost,
            Cost::Header { max, missing, .. } => {
                if missing > max {
                    self.errors.push(
                        &at.key("missing"),
                        "more than `max`",
                        format!("write at most {max}"),
                    );
                }
                *max
            }
            Cost::Body(_) | Cost::Score(_) => 1,
        };
        if dearest > capacity && self.errors.is_empty() {
            let problem = format!("`{dearest}` is more than all that the limit holds");
            self.errors.push(
                &at,
                problem,
                format!("write at most {capacity}, or a larger quota"),
            );
        }
        if limit.failures && matches!(limit.cost, Cost::Body(_) | Cost::Score(_)) {
            self.errors.push(
                &at,
                "known only after the credential was verified",
                "count failures by a number or a header",
            );
        }
    }
}
