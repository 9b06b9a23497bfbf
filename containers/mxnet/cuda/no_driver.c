/* A libcuda.so.1 for machines without NVIDIA's driver.
 *
 * MXNet's CUDA build links to the driver's library, so where there is none it cannot be imported,
 * not even to compute on the CPU. This one lets it be imported and says, of everything, that there is
 * no device. The toolkit loads it where the real one cannot be found, and only there: it lies in no
 * folder that the loader searches.
 */
enum { SUCCESS = 0, ERROR_NO_DEVICE = 100, ERROR_NOT_FOUND = 500 };

static const char NAME[] = "CUDA_ERROR_NO_DEVICE";
static const char SENTENCE[] = "no CUDA-capable device is detected";

int cuInit(unsigned int flags) {
    (void)flags;
    return ERROR_NO_DEVICE;
}

/* CUDA 11.8: older than the runtime, and the runtime would complain of the driver. */
int cuDriverGetVersion(int *version) {
    *version = 11080;
    return SUCCESS;
}

int cuDeviceGetCount(int *count) {
    *count = 0;
    return SUCCESS;
}

int cuGetErrorName(int error, const char **name) {
    (void)error;
    *name = NAME;
    return SUCCESS;
}

int cuGetErrorString(int error, const char **sentence) {
    (void)error;
    *sentence = SENTENCE;
    return SUCCESS;
}

int cuGetProcAddress(const char *symbol, void **address, int version, unsigned long long flags) {
    (void)symbol, (void)version, (void)flags;
    *address = 0;
    return ERROR_NOT_FOUND;
}

/* What else MXNet's library names: never called without a device. */
#define REFUSE(function) \
    int function(void) { return ERROR_NO_DEVICE; }

REFUSE(cuDeviceGet)
REFUSE(cuDevicePrimaryCtxRetain)
REFUSE(cuGraphKernelNodeGetParams)
REFUSE(cuGraphNodeGetType)
REFUSE(cuLaunchKernel)
REFUSE(cuModuleGetFunction)
REFUSE(cuModuleLoadData)
REFUSE(cuModuleLoadDataEx)
REFUSE(cuModuleUnload)
