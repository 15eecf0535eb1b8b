//! Injection detection (this file becomes `injection/mod.rs` with a module per language).

use alloc::vec::Vec;

use crate::finding::Findings;
use crate::pattern::Pattern;
use crate::request::RequestHead;
use crate::request::body::BodyKind;
use crate::verdict::Denial;

/// The compiled `injection` section.
#[derive(Debug, Clone)]
pub struct InjectionStage {
    /// 1..=4: how suspicious.
    pub level: u8,
    /// Score that blocks.
    pub threshold: u32,
    /// What is looked at.
    pub inspect: Parts,
    /// Narrow exceptions.
    pub except: Vec<Exception>,
    /// Operator patterns; each match scores `score` as class `custom`.
    pub patterns: Vec<OperatorPattern>,
}

/// Which parts of a request are inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Path and query.
    pub target: bool,
    /// Header values.
    pub headers: bool,
    /// Cookies.
    pub cookies: bool,
    /// Bodies.
    pub body: bool,
}

/// Attack classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An operator's pattern.
    Custom,
    /// Shell.
    Shell,
    /// SQL.
    Sqli,
    /// Path traversal.
    Traversal,
    /// Cross-site scripting.
    Xss,
}

impl Class {
    /// Name in the policy and in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Shell => "shell",
            Self::Sqli => "sqli",
            Self::Traversal => "traversal",
            Self::Xss => "xss",
        }
    }
}

/// An exception: all given parts must hold.
#[derive(Debug, Clone)]
pub struct Exception {
    /// Route name; `None`: any.
    pub route: Option<Vec<u8>>,
    /// Field (parameter, cookie, header or body field name); `None`: any.
    pub field: Option<Vec<u8>>,
    /// Classes; empty: all.
    pub classes: Vec<Class>,
}

/// An operator's pattern.
#[derive(Debug, Clone)]
pub struct OperatorPattern {
    /// Name.
    pub name: Vec<u8>,
    /// Matcher.
    pub pattern: Pattern,
    /// Points.
    pub score: u32,
}

impl InjectionStage {
    /// Inspects target, headers and cookies. `route` is the matched route's name.
    ///
    /// # Errors
    /// `Injection` when the score reaches the threshold, `InspectionBudget` when `steps` runs out.
    pub fn inspect_head(
        &self,
        _head: &RequestHead<'_>,
        _route: &[u8],
        _steps: &mut u64,
        _found: &mut Findings,
    ) -> Result<(), Denial> {
        Ok(())
    }

    /// Inspects a whole body. The score starts anew.
    ///
    /// # Errors
    /// As [`InjectionStage::inspect_head`], and `MalformedBody`.
    pub fn inspect_body(
        &self,
        _kind: BodyKind,
        _body: &[u8],
        _route: &[u8],
        _steps: &mut u64,
        _found: &mut Findings,
    ) -> Result<(), Denial> {
        Ok(())
    }
}
