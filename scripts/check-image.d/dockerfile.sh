# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared among the files of this folder
# Reading a Dockerfile, and going through it: a function do_NAME for each instruction that is known, and no others.
# What an instruction does to files and processes is left to begin_stage, run_in_stage, copy_from_context and
# copy_from_stage, which need not be there while `acting` is empty: then the Dockerfile is only read.

names=() rests=() lines=() # the instructions: what each is called, what follows, and where it stands
stages=()                  # the names of the stages so far; the last is the one at work
acting=

declare -A environment=() arguments=() labels=()
image='' workdir='' user='' last_stage='' entrypoint=() command=() healthcheck=() healthcheck_options='' stage_runs=()

wrong() { die 65 "Dockerfile:${line:-?}: $*"; } # MESSAGE...

read_dockerfile() { # FILE
    local text='' part number=0 start=0
    while IFS= read -r part || [ -n "$part" ]; do
        number=$((number + 1))
        # Comments and empty lines may also stand between the lines of one instruction.
        [[ $part =~ ^[[:space:]]*(#.*)?$ ]] && continue
        [ -n "$text" ] || start=$number
        if [[ $part == *\\ ]]; then
            text+=${part%\\}
            continue
        fi
        add_instruction $start "$text$part"
        text=
    done < "$1"
    [ -z "$text" ] || die 65 "Dockerfile:$start: the instruction does not end"
}

add_instruction() { # LINE TEXT
    local name rest
    read -r name rest <<< "$2"
    lines+=("$1")
    names+=("${name^^}")
    rests+=("$rest")
}

go_through() {
    local at line
    for at in "${!names[@]}"; do
        line=${lines[at]}
        declare -F "do_${names[at]}" > /dev/null || wrong "this script does not know ${names[at]}"
        "do_${names[at]}" "${rests[at]}"
    done
}

stage_count() { printf '%s\n' "${names[@]}" | grep -cx FROM; }

# ---- the little languages within an instruction

expand() { # TEXT: sets `expanded`, with the values of $NAME and ${NAME}
    local left=$1 name
    expanded=
    while [[ $left =~ ^([^$]*)\$(\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))(.*)$ ]]; do
        name=${BASH_REMATCH[3]}${BASH_REMATCH[4]}
        expanded+=${BASH_REMATCH[1]}
        left=${BASH_REMATCH[5]}
        if [ -n "${environment[$name]+set}" ]; then
            expanded+=${environment[$name]}
        elif [ -n "${arguments[$name]+set}" ]; then
            expanded+=${arguments[$name]}
        else
            wrong "nothing sets $name"
        fi
    done
    [[ $left != *\$* ]] || wrong "this script knows no \$ but \$NAME and \${NAME}: $left"
    expanded+=$left
}

split() { # TEXT: sets `words`, without their quotes
    expand "$1"
    mapfile -t words < <(xargs printf '%s\n' <<< "$expanded")
}

flags() { # TEXT: sets `given`, the --flags at its start, and `left`, the rest
    left=$1 given=()
    while [[ $left =~ ^(--[a-z-]+=?[^[:space:]]*)[[:space:]]+(.*)$ ]]; do
        given+=("${BASH_REMATCH[1]}")
        left=${BASH_REMATCH[2]}
    done
}

json_array() { # TEXT: sets `items`
    local inner='"[^"\\]*"' left=$1
    [[ $left =~ ^\[[[:space:]]*($inner([[:space:]]*,[[:space:]]*$inner)*)?[[:space:]]*\]$ ]] ||
        wrong "not a JSON array of plain strings: $left"
    items=()
    while [[ $left =~ \"([^\"]*)\"(.*)$ ]]; do
        items+=("${BASH_REMATCH[1]}")
        left=${BASH_REMATCH[2]}
    done
}

# ---- the instructions

do_FROM() { # IMAGE [AS NAME]
    split "$1"
    [[ ${#words[@]} -eq 1 || (${#words[@]} -eq 3 && ${words[1]^^} == AS) ]] || wrong "not IMAGE or IMAGE AS NAME: $1"
    image=${words[0]} workdir=/ user=0 entrypoint=() command=() healthcheck=() stage_runs=()
    environment=() arguments=() labels=()
    stages+=("${words[2]-${#stages[@]}}")
    last_stage=
    [ ${#stages[@]} -lt "$(stage_count)" ] || last_stage=yes
    base_environment
    [ -z "$acting" ] || begin_stage
}

# The images that debootstrap can stand in for: sets suite and rust, and the environment that these images bring.
base_environment() {
    environment[PATH]=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    rust=
    if [[ $image =~ ^debian:([a-z]+)-slim$ ]]; then
        suite=${BASH_REMATCH[1]}
    elif [[ $image =~ ^rust:([0-9.]+)-slim-([a-z]+)$ ]]; then
        rust=${BASH_REMATCH[1]} suite=${BASH_REMATCH[2]}
        environment[RUSTUP_HOME]=/usr/local/rustup environment[CARGO_HOME]=/usr/local/cargo
        environment[PATH]=/usr/local/cargo/bin:${environment[PATH]} environment[RUST_VERSION]=$rust
    else
        wrong "this script knows no base but debian:SUITE-slim and rust:VERSION-slim-SUITE: $image"
    fi
}

do_ARG() { # NAME[=DEFAULT]
    split "$1"
    [ ${#words[@]} -eq 1 ] || wrong "one ARG at a time"
    arguments[${words[0]%%=*}]=
    [[ ${words[0]} != *=* ]] || arguments[${words[0]%%=*}]=${words[0]#*=}
}

do_ENV() { # NAME=VALUE...
    local word
    split "$1"
    for word in "${words[@]}"; do
        [[ $word == ?*=* ]] || wrong "not NAME=VALUE: $word"
        environment[${word%%=*}]=${word#*=}
    done
}

do_LABEL() { # NAME=VALUE...
    local word
    split "$1"
    for word in "${words[@]}"; do
        [[ $word == ?*=* ]] || wrong "not NAME=VALUE: $word"
        labels[${word%%=*}]=${word#*=}
    done
}

do_WORKDIR() { # FOLDER
    expand "$1"
    [[ $expanded == /* ]] || wrong "a WORKDIR starts with /"
    workdir=$expanded
    [ -z "$acting" ] || mkdir -p "$stage_root$workdir"
}

do_RUN() { # [--mount=type=cache,...] COMMAND
    local flag
    flags "$1"
    for flag in "${given[@]}"; do
        # A cache holds nothing at the first build: the command must do without.
        [[ $flag == --mount=type=cache,* ]] || wrong "this script does not know RUN $flag"
    done
    [[ $left != \[* && $left != *'<<'* ]] || wrong "this script knows RUN with a plain command only"
    [ "$user" = 0 ] || wrong "this script runs commands as root only: RUN before USER"
    stage_runs+=("$left")
    [ -z "$acting" ] || run_in_stage "$left"
}

do_COPY() { # [--from=STAGE] SOURCE... TARGET
    local from='' target source
    flags "$1"
    case ${given[*]-} in
        '') ;;
        --from=*) from=${given[0]#--from=} ;;
        *) wrong "this script does not know COPY ${given[*]}" ;;
    esac
    split "$left"
    [ ${#words[@]} -gt 1 ] || wrong "COPY wants sources and a target"
    target=${words[-1]}
    unset 'words[-1]'
    [ ${#words[@]} -eq 1 ] || [[ $target == */ ]] || wrong "the target of several sources ends with /"
    [[ $target == /* ]] || target=${workdir%/}/$target
    [ -z "$from" ] || [[ " ${stages[*]:0:${#stages[@]}-1} " == *" $from "* ]] || wrong "no stage before is called $from"
    for source in "${words[@]}"; do
        [[ $source != *[*?[]* ]] || wrong "this script knows no patterns in COPY: $source"
        copy_one "$from" "$source" "$target"
    done
}

copy_one() { # STAGE-OR-NOTHING SOURCE TARGET
    if [ -n "$from" ]; then
        [ -z "$acting" ] || copy_from_stage "$@"
        return
    fi
    [ -e "$root/$2" ] || wrong "there is no $2"
    [ -n "$(context_files "$2")" ] || wrong ".dockerignore keeps $2 from the builder"
    [ -z "$acting" ] || copy_from_context "$2" "$3"
}

do_USER() {
    expand "$1"
    user=$expanded
}

do_STOPSIGNAL() { [ "$1" = SIGTERM ] || wrong "headcount wants SIGTERM, not $1"; }

do_HEALTHCHECK() { # [--OPTION=VALUE...] CMD ARRAY
    flags "$1"
    healthcheck_options=${given[*]-}
    [[ $left == CMD[[:space:]]* ]] || wrong "this script knows HEALTHCHECK with CMD only"
    json_array "${left#CMD }"
    healthcheck=("${items[@]}")
}

do_ENTRYPOINT() {
    json_array "$1"
    entrypoint=("${items[@]}") command=()
}

do_CMD() {
    json_array "$1"
    command=("${items[@]}")
}

# ---- .dockerignore

ignore_patterns=()

read_dockerignore() { # FILE
    local pattern
    while read -r pattern || [ -n "$pattern" ]; do
        [[ $pattern == '' || $pattern == \#* ]] && continue
        [[ $pattern != *'**'* ]] || die 65 ".dockerignore: this script does not know **"
        ignore_patterns+=("${pattern%/}")
    done < "$1"
}

# The last pattern that fits decides. One fits what it names and all that lies below.
ignored() { # PATH
    local pattern verdict=1 negated
    for pattern in "${ignore_patterns[@]}"; do
        negated=${pattern:0:1}
        pattern=${pattern#!}
        fits "$1" "${pattern#/}" || continue
        verdict=0
        [ "$negated" != '!' ] || verdict=1
    done
    return $verdict
}

fits() { # PATH PATTERN: part by part, for * stops at a /
    local path=$1/ pattern=$2/
    while [ -n "$pattern" ]; do
        # shellcheck disable=SC2053 # it is a pattern
        [[ -n $path && ${path%%/*} == ${pattern%%/*} ]] || return 1
        path=${path#*/} pattern=${pattern#*/}
    done
}

context_files() { # PATH: the files there that the builder gets to see, one a line
    local file
    (cd "$root" && find "$1" ! -type d) | while IFS= read -r file; do
        ignored "$file" || printf '%s\n' "$file"
    done
}
