#!/usr/bin/env bash
# protoc 3.21 and the well-known types, for the tests (see get-debian.sh). Prints where it is.
#   scripts/get-protoc.sh [FOLDER]
exec "$(dirname "$0")/get-debian.sh" "${PROTOC_SUITE:-bookworm}" "${1:-.cache/protoc}" protoc protobuf-compiler libprotoc32 libprotobuf32 libprotobuf-dev
