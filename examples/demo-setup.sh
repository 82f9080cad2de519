# shellcheck shell=bash
# Sourced, not run: what the demos have in common. Installs what is missing, builds, and goes on at
# the root of the project with plugin and programs at hand.

# shellcheck source=tests/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/setup.sh"
cd "$root" || exit

install_packages "${packages[@]}"
build demo
# GST_PLUGIN_PATH, GST_REGISTRY and so on, for what was just built.
set +u  # it appends to variables that may not exist
eval "$(meson devenv -C "$build" --dump)"
set -u
# gst-launch's messages are read below, so they must not be translated.
export LC_ALL=C.UTF-8
programs=$build/examples/demo-video

# draw FOLDER [OPTION...] : a video, FOLDER/scenes.webm, and what is in it, FOLDER/truth.json. The
# options are those of demo-scenes.
draw() {
  local folder=$1
  shift
  mkdir -p "$folder"
  printf '\nDrawing a video: %s/scenes.webm\n' "$folder"
  "$programs/demo-scenes" "$@" "$folder/scenes.webm" "$folder/truth.json"
}

# follow FOLDER LAUNCH [OPTION...] : runs the launch line and writes its results into
# FOLDER/detections.json. The options are those of demo-report. Ends the script if that fails.
follow() {
  local folder=$1 launch=$2 seconds_at_most=900 status=0 words
  shift 2
  printf '\nRunning, in `meson devenv -C build -w .`:\n%s\n\n' "${launch//$'\n'/ \\$'\n'}"
  eval "words=($launch)"
  # gst-launch 1.22 may hang after an error, so it is watched rather than waited for.
  exec 3< <(exec timeout --foreground --kill-after=5 $seconds_at_most "${words[@]}" 2>&1)
  pipeline=$!
  trap 'kill "$pipeline" 2> /dev/null || true' EXIT
  "$programs/demo-report" "$@" "$folder/truth.json" "$folder/detections.json" <&3 || status=$?
  if [ $status = 0 ]; then
    wait "$pipeline" || status=$?
  fi
  if [ $status != 0 ]; then
    echo 'The pipeline failed.' >&2
    exit 1
  fi
}
