// The pages of caption, query, detect, point, gaze and segment.
#include <algorithm>
#include <climits>
#include <cmath>
#include <iterator>
#include <utility>

#include "ask.h"
#include "commands.h"
#include "model_options.h"

namespace moondream::cli {
namespace {

using Options = std::vector<Option>;
using Values = std::vector<std::string>;

// The state of one subcommand's command line.
struct Asked {
  Question question;
  CaptionLength length = CaptionLength::kNormal;
  Values questions, objects;
  bool reasoning = false, force = false;
  std::vector<std::variant<Point, Box>> places;
  std::vector<Point> eyes;
  std::vector<Box> faces;
};
using State = std::shared_ptr<Asked>;

void append(Options &options, Options more) {
  options.insert(options.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
}

Options output_options(const State &state, bool with_text, bool with_places) {
  Options options = {
      flag("json", 'j',
           "Prints one JSON object a line for each picture, with \"image\", \"width\", \"height\", "
           "\"model\", \"objects\", \"points\", \"gaze\", \"caption\" and \"answers\". One that "
           "failed has only \"image\" and \"error\".",
           state->question.json)};
  if (with_text) {
    options.push_back(
        flag("stream", 's', "Prints text while it is generated.", state->question.stream));
  }
  if (with_places) {
    options.push_back({"save-overlay", 'o', "PNG",
                       "Saves the picture with what was found drawn on it. For one picture.",
                       [state](const std::string &value) { state->question.overlay = value; }});
  }
  return options;
}

// Of a text that may be given several times.
Option texts_option(std::string name, char letter, std::string help, Values &values) {
  std::string shown = "--" + name;
  return {std::move(name), letter, "TEXT", std::move(help) + " May be given several times.",
          [shown = std::move(shown), &values](const std::string &value) {
            if (value.empty()) throw UsageError(shown + ": is empty");
            values.push_back(value);
          }};
}

Option seed_option(const State &state, std::string help) {
  return {"seed", 0, "N", std::move(help), [state](const std::string &value) {
            state->question.settings.seed =
                static_cast<std::uint64_t>(integer_between("seed", value, 0, LLONG_MAX));
          }};
}

Option max_tokens_option(const State &state, std::string help) {
  return {"max-tokens", 0, "N", std::move(help), [state](const std::string &value) {
            state->question.settings.max_tokens =
                static_cast<int>(integer_between("max-tokens", value, 1, INT_MAX));
          }};
}

Options text_options(const State &state) {
  GenerationSettings &settings = state->question.settings;
  return {
      max_tokens_option(state, "The most tokens of a text (768)."),
      {"temperature", 0, "T",
       "0: the likeliest token each time (the default); larger: more varied texts.",
       [&settings](const std::string &value) {
         settings.temperature = number_between("temperature", value, 0, HUGE_VAL);
       }},
      {"top-p", 0, "P",
       "Of the likeliest tokens, take those that have this probability together (0.3).",
       [&settings](const std::string &value) {
         settings.top_p = number_between("top-p", value, 0, 1);
         if (settings.top_p == 0) throw UsageError("--top-p: must be more than 0");
       }},
      seed_option(state, "Equal seeds give equal results (0)."),
  };
}

Options object_options(const State &state) {
  return {
      texts_option("object", 'O', "What to look for, such as \"red car\".", state->objects),
      {"max-objects", 0, "N", "The most finds of each object (50).",
       [state](const std::string &value) {
         state->question.settings.max_objects =
             static_cast<int>(integer_between("max-objects", value, 1, INT_MAX));
       }},
      flag("stop-at-duplicates", 0,
           "Ends where the model finds a thing in exactly the same place again, as it may do until "
           "--max-objects.",
           state->question.settings.stop_at_duplicates),
      {"grid", 0, "COLUMNSxROWS",
       "Looks at overlapping parts of the picture as well, up to 4x4, and joins what is found, for "
       "small objects (1x1). Each part takes as long as a picture.",
       [state](const std::string &value) {
         const std::size_t x = value.find('x');
         if (x == std::string::npos) {
           throw UsageError("--grid: \"" + value + "\" is not COLUMNSxROWS, such as 3x2");
         }
         state->question.grid = {
             static_cast<int>(integer_between("grid", value.substr(0, x), 1, Grid::kMaxSide)),
             static_cast<int>(integer_between("grid", value.substr(x + 1), 1, Grid::kMaxSide))};
       }},
  };
}

Point point_of(const std::string &option, const std::string &value) {
  const std::vector<double> at = fractions(option, value, 2);
  return {at[0], at[1]};
}

Box box_of(const std::string &option, const std::string &value) {
  const std::vector<double> at = fractions(option, value, 4);
  if (at[0] > at[2] || at[1] > at[3]) {
    throw UsageError("--" + option + ": \"" + value + "\" is not X_MIN,Y_MIN,X_MAX,Y_MAX");
  }
  return {at[0], at[1], at[2], at[3]};
}

// Checks what no single option can, and asks.
int run(const State &state, std::vector<Prompt> prompts, const Values &pictures,
        bool needs_picture = true) {
  Question &question = state->question;
  question.prompts = std::move(prompts);
  complete(question.spec);
  if (pictures.empty() && needs_picture) throw UsageError("no picture is named");
  if (!question.overlay.empty() && pictures.size() != 1) {
    throw UsageError("--save-overlay is for one picture, not " + std::to_string(pictures.size()));
  }
  if (question.json && question.stream) throw UsageError("--json and --stream exclude each other");
  if (question.stream && question.prompts.size() > 1) {
    throw UsageError("--stream is for one question, not " +
                     std::to_string(question.prompts.size()));
  }
  return ask(question, pictures);
}

Option at_option(const State &state) {
  return {
      "at", 0, "X,Y|X_MIN,Y_MIN,X_MAX,Y_MAX",
      "A point or a box that is meant. May be given several times.",
      [state](const std::string &value) {
        const auto commas = std::count(value.begin(), value.end(), ',');
        if (commas == 1) {
          state->places.emplace_back(point_of("at", value));
        } else if (commas == 3) {
          state->places.emplace_back(box_of("at", value));
        } else {
          throw UsageError("--at: \"" + value + "\" is neither X,Y nor X_MIN,Y_MIN,X_MAX,Y_MAX");
        }
      }};
}

Command caption_command() {
  const auto state = std::make_shared<Asked>();
  Page page{.name = "caption",
            .summary = "describes pictures",
            .operands = "IMAGE...",
            .description =
                "Prints a description of each picture. IMAGE is a file of any kind that "
                "OpenCV reads, or - for standard input.",
            .options = {{"length", 'l', "LENGTH", "short, normal (the default) or long.",
                         [state](const std::string &value) {
                           if (value == "short") {
                             state->length = CaptionLength::kShort;
                           } else if (value == "normal") {
                             state->length = CaptionLength::kNormal;
                           } else if (value == "long") {
                             state->length = CaptionLength::kLong;
                           } else {
                             throw UsageError("--length: \"" + value +
                                              "\" is none of short, normal and long");
                           }
                         }}},
            .examples =
                " moondream caption --model moondream2 --length short *.jpg\n"
                " curl -s https://example.org/a.jpg | moondream caption -m moondream2 -"};
  append(page.options, output_options(state, true, false));
  append(page.options, text_options(state));
  append(page.options, model_options(state->question.spec));
  return {std::move(page), [state](const Values &pictures) {
            return run(state, {CaptionPrompt{state->length}}, pictures);
          }};
}

Command query_command() {
  const auto state = std::make_shared<Asked>();
  Page page{
      .name = "query",
      .summary = "answers questions about pictures, or about none",
      .operands = "[IMAGE...]",
      .description =
          "Prints the answers to the questions about each picture; without pictures, of "
          "the questions alone.",
      .options = {texts_option("question", 'q', "What to ask.", state->questions),
                  flag("reasoning", 'r',
                       "Thinks before it answers; the thoughts are printed, too, and the places "
                       "that they speak of are in the JSON and on the overlay.",
                       state->reasoning),
                  at_option(state)},
      .examples =
          " moondream query -q \"How many people are there?\" street.jpg\n"
          " moondream query -q \"What is this?\" --at 0.5,0.25 --json desk.jpg"};
  append(page.options, output_options(state, true, true));
  append(page.options, text_options(state));
  append(page.options, model_options(state->question.spec));
  return {std::move(page), [state](const Values &pictures) {
            if (state->questions.empty()) throw UsageError("no --question is given");
            if (pictures.empty() && !state->places.empty()) {
              throw UsageError("--at is a place in a picture, and none is named");
            }
            std::vector<Prompt> prompts;
            for (const std::string &question : state->questions) {
              prompts.emplace_back(QueryPrompt{question, state->reasoning, state->places});
            }
            return run(state, std::move(prompts), pictures, false);
          }};
}

// Asks for each --object what `prompt_of` makes of it.
template <typename PromptOf>
int run_objects(const State &state, const Values &pictures, PromptOf prompt_of) {
  if (state->objects.empty()) throw UsageError("no --object is given");
  std::vector<Prompt> prompts;
  for (const std::string &object : state->objects) prompts.emplace_back(prompt_of(object));
  return run(state, std::move(prompts), pictures);
}

template <typename ObjectPrompt>
Command object_command(std::string name, std::string summary, std::string description,
                       std::string examples) {
  const auto state = std::make_shared<Asked>();
  Page page{.name = std::move(name),
            .summary = std::move(summary),
            .operands = "IMAGE...",
            .description = std::move(description),
            .options = object_options(state),
            .examples = std::move(examples)};
  append(page.options, output_options(state, false, true));
  append(page.options, model_options(state->question.spec));
  return {std::move(page), [state](const Values &pictures) {
            return run_objects(state, pictures,
                               [](const std::string &object) { return ObjectPrompt{object}; });
          }};
}

Command gaze_command() {
  const auto state = std::make_shared<Asked>();
  Page page{
      .name = "gaze",
      .summary = "says where people in pictures look",
      .operands = "IMAGE...",
      .description =
          "Prints a line \"X,Y -> X,Y\" from eyes to what they look at, or \"outside the "
          "picture\". Without --eye and --face, for each face that the model finds. JSON has only "
          "gazes that end in the picture.",
      .options =
          {{"eye", 0, "X,Y", "The place of a person's eyes. May be given several times.",
            [state](const std::string &value) { state->eyes.push_back(point_of("eye", value)); }},
           {"face", 0, "X_MIN,Y_MIN,X_MAX,Y_MAX",
            "The box of a face: the mean of twenty looks from points of it, half of them in "
            "the mirrored picture. Exacter than an eye, and slower. May be given several "
            "times.",
            [state](const std::string &value) { state->faces.push_back(box_of("face", value)); }},
           flag("force", 'f',
                "With --eye: answers even if the model thinks that the gaze leaves the "
                "picture.",
                state->force),
           seed_option(state, "Of the points of a face (0).")},
      .examples =
          " moondream gaze --save-overlay gaze.png portrait.jpg\n"
          " moondream gaze --face 0.4,0.1,0.6,0.4 portrait.jpg"};
  append(page.options, output_options(state, false, true));
  append(page.options, model_options(state->question.spec));
  return {std::move(page), [state](const Values &pictures) {
            std::vector<Prompt> prompts;
            for (const Point &eye : state->eyes) {
              prompts.emplace_back(GazePrompt{eye, state->force, std::nullopt});
            }
            for (const Box &face : state->faces) {
              prompts.emplace_back(GazePrompt{{}, false, face});
            }
            if (state->force && state->eyes.empty()) throw UsageError("--force needs an --eye");
            if (prompts.empty()) prompts.emplace_back(FaceGazePrompt{});
            return run(state, std::move(prompts), pictures);
          }};
}

Command segment_command() {
  const auto state = std::make_shared<Asked>();
  Page page{
      .name = "segment",
      .summary = "draws outlines of objects in pictures (Moondream 3)",
      .operands = "IMAGE...",
      .description =
          "Prints a line \"OBJECT X_MIN,Y_MIN X_MAX,Y_MAX PATH\" for each object that is "
          "found. PATH is data of an SVG path in fractions of the box. JSON has them in "
          "\"outlines\", and in \"refined\" whether --refiner made the path from the picture. The "
          "overlay tints what the outline encloses and has its edge and its box.",
      .options = {texts_option("object", 'O', "What to outline, such as \"red car\".",
                               state->objects),
                  at_option(state),
                  {"refiner", 0, "PATH",
                   "The file of SegHeadRefiner, or its directory: outlines are refined with "
                   "it.",
                   [state](const std::string &value) { state->question.spec.refiner = value; }},
                  max_tokens_option(state, "The most tokens of an outline (768).")},
      .examples = " moondream segment -O \"left hand\" --save-overlay hand.png portrait.jpg"};
  append(page.options, output_options(state, false, true));
  append(page.options, model_options(state->question.spec));
  return {std::move(page), [state](const Values &pictures) {
            return run_objects(state, pictures, [&](const std::string &object) {
              return SegmentPrompt{object, state->places};
            });
          }};
}

}  // namespace

std::vector<Command> ask_commands() {
  std::vector<Command> commands;
  commands.push_back(caption_command());
  commands.push_back(query_command());
  commands.push_back(object_command<DetectPrompt>(
      "detect", "finds objects in pictures, as boxes",
      "Prints a line \"OBJECT SCORE X_MIN,Y_MIN X_MAX,Y_MAX\" for each find.",
      " moondream detect -O face -O \"license plate\" -o boxes.png street.jpg\n"
      " moondream detect -O bird --grid 3x2 --json sky.jpg"));
  commands.push_back(
      object_command<PointPrompt>("point", "finds objects in pictures, as points",
                                  "Prints a line \"OBJECT SCORE X,Y\" for each find.",
                                  " moondream point -O \"door handle\" house.jpg"));
  commands.push_back(gaze_command());
  commands.push_back(segment_command());
  return commands;
}

}  // namespace moondream::cli
