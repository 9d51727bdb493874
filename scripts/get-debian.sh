#!/usr/bin/env bash
# Fetches a program for the tests from the Debian archive this machine is set up for, checked by Debian's keyring, installs nothing
# system-wide, and prints where it is. Exit 3: there is none to be had here.
#   scripts/get-debian.sh SUITE FOLDER PROGRAM PACKAGE [LIBRARY...]
set -euo pipefail
suite=$1 dest=$2 binary=$2/usr/bin/$3
# With libraries of its own, which are not where the system looks for them, it is started by a script.
[ $# -eq 4 ] || binary=$2/$3
shift 3
if [ -x "$binary" ]; then
  echo "$binary"
  exit 0
fi
none() {
  echo "$1" >&2
  exit 3
}
command -v apt-get > /dev/null && command -v dpkg > /dev/null || none 'no Debian: apt-get and dpkg are missing'
shopt -s nullglob
archive=$(cat /etc/apt/sources.list.d/*.sources 2> /dev/null | awk '/^URIs:/ { for (i = 2; i <= NF; i++) print $i }' | grep -v -- -security | grep '/debian/*$' | head -1 || true)
[ -n "$archive" ] || archive=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null | awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\/.*\/debian\/*$/) { print $i; exit } }' || true)
[ -n "$archive" ] || none 'no Debian archive is configured'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts" "$dest"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" > "$work/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts" -o Dir::State::lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@" >&2
}
apt update || none 'the Debian archive cannot be reached'
(cd "$work" && apt download "$@") || none "the suite $suite has no $*"
for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
[ $# -eq 1 ] || install -m 755 /dev/stdin "$work/root/${binary##*/}" << 'SCRIPT'
#!/bin/sh
here=$(CDPATH= cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu) exec "$here/usr/bin/${0##*/}" "$@"
SCRIPT
cp -a "$work/root/." "$dest"
echo "$binary"
