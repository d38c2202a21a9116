#!/usr/bin/env bash
# Builds the image quantum-position-state-brain where a builder answers and has, or can get, the base image.
# Elsewhere it says why not, and that is no failure. `IMAGE=name:tag` names it otherwise.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
image=${IMAGE:-quantum-position-state-brain}
base=$(sed -n 's/^ARG PYTHON_IMAGE=//p' "$here/Dockerfile")

for builder in docker podman buildah ''; do
  [[ $builder ]] || { echo 'Image not built: no builder answers (docker, podman, buildah)' && exit; }
  ! "$builder" info >/dev/null 2>&1 || break
done
if ! "$builder" inspect --type image "$base" >/dev/null 2>&1 && ! said=$("$builder" pull "$base" 2>&1 >/dev/null); then
  echo "Image not built: $builder cannot get $base: ${said##*$'\n'}"
  exit
fi
"$builder" build -f "$here/Dockerfile" -t "$image" "$(dirname "$(dirname "$here")")"
# buildah has no `run` of images.
version=built
[[ $builder == buildah ]] || version=$("$builder" run --rm "$image" --version)
echo "Image $image: $version"
