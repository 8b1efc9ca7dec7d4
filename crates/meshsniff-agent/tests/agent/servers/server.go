// A server with a pool of one: it accepts a connection when the one before is closed. Prints its
// port. /block and /slow wait for a line on standard input, all else is answered at once.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
)

type pool struct {
	net.Listener
	room chan struct{}
}

type pooled struct {
	net.Conn
	room chan struct{}
}

func (p pool) Accept() (net.Conn, error) {
	p.room <- struct{}{}
	conn, err := p.Listener.Accept()
	return pooled{conn, p.room}, err
}

func (c pooled) Close() error {
	select {
	case <-c.room:
	default:
	}
	return c.Conn.Close()
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	held := func(response http.ResponseWriter, _ *http.Request) {
		fmt.Println("holds")
		lines.ReadString('\n')
		fmt.Fprint(response, "ok")
	}
	http.HandleFunc("/block", held)
	http.HandleFunc("/slow", held)
	http.HandleFunc("/", func(response http.ResponseWriter, _ *http.Request) { fmt.Fprint(response, "ok") })
	panic(http.Serve(pool{listener, make(chan struct{}, 1)}, nil))
}
