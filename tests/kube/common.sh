# What the scripts of the test bed share. Sourced, not run; the caller sets `dir`, `bin` and `here`.

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

# await WHAT CHILD COMMAND…: until the command succeeds, for as long as the child lives. The bound is for a machine that
# is very busy. A look costs a tenth of a second of work, hence the pause.
await() {
    local what=$1 name=$2 patience=${patience:-300} deadline
    deadline=$((SECONDS + patience))
    shift 2
    until "$@" >/dev/null 2>"$name.await"; do
        running "$name" || fail "$what ended; the last lines of $dir/$name.log: $(tail -n 5 "$name.log")"
        [ $SECONDS -lt $deadline ] || fail "no answer from $what within $patience s: $(tail -n 3 "$name.await")"
        sleep 0.2
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

# live_with_input: ends this script when its standard input does, from now on, hence when whoever started it dies.
live_with_input() {
    trap '' PIPE
    trap 'exit 0' TERM
    trap 'exit 130' INT HUP
    {
        trap - TERM
        setpriv --pdeathsig KILL cat >/dev/null && kill -TERM $$
    } <&0 &
    input=$!
}

# hold: until any child ends, which is a failure.
hold() {
    first_to_end "${!children[@]}"
    fail "$ended ended: $(tail -n 5 "$dir/$ended.log")"
}

# first_to_end NAME…: sets `ended` to the one that does.
first_to_end() {
    local pids=() pid='' name
    for name in "$@"; do
        pids+=("${children[$name]}")
    done
    wait -n -p pid "${pids[@]}"
    ended=unknown
    for name in "$@"; do
        [ "${children[$name]}" = "$pid" ] && ended=$name
    done
}

# Sets `bin` unless the caller was told: what was built, or the assets when they are complete.
find_programs() {
    local name
    [ -z "$bin" ] || return 0
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl; do
        [ -x "${KUBEBUILDER_ASSETS:-}/$name" ] && continue
        bin=$("$here/build" --cached control-plane) || exit 1
        return
    done
}

# tool NAME: its path.
tool() {
    if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$1" ]; then
        echo "$KUBEBUILDER_ASSETS/$1"
    else
        echo "$bin/$1"
    fi
}

# Elliptic curves: a key takes milliseconds.
certificates() {
    local new=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    local names="IP:127.0.0.1,IP:$1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc"
    openssl req -x509 "${new[@]}" -keyout ca.key -out ca.crt -subj /CN=proxima-test-ca -days 30 &&
        openssl req "${new[@]}" -keyout api.key -out api.csr -subj /CN=kube-apiserver &&
        openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out api.crt -days 30 \
            -extfile <(echo "subjectAltName=$names") &&
        openssl ecparam -name prime256v1 -genkey -noout -out service-accounts.key &&
        openssl ec -in service-accounts.key -pubout -out service-accounts.pub
}

# user FILE NAME [GROUP]: somebody who may talk to the API server, and the kubeconfig for it. The file of tokens is as
# private as the folder.
user() {
    local token
    token=$(openssl rand -hex 16)
    echo "$token,$2,$2${3:+,\"$3\"}" >>tokens.csv
    kubeconfig "$1" "https://$api" "token: $token"
}

# start_control_plane played|real ADDRESS PORT [NODE…]: returns when it works. Every NODE gets a kubeconfig for its
# kubelet. `played`: no kubelet will report on any node. Sets `kubectl` and KUBECONFIG.
start_control_plane() {
    local nodes=$1 address=$2 port=$3 name
    shift 3
    api=$address:$port
    certificates "$address" >openssl.log 2>&1 || fail "cannot make certificates; see $dir/openssl.log"
    user kubeconfig admin system:masters
    user controller-manager.kubeconfig system:kube-controller-manager
    user scheduler.kubeconfig system:kube-scheduler
    user kube-proxy.kubeconfig system:kube-proxy
    for name in "$@"; do
        user "$name.kubeconfig" "system:node:$name" system:nodes
    done

    # Between etcd and the API server a socket in the folder: no port to choose, and nobody else can reach it. The name
    # of the socket file has to look like an address.
    local etcd=unix://etcd.sock:1 peer=unix://peer.sock:1
    child etcd "$(tool etcd)" --data-dir etcd --unsafe-no-fsync --log-level warn --listen-client-urls $etcd \
        --advertise-client-urls $etcd --listen-peer-urls $peer --initial-advertise-peer-urls $peer \
        --initial-cluster default=$peer

    # Nodes that nobody reports on must be left alone: no taint when they appear, none when they stay silent. Nor are
    # there pods then that would reach the API server through its Service, which cannot point at loopback.
    local flags=(--advertise-address "$address") controllers='*'
    if [ "$nodes" = played ]; then
        flags=(--disable-admission-plugins TaintNodesByCondition --endpoint-reconciler-type none)
        controllers='*,-node-lifecycle-controller'
    fi
    audit_policy >audit-policy.yaml
    child apiserver "$(tool kube-apiserver)" --etcd-servers $etcd --bind-address "$address" --secure-port "$port" \
        --kubelet-preferred-address-types InternalIP --tls-cert-file api.crt --tls-private-key-file api.key \
        --client-ca-file ca.crt --token-auth-file tokens.csv --authorization-mode Node,RBAC --allow-privileged=true \
        --service-account-key-file service-accounts.pub --service-account-signing-key-file service-accounts.key \
        --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.96.0.0/16 \
        --audit-policy-file audit-policy.yaml --audit-log-path audit.log "${flags[@]}"
    kubectl=$(tool kubectl)
    export KUBECONFIG=$dir/kubeconfig
    await "the API server" apiserver "$kubectl" get --raw /readyz

    child controller-manager "$(tool kube-controller-manager)" --kubeconfig controller-manager.kubeconfig \
        --leader-elect=false --secure-port 0 --use-service-account-credentials --controllers "$controllers" \
        --service-account-private-key-file service-accounts.key --root-ca-file ca.crt \
        --cluster-signing-cert-file ca.crt --cluster-signing-key-file ca.key --cluster-cidr 10.244.0.0/16
    child scheduler "$(tool kube-scheduler)" --kubeconfig scheduler.kubeconfig --leader-elect=false --secure-port 0
    # Made by a controller, and no pod can be made without it.
    await "the controller manager" controller-manager "$kubectl" get serviceaccount default -n default
}

audit_policy() {
    cat <<'POLICY'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
  - level: None
POLICY
}
