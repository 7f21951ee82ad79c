#!/usr/bin/env bash
# Build the image without a container engine, as root on Debian: buildah without a daemon or a registry, on a base that
# debootstrap creates. With an engine: docker build -f deploy/Dockerfile .
#
#   deploy/build.sh            builds the image `threelane` in buildah's storage under .threelane/image
#   deploy/build.sh mount      prints the folder of the image's files
#   deploy/build.sh clean      removes everything
#
# BASE_FOLDER: an existing Debian with Python 3.11. PIP_CONFIG_FILE, PIP_CERT: pip's configuration and CAs in the build, passed
# as secrets. IMAGE_VOLUMES: folders, separated by :, that pip needs in the build, such as an index of files.
set -euo pipefail
cd "$(dirname "$0")/.."

STATE=${IMAGE_STATE:-$PWD/.threelane/image}
BASE_FOLDER=${BASE_FOLDER:-$STATE/base}
SUITE=bookworm
# works without overlays, user namespaces and a runtime, which a machine without an engine may lack
buildah() { command buildah --root "$STATE/storage" --runroot "$STATE/run" --storage-driver vfs "$@"; }

missing() {
    [ "$(id -u)" = 0 ] || echo "not root: chroot and mount need it"
    type -P buildah >/dev/null || echo "no buildah: apt-get install buildah"
    type -P debootstrap >/dev/null || [ -d "$BASE_FOLDER/usr" ] || echo "no debootstrap: apt-get install debootstrap"
}

base() {
    if buildah inspect --type image threelane-base >/dev/null 2>&1; then return; fi
    if [ ! -d "$BASE_FOLDER/usr" ]; then
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$SUITE" "$BASE_FOLDER.part" >"$STATE/debootstrap.log"
        rm -rf "$BASE_FOLDER.part"/var/cache/apt/*.bin "$BASE_FOLDER.part"/var/cache/apt/archives/*.deb "$BASE_FOLDER.part"/var/lib/apt/lists/*
        mv "$BASE_FOLDER.part" "$BASE_FOLDER"
    fi
    local container
    container=$(buildah from scratch)
    buildah add -q "$container" "$BASE_FOLDER" / >/dev/null
    buildah commit -q --rm "$container" threelane-base >/dev/null
    [ "$BASE_FOLDER" != "$STATE/base" ] || rm -rf "$BASE_FOLDER"
}

build() {
    buildah rm threelane-files >/dev/null 2>&1 || true # the files of the previous image
    local said=() folder
    [ ! -s "${PIP_CONFIG_FILE:-/etc/pip.conf}" ] || said+=(--secret "id=pip_conf,src=${PIP_CONFIG_FILE:-/etc/pip.conf}")
    [ ! -s "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" ] || said+=(--secret "id=pip_ca,src=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}")
    IFS=: read -ra folders <<<"${IMAGE_VOLUMES:-}"
    for folder in "${folders[@]}"; do said+=(--volume "$folder:$folder:ro"); done
    buildah build -q --isolation chroot --network host --pull-never --format docker \
        --build-arg BASE=localhost/threelane-base \
        --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
        "${said[@]}" --ignorefile .dockerignore -f deploy/Dockerfile -t threelane .
}

problem=$(missing)
[ -z "$problem" ] || { echo "$problem" >&2; exit 3; }
mkdir -p "$STATE"
case "${1:-build}" in
build) base && build ;;
mount)
    container=$(buildah containers -q --filter name=threelane-files)
    [ -n "$container" ] || container=$(buildah from --pull-never --name threelane-files localhost/threelane)
    buildah mount "$container"
    ;;
inspect) buildah inspect --type image localhost/threelane ;;
clean)
    buildah umount --all >/dev/null 2>&1 || true
    buildah rm --all >/dev/null 2>&1 || true
    rm -rf "$STATE"
    ;;
*) echo "usage: deploy/build.sh [build | mount | inspect | clean]" >&2 && exit 2 ;;
esac
