//! A root of its own for a program: as a container has it, of the kernel's own parts.

use std::path::Path;
use std::process::Command;

use nix::unistd::User;

use super::release::Release;
use crate::testbed::netns::Netns;

/// Makes the root and becomes the program. What it mounts, no other process sees, and
/// it goes with the last one that does; what it writes goes to memory.
const ENTER: &str = r#"
root=$1 stage=$2 home=$3 uid=$4 gid=$5; shift 5
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t tmpfs tmpfs "$stage"
cd "$stage"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$root,upperdir=$stage/upper,workdir=$stage/work" root
cd root
mkdir -p dev proc tmp old ".$home"
chmod 1777 tmp
echo "postgres:x:$uid:$gid::/:/bin/sh" >etc/passwd
echo "postgres:x:$gid:" >etc/group
echo "127.0.0.1 localhost" >etc/hosts
mount --rbind /dev dev
mount -t proc proc proc
mount --bind "$home" ".$home"
pivot_root . old
umount -l /old
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups --pdeathsig INT -- "$@"
"#;

/// A command that will run what its next arguments say, below the root of that release
/// and as that user, with `home` where it is outside. With `apart`, it also has process
/// ids of its own, the first of which is the program's.
pub(super) fn command(
    netns: &Netns,
    release: &Release,
    home: &Path,
    user: &User,
    apart: bool,
) -> Command {
    // Whoever waits outside for the program ends when the thread does that spawned it.
    let mut command = netns.command("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount"]);
    if apart {
        command.args(["--pid", "--fork", "--kill-child"]);
    }
    command
        .args(["--", "sh", "-e", "-c", ENTER, "sh"])
        .arg(release.root())
        .arg(release.stage())
        .arg(home)
        .args([user.uid.to_string(), user.gid.to_string()]);
    command
}
