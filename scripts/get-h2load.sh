#!/usr/bin/env bash
# h2load, nghttp2's generator of load, for the tests: the one that is installed, else Debian's (see get-debian.sh). Prints where it is.
#   scripts/get-h2load.sh [FOLDER]
command -v h2load || exec "$(dirname "$0")/get-debian.sh" "${H2LOAD_SUITE:-bookworm}" "${1:-.cache/h2load}" h2load nghttp2-client libnghttp2-14 libev4 libjemalloc2 libssl3
