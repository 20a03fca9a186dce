//! The files `KERNEL.btf` in `testdata/btf` were made by `cargo xtask btf`; what
//! is expected of them was computed by a C compiler (`offsets.c` beside them).

use tracer_ebpf::ABSENT;

use crate::kernel::offsets::*;

struct Kernel {
    name: &'static str,
    btf: &'static [u8],
    expected: &'static str,
}

macro_rules! kernel {
    ($name:literal) => {
        Kernel {
            name: $name,
            btf: include_bytes!(concat!("../../../testdata/btf/", $name, ".btf")),
            expected: include_str!(concat!("../../../testdata/btf/", $name, ".offsets")),
        }
    };
}

const KERNELS: [Kernel; 6] = [
    kernel!("5.10-debian"),
    kernel!("6.1-debian"),
    kernel!("6.12-debian"),
    kernel!("6.18-debian"),
    kernel!("6.18-custom"),
    kernel!("7.3-debian"),
];
const OLDEST: &Kernel = &KERNELS[0];
const NEWEST: &Kernel = &KERNELS[5];

/// The newest kernel's BTF with one name changed: a member that is not there.
fn without(name: &str) -> Result<Resolved, OffsetsError> {
    let old = [b"\0", name.as_bytes(), b"\0"].concat();
    let mut btf = NEWEST.btf.to_vec();
    let at = btf
        .windows(old.len())
        .position(|window| window == old)
        .expect(name);
    btf[at + 1] = b'?';
    resolve(&btf)
}

/// What a kernel would break, field by field.
fn broken(kernel: &Kernel) -> Vec<String> {
    let resolved = match resolve(kernel.btf) {
        Ok(resolved) => resolved,
        Err(error) => return vec![format!("{}: {error}", kernel.name)],
    };
    let shown = format!("{:#?}", resolved.offsets);
    let found: Vec<&str> = shown
        .lines()
        .map(str::trim)
        .filter(|line| line.contains(": "))
        .collect();
    let expected: Vec<&str> = kernel.expected.lines().collect();
    let mut broken: Vec<String> = resolved
        .missing
        .iter()
        .map(|missing| format!("{}: has no {}", kernel.name, missing.field))
        .collect();
    for line in &found {
        if !expected.contains(line) {
            broken.push(format!("{}: {line} no compiler computes", kernel.name));
        }
    }
    for line in &expected {
        if !found.contains(line) {
            broken.push(format!("{}: {line} was not resolved", kernel.name));
        }
    }
    broken
}

#[test]
fn offsets_of_every_kernel_are_those_that_a_compiler_computes() {
    let broken: Vec<String> = KERNELS.iter().flat_map(broken).collect();
    assert!(
        broken.is_empty(),
        "kernels would break:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_kernel_that_would_break_is_named() {
    let mut lacking = NEWEST.btf.to_vec();
    let name = b"\0total_retrans\0";
    let at = lacking.windows(name.len()).position(|it| it == name);
    lacking[at.expect("total_retrans") + 1] = b'?';
    let broken = broken(&Kernel {
        name: "next",
        btf: lacking.leak(),
        expected: "",
    });
    assert_eq!(broken.len(), 1);
    assert!(broken[0].starts_with("next: "), "{broken:?}");
}

#[test]
fn total_retrans_is_where_programs_that_read_it_found_it() {
    for (kernel, expected) in [(0, 2104), (1, 2144), (4, 2200), (5, 2304)] {
        let resolved = resolve(KERNELS[kernel].btf).expect("resolve");
        assert_eq!(resolved.offsets.total_retrans, expected);
    }
}

#[test]
fn tracepoints_are_told_with_their_arguments() {
    // skb, synack, state, bad csum, send reset, receive reset; from
    // `bpftool btf dump` of each whole kernel.
    let expected: [[Option<u32>; 6]; 6] = [
        [Some(2), Some(2), Some(3), None, Some(2), Some(1)],
        [Some(2), Some(2), Some(3), Some(1), Some(2), Some(1)],
        [Some(2), Some(2), Some(3), Some(1), Some(3), Some(1)],
        [Some(3), Some(2), Some(3), Some(1), Some(3), Some(1)],
        [Some(3), Some(2), Some(3), Some(1), Some(3), Some(1)],
        [Some(3), Some(2), Some(3), Some(1), Some(3), Some(1)],
    ];
    for (kernel, expected) in KERNELS.iter().zip(expected) {
        let t = resolve(kernel.btf).expect(kernel.name).tracepoints;
        let found = [
            t.retransmit_skb,
            t.retransmit_synack,
            t.set_state,
            t.bad_csum,
            t.send_reset,
            t.receive_reset,
        ];
        assert_eq!(
            found.map(|t| t.map(|t| t.arguments)),
            expected,
            "{}",
            kernel.name
        );
    }
}

#[test]
fn an_optional_field_that_is_gone_is_absent_and_told_with_its_consequence() {
    type Case = (&'static str, &'static str, fn(&Offsets) -> u32);
    let cases: [Case; 9] = [
        ("skc_v6_daddr", "sock.__sk_common.skc_v6_daddr", |o| {
            o.skc_v6_daddr
        }),
        ("sk_socket", "sock.sk_socket", |o| o.sk_socket),
        ("vfs_inode", "socket_alloc.vfs_inode.i_ino", |o| {
            o.socket_inode
        }),
        ("icsk_rto", "inet_connection_sock.icsk_rto", |o| o.icsk_rto),
        (
            "tcp_retransmit_timer",
            "inet_connection_sock.icsk_timeout",
            |o| o.icsk_timeout,
        ),
        ("snd_cwnd", "tcp_sock.snd_cwnd", |o| o.snd_cwnd),
        ("packets_out", "tcp_sock.packets_out", |o| o.packets_out),
        ("transport_header", "sk_buff.transport_header", |o| {
            o.skb_transport_header
        }),
        ("nd_net", "net_device.nd_net.net", |o| o.dev_net),
    ];
    for (name, field, offset) in cases {
        let resolved = without(name).expect(name);
        assert_eq!(offset(&resolved.offsets), ABSENT, "{name}");
        let told: Vec<_> = resolved.missing.iter().map(|m| m.field).collect();
        assert_eq!(told, [field]);
        assert!(resolved.missing[0].consequence.len() > 20);
    }
}

#[test]
fn a_required_field_that_is_gone_is_an_error_that_names_it() {
    for (name, field) in [
        ("skc_daddr", "sock.__sk_common.skc_daddr"),
        ("skc_num", "sock.__sk_common.skc_num"),
        ("total_retrans", "tcp_sock.total_retrans"),
        ("bytes_retrans", "tcp_sock.bytes_retrans"),
        ("icsk_ca_state", "inet_connection_sock.icsk_ca_state"),
        ("tcp_flags", "tcp_skb_cb.tcp_flags"),
        ("tcp_gso_segs", "tcp_skb_cb.tcp_gso_segs"),
        ("cb", "sk_buff.cb"),
        ("ns", "net.ns.inum"),
        ("tcp_sock", "tcp_sock.total_retrans"),
        (
            "btf_trace_tcp_retransmit_skb",
            "tracepoint tcp_retransmit_skb",
        ),
    ] {
        let error = without(name).expect_err(name);
        let OffsetsError::Required { field: told, .. } = error else {
            panic!("{name}: {error}");
        };
        assert_eq!(told, field);
    }
}

#[test]
fn a_field_of_another_width_is_not_read() {
    // The first `icsk_pending` is a byte; as the type of a bit-field it is not.
    let mut btf = NEWEST.btf.to_vec();
    let at = member_named(&btf, "icsk_pending");
    btf[at + 11] = 3;
    let error = resolve(&btf).expect_err("a bit-field of 3 bits");
    assert!(error.to_string().contains("icsk_pending"), "{error}");
    assert!(error.to_string().contains("bit-field of 3 bits"), "{error}");
}

/// Where the `struct btf_member` of that name is.
fn member_named(btf: &[u8], name: &str) -> usize {
    let word = |at: usize| u32::from_ne_bytes(*btf[at..].first_chunk().expect("word")) as usize;
    let strings = 24 + word(16);
    let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
    let found = btf[strings..]
        .windows(wanted.len())
        .position(|w| w == wanted);
    let name_off = found.expect(name) + 1;
    (24..strings)
        .step_by(4)
        .find(|at| word(*at) == name_off)
        .expect(name)
}

#[test]
fn no_length_panics() {
    let whole = OLDEST.btf;
    for length in 0..whole.len() {
        assert!(resolve(&whole[..length]).is_err(), "{length}");
    }
}

#[test]
fn no_length_of_the_type_section_panics() {
    let mut btf = OLDEST.btf.to_vec();
    let length = u32::from_ne_bytes(*btf[12..].first_chunk().expect("header"));
    for shorter in 0..length {
        btf[12..16].copy_from_slice(&shorter.to_ne_bytes());
        let _ = resolve(&btf);
    }
}

#[test]
fn no_damaged_byte_panics() {
    // A step that hits every byte of the three words of types and members.
    const STEP: usize = 29;
    let mut btf = OLDEST.btf.to_vec();
    for at in (0..btf.len()).step_by(STEP) {
        let whole = btf[at];
        for damage in [1 << (at % 8), 0xff] {
            btf[at] = whole ^ damage;
            let _ = resolve(&btf);
        }
        btf[at] = whole;
    }
}

#[test]
fn this_kernel_can_be_traced() {
    let resolved = from_running_kernel().expect("the running kernel's BTF");
    assert_ne!(resolved.offsets.total_retrans, ABSENT);
}
