//! Why no commit, or no wait, is followed.

use caps::Capability::CAP_SYS_PTRACE;

use crate::kernel::{pidns, preflight};

/// Whether there is one without a reason why not.
///
/// # Errors
/// All reasons, each once.
pub(super) fn any<'a>(reasons: impl Iterator<Item = &'a Option<String>>) -> Result<(), String> {
    let mut found: Vec<&str> = Vec::new();
    for reason in reasons {
        match reason.as_deref() {
            None => return Ok(()),
            Some(reason) if !found.contains(&reason) => found.push(reason),
            Some(_) => {}
        }
    }
    Err(found.join("; "))
}

/// That there is no server, and why one that is there may not have been seen.
pub(super) fn nobody(netns: Option<u32>) -> String {
    let mut reason = match netns {
        Some(netns) => format!("no PostgreSQL server ran in net:[{netns}] when tracer started"),
        None => "no PostgreSQL server that tracer may see ran on this host when tracer started"
            .to_owned(),
    };
    if !preflight::has(CAP_SYS_PTRACE) {
        reason += "; other users' processes may not be read: ";
        reason += &preflight::missing(&[CAP_SYS_PTRACE]);
    }
    if let Some(unseen) = pidns::warning() {
        reason += "; ";
        reason += &unseen;
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_that_cannot_be_watched_is_no_reason_for_another() {
        let refused = |reason: &str| Some(reason.to_owned());
        let of = |reasons: &[Option<String>]| any(reasons.iter());
        assert_eq!(of(&[refused("no WALRead"), None]), Ok(()));
        let all = [
            refused("no WALRead"),
            refused("too old"),
            refused("too old"),
        ];
        assert_eq!(of(&all), Err("no WALRead; too old".to_owned()));
    }
}
