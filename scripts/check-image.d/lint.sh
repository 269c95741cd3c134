# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared among the files of this folder
# What can be said about the Dockerfile, .dockerignore and the compose file without building anything.

# Tools that have no business in an image that runs a program; as packages, and as commands (see checks.sh).
readonly build_tools='build-essential|gcc|g\+\+|clang|make|cmake|perl|pkg-config|cargo|rustc|rustup|git|curl|wget|python3|[a-z0-9.+-]+-dev'

complaints=0

complain() { # MESSAGE...
    say "wrong: $*"
    complaints=$((complaints + 1))
}

lint() {
    local notes=()
    go_through
    lint_last_stage
    lint_versions
    lint_context
    lint_compose
    [ $complaints -eq 0 ] || die 65 "$complaints things are wrong"
    echo "Dockerfile, .dockerignore and packaging/docker-compose.yml agree; read, not executed${notes[0]+ (${notes[*]})}"
}

lint_last_stage() {
    local run
    check_user || complain "the last USER of the Dockerfile must be a number, and not 0: $user"
    [ "${entrypoint[*]}" = headcount ] || complain "the ENTRYPOINT is not headcount"
    [ ${#healthcheck[@]} -gt 0 ] || complain "the last stage has no HEALTHCHECK"
    for run in "${stage_runs[@]}"; do
        if [[ $run == *install* ]] && grep -qwE -- "$build_tools" <<< "$run"; then
            complain "the last stage installs build tools: $run"
        fi
    done
}

check_user() { [[ $user =~ ^[1-9][0-9]*(:[1-9][0-9]*)?$ ]]; }

manifest() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p" "$root/Cargo.toml" | head -n 1; } # KEY of [package]

lint_versions() {
    local wanted packages
    wanted=$(manifest rust-version)
    grep -qE "^FROM rust:$wanted-" "$root/Dockerfile" || complain "the Dockerfile does not build with Rust $wanted, which Cargo.toml asks for"
    [ "${labels[org.opencontainers.image.version]-}" = "$(manifest version)" ] || complain "the version label is not that of Cargo.toml"
    [ "${labels[org.opencontainers.image.licenses]-}" = "$(manifest license)" ] || complain "the licence label is not that of Cargo.toml"
    [ "${labels[org.opencontainers.image.base.name]-}" = "$image" ] || complain "the base label is not what the last FROM says"
    # With a PATH on which nothing is, everything is missing.
    # shellcheck disable=SC2123
    packages=$(PATH=/nonexistent && missing_build_packages)
    packages=${packages//$'\n'/ }
    grep -qF "$packages" "$root/Dockerfile" || complain "the Dockerfile does not install what scripts/lib.sh says a build needs: $packages"
}

lint_context() {
    local path
    for path in target target/release/headcount .git .git/config tests/suite/main.rs shared; do
        ignored "$path" || complain ".dockerignore lets $path through"
    done
    for path in src/main.rs Cargo.toml Cargo.lock; do
        ! ignored "$path" || complain ".dockerignore keeps $path from the builder"
    done
}

lint_compose() {
    local file=$root/packaging/docker-compose.yml
    if have docker && docker compose version > /dev/null 2>&1; then
        docker compose -f "$file" --profile load config -q || complain "docker compose does not take $file"
    elif have python3 && python3 -c 'import yaml' 2> /dev/null; then
        python3 -c 'import sys, yaml; assert yaml.safe_load(open(sys.argv[1]))["services"]' "$file" ||
            complain "$file is not YAML with services"
    else
        notes+=("the compose file as text only, for neither docker compose nor Python's yaml is here")
    fi
}
