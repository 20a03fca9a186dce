//! Which process is the parent of another.

use std::fs;

/// The parent of a process; `None` of one that has ended.
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The parent's id in a line of `/proc/PID/stat`, whose second field is a name
/// in parentheses that may itself hold any of `) (`.
pub(crate) fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_process_with_an_awkward_name_is_behind_it() {
        assert_eq!(parent("12 (a) b (c)) S 7 12 12 0"), Some(7));
        let ours = std::os::unix::process::parent_id();
        assert_eq!(parent_of(std::process::id()), Some(ours));
        for broken in ["", "12", "12 (x", "12 (x) S", "12 (x) S x"] {
            assert_eq!(parent(broken), None, "{broken}");
        }
    }
}
