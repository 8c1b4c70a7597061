#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other.
# usage: scripts/fuzz.sh [TIME]     TIME is for each target, as for go test
set -euo pipefail
cd "$(dirname "$0")/.."

fuzztime=${1:-10s}
count=0
while read -r package dir; do
	# Targets are found in the source, so that nothing is built twice.
	while read -r target; do
		echo "fuzz ${package##*/mkimage/} $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$package"
		count=$((count + 1))
	done < <(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go)
done < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | grep .)
echo "fuzzed $count targets for $fuzztime each"
