# What works.sh and live.sh share. Sourced, not run.

OUT=${OUT:-/tmp/watchfire-works}
works=$OUT/works

# Lines of figures go to the standard output, or make room there for a table.
lines=1
if [[ ${1:-} == --table ]]; then
    table=yes lines=2
fi

# Compiles the driver, and the program unless there is one already.
prepare() {
    mkdir -p "$OUT"
    rustc --edition 2024 -O -o "$works" benches/works/main.rs
    if [[ -z ${WATCHFIRE:-} ]]; then
        cargo build --release --locked
    fi
    watchfire=$(realpath "${WATCHFIRE:-${CARGO_TARGET_DIR:-target}/release/watchfire}")
}

# The folder of components, built when it is not given.
guests() {
    if [[ -z ${GUESTS:-} ]]; then
        CARGO_TARGET_DIR=plugins/target cargo build --quiet --release --locked \
            --manifest-path plugins/Cargo.toml --target wasm32-wasip2 >&2
        GUESTS=plugins/target/wasm32-wasip2/release
    fi
    echo "$GUESTS"
}

# measure EVENTS SUMMARY COMMAND…: prints `USER SYSTEM WALL PEAK_KIB` of the command, in seconds.
# The process in between waits, looks at the memory 200 times a second, and does nothing else.
measure() {
    local events=$1 summary=$2 TIMEFORMAT='%U %S %R'
    shift 2
    { time "$works" peak "$OUT/peak" "$@" >"$events" 2>"$summary"; } 2>"$OUT/time" ||
        { cat "$summary" >&2; return 1; }
    echo "$(<"$OUT/time") $(<"$OUT/peak")"
}

# complete SUMMARY SAMPLES: all samples were taken, none refused, no line unreadable.
complete() {
    local taken
    taken=$(sed -n 's/ samples of .*//p' "$1" | tr -d ,)
    if [[ $taken != "$2" ]] || ! grep -q '^refused: none; 0 defects$' "$1"; then
        echo "expected $2 samples and no refusal:" >&2
        cat "$1" >&2
        return 1
    fi
}
