# shellcheck shell=bash
# Sourced, not run: what the demos, ./tests/run and ./.ci/run need before their own work.
# Everything here is quick when there is nothing left to do.
#
# Environment:
#   MOONDREAM_SETUP   further options for `meson setup`, such as -Dwerror=true; only looked at
#                     where build/ has not been configured yet

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build

# The same names on Debian 12 and 13.
packages=(
  meson pkgconf g++
  libtorch-dev
  # LibTorch works with any BLAS; the one that it pulls in by itself is the slow reference one.
  libopenblas0-pthread
  libopencv-dev libsentencepiece-dev nlohmann-json3-dev libicu-dev libpango1.0-dev
  libgstreamer-plugins-base1.0-dev
  # Holds gstreamer-analytics where GStreamer is 1.24 or newer.
  libgstreamer-plugins-bad1.0-dev
  # -x holds textoverlay, -bad objectdetectionoverlay where GStreamer is 1.24 or newer.
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-x
  # For examples/boxes.py.
  python3-gi gir1.2-gst-plugins-base-1.0
  libgtest-dev libbenchmark-dev
  fonts-dejavu-core
)

# install_packages PACKAGE... : installs those that are missing, if any. Needs root only then.
install_packages() {
  local package missing=() become=()
  if ! command -v dpkg-query > /dev/null; then
    echo "Not a Debian system: taking it that the equivalents of these are installed: $*" >&2
    return
  fi
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status} ' "$package" 2> /dev/null) == *installed* ]] ||
      missing+=("$package")
  done
  [ ${#missing[@]} != 0 ] || return 0

  echo "Installing ${#missing[@]} missing Debian packages and what they depend on: ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo > /dev/null; then
      echo "Please install them as root: apt-get install --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    become=(sudo)
  fi
  # A third-party source that is down need not matter, so only the second command decides.
  "${become[@]}" apt-get -q update || true
  "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y install --no-install-recommends "${missing[@]}"
}

# build [TARGET...] : configures build/ unless that has been done, and compiles (default: all).
build() {
  if [ ! -f "$build/build.ninja" ]; then
    # shellcheck disable=SC2086  # options, to be split
    meson setup ${MOONDREAM_SETUP:-} "$build" "$root"
  fi
  ninja -C "$build" "$@"
}
