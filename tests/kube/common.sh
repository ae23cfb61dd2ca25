# What the scripts of the test bed share. Sourced, not run; the caller sets `dir` and `here`.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# The comment at the top of the script is its manual.
usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

# claim DIR: makes it private and the working directory. `dir` becomes absolute. Only a new or empty folder will do,
# since all that is in it is removed at the end.
claim() {
    mkdir -p "$1" && dir=$(cd "$1" && pwd -P) && cd "$dir" || fail "cannot make $1"
    [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty"
    chmod 700 "$dir"
}

# child NAME COMMAND…: starts it with NAME.log. The kernel kills it should this shell die in any way: a shell has one
# thread, so that the signal comes when the process ends, neither earlier nor never.
declare -A children=()
child() {
    local name=$1
    shift
    setpriv --pdeathsig KILL "$@" >"$name.log" 2>&1 </dev/null &
    children[$name]=$!
}

running() {
    [ -n "${children[$1]:-}" ] && kill -0 "${children[$1]}" 2>/dev/null
}

# await WHAT CHILD COMMAND…: until the command succeeds, for as long as the child lives.
await() {
    local what=$1 name=$2 deadline=$((SECONDS + 180))
    shift 2
    until "$@" >/dev/null 2>"$name.await"; do
        running "$name" || fail "$what ended; the last lines of $dir/$name.log: $(tail -n 5 "$name.log")"
        [ $SECONDS -lt $deadline ] || fail "no answer from $what within 180 s: $(tail -n 3 "$name.await")"
        sleep 0.05
    done
    rm -f "$name.await"
}

# end_children NAME…: asks all of them to stop, and insists after ten seconds.
end_children() {
    local name deadline=$((SECONDS + 10))
    for name in "$@"; do
        running "$name" && kill -TERM "${children[$name]}" 2>/dev/null
    done
    for name in "$@"; do
        while running "$name" && [ $SECONDS -lt $deadline ]; do
            sleep 0.02
        done
        running "$name" && kill -KILL "${children[$name]}" 2>/dev/null
        [ -z "${children[$name]:-}" ] || wait "${children[$name]}" 2>/dev/null
    done
}

# Removes the folder, but for the logs when somebody asked to keep them.
sweep() {
    cd /
    if [ -e "$dir/keep" ]; then
        find "$dir" -mindepth 1 -maxdepth 1 ! -name '*.log' ! -name keep -exec rm -rf {} +
    else
        rm -rf "$dir"
    fi
}

# kubeconfig FILE SERVER USER
kubeconfig() {
    cat >"$1" <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: bed, cluster: {server: "$2", certificate-authority: $dir/ca.crt}}]
users: [{name: bed, user: {$3}}]
contexts: [{name: bed, context: {cluster: bed, user: bed}}]
current-context: bed
CONFIG
    chmod 600 "$1"
}

# hold NAME…: until standard input ends, or one of these children does, which is a failure.
hold() {
    local pids=() name reader ended
    for name in "$@"; do
        pids+=("${children[$name]}")
    done
    cat <&0 >/dev/null &
    reader=$!
    wait -n -p ended "$reader" "${pids[@]}"
    [ "${ended:-}" = "$reader" ] && return 0
    kill "$reader" 2>/dev/null
    for name in "$@"; do
        [ "${children[$name]}" = "${ended:-}" ] && fail "$name ended: $(tail -n 5 "$dir/$name.log")"
    done
    fail "a component ended"
}
