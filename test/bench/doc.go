// Package bench measures the gateway beside the least that its work could cost:
// duplicates over HTTP beside a server that only decodes, new requests beside a
// loop that only creates, and the memory of what it remembers.
//
// What is compared runs in turn, in processes of its own, and the median of
// several rounds is told: a machine's other work then falls on both sides. The
// program in measure prints the figures of docs/performance.md.
package bench
