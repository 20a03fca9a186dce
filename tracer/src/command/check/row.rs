//! One thing that was checked.

use serde::Serialize;

use crate::command::check::shortfall::Shortfall;

/// What a row belongs to, in the order of showing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Group {
    Kernel,
    Capabilities,
    Programs,
    Fault,
    Interface,
    Postgresql,
    OtherTools,
}

/// One thing that was checked, and what came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) group: Group,
    /// What was checked; with the group it says which row this is.
    pub(super) name: String,
    /// Whether it is as it should be; `None` if that could not be found out or
    /// was not asked.
    pub(super) ok: Option<bool>,
    /// Whether `tracer run` needs it.
    pub(super) required: bool,
    /// What was found, or why nothing was.
    pub(super) found: String,
    /// What is lost; only where `ok` is `Some(false)`.
    pub(super) consequence: Option<String>,
    /// What to do about it; likewise.
    pub(super) remedy: Option<String>,
}

impl Row {
    pub(super) fn yes(group: Group, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            group,
            name: name.into(),
            ok: Some(true),
            required: false,
            found: found.into(),
            consequence: None,
            remedy: None,
        }
    }

    /// A gap comes with what it costs and what helps.
    pub(super) fn no(
        group: Group,
        name: impl Into<String>,
        found: impl Into<String>,
        gap: Shortfall<impl Into<String>>,
    ) -> Self {
        Self {
            ok: Some(false),
            consequence: Some(gap.consequence.into()),
            remedy: Some(gap.remedy.into()),
            ..Self::yes(group, name, found)
        }
    }

    pub(super) fn unknown(group: Group, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            ok: None,
            ..Self::yes(group, name, why)
        }
    }

    pub(super) fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}
