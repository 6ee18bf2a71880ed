#!/bin/sh
# Runs `iterqr-server COMMAND` with the mounted configuration; the server is process 1's image, so signals reach it.
set -eu

command=${1:-serve}
[ "$#" -eq 0 ] || shift
case "$command" in
serve | engine-check)
    config=${ITERQR_CONFIG:-/etc/iterqr/server.toml}
    if [ ! -r "$config" ]; then
        echo "entrypoint: $config is not there: mount a configuration, such as one of /etc/iterqr/examples" >&2
        exit 2
    fi
    exec iterqr-server "$command" --config "$config" "$@"
    ;;
*)
    exec iterqr-server "$command" "$@"
    ;;
esac
