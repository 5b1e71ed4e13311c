#!/usr/bin/env bash
# Shoebox's only command. The first start installs what it needs into .venv, every start hands over to it.
#
#   ./run.sh            the user interface          ./run.sh doctor    what is here, what is missing
#   ./run.sh worker     serve queues, headless      ./run.sh test      all checks and tests
#                                                   ./run.sh bench     measure it
#   ./run.sh install gpu    add what OCR needs to run on a GPU of NVIDIA's; install base: take it away again
#
# Needs Python 3.11 or later with pip and venv. SHOEBOX_PYTHON names the interpreter, SHOEBOX_VENV another
# place for .venv. Nothing else in this folder is written. Keep it fit for bash 3.2, which is what macOS has.
set -o pipefail
trouble='Shoebox cannot start'

say() { printf '%s\n' "$*" >&2; }

fail() { # message, words of the remedy
    say "$trouble: $1"
    shift
    [ -z "$*" ] || say "$*"
    exit 1
}

fail_without_lock() {
    fail "$1 is missing." "Get the whole of Shoebox again: git checkout -- .requirements"
}

checkout_folder() { # where this script really is, through any links
    local self="$1" target
    while [ -L "$self" ]; do
        target="$(readlink "$self")"
        case "$target" in
        /*) self="$target" ;;
        *) self="$(dirname "$self")/$target" ;;
        esac
    done
    (cd -P "$(dirname "$self")" && pwd)
}

# --- Is everything installed?

python_of_venv() { # such as "Python 3.11"; empty if it does not run
    local version
    version="$("$venv/bin/python" -V 2>/dev/null)" && printf '%s' "${version%.*}"
}

key_of() { # changes with the lock and with the Python that the packages were built for
    printf '%s %s' "$(cksum <"$1")" "$2"
}

is_ready() { # every lock that is wanted is in the stamp
    local installed python each
    [ -f "$stamp" ] && python="$(python_of_venv)" && installed="$(cat "$stamp")" || return 1
    for each in "${locks[@]}"; do
        case "$installed" in *"[$(key_of "$each" "$python")]"*) ;; *) return 1 ;; esac
    done
}

choose_locks() { # the extra, once installed, comes along with every other lock
    locks=("$lock")
    if [ -r "$gpu_lock" ] && { [ -n "$adding_gpu" ] || [ -f "$wants_gpu" ]; }; then
        locks=("$lock" "$gpu_lock")
    fi
}

count_packages() { # in these locks
    cat "$@" | grep -cE '^[A-Za-z0-9][^ ]*=='
}

# --- Installing

find_python() {
    local candidate
    for candidate in ${SHOEBOX_PYTHON:+"$SHOEBOX_PYTHON"} \
        python3.11 python3.12 python3.13 python3.14 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            python="$candidate"
            return
        fi
        [ "$candidate" != "$SHOEBOX_PYTHON" ] ||
            fail "SHOEBOX_PYTHON is '$SHOEBOX_PYTHON', which is no Python 3.11 or later." "Correct or unset it."
    done
    fail "there is no Python 3.11 or later here." \
        "Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.12. Or set SHOEBOX_PYTHON."
}

take_lock() { # the kernel keeps it for descriptor 9, however this script ends
    exec 9>>"$venv/shoebox.lock" ||
        fail "$venv cannot be written." "Make it yours, or set SHOEBOX_VENV to another folder."
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null && return
    say "Another run.sh is installing into $venv; waiting for it ..."
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
}

empty_venv() { # it may be a mount point, so the folder itself stays; the marks keep it known as ours
    find "$venv" -mindepth 1 -maxdepth 1 ! -name shoebox.lock ! -name shoebox.unfinished \
        ! -name shoebox.gpu -exec rm -rf {} +
}

fits_stamp() { # the interpreter still is the one that the packages were built for
    local python
    python="$(python_of_venv)" && grep -qF " $python]" "$stamp"
}

make_venv() { # a new one, unless a whole one is there already
    local old=''
    if [ -f "$unfinished" ] || { [ -f "$stamp" ] && ! fits_stamp; }; then
        old=yes
    fi
    : >"$unfinished" ||
        fail "$venv cannot be written." "Free space on the disk, or set SHOEBOX_VENV to another folder."
    if [ -n "$old" ]; then
        say "Clearing away an unfinished or outdated installation ..."
        empty_venv
    fi
    rm -f "$stamp"
    [ -f "$venv/pyvenv.cfg" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
        fail "$("$python" -V) comes without venv or ensurepip." \
            "Debian, Ubuntu: apt install python3-venv. Elsewhere name a complete Python with SHOEBOX_PYTHON."
    fresh=yes
    say "Making $venv with $("$python" -V) ..."
    "$python" -m venv "$venv" >"$log" 2>&1 || explain_failure
}

show_progress() { # pip's lines in, one changing line out
    local line count=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case "$line" in
        Collecting\ *)
            count=$((count + 1))
            line="${line#Collecting }"
            [ ! -t 2 ] || printf '\r\033[K  %s of %s  %s' "$count" "$total" "${line%%[ =]*}" >&2
            ;;
        Installing\ collected\ packages*)
            [ ! -t 2 ] || printf '\r\033[K' >&2
            say "  All here; unpacking ..."
            ;;
        esac
    done
}

explain_failure() { # what pip or venv wrote, in the user's words
    local no_network='name resolution|getaddrinfo|connection (refused|reset|aborted)|unreachable|timed? ?out'
    no_network="$no_network|ProxyError|SSLError"
    [ ! -t 2 ] || printf '\r\033[K' >&2
    say "--- the last lines of $log"
    tail -n 8 "$log" >&2
    say "---"
    if grep -qiE 'no space left|disk quota' "$log"; then
        fail "the disk is full." \
            "Installing takes about 2 GB, the extra gpu 9 more." \
            "Free some, or set SHOEBOX_VENV (and TMPDIR) to another disk."
    elif grep -qiE "$no_network" "$log"; then
        fail "packages cannot be fetched." \
            "Check the network or pip's proxy and index, then start ./run.sh again; what was fetched is kept."
    elif grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        fail "a package is not the one in ${locks[*]}." \
            "Do not use that package index; start again with the usual one."
    elif grep -qE 'No matching distribution|not a supported wheel|requires a different Python' "$log"; then
        fail "a package has no build for $("$python" -V) on this machine ($(uname -sm))." \
            "Name another Python with SHOEBOX_PYTHON, such as python3.12; 64-bit Linux and macOS are served."
    fi
    fail "the installation failed." "The whole story is in $log. To try again, start ./run.sh again."
}

install() {
    local total fresh='' each requirements=()
    find_python
    case "$venv" in
    *:*) fail "the path $venv contains a colon." "Move Shoebox to a folder without one, or set SHOEBOX_VENV." ;;
    esac
    if [ -d "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ ! -f "$unfinished" ] &&
        [ -n "$(find "$venv" -mindepth 1 -maxdepth 1 ! -name shoebox.lock | head -n 1)" ]; then
        fail "$venv is a folder of something else." "Remove it, or set SHOEBOX_VENV to a new folder."
    fi
    mkdir -p "$venv" 2>/dev/null ||
        fail "$venv cannot be made." "Make $(dirname "$venv") writable, or set SHOEBOX_VENV to a folder of yours."
    take_lock
    choose_locks
    if ! is_ready; then # nobody else did it meanwhile
        export PYTHONPYCACHEPREFIX="$venv/pycache" # pip compiles where the program will look
        make_venv
        total="$(count_packages "${locks[@]}")"
        if [ -n "$fresh" ]; then
            say "Installing $total packages, about 0.9 GB${locks[1]:+ and 3 GB for the GPU};" \
                "this happens once and takes some minutes ..."
        elif [ -n "$adding_gpu" ] && [ ! -f "$wants_gpu" ]; then
            total="$(count_packages "$gpu_lock")"
            say "Adding the extra gpu, $total packages, about 3 GB; this takes some minutes ..."
        else
            say "Bringing the $total packages in $venv up to date ..."
        fi
        for each in "${locks[@]}"; do
            requirements+=(-r "$each")
        done
        : >"$log"
        PIP_USER=0 "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --progress-bar off \
            --no-deps --require-hashes "${requirements[@]}" 2>&1 | show_progress || {
            grep -q '^Installing collected' "$log" || rm -f "$unfinished" # nothing was touched yet
            explain_failure
        }
        [ -z "$adding_gpu" ] || : >"$wants_gpu"
        write_stamp
        say "Installed."
    fi
    exec 9>&-
}

remove_gpu() { # all that the extra brought, and nothing else: its lock holds only what no other one does
    local names is_current=''
    if [ ! -f "$wants_gpu" ]; then
        say "The extra gpu is not installed."
        return
    fi
    find_python
    take_lock
    locks=("$lock")
    is_ready && is_current=yes # else the stamp must not say so afterwards
    : >"$unfinished"
    rm -f "$stamp" "$wants_gpu"
    names="$(sed -n 's/^\([A-Za-z0-9][^ =]*\)==.*/\1/p' "$gpu_lock" | sort -u)"
    say "Removing the extra gpu ..."
    # shellcheck disable=SC2086 # one word a name
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input uninstall -y $names >"$log" 2>&1 ||
        explain_failure
    if [ -n "$is_current" ]; then write_stamp; else rm -f "$unfinished"; fi
    say "Removed."
    exec 9>&-
}

install_extra() { # gpu, or base
    [ -r "$gpu_lock" ] || fail_without_lock "$gpu_lock"
    case "$1" in
    gpu)
        trouble='The extra gpu is not installed'
        adding_gpu=yes
        choose_locks
        if [ -f "$wants_gpu" ] && is_ready; then
            say "The extra gpu is installed already."
            return
        fi
        install
        say "./run.sh doctor says what OCR makes of it; workers that run take it up after ./run.sh down and up."
        ;;
    base)
        trouble='The extra gpu is not removed'
        remove_gpu
        choose_locks
        is_ready || install
        ;;
    *) fail "there is no extra '$1'." "./run.sh install gpu, or ./run.sh install base to take it away again." ;;
    esac
}

write_stamp() { # last of all, and at once: it says that everything before it was done
    local python each
    python="$(python_of_venv)"
    : >"$stamp.new"
    for each in "${locks[@]}"; do
        printf '[%s]\n' "$(key_of "$each" "$python")" >>"$stamp.new"
    done
    # The test lock holds everything of the base lock.
    [ "$lock" = "$base_lock" ] || printf '[%s]\n' "$(key_of "$base_lock" "$python")" >>"$stamp.new"
    mv -f "$stamp.new" "$stamp" && rm -f "$unfinished"
}

# --- Start

here="$(checkout_folder "${BASH_SOURCE[0]}")"
venv="${SHOEBOX_VENV:-$here/.venv}"
case "$venv" in /*) ;; *) venv="$PWD/$venv" ;; esac
stamp="$venv/shoebox.ready"
unfinished="$venv/shoebox.unfinished"
log="$venv/shoebox-install.log"
base_lock="$here/.requirements/base.lock"
gpu_lock="$here/.requirements/gpu.lock"
wants_gpu="$venv/shoebox.gpu"
adding_gpu=''
lock="$base_lock"
case "$1" in test | bench) lock="$here/.requirements/test.lock" ;; esac
[ -r "$lock" ] || fail_without_lock "$lock"

unset PYTHONHOME PYTHONPATH
# It is set to keep checkouts clean, as in many containers. Compiled code goes into the virtual environment here,
# and without it each of our processes would compile a hundred and fifty modules before it does anything.
unset PYTHONDONTWRITEBYTECODE
export PYTHONSAFEPATH=1 # nothing in the current folder is taken for ours

choose_locks
on_interrupt='say ""; say "Stopped. ./run.sh begins the installation anew next time."; exit 130'
if [ "$1" = install ]; then
    trap "$on_interrupt" INT TERM
    install_extra "$2"
    exit
fi
if ! is_ready; then
    trap "$on_interrupt" INT TERM
    install
    trap - INT TERM
fi
export PYTHONPATH="$here"                  # the program is found from any folder
export PYTHONPYCACHEPREFIX="$venv/pycache" # compiled code stays out of the checkout
unset PYTHONDONTWRITEBYTECODE              # images of containers set it: each start would compile everything anew
if [ "$1" = test ]; then
    shift
    exec "$venv/bin/python" -m app.testing "$@"
fi
[ "$1" != bench ] || exec "$venv/bin/python" -m app.benching "${@:2}"
exec "$venv/bin/python" -m app "$@"
