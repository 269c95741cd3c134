# shellcheck shell=bash disable=SC2154 # the variables are those of scripts/check-package and of check-image.d
# What is checked of the Debian package: what is in it, and what it does to a system in whose root, stage_root, it is
# installed, upgraded, removed and purged, in this order.

check_package() {
    say "== checks"
    check "its control file says what it is and what it needs" says_what_it_is
    check "it holds what it should and nothing else" holds_what_it_should
    list_files > "$work/before"
    check "it installs" installs
    check "nothing is enabled by that" is_not_enabled
    check "headcount --version is that of Cargo.toml" says_version
    check "generate | count counts every frame" counts_frames
    check "there is a manual page for each command" has_manual_pages
    check "the completions for bash are there" completes
    check "the default configuration is accepted" accepts_configuration
    check "the unit's command starts, and ends with 0 on SIGTERM" runs_as_in_unit
    check "an upgrade keeps what was changed in the configuration" keeps_configuration
    check "a removal takes the program and keeps configuration and state" removes
    check "a purge says that it deletes the state, and leaves nothing" purges
}

dpkg_in() { # ARGUMENTS...; what it says is in $work/dpkg.log
    in_root "$stage_root" env DEBIAN_FRONTEND=noninteractive dpkg "$@" > "$work/dpkg.log" 2>&1 ||
        { tail -n 20 "$work/dpkg.log" >&2 && false; }
}

# Everything that a package could leave behind; what dpkg remembers of it, it may.
list_files() {
    (cd "$stage_root" && find . -path ./proc -prune -o -path ./sys -prune -o -path ./var/lib/dpkg -prune -o \
        -path ./var/log -prune -o -path ./tmp -prune -o -path ./run -prune -o -print | sort)
}

says_what_it_is() {
    if [ "$(field Package)" != headcount ] || [ "$(field Version)" != "$(manifest version)-1" ] ||
        [ "$(field Architecture)" != "$(dpkg --print-architecture)" ] ||
        ! [[ $(field Depends) =~ ^libc6\ \(\>=\ [0-9.]+\)$ ]] ||
        [ "$(field Description | head -n 1 | wc -c)" -gt 80 ]; then
        dpkg-deb --info "$package" >&2
        return 1
    fi
}

field() { dpkg-deb --field "$package" "$1"; } # NAME

# Files alone, by their modes and owners; packed documents count as such that are not.
holds_what_it_should() {
    local page
    dpkg-deb --contents "$package" | awk '$1 !~ /^d/ { sub("root/root", "0/0", $2); print $1, $2, $6 }' |
        sed 's/\.md\.gz$/.md/; s/APACHE\.gz$/APACHE/' | sort -k 3 > "$work/holds"
    {
        echo ./usr/bin/headcount
        for page in "$root"/target/package/man/*.1; do echo "./usr/share/man/man1/${page##*/}.gz"; done
        cat << 'END'
./etc/headcount/headcount.toml
./usr/lib/systemd/system/headcount.service
./usr/lib/systemd/system/headcount@.service
./usr/share/bash-completion/completions/headcount
./usr/share/doc/headcount/CHANGELOG.md
./usr/share/doc/headcount/LICENSE-APACHE
./usr/share/doc/headcount/README.md
./usr/share/doc/headcount/copyright
./usr/share/doc/headcount/docs/DESIGN.md
./usr/share/doc/headcount/docs/FORMAT.md
./usr/share/doc/headcount/docs/REPORT.md
./usr/share/doc/headcount/docs/STORE.md
./usr/share/doc/headcount/examples/alerts.yml
./usr/share/doc/headcount/examples/grafana.json
./usr/share/doc/headcount/examples/secrets.conf
./usr/share/doc/headcount/third-party-licences.tar.gz
./usr/share/fish/vendor_completions.d/headcount.fish
./usr/share/zsh/vendor-completions/_headcount
END
    } | sed 's/^/-rw-r--r-- 0\/0 /; s/^-rw-r--r--\(.*bin\/headcount\)$/-rwxr-xr-x\1/' | sort -k 3 > "$work/should"
    diff "$work/should" "$work/holds" >&2
}

installs() {
    cp "$package" "$stage_root/tmp/headcount.deb"
    dpkg_in --install /tmp/headcount.deb && grep -q 'systemctl enable --now headcount' "$work/dpkg.log"
}

is_not_enabled() { [ -e "$stage_root/usr/lib/systemd/system/headcount.service" ] && [ -z "$(find "$stage_root/etc/systemd/system" -name 'headcount*' 2> /dev/null)" ]; }

has_manual_pages() {
    local name pages=0
    # shellcheck disable=SC2016 # for the shell in there
    for name in $(inside headcount --help | sed -n '/^Commands:/,/^$/{s/^  \([a-z]*\) .*/\1/p}' | grep -vx help); do
        inside sh -c 'zcat "/usr/share/man/man1/headcount-$1.1.gz" | grep -q "^\.TH"' sh "$name" || { say "none for $name" && return 1; }
        pages=$((pages + 1))
    done
    [ $pages -gt 5 ]
}

completes() {
    # shellcheck disable=SC2016 # for the shell in there
    inside bash -c '. /usr/share/bash-completion/completions/headcount && COMP_WORDS=(headcount cou) COMP_CWORD=1 &&
        _headcount headcount cou headcount && [[ " ${COMPREPLY[*]} " == *" count "* ]]'
}

accepts_configuration() { [[ $(inside headcount config check --config /etc/headcount/headcount.toml) == *": ok" ]]; }

# The command line of the unit; nobody listens at the socket that it is given, which it says, and goes on.
runs_as_in_unit() {
    local words
    read -ra words < <(sed -n 's/^ExecStart=//p' "$stage_root/usr/lib/systemd/system/headcount.service")
    # For `inside`.
    # shellcheck disable=SC2034
    container_variables=(HEADCOUNT_BROKER=127.0.0.1:1 HEADCOUNT_HTTP=off NOTIFY_SOCKET=/run/nobody)
    ends_on_sigterm "${words[@]}" && grep -q 'NOTIFY_SOCKET' "$work/run.log"
}

keeps_configuration() {
    local file=$stage_root/etc/headcount/headcount.toml
    echo '# changed here' >> "$file"
    cp "$newer" "$stage_root/tmp/headcount.deb"
    dpkg_in --install /tmp/headcount.deb && [ "$(tail -n 1 "$file")" = '# changed here' ] &&
        in_root "$stage_root" dpkg-query --status headcount | grep -qx 'Version: 999.0-1'
}

removes() {
    # As systemd leaves it.
    mkdir -p "$stage_root/var/lib/private/headcount" "$stage_root/var/lib/private/headcount-eu"
    rm -rf "$stage_root/var/lib/headcount"
    ln -s private/headcount "$stage_root/var/lib/headcount"
    ln -s private/headcount-eu "$stage_root/var/lib/headcount-eu"
    echo sketches > "$stage_root/var/lib/private/headcount/state.sqlite"
    dpkg_in --remove headcount && grep -q 'the state in /var/lib/private/headcount stays' "$work/dpkg.log" &&
        [ ! -e "$stage_root/usr/bin/headcount" ] && [ ! -e "$stage_root/usr/lib/systemd/system/headcount.service" ] &&
        [ -e "$stage_root/etc/headcount/headcount.toml" ] && [ -e "$stage_root/var/lib/headcount/state.sqlite" ]
}

purges() {
    dpkg_in --purge headcount && grep -q 'deleting the state in /var/lib/private/headcount-eu' "$work/dpkg.log" || return
    list_files > "$work/after"
    diff "$work/before" "$work/after" >&2
}
