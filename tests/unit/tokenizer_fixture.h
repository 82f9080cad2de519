// What the tests of the tokenizers share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "test_support.h"
#include "tokenizer.h"
#include "tokenizer_bpe.h"

namespace moondream::test {

inline const std::filesystem::path kTokenizerData =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "tokenizers";

inline nlohmann::json read_json(const std::filesystem::path &path) {
  std::ifstream stream(path);
  if (!stream) throw std::runtime_error("cannot open " + path.string());
  return nlohmann::json::parse(stream);
}

// Loads a tokenizer.json of these contents.
inline std::unique_ptr<const Tokenizer> load_json(const std::string &contents) {
  return load_bpe_tokenizer(contents, "tokenizer.json");
}

// Checks ids and both decodings of every case of an array of {text, ids, decoded,
// decoded_with_special}: without text only the decodings; no decoded_with_special if equal.
inline void expect_cases(const Tokenizer &tokenizer, const nlohmann::json &cases) {
  ASSERT_FALSE(cases.empty());
  for (const auto &c : cases) {
    const auto ids = c.at("ids").get<std::vector<int>>();
    if (c.contains("text")) {
      EXPECT_EQ(tokenizer.encode(c.at("text").get<std::string>()), ids) << "text: " << c.at("text");
    }
    EXPECT_EQ(tokenizer.decode(ids), c.at("decoded").get<std::string>()) << "ids: " << c.at("ids");
    EXPECT_EQ(tokenizer.decode(ids, false),
              c.value("decoded_with_special", c.at("decoded").get<std::string>()))
        << "ids: " << c.at("ids");
  }
}

}  // namespace moondream::test
