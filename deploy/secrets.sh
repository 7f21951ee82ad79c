#!/usr/bin/env bash
# Create the secrets that compose.yaml reads, in secrets/. The content of existing files is not changed; their owners and
# modes are: compose mounts each file as it is, so only the user of its container may read it.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077
mkdir -p "${SECRETS:=secrets}"
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
# Write a file that does not exist, or is empty; an interrupted run leaves no part of one.
write() { if [ -s "$SECRETS/$1" ]; then cat >/dev/null; return; fi; cat >"$SECRETS/.new"; mv "$SECRETS/.new" "$SECRETS/$1"; echo "$SECRETS/$1"; }
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
# One user of Redis for each kind of process, each with its own password. A missing address or line is made from the
# password that the other has; what exists stays.
users=$(sed -n 's/^user \([a-z]*\) on .*/\1/p' deploy/redis-users.acl)
if [ -s "$SECRETS/redis_users" ] && [ -e "$SECRETS/redis_url" ]; then # made by version 0.1: one user for all, who stays
    for user in $users; do write "redis_url_$user" <"$SECRETS/redis_url"; done
    echo "deploy/secrets.sh: all processes use the one user of version 0.1, with all its permissions. For a user each:" \
        "docs/deploy.md, Redis permissions, From one user for all" >&2
else
    made='' && [ -s "$SECRETS/redis_users" ] || made=1
    lines=$([ -n "$made" ] || cat "$SECRETS/redis_users")
    [ -n "$made" ] && rm -f "$SECRETS/redis_url" && lines=$(grep '^user default ' deploy/redis-users.acl)
    before=$lines
    for user in $users; do
        url=$SECRETS/redis_url_$user
        if [ -n "$made" ] && [ -s "$url" ] && ! grep -q "://$user:" "$url"; then rm -f "$url"; fi # of another user
        line=$(printf '%s\n' "$lines" | sed -n "/^user $user /p")
        rule=$(sed -n "/^user $user /p" deploy/redis-users.acl)
        password=$([ ! -s "$url" ] || sed -n "s|.*://$user:\([^@]*\)@.*|\1|p" "$url")
        [ -n "$password" ] || password=$(printf '%s' "$line" | sed -n 's/^[^>]*>\([^ ]*\) .*/\1/p')
        [ -n "$password" ] || password=$(random)
        printf 'redis://%s:%s@redis:6379/0' "$user" "$password" | write "redis_url_$user"
        if [ -z "$line" ]; then
            lines+=$'\n'${rule/>${user^^}_PASSWORD />$password }
        elif [ "${line#*resetkeys}" != "${rule#*resetkeys}" ]; then
            echo "deploy/secrets.sh: $SECRETS/redis_users: the permissions of $user are not those of this version. To take" \
                "them: remove $SECRETS/redis_users, run this again, and restart Redis; the passwords stay" >&2
        fi
    done
    if [ "$lines" != "$before" ] || [ -n "$made" ]; then
        rm -f "$SECRETS/redis_users"
        printf '%s\n' "$lines" | write redis_users
    fi
fi
# Redis replays its append-only file as the user default: without permissions, it loses messages at a restart.
default=$(grep '^user default ' deploy/redis-users.acl)
if ! grep -qxF "$default" "$SECRETS/redis_users"; then
    lines=$default$'\n'$(grep -v '^user default ' "$SECRETS/redis_users" || true)
    rm -f "$SECRETS/redis_users"
    printf '%s\n' "$lines" | write redis_users
    echo "deploy/secrets.sh: the user default has a new line: load it before Redis restarts (ACL LOAD), see docs/deploy.md" >&2
fi
random | write callback_secret
random | write grafana_password
printf '%s' "${CLICKATELL_PASSWORD:-sandbox}" | write clickatell_password
[ -z "${CLICKATELL_API_KEY:-}" ] || printf '%s' "$CLICKATELL_API_KEY" | write clickatell_api_key # of compose.portal.yaml
for file in "$SECRETS"/*; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then protect "${file##*/}"; fi
done
