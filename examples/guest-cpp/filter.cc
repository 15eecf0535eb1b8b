// A filter in plain C++ with a WASI C library (reactor), without an SDK, ABI 0.2.0: what such a guest needs of a host.
//
// It moves requests under /cpp, puts the path before the response's body, and logs through iostream and stdio.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name))) uint32_t name
#define EXPORT(name) __attribute__((export_name(#name)))

extern "C" {
IMPORT(proxy_log)(uint32_t level, const char *text, size_t size);
IMPORT(proxy_get_header_map_value)(uint32_t kind, const char *name, size_t name_size, char **value, size_t *size);
IMPORT(proxy_replace_header_map_value)(uint32_t kind, const char *name, size_t name_size, const char *value, size_t size);
IMPORT(proxy_remove_header_map_value)(uint32_t kind, const char *name, size_t name_size);
IMPORT(proxy_get_buffer_bytes)(uint32_t kind, uint32_t start, uint32_t size, char **data, size_t *data_size);
IMPORT(proxy_set_buffer_bytes)(uint32_t kind, uint32_t start, uint32_t size, const char *data, size_t data_size);
}

static std::map<uint32_t, std::string> paths;

static void log(const std::string &text) { proxy_log(2, text.data(), text.size()); }

extern "C" {
EXPORT(proxy_abi_version_0_2_0) void abi_version() {}

EXPORT(malloc) void *allocate(size_t size) { return malloc(size); }

EXPORT(proxy_on_context_create) void on_context_create(uint32_t context, uint32_t root) {
  if (root != 0) paths[context] = "";
}

EXPORT(proxy_on_vm_start) uint32_t on_vm_start(uint32_t, uint32_t) {
  const char *who = getenv("WHO");
  std::cout << "c++: WHO=" << (who ? who : "nobody") << std::endl;
  return 1;
}

EXPORT(proxy_on_configure) uint32_t on_configure(uint32_t, uint32_t size) {
  char *text = nullptr;
  size_t length = 0;
  if (proxy_get_buffer_bytes(7, 0, size, &text, &length) == 0) log("c++: configured with " + std::string(text, length));
  free(text);
  log(fopen("/etc/hostname", "r") ? "c++: files" : "c++: no files");
  return 1;
}

EXPORT(proxy_on_request_headers) uint32_t on_request_headers(uint32_t context, uint32_t, uint32_t) {
  char *path;
  size_t size;
  if (proxy_get_header_map_value(0, ":path", 5, &path, &size) != 0) return 1;
  paths[context] = std::string(path, size);
  free(path);
  std::string moved = "/cpp" + paths[context];
  proxy_replace_header_map_value(0, ":path", 5, moved.data(), moved.size());
  return 0;
}

EXPORT(proxy_on_response_headers) uint32_t on_response_headers(uint32_t, uint32_t, uint32_t) {
  proxy_remove_header_map_value(2, "content-length", 14);
  return 0;
}

EXPORT(proxy_on_response_body) uint32_t on_response_body(uint32_t context, uint32_t, uint32_t end) {
  if (!end) return 1;
  std::string first = paths[context] + "\n";
  proxy_set_buffer_bytes(1, 0, 0, first.data(), first.size());
  return 0;
}

EXPORT(proxy_on_delete) void on_delete(uint32_t context) { paths.erase(context); }
}
