// Command istio-shop is both ends of the captures that are made in a mesh: a shop that speaks gRPC (two servers) and HTTP/2 in the
// clear, and a client that does what lines on its standard input say. Both put down each call as a line of JSON on standard output.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "shop.v1.Catalog"

// An entry is a call, or an attempt at one, as the server had it. `Stream` is null where the library does not tell it.
type entry struct {
	Call       string  `json:"call"`
	RequestID  string  `json:"request_id"`
	Server     int     `json:"server"`
	Connection int     `json:"connection"`
	Stream     *uint64 `json:"stream"`
	Path       string  `json:"path"`
	Attempt    int     `json:"attempt"`
	Received   int     `json:"received"`
	Sent       int     `json:"sent"`
	Status     int     `json:"status"`
	Message    string  `json:"message"`
	// Gone: the call was over for the client before it was for the server.
	Gone bool `json:"gone"`
}

var (
	printing sync.Mutex
	counting sync.Mutex
	attempts = map[string]int{}
)

func put(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		log.Fatal(err)
	}
	printing.Lock()
	defer printing.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

// attempt counts the calls of one name.
func attempt(name string) int {
	counting.Lock()
	defer counting.Unlock()
	attempts[name]++
	return attempts[name]
}

// number of the stream, which the libraries have and do not tell.
func number(where any, fields ...string) (id *uint64) {
	defer func() { _ = recover() }()
	value := reflect.ValueOf(where)
	for _, name := range fields {
		for value.Kind() == reflect.Pointer || value.Kind() == reflect.Interface {
			value = value.Elem()
		}
		value = value.FieldByName(name)
	}
	found := value.Uint()
	return &found
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	found, _ := strconv.Atoi(port)
	return found
}

func begin(ctx context.Context, port int, method string) *entry {
	from, _ := peer.FromContext(ctx)
	fields, _ := metadata.FromIncomingContext(ctx)
	call := strings.Join(fields.Get("x-call"), "")
	return &entry{Call: call, RequestID: strings.Join(fields.Get("x-request-id"), ""), Server: port, Connection: portOf(from.Addr.String()),
		Stream: number(grpc.ServerTransportStreamFromContext(ctx), "id"), Path: method, Attempt: attempt(call)}
}

type attemptKey struct{}

func (e *entry) end(ctx context.Context, err error) {
	said := status.Convert(err)
	e.Status, e.Message, e.Gone = int(said.Code()), said.Message(), ctx.Err() != nil
	put(e)
}

type counted struct {
	grpc.ServerStream
	entry *entry
}

func (c counted) Context() context.Context {
	return context.WithValue(c.ServerStream.Context(), attemptKey{}, c.entry.Attempt)
}

func (c counted) RecvMsg(message any) error {
	err := c.ServerStream.RecvMsg(message)
	if err == nil {
		c.entry.Received++
	}
	return err
}

func (c counted) SendMsg(message any) error {
	err := c.ServerStream.SendMsg(message)
	if err == nil {
		c.entry.Sent++
	}
	return err
}

// What a shop does when it is asked to stop: it closes its connections and does not come back.
type shop struct {
	stop func()
}

// act does what the request's text asks for: "sleep" ms, "fails" times UNAVAILABLE first, "stop" the server in the middle, "status"
// with "message".
func (s *shop) act(ctx context.Context, text string) (url.Values, error) {
	asked, err := url.ParseQuery(text)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if asked.Has("stop") {
		go s.stop()
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if asked.Has("sleep") {
		ms, _ := strconv.Atoi(asked.Get("sleep"))
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	attempt, _ := ctx.Value(attemptKey{}).(int)
	if fails, _ := strconv.Atoi(asked.Get("fails")); attempt <= fails {
		return nil, status.Error(codes.Unavailable, "try again")
	}
	return asked, nil
}

func fail(asked url.Values) error {
	if code, _ := strconv.Atoi(asked.Get("status")); code != 0 {
		return status.Error(codes.Code(code), asked.Get("message"))
	}
	return nil
}

func (s *shop) getItem(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	request := new(wrapperspb.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	return intercept(ctx, request, &grpc.UnaryServerInfo{FullMethod: "/" + service + "/GetItem"}, func(ctx context.Context, _ any) (any, error) {
		asked, err := s.act(ctx, request.Value)
		if err == nil {
			err = fail(asked)
		}
		if err != nil {
			return nil, err
		}
		return wrapperspb.String("tea and rice"), nil
	})
}

func (s *shop) listItems(_ any, stream grpc.ServerStream) error {
	request := new(wrapperspb.StringValue)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	asked, err := s.act(stream.Context(), request.Value)
	if err != nil {
		return err
	}
	count, _ := strconv.Atoi(asked.Get("count"))
	gap, _ := strconv.Atoi(asked.Get("gap"))
	for item := range count {
		if item > 0 {
			time.Sleep(time.Duration(gap) * time.Millisecond)
		}
		if err := stream.SendMsg(wrapperspb.String("item " + strconv.Itoa(item))); err != nil {
			return err
		}
	}
	if asked.Has("stall") {
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	}
	return fail(asked)
}

func (s *shop) chat(_ any, stream grpc.ServerStream) error {
	for {
		request := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(wrapperspb.String("echo " + request.Value)); err != nil {
			return err
		}
	}
}

func serveGRPC(port int) {
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			made := begin(ctx, port, info.FullMethod)
			made.Received = 1
			answer, err := next(context.WithValue(ctx, attemptKey{}, made.Attempt), request)
			if err == nil {
				made.Sent = 1
			}
			made.end(ctx, err)
			return answer, err
		}),
		grpc.StreamInterceptor(func(this any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			made := begin(stream.Context(), port, info.FullMethod)
			err := next(this, counted{stream, made})
			made.end(stream.Context(), err)
			return err
		}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(stream)
			if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
				return err
			}
			return status.Errorf(codes.Unimplemented, "unknown method %s", method)
		}))
	this := &shop{stop: server.Stop}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "GetItem", Handler: this.getItem}},
		Streams: []grpc.StreamDesc{
			{StreamName: "ListItems", Handler: this.listItems, ServerStreams: true},
			{StreamName: "Chat", Handler: this.chat, ServerStreams: true, ClientStreams: true},
		}}, struct{}{})
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Print(err)
		}
	}()
}

// serveHTTP answers "delay" ms late with "status", after "fails" 503s; "abort" resets the stream instead.
func serveHTTP(port int) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	handler := func(answer http.ResponseWriter, request *http.Request) {
		asked := request.URL.Query()
		call := request.Header.Get("x-call")
		made := &entry{Call: call, RequestID: request.Header.Get("x-request-id"), Server: port, Connection: portOf(request.RemoteAddr),
			Path: request.URL.RequestURI(), Attempt: attempt(call), Stream: number(answer, "rws", "stream", "id")}
		defer put(made)
		_, _ = io.Copy(io.Discard, request.Body)
		if ms, _ := strconv.Atoi(asked.Get("delay")); ms > 0 {
			select {
			case <-time.After(time.Duration(ms) * time.Millisecond):
			case <-request.Context().Done():
				made.Gone = true
				return
			}
		}
		if asked.Has("abort") {
			panic(http.ErrAbortHandler)
		}
		made.Status = http.StatusOK
		if fails, _ := strconv.Atoi(asked.Get("fails")); made.Attempt <= fails {
			made.Status = http.StatusServiceUnavailable
		} else if code, _ := strconv.Atoi(asked.Get("status")); code != 0 {
			made.Status = code
		}
		answer.WriteHeader(made.Status)
		_, _ = answer.Write([]byte("tea and rice\n"))
	}
	server := http.Server{Addr: ":" + strconv.Itoa(port), Handler: http.HandlerFunc(handler), Protocols: protocols}
	go func() { log.Fatal(server.ListenAndServe()) }()
}

// An order is a line of the client's standard input; `To` is "host:port", and all orders to it that have one `As` share a connection.
type order struct {
	Call       string            `json:"call"`
	To         string            `json:"to"`
	As         string            `json:"as"`
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Text       []string          `json:"text"`
	Headers    map[string]string `json:"headers"`
	DeadlineMS int               `json:"deadline_ms"`
	CancelMS   int               `json:"cancel_ms"`
	Most       int               `json:"most"`
}

// An outcome is what the client has of a call: `Status` is HTTP's, or gRPC's of a call.
type outcome struct {
	Call       string `json:"call"`
	Connection int    `json:"connection"`
	Stream     int    `json:"stream"`
	Status     int    `json:"status"`
	Message    string `json:"message"`
	Received   int    `json:"received"`
}

// A line of connections that are opened one after the other: its port, and how many streams it has had.
type channel struct {
	port, streams int
	grpc          *grpc.ClientConn
	http          *http.Client
}

func (c *channel) dial(ctx context.Context, _, address string) (net.Conn, error) {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		c.port, c.streams = portOf(connection.LocalAddr().String()), 0
	}
	return connection, err
}

func open(to string) *channel {
	made := new(channel)
	var err error
	made.grpc, err = grpc.NewClient("passthrough:///"+to, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithDisableRetry(), grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return made.dial(ctx, "tcp", address) }))
	if err != nil {
		log.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	made.http = &http.Client{Transport: &http.Transport{Protocols: protocols, DialContext: made.dial}}
	return made
}

func (c *channel) grpcCall(ctx context.Context, order order) (int, string, int) {
	for name, value := range order.Headers {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	if host := order.Headers[":authority"]; host != "" {
		log.Fatal("the authority is an option")
	}
	stream, err := c.grpc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, order.Path, grpc.CallAuthority(order.Headers["authority"]))
	received := 0
	for _, text := range order.Text {
		if err == nil {
			err = stream.SendMsg(wrapperspb.String(text))
		}
		// A chat: each message after the answer to the one before.
		if err == nil && strings.HasSuffix(order.Path, "/Chat") {
			if err = stream.RecvMsg(new(wrapperspb.StringValue)); err == nil {
				received++
			}
		}
	}
	if stream != nil {
		if err == nil {
			err = stream.CloseSend()
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = nil
			for err == nil {
				if order.Most > 0 && received == order.Most {
					ctx.Value(cancelKey{}).(context.CancelFunc)()
				}
				if err = stream.RecvMsg(new(wrapperspb.StringValue)); err == nil {
					received++
				}
			}
		}
	}
	if errors.Is(err, io.EOF) {
		return 0, "", received
	}
	said := status.Convert(err)
	return int(said.Code()), said.Message(), received
}

func (c *channel) httpCall(ctx context.Context, order order) (int, string, int) {
	var body io.Reader
	if len(order.Text) > 0 {
		body = bytes.NewReader([]byte(strings.Join(order.Text, "")))
	}
	request, err := http.NewRequestWithContext(ctx, order.Method, "http://"+order.To+order.Path, body)
	if err != nil {
		log.Fatal(err)
	}
	request.Host = order.Headers["authority"]
	for name, value := range order.Headers {
		if name != "authority" {
			request.Header.Set(name, value)
		}
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, err.Error(), 0
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return answer.StatusCode, err.Error(), len(text)
	}
	return answer.StatusCode, strings.TrimSpace(string(text)), len(text)
}

type cancelKey struct{}

func client() {
	channels := map[string]*channel{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var order order
		if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
			log.Fatal(err)
		}
		key := order.To + " " + order.As
		if channels[key] == nil {
			channels[key] = open(order.To)
		}
		channel := channels[key]
		ctx, cancel := context.WithCancel(context.Background())
		ctx = context.WithValue(ctx, cancelKey{}, cancel)
		if order.DeadlineMS > 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(order.DeadlineMS)*time.Millisecond)
		}
		if order.CancelMS > 0 {
			time.AfterFunc(time.Duration(order.CancelMS)*time.Millisecond, cancel)
		}
		if order.Headers == nil {
			order.Headers = map[string]string{}
		}
		order.Headers["x-call"] = order.Call
		call := channel.grpcCall
		if order.Method != "" {
			call = channel.httpCall
		}
		made := outcome{Call: order.Call}
		made.Status, made.Message, made.Received = call(ctx, order)
		cancel()
		made.Connection, made.Stream = channel.port, 2*channel.streams+1
		channel.streams++
		put(made)
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "client" {
		client()
		return
	}
	serveGRPC(50051)
	serveGRPC(50052)
	serveHTTP(3000)
	select {}
}
