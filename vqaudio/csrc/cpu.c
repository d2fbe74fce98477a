/* Which instruction sets this processor has. Compiled for the baseline. */

#include <string.h>

__attribute__((visibility("default"))) int vqaudio_supports(const char* instructions) {
    if (!strcmp(instructions, "baseline")) return 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!strcmp(instructions, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(instructions, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
#endif
#if defined(__aarch64__)
    if (!strcmp(instructions, "neon")) return 1;
#endif
    return 0;
}
