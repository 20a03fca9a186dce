//! The interface features of `ethtool -k`, read and set by `ioctl`.
//!
//! By the bit sets of `ETHTOOL_GFEATURES` and `ETHTOOL_SFEATURES`
//! ([linux/ethtool.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/ethtool.h),
//! Linux 2.6.39), not by the older `ETHTOOL_STXCSUM` and its like, each of
//! which sets several features at once and so cannot put back what was.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;
/// The kernel has some 64 features; a larger answer is not one.
const MAX_FEATURES: usize = 1024;

/// One feature of an interface, as the kernel names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: String,
    /// Can be switched on this interface.
    pub(crate) available: bool,
    /// Asked for; off in spite of it if it needs something that is off.
    pub(crate) requested: bool,
    /// In effect.
    pub(crate) active: bool,
}

/// Every feature of the interface.
pub(crate) fn features(interface: &str) -> io::Result<Vec<Feature>> {
    let socket = control()?;
    let names = names(&socket, interface)?;
    let blocks = names.len().div_ceil(32);
    // cmd, size, then per block: available, requested, active, never changed.
    let mut words = vec![0_u32; 2 + 4 * blocks];
    words[0] = ETHTOOL_GFEATURES;
    words[1] = blocks as u32;
    call(&socket, interface, &mut words)?;
    let bit = |index: usize, column: usize| {
        words
            .get(2 + 4 * (index / 32) + column)
            .is_some_and(|word| word >> (index % 32) & 1 == 1)
    };
    Ok(names
        .into_iter()
        .enumerate()
        .map(|(index, name)| Feature {
            name,
            available: bit(index, 0) && !bit(index, 3),
            requested: bit(index, 1),
            active: bit(index, 2),
        })
        .collect())
}

/// Asks for the named features to be on or off, and nothing else to change.
/// The kernel may decline silently: read back.
pub(crate) fn request(interface: &str, features: &[String], on: bool) -> io::Result<()> {
    let socket = control()?;
    let names = names(&socket, interface)?;
    let blocks = names.len().div_ceil(32);
    // cmd, size, then per block: valid, requested.
    let mut words = vec![0_u32; 2 + 2 * blocks];
    words[0] = ETHTOOL_SFEATURES;
    words[1] = blocks as u32;
    for feature in features {
        let index = names
            .iter()
            .position(|name| name == feature)
            .ok_or_else(|| io::Error::other(format!("the kernel has no feature {feature}")))?;
        let block = 2 + 2 * (index / 32);
        let bit = 1 << (index % 32);
        words[block] |= bit;
        if on {
            words[block + 1] |= bit;
        }
    }
    call(&socket, interface, &mut words)
}

fn control() -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    Ok(socket)
}

/// Names in the order of their bits.
fn names(socket: &OwnedFd, interface: &str) -> io::Result<Vec<String>> {
    // cmd, reserved, the mask of sets (64 bits), the size of the set.
    let mut words = [ETHTOOL_GSSET_INFO, 0, 0, 0, 0];
    let mask = (1_u64 << ETH_SS_FEATURES).to_ne_bytes();
    words[2] = u32::from_ne_bytes([mask[0], mask[1], mask[2], mask[3]]);
    words[3] = u32::from_ne_bytes([mask[4], mask[5], mask[6], mask[7]]);
    call(socket, interface, &mut words)?;
    let count = words[4] as usize;
    if count == 0 || count > MAX_FEATURES {
        return Err(io::Error::other(format!(
            "the kernel says that it has {count} interface features"
        )));
    }
    // cmd, set, length, then the strings.
    let mut words = vec![0_u32; 3 + count * ETH_GSTRING_LEN / 4];
    words[0] = ETHTOOL_GSTRINGS;
    words[1] = ETH_SS_FEATURES;
    words[2] = count as u32;
    call(socket, interface, &mut words)?;
    let bytes: Vec<u8> = words[3..]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    Ok(bytes
        .chunks_exact(ETH_GSTRING_LEN)
        .map(|name| {
            let end = name
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(name.len());
            String::from_utf8_lossy(&name[..end]).into_owned()
        })
        .collect())
}

/// One `SIOCETHTOOL`. Every command used here is an array of `u32` that begins
/// with its number and says its own length, which the caller makes true.
fn call(socket: &OwnedFd, interface: &str, words: &mut [u32]) -> io::Result<()> {
    // SAFETY: all zero is a value of this C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: `request` is an `ifreq` whose name ends with NUL and whose data
    // points to a command as large as it says, both alive past the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
