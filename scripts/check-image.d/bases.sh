# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared among the files of this folder
# Stand-ins for the official base images, kept as archives in target/image/: Debian's is what debootstrap makes of the
# packages that a minimal system must have, Rust's is that and a toolchain that rustup installs, as those images do it.

extract_base() { # ROOT; of suite and rust, which FROM has set
    local archive=$home/debian-$suite.tar
    [ -z "$fresh" ] || drop_bases
    [ -e "$archive" ] || make_debian "$archive"
    if [ -n "$rust" ]; then
        archive=$home/rust-$rust-$suite.tar
        [ -e "$archive" ] || make_rust "$archive"
    fi
    say "   $image: ${archive#"$root/"} of $(date -u -r "$archive" +%Y-%m-%d)"
    unpack "$archive" "$1"
}

drop_bases() {
    rm -f "$home"/*.tar
    fresh=
}

pack() { # ROOT ARCHIVE
    tar -C "$1" --one-file-system --numeric-owner -cf "$2.new" .
    mv "$2.new" "$2"
    rm -rf --one-file-system "$1"
}

unpack() { # ARCHIVE ROOT
    mkdir -p "$2"
    tar -C "$2" --numeric-owner -xpf "$1"
}

# ---- Debian

make_debian() { # ARCHIVE
    need_debootstrap
    local into=$work/.debian log=$home/debootstrap.log mirror
    mirror=$(mirrors | sed -n "s/^\([^ ]*\) $suite .*/\1/p" | head -n 1)
    say "   making Debian $suite with debootstrap"
    isolated sh -c 'mount -t proc proc /proc && exec debootstrap "$@"' sh \
        --variant=minbase "$suite" "$into" ${mirror:+"$mirror"} > "$log" 2>&1 ||
        die 69 "debootstrap fails; $(tail -n 1 "$log"); the whole story is in $log"
    write_apt_configuration "$into"
    make_slim "$into"
    pack "$into" "$1"
}

need_debootstrap() {
    have debootstrap && return
    if can_install; then apt_install debootstrap || true; fi
    have debootstrap || unavailable "debootstrap is missing; install it with: apt-get install debootstrap"
}

mirrors() { # lines `URI SUITE COMPONENT`, of Debian alone; nothing on another system
    have apt-get || return 0
    # shellcheck disable=SC2016 # the dollars are for apt-get
    apt-get indextargets --format '$(ORIGIN) $(IDENTIFIER) $(REPO_URI) $(CODENAME) $(COMPONENT)' 2> /dev/null |
        sed -n 's/^Debian Packages //p' || true
}

write_apt_configuration() { # ROOT
    local found
    found=$(mirrors | sed -nE "s/^([^ ]+) ($suite(-updates|-security)?) main$/deb \1 \2 main/p" | sort -u)
    # Else what debootstrap wrote stays.
    [ -z "$found" ] || echo "$found" > "$1/etc/apt/sources.list"
    # How this machine reaches its mirrors.
    if have apt-config; then
        apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-)' > "$1/etc/apt/apt.conf.d/99network" || true
    fi
}

# What makes the official image `slim`: no documentation but copyrights, no package lists.
make_slim() { # ROOT
    printf 'path-exclude %s\n' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' \
        > "$1/etc/dpkg/dpkg.cfg.d/docker"
    echo 'path-include /usr/share/doc/*/copyright' >> "$1/etc/dpkg/dpkg.cfg.d/docker"
    find "$1/usr/share/doc" -type f ! -name copyright -delete
    rm -rf "$1"/usr/share/{man,info,locale}/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*
}

# ---- Rust

make_rust() { # ARCHIVE
    local into=$work/.rust log=$home/rust.log
    unpack "$home/debian-$suite.tar" "$into"
    say "   adding Rust $rust to it"
    # `workdir` is still / here: FROM comes before WORKDIR.
    in_root "$into" sh -euc 'apt-get update
        apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev
        rm -rf /var/lib/apt/lists/*' > "$log" 2>&1 < /dev/null ||
        die 69 "apt-get fails in the chroot; the whole story is in $log"
    install_toolchain "$into" >> "$log" 2>&1 || copy_toolchain "$into"
    in_root "$into" rustc --version >&2 || die 69 "Rust $rust does not run in the chroot"
    pack "$into" "$1"
}

# rustup is the installer too, when that is its name.
install_toolchain() { # ROOT
    have rustup || return 1
    cp -L "$(command -v rustup)" "$1/tmp/rustup-init"
    cp_cargo_configuration "$1"
    local status=0
    in_root "$1" timeout 600 /tmp/rustup-init -y --no-modify-path --profile minimal --default-toolchain "$rust" || status=$?
    rm "$1/tmp/rustup-init"
    return $status
}

copy_toolchain() { # ROOT
    local from tool to=/usr/local/rustup/toolchains/copy
    from=$(toolchain_here) || unavailable "rustup cannot install Rust $rust (see $home/rust.log), and it is not on this machine either"
    say "   NOTE: rustup cannot install Rust $rust; this machine's own is copied instead: $("$from/bin/rustc" --version)"
    mkdir -p "$1$to" "$1/usr/local/cargo/bin"
    tar -C "$from" --exclude=./share/doc --exclude=./lib/rustlib/src -cf - bin lib | tar -C "$1$to" -xf -
    for tool in cargo rustc; do ln -sf "$to/bin/$tool" "$1/usr/local/cargo/bin/$tool"; done
    cp_cargo_configuration "$1"
}

toolchain_here() { # prints the folder of a toolchain of that version
    local asked folder
    for asked in "+$rust" ''; do
        folder=$(rustc ${asked:+"$asked"} --print sysroot 2> /dev/null) || continue
        [[ $("$folder/bin/rustc" --version) != "rustc $rust"[.\ ]* ]] || {
            echo "$folder"
            return
        }
    done
    return 1
}

# A machine behind a mirror of the registry says so there.
cp_cargo_configuration() { # ROOT
    local file=${CARGO_HOME:-$HOME/.cargo}/config.toml
    mkdir -p "$1/usr/local/cargo"
    [ ! -e "$file" ] || cp -L "$file" "$1/usr/local/cargo/config.toml"
}
