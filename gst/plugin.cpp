// The plugin's entry. It needs no model, no accelerator and no network to load.
#include <gst/gst.h>

#include "gstmoondreamfilter.h"
#include "gstmoondreammetawrite.h"
#include "gstmoondreammoderate.h"
#include "gstmoondreamoverlay.h"
#include "gstmoondreamredact.h"

static gboolean plugin_init(GstPlugin *plugin) {
  return GST_ELEMENT_REGISTER(moondreamfilter, plugin) &&
         GST_ELEMENT_REGISTER(moondreammetawrite, plugin) &&
         GST_ELEMENT_REGISTER(moondreammoderate, plugin) &&
         GST_ELEMENT_REGISTER(moondreamoverlay, plugin) &&
         GST_ELEMENT_REGISTER(moondreamredact, plugin);
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, moondream,
                  "Lets pipelines see by sentence, with Moondream vision-language models",
                  plugin_init, PACKAGE_VERSION, "MIT/X11", PACKAGE, PACKAGE_ORIGIN)
