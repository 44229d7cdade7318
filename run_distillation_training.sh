#!/usr/bin/env bash
# Trains a distilled student: a few flags with short names, everything else is handed on to run_experiments.py, which
# uses the finished teacher of the experiment, or trains it first.
set -euo pipefail

default="rgb_hierarchical_unet_v2_distillation_b0_from_b3"

usage() {
    cat <<TEXT
usage: run_distillation_training.sh [flags] [flags of run_experiments.py]

  --teacher_checkpoint PATH   checkpoint of the teacher (default: the finished run of the config's teacher, which is
                              trained first if there is none)
  --epochs N                  passes over the data in all
  --temperature X             distillation temperature
  --alpha X                   weight of the distillation term, 0 to 1
  --config NAME|FILE          experiment (default: $default)
  --batch_size N|auto         images in a batch

All other flags are handed on, such as --data_root DIR; run_experiments.py --help shows them.
Relative paths are relative to the folder that you call this from.
TEXT
}

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
arguments=()
named=""
while (($# > 0)); do
    flag="${1%%=*}"
    case "$flag" in
        -h | --help)
            usage
            exit 0
            ;;
        --teacher_checkpoint | --epochs | --temperature | --alpha | --config | --config-name | --batch_size)
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
                --config | --config-name) named="yes" ;;
            esac
            arguments+=("$flag=$value")
            ;;
        *)
            # These name what is trained themselves.
            case "$flag" in --configs | --config_file | --resume | --list_configs) named="yes" ;; esac
            arguments+=("$1")
            shift
            ;;
    esac
done
if [[ -z "$named" ]]; then
    arguments=("--config=$default" "${arguments[@]+"${arguments[@]}"}")
fi

exec uv run --project "$root" python "$root/run_experiments.py" "${arguments[@]}"
