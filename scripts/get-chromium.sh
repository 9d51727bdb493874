#!/usr/bin/env bash
# Prints where Chromium is, for the tests of the console. As root on Debian one that is missing is installed from the archive this
# machine is set up for: a browser needs too many libraries to be unpacked beside the system. Exit 3: there is none to be had here.
set -euo pipefail
for name in chromium chromium-browser google-chrome-stable google-chrome; do
  if command -v "$name" > /dev/null; then
    command -v "$name"
    exit 0
  fi
done
none() {
  echo "$1" >&2
  exit 3
}
command -v apt-get > /dev/null || none 'no Chromium is installed, and this is no Debian'
[ "$(id -u)" = 0 ] || none 'no Chromium is installed: apt-get install chromium'
export DEBIAN_FRONTEND=noninteractive
apt-get install -qq -y --no-install-recommends chromium > /dev/null 2>&1 \
  || { apt-get update -qq > /dev/null 2>&1 && apt-get install -qq -y --no-install-recommends chromium > /dev/null 2>&1; } \
  || none 'the Debian archive has no chromium, or cannot be reached'
command -v chromium
