#!/usr/bin/env bash
# The performance works: makes the data, replays it, checks every alert, prints what it cost.
#
#   benches/works.sh            a line of figures for each work, format and kind of rules
#   benches/works.sh --table    the same at the end as a Markdown table, lines to standard error
#
# These narrow or widen it:
#   WORKS="t1 w1 w2 r1"         FORMATS="json statsd influx prom"     KINDS="native wasm"
#   SEED=0 SAMPLES=6000000      other data of the same kind; samples in steps of 120000
#   RUNS=5 SHARDS=1             the median of so many runs; threads that judge
#   WATCHFIRE=FILE              this program, instead of building one
#   GUESTS=FOLDER               these components, instead of building them
#   OUT=/tmp/watchfire-works    data, answers, events, and all lines in results.txt
#
# A figure is printed only when the alerts of every run were right. CPU is user and system time of
# the whole process, from its start to its end. Input lies in the page cache, if there is room.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. benches/works/lib.sh

samples=${SAMPLES:-6000000}
seed=${SEED:-0}
shards=${SHARDS:-1}
# Ten minutes of ten metrics a second each, of whole services of 20 hosts.
hosts=$((samples / 6000 / 20 * 20))
[[ $hosts -gt 0 ]] || { echo "SAMPLES is at least 120000" >&2; exit 2; }
samples=$((hosts * 6000))
extent=(--seed "$seed" --hosts "$hosts")
name=seed$seed-hosts$hosts

data() { # FORMAT: the file of samples, made once
    local file=$OUT/$name.$1
    [[ -s $file ]] || { "$works" samples --format "$1" "${extent[@]}" >"$file.part" && mv "$file.part" "$file"; }
    echo "$file"
}

answers() { # WORK: the file of known answers, made anew, since it is made faster than doubted
    "$works" answers --work "$1" "${extent[@]}" >"$OUT/answers-$1"
    echo "$OUT/answers-$1"
}

# The settings of a work's component bear the component's name; not every work has one.
settings() { # WORK
    compgen -G "benches/works/$1/*.toml" || true
}

rules() { # WORK KIND: the arguments that give the program these rules; none when there are none
    local settings folder=$OUT/plugins-$1
    case $2 in
        native)
            echo "--rules benches/works/$1"
            ;;
        wasm)
            settings=$(settings "$1")
            [[ -n $settings ]] || return 0
            rm -rf "$folder" && mkdir -p "$OUT/none" "$folder"
            cp "$settings" "$(guests)/$(basename "$settings" .toml).wasm" "$folder/"
            echo "--rules $OUT/none --plugins $folder"
            ;;
        *)
            echo "KINDS are native and wasm, not $2" >&2
            exit 2
            ;;
    esac
}

work() { # WORK FORMAT KIND
    local arguments input answers runs=$OUT/runs told
    arguments=$(rules "$1" "$3")
    [[ -n $arguments ]] || return 0
    input=$(data "$2") answers=$(answers "$1")
    cat "$input" >/dev/null
    : >"$runs"
    for _ in $(seq "${RUNS:-5}"); do
        # Unquoted: several arguments.
        measure "$OUT/events" "$OUT/summary" "$watchfire" replay $arguments \
            --format "$2" --shards "$shards" "$input" >>"$runs"
        complete "$OUT/summary" "$samples"
        told=$("$works" check --work "$1" --answers "$answers" --events "$OUT/events")
    done
    "$works" sum-up --work "$1" --format "$2" --kind "$3" --shards "$shards" \
        --samples "$samples" --alerts "${told% *}" --worst-ms "${told#* }" "$runs"
}

prepare
: >"$OUT/results.txt"
for work in ${WORKS:-t1 w1 w2 r1}; do
    for kind in ${KINDS:-native wasm}; do
        for format in ${FORMATS:-json statsd influx prom}; do
            work "$work" "$format" "$kind" | tee -a "$OUT/results.txt" >&"$lines"
        done
    done
done
[[ -z ${table:-} ]] || "$works" table "$OUT/results.txt"
