#!/usr/bin/env bash
# Trains a distilled student: a few flags with short names, everything else is handed on to train_advanced.py.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: run_distillation_training.sh [flags] [flags of train_advanced.py]

  --teacher_checkpoint PATH   checkpoint of the teacher (default: the finished run of the config's teacher)
  --epochs N                  passes over the data in all
  --temperature X             distillation temperature
  --alpha X                   weight of the distillation term, 0 to 1
  --config NAME               experiment (default: rgb_hierarchical_unet_v2_distillation_b0_from_b3)
  --batch_size N              images in a batch

All other flags are handed on, such as --data_root DIR; train_advanced.py --help shows them.
Relative paths are relative to the folder that you call this from.
TEXT
}

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
arguments=()
while (($# > 0)); do
    flag="${1%%=*}"
    case "$flag" in
        -h | --help)
            usage
            exit 0
            ;;
        --teacher_checkpoint | --epochs | --temperature | --alpha | --config | --batch_size)
            if [[ "$1" == *=* ]]; then
                value="${1#*=}"
                shift
            elif (($# > 1)) && [[ "$2" != --* ]]; then
                value="$2"
                shift 2
            else
                value=""
                shift
            fi
            if [[ -z "$value" ]]; then
                echo "error: $flag needs a value; see run_distillation_training.sh --help" >&2
                exit 2
            fi
            case "$flag" in
                --temperature | --alpha) flag="--distillation_${flag#--}" ;;
            esac
            arguments+=("$flag=$value")
            ;;
        *)
            arguments+=("$1")
            shift
            ;;
    esac
done

exec uv run --project "$root" python "$root/train_advanced.py" "${arguments[@]+"${arguments[@]}"}"
