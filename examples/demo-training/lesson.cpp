#include "lesson.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "dice.h"

namespace scenes {
namespace {

using Selection = std::vector<const Thing *>;  // from left to right

// Words that nothing in any picture goes by.
constexpr std::array<const char *, 24> kStrangers = {
    "dog",   "cat",   "car",    "tree",  "house",   "cup",    "chair",           "bird",
    "apple", "boat",  "bottle", "phone", "bicycle", "flower", "train",           "horse",
    "book",  "clock", "shoe",   "plane", "ring",    "arrow",  "triangular flag", "traffic light"};

constexpr std::array<const char *, 8> kKinds = {"circle",  "square", "triangle", "star",
                                                "diamond", "cross",  "face",     "license plate"};

bool is_shape(const std::string &kind) { return kind != "face" && kind != "license plate"; }

std::string plural(const std::string &noun) {
  return noun + (noun.ends_with("cross") ? "es" : "s");
}

std::string with_article(const std::string &noun) {
  return (std::string("aeiou").find(noun[0]) != std::string::npos ? "an " : "a ") + noun;
}

std::string capitalised(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string number(std::size_t count) {
  constexpr std::array<const char *, 11> words = {"no",  "one",   "two",   "three", "four", "five",
                                                  "six", "seven", "eight", "nine",  "ten"};
  return count < words.size() ? words[count] : std::to_string(count);
}

// "a", "a and b", "a, b and c".
std::string listed(const std::vector<std::string> &parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? " and " : ", ";
    text += parts[i];
  }
  return text;
}

std::string place_of(const moondream::Point &point) {
  const int column = static_cast<int>(std::clamp(point.x * 3, 0.0, 2.0));
  const int row = static_cast<int>(std::clamp(point.y * 3, 0.0, 2.0));
  constexpr std::array<const char *, 9> names = {"top left",    "top",    "top right",
                                                 "left",        "center", "right",
                                                 "bottom left", "bottom", "bottom right"};
  return names[static_cast<std::size_t>(3 * row + column)];
}

std::string at_place(const std::string &place) {
  return (place == "center" || place == "left" || place == "right" ? "in the " : "at the ") +
         place + (place == "left" || place == "right" ? " part" : "");
}

Selection all_of(const Picture &picture) {
  Selection things;
  for (const Thing &thing : picture.things) things.push_back(&thing);
  std::stable_sort(things.begin(), things.end(),
                   [](const Thing *a, const Thing *b) { return a->center().x < b->center().x; });
  return things;
}

template <typename Predicate>
Selection those(const Selection &things, Predicate predicate) {
  Selection chosen;
  std::copy_if(things.begin(), things.end(), std::back_inserter(chosen),
               [&](const Thing *thing) { return predicate(*thing); });
  return chosen;
}

std::vector<moondream::Box> boxes_of(const Selection &things) {
  std::vector<moondream::Box> boxes;
  for (const Thing *thing : things) boxes.push_back(thing->box);
  return boxes;
}

// Something to ask for, and what goes by that name.
struct Subject {
  std::string name, plural_name;
  Selection things;
};

class Teacher {
 public:
  Teacher(const Picture &picture, std::uint64_t seed) : dice_(seed), things_(all_of(picture)) {}

  std::vector<Lesson> lessons() {
    objects();
    counts();
    existence();
    colors_and_places();
    captions();
    gazes();
    return std::move(lessons_);
  }

 private:
  Subject by_kind(const std::string &kind) {
    const std::string name = kind == "circle" && dice_.chance(0.3)          ? "ball"
                             : kind == "license plate" && dice_.chance(0.2) ? "plate"
                                                                            : kind;
    return {name, plural(name), those(things_, [&](const Thing &t) { return t.kind == kind; })};
  }

  Subject by_color(Color color) {
    const std::string name =
        std::string(to_string(color)) + (dice_.chance(0.5) ? " shape" : " object");
    return {name, plural(name), those(things_, [&](const Thing &t) { return t.color == color; })};
  }

  Subject by_label(const std::string &kind, Color color) {
    Subject subject = by_kind(kind);
    subject.name = std::string(to_string(color)) + ' ' + subject.name;
    subject.plural_name = std::string(to_string(color)) + ' ' + subject.plural_name;
    std::erase_if(subject.things, [&](const Thing *t) { return t->color != color; });
    return subject;
  }

  Subject any_shape() {
    return {"shape", "shapes", those(things_, [](const Thing &t) { return t.color.has_value(); })};
  }

  Subject of(const Thing &thing) {
    const double way = dice_.between(0, 1);
    if (!thing.color || way < 0.3) return by_kind(thing.kind);
    if (way < 0.45) return by_color(*thing.color);
    if (way < 0.5) return any_shape();
    return by_label(thing.kind, *thing.color);
  }

  Subject random_subject() {
    const double way = dice_.between(0, 1);
    if (way < 0.12) {
      const std::string name = dice_.one_of(kStrangers);
      return {name, plural(name), {}};
    }
    const std::string kind = dice_.one_of(kKinds);
    if (way < 0.4 || !is_shape(kind)) return by_kind(kind);
    const auto color = static_cast<Color>(dice_.below(kColorCount));
    return way < 0.55 ? by_color(color) : by_label(kind, color);
  }

  // Nothing of it is there, but often something of its kind or of its colour is.
  Subject absent_subject() {
    for (int attempt = 0; attempt < 20; ++attempt) {
      Subject subject = random_subject();
      if (dice_.chance(0.5) && !things_.empty()) {
        const Thing &near = *dice_.one_of(things_);
        if (near.color) {
          subject = dice_.chance(0.5)
                        ? by_label(near.kind, static_cast<Color>(dice_.below(kColorCount)))
                        : by_label(kKinds[static_cast<std::size_t>(dice_.below(kShapeCount))],
                                   *near.color);
        }
      }
      if (subject.things.empty()) return subject;
    }
    return {"dog", "dogs", {}};
  }

  void add(Skill skill, const Subject &subject) {
    lessons_.push_back({.skill = skill, .prompt = subject.name, .boxes = boxes_of(subject.things)});
  }

  void ask(Topic topic, const std::string &question, const std::string &answer) {
    lessons_.push_back(
        {.skill = Skill::kQuery, .topic = topic, .prompt = question, .answer = answer});
  }

  // No two lessons of the same skill ask for the same.
  void objects() {
    for (const Skill skill : {Skill::kDetect, Skill::kPoint}) {
      const int most = skill == Skill::kDetect ? 5 : 2;
      std::set<std::string> names;
      for (int i = 0; i < most && !things_.empty(); ++i) {
        const Subject subject = of(*dice_.one_of(things_));
        if (names.insert(subject.name).second) add(skill, subject);
      }
      for (int i = 0; i < (skill == Skill::kDetect ? 3 : 1); ++i) {
        const Subject subject = absent_subject();
        if (names.insert(subject.name).second) add(skill, subject);
      }
    }
  }

  Subject any_subject() {
    if (!things_.empty() && dice_.chance(0.7)) return of(*dice_.one_of(things_));
    return random_subject();
  }

  void counts() {
    for (int i = 0; i < 3; ++i) {
      const Subject subject = any_subject();
      const std::string question = "How many " + subject.plural_name + " are there?";
      const std::string count = std::to_string(subject.things.size());
      if (i < 2) {
        ask(Topic::kCount, question, count);
      } else {
        lessons_.push_back({.skill = Skill::kReason,
                            .topic = Topic::kCount,
                            .prompt = question,
                            .answer = count,
                            .boxes = boxes_of(subject.things),
                            .thought = subject.plural_name});
      }
    }
  }

  void existence() {
    for (int i = 0; i < 4; ++i) {
      const bool there = i % 2 == 0 && !things_.empty();
      const Subject subject = there ? of(*dice_.one_of(things_)) : absent_subject();
      const std::string noun = with_article(subject.name);
      const int form = dice_.below(3);
      ask(Topic::kExistence,
          form == 0   ? "Is there " + noun + "?"
          : form == 1 ? "Does the picture show " + noun + "?"
                      : "Is " + noun + " visible?",
          subject.things.empty() ? "No" : "Yes");
    }
  }

  void colors_and_places() {
    std::map<std::string, int> kinds, labels;
    for (const Thing *thing : things_) {
      ++kinds[thing->kind];
      ++labels[thing->label()];
    }
    for (const Thing *thing : things_) {
      if (thing->color && kinds[thing->kind] == 1 && dice_.chance(0.6)) {
        ask(Topic::kColor, "What color is the " + thing->kind + "?",
            capitalised(to_string(*thing->color)));
      }
      if (labels[thing->label()] == 1 && dice_.chance(0.4)) {
        ask(Topic::kPlace, "Where is the " + thing->label() + "?",
            capitalised(place_of(thing->center())));
      }
    }
  }

  void captions() {
    const int length = dice_.below(3);
    const char *const name = length == 0 ? "short" : length == 1 ? "normal" : "long";
    std::vector<std::string> parts;
    if (length == 0) {
      // By kind, in the order of the first of each.
      std::vector<std::pair<std::string, std::size_t>> groups;
      for (const Thing *thing : things_) {
        const auto group = std::find_if(groups.begin(), groups.end(),
                                        [&](const auto &g) { return g.first == thing->kind; });
        if (group == groups.end()) {
          groups.emplace_back(thing->kind, 1);
        } else {
          ++group->second;
        }
      }
      for (const auto &[kind, count] : groups) {
        parts.push_back(count == 1 ? with_article(kind) : number(count) + ' ' + plural(kind));
      }
    } else {
      for (const Thing *thing : things_) {
        parts.push_back(with_article(thing->label()) +
                        (length == 2 ? ' ' + at_place(place_of(thing->center())) : ""));
      }
    }
    const std::string text = parts.empty() ? "An empty picture." : capitalised(listed(parts)) + '.';
    lessons_.push_back({.skill = Skill::kCaption, .prompt = name, .answer = text});
  }

  void gazes() {
    for (const Thing *thing : things_) {
      if (thing->kind != "face") continue;
      // From somewhere in the face, as who asks does not know better.
      const auto inside = [&](double low, double high, double middle) {
        return dice_.chance(0.5) ? middle : low + (high - low) * dice_.between(0.25, 0.75);
      };
      Lesson lesson{.skill = Skill::kGaze};
      lesson.eye = {
          std::clamp(inside(thing->box.x_min, thing->box.x_max, thing->eyes.x), 0.0, 1.0),
          std::clamp(inside(thing->box.y_min, thing->box.y_max, thing->eyes.y), 0.0, 1.0)};
      if (thing->gaze) lesson.gaze = {*thing->gaze};
      lessons_.push_back(std::move(lesson));
    }
  }

  Dice dice_;
  const Selection things_;
  std::vector<Lesson> lessons_;
};

}  // namespace

const char *to_string(Skill skill) {
  constexpr std::array<const char *, 6> names = {"detect", "point",  "caption",
                                                 "query",  "reason", "gaze"};
  return names.at(static_cast<std::size_t>(skill));
}

std::vector<Lesson> make_lessons(const Picture &picture, std::uint64_t seed) {
  return Teacher(picture, seed).lessons();
}

std::vector<std::string> all_texts() {
  std::vector<std::string> texts;
  // Lessons of enough pictures have all there is; the sizes of the pictures do not matter.
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    for (const Lesson &lesson : make_lessons(random_picture(seed, {.size = {64, 36}}), seed)) {
      if (lesson.skill != Skill::kCaption) texts.push_back(lesson.prompt);
      if (!lesson.answer.empty()) texts.push_back(lesson.answer);
    }
  }
  return texts;
}

nlohmann::json to_json(const Lesson &lesson) {
  nlohmann::json json = {{"skill", to_string(lesson.skill)}};
  if (!lesson.prompt.empty()) json["prompt"] = lesson.prompt;
  if (!lesson.answer.empty()) json["answer"] = lesson.answer;
  if (!lesson.thought.empty()) json["thought"] = lesson.thought;
  if (lesson.skill == Skill::kGaze) {
    json["eye"] = {lesson.eye.x, lesson.eye.y};
    json["gaze"] = nlohmann::json::array();
    for (const auto &point : lesson.gaze) json["gaze"].push_back({point.x, point.y});
  } else if (lesson.skill != Skill::kCaption && lesson.skill != Skill::kQuery) {
    json["boxes"] = nlohmann::json::array();
    for (const auto &box : lesson.boxes) {
      json["boxes"].push_back({box.x_min, box.y_min, box.x_max, box.y_max});
    }
  }
  return json;
}

}  // namespace scenes
