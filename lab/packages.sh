#!/bin/sh
# Installs the Debian packages that the lab and the checks need, if they are not installed yet.
set -eu

packages='acl busybox-static ca-certificates curl debootstrap git iproute2
openssh-client openssl procps python3-venv shellcheck systemd-container'
# Go 1.21 or later downloads the release that the lab's modules need by itself. Debian's Go is
# older, but it can download that release as a module.
command -v go >/dev/null || packages="$packages golang-go"

missing=''
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "error: this is not Debian; install the equivalents of these packages and run again:$missing" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "error: packages are missing; run as root: apt-get update && apt-get install --yes$missing" >&2
    exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # the names are words of a list
apt-get install --yes -qq --no-install-recommends $missing >/dev/null
