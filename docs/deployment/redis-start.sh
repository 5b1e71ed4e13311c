#!/bin/sh
# Starts Redis as docs/redis.md wants it. The password comes from a file and only its hash goes on from here, by
# standard input: it is on no command line and in no other file.
set -eu
secret="${REDIS_PASSWORD_FILE:-/run/secrets/redis_password}"
[ -s "$secret" ] || {
    echo "redis-start: $secret holds no password." >&2
    exit 1
}
hash="$(head -n 1 "$secret" | tr -d '\r\n' | sha256sum | cut -d ' ' -f 1)"
exec redis-server - "$@" <<CONFIG
dir ${REDIS_DIR:-/data}
port ${REDIS_PORT:-6379}
bind ${REDIS_BIND:-0.0.0.0}
protected-mode no
user default off
user shoebox on #$hash ~shoebox:* &* +@all -@admin -@dangerous +info
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
CONFIG
