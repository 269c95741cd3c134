# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared among the files of this folder
# Executing the Dockerfile without a container engine.
#
# Everything runs in mount and process namespaces of its own, whose first process dies with this script: whatever is
# mounted or started in there is gone with it, even after a SIGKILL.

child='' background=''
stage_root='' # of the stage at work
skipped=' '   # names of stages that --binary stands in for

start_work() {
    mkdir -p "$home"
    exec 9> "$home/.lock"
    flock -w 1800 9 || unavailable "another scripts/check-image has held $home/.lock for half an hour; is it stuck?"
    # What a run that was killed left behind.
    remove_work
    mkdir "$work"
    trap remove_work EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

remove_work() {
    local status=$?
    [ -z "$child" ] || kill -KILL "$child" 2> /dev/null || true
    stop_engine
    rm -rf --one-file-system "$work"
    return $status
}

isolated() { # COMMAND...
    start setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child -- "$@"
}

# Bash puts off its traps as long as something runs in the foreground. With `background` set it is not waited for.
start() { # COMMAND...
    "$@" 9>&- < /dev/null &
    child=$!
    [ -n "$background" ] || await_child
}

await_child() {
    local status=0
    wait "$child" || status=$?
    child=
    return $status
}

need_chroots() {
    [ "$(id -u)" -eq 0 ] || unavailable "without a container engine (docker, podman) this must be root, for chroot"
    local tool
    for tool in unshare setpriv; do
        have $tool || unavailable "$tool is missing; install it with: apt-get install util-linux"
    done
    isolated true || unavailable "this system lets nobody make mount and process namespaces (unshare --mount --pid)"
}

build_in_chroots() {
    need_chroots
    acting=yes
    go_through
}

begin_stage() {
    stage_root=$work/${stages[-1]}
    if [ -n "$binary" ] && [ -z "$last_stage" ]; then
        skipped+="${stages[-1]} "
        return
    fi
    say "== FROM $image"
    extract_base "$stage_root"
}

is_skipped() { [[ $skipped == *" $1 "* ]]; } # STAGE

# ---- RUN

run_in_stage() { # COMMAND
    is_skipped "${stages[-1]}" && return
    say "== RUN $1"
    local log=$work/run.log started=$SECONDS
    in_root "$stage_root" /bin/sh -c "$1" > "$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die 1 "Dockerfile:$line: RUN failed"
    }
    say "   $(tail -n 1 "$log") ($((SECONDS - started)) s)"
}

# As root, with the environment of the stage and with what this machine needs to reach the network.
in_root() { # ROOT COMMAND...
    local into=$1 name variables=()
    shift
    for name in "${!arguments[@]}"; do variables+=("$name=${arguments[$name]}"); done
    for name in "${!environment[@]}"; do variables+=("$name=${environment[$name]}"); done
    mapfile -t -O ${#variables[@]} variables < <(network_variables)
    touch "$into/etc/resolv.conf"
    # shellcheck disable=SC2016 # for the shell in there
    isolated sh -euc '
        root=$1 authorities=$2 directory=$3
        shift 3
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/run"
        mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
        [ -z "$authorities" ] || cp "$authorities" "$root/run/authorities.pem"
        exec chroot "$root" env -i -C "$directory" "$@"
    ' sh "$into" "$(authorities)" "$workdir" HOME=/root "${variables[@]}" "$@"
}

# Whom this machine trusts: behind a proxy that ends TLS that is one more than Debian's own list.
authorities() {
    local file
    for file in "${SSL_CERT_FILE-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -n "$file" ] && [ -s "$file" ]; then
            echo "$file"
            return
        fi
    done
}

network_variables() { # NAME=VALUE lines
    local name trusted=/run/authorities.pem
    env | grep -iE '^((https?|all|no)_proxy|CARGO_(HTTP|NET|SOURCE|REGISTRIES|REGISTRY)_.*|RUSTUP_(DIST_SERVER|UPDATE_ROOT))=' |
        grep -ivE '^[^=]*(token|credential|cainfo)[^=]*=' || true
    [ -z "$(authorities)" ] || for name in CARGO_HTTP_CAINFO SSL_CERT_FILE; do echo "$name=$trusted"; done
}

# ---- COPY

copy_from_context() { # SOURCE TARGET
    is_skipped "${stages[-1]}" && return
    local source=$1 target=$stage_root$2 file
    if [ ! -d "$root/$source" ]; then
        copy_file "$root/$source" "$target"
        return
    fi
    # Of a folder, COPY takes what is in it.
    while IFS= read -r file; do
        mkdir -p "$target/$(dirname "${file#"$source"/}")"
        copy_file "$root/$file" "$target/${file#"$source"/}"
    done < <(context_files "$source")
}

copy_from_stage() { # STAGE SOURCE TARGET
    if is_skipped "$1"; then
        copy_stand_in "$2" "$stage_root$3"
        return
    fi
    [ -f "$work/$1$2" ] || wrong "stage $1 has no file $2"
    copy_file "$work/$1$2" "$stage_root$3"
}

copy_stand_in() { # SOURCE TARGET
    if [ "${1##*/}" = headcount ]; then
        copy_file "$binary" "$2"
        chmod 755 "${2%/}$([[ $2 != */ ]] || echo "/headcount")"
        return
    fi
    say "   an empty file stands in for $1, which the stage that is left out would make"
    copy_file /dev/null "${2%/}$([[ $2 != */ ]] || echo "/${1##*/}")"
}

copy_file() { # SOURCE TARGET; one that ends with / is a folder
    case $2 in
        */) mkdir -p "$2" ;;
        *) mkdir -p "$(dirname "$2")" ;;
    esac
    case $1 in
        /dev/null) : > "$2" ;;
        *) cp --preserve=mode,timestamps "$1" "$2" ;;
    esac
}
