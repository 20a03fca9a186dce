//! The picture of the house: which rooms there are, and which others each may use. A room
//! is a module of the crate's root. Each stands above those that it uses.

/// Rooms, and what each may use.
pub(crate) type Rooms = &'static [(&'static str, &'static [&'static str])];

/// Which rooms of the program each may use.
pub(crate) const ALLOWED: Rooms = &[
    ("lib", &[]),
    (
        "foreign",
        &["command", "config", "kernel", "postgres", "programs"],
    ),
    (
        "command",
        &[
            "cli",
            "commit_trace",
            "config",
            "files",
            "inject",
            "kernel",
            "postgres",
            "programs",
            "terminal",
        ],
    ),
    ("terminal", &["files", "kernel"]),
    ("config", &["cli", "inject", "postgres", "time"]),
    ("cli", &["inject", "postgres"]),
    ("programs", &["files", "kernel"]),
    ("postgres", &["kernel"]),
    ("commit_trace", &["kernel"]),
    ("inject", &["kernel", "time"]),
    ("files", &["kernel"]),
    ("kernel", &[]),
    ("time", &[]),
];

/// Which modules of the core each may use.
pub(crate) const ALLOWED_IN_CORE: Rooms = &[
    ("lib", &[]),
    (
        "assemble",
        &[
            "by_kind",
            "clock",
            "diagnosis",
            "evidence",
            "interval",
            "phases",
            "recording",
            "report",
            "text",
        ],
    ),
    (
        "diagnosis",
        &[
            "awaited",
            "evidence",
            "interval",
            "recording",
            "report",
            "text",
        ],
    ),
    ("phases", &["evidence", "interval", "recording", "report"]),
    (
        "evidence",
        &["awaited", "interval", "recording", "report", "text"],
    ),
    ("awaited", &["report"]),
    ("compare", &["harmless", "merge", "report", "text"]),
    ("merge", &["evidence", "harmless", "interval", "report"]),
    (
        "render",
        &[
            "by_kind",
            "clock",
            "compare",
            "harmless",
            "merge",
            "metrics",
            "recording",
            "report",
            "spread",
            "text",
        ],
    ),
    (
        "recording",
        &[
            "address",
            "by_kind",
            "clock",
            "event",
            "interval",
            "kernel_counters",
            "peer_port",
            "report",
            "spread",
            "text",
        ],
    ),
    ("metrics", &["spread"]),
    (
        "report",
        &[
            "address",
            "by_kind",
            "clock",
            "harmless",
            "peer_port",
            "spread",
            "text",
        ],
    ),
    ("peer_port", &[]),
    ("kernel_counters", &[]),
    ("event", &[]),
    ("harmless", &["text"]),
    ("text", &[]),
    ("interval", &[]),
    ("by_kind", &[]),
    ("clock", &[]),
    ("address", &[]),
    ("spread", &[]),
];

/// Folders whose modules do not use each other, but for those that are named: one command
/// is not made of others, and one cause knows nothing of the others.
pub(crate) const APART: Rooms = &[
    ("tracer/src/command", &["document", "log", "signals"]),
    ("tracer/core/src/diagnosis/cause", &[]),
];
