//! Text of `/proc` and of a server's directory.

use tracer::foreign;
use tracer::kernel::version::KernelVersion;
use tracer_core::kernel_counters::{Tcp, TcpExt};

use crate::shown;

/// The bytes are the text of any of the files.
///
/// Whatever is read as a number can be counted with, and whatever is shown is harmless.
pub fn target(data: &[u8]) {
    shown::line(&foreign::printable(data));
    let _ = (foreign::socket_inode(data), foreign::is_patroni(data));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (tcp, ext) = (Tcp::parse(text), TcpExt::parse(text));
    let none = tcp.since(&tcp);
    assert!(none.retrans_segs.is_none_or(|grown| grown == 0));
    assert_eq!(tcp.since(&Tcp::default()), Tcp::default());
    assert_eq!(ext.since(&ext).timeouts.is_some(), ext.timeouts.is_some());
    let _ = ["TCP:", "TCP6:"].map(|prefix| foreign::sockets_in_use(text, prefix));
    let _ = (
        foreign::parent(text),
        foreign::peak(text),
        foreign::levels(text),
    );
    let _ = foreign::times(text);
    if let Ok(version) = KernelVersion::parse(text) {
        assert_eq!(KernelVersion::parse(&version.to_string()), Ok(version));
    }
    if let Some(version) = foreign::version(text) {
        shown::line(version);
        assert!(!version.is_empty());
    }
}
