// The text_%u pads of moondreamfilter.
//
// A pad has a queue and a task of its own: its consumer may block it for as long as it likes and
// video goes on. The functions without a note may be called from any thread.
#pragma once

#include <gst/gst.h>

#include "text_track.h"

G_BEGIN_DECLS

#define GST_TYPE_MOONDREAM_TEXT_PAD (gst_moondream_text_pad_get_type())
G_DECLARE_FINAL_TYPE(GstMoondreamTextPad, gst_moondream_text_pad, GST, MOONDREAM_TEXT_PAD, GstPad)

G_END_DECLS

// An inactive pad. Transfer floating.
GstMoondreamTextPad *gst_moondream_text_pad_new(GstPadTemplate *templ, const gchar *name);

// ---- One thread at a time: what the pad is to say, in order. Never blocks. ---------------------

// Events of the video's source pad that mean something to text: STREAM_START, which becomes one of
// a stream of its own with the text's caps behind it, SEGMENT, GAP and EOS. Others do nothing.
void gst_moondream_text_pad_event(GstMoondreamTextPad *pad, GstEvent *event);

// Returns how many cues were dropped because the pad's consumer is blocked.
guint gst_moondream_text_pad_frame(GstMoondreamTextPad *pad, const moondream::TextFrame &frame);

// ---- Flushes -----------------------------------------------------------------------------------

// Sends the event, which it takes, and drops what waits.
void gst_moondream_text_pad_flush_start(GstMoondreamTextPad *pad, GstEvent *event);
void gst_moondream_text_pad_flush_stop(GstMoondreamTextPad *pad, GstEvent *event);

// Before the pad is released: ends its stream, if it had one, with EOS, if its consumer takes that
// in time, and deactivates it.
void gst_moondream_text_pad_finish(GstMoondreamTextPad *pad);
