// Requests of Go's net/http over TLS: tls-go KEY-LOG. What it asks, and how it gives up, is told in ../case_tls_clients.py.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

// request makes one, and fails unless it ends as it should: with a status, or, if that is 0, given up after 500 ms.
func request(client *http.Client, method, address, body string, expected int) {
	ctx := context.Background()
	if expected == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
	}
	made, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.Do(made)
	if expected == 0 {
		if !errors.Is(err, context.DeadlineExceeded) {
			log.Fatalf("%s: %v", address, err)
		}
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != expected {
		log.Fatalf("%s: %d, %v", address, answer.StatusCode, err)
	}
}

func main() {
	keys, err := os.OpenFile(os.Args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		size := 2000
		if version == tls.VersionTLS13 {
			size = 17000
		}
		for http2, port := range []int{8444, 8443} {
			transport := &http.Transport{
				ForceAttemptHTTP2: http2 == 1,
				TLSClientConfig: &tls.Config{KeyLogWriter: keys, ServerName: "catalog.shop", InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
					ClientSessionCache: tls.NewLRUClientSessionCache(8)},
			}
			client := &http.Client{Transport: transport}
			address := func(path string) string {
				mark := fmt.Sprintf("client=go&tls=1.%d&http=%d", version-tls.VersionTLS10, http2+1)
				return fmt.Sprintf("https://127.0.0.1:%d/%s%s", port, path, mark)
			}
			request(client, "GET", address("items?"), "", 200)
			request(client, "GET", address("missing?"), "", 404)
			request(client, "POST", address(fmt.Sprintf("items?size=%d&", size)), strings.Repeat("x", 2000), 200)
			// The next connection takes the session up.
			transport.CloseIdleConnections()
			request(client, "GET", address("chunked?"), "", 200)
			request(client, "GET", address("items?delay=1500&"), "", 0)
			// RST_STREAM is sent a moment later, and not if the connection is closed by then.
			time.Sleep(50 * time.Millisecond)
			transport.CloseIdleConnections()
		}
	}
}
