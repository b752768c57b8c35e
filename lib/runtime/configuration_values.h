// Text forms of the values that settings have. Internal to the configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/configuration.h"

namespace sluice::runtime {

// False if the text is no such value.
bool ParseValue(const std::string& text, std::string* value);
bool ParseValue(const std::string& text, wire::Prefix* value);
bool ParseValue(const std::string& text, wire::IpAddress* value);
bool ParseValue(const std::string& text, wire::MacAddress* value);
bool ParseValue(const std::string& text, PortRange* value);  // "32768-60999"
bool ParseValue(const std::string& text, bool* value);
bool ParseValue(const std::string& text, uint64_t* value);  // decimal or 0x...
bool ParseValue(const std::string& text, uint16_t* value);

std::string FormatValue(const std::string& value);
std::string FormatValue(const wire::Prefix& value);
std::string FormatValue(const wire::IpAddress& value);
std::string FormatValue(const wire::MacAddress& value);
std::string FormatValue(const PortRange& value);
std::string FormatValue(uint16_t value);

// What an error says was expected.
const char* Describe(const std::string&);
const char* Describe(const wire::Prefix&);
const char* Describe(const wire::IpAddress&);
const char* Describe(const wire::MacAddress&);
const char* Describe(const PortRange&);
const char* Describe(uint16_t);

// " (did you mean 'address'?)" if one of the words is near, else "".
std::string Suggestion(const std::string& wrong, const std::vector<std::string>& words);
// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
size_t EditDistance(std::string_view a, std::string_view b);

}  // namespace sluice::runtime
