//! Where the program of a fault hangs.

/// Where the program hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// A TCX link (Linux 6.6): the kernel removes it when the tool ends.
    Tcx,
    /// A filter of `clsact`.
    Clsact,
    /// A filter of a queueing discipline `prio`, with netem in one of its classes.
    Prio,
}

impl Hook {
    /// As reported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Prio => "prio",
        }
    }
}
