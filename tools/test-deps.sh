#!/bin/sh
# Installs what the tests on real parts need (Debian, as root or with sudo): Ganglia, libvirt, QEMU, an ssh server, Graphviz.
# No daemon is started.  Quick when everything is there.
set -eu
packages="ganglia-monitor gmetad libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 iproute2 procps
    libvirt-dev pkg-config openssh-server graphviz python3-dev gcc"

command -v apt-get >/dev/null || {
    echo "entropy: no apt-get here; install these packages' equivalents by hand:" $packages >&2
    exit 1
}
root=""
[ "$(id -u)" = 0 ] || root=sudo

missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "Installing:$missing"
    # Installing must start no daemon: a stock gmond would multicast into the network.  101 is "forbidden by policy".
    guard=/usr/sbin/policy-rc.d
    if [ ! -e $guard ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee $guard >/dev/null
        $root chmod +x $guard
        trap '$root rm -f $guard' EXIT
    fi
    $root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
fi
# libvirtd ends at once if this user does not exist, even where qemu.conf names another
getent group libvirt-qemu >/dev/null || $root groupadd --system libvirt-qemu
getent passwd libvirt-qemu >/dev/null ||
    $root useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin --gid libvirt-qemu libvirt-qemu
echo "Everything that the tests on real parts need is installed."
