// The demo image's program: a server that misbehaves on request, a client that tells what it saw, and a few processes
// that tests need to look at. Standard library only, static.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const usage = `usage: app COMMAND
  serve [-addr :8080] [-pool 0]
                        accepts no more than POOL connections at once (0: any number)
                        /fast  /slow?ms=N  /bytes?n=N  /hang  /reset  /close  /eat?mb=N  /exit?code=N
  get URL... [-timeout 5s] [-every 1s] [-n 0] [-c 1]
                        asks for the URLs in turn, N times each (0: for ever), C at once; a line for each answer
  sleep                 until SIGTERM
  crash                 ends with 1 at once
  cat-zeros N           writes N MiB of zeros to the standard output
  newnet [-addr :8080] [-every 1s]
                        serves, and so does a child in a network namespace of its own, which asks itself for /fast
`

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "app: "+format+"\n", values...)
	os.Exit(1)
}

func wrong(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "app: "+format+"\n"+usage, values...)
	os.Exit(2)
}

// Takes "-name value" pairs from anywhere among the arguments: URLs come before and after them.
func options(arguments []string, known map[string]string) []string {
	var rest []string
	for i := 0; i < len(arguments); i++ {
		name, dashed := strings.CutPrefix(arguments[i], "-")
		if !dashed {
			rest = append(rest, arguments[i])
			continue
		}
		name = strings.TrimPrefix(name, "-")
		name, value, given := strings.Cut(name, "=")
		if _, ok := known[name]; !ok {
			wrong("no such option: -%s", name)
		}
		if !given {
			if i++; i == len(arguments) {
				wrong("-%s lacks its value", name)
			}
			value = arguments[i]
		}
		known[name] = value
	}
	return rest
}

func duration(text string) time.Duration {
	value, err := time.ParseDuration(text)
	if err != nil {
		wrong("no duration: %q", text)
	}
	return value
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 {
		wrong("no count: %q", text)
	}
	return value
}

// As process 1 of a container it gets no default for a signal.
func untilTold() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	<-told
	os.Exit(0)
}

// --- the server ---

// What /eat holds on to.
var eaten [][]byte
var eating sync.Mutex

// JSON as a listing would have it: it looks like text and compresses well.
func listing(size int) []byte {
	var body bytes.Buffer
	body.Grow(size + 128)
	for i := 0; body.Len() < size; i++ {
		fmt.Fprintf(&body, `{"id":%d,"name":"item %d","colour":"%s","price":%d.%02d},`+"\n", i, i, []string{"red", "green", "blue"}[i%3], i%500, i%100)
	}
	return body.Bytes()[:size]
}

func asked(r *http.Request, name string) int {
	value, _ := strconv.Atoi(r.URL.Query().Get(name))
	return max(value, 0)
}

// Ends the connection without an answer, by an RST or by a FIN.
func drop(w http.ResponseWriter, r *http.Request, reset bool) {
	io.Copy(io.Discard, r.Body)
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if reset {
		connection.(*net.TCPConn).SetLinger(0)
	}
	connection.Close()
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/fast", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		// It answers even if nobody waits any more, as an application does that does not look.
		time.Sleep(time.Duration(asked(r, "ms")) * time.Millisecond)
		io.WriteString(w, "ok, late\n")
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		body := listing(asked(r, "n"))
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {}
	})
	mux.HandleFunc("/reset", func(w http.ResponseWriter, r *http.Request) { drop(w, r, true) })
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) { drop(w, r, false) })
	mux.HandleFunc("/eat", func(w http.ResponseWriter, r *http.Request) {
		memory := make([]byte, asked(r, "mb")<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		eating.Lock()
		eaten = append(eaten, memory)
		eating.Unlock()
		io.WriteString(w, "eaten\n")
	})
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) { os.Exit(asked(r, "code")) })
	return mux
}

// Accepts a connection once there is room for it.
type pool struct {
	net.Listener
	room chan struct{}
}

type pooled struct {
	net.Conn
	leave func()
}

func (p pool) Accept() (net.Conn, error) {
	p.room <- struct{}{}
	connection, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return pooled{connection, sync.OnceFunc(func() { <-p.room })}, nil
}

func (p pooled) Close() error {
	p.leave()
	return p.Conn.Close()
}

func serve(address string, most int) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fail("%v", err)
	}
	if most > 0 {
		listener = pool{listener, make(chan struct{}, most)}
	}
	fmt.Println("serving on", listener.Addr())
	go func() { fail("%v", http.Serve(listener, handler())) }()
}

// --- the client ---

// The shortest text that says what went wrong.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err):
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}

func get(urls []string, timeout, every time.Duration, times, parallel int) {
	// Each goroutine with a connection of its own, which it keeps.
	fetch := func(client *http.Client, url string) {
		start := time.Now()
		response, err := client.Get(url)
		var size int64
		if err == nil {
			size, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		took := time.Since(start).Round(100 * time.Microsecond)
		if err != nil {
			fmt.Printf("err %s %s %s\n", url, took, reason(err))
		} else {
			fmt.Printf("%d %s %s %d bytes\n", response.StatusCode, url, took, size)
		}
	}
	var group sync.WaitGroup
	for range parallel {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: timeout}
			for i := 0; times == 0 || i < times; i++ {
				for _, url := range urls {
					if i > 0 || url != urls[0] {
						time.Sleep(every)
					}
					fetch(client, url)
				}
			}
		})
	}
	group.Wait()
}

// --- a second network namespace ---

// A new namespace's lo is down.
func raiseLoopback() {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		fail("socket: %v", err)
	}
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		fail("raising lo: %v", errno)
	}
	syscall.Close(socket)
}

// What the child is told by.
const child = "newnet-child"

func startChild(address, every string) {
	start := func(flags uintptr) error {
		command := &syscall.ProcAttr{
			Env:   os.Environ(),
			Files: []uintptr{0, 1, 2},
			// Ends with its parent.
			Sys: &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL},
		}
		if flags&syscall.CLONE_NEWUSER != 0 {
			command.Sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			command.Sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		_, err := syscall.ForkExec("/proc/self/exe", []string{"app", child, "-addr", address, "-every", every}, command)
		return err
	}
	// A user namespace with it gives the right to an ordinary container, where it may have one.
	if start(syscall.CLONE_NEWNET) != nil {
		if err := start(syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER); err != nil {
			fail("a second network namespace takes a privileged container: %v", err)
		}
	}
}

func main() {
	if len(os.Args) < 2 {
		wrong("no command")
	}
	command, arguments := os.Args[1], os.Args[2:]
	none := func(rest []string) {
		if len(rest) > 0 {
			wrong("%s does not take %q", command, rest[0])
		}
	}
	switch command {
	case "serve":
		known := map[string]string{"addr": ":8080", "pool": "0"}
		none(options(arguments, known))
		serve(known["addr"], number(known["pool"]))
		untilTold()
	case "get":
		known := map[string]string{"timeout": "5s", "every": "1s", "n": "0", "c": "1"}
		urls := options(arguments, known)
		if len(urls) == 0 {
			wrong("get lacks a URL")
		}
		go untilTold()
		get(urls, duration(known["timeout"]), duration(known["every"]), number(known["n"]), number(known["c"]))
	case "sleep":
		none(arguments)
		untilTold()
	case "crash":
		fail("crashing, as told")
	case "cat-zeros":
		if len(arguments) != 1 {
			wrong("cat-zeros takes a number of MiB")
		}
		zeros := make([]byte, 1<<20)
		for range number(arguments[0]) {
			if _, err := os.Stdout.Write(zeros); err != nil {
				fail("%v", err)
			}
		}
	case "newnet", child:
		known := map[string]string{"addr": ":8080", "every": "1s"}
		none(options(arguments, known))
		if command == child {
			raiseLoopback()
		}
		serve(known["addr"], 0)
		every := duration(known["every"])
		if command == "newnet" {
			startChild(known["addr"], known["every"])
		} else if every > 0 {
			_, port, _ := net.SplitHostPort(known["addr"])
			go get([]string{"http://127.0.0.1:" + port + "/fast"}, 5*time.Second, every, 0, 1)
		}
		untilTold()
	default:
		wrong("no such command: %s", command)
	}
}
