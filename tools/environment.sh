#!/bin/sh
# Makes .venv: finds a Python, installs the pinned dependencies and this checkout.  Quick when there is nothing to do.
# Variables: PYTHON (which Python to use), VENV (where; default .venv).
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
stamp=$venv/.installed

die() {
    echo "entropy: $*" >&2
    exit 1
}

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    die "no Python 3.11 or newer with its venv module was found (tried: ${PYTHON:-python3, python3.11 to python3.14}).
  On Debian: apt-get install python3 python3-venv   Elsewhere: make PYTHON=/path/to/python3.12 ..."
}

# What is installed depends on these two files and on nothing else: the checkout itself is installed in place.
wanted=$(cat requirements.lock pyproject.toml | cksum)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    if ! usable "$venv/bin/python"; then
        python=$(find_python)
        echo "Making $venv with $("$python" --version) ..."
        "$python" -m venv --clear "$venv"
    fi
    echo "Installing the pinned dependencies (a minute or two, once) ..."
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check -r requirements.lock
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
    echo "$wanted" > "$stamp"
fi

# The libvirt binding is compiled against the system's library: only where that is there.
if pkg-config --exists libvirt 2>/dev/null; then
    wanted=$(cksum < requirements-libvirt.lock)
    if [ "$(cat "$venv/.libvirt" 2>/dev/null || true)" != "$wanted" ]; then
        echo "Installing the libvirt binding ..."
        if "$venv/bin/python" -m pip install -qq --disable-pip-version-check -r requirements-libvirt.lock; then
            echo "$wanted" > "$venv/.libvirt"
        else
            echo "entropy: the libvirt binding did not build; the tests that need it will be skipped (make test-deps installs what it needs)" >&2
        fi
    fi
fi
