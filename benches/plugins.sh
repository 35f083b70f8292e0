#!/usr/bin/env bash
# Works on components in a program that runs: each prints lines with figures and targets.
#
#   benches/plugins.sh [start] [swap] [evil]     all when none is named
#
#   start   a thousand components that were compiled before: CPU until the program is ready
#   swap    50,000 samples a second for 60 s while a rule that keeps state is replaced 100 times:
#           every event must be that of a run in which nothing is replaced
#   evil    samples as fast as they are taken, beside a guest that misbehaves, by what it does:
#           CPU and throughput, and the alerts of its neighbours must all be there
#
# What a call and a row cost: `cargo bench --bench micro -- guest`.
#
# These narrow them, and make their figures worth less:
#   WATCHFIRE=FILE              this program, instead of building one
#   GUESTS=FOLDER               these components, instead of building them
#   PLUGINS=1000                of start
#   SECONDS_LIVE=60 SWAPS=100   of swap
#   OUT=/tmp/watchfire-works    the driver
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. benches/works/lib.sh

start() {
    "$works" start --watchfire "$watchfire" --guests "$(guests)" --plugins "${PLUGINS:-1000}"
}

swap() {
    "$works" swap --watchfire "$watchfire" --guests "$(guests)" --rate 50000 \
        --seconds "${SECONDS_LIVE:-60}" --swaps "${SWAPS:-100}"
}

evil() {
    "$works" evil --watchfire "$watchfire" --guests "$(guests)"
}

prepare
if [[ $# -eq 0 ]]; then
    set -- start swap evil
fi
for name in "$@"; do
    case $name in
        start | swap | evil) "$name" ;;
        *) echo "there is no work $name" >&2; exit 2 ;;
    esac
done
