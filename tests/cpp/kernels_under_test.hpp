#pragma once

#include "host/error.hpp"
#include "kernels/kernels.hpp"

#include <cstdio>
#include <cstdlib>

// The kernels that LAI_KERNELS names. Exits with the skip code if this machine cannot run them.
inline const lai::Kernels& kernels_under_test() {
    try {
        return lai::choose_kernels();
    } catch (const lai::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        std::exit(77);
    }
}
