#!/bin/sh
# Renews requirements.lock: the newest versions that pyproject.toml allows, tried in a clean environment, nothing else in it.
set -eu
cd "$(dirname "$0")/.."
clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
"${PYTHON:-python3}" -m venv "$clean"
"$clean/bin/python" - > "$clean/wanted" <<'EOF'
import tomllib

with open("pyproject.toml", "rb") as stream:
    project = tomllib.load(stream)
print(*project["build-system"]["requires"], *project["project"]["dependencies"], *project["dependency-groups"]["dev"], sep="\n")
EOF
"$clean/bin/python" -m pip install -qq --disable-pip-version-check -r "$clean/wanted"
{
    echo "# Made by tools/lock.sh: what make demo and make test install."
    "$clean/bin/python" -m pip freeze --all --disable-pip-version-check | grep -v '^pip=='
} > requirements.lock
