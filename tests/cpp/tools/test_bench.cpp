#include "tools/bench.hpp"

#include "check.hpp"
#include "small_model.hpp"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

using namespace lai;

namespace {

using Phases = std::vector<std::pair<std::string, std::size_t>>;

Phases phases(std::size_t context) {
    SmallModel model(context);
    Phases result;
    for (const Speed& speed : measure_speed(model.transformer)) {
        CHECK(std::isfinite(speed.tokens_per_second) && speed.tokens_per_second > 0);
        result.emplace_back(speed.phase, speed.tokens);
    }
    return result;
}

void a_context_limits_what_is_measured() {
    CHECK((phases(600) == Phases{{"prefill", 128}, {"prefill", 512}, {"decode", 128}}));
    CHECK((phases(130) == Phases{{"prefill", 128}, {"decode", 65}}));
    CHECK((phases(1) == Phases{{"decode", 1}}));
}

void the_bandwidth_ceiling_is_a_rate() {
    SmallModel model;
    const double ceiling = measure_bandwidth_ceiling(model.transformer, model.pool, choose_kernels());
    CHECK(std::isfinite(ceiling) && ceiling > 0);
}

}  // namespace

int main() {
    a_context_limits_what_is_measured();
    the_bandwidth_ceiling_is_a_rate();
}
