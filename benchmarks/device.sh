#!/usr/bin/env bash
# What to run on a machine with a GPU that is yours for minutes: the tests that need CUDA, the time of
# a point beside the peers, whole surfaces. At most 8 minutes; a step that does not end in its time
# is stopped, and the next begins. Nothing is downloaded: PyTorch, NumPy, netCDF4, vtk and
# scikit-learn must be there; peers and pytest are used where they are.
#
#   benchmarks/device.sh            on the first GPU
#   benchmarks/device.sh cpu        the same steps on the processor: a rehearsal
#
# Tables go to benchmarks/results, and copies with the log to $OUT if it is set.
set -u -o pipefail
cd "$(dirname "$0")/.."
device=${1:-cuda}
python=${PYTHON:-python3}
export PYTHONPATH="$PWD/compute:$PWD/paraview_plugin:$PWD${PYTHONPATH:+:$PYTHONPATH}"
export LOSSLANDSCAPE_CACHE=off
folder=$(mktemp -d)
log=$folder/device.log
touch "$folder/begun"
failed=0

step() { # seconds, words, command
    local limit=$1 words=$2 begun=$SECONDS
    shift 2
    printf '== %s (at most %s s)\n' "$words" "$limit" | tee -a "$log"
    timeout --kill-after=5 "$limit" "$@" 2>&1 | tee -a "$log"
    local status=$?
    [ "$status" = 0 ] || failed=1
    printf '== %s: exit status %s after %s s\n' "$words" "$status" $((SECONDS - begun)) | tee -a "$log"
}

step 20 "the machine" "$python" -c "
import torch
print('PyTorch', torch.__version__, 'CUDA', torch.version.cuda)
print([torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] or 'no GPU')"
if "$python" -c 'import pytest, hypothesis' 2>/dev/null; then
    step 90 "tests that need CUDA" "$python" -m pytest -q -rs -p no:cacheprovider \
        tests/point/test_cuda_graphs.py tests/problem/test_objective.py tests/point/test_precision.py
else
    echo "no pytest and hypothesis here: the tests are left out" | tee -a "$log"
fi
if "$python" -c 'import loss_landscapes' 2>/dev/null; then
    step 150 "time of a point" "$python" -m benchmarks.evaluation --device "$device" --rounds 2
else
    echo "no peers here (pip install .[bench]): the time of a point is left out" | tee -a "$log"
fi
step 210 "whole surfaces" "$python" -m benchmarks.device --device "$device" --seconds 190
if [ -n "${OUT:-}" ]; then
    cp "$log" "$OUT"
    find benchmarks/results -maxdepth 1 -name '*.json' -newer "$folder/begun" -exec cp {} "$OUT" \;
fi
rm -r "$folder"
exit $failed
