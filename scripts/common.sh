# shellcheck shell=bash
# Sourced by the scripts beside it: they run from the root of the project, and explain themselves by
# the comment they begin with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints the comment at the head of the calling script.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "scripts/$(basename "$0")"; }

die() {
  echo "${0##*/}: $*" >&2
  exit 2
}

# `ccache COMPILER` where ccache is installed, else COMPILER.
cached() { if command -v ccache >/dev/null; then echo "ccache $1"; else echo "$1"; fi; }

# Says once, on standard error and in bold where that can be seen, what begins.
say() { if [ -t 2 ]; then printf '\033[1m== %s\033[0m\n' "$*" >&2; else echo "== $*" >&2; fi; }
