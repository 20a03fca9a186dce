//! The kinds of BTF type, and how many bytes each takes.

pub(super) const INT: u32 = 1;
pub(super) const PTR: u32 = 2;
pub(super) const ARRAY: u32 = 3;
pub(super) const STRUCT: u32 = 4;
pub(super) const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
pub(super) const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
pub(super) const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const FLOAT: u32 = 16;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// `struct btf_type`: name_off, info, size or type.
pub(super) const HEADER: usize = 12;
/// `struct btf_member`: name_off, type, offset.
pub(super) const MEMBER: usize = 12;

/// Bytes behind `struct btf_type` for this kind, `None` if it is unknown, or if there can
/// be no so many.
pub(super) const fn tail(kind: u32, elements: u32) -> Option<usize> {
    let n = elements as usize;
    match kind {
        INT | VAR | DECL_TAG => Some(4),
        ARRAY => Some(12),
        STRUCT | UNION | DATASEC | ENUM64 => n.checked_mul(12),
        ENUM | FUNC_PROTO => n.checked_mul(8),
        PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => Some(0),
        _ => None,
    }
}

/// A kind that only names or qualifies the type it refers to.
pub(super) const fn is_alias(kind: u32) -> bool {
    matches!(kind, TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG)
}

/// A kind whose third word is its size in bytes.
pub(super) const fn has_size(kind: u32) -> bool {
    matches!(kind, INT | STRUCT | UNION | ENUM | ENUM64 | FLOAT)
}
