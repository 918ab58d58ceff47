#include "kernels/kernels.hpp"

#include "host/error.hpp"

#include <cstdlib>
#include <string>

#if defined(LAI_X86_KERNELS)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace lai {

extern const Kernels kPortableKernels;
#if defined(LAI_X86_KERNELS)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kZen4Kernels;
#endif
#if defined(LAI_NEON_KERNELS)
extern const Kernels kNeonKernels;
#endif

namespace {

struct Candidate {
    const Kernels* kernels;
    bool runs;
};

#if defined(LAI_X86_KERNELS)
// clang++ knows the name F16C only since version 16.
bool has_f16c() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool has_avx2() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 && has_f16c(); }

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
           __builtin_cpu_supports("avx512vnni") != 0;
}

// Every AMD CPU with AVX-512 also has VBMI.
bool has_zen4() { return has_avx512() && __builtin_cpu_supports("avx512vbmi") != 0 && __builtin_cpu_is("amd") != 0; }
#endif

#if defined(LAI_NEON_KERNELS)
bool has_dot_product() {
#if defined(__APPLE__)
    return true;  // every ARM64 Mac
#elif defined(__linux__) && defined(HWCAP_ASIMDDP)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return false;
#endif
}
#endif

}  // namespace

const Kernels& choose_kernels() {
    const Candidate candidates[] = {
#if defined(LAI_X86_KERNELS)
        {&kZen4Kernels, has_zen4()},        {&kAvx512Kernels, has_avx512()}, {&kAvx2Kernels, has_avx2()},
#endif
#if defined(LAI_NEON_KERNELS)
        {&kNeonKernels, has_dot_product()},
#endif
        {&kPortableKernels, true},
    };
    const char* wanted = std::getenv("LAI_KERNELS");
    std::string names;
    for (const Candidate& candidate : candidates) {
        if (!candidate.runs) continue;
        if (wanted == nullptr || *wanted == '\0' || std::string(wanted) == candidate.kernels->name) {
            return *candidate.kernels;
        }
        names += std::string(names.empty() ? "" : ", ") + candidate.kernels->name;
    }
    throw Error(std::string("LAI_KERNELS is ") + wanted + ", this machine can run " + names);
}

}  // namespace lai
