//! What a run may still do once everything is attached.

use caps::Capability::{
    CAP_BPF, CAP_DAC_OVERRIDE, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE,
};

use crate::config::{Config, Namespaces};
use crate::kernel::preflight;

/// What is still needed: reading our maps, looking into other users' `/proc`,
/// renaming the report in a directory of somebody else, entering other
/// namespaces at the end, and making and undoing the fault.
pub(crate) fn drop_unneeded(config: &Config) {
    let mut needed = vec![CAP_BPF, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE];
    if config.netns != Namespaces::Current || config.inject.is_some() {
        needed.push(CAP_SYS_ADMIN);
    }
    if config.inject.is_some() {
        needed.extend([CAP_NET_ADMIN, CAP_PERFMON]);
    }
    if let Err(error) = preflight::keep_only(&needed) {
        log::warn!("privileges that are not needed any more could not be dropped: {error}");
    }
}
