// Command lines, right and wrong, and what every command has.
#include <ostream>

#include "models.h"

namespace moondream::test {
namespace {

const std::string kCommands[] = {"caption", "query",   "detect",   "point", "gaze",
                                 "segment", "inspect", "quantize", "bench"};

TEST(Usage, HelpListsEveryCommandAndStandsOnStandardOutput) {
  for (const char *word : {"--help", "-h", "help"}) {
    const Finished help = run_command({word});
    EXPECT_EQ(help.status, 0) << help.err;
    EXPECT_EQ(help.err, "");
    for (const std::string &command : kCommands) {
      EXPECT_NE(help.out.find("\n       " + command + " "), std::string::npos) << command;
    }
  }
}

TEST(Usage, EveryCommandHasAPageOfItsOwn) {
  for (const std::string &command : kCommands) {
    const Finished help = run_command({command, "--help"});
    EXPECT_EQ(help.status, 0) << help.err;
    for (const char *section :
         {"NAME\n", "SYNOPSIS\n", "DESCRIPTION\n", "OPTIONS\n", "EXIT STATUS\n", "EXAMPLES\n"}) {
      EXPECT_NE(help.out.find(section), std::string::npos) << command << " lacks " << section;
    }
    EXPECT_NE(help.out.find("moondream " + command + " - "), std::string::npos) << command;
    for (const std::string &line : lines_of(help.out)) {
      EXPECT_LE(line.size(), 80u) << command << ": " << line;
    }
  }
}

TEST(Usage, HelpOnACommandIsItsPage) {
  const Finished page = run_command({"help", "detect"});
  EXPECT_EQ(page.status, 0) << page.err;
  EXPECT_EQ(page.out, run_command({"detect", "--help"}).out);
  EXPECT_EQ(run_command({"help", "describe"}).status, 2);
}

// Outlines are greedy: there is nothing to draw lots for.
TEST(Usage, SegmentHasOnlyTheOptionsThatChangeAnOutline) {
  const std::string page = run_command({"segment", "--help"}).out;
  EXPECT_NE(page.find("--max-tokens"), std::string::npos);
  for (const char *option : {"--temperature", "--top-p", "--seed"}) {
    EXPECT_EQ(page.find(option), std::string::npos) << option;
    EXPECT_EQ(run_command({"segment", option, "1", "a.png"}).status, 2) << option;
  }
}

TEST(Usage, VersionIsPrinted) {
  const Finished version = run_command({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_TRUE(version.out.starts_with("moondream 0.")) << version.out;
}

struct WrongLine {
  const char *name;
  std::vector<std::string> arguments;
  const char *says;
};

std::ostream &operator<<(std::ostream &out, const WrongLine &line) { return out << line.name; }

class WrongUsage : public testing::TestWithParam<WrongLine> {};

TEST_P(WrongUsage, IsExplainedOnStandardErrorAndExitsWithTwo) {
  const Finished finished = run_command(GetParam().arguments);
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_NE(finished.err.find(GetParam().says), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find("--help"), std::string::npos) << finished.err;
}

const WrongLine kWrongLines[] = {
    {"Nothing", {}, "no command"},
    {"UnknownCommand", {"describe"}, "\"describe\""},
    {"UnknownOption", {"caption", "--sparkle", "a.png"}, "unknown option --sparkle"},
    {"UnknownLetter", {"caption", "-Z", "a.png"}, "unknown option -Z"},
    {"OptionWithoutValue", {"caption", "a.png", "--model"}, "--model needs a value"},
    {"FlagWithValue", {"caption", "--json=yes", "a.png"}, "--json takes no value"},
    {"NoModel", {"caption", "a.png"}, "MOONDREAM_MODEL"},
    {"NoPicture", {"caption", "--model", "m"}, "no picture"},
    {"Length", {"caption", "--length", "tall", "a.png"}, "\"tall\""},
    {"MaxTokensZero", {"caption", "--max-tokens", "0", "a.png"}, "--max-tokens"},
    {"MaxTokensText", {"caption", "--max-tokens", "4x", "a.png"}, "\"4x\""},
    {"TemperatureNegative", {"caption", "--temperature", "-1", "a.png"}, "--temperature"},
    {"TemperatureInfinite", {"caption", "--temperature", "inf", "a.png"}, "of at least 0\n"},
    {"TopP", {"caption", "--top-p", "1.5", "a.png"}, "\"1.5\" is not a number from 0 to 1\n"},
    {"TopPNoNumber", {"caption", "--top-p", "nan", "a.png"}, "--top-p"},
    {"TopPZero", {"caption", "--top-p", "0", "a.png"}, "more than 0"},
    {"SeedNegative", {"caption", "--seed", "-2", "a.png"}, "--seed"},
    {"Precision", {"caption", "--precision", "fp64", "a.png"}, "\"fp64\""},
    {"NoQuestion", {"query", "--model", "m", "a.png"}, "no --question"},
    {"EmptyQuestion", {"query", "-q", "", "a.png"}, "--question: is empty"},
    {"AtWithoutPicture", {"query", "-m", "m", "-q", "x", "--at", "0.5,0.5"}, "--at is a place"},
    {"At", {"query", "-q", "x", "--at", "0.5", "a.png"}, "neither X,Y nor"},
    {"AtOfThree", {"segment", "-O", "x", "--at", "0.1,0.2,0.3", "a.png"}, "neither X,Y nor"},
    {"AtOutside", {"query", "-q", "x", "--at", "0.5,2", "a.png"}, "--at"},
    {"JsonAndStream", {"caption", "-m", "m", "--json", "--stream", "a.png"}, "exclude each other"},
    {"StreamOfTwo", {"query", "-m", "m", "-q", "a", "-q", "b", "-s", "a.png"}, "one question"},
    {"NoObject", {"detect", "--model", "m", "a.png"}, "no --object"},
    {"EmptyObject", {"detect", "--object=", "a.png"}, "--object: is empty"},
    {"Grid", {"detect", "-O", "x", "--grid", "9x1", "a.png"}, "--grid"},
    {"GridWithoutX", {"point", "-O", "x", "--grid", "3", "a.png"}, "COLUMNSxROWS"},
    {"OverlayOfTwo",
     {"detect", "-m", "m", "-O", "x", "-o", "o.png", "a.png", "b.png"},
     "one picture"},
    {"FaceReversed", {"gaze", "--face", "0.5,0.5,0.1,0.9", "a.png"}, "--face"},
    {"ForceWithoutEye", {"gaze", "-m", "m", "--force", "a.png"}, "--eye"},
    {"NoOutlinedObject", {"segment", "--model", "m", "a.png"}, "no --object"},
    {"InspectNothing", {"inspect"}, "no model"},
    {"QuantizeOne", {"quantize", "--precision", "int8", "in"}, "IN and OUT"},
    {"QuantizeNoPrecision", {"quantize", "in", "out"}, "--precision"},
    {"QuantizePrecision", {"quantize", "--precision", "bfloat16", "in", "out"}, "\"bfloat16\""},
    {"BenchTwoPictures", {"bench", "-m", "m", "a.png", "b.png"}, "more than one"},
    {"BenchRepetitions", {"bench", "-n", "0"}, "--repetitions"},
};

INSTANTIATE_TEST_SUITE_P(Lines, WrongUsage, testing::ValuesIn(kWrongLines),
                         [](const auto &test) { return test.param.name; });

}  // namespace
}  // namespace moondream::test
