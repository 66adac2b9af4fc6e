#!/bin/sh
# Makes three.min.js anew from npm's registry, byte for byte: only what entry.js names, minified.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/entry.js" "$work"
cd "$work"
npm install --silent --no-audit --no-fund three@0.187.0 esbuild@0.25.12
cp node_modules/three/LICENSE "$here/LICENSE"
npx esbuild entry.js --bundle --minify --format=esm --target=es2022 --legal-comments=inline --outfile="$here/three.min.js"
