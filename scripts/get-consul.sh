#!/usr/bin/env bash
# Consul for the tests (see get-debian.sh). Prints where it is.
#   scripts/get-consul.sh [FOLDER]
# 1.8.7 is in bullseye; bookworm has none.
exec "$(dirname "$0")/get-debian.sh" "${CONSUL_SUITE:-bullseye}" "${1:-.cache/consul}" consul consul
