#!/usr/bin/env bash
# The whole history, which a build's checkout has not, and a folder that the image's own user may write to.
set -euo pipefail
if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
  git fetch --quiet --unshallow origin
fi
mkdir -p .ostinato/build
chmod -R a+rwX .
