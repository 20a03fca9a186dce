//! Root that has no more than some capabilities.

/// What tracing takes on every kernel. Before 5.11 maps are locked memory, of which only
/// `sys_resource` allows enough.
pub(crate) const TRACING: [&str; 4] = ["bpf", "perfmon", "dac_override", "sys_resource"];

/// The words before a command that run it as root with these capabilities and no others.
pub(crate) fn root_with(capabilities: &[&str]) -> Vec<String> {
    let kept: String = capabilities.iter().map(|one| format!(",+{one}")).collect();
    bounded(&format!("-all{kept}"))
}

/// Those that run it as root with all capabilities but these.
pub(crate) fn root_without(capabilities: &[&str]) -> Vec<String> {
    let dropped = capabilities.iter().map(|one| format!("-{one}"));
    bounded(&dropped.collect::<Vec<_>>().join(","))
}

/// Those that run it as nobody, with no capability.
pub(crate) fn nobody() -> Vec<String> {
    let words = [
        "setpriv",
        "--reuid",
        "nobody",
        "--regid",
        "nogroup",
        "--clear-groups",
        "--",
    ];
    words.map(str::to_owned).to_vec()
}

/// Those that run it as an ordinary user with these capabilities.
pub(crate) fn user_with(user: u32, capabilities: &[&str]) -> Vec<String> {
    let user = user.to_string();
    let held: Vec<String> = capabilities.iter().map(|one| format!("+{one}")).collect();
    let held = held.join(",");
    [
        &["setpriv", "--reuid", &user, "--regid", &user][..],
        &["--clear-groups", "--inh-caps", &held],
        &["--ambient-caps", &held, "--"],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned)
    .collect()
}

fn bounded(set: &str) -> Vec<String> {
    let words = ["setpriv", "--bounding-set", set, "--inh-caps", "-all", "--"];
    words.map(str::to_owned).to_vec()
}
