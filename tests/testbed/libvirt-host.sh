#!/bin/bash
# The first process (PID 1) of the testbed's namespaces; started by libvirt.py beside it, of no use alone.
#
#   libvirt-host.sh switch ADDRESS           a bridge; ends, with every host, when its standard input ends
#   libvirt-host.sh host DIR NAME ADDRESS    one libvirt host that keeps its state in DIR
#
# Both say "ready" on standard output.  The host then waits for a line on standard input: its network card has come.
set -eu

switch() {
    mount -t proc proc /proc
    ip link set lo up
    ip link add br0 type bridge
    ip addr add "$1/24" dev br0
    ip link set br0 up
    echo ready
    cat > /dev/null    # the other end is the tests' process: were it killed, everything here goes with it
}

host() {
    local dir=$1 name=$2 address=$3
    echo ready
    read -r _
    exec > "$dir/log/init.log" 2>&1 < /dev/null
    hostname "$name"
    ip link set lo up
    ip addr add "$address/24" dev eth0
    ip link set eth0 up
    mount -t proc proc /proc
    mkdir -p /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
    mount --bind "$dir/etc"    /etc/libvirt
    mount --bind "$dir/lib"    /var/lib/libvirt
    mkdir -p /var/lib/libvirt/qemu/save
    mount --bind "$dir/../save" /var/lib/libvirt/qemu/save    # shared by all hosts, as on an NFS server
    mount --bind "$dir/cache"  /var/cache/libvirt
    mount --bind "$dir/log"    /var/log/libvirt
    mount --bind "$dir/run"    /run
    mount --bind "$dir/hosts"  /etc/hosts
    # The QEMU driver looks the user libvirt-qemu up even where qemu.conf names another, and libvirtd ends if it is
    # missing.  The machine's own user data base is left alone.
    mount --bind "$dir/passwd" /etc/passwd
    mount --bind "$dir/group"  /etc/group
    # A /dev/kvm that opens is no proof that guests run under it (nested paravirtual KVM: they hang).  It is hidden behind
    # a file on a read-only mount: libvirt asks for write access, and were the answer yes, it would throw its cache of
    # QEMU's capabilities away at each start.
    if [ -e /dev/kvm ]; then
        : > "$dir/nokvm"
        mount --bind "$dir/nokvm" /dev/kvm
        mount -o remount,bind,ro /dev/kvm
    fi
    libvirtd --listen &
    local daemon=$!
    # QEMU daemonises: its orphans are reaped here.  With libvirtd as PID 1 they would stay as zombies that look alive.
    while kill -0 "$daemon" 2> /dev/null; do wait -n 2> /dev/null || sleep 0.2; done
}

role=$1; shift
"$role" "$@"
