// What a request and a result must be, whichever backend runs them.
#pragma once

#include <string>
#include <vector>

#include "backend.h"

namespace moondream {

// These throw Error{kSettings} if no backend could answer the request. The first leaves out the
// image that make_image gives, which is for the second one. Thread-safety: safe.
void check_request(const Request &request);
void check_image(const Image &image);

// What is wrong with a backend's result, as text; empty if nothing is. Thread-safety: safe.
std::string mistake(const Result &result, const Request &request);

// What Request::on_text is called with for results that are known at once: each text that is not
// empty as one piece. Thread-safety: safe.
std::vector<TextPiece> whole_texts(const std::vector<PromptResult> &results);

}  // namespace moondream
