// The one symbol that the shared library shows.
int run_module();
extern "C" __attribute__((visibility("default"))) int cuda_host_module_run() { return run_module(); }
