#!/usr/bin/python3
"""Prints what moondreamfilter sees, from the metas on the frames and from the messages on the bus.

    meson devenv -C build -w . examples/boxes.py
    meson devenv -C build -w . examples/boxes.py 'filesrc location=street.mp4 ! decodebin !
        videoconvert ! moondreamfilter detect=person ! appsink name=frames sync=false'

Needs python3-gi and gir1.2-gst-plugins-base-1.0, and no gst-python. What Python can reach of a
frame's metas with these, from GStreamer 1.22 on:

- The meta "moondream" by Buffer.get_custom_meta(), and all of its structure: single fields by
  Structure.get_value(), arrays by Structure.get_array(). Structure.get_value() of an array needs
  gst-python.
- Regions of interest only one by one, by an id that has to be known or guessed. There is no
  Buffer.iterate_meta() in Python. Do not use Buffer.foreach_meta(): Python's callback gets no meta
  there, and one that does not return it removes it from the frame.
- The parameters of a region, unless a converter or scaler was behind the filter: GStreamer keeps
  the region then, and drops those.

So this takes boxes from the meta "moondream", and shows the region beside each that has one.

A structure is part of its buffer: use it only while you hold the sample.
"""
import signal
import sys
import warnings

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstApp, GstVideo  # noqa: E402, F401  GstApp: appsink's methods

PIPELINE = (
    "videotestsrc num-buffers=30 pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "moondreamfilter detect=ball mode=sync ! appsink name=frames sync=false"
)


def structures(parent, field):
    """The structures in an array field, as moondream's objects, points and answers are."""
    found, array = parent.get_array(field)
    with warnings.catch_warnings():
        # GObject calls the only kind of array that Python gets here deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Copies: what get_nth() returns is gone with the array.
        return [array.get_nth(i).copy() for i in range(array.n_values)] if found else []


def describe(objects):
    return ", ".join(f"{o.get_value('label')} {o.get_value('score'):.2f}" for o in objects) or "nothing"


def region_of(buffer, found, count):
    """The region of one of `count` objects, or None.

    Its id is the object's, or, from GStreamer 1.24 on, that of an analytics mtd, which are counted
    from 0 and at most two for each object.
    """
    number = found.get_value("id")
    for candidate in [number, *range(2 * count)]:
        region = GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, candidate)
        parameter = region and region.get_param("object_id")
        if parameter and parameter.get_value("id") == number:
            return region
    return None


def print_frame(sample):
    buffer = sample.get_buffer()
    meta = buffer.get_custom_meta("moondream")
    if meta is None:
        print("frame without a result: it came through no moondreamfilter")
        return
    result = meta.get_structure()
    print(f"frame {buffer.pts / Gst.SECOND:.3f} s, {result.get_value('status')}")
    caps = sample.get_caps().get_structure(0)
    width, height = caps.get_value("width"), caps.get_value("height")
    objects = structures(result, "objects")
    for found in objects:
        left, top = found.get_value("x_min") * width, found.get_value("y_min") * height
        right, bottom = found.get_value("x_max") * width, found.get_value("y_max") * height
        line = f"  {describe([found])}: {right - left:.1f}x{bottom - top:.1f} at {left:.1f},{top:.1f}"
        region = region_of(buffer, found, len(objects))
        if region is not None:
            line += f", region of {region.w}x{region.h} at {region.x},{region.y}"
        print(line)


def print_message(result):
    time = result.get_value("pts") / Gst.SECOND
    print(f"message: sample {result.get_value('serial')} of {time:.3f} s, "
          f"{describe(structures(result, 'objects'))}")


def print_messages(bus):
    """Prints what has come; true at the end of the stream. Raises RuntimeError for an error."""
    while True:
        message = bus.pop_filtered(
            Gst.MessageType.ELEMENT | Gst.MessageType.ERROR | Gst.MessageType.EOS)
        if message is None:
            return False
        if message.type == Gst.MessageType.EOS:
            return True
        if message.type == Gst.MessageType.ERROR:
            raise RuntimeError(message.parse_error()[0].message)
        if message.has_name("moondream-result"):
            print_message(message.get_structure())


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly where `head` does
    Gst.init(None)
    pipeline = Gst.parse_launch(" ".join(sys.argv[1:]) or PIPELINE)
    frames = pipeline.get_by_name("frames")
    if frames is None:
        sys.exit("boxes.py: the pipeline has no appsink name=frames")
    pipeline.set_state(Gst.State.PLAYING)
    try:
        while not print_messages(pipeline.get_bus()):
            sample = frames.try_pull_sample(Gst.SECOND // 10)
            if sample is not None:
                print_frame(sample)
    except RuntimeError as error:
        sys.exit(f"boxes.py: {error}")
    finally:
        pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
