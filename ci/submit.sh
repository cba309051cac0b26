#!/usr/bin/env bash
# Start a run for each affected model, then follow each to its end. A commit starts a model's run once, however often the
# build is started. Ends with the worst exit code: 3 where checks failed, 1 where a run failed.
set -euo pipefail
. ci/environment.sh
options=(--backend vertex --key "$COMMIT_SHA" --trigger merge)
mapfile -t models <.ostinato/build/affected
for model in "${models[@]}"; do
  ostinato submit "$model" "${options[@]}"
done
worst=0
for model in "${models[@]}"; do
  code=0
  ostinato submit "$model" "${options[@]}" --wait || code=$?
  if [ "$code" -eq 1 ] || [ "$worst" -eq 0 ]; then
    worst=$code
  fi
done
exit "$worst"
