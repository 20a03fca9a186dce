//! Where the SSH session that this program runs in comes from.

use std::net::IpAddr;
use std::{env, fs};

use crate::kernel::parent::parent_of;

const VARIABLE: &str = "SSH_CONNECTION";
/// A process tree deeper than this is not searched to its root.
const MAX_ANCESTORS: usize = 64;

/// The client's address, if this is an SSH session. `sudo` removes the
/// variable, so the ancestors' environments are searched for it too.
pub(crate) fn peer() -> Option<IpAddr> {
    let own = env::var(VARIABLE).ok().as_deref().and_then(client);
    own.or_else(|| {
        let parent = |process: &u32| parent_of(*process).filter(|parent| *parent != 0);
        std::iter::successors(Some(std::os::unix::process::parent_id()), parent)
            .take(MAX_ANCESTORS)
            .find_map(|process| in_environment(&fs::read(format!("/proc/{process}/environ")).ok()?))
    })
}

fn in_environment(environment: &[u8]) -> Option<IpAddr> {
    environment
        .split(|&byte| byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .find_map(|entry| client(entry.strip_prefix(VARIABLE)?.strip_prefix('=')?))
}

/// The first of `CLIENT PORT SERVER PORT`, without a scope.
fn client(value: &str) -> Option<IpAddr> {
    let address = value.split_whitespace().next()?;
    let address = address.split('%').next()?;
    let address: IpAddr = address.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_of_a_session() {
        let expect = |text: &str| Some(text.parse().unwrap());
        assert_eq!(client("192.0.2.7 50022 192.0.2.1 22"), expect("192.0.2.7"));
        assert_eq!(client("fe80::1%eth0 1 fe80::2%eth0 22"), expect("fe80::1"));
        assert_eq!(client("::ffff:192.0.2.7 1 ::1 22"), expect("192.0.2.7"));
        assert_eq!(client(""), None);
        assert_eq!(client("UNKNOWN 65535 UNKNOWN 65535"), None);
    }

    #[test]
    fn session_of_an_ancestor() {
        let environment =
            b"HOME=/root\0OLD_SSH_CONNECTION=x\0SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22\0";
        assert_eq!(
            in_environment(environment),
            Some("192.0.2.7".parse().unwrap())
        );
        assert_eq!(in_environment(b"SSH_CONNECTIONS=192.0.2.7 1\0"), None);
    }
}
