#!/usr/bin/env bash
# What runs is what git names, and answers as it was judged. A canary is not looked at: one address answers with two
# versions then. A model that waits for a reviewer is what it was before.
set -euo pipefail
. ci/environment.sh
mapfile -t models <.ostinato/build/affected
for model in "${models[@]}"; do
  if [ -z "$_ENDPOINTS" ]; then
    echo "$model is not looked at: the substitution _ENDPOINTS is empty"
    continue
  fi
  live=$(ostinato status "$model" --json | python3 -c \
    'import json, sys; (one,) = json.load(sys.stdin); print("canary" if one["canary"] else one["live"] and "live")')
  case $live in
    live) ostinato verify "$model" --url "${_ENDPOINTS//MODEL/$model}" --wait 900 ;;
    canary) echo "$model is not looked at: a canary runs" ;;
    *) echo "$model is not live yet" ;;
  esac
done
