/* A driver's library with three cards, for tests on machines without one: an A100 that is split
   in two, a T4, and one that fell off the bus. NVML_FAILS makes its start fail as after an update
   of the driver. */
#include <stdlib.h>
#include <string.h>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, GPU_IS_LOST = 15, MISMATCH = 18 };
static int cards[5]; /* 0, 1, 2: the cards; 3, 4: the pieces of the first */
static const char *names[] = {"NVIDIA A100-SXM4-40GB", "Tesla T4", "",
                              "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA A100-SXM4-40GB MIG 3g.20gb"};
static const char *uuids[] = {"GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0001", "", "MIG-cccc-0003", "MIG-dddd-0004"};

static int of(void *handle) { return (int)((int *)handle - cards); }

int nvmlInitWithFlags(unsigned flags) { return getenv("NVML_FAILS") ? MISMATCH : OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == MISMATCH ? "Driver/library version mismatch" : "GPU is lost"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = &cards[index];
    return index == 2 ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    *major = of(handle) == 1 ? 7 : 8;
    *minor = of(handle) == 1 ? 5 : 0;
    return OK;
}
int nvmlDeviceGetUUID(void *handle, char *to, unsigned size) { strncpy(to, uuids[of(handle)], size); return OK; }
int nvmlDeviceGetName(void *handle, char *to, unsigned size) { strncpy(to, names[of(handle)], size); return OK; }
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *total_free_used) {
    total_free_used[0] = 1024ULL * 1024 * 1024 * (of(handle) + 1);
    return of(handle) == 4 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *next) {
    *now = *next = of(handle) == 0;
    return of(handle) == 1 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) { *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **piece) {
    *piece = &cards[3 + index / 2];
    return index == 0 || index == 2 ? OK : NOT_FOUND;
}
