// caption, query, detect, point and gaze on a model whose answers the reference implementation
// gave.
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <opencv2/imgcodecs.hpp>

#include "models.h"

namespace moondream::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Of what the model decodes in float32: bins, on this side and in the vectors.
constexpr double kExact = 1e-9;

// How long the texts of the vectors are; only some of the vectors say it themselves.
constexpr char kTextTokens[] = "16", kSpatialTokens[] = "8";

// What lies beyond the picture is printed as its edge.
double inside(const json &fraction) { return std::clamp(fraction.get<double>(), 0.0, 1.0); }

void expect_box(const json &box, const json &expected) {
  for (const char *side : {"x_min", "y_min", "x_max", "y_max"}) {
    EXPECT_NEAR(box[side].get<double>(), inside(expected[side]), kExact) << side;
  }
}

TEST(Caption, OfEachLengthIsTheReferences) {
  const json expected = expected_results();
  for (const char *length : {"short", "normal", "long"}) {
    const json &caption = expected[std::string("caption.") + length];
    const Finished finished = run_command(
        on_tiny("caption", {"--length", length, "--max-tokens", kTextTokens, kPicture}));
    EXPECT_EQ(finished.status, 0) << finished.err;
    EXPECT_EQ(finished.out, caption["text"].get<std::string>() + "\n");
    EXPECT_EQ(finished.err, "") << "progress is for terminals";
  }
}

TEST(Caption, StreamedIsTheSameText) {
  const std::vector<std::string> rest = {"--max-tokens", "8", kPicture};
  const Finished whole = run_command(on_tiny("caption", rest));
  std::vector<std::string> streamed = on_tiny("caption", rest);
  streamed.push_back("--stream");
  EXPECT_EQ(run_command(streamed).out, whole.out);
  EXPECT_GT(whole.out.size(), 8u);
}

TEST(Caption, StreamedTextsOfSeveralPicturesHaveTheirNames) {
  const std::vector<std::string> rest = {"--max-tokens", "8", kPicture, kPicture};
  const Finished whole = run_command(on_tiny("caption", rest));
  std::vector<std::string> streamed = on_tiny("caption", rest);
  streamed.push_back("--stream");
  EXPECT_EQ(run_command(streamed).out, whole.out);
}

TEST(Caption, AStreamThatFailsBeforeItsFirstWordPrintsNothing) {
  const TempDir dir;
  const fs::path mute = link_to_model(
      kTiny, dir, [](json &config) { config["tokenizer"]["templates"]["caption"] = nullptr; });
  const Finished finished =
      run_command({"caption", "-m", mute.string(), "--stream", kPicture, kPicture});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(lines_of(finished.err).size(), 2u) << finished.err;
  EXPECT_NE(finished.err.find("captions"), std::string::npos) << finished.err;
}

TEST(Caption, TheModelMayComeFromTheEnvironment) {
  const Finished finished =
      run_command({"caption", "--max-tokens=2", "--json", kPicture}, {"MOONDREAM_MODEL=" + kTiny});
  EXPECT_EQ(json_of(finished)["model"], "moondream2-tiny");
}

TEST(Caption, SeveralPicturesAreALineEachAndABadOneDoesNotStopTheOthers) {
  const TempDir dir;
  const std::string junk = write_file(dir / "junk.png", "no picture").string();
  const std::string absent = (dir / "absent.png").string();
  for (const bool as_json : {false, true}) {
    std::vector<std::string> arguments =
        on_tiny("caption", {"--max-tokens", "3", kPicture, junk, absent, kPicture});
    if (as_json) arguments.push_back("--json");
    const Finished finished = run_command(arguments);
    EXPECT_EQ(finished.status, 1);
    EXPECT_NE(finished.err.find(junk + ": is not a picture"), std::string::npos) << finished.err;
    EXPECT_NE(finished.err.find(absent + ": "), std::string::npos) << finished.err;
    EXPECT_EQ(lines_of(finished.err).size(), 2u) << finished.err;
    const auto lines = lines_of(finished.out);
    if (!as_json) {
      ASSERT_EQ(lines.size(), 2u) << finished.out;
      EXPECT_TRUE(lines[0].starts_with(kPicture + ": ")) << lines[0];
      EXPECT_EQ(lines[0], lines[1]);
      continue;
    }
    ASSERT_EQ(lines.size(), 4u) << finished.out;
    EXPECT_EQ(json::parse(lines[0])["image"], kPicture);
    EXPECT_TRUE(json::parse(lines[0]).contains("caption"));
    EXPECT_EQ(json::parse(lines[1])["image"], junk);
    EXPECT_TRUE(json::parse(lines[1]).contains("error"));
    EXPECT_FALSE(json::parse(lines[1]).contains("caption"));
    EXPECT_TRUE(json::parse(lines[3]).contains("caption"));
  }
}

// Its lower part would be whatever the decoder makes of nothing.
TEST(Caption, OfAJpegThatIsCutShortIsAnError) {
  const TempDir dir;
  std::vector<std::uint8_t> bytes;
  // A restart marker every 8 blocks, which are no end either.
  ASSERT_TRUE(
      cv::imencode(".jpg", cv::imread(kPicture), bytes, {cv::IMWRITE_JPEG_RST_INTERVAL, 8}));
  const auto status_of = [&](std::size_t size) {
    const std::string text(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto file = write_file(dir / "picture.jpg", text).string();
    const Finished finished = run_command(on_tiny("caption", {"--max-tokens", "1", file}));
    if (finished.status != 0) {
      EXPECT_NE(finished.err.find(file + ": is "), std::string::npos) << finished.err;
    }
    return finished.status;
  };
  EXPECT_EQ(status_of(bytes.size()), 0);
  for (const std::size_t size :
       {bytes.size() - 1, bytes.size() / 2, std::size_t{200}, std::size_t{3}}) {
    EXPECT_EQ(status_of(size), 1) << size;
  }
  bytes.insert(bytes.end(), 100, 7);  // what cameras append
  EXPECT_EQ(status_of(bytes.size()), 0);
}

// A camera that was held upright: the first column of what it wrote is the top row.
TEST(Detect, APictureIsTurnedAsItsExifDataSays) {
  std::vector<std::uint8_t> bytes;
  ASSERT_TRUE(cv::imencode(".jpg", cv::Mat(20, 40, CV_8UC3, {200, 100, 50}), bytes));
  // In a segment of its own behind the first marker: little-endian, one entry, of the orientation.
  const std::string exif = std::string(
      "\xff\xe1\x00\x22"
      "Exif\0\0"
      "II\x2a\0\x08\0\0\0"
      "\x01\0"
      "\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
      "\0\0\0\0",
      36);
  bytes.insert(bytes.begin() + 2, exif.begin(), exif.end());
  const TempDir dir;
  const auto file = write_file(dir / "upright.jpg", std::string(bytes.begin(), bytes.end()));
  const json got = json_of(run_command(
      on_tiny("detect", {"-O", "face", "--max-objects", "1", "--json", file.string()})));
  EXPECT_EQ(got["width"], 20);
  EXPECT_EQ(got["height"], 40);
}

TEST(Caption, StandardInputIsAPicture) {
  Started command(on_tiny("caption", {"--max-tokens", "3", "-"}), {}, -1, kPicture);
  const Finished finished = command.wait();
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.out, run_command(on_tiny("caption", {"--max-tokens", "3", kPicture})).out);
}

// Random texts, so that equal ones are no accident.
TEST(Caption, EqualSeedsGiveEqualTexts) {
  const auto text = [](const char *seed) {
    return run_command(on_tiny("caption", {"--temperature", "5", "--top-p", "1", "--max-tokens",
                                           "12", "--seed", seed, kPicture}))
        .out;
  };
  EXPECT_EQ(text("7"), text("7"));
  EXPECT_NE(text("7"), text("8"));
}

TEST(Query, AnswersAsTheReference) {
  const json expected = expected_results();
  const std::string question = "What is in this image?";
  const json &answer = expected["query:" + question];
  const json got = json_of(run_command(
      on_tiny("query", {"-q", question, "--max-tokens", kTextTokens, "--json", kPicture})));
  ASSERT_EQ(got["answers"].size(), 1u);
  EXPECT_EQ(got["answers"][0]["question"], question);
  EXPECT_EQ(got["answers"][0]["answer"], answer["text"]);
  EXPECT_FALSE(got["answers"][0].contains("reasoning"));
  EXPECT_FALSE(got.contains("caption"));
  EXPECT_EQ(got["width"], 378);
  EXPECT_EQ(got["height"], 378);
  EXPECT_EQ(got["image"], kPicture);
}

TEST(Query, ThinksFirstIfAsked) {
  const json expected = expected_results()["query.reasoning"];
  const json got = json_of(run_command(
      on_tiny("query", {"-q", expected["question"], "--reasoning", "--max-tokens",
                        std::to_string(expected["max_tokens"].get<int>()), "--json", kPicture})));
  EXPECT_EQ(got["answers"][0]["answer"], expected["answer"]);
  EXPECT_EQ(got["answers"][0]["reasoning"]["text"], expected["reasoning"]["text"]);
  EXPECT_EQ(got["answers"][0]["reasoning"]["grounding"], expected["reasoning"]["grounding"]);
}

TEST(Query, StreamedThoughtsAndAnswersAreTheSameTextAlsoWithoutAnAnswer) {
  const json expected = expected_results()["query.reasoning"];
  const json vocabulary = json::parse(file_contents(kTiny + "/tokenizer.json"))["model"]["vocab"];
  // All that it answers are repetitions of one token. To a model that ends with this one, there is
  // nothing to say.
  const std::string said = "pag";
  ASSERT_TRUE(expected["answer"].get<std::string>().starts_with(said + said));
  const TempDir dir;
  const fs::path mute = link_to_model(
      kTiny, dir, [&](json &config) { config["tokenizer"]["eos_id"] = vocabulary.at(said); });
  for (const fs::path &model : {fs::path(kTiny), mute}) {
    std::vector<std::string> arguments = {"query",
                                          "--model",
                                          model,
                                          "--precision",
                                          "float32",
                                          "-q",
                                          expected["question"],
                                          "--reasoning",
                                          "--max-tokens",
                                          std::to_string(expected["max_tokens"].get<int>()),
                                          kPicture};
    const Finished whole = run_command(arguments);
    EXPECT_EQ(whole.status, 0) << whole.err;
    EXPECT_EQ(whole.out.ends_with("\n\n\n"), model == mute) << whole.out;
    arguments.push_back("--stream");
    EXPECT_EQ(run_command(arguments).out, whole.out);
  }
}

TEST(Query, IsAboutPlacesIfAsked) {
  const json expected = expected_results()["query.spatial"];
  std::vector<std::string> rest = {"-q", expected["question"], "--max-tokens", kSpatialTokens};
  for (const json &place : expected["spatial_refs"]) {
    std::string text;
    for (const json &number : place) text += (text.empty() ? "" : ",") + number.dump();
    rest.insert(rest.end(), {"--at", text});
  }
  rest.push_back(kPicture);
  EXPECT_EQ(run_command(on_tiny("query", rest)).out, expected["text"].get<std::string>() + "\n");
}

TEST(Query, NeedsNoPicture) {
  const json expected = json::parse(file_contents(kTiny + "/expected.json"))["text_only"];
  const auto tokens = std::to_string(expected["token_ids"].size());
  const std::vector<std::string> arguments =
      on_tiny("query", {"-q", expected["question"], "--max-tokens", tokens});
  EXPECT_EQ(run_command(arguments).out, expected["text"].get<std::string>() + "\n");
  std::vector<std::string> as_json = arguments;
  as_json.push_back("--json");
  EXPECT_TRUE(json_of(run_command(as_json))["image"].is_null());
}

TEST(Detect, FindsWhatTheReferenceFindsOfSeveralObjects) {
  const json expected = expected_results();
  const json got = json_of(run_command(on_tiny(
      "detect",
      {"--object", "face", "-O", "license plate", "--max-objects",
       std::to_string(expected["detect:face"]["max_objects"].get<int>()), "--json", kPicture})));
  const json &faces = expected["detect:face"]["objects"];
  const json &plates = expected["detect:license plate"]["objects"];
  ASSERT_EQ(got["objects"].size(), faces.size() + plates.size());
  ASSERT_GT(faces.size(), 0u);
  for (std::size_t i = 0; i < got["objects"].size(); ++i) {
    const bool is_face = i < faces.size();
    EXPECT_EQ(got["objects"][i]["label"], is_face ? "face" : "license plate");
    expect_box(got["objects"][i], is_face ? faces[i] : plates[i - faces.size()]);
    EXPECT_GE(got["objects"][i]["score"], 0.0);
    EXPECT_LE(got["objects"][i]["score"], 1.0);
  }
}

TEST(Detect, MaxObjectsAndTextAreAsAsked) {
  const Finished finished =
      run_command(on_tiny("detect", {"-O", "face", "--max-objects", "2", kPicture}));
  const json expected = expected_results()["detect:face"]["objects"];
  const auto lines = lines_of(finished.out);
  ASSERT_EQ(lines.size(), std::min<std::size_t>(2, expected.size())) << finished.out;
  char box[96];
  std::snprintf(box, sizeof box, " %.4f,%.4f %.4f,%.4f", inside(expected[0]["x_min"]),
                inside(expected[0]["y_min"]), inside(expected[0]["x_max"]),
                inside(expected[0]["y_max"]));
  EXPECT_TRUE(lines[0].starts_with("face ")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with(box)) << lines[0] << " has not" << box;
}

// A picture of the demo model's kind; the frame of the box is on its edges, and inside it is the
// picture.
TEST(Detect, TheOverlayHasTheBoxesOnTheirPixels) {
  const TempDir dir;
  const std::string path = (dir / "overlay.png").string();
  const json got = json_of(run_command(on_tiny(
      "detect", {"-O", "face", "--max-objects", "1", "--json", "--save-overlay", path, kPicture})));
  ASSERT_EQ(got["objects"].size(), 1u);
  const cv::Mat before = cv::imread(kPicture, cv::IMREAD_COLOR);
  const cv::Mat after = cv::imread(path, cv::IMREAD_COLOR);
  ASSERT_EQ(after.size(), before.size());
  const auto pixel = [](const json &fraction) {
    return static_cast<int>(std::lround(std::clamp(fraction.get<double>(), 0.0, 1.0) * 377));
  };
  const json &box = got["objects"][0];
  const int left = pixel(box["x_min"]), right = pixel(box["x_max"]);
  const int top = pixel(box["y_min"]), bottom = pixel(box["y_max"]);
  // The first colour of the palette, blue green red.
  const cv::Vec3b colour(66, 206, 66);
  for (const auto &[x, y] : {std::pair{left, bottom}, std::pair{right, bottom},
                             std::pair{(left + right) / 2, bottom}, std::pair{right, top}}) {
    EXPECT_EQ(after.at<cv::Vec3b>(y, x), colour) << x << ", " << y;
  }
  // Labels are at the top, lines four pixels wide.
  int changed = 0, outside = 0;
  for (int y = 0; y < 378; ++y) {
    for (int x = 0; x < 378; ++x) {
      if (after.at<cv::Vec3b>(y, x) == before.at<cv::Vec3b>(y, x)) continue;
      ++changed;
      outside += x > right + 3 && y > bottom + 3;
    }
  }
  EXPECT_GT(changed, 2 * (right - left));
  EXPECT_EQ(outside, 0);
}

TEST(Detect, AnOverlayThatCannotBeWrittenIsAnErrorThatNamesIt) {
  const Finished finished = run_command(
      on_tiny("detect", {"-O", "face", "--max-objects", "1", "-o", "/nowhere/o.png", kPicture}));
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.err.find("/nowhere/o.png"), std::string::npos) << finished.err;
  const Finished as_json = run_command(on_tiny(
      "detect", {"-O", "face", "--max-objects", "1", "-o", "/nowhere/o.png", "--json", kPicture}));
  ASSERT_EQ(lines_of(as_json.out).size(), 1u) << as_json.out;
  EXPECT_TRUE(json::parse(as_json.out).contains("error"));
}

TEST(Detect, LooksAtAGridOfParts) {
  const json got = json_of(run_command(on_tiny(
      "detect", {"-O", "face", "--max-objects", "1", "--grid", "2x1", "--json", kPicture})));
  EXPECT_GE(got["objects"].size(), 1u);
}

TEST(Point, FindsWhatTheReferenceFinds) {
  const json expected = expected_results()["point:face"];
  const json got = json_of(run_command(
      on_tiny("point", {"-O", "face", "--max-objects",
                        std::to_string(expected["max_objects"].get<int>()), "-j", kPicture})));
  ASSERT_EQ(got["points"].size(), expected["points"].size());
  for (std::size_t i = 0; i < got["points"].size(); ++i) {
    EXPECT_EQ(got["points"][i]["label"], "face");
    EXPECT_NEAR(got["points"][i]["x"], inside(expected["points"][i]["x"]), kExact);
    EXPECT_NEAR(got["points"][i]["y"], inside(expected["points"][i]["y"]), kExact);
  }
  EXPECT_TRUE(got["objects"].empty());
}

// The vectors have no gaze of this model.
TEST(Gaze, OfAnEyeBeginsThereAndMayBeForced) {
  const Finished text = run_command(on_tiny("gaze", {"--eye", "0.25,0.5", kPicture}));
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_TRUE(text.out.starts_with("0.2500,0.5000 -> ")) << text.out;
  const json got =
      json_of(run_command(on_tiny("gaze", {"--eye", "0.25,0.5", "--force", "--json", kPicture})));
  ASSERT_EQ(got["gaze"].size(), 1u);
  EXPECT_EQ(got["gaze"][0]["from"], (json{{"x", 0.25}, {"y", 0.5}}));
  for (const char *axis : {"x", "y"}) {
    EXPECT_GE(got["gaze"][0]["to"][axis], 0.0);
    EXPECT_LE(got["gaze"][0]["to"][axis], 1.0);
  }
}

// The demo model, whose gazes are not all the same.
TEST(Gaze, OfAFaceIsALineFromItsMiddleAndDrawnBySeed) {
  const auto gaze = [](const char *seed) {
    const Finished face = run_command(
        {"gaze", "--model", kDemo, "--face", "0.2,0.2,0.6,0.7", "--seed", seed, kPicture});
    EXPECT_EQ(face.status, 0) << face.err;
    return face.out;
  };
  const std::string first = gaze("3");
  ASSERT_EQ(lines_of(first).size(), 1u);
  EXPECT_TRUE(first.starts_with("0.4000,0.4500 -> ")) << first;
  EXPECT_EQ(gaze("3"), first);
  EXPECT_NE(gaze("4"), first);
}

TEST(Gaze, OfEveryFaceIsALine) {
  const json faces =
      json_of(run_command(on_tiny("detect", {"-O", "face", "--json", kPicture})))["objects"];
  const Finished gazes = run_command(on_tiny("gaze", {kPicture}));
  EXPECT_EQ(gazes.status, 0) << gazes.err;
  EXPECT_GT(faces.size(), 0u);
  EXPECT_EQ(lines_of(gazes.out).size(), faces.size());
}

TEST(Segment, IsForMoondream3) {
  const Finished old = run_command(on_tiny("segment", {"-O", "face", kPicture}));
  EXPECT_EQ(old.status, 1);
  EXPECT_NE(old.err.find(kPicture + ": "), std::string::npos) << old.err;
  // The vectors' model says nothing of outlines: with the words for boxes it draws something.
  const TempDir dir;
  const fs::path drawing = link_to_model(kGolden + "moondream3-tiny", dir, [](json &config) {
    json &templates =
        (config.contains("config") ? config["config"] : config)["tokenizer"]["templates"];
    templates["segment"] = templates["detect"];
  });
  const json got = json_of(run_command(
      {"segment", "-m", drawing.string(), "-O", "face", "--max-tokens", "12", "--json", kPicture}));
  const Finished none = run_command({"segment", "-m", drawing.string(), "-O", "face", "--refiner",
                                     "/nowhere/model.pt", kPicture});
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("/nowhere/model.pt"), std::string::npos) << none.err;
  EXPECT_EQ(got["image"], kPicture);
  for (const json &outline : got.value("outlines", json::array())) {
    EXPECT_EQ(outline["label"], "face");
    EXPECT_TRUE(outline["path"].is_string());
    EXPECT_FALSE(outline["refined"]);
  }
}

TEST(Ask, AVariantChangesTheAnswers) {
  const std::vector<std::string> rest = {"-O", "face", "--max-objects", "4", "--json", kPicture};
  const json plain = json_of(run_command(on_tiny("detect", rest)));
  std::vector<std::string> with = on_tiny("detect", rest);
  with.insert(with.end(), {"--lora", kTiny + "/lora-demo.pt"});
  const json varied = json_of(run_command(with));
  EXPECT_NE(plain["objects"], varied["objects"]);
  EXPECT_EQ(varied["model"], "moondream2-tiny+lora-demo.pt");
}

TEST(Ask, AModelThatIsNotThereIsAnErrorThatNamesIt) {
  const Finished finished = run_command({"caption", "--model", "/nowhere/model", kPicture});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.out, "");
  EXPECT_NE(finished.err.find("/nowhere/model"), std::string::npos) << finished.err;
}

TEST(Ask, AnUnknownDeviceIsAnError) {
  const Finished finished = run_command(on_tiny("caption", {"--device", "abacus", kPicture}));
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.err.find("abacus"), std::string::npos) << finished.err;
}

// A terminal of that many columns.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    const winsize size{24, columns, 0, 0};
    EXPECT_EQ(grantpt(master_) + unlockpt(master_) + ioctl(master_, TIOCSWINSZ, &size), 0);
    slave_ = open(ptsname(master_), O_RDWR | O_NOCTTY);
  }
  ~Terminal() { close(master_); }
  Terminal(const Terminal &) = delete;
  Terminal &operator=(const Terminal &) = delete;

  int fd() const { return slave_; }
  // All that was written to it, once nobody else has it.
  std::string text() {
    close(slave_);
    std::string text;
    char buffer[1000];
    for (ssize_t size; (size = read(master_, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(size));
    }
    return text;
  }

 private:
  const int master_;
  int slave_ = -1;
};

// What was shown line by line, each over the one before, without what erases.
std::vector<std::string> shown_on(Terminal &terminal, const std::vector<std::string> &arguments) {
  const Finished finished = Started(arguments, {}, -1, "/dev/null", terminal.fd()).wait();
  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.out.find('\r'), std::string::npos) << "progress is not a result";
  std::string text = terminal.text();
  EXPECT_TRUE(text.ends_with("\r\x1b[K")) << "the last line stays";
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line, '\r');) {
    if (line.ends_with("\x1b[K")) line.resize(line.size() - 3);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

TEST(Progress, OnATerminalSaysWhatTakesTime) {
  const std::vector<std::string> caption = on_tiny("caption", {"--max-tokens", "2", kPicture});
  {
    Terminal terminal(1000);
    EXPECT_EQ(shown_on(terminal, caption),
              (std::vector<std::string>{"Loading " + kTiny + " ...", "Looking ..."}));
  }
  {
    std::vector<std::string> streamed = caption;
    streamed.insert(streamed.end(), {"--stream", kPicture});
    Terminal terminal(1000);
    EXPECT_EQ(shown_on(terminal, streamed),
              (std::vector<std::string>{"Loading " + kTiny + " ...", "Picture 1 of 2: " + kPicture,
                                        "Picture 2 of 2: " + kPicture}));
  }
  {
    const TempDir dir;
    Terminal terminal(80);
    const std::vector<std::string> lines =
        shown_on(terminal, {"quantize", "--precision", "int4", kTiny, (dir / "out").string()});
    ASSERT_GT(lines.size(), 2u);
    EXPECT_EQ(lines.back(), "Quantizing: 100 %");
  }
}

// A line that wraps would stay.
TEST(Progress, IsCutToTheTerminalsWidth) {
  const TempDir dir;
  const std::string picture = (dir / "\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc.png").string();
  fs::create_symlink(fs::absolute(kPicture), picture);
  Terminal terminal(static_cast<unsigned short>(dir.path().string().size() + 20));
  const std::vector<std::string> lines =
      shown_on(terminal, on_tiny("caption", {"--max-tokens", "1", picture, picture}));
  ASSERT_EQ(lines.size(), 3u);
  // "Picture 1 of 2: " is 16 columns, the slash one; the cursor needs one.
  EXPECT_EQ(lines[1], "Picture 1 of 2: " + dir.path().string() + "/\u00e4\u00f6");
}

// As "moondream ... | head -1" does it.
TEST(Ask, AReaderThatIsGoneEndsItQuietly) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  Started command(on_tiny("caption", {"--max-tokens", "2", kPicture, kPicture}), {}, ends[1]);
  close(ends[1]);
  const Finished finished = command.wait();
  EXPECT_EQ(finished.status, 128 + SIGPIPE);
  EXPECT_EQ(finished.err, "");
}

// Once, and not for each picture.
TEST(Ask, AFullDiskIsAnErrorThatEndsIt) {
  for (const char *form : {"--max-tokens=2", "--json", "--stream"}) {
    const int full = open("/dev/full", O_WRONLY);
    if (full < 0) GTEST_SKIP() << "there is no /dev/full here";
    Started command(on_tiny("caption", {"--max-tokens", "2", form, kPicture, kPicture}), {}, full);
    close(full);
    const Finished finished = command.wait();
    EXPECT_EQ(finished.status, 1);
    EXPECT_NE(finished.err.find("standard output"), std::string::npos) << finished.err;
    EXPECT_EQ(lines_of(finished.err).size(), 1u) << form << ": " << finished.err;
  }
}

// It waits for a picture that does not come, and so is surely at work.
TEST(Ask, AnInterruptEndsItAtOnce) {
  const TempDir dir;
  const std::string fifo = (dir / "fifo").string();
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int writer = open(fifo.c_str(), O_RDWR);
  ASSERT_GE(writer, 0);
  Started command(on_tiny("caption", {"-"}), {}, -1, fifo);
  command.signal(SIGINT);
  EXPECT_EQ(command.wait().status, 128 + SIGINT);
  close(writer);
}

}  // namespace
}  // namespace moondream::test
