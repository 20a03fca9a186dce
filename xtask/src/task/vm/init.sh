#!/bin/busybox sh
# The first program in a guest. It lays a writable layer over the host's root,
# which it sees read-only, moves there, runs /command and powers off.
# Ports: ttyS0 is the kernel's console, ttyS1 takes what the command prints,
# and ttyS2 how far the guest came: "up SECONDS", then "exit STATUS".
# Beside it lie job (what differs from run to run) and modules/, in load order.
export PATH=/bin
/bin/busybox mkdir -p /proc /dev /host /layer /root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev

give_up() {
    echo "init: $*"
    echo "failed $*" >/dev/ttyS2
    poweroff -f
    sleep 60
}

. /job
for module in /modules/*; do
    insmod "$module" || give_up "cannot load $module"
done

# Caching without looking again: nobody is to change files under a guest.
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host ||
    give_up "cannot mount the host's root"
mount -t tmpfs -o mode=755 layer /layer
mkdir /layer/files /layer/work
# Each look at something of the host's is a question to the host. What is started
# often does not ask, nor do the links on the way to it.
cp -a /often/. /layer/files
for link in /host/*; do
    [ ! -L "$link" ] || cp -d "$link" /layer/files
done
mount -t overlay -o lowerdir=/host,upperdir=/layer/files,workdir=/layer/work root /root ||
    give_up "cannot lay a writable layer over the host's root"

cd /root || give_up "there is no new root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mount -t tmpfs run run
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
mount -t debugfs debug sys/kernel/debug
mount -t tracefs tracing sys/kernel/tracing
ln -s /proc/self/fd dev/fd

# Where programs look for the modules of the kernel that runs.
mkdir -p "lib/modules/$release"
mount -o bind "/root$modules" "lib/modules/$release" ||
    give_up "cannot show the kernel's modules"

# A slow machine takes packets later than they come, and would lose some between
# two ends of a wire on which nothing is lost.
echo 100000 >proc/sys/net/core/netdev_max_backlog

ip link set lo up
hostname guest
for port in /dev/ttyS1 /dev/ttyS2; do
    # Or each line would end in a carriage return.
    stty -F "$port" raw -echo
done

cp /command run/command
cat >run/first <<'FIRST'
# The command gets no terminal, whose sight would change what programs print.
mkfifo /run/output
cat </run/output >/dev/ttyS1 &
cat=$!
echo "up $(cut -d' ' -f1 /proc/uptime)" >/dev/ttyS2
/bin/sh /run/command </dev/null >/run/output 2>&1
status=$?
# What the command left running would hold its output open.
for process in /proc/[0-9]*; do
    case ${process#/proc/} in
    1 | "$cat") ;;
    *) kill -KILL "${process#/proc/}" 2>/dev/null ;;
    esac
done
wait "$cat"
echo "exit $status" >/dev/ttyS2
echo o >/proc/sysrq-trigger
sleep 60
FIRST
umount /proc
umount /dev
exec switch_root /root /bin/sh /run/first
