#include "moderation_rules.h"

#include <algorithm>
#include <array>

#include "pointers.h"

namespace moondream::moderation {
namespace {

std::string_view trim(std::string_view text) {
  constexpr const char *kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// For comparisons without regard to case and to how letters are composed.
std::string folded(std::string_view text) {
  const TextPtr valid(g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
  const TextPtr normal(g_utf8_normalize(valid.get(), -1, G_NORMALIZE_ALL));
  return TextPtr(g_utf8_casefold(normal.get(), -1)).get();
}

bool same(std::string_view a, std::string_view b) { return folded(trim(a)) == folded(trim(b)); }

// The words of a text, each with a space behind it.
std::string words_of(std::string_view text) {
  std::string words;
  const std::string source = folded(text);
  for (const char *at = source.c_str(); *at; at = g_utf8_next_char(at)) {
    const gunichar letter = g_utf8_get_char(at);
    if (g_unichar_isalnum(letter) || g_unichar_ismark(letter)) {
      words.append(at, static_cast<const char *>(g_utf8_next_char(at)));
    } else if (letter != '\'' && !words.empty() && words.back() != ' ') {
      words += ' ';
    }
  }
  if (!words.empty() && words.back() != ' ') words += ' ';
  return words;
}

bool is_stale(const FrameAnalysis &analysis, GstClockTime max_age) {
  // An unknown age is the largest number.
  return analysis.status != AnalysisStatus::kFresh && GST_CLOCK_TIME_IS_VALID(max_age) &&
         analysis.age > max_age;
}

// Why a result says nothing; empty: it does.
std::string why_unknown(const std::optional<FrameAnalysis> &analysis, GstClockTime max_age) {
  if (!analysis) return "no-result";
  if (analysis->status == AnalysisStatus::kPending || analysis->status == AnalysisStatus::kFailed)
    return to_string(analysis->status);
  return is_stale(*analysis, max_age) ? "too-old" : "";
}

// Returns whether the rule's question was answered at all.
bool apply(const AnswerRule &rule, const FrameAnalysis &analysis, std::vector<Trigger> &triggers) {
  bool answered = false;
  for (const AnalysisAnswer &given : analysis.answers) {
    if (!rule.question.empty() && !same(rule.question, given.question)) continue;
    answered = true;
    const bool stops = std::any_of(
        rule.answers.begin(), rule.answers.end(),
        [&](const std::string &stop) { return answer_begins_with(given.answer, stop); });
    if (stops) merge(triggers, {{Trigger::Kind::kAnswer, given.question, given.answer}});
  }
  return answered;
}

std::string text_of(const GValue *value) {
  const char *text = value && G_VALUE_HOLDS_STRING(value) ? g_value_get_string(value) : nullptr;
  if (!text || trim(text).empty())
    throw Error(ErrorKind::kSettings, "A question or answer of stop-rules is not a text.");
  return std::string(trim(text));
}

void add_answers(const GValue *value, std::vector<std::string> &answers) {
  if (value && G_VALUE_HOLDS_BOOLEAN(value)) {
    // What GStreamer makes of a yes or no without quotes.
    for (const char *word :
         g_value_get_boolean(value) ? std::array{"yes", "true"} : std::array{"no", "false"})
      answers.emplace_back(word);
  } else {
    answers.push_back(text_of(value));
  }
}

AnswerRule parse_answer_rule(const GstStructure *structure) {
  AnswerRule rule;
  if (gst_structure_has_field(structure, "question"))
    rule.question = text_of(gst_structure_get_value(structure, "question"));
  const GValue *answers = gst_structure_get_value(structure, "answers");
  if (answers && GST_VALUE_HOLDS_ARRAY(answers)) {
    for (guint i = 0; i < gst_value_array_get_size(answers); ++i)
      add_answers(gst_value_array_get_value(answers, i), rule.answers);
  } else {
    add_answers(answers, rule.answers);
  }
  if (rule.answers.empty())
    throw Error(ErrorKind::kSettings, "A rule of stop-rules has no answers.");
  return rule;
}

void append_text(GValue *array, const std::string &text) {
  GValue value = G_VALUE_INIT;
  g_value_init(&value, G_TYPE_STRING);
  g_value_set_string(&value, text.c_str());
  gst_value_array_append_and_take_value(array, &value);
}

}  // namespace

std::vector<AnswerRule> parse_answer_rules(const GValue *array) {
  std::vector<AnswerRule> rules;
  for (guint i = 0; i < gst_value_array_get_size(array); ++i) {
    const GValue *value = gst_value_array_get_value(array, i);
    const GstStructure *structure =
        GST_VALUE_HOLDS_STRUCTURE(value) ? gst_value_get_structure(value) : nullptr;
    if (!structure)
      throw Error(ErrorKind::kSettings, "stop-rules holds something that is not a structure.");
    rules.push_back(parse_answer_rule(structure));
  }
  return rules;
}

void write_answer_rules(const std::vector<AnswerRule> &rules, GValue *array) {
  for (const AnswerRule &rule : rules) {
    GstStructure *structure = gst_structure_new_empty("rule");
    if (!rule.question.empty())
      gst_structure_set(structure, "question", G_TYPE_STRING, rule.question.c_str(), nullptr);
    GValue answers = G_VALUE_INIT;
    g_value_init(&answers, GST_TYPE_ARRAY);
    for (const std::string &answer : rule.answers) append_text(&answers, answer);
    gst_structure_take_value(structure, "answers", &answers);
    GValue value = G_VALUE_INIT;
    g_value_init(&value, GST_TYPE_STRUCTURE);
    g_value_take_boxed(&value, structure);
    gst_value_array_append_and_take_value(array, &value);
  }
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view item = trim(list.substr(0, end));
    if (!item.empty()) items.emplace_back(item);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return items;
}

bool answer_begins_with(std::string_view answer, std::string_view stop) {
  const std::string words = words_of(stop);
  return !words.empty() && words_of(answer).starts_with(words);
}

Verdict judge(const std::optional<FrameAnalysis> &analysis, const Rules &rules) {
  Verdict verdict;
  verdict.reason = why_unknown(analysis, rules.max_age);
  if (analysis) verdict.serial = analysis->serial;
  if (!verdict.reason.empty()) return verdict;

  const auto is_stopped = [&](const std::string &label, double score) {
    return score >= rules.min_score &&
           std::any_of(rules.labels.begin(), rules.labels.end(),
                       [&](const std::string &stopped) { return same(stopped, label); });
  };
  for (const AnalysisObject &object : analysis->objects) {
    if (is_stopped(object.label, object.score))
      merge(verdict.triggers, {{Trigger::Kind::kObject, object.label, "", object.score}});
  }
  for (const AnalysisPoint &point : analysis->points) {
    if (is_stopped(point.label, point.score))
      merge(verdict.triggers, {{Trigger::Kind::kPoint, point.label, "", point.score}});
  }
  bool answered = true;
  for (const AnswerRule &rule : rules.answers)
    answered = apply(rule, *analysis, verdict.triggers) && answered;

  if (!verdict.triggers.empty()) {
    verdict.kind = Verdict::Kind::kStop;
  } else if (answered) {
    verdict.kind = Verdict::Kind::kClean;
  } else {
    verdict.reason = "unanswered";
  }
  return verdict;
}

void merge(std::vector<Trigger> &all, const std::vector<Trigger> &more) {
  for (const Trigger &trigger : more) {
    const auto known = std::find_if(all.begin(), all.end(), [&](const Trigger &other) {
      return other.kind == trigger.kind && other.subject == trigger.subject;
    });
    if (known == all.end()) {
      all.push_back(trigger);
    } else {
      known->score = std::max(known->score, trigger.score);
    }
  }
}

}  // namespace moondream::moderation
