#!/usr/bin/env bash
# Prometheus 2.42 and promtool beside it, for the tests (see get-debian.sh). Prints where Prometheus is.
#   scripts/get-prometheus.sh [FOLDER]
exec "$(dirname "$0")/get-debian.sh" "${PROMETHEUS_SUITE:-bookworm}" "${1:-.cache/prometheus}" prometheus prometheus
