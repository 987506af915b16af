# shellcheck shell=bash
# Sourced by the scripts: finds Python, makes the project's own environment in .venv and fills it
# from the lock file. Needs nothing but Python 3.11+; no root.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${RASURA_VENV:-$root/.venv}

die() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed: apt-get install python3"
}

# unpack_debian FOLDER PACKAGE...: fetch packages and unpack them without root, by apt's own signed lists.
unpack_debian() {
    local folder=$1
    shift
    command -v apt-get >/dev/null || return 1
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/root"
    local options=(-o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o Debug::NoLocking=1
        -o APT::Sandbox::User= -qq)
    apt-get "${options[@]}" update &&
        (cd "$folder" && apt-get "${options[@]}" download "$@") || return 1
    local package
    for package in "$folder"/*.deb; do
        dpkg-deb -x "$package" "$folder/root"
    done
}

# Debian ships Python without ensurepip unless python3-venv is installed; then pip comes as a wheel.
find_pip_wheel() {
    local found
    found=$(find /usr/share/python-wheels "$venv/debian/root/usr/share/python-wheels" -name 'pip-*.whl' 2>/dev/null | head -n 1)
    if [ -z "$found" ]; then
        unpack_debian "$venv/debian" python3-pip-whl >&2 || return 1
        found=$(find "$venv/debian/root/usr/share/python-wheels" -name 'pip-*.whl' | head -n 1)
    fi
    printf '%s\n' "$found"
}

make_environment() {
    local python=$1 wheel
    if "$python" -m venv --clear "$venv" >/dev/null 2>&1; then
        return
    fi
    "$python" -m venv --clear --without-pip "$venv" || die "Python at $python cannot make an environment in $venv"
    wheel=$(find_pip_wheel) || wheel=
    [ -n "$wheel" ] || die "pip is missing and could not be fetched: apt-get install python3-venv"
    "$venv/bin/python" "$wheel/pip" install --quiet --quiet --no-index "$wheel"
}

# setup: the environment stands, with what the lock file names and the project itself.
setup() {
    local stamp="$venv/.rasura" wanted python
    wanted=$(cat "$root/requirements.lock" "$root/pyproject.toml" "$root/scripts/setup.sh" | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    python=$(find_python)
    printf 'setting up %s with %s (once)\n' "${venv#"$root"/}" "$("$python" --version)" >&2
    make_environment "$python"
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
    "$venv/bin/python" -m pip install --quiet --quiet --require-hashes --requirement "$root/requirements.lock" ||
        die "the packages of requirements.lock could not be installed: is there a network?"
    "$venv/bin/python" -m pip install --quiet --quiet --no-deps --no-build-isolation --editable "$root"
    printf '%s' "$wanted" >"$stamp"
}
