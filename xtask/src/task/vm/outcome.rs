//! How a guest's run ended.

use std::fmt;

/// Why there was no run at all.
pub(super) const NOT_UP: &str = "the guest did not come up";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GuestOutcome {
    /// The command ended with this status.
    Exit(u8),
    TimedOut,
    /// There was no run: the kernel could not be had or did not get so far.
    Broken,
}

impl GuestOutcome {
    /// The status for this program to end with: the command's own, or what
    /// `timeout` and `git bisect run` use in such cases.
    pub(super) fn status(self) -> u8 {
        match self {
            Self::Exit(status) => status,
            Self::TimedOut => 124,
            Self::Broken => 125,
        }
    }
}

impl fmt::Display for GuestOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(0) => formatter.pad("ok"),
            Self::Exit(status) => formatter.pad(&format!("exit {status}")),
            Self::TimedOut => formatter.pad("timed out"),
            Self::Broken => formatter.pad("no result"),
        }
    }
}

/// The command's status, out of what the guest reported of itself; otherwise
/// how far it came.
pub(super) fn parse(report: &str) -> Result<u8, String> {
    let value = |key: &str| {
        let mut values = report.lines().filter_map(|line| line.strip_prefix(key));
        values.next_back().map(str::trim)
    };
    if let Some(status) = value("exit ").and_then(|status| status.parse().ok()) {
        return Ok(status);
    }
    Err(match (value("failed "), value("up ")) {
        (Some(reason), _) => format!("the guest's init failed: {reason}"),
        (None, Some(_)) => "the guest went down while the command ran".to_owned(),
        (None, None) => NOT_UP.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_the_last_word() {
        assert_eq!(parse("up 2.31\nexit 0\n"), Ok(0));
        assert_eq!(parse("up 2.31\r\nexit 137\r\n"), Ok(137));
    }

    #[test]
    fn without_a_status_it_says_how_far_it_came() {
        for (report, words) in [
            ("", "did not come up"),
            ("up 2.31\n", "while the command ran"),
            ("up 2.31\nexit 1000\n", "while the command ran"),
            (
                "failed cannot load /modules/1-x.ko\n",
                "cannot load /modules/1-x.ko",
            ),
        ] {
            let error = parse(report).unwrap_err();
            assert!(error.contains(words), "{report:?}: {error}");
        }
    }

    #[test]
    fn every_end_has_a_status() {
        assert_eq!(GuestOutcome::Exit(3).status(), 3);
        assert_eq!(GuestOutcome::TimedOut.status(), 124);
        assert_eq!(GuestOutcome::Broken.status(), 125);
    }

    #[test]
    fn a_verdict_is_short() {
        let verdicts = [
            GuestOutcome::Exit(0),
            GuestOutcome::Exit(3),
            GuestOutcome::TimedOut,
            GuestOutcome::Broken,
        ];
        assert_eq!(
            verdicts.map(|outcome| outcome.to_string()),
            ["ok", "exit 3", "timed out", "no result"]
        );
    }
}
