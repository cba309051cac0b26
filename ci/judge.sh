#!/usr/bin/env bash
# Judge the models that a range of commits affects, here, on their fixed test sets: ci/judge.sh BASE..HEAD FOLDER.
# Writes FOLDER/models, their names, and FOLDER/MODEL.json, empty where a run did not finish; `ostinato comment` tells
# what is in them.
set -euo pipefail
range=$1 folder=$2
mkdir -p "$folder"
ostinato affected "$range" --until evaluate --names >"$folder/models"
mapfile -t models <"$folder/models"
for model in "${models[@]}"; do
  : >"$folder/$model.json"
done
for model in "${models[@]}"; do
  code=0
  ostinato run "$model" --until evaluate --json >"$folder/$model.json" || code=$?
  if [ "$code" -ne 0 ] && [ "$code" -ne 3 ]; then
    : >"$folder/$model.json"
  fi
done
