#!/usr/bin/env bash
# Compile every model with the image's digest, and name those that the commits affect.
set -euo pipefail
. ci/environment.sh
for model in $(ostinato affected 0..HEAD --names); do
  ostinato compile "$model" --backend vertex --output ".ostinato/build/$model.yaml"
done
range="$(cat .ostinato/build/base)..HEAD"
ostinato affected "$range"
ostinato affected "$range" --names >.ostinato/build/affected
