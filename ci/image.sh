#!/usr/bin/env bash
# The image of a commit, by digest, and the commit that it is compared with: the newest one before it whose build ended
# well. A build that ends well gives its image the tag done-COMMIT, so what a failed one missed, the next makes up for.
set -euo pipefail
export DOCKER_BUILDKIT=1
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD
base=0
caches=()
for commit in $(git rev-list --first-parent --max-count="$_LOOK_BACK" --skip=1 "$COMMIT_SHA"); do
  if docker manifest inspect "$_IMAGE:done-$commit" >/dev/null 2>&1; then
    base=$commit
    caches=(--cache-from "$_IMAGE:done-$commit")
    break
  fi
done
echo "$base" >.ostinato/build/base
echo "compared with $base"

# A build that is started again takes the image that it has pushed; tags can't be moved.
if ! docker pull --quiet "$_IMAGE:$COMMIT_SHA"; then
  # What this image is made of is written into it, for the build after it.
  docker build --pull "${caches[@]}" --build-arg BUILDKIT_INLINE_CACHE=1 --build-arg "COMMIT=$COMMIT_SHA" \
    --build-arg "CREATED=$(git show --no-patch --format=%cI "$COMMIT_SHA")" \
    --target cpu --tag "$_IMAGE:$COMMIT_SHA" .
  docker push --quiet "$_IMAGE:$COMMIT_SHA"
fi
docker tag "$_IMAGE:$COMMIT_SHA" "$_IMAGE:done-$COMMIT_SHA"
docker inspect --format '{{index .RepoDigests 0}}' "$_IMAGE:$COMMIT_SHA" >.ostinato/build/image
cat .ostinato/build/image
