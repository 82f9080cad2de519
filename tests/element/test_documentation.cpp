// What README and the elements' own documentation say about properties and launch lines.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "filter_harness.h"

namespace moondream {
namespace {

std::string read(const std::string &name) {
  std::ifstream file(std::string(MOONDREAM_SOURCE "/") + name);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// All that is between `begin` and the next `end`, of each occurrence.
std::vector<std::string> between(const std::string &text, const std::string &begin,
                                 const std::string &end) {
  std::vector<std::string> found;
  for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at)) {
    at += begin.size();
    const std::size_t stop = text.find(end, at);
    if (stop == std::string::npos) break;
    found.push_back(text.substr(at, stop - at));
    at = stop + end.size();
  }
  return found;
}

struct OwnProperties {
  explicit OwnProperties(GstElement *element) {
    guint count = 0;
    GParamSpec **specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(element), &count);
    for (guint i = 0; i < count; ++i)
      if (specs[i]->owner_type == G_OBJECT_TYPE(element)) all.push_back(specs[i]);
    g_free(specs);
  }
  std::vector<GParamSpec *> all;  // the class's
};

class Documentation : public testing::TestWithParam<const char *> {
 protected:
  Documentation()
      : element_(GST_ELEMENT(gst_object_ref_sink(gst_element_factory_make(GetParam(), nullptr)))) {}
  ElementPtr element_;
};

INSTANTIATE_TEST_SUITE_P(Elements, Documentation,
                         testing::Values("moondreamfilter", "moondreamoverlay", "moondreamredact",
                                         "moondreammoderate", "moondreammetawrite"),
                         [](const auto &test) { return std::string(test.param); });

TEST_P(Documentation, PropertiesStartAtTheirDefaultsAndSayWhenTheyCanChange) {
  for (GParamSpec *spec : OwnProperties(element_.get()).all) {
    EXPECT_GT(std::string(g_param_spec_get_blurb(spec)).size(), 10u) << spec->name;
    if (!(spec->flags & G_PARAM_WRITABLE)) continue;
    EXPECT_TRUE(spec->flags & (GST_PARAM_MUTABLE_READY | GST_PARAM_MUTABLE_PLAYING)) << spec->name;
    GValue value = G_VALUE_INIT;
    g_value_init(&value, spec->value_type);
    g_object_get_property(G_OBJECT(element_.get()), spec->name, &value);
    if (GST_VALUE_HOLDS_ARRAY(&value)) {
      EXPECT_EQ(gst_value_array_get_size(&value), 0u) << spec->name;
    } else {
      EXPECT_TRUE(g_param_value_defaults(spec, &value)) << spec->name;
    }
    g_value_unset(&value);
  }
}

TEST_P(Documentation, TheTableInReadmeHasEveryPropertyAndNoOther) {
  const std::string heading = std::string("\n## ") + GetParam() + "\n";
  const auto sections = between(read("README.md"), heading, "\n## ");
  ASSERT_EQ(sections.size(), 1u);
  std::set<std::string> rows, properties;
  for (const std::string &row : between(sections[0], "\n| `", "` |")) rows.insert(row);
  for (GParamSpec *spec : OwnProperties(element_.get()).all) properties.insert(spec->name);
  EXPECT_EQ(rows, properties);
}

// Pipelines, without what a shell makes of them: options, and pipes to other programs.
std::vector<std::string> launch_lines(const std::string &block) {
  std::string text = std::regex_replace(block, std::regex("\\\\\n|\n \\* ?"), " ");
  std::vector<std::string> lines;
  for (const std::string &command : between(text + "\n\n", "gst-launch-1.0", "\n\n")) {
    std::string line = std::regex_replace(command, std::regex("^( +-[a-z])+ "), " ");
    line = line.substr(0, line.find(" | "));
    lines.push_back(std::regex_replace(line, std::regex("\n"), " "));
  }
  return lines;
}

// One that somebody copies has to be understood. Those with elements that are not installed here
// are not looked at.
int expect_parsed(const std::vector<std::string> &lines) {
  int parsed = 0;
  for (const std::string &line : lines) {
    GError *error = nullptr;
    GstElement *pipeline =
        gst_parse_launch_full(line.c_str(), nullptr, GST_PARSE_FLAG_FATAL_ERRORS, &error);
    if (pipeline) {
      gst_object_unref(gst_object_ref_sink(pipeline));
      ++parsed;
    } else {
      const ErrorPtr failure(error);
      EXPECT_TRUE(g_error_matches(error, GST_PARSE_ERROR, GST_PARSE_ERROR_NO_SUCH_ELEMENT))
          << line << ": " << error->message;
    }
  }
  return parsed;
}

TEST_P(Documentation, LaunchLinesOfTheSourceAreUnderstood) {
  const std::string source = read(std::string("gst/gst") + GetParam() + ".cpp");
  int lines = 0;
  for (const std::string &block : between(source, "|[\n", "]|"))
    lines += expect_parsed(launch_lines(block));
  EXPECT_GE(lines, 1);
}

TEST_P(Documentation, EveryPropertyHasABlockInTheSource) {
  std::string sources;
  for (const auto &file : std::filesystem::directory_iterator(MOONDREAM_SOURCE "/gst"))
    if (file.path().extension() == ".cpp")
      sources += read("gst/" + file.path().filename().string());
  for (GParamSpec *spec : OwnProperties(element_.get()).all) {
    const std::string block =
        std::string("   * ") + G_OBJECT_TYPE_NAME(element_.get()) + ":" + spec->name + ":";
    EXPECT_NE(sources.find(block), std::string::npos) << block;
  }
}

TEST(ReadmePipelines, AreUnderstood) {
  int lines = 0;
  for (const std::string &block : between(read("README.md"), "\n```\n", "\n```\n"))
    lines += expect_parsed(launch_lines(block));
  EXPECT_GE(lines, 6);
}

}  // namespace
}  // namespace moondream
