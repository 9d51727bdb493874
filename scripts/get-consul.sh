#!/usr/bin/env bash
set -euo pipefail
dest=${1:-.cache/consul}; suite=${CONSUL_SUITE:-bullseye}          # bookworm has no consul; bullseye has 1.8.7
[ -x "$dest/usr/bin/consul" ] && { echo "$dest/usr/bin/consul"; exit 0; }
uri=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '/^URIs:/{for(i=2;i<=NF;i++) print $i}' | grep -v -- -security | grep '/debian/*$' | head -1 || true)
[ -n "$uri" ] || uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '$1=="deb"{for(i=2;i<=NF;i++) if($i ~ /:\/\//){print $i; exit}}' || true)
[ -n "$uri" ] || { echo "no Debian archive configured: skipping real-Consul tests" >&2; exit 3; }
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT; mkdir -p "$w/lists/partial" "$w/cache/archives/partial" "$w/parts" "$dest"
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$suite" > "$w/s.list"
o=(-o Dir::Etc::sourcelist="$w/s.list" -o Dir::Etc::sourceparts="$w/parts" -o Dir::State::lists="$w/lists" -o Dir::Cache="$w/cache" -o APT::Sandbox::User=root -qq)
apt-get "${o[@]}" update >&2; (cd "$w" && apt-get "${o[@]}" download consul >&2); dpkg -x "$w"/consul_*.deb "$dest"; echo "$dest/usr/bin/consul"
