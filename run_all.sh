#!/usr/bin/env bash
# Sets up if needed, then runs the notebooks on phantoms and writes the report (options: ./run_all.sh --help).
#   ./run_all.sh test [--fast]   the tests; --fast leaves out those that train, run notebooks or start a browser
#   ./run_all.sh app             the program that shows images to trained models
#   ./run_all.sh lab             JupyterLab on a working copy of the notebooks, my_notebooks/, which git ignores
#   ./run_all.sh docs            the API pages, in build/api
#   ./run_all.sh bench           how fast it is beside plain Keras, PyTorch and tf-keras-vis; about ten minutes
# An active environment that has brainlib is used as it is; otherwise .venv is made here from requirements.txt, and
# with NVIDIA's libraries where such a GPU is found (BRAINLIB_CUDA=0 ./run_all.sh: without them, 1: in any case).
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cuda_pins=$here/requirements-cuda.txt
venv=$here/.venv
log=$venv/setup.log        # written first: a .venv without it was made by somebody else
stamp=$venv/setup.complete # written last: a .venv without it is an interrupted set-up

fail() {
    printf 'run_all.sh: error: %s\n' "$1" >&2
    exit 2
}

active_python() { # -P: what counts is what the environment has, not what lies in the caller's folder
    local prefix
    for prefix in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
        [ -n "$prefix" ] && "$prefix/bin/python" -P -c 'import brainlib' 2>/dev/null || continue
        printf '%s\n' "$prefix/bin/python"
        return
    done
    return 1
}

base_python() {
    local name code='import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
    for name in python3.11 python3.12 python3.13 python3; do
        "$name" -c "$code" >/dev/null 2>&1 && printf '%s\n' "$name" && return
    done
    fail "expected Python 3.11 to 3.13 with its venv module, found $(python3 --version 2>/dev/null || echo none)"
}

cuda_is_wanted() { # TensorFlow's wheels can use a GPU on this kind of machine alone
    case ${BRAINLIB_CUDA:-} in 0) return 1 ;; 1) return 0 ;; esac
    [[ $MACHTYPE == x86_64*linux* ]] || return 1
    [[ $(nvidia-smi -L 2>/dev/null) == GPU* ]] || compgen -G '/proc/driver/nvidia/gpus/*' >/dev/null
}

recipe() { # the folder is part of it: a .venv that was moved still points to the old place
    { printf '%s\n' "$here" && cat "$here/requirements.txt" "$here/pyproject.toml" "$@"; } | cksum
}

ready() { # with NVIDIA's libraries, .venv also serves where no GPU is found, such as on a login node
    local made_from
    made_from=$(cat "$stamp" 2>/dev/null) && [ -x "$venv/bin/python" ] || return 1
    case $made_from in
    "$(recipe "$cuda_pins")") [ "${BRAINLIB_CUDA:-}" != 0 ] ;;
    "$(recipe)") ! cuda_is_wanted ;;
    *) return 1 ;;
    esac
}

set_up() {
    local python made_from pins=(-r "$here/requirements.txt")
    [ ! -e "$venv/pyvenv.cfg" ] || [ -e "$log" ] ||
        fail "$venv is not from run_all.sh: activate it if it has brainlib, else move it away"
    python=$(base_python)
    made_from=$(recipe)
    echo 'Setting up .venv: one time, a few minutes' >&2
    if cuda_is_wanted; then
        echo 'NVIDIA GPU: installing CUDA as well, which takes some GB (BRAINLIB_CUDA=0 leaves it out)' >&2
        pins+=(-r "$cuda_pins")
        made_from=$(recipe "$cuda_pins")
    fi
    rm -rf -- "$venv" && mkdir -- "$venv"
    {
        "$python" -m venv "$venv" &&
            "$venv/bin/python" -m pip install --quiet "${pins[@]}" &&
            "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation -e "$here"
    } >"$log" 2>&1 </dev/null || fail "set-up failed ($(tail -n 1 "$log")), see $log"
    printf '%s\n' "$made_from" >"$stamp.new" && mv -- "$stamp.new" "$stamp"
}

if ! python=$(active_python); then
    python=$venv/bin/python
    ready || ( # two calls at once: the second waits, and then finds the work done
        if command -v flock >/dev/null; then flock 9; fi
        ready || set_up
    ) 9>"$here/.venv.lock"
fi

export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3} # TensorFlow reports a missing GPU as an error
case ${1:-} in
test)
    cd -- "$here"
    if [ "${2:-}" = --fast ]; then set -- test -m 'not slow' "${@:3}"; fi
    exec "$python" -m pytest "${@:2}"
    ;;
lab)
    mkdir -p -- "$here/my_notebooks" && cd -- "$here/my_notebooks"
    for notebook in "$here"/notebooks/*.ipynb; do # a copy that the user may have changed stays
        [ -e "${notebook##*/}" ] || cp -- "$notebook" .
    done
    exec "$python" -m jupyter lab "${@:2}"
    ;;
docs)
    cd -- "$here" && exec "$python" -m pdoc --docformat numpy --output-directory build/api "${@:2}" brainlib
    ;;
bench) exec "$python" "$here/benchmarks/bench.py" "${@:2}" ;;
app) exec "$python" -P -m brainlib "$@" ;;
*) exec "$python" -P -m brainlib run "$@" ;;
esac
