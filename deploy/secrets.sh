#!/usr/bin/env bash
# Create the secrets that compose.yaml reads, in secrets/. The content of existing files is not changed; their owners and
# modes are: compose mounts each file as it is, so only the user of its container may read it.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077
mkdir -p "${SECRETS:=secrets}"
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
write() { if [ -e "$SECRETS/$1" ]; then cat >/dev/null; return; fi; cat >"$SECRETS/$1"; echo "$SECRETS/$1"; }
# The user of the container that reads a file: of Redis, of Grafana, of Threelane's image.
reader() { case "$1" in redis_users) echo 999 ;; grafana_password) echo 472 ;; redis_url_admin) echo 0 ;; *) echo 10001 ;; esac; }
protect() { # a file for its reader alone; without root, which may change owners, an ACL adds the reader
    local file=$SECRETS/$1 uid
    uid=$(reader "$1")
    if [ "$(id -u)" = 0 ]; then
        chmod 0400 "$file" && chown "$uid:0" "$file"
    else
        chmod 0400 "$file" && setfacl -b -m "u:$uid:r" "$file" 2>/dev/null ||
            { echo "deploy/secrets.sh: $file: cannot let user $uid read it: run this as root, or install acl (setfacl)" >&2; exit 3; }
    fi
}
chmod 0700 "$SECRETS"
# One user of Redis for each kind of process, each with its own password.
users=$(sed -n 's/^user \([a-z]*\) on .*/\1/p' deploy/redis-users.acl)
has_all_addresses() { local user; for user in $users; do [ -e "$SECRETS/redis_url_$user" ] || return 1; done; }
if [ -e "$SECRETS/redis_users" ] && [ -e "$SECRETS/redis_url" ]; then # made by version 0.1: one user for all, who stays
    for user in $users; do write "redis_url_$user" <"$SECRETS/redis_url"; done
elif [ ! -e "$SECRETS/redis_users" ] || ! has_all_addresses; then
    rm -f "$SECRETS"/redis_users "$SECRETS"/redis_url*
    rules=$(cat deploy/redis-users.acl)
    for user in $users; do
        password=$(random)
        rules=${rules/>${user^^}_PASSWORD />$password }
        printf 'redis://%s:%s@redis:6379/0' "$user" "$password" | write "redis_url_$user"
    done
    printf '%s\n' "$rules" | write redis_users
fi
random | write callback_secret
random | write grafana_password
printf '%s' "${CLICKATELL_PASSWORD:-sandbox}" | write clickatell_password
for file in "$SECRETS"/*; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then protect "${file##*/}"; fi
done
