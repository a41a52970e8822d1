#!/bin/sh
# Makes .venv from the hash-pinned lock for this Python and machine, and gets Debian's mosquitto when there is none.
#   deploy/bootstrap.sh [run|dev]      run: what a door needs; dev: with the tools of make test (default)
# dev also installs the programs of tests/programs.txt where it may; those that cannot be had are named, and the tests that
# need them are skipped (DOOR_AGENT_TEST_PROGRAMS=required: it fails instead).
# Does nothing when all is there already. Exit 0 ready, 1 something is missing and cannot be had: the last line says what to do.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-dev}
venv=${DOOR_AGENT_VENV:-.venv}
say() { printf '%s\n' "$*" >&2; }
fail() { say "door-agent set-up: $*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"; else return 1; fi
}
# policy-rc.d: what is installed here is run by the demo and the tests themselves; no service of it may begin to listen
install_packages='
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap "rm -f $policy" EXIT
    printf "#!/bin/sh\nexit 101\n" > "$policy" && chmod 755 "$policy"
  fi
  apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >/dev/null || exit 1
  for unit in mosquitto nginx postgresql ssh; do
    case " $* " in *" $unit"*) command -v systemctl >/dev/null && systemctl --quiet disable "$unit";; esac
  done
  exit 0'
had_from_debian() {
  command -v apt-get >/dev/null || return 1
  say "installing from Debian: $*"
  as_root env DEBIAN_FRONTEND=noninteractive sh -c "$install_packages" sh "$@"
}
apt_get() {
  command -v apt-get >/dev/null || fail "$* is missing and this machine has no apt-get: install it with the system's own tool"
  had_from_debian "$@" || fail "could not install $*; run as root: apt-get install $*"
}

absent() {  # packages of the programs that tests run and this machine has not
  while read -r program package; do
    case $program in '#'*) continue;; esac
    (PATH=$PATH:/usr/sbin:$(printf '%s:' /usr/lib/postgresql/*/bin) && command -v "$program") >/dev/null || printf '%s ' "$package"
  done < tests/programs.txt
}
test_programs() {
  wanted=$(absent)
  [ -n "$wanted" ] || return 0
  # shellcheck disable=SC2086  # a list of names
  had_from_debian $wanted || for package in $wanted; do had_from_debian "$package" || true; done
  wanted=$(absent)
  [ -n "$wanted" ] || return 0
  [ "${DOOR_AGENT_TEST_PROGRAMS:-}" != required ] || fail "tests need these packages and they could not be installed: $wanted"
  say "tests that need these packages are skipped (as root: apt-get install $wanted)"
}

pick_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.11 "${HOME:-}"/.pyenv/versions/3.13*/bin/python3 "${HOME:-}"/.pyenv/versions/3.11*/bin/python3}; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    case $("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) in
      3.11|3.13) printf '%s' "$candidate"; return 0;;
    esac
  done
  return 1
}
command -v python3 >/dev/null || apt_get python3 python3-venv python3-pip
python=$(pick_python) || fail "needs Python 3.11 or 3.13 (found $(python3 --version 2>&1)); set PYTHON=/path/to/python"
"$python" -c 'import ensurepip, venv' 2>/dev/null || apt_get python3-venv python3-pip
if ! [ -x /usr/sbin/mosquitto ] && ! command -v mosquitto >/dev/null; then apt_get mosquitto; fi
if [ "$kind" = dev ]; then test_programs; fi

tag=$("$python" -c 'import sys, platform; print("cp%d%d-%s" % (*sys.version_info[:2], platform.machine()))')
suffix=; [ "$kind" = dev ] && suffix=-dev
lock=deploy/locks/$tag$suffix.txt
[ -e "$lock" ] || fail "no lock file $lock: this Python and machine are not supported yet (see deploy/locks/README.md)"
stamp=$(cat "$lock" deploy/locks/build.txt pyproject.toml | sha256sum | cut -d' ' -f1)
have=$(cat "$venv/.stamp-$kind" "$venv/.stamp-dev" 2>/dev/null || true)
case "$have" in *"$stamp"*) exit 0;; esac

say "preparing $venv ($tag, $kind): a minute or two the first time"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
log=$venv/setup.log
: > "$log"
pip() {
  "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@" >>"$log" 2>&1 ||
    { tail -5 "$log" >&2; fail "pip could not finish; its log is $log (is this machine online?)"; }
}
pip install --no-deps --require-hashes -r deploy/locks/build.txt
pip install --no-deps --require-hashes --no-build-isolation --only-binary :all: --no-binary face-recognition-models -r "$lock"
pip install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
rm -f "$venv"/.stamp-*
printf '%s\n' "$stamp" > "$venv/.stamp-$kind"
