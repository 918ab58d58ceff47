#pragma once

#include "host/error.hpp"

#include <string>

// The message of the Error that the call throws; empty if it throws none.
template <class Call>
std::string refusal(const Call& call) {
    try {
        call();
    } catch (const lai::Error& error) {
        return error.what();
    }
    return "";
}

template <class Call>
bool is_refused(const Call& call) {
    return !refusal(call).empty();
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
