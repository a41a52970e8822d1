#!/bin/sh
# Resolves pyproject.toml anew for every supported Python and machine. Needs `uv` on the PATH; run by `make locks`.
set -eu
cd "$(dirname "$0")"
for python in 3.11 3.13; do
  for machine in x86_64 aarch64; do
    name=cp$(echo $python | tr -d .)-$machine
    # --no-emit-index-url and --no-header: a lock names files by hash, never an address
    set -- --quiet --upgrade --python-version $python --python-platform $machine-unknown-linux-gnu --generate-hashes \
      --override overrides.txt --no-header --no-annotate --no-emit-index-url --no-emit-find-links ../../pyproject.toml
    uv pip compile "$@" -o $name.txt >/dev/null
    uv pip compile "$@" --extra dev -c $name.txt -o $name-dev.txt >/dev/null
    echo "$name: $(grep -c '^[a-z]' $name.txt) packages, with tools $(grep -c '^[a-z]' $name-dev.txt)"
  done
done
grep -h -A1000 '^setuptools==' cp311-x86_64.txt | awk 'NR==1||/--hash/{print; next}{exit}' | sed '$ s/ \\$//' > build.txt
