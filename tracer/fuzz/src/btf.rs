//! The kernel's description of its types.

use tracer::foreign;
use tracer::kernel::btf::{Btf, TypeName};
use tracer::kernel::offsets::resolve;

const WANTED: [TypeName; 3] = [
    TypeName::Struct("sock"),
    TypeName::Struct("task_struct"),
    TypeName::Typedef("btf_trace_tcp_retransmit_skb"),
];
/// As many types are looked at one by one.
const MAX_TYPES: u32 = 64;

/// The bytes are `/sys/kernel/btf/vmlinux`.
///
/// There are no more types than bytes allow, and each can be looked at.
pub fn target(data: &[u8]) {
    // Whether it can be understood or not.
    let _ = (resolve(data), foreign::processes(data));
    let Ok(btf) = Btf::parse(data, &WANTED) else {
        return;
    };
    assert!(btf.type_count() as usize <= data.len() / 12);
    for name in WANTED {
        let id = btf.find(name);
        assert!(id.is_none_or(|id| (1..=btf.type_count()).contains(&id)));
    }
    for id in (0..=btf.type_count().saturating_add(1)).take(MAX_TYPES as usize) {
        let size = btf.size(id);
        let member = btf.member(id, &["pid"]);
        if let Ok(Some(member)) = member {
            assert!(member.type_id <= btf.type_count() || btf.size(member.type_id).is_err());
        }
        assert!(id != 0 || size == Ok(None));
        let _ = btf.parameters(id);
    }
}
