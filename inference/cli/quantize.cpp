// `moondream quantize`: weights of 8 or 4 bits, written down.
#include <semaphore.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "commands.h"
#include "device.h"
#include "model_options.h"
#include "output.h"
#include "quantize_model.h"
#include "result_json.h"

namespace moondream::cli {
namespace {

using Json = nlohmann::ordered_json;

// Posted by the handler, which may do little else.
sem_t signalled;

// Ctrl-C and its like as a stop token, while it lives: what was begun is to be taken away. By a
// handler, as libraries have threads that nobody can keep signals from. There is one at a time.
class StopOnSignal {
 public:
  StopOnSignal() {
    sem_init(&signalled, 0, 0);
    waiter_ = std::thread([this] {
      while (sem_wait(&signalled) != 0) {
      }
      if (!done_) source_.request_stop();
    });
    struct sigaction action {};
    action.sa_handler = [](int) { sem_post(&signalled); };
    action.sa_flags = SA_RESTART;
    for (std::size_t i = 0; i < std::size(kSignals); ++i) {
      sigaction(kSignals[i], nullptr, &before_[i]);
      // What whoever started this has it ignore stays ignored.
      if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
    }
  }
  ~StopOnSignal() {
    for (std::size_t i = 0; i < std::size(kSignals); ++i) {
      sigaction(kSignals[i], &before_[i], nullptr);
    }
    done_ = true;
    sem_post(&signalled);
    waiter_.join();
  }
  StopOnSignal(const StopOnSignal &) = delete;
  StopOnSignal &operator=(const StopOnSignal &) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

  struct sigaction before_[std::size(kSignals)]{};
  std::stop_source source_;
  std::atomic<bool> done_ = false;
  std::thread waiter_;
};

Json error_json(const WeightError &error) {
  Json json;
  if (!error.name.empty()) json["name"] = error.name;
  json["format"] = error.format;
  json["numbers"] = error.count;
  json["relative_rms_error"] = error.relative_rms;
  json["largest_error"] = error.largest;
  return json;
}

Json report_json(const QuantizationReport &report) {
  Json weights = Json::array();
  for (const WeightError &weight : report.weights) weights.push_back(error_json(weight));
  return {{"bytes_before", report.bytes_before},
          {"bytes_after", report.bytes_after},
          {"total", error_json(report.total)},
          {"weights", std::move(weights)}};
}

std::string report_text(const QuantizationReport &report) {
  std::string text = "relative RMS error  largest error  weight\n";
  const auto line = [&](const WeightError &error, const std::string &name) {
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, "%18.6f  %13.6f  ", error.relative_rms, error.largest);
    text += numbers + name + "\n";
  };
  for (const WeightError &weight : report.weights) line(weight, weight.name + " " + weight.format);
  line(report.total, "all");
  char sizes[128];
  std::snprintf(sizes, sizeof sizes, "%.2f MB -> %.2f MB\n",
                static_cast<double>(report.bytes_before) / 1e6,
                static_cast<double>(report.bytes_after) / 1e6);
  return text + sizes;
}

}  // namespace

Command quantize_command() {
  struct State {
    QuantizationJob job;
    bool json = false, has_precision = false;
  };
  const auto state = std::make_shared<State>();
  Page page{
      .name = "quantize",
      .summary = "writes a model with weights of 8 or 4 bits",
      .operands = "IN OUT",
      .description =
          "Makes the directory OUT of the model IN, with the weights of the text model's linear "
          "layers in 8 or 4 bits, which --precision int8 and int4 of other commands make anew each "
          "time: the results are the same, loading is quicker and the files are smaller. OUT holds "
          "model.safetensors, config.json and the tokenizer.\n"
          "\nPrints how far each weight is off: the root of the mean square of its errors over "
          "that "
          "of the weights, and the largest error of one number.\n"
          "\nOUT appears when it is complete; what exists is never overwritten.",
      .options = {{"precision", 0, "FORMAT", "int8 or int4. Must be given.",
                   [state](const std::string &value) {
                     if (value != "int8" && value != "int4") {
                       throw UsageError("--precision: \"" + value + "\" is neither int8 nor int4");
                     }
                     state->job.precision = value == "int4" ? Precision::kInt4 : Precision::kInt8;
                     state->has_precision = true;
                   }},
                  tokenizer_option(state->job.tokenizer),
                  release_option(state->job.release),
                  flag("json", 'j', "Prints the report as one JSON object.", state->json)},
      .examples = " moondream quantize --precision int4 moondream2 moondream2-int4"};
  return {std::move(page), [state](const std::vector<std::string> &operands) {
            if (operands.size() != 2) throw UsageError("IN and OUT must be given");
            if (!state->has_precision) throw UsageError("--precision must be given");
            state->job.model = operands[0];
            state->job.out = operands[1];
            Progress progress;
            state->job.progress = [&](std::uint64_t done, std::uint64_t of) {
              progress.show("Quantizing: " +
                            std::to_string(100 * done / std::max<std::uint64_t>(of, 1)) + " %");
            };
            use_cpu_threads(std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
            QuantizationReport report;
            {
              const StopOnSignal stop;
              report = quantize_model(state->job, stop.token());
            }
            progress.clear();
            print(state->json ? to_line(report_json(report)) + "\n" : report_text(report));
            return kOk;
          }};
}

}  // namespace moondream::cli
