# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared among the files of this folder
# Where there is a container engine: it builds, and the checks run in its containers.

engine='' container=''

find_engine() {
    for engine in docker podman; do
        if have "$engine" && timeout 20 "$engine" info > /dev/null 2>&1; then return; fi
    done
    engine=
    return 1
}

readonly tag=headcount:check

build_with_engine() {
    # The instructions are read all the same: the checks ask what user, healthcheck and entrypoint there are.
    go_through
    say "== $engine build"
    "$engine" build -t "$tag" "$root" >&2 || die 1 "$engine build failed"
    stage_root=$work/image
    mkdir "$stage_root"
    container=$("$engine" create "$tag")
    "$engine" export "$container" | tar -C "$stage_root" --numeric-owner -xf -
    stop_engine
}

stop_engine() {
    [ -z "$engine" ] || "$engine" rm -f "$container" "headcount-check-$$" > /dev/null 2>&1 || true
}

# With as little as the compose file gives it, and a name by which to stop it.
in_container() { # COMMAND...
    local variables=() variable
    for variable in "${container_variables[@]}"; do variables+=(-e "$variable"); done
    start "$engine" run --rm --name "headcount-check-$$" --network none --read-only --cap-drop ALL \
        --security-opt no-new-privileges "${variables[@]}" --entrypoint "$1" "$tag" "${@:2}"
}
