# shellcheck shell=bash
# What the scripts share: where the project is, how to say things, how to come by the tools that are missing.
# Sourced, never run. Everything it says goes to stderr: stdout belongs to the script's answer.

# shellcheck disable=SC2034 # the scripts that source this file use it
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s\n' "$*" >&2; }

die() { # EXIT-CODE MESSAGE...
    local code=$1
    shift
    say "${0##*/}: $*"
    exit "$code"
}

# What stands at the head of the script.
own_help() { sed -n '2,/^set /{/^# \{0,1\}/!d;s///p}' "$0"; }

# Something this needs is not to be had: EX_UNAVAILABLE of sysexits.h.
unavailable() { die 69 "$@"; } # MESSAGE...

have() { command -v "$1" > /dev/null 2>&1; }

can_install() { [ "$(id -u)" -eq 0 ] && have apt-get; }

# Debian's way, without a question and without waiting for ever for another apt-get or for a mirror.
apt_install() { # PACKAGE...
    local get=(timeout 900 env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120)
    say "installing $* with apt-get"
    # A package list that is missing or stale is the usual reason for a failure: refresh it once, then believe it.
    "${get[@]}" install --no-install-recommends "$@" > /dev/null 2>&1 < /dev/null ||
        { "${get[@]}" update && "${get[@]}" install --no-install-recommends "$@"; } >&2 < /dev/null
}

# What a build of librdkafka, OpenSSL and zstd calls. OpenSSL's Configure wants modules that a bare `perl-base` lacks.
missing_build_packages() {
    have cc && have c++ && have make || echo build-essential
    perl -MFindBin -MFile::Compare -MIPC::Cmd -e 1 2> /dev/null || echo perl
    have pkg-config || echo pkg-config
}

need_build_tools() {
    # A shell that is not a login shell often lacks the folder where rustup puts cargo.
    have cargo || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    have cargo || unavailable "cargo is missing; install Rust with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    local packages
    mapfile -t packages < <(missing_build_packages)
    [ ${#packages[@]} -gt 0 ] || return 0
    if can_install; then apt_install "${packages[@]}" || true; fi
    mapfile -t packages < <(missing_build_packages)
    [ ${#packages[@]} -eq 0 ] ||
        unavailable "the build tools are not complete; install them with: sudo apt-get install ${packages[*]}"
}

java_version() { java -version 2>&1 < /dev/null | sed -n 's/.* version "\([^"]*\)".*/\1/p'; } # e.g. 17.0.2

java_is_new_enough() { # Kafka 4 runs on Java 17 and later
    local version
    version=$(java_version)
    [ "${version%%[!0-9]*}" -ge 17 ] 2> /dev/null
}

need_java() {
    java_is_new_enough && return
    if can_install; then apt_install openjdk-17-jre-headless || apt_install default-jre-headless || true; fi
    java_is_new_enough ||
        unavailable "Java 17 or later is missing; install it with: sudo apt-get install openjdk-17-jre-headless"
}

need_maven() {
    have mvn && return
    if can_install; then apt_install maven || true; fi
    have mvn || unavailable "Maven is missing; install it with: sudo apt-get install maven"
}

# The page is tested in a browser; a font, so that there is something to see.
want_chromium() {
    have chromium && have chromedriver && return
    if can_install; then apt_install chromium chromium-driver fonts-dejavu-core || true; fi
    have chromium && have chromedriver
}

# The units are held against it; nothing of it runs.
want_systemd_analyze() {
    have systemd-analyze && return
    if can_install; then apt_install systemd || true; fi
    have systemd-analyze
}
