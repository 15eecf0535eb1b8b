// A filter in plain Go (GOOS=wasip1, -buildmode=c-shared), without an SDK: what a Go guest needs of a host.
//
// It refuses /deny, marks what goes up, and logs what the Go runtime sees: environment, clock, randomness, goroutines, no files.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"
	"unsafe"
)

//go:wasmimport env proxy_log
func proxyLog(level uint32, text unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeader(kind uint32, name unsafe.Pointer, nameSize uint32, data, size unsafe.Pointer) uint32

//go:wasmimport env proxy_add_header_map_value
func proxyAddHeader(kind uint32, name unsafe.Pointer, nameSize uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status uint32, details unsafe.Pointer, detailsSize uint32, body unsafe.Pointer, bodySize uint32,
	headers unsafe.Pointer, headersSize uint32, grpcStatus int32) uint32

// What the host was given memory for; Go's collector must not take it back.
var held = map[uintptr][]byte{}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(size int32) int32 {
	bytes := make([]byte, size)
	at := uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))
	held[at] = bytes
	return int32(at)
}

func pointer(text string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(text)), uint32(len(text))
}

func log(format string, values ...any) {
	at, size := pointer(fmt.Sprintf(format, values...))
	proxyLog(2, at, size)
}

//go:wasmexport proxy_on_context_create
func onContextCreate(context, root int32) {}

//go:wasmexport proxy_on_vm_start
func onVMStart(root, size int32) int32 {
	_, err := os.ReadFile("/etc/hostname")
	numbers := make(chan int)
	go func() { numbers <- rand.IntN(6) }()
	log("go: WHO=%s, year %d, a die below 6: %t, files: %v", os.Getenv("WHO"), time.Now().UTC().Year(), <-numbers < 6, err != nil)
	fmt.Println("go: to standard output")
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, count, end int32) int32 {
	name, nameSize := pointer(":path")
	var at, size uint32
	if proxyGetHeader(0, name, nameSize, unsafe.Pointer(&at), unsafe.Pointer(&size)) != 0 {
		return 1
	}
	path := string(held[uintptr(at)])
	delete(held, uintptr(at))
	if path == "/deny" {
		body, bodySize := pointer("no from go\n")
		proxySendLocalResponse(403, nil, 0, body, bodySize, nil, 0, -1)
		return 1
	}
	name, nameSize = pointer("x-go")
	value, valueSize := pointer("saw " + path)
	proxyAddHeader(0, name, nameSize, value, valueSize)
	return 0
}

func main() {}
