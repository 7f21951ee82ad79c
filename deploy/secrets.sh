#!/usr/bin/env bash
# Create the secrets that compose.yaml reads, in secrets/. Existing files are not changed.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077
mkdir -p "${SECRETS:=secrets}"
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
# In the container another user reads the files: so 0444, in a folder of 0711.
write() { if [ -e "$SECRETS/$1" ]; then cat >/dev/null; return; fi; cat >"$SECRETS/$1"; chmod 0444 "$SECRETS/$1"; echo "$SECRETS/$1"; }
if [ ! -e "$SECRETS/redis_users" ] || [ ! -e "$SECRETS/redis_url" ]; then
    password=$(random)
    rm -f "$SECRETS/redis_users" "$SECRETS/redis_url"
    sed "s/REDIS_PASSWORD/$password/" deploy/redis-users.acl | write redis_users
    printf 'redis://threelane:%s@redis:6379/0' "$password" | write redis_url
fi
random | write callback_secret
random | write grafana_password
printf '%s' "${CLICKATELL_PASSWORD:-sandbox}" | write clickatell_password
chmod 0711 "$SECRETS"
