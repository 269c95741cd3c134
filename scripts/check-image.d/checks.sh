# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared among the files of this folder
# What must be true of the finished image. Its root is in stage_root; `inside` runs commands in it as the image's user,
# on a read-only root, without capabilities, as process 1.

passed=0 failed=0
container_variables=()

check() { # WORDS COMMAND...
    local words=$1
    shift
    if "$@"; then
        say "ok    $words"
        passed=$((passed + 1))
    else
        say "FAIL  $words"
        failed=$((failed + 1))
    fi
}

check_image() {
    say "== checks"
    [ -n "$binary" ] || check "the program is stripped" is_stripped
    [ -n "$binary" ] || check "certificates of authorities are where librdkafka looks" has_authorities
    check "the program needs libc and its kin alone" needs_libc_only
    check "no compiler, build tool or downloader is a command" has_no_commands
    check "no such thing is a package, and no package list is left" has_no_packages
    check "the user is a number and not root" check_user
    check "nothing can be written" is_read_only
    check "headcount --version is that of Cargo.toml" says_version
    check "generate | count counts every frame" counts_frames
    check "demo --for 5s runs" runs_demo
    check "as process 1, ${entrypoint[*]} ${command[*]} ends with 0 on SIGTERM" obeys_sigterm
    check "the healthcheck says 69 while there is no broker" healthcheck_fails
    say "program: $(size "$stage_root/usr/local/bin/headcount"); whole root: $(size "$stage_root")"
}

size() { du -s --apparent-size -B 1000000 "$1" | sed 's/[^0-9].*/ MB/'; }

finish() {
    echo "image: $passed checks passed, $failed failed; built and run $how"
    [ "$failed" -eq 0 ]
}

# ---- the root

# The names of an ELF file's sections end with a NUL byte; the same words in Rust's strings do not.
is_stripped() { ! LC_ALL=C grep -qaP '\.(debug_info|symtab)\x00' "$stage_root/usr/local/bin/headcount"; }

has_authorities() {
    local file=/etc/ssl/certs/ca-certificates.crt
    grep -qaF "$file" "$stage_root/usr/local/bin/headcount" && [ "$(grep -c BEGIN "$stage_root$file")" -gt 50 ]
}

needs_libc_only() {
    local others
    others=$(inside ldd /usr/local/bin/headcount | grep -vE '^\s*(linux-vdso|libgcc_s|libm|libc|libpthread|libdl|librt|/lib[0-9a-z]*/ld-linux[-a-z0-9_]*)\.so') || true
    [ -z "$others" ] || { say "$others" && false; }
}

has_no_commands() {
    local found
    # shellcheck disable=SC2016
    found=$(inside sh -c 'for name; do command -v "$name"; done; true' sh \
        cc c++ gcc g++ clang cpp ld as ar make cmake pkg-config cargo rustc rustup git curl wget python3 dpkg-buildpackage)
    [ -z "$found" ] || { say "$found" && false; }
}

has_no_packages() {
    local found
    found=$(sed -n 's/^Package: //p' "$stage_root/var/lib/dpkg/status" | grep -xE "$build_tools|gcc-[0-9]+|g\+\+-[0-9]+|perl-modules-.*|dpkg-dev" || true)
    found+=${found:+$'\n'}$(find "$stage_root/var/lib/apt/lists" -type f ! -name lock 2> /dev/null || true)
    [ -z "$found" ] || { say "$found" && false; }
}

# ---- the program

# Its stdout and stderr are the caller's; container_variables are added to the environment of the image.
inside() { # COMMAND...
    if [ -n "$engine" ]; then
        in_container "$@"
        return
    fi
    local name variables=()
    for name in "${!environment[@]}"; do variables+=("$name=${environment[$name]}"); done
    # shellcheck disable=SC2016 # for the shell in there
    isolated sh -euc '
        root=$1 user=$2 group=$3 directory=$4
        shift 4
        mount --bind "$root" "$root"
        mount -o remount,bind,ro "$root"
        mount -t proc proc "$root/proc"
        # A process that becomes another user forgets that it is to die with unshare: tell it again.
        exec chroot "$root" setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs \
            --inh-caps=-all --bounding-set=-all --pdeathsig KILL env -i -C "$directory" "$@"
    ' sh "$stage_root" "${user%:*}" "${user#*:}" "$workdir" "${variables[@]}" "${container_variables[@]}" "$@"
}

# shellcheck disable=SC2016 # for the shell in there
is_read_only() { inside sh -c 'for file in /tmp/a /var/tmp/a /run/a; do ! touch $file || exit 1; done' 2> /dev/null; }

says_version() { [ "$(inside headcount --version)" = "headcount $(manifest version)" ]; }

counts_frames() {
    local record
    record=$(inside sh -c 'headcount generate --frames 1000 --seed 7 | headcount count --format json' | tail -n 1)
    [[ $record == *'"read":1000,'* ]] || { say "$record" && false; }
}

runs_demo() {
    local log=$work/demo.log
    if ! inside headcount demo --for 5s > "$log" 2>&1 || ! grep -q '^tick 1 ' "$log"; then
        tail -n 5 "$log" >&2
        return 1
    fi
}

# The kernel keeps a signal from process 1 that this one has no handler for: a program must mean it.
obeys_sigterm() {
    container_variables=(HEADCOUNT_BROKER=127.0.0.1:1)
    ends_on_sigterm "${entrypoint[@]}" "${command[@]}"
}

# A service whose broker is away; its log is left in $work/run.log. Afterwards container_variables is empty.
ends_on_sigterm() { # COMMAND...
    local log=$work/run.log status=0 started=$SECONDS
    background=yes
    inside "$@" > "$log" 2>&1
    background='' container_variables=()
    until grep -q 'do not answer' "$log" || [ $((SECONDS - started)) -gt 20 ]; do sleep 0.1; done
    terminate || status=1
    for _ in {1..200}; do
        kill -0 "$child" 2> /dev/null || break
        sleep 0.1
    done
    kill -KILL "$child" 2> /dev/null || true
    await_child || status=$?
    # A program that had ended by itself did not obey.
    if [ $status -ne 0 ] || ! grep -q 'do not answer' "$log"; then
        tail -n 5 "$log" >&2
        return 1
    fi
}

terminate() {
    if [ -n "$engine" ]; then
        "$engine" kill --signal TERM "headcount-check-$$" > /dev/null || true
        return
    fi
    # What waits is unshare; its one child is process 1 of the namespace.
    local first
    first=$({ tr -d ' ' < "/proc/$child/task/$child/children"; } 2> /dev/null) || return
    [ -n "$first" ] && kill -TERM "$first"
}

healthcheck_fails() {
    local status=0 log=$work/healthcheck.log
    container_variables=(HEADCOUNT_BROKER=127.0.0.1:1)
    inside timeout 30 "${healthcheck[@]}" > "$log" 2>&1 || status=$?
    container_variables=()
    [ $status -eq 69 ] || { say "exit code $status: $(tail -n 1 "$log")" && false; }
}
