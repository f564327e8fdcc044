#!/bin/sh
# The control loop of this distribution's folder: `controlLoop.sh start|stop`, the same as `entropy start|stop`.
# Configuration: config/entropy.properties, or config/entropy.toml or .yaml where the first does not exist.
# Another `entropy` than the one this folder was made with: set ENTROPY.

home=$(cd "$(dirname "$0")/.." && pwd) || exit 2
cd "$home" || exit 2

entropy=${ENTROPY:-@ENTROPY@}
command -v "$entropy" >/dev/null 2>&1 || entropy=entropy

if [ -z "$ENTROPY_CONFIG" ]; then
    for file in config/entropy.properties config/entropy.toml config/entropy.yaml; do
        if [ -f "$file" ]; then
            ENTROPY_CONFIG=$home/$file
            break
        fi
    done
fi
export ENTROPY_CONFIG

case "$1" in
    start | stop | status | check)
        if [ "$#" -ne 1 ]; then
            echo "usage: $0 start|stop|status|check" >&2
            exit 2
        fi
        exec "$entropy" "$1"
        ;;
    *)
        echo "usage: $0 start|stop|status|check" >&2
        exit 2
        ;;
esac
