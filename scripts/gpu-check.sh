#!/usr/bin/env bash
# Everything that can be said about the CUDA backend on this machine, in one command and one folder:
#
#   scripts/gpu-check.sh [--out DIR] [--name NAME] [--peers DIR] [--minutes N]   with a GPU: build, tests, determinism, benches, sanitizers
#   scripts/gpu-check.sh --no-device [--bundle FILE] [--out DIR] [--minutes N]   without: build, checks on the emulated GPU, a bundle
#
# The folder (default bench/records/DATE-gpu-NAME) has a log for each step, and summary.md. With a GPU all of it ends within 8 minutes: each step has a
# limit of its own, and what no time is left for is said to be left out. A tool that is missing is a line of the summary.
# The addon is the one that ALUDEL_BINARY names, else that of build/Release where it has CUDA and there is no nvcc (a bundle), else built here.
# --peers DIR: PyTorch benches (torch_*.py) to run beside those of bench/peers, eager and compiled. ALUDEL_DATA: data sets for the tests that need some.
set -u
cd "$(dirname "$0")/.." || exit 1

out= name= peers= minutes= bundle= device=1
while [ $# -gt 0 ]; do
  case "$1" in
    --no-device) device=0 ;;
    --out | --name | --peers | --minutes | --bundle)
      [ $# -ge 2 ] || { echo "gpu-check: $1: expected a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift
      ;;
    *)
      sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
  shift
done
[ -z "$peers" ] || [ -d "$peers" ] || { echo "gpu-check: --peers: $peers is no directory" >&2; exit 2; }
[ "$device" = 0 ] || [ -z "$bundle" ] || { echo "gpu-check: --bundle goes with --no-device" >&2; exit 2; }

# Sets `value` to the number of seconds of `minutes`.
: "${minutes:=$([ "$device" = 1 ] && echo 8 || echo 60)}"
case "$minutes" in '' | *[!0-9]*) echo "gpu-check: --minutes: expected a whole number but received '$minutes'" >&2; exit 2 ;; esac
deadline=$((SECONDS + minutes * 60))

node=${NODE:-$(command -v node || true)}
[ -n "$node" ] || { [ -x bin/node ] && node=$PWD/bin/node; }
[ -n "$node" ] || { echo "gpu-check: node is neither on PATH nor in bin/ (a bundle has it); NODE may name it" >&2; exit 1; }
export PATH="$(dirname "$node"):$PATH"

if [ -z "$out" ]; then
  : "${name:=$(if [ "$device" = 1 ]; then nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 | tr -cs 'A-Za-z0-9\n' - | tr 'A-Z' 'a-z'; else echo no-device; fi)}"
  out=bench/records/$(date +%F)-gpu-${name:-unknown}
fi
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
: >"$out/steps.tsv"
: >"$out/bench.jsonl"

note() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" | tee -a "$out/steps.tsv"; }

# step NAME LIMIT COMMAND…: runs it with a log, for LIMIT seconds at most and to the common deadline. Returns its exit code.
step() {
  local what=$1 limit=$2 left=$((deadline - SECONDS)) start=$SECONDS code
  shift 2
  if [ "$left" -lt 5 ]; then
    note "$what" "left out" 0 "no time left"
    return 1
  fi
  [ "$limit" -lt "$left" ] || limit=$left
  timeout -k 5 "$limit" "$@" >"$out/$what.log" 2>&1 </dev/null
  code=$?
  case $code in
    0) note "$what" ok $((SECONDS - start)) "$(tail -n 1 "$out/$what.log" | tr '\t' ' ' | cut -c1-160)" ;;
    124 | 137) note "$what" "timed out" $((SECONDS - start)) "after $limit s" ;;
    *) note "$what" "failed" $((SECONDS - start)) "exit code $code: $(tail -n 1 "$out/$what.log" | tr '\t' ' ' | cut -c1-160)" ;;
  esac
  return $code
}
missing() { note "$1" missing 0 "$2"; }
# The JSON lines of a step's log, with fields of ours in front.
keep() { grep '^{.*}$' "$out/$1.log" 2>/dev/null | sed "s/^{/{$2,/" >>"$out/bench.jsonl"; }
has() { command -v "$1" >/dev/null 2>&1; }
vitest() { "$node" node_modules/vitest/vitest.mjs run --reporter=dot --reporter=json --outputFile.json="$1" "${@:2}"; }
export -f vitest
export node out

machine() {
  date -u +%FT%TZ
  uname -a
  grep -m1 'model name' /proc/cpuinfo
  echo "cores: $(nproc); memory: $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)"
  echo "node $("$node" --version); commit $(git describe --always --dirty 2>/dev/null || cat commit 2>/dev/null)"
  nvcc --version 2>/dev/null | tail -2 || echo "nvcc: none"
  nvidia-smi 2>/dev/null || echo "nvidia-smi: none"
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit --format=csv 2>/dev/null
  python3 -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)' 2>/dev/null || echo "torch: none"
}
export -f machine
step machine 60 bash -c machine

# ---- build --------------------------------------------------------------------------------------------------------------------------------
built_with_cuda() { "$node" -e "process.exit(require('./build/Release/aludel.node').surveyCuda().built ? 0 : 1)" 2>/dev/null; }
bench_linalg() { cmake --build build --target linalg_bench; }
export -f bench_linalg
if [ -n "${ALUDEL_BINARY:-}" ]; then
  note build "left out" 0 "ALUDEL_BINARY=$ALUDEL_BINARY"
elif has nvcc || [ -n "${CUDACXX:-}" ]; then
  step build $([ "$device" = 1 ] && echo 240 || echo 3000) "$node" scripts/build.mjs --cuda --kernels
  step build-linalg-bench 60 bash -c bench_linalg
elif built_with_cuda; then
  note build "left out" 0 "build/Release/aludel.node has CUDA, and there is no nvcc"
else
  missing build "nvcc: this addon has no CUDA backend"
  [ "$device" = 1 ] || step build-cpu 1800 "$node" scripts/build.mjs --cpu
fi
[ -f build/cuda-kernels.log ] && { step spills 20 "$node" scripts/check-spills.mjs build/cuda-kernels.log --table; }
step doctor 30 "$node" dist/cli/main.js doctor

without_device() {
  step check 900 "$node" scripts/check.mjs
  step emulated 2400 "$node" scripts/emulated.mjs
  step emulated-order 1200 "$node" scripts/emulated.mjs --seed 7 test/device/ops.test.ts
  [ -z "$bundle" ] || step bundle 900 "$node" scripts/gpu-bundle.mjs "$bundle"
}

with_device() {
  export ALUDEL_DEVICE=cuda ALUDEL_PRECISION=f32
  vitest_step() { step "$1" "$2" bash -c 'vitest "$@"' vitest "$out/$1.json" "${@:3}"; }

  # Every op and its derivatives against the float64 reference; what a GPU promises; golden vectors.
  vitest_step ops 100 --project device --project cuda test/device/ops.test.ts test/device/random.test.ts test/device/selection.test.ts test/cuda
  step golden 60 "$node" dist/cli/golden.js test/golden/data --engine f32

  # The same bits three times, at every precision.
  for precision in f32 tf32x3 tf32 bf16; do
    for run in 1 2 3; do
      ALUDEL_PRECISION=$precision step "cases-$precision-$run" 25 "$node" scripts/run-cases.mjs || break
    done
    if cmp -s "$out/cases-$precision-1.log" "$out/cases-$precision-2.log" && cmp -s "$out/cases-$precision-1.log" "$out/cases-$precision-3.log"; then
      note "determinism-$precision" ok 0 "three runs of every op case gave the same bits"
    else
      note "determinism-$precision" failed 0 "compare cases-$precision-{1,2,3}.log"
    fi
  done

  # Speed: what memory and matrix products give, then every bench.
  for precision in f32 tf32x3 tf32 bf16; do
    case $precision in
      tf32) benches=(copy-peak matrix-peak conv embed256 dm atom expert mtt per-sample-loss) ;;
      tf32x3) benches=(matrix-peak conv dm) ;;
      *) benches=(matrix-peak conv embed256 dm atom expert mtt) ;;
    esac
    for one in "${benches[@]}"; do
      step "bench-$one-$precision" 30 "$node" bench/run.mjs "$one" --device cuda --precision "$precision" --iters 10 --json &&
        keep "bench-$one-$precision" '"who":"aludel"'
    done
  done
  if [ -x build/linalg_bench ]; then
    step bench-cholesky 30 build/linalg_bench && keep bench-cholesky '"who":"aludel","precision":"f64"'
  else
    missing bench-cholesky "build/linalg_bench: nvcc builds it"
  fi

  # The peers.
  if python3 -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)' 2>/dev/null; then
    step torch-peaks 40 python3 bench/peers/peaks.py && keep torch-peaks '"who":"torch"'
    for script in bench/peers/attention.py ${peers:+"$peers"/torch_dm_step.py "$peers"/torch_embed.py "$peers"/torch_expert_step.py "$peers"/torch_mtt_step.py "$peers"/torch_conv_bench.py}; do
      [ -f "$script" ] || continue
      one=$(basename "$script" .py)
      arguments=(--iters 10)
      [ "$one" = attention ] && arguments+=(atom)
      step "peer-$one" 40 python3 bench/peers/on_gpu.py "$script" "${arguments[@]}" && keep "peer-$one" '"who":"torch eager"'
      # Networks that are functions, and single calls: nothing there that the wrapper compiles.
      case $one in attention | torch_conv_bench | torch_mtt_step) continue ;; esac
      step "peer-$one-compiled" 60 python3 bench/peers/on_gpu.py --compile "$script" "${arguments[@]}" && keep "peer-$one-compiled" '"who":"torch compiled"'
    done
  else
    missing peers "python3 with a torch that sees the GPU"
  fi

  # The tools that watch memory and barriers, over a part of the op cases.
  if has compute-sanitizer; then
    for tool in memcheck racecheck initcheck synccheck; do
      step "sanitizer-$tool" 45 compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 20 "$node" scripts/run-cases.mjs --forward --every 5
    done
  else
    missing sanitizers "compute-sanitizer"
  fi

  # All other tests of devices, for as long as there is time.
  vitest_step suite 300 --project device
}

if [ "$device" = 1 ]; then
  if "$node" dist/cli/main.js doctor --json | "$node" -e "let s='';process.stdin.on('data',d=>s+=d).on('end',()=>process.exit(JSON.parse(s).backends.cuda.available?0:1))"; then
    with_device
  else
    note device failed 0 "no GPU can be opened: see doctor.log; --no-device does what can be done without"
  fi
else
  without_device
fi
"$node" scripts/gpu-summary.mjs "$out"
echo "record in $out"
! cut -f2 "$out/steps.tsv" | grep -q failed
