// Command grpc-go is both ends of gRPC with Go's library: a catalog whose answers do what their request's text says, and calls
// that are put down by server and client. It prints a line of JSON for each stream and each connection.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "shop.v1.Catalog"

// An entry is a call, or an attempt at one, as the server had it, with what the client says of it beside.
type entry struct {
	order          int
	call           string
	Server         string  `json:"server"`
	Connection     int     `json:"connection"`
	Stream         *uint64 `json:"stream"`
	Path           string  `json:"path"`
	Attempt        int     `json:"attempt"`
	Received       int     `json:"received"`
	Sent           int     `json:"sent"`
	Status         uint32  `json:"status"`
	Message        string  `json:"message"`
	Last           bool    `json:"last"`
	ClientStatus   *uint32 `json:"client_status"`
	ClientMessage  string  `json:"client_message"`
	ClientReceived int     `json:"client_received"`
	Kind           string  `json:"kind"`
	Note           string  `json:"note"`
	done           chan struct{}
}

var (
	mutex   sync.Mutex
	entries []*entry
)

// number of the stream, which the library has and does not tell.
func number(ctx context.Context) (id *uint64) {
	defer func() { _ = recover() }()
	field := reflect.ValueOf(grpc.ServerTransportStreamFromContext(ctx)).Elem().FieldByName("id")
	value := field.Uint()
	return &value
}

func begin(ctx context.Context, port int, method string) *entry {
	from, _ := peer.FromContext(ctx)
	fields, _ := metadata.FromIncomingContext(ctx)
	made := &entry{Server: fmt.Sprintf("127.0.0.1:%d", port), Connection: from.Addr.(*net.TCPAddr).Port, Stream: number(ctx), Path: method,
		call: strings.Join(fields.Get("x-call"), ""), done: make(chan struct{})}
	made.Attempt, _ = strconv.Atoi(strings.Join(fields.Get("grpc-previous-rpc-attempts"), ""))
	mutex.Lock()
	defer mutex.Unlock()
	made.order = len(entries)
	entries = append(entries, made)
	return made
}

func (e *entry) end(err error) {
	said := status.Convert(err)
	e.Status, e.Message = uint32(said.Code()), said.Message()
	close(e.done)
}

type counted struct {
	grpc.ServerStream
	entry *entry
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

// act does what the request's text asks for: "sleep" ms, "fails" times UNAVAILABLE first, "head" (the response's headers before
// all else), "status" with "message".
func act(ctx context.Context, text string) (url.Values, error) {
	asked, err := url.ParseQuery(text)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if asked.Has("head") {
		if err := grpc.SendHeader(ctx, metadata.Pairs("x-shelf", "7")); err != nil {
			return nil, err
		}
	}
	if asked.Has("sleep") {
		ms, _ := strconv.Atoi(asked.Get("sleep"))
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	fields, _ := metadata.FromIncomingContext(ctx)
	before, _ := strconv.Atoi(strings.Join(fields.Get("grpc-previous-rpc-attempts"), ""))
	if fails, _ := strconv.Atoi(asked.Get("fails")); before < fails {
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

func getItem(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	request := new(wrapperspb.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	return intercept(ctx, request, &grpc.UnaryServerInfo{FullMethod: "/" + service + "/GetItem"}, func(ctx context.Context, _ any) (any, error) {
		asked, err := act(ctx, request.Value)
		if err != nil {
			return nil, err
		}
		if err := fail(asked); err != nil {
			return nil, err
		}
		size := 12
		if asked.Has("size") {
			size, _ = strconv.Atoi(asked.Get("size"))
		}
		return wrapperspb.String(strings.Repeat("tea and rice ", 2000)[:size]), nil
	})
}

func listItems(_ any, stream grpc.ServerStream) error {
	request := new(wrapperspb.StringValue)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	asked, err := act(stream.Context(), request.Value)
	if err != nil {
		return err
	}
	count, _ := strconv.Atoi(asked.Get("count"))
	gap, _ := strconv.Atoi(asked.Get("gap"))
	for item := range count {
		if item > 0 {
			time.Sleep(time.Duration(gap) * time.Millisecond)
		}
		if err := stream.SendMsg(wrapperspb.String(fmt.Sprintf("item %d", item))); err != nil {
			return err
		}
	}
	if asked.Has("stall") {
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	}
	return fail(asked)
}

func addItems(_ any, stream grpc.ServerStream) error {
	for count := 0; ; count++ {
		err := stream.RecvMsg(new(wrapperspb.StringValue))
		if errors.Is(err, io.EOF) {
			return stream.SendMsg(wrapperspb.String(fmt.Sprintf("%d added", count)))
		} else if err != nil {
			return err
		}
	}
}

func chat(_ any, stream grpc.ServerStream) error {
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

func serve(port int, options ...grpc.ServerOption) *grpc.Server {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(append(options,
		grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			made := begin(ctx, port, info.FullMethod)
			made.Received = 1
			answer, err := next(ctx, request)
			if err == nil {
				made.Sent = 1
			}
			made.end(err)
			return answer, err
		}),
		grpc.StreamInterceptor(func(this any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			made := begin(stream.Context(), port, info.FullMethod)
			err := next(this, counted{stream, made})
			made.end(err)
			return err
		}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(stream)
			if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
				return err
			}
			return status.Errorf(codes.Unimplemented, "unknown method %s", method)
		}))...)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "GetItem", Handler: getItem}},
		Streams: []grpc.StreamDesc{
			{StreamName: "ListItems", Handler: listItems, ServerStreams: true},
			{StreamName: "AddItems", Handler: addItems, ClientStreams: true},
			{StreamName: "Chat", Handler: chat, ServerStreams: true, ClientStreams: true},
		}}, struct{}{})
	checks := health.NewServer()
	checks.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, checks)
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Print(err)
		}
	}()
	return server
}

type client struct {
	*grpc.ClientConn
}

var calls int

func dial(port int, options ...grpc.DialOption) client {
	made, err := grpc.NewClient(fmt.Sprintf("passthrough:///127.0.0.1:%d", port), append(options,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())...)
	if err != nil {
		log.Fatal(err)
	}
	return client{made}
}

// of gives the context of the next call, and its name.
func of(ctx context.Context) (context.Context, string) {
	calls++
	name := strconv.Itoa(calls)
	return metadata.AppendToOutgoingContext(ctx, "x-call", name), name
}

// seen waits until the server has the call.
func seen(name string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		mutex.Lock()
		for _, made := range entries {
			if made.call == name {
				mutex.Unlock()
				return
			}
		}
		mutex.Unlock()
	}
	log.Fatalf("the server has not had call %s", name)
}

// told puts down what the client has of a call. The kind is "whole" or how it ended else.
func told(name string, err error, expected codes.Code, received int, kind, note string) {
	said := status.Convert(err)
	if said.Code() != expected {
		log.Fatalf("call %s: %v, not %v", name, err, expected)
	}
	code := uint32(said.Code())
	var of []*entry
	mutex.Lock()
	for _, made := range entries {
		if made.call == name {
			of = append(of, made)
		}
	}
	mutex.Unlock()
	if len(of) == 0 {
		log.Fatalf("the server has not had call %s", name)
	}
	for number, made := range of {
		<-made.done
		made.Kind, made.Note = kind, note
		if made.Last = number == len(of)-1; made.Last {
			made.ClientStatus, made.ClientMessage, made.ClientReceived = &code, said.Message(), received
		} else {
			made.Kind, made.Note = "whole", "tried again by the client's library"
		}
	}
}

func (c client) get(text string, expected codes.Code, kind, note string, options ...grpc.CallOption) {
	c.getWithin(context.Background(), text, expected, kind, note, options...)
}

func (c client) getWithin(ctx context.Context, text string, expected codes.Code, kind, note string, options ...grpc.CallOption) {
	ctx, name := of(ctx)
	err := c.Invoke(ctx, "/"+service+"/GetItem", wrapperspb.String(text), new(wrapperspb.StringValue), options...)
	received := 0
	if err == nil {
		received = 1
	}
	told(name, err, expected, received, kind, note)
}

// list cancels after so many answers, if that is not 0; beside is called after the first.
func (c client) list(text string, most int, expected codes.Code, kind, note string, beside func()) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx, name := of(ctx)
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+service+"/ListItems")
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(wrapperspb.String(text)), stream.CloseSend()); err != nil {
		log.Fatal(err)
	}
	received := 0
	for {
		err = stream.RecvMsg(new(wrapperspb.StringValue))
		if err != nil {
			break
		}
		received++
		if received == 1 && beside != nil {
			beside()
		}
		if received == most {
			cancel()
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	told(name, err, expected, received, kind, note)
}

func (c client) exchange(method string, texts []string, each bool) {
	ctx, name := of(context.Background())
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: each, ClientStreams: true}, "/"+service+"/"+method)
	if err != nil {
		log.Fatal(err)
	}
	received := 0
	receive := func() {
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			log.Fatal(err)
		}
		received++
	}
	for _, text := range texts {
		if err := stream.SendMsg(wrapperspb.String(text)); err != nil {
			log.Fatal(err)
		}
		if each {
			receive()
		}
	}
	if err := stream.CloseSend(); err != nil {
		log.Fatal(err)
	}
	if !each {
		receive()
	}
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); !errors.Is(err, io.EOF) {
		log.Fatal(err)
	}
	told(name, nil, codes.OK, received, "whole", "")
}

func (c client) check(name string, expected codes.Code, note string) {
	ctx, call := of(context.Background())
	_, err := healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{Service: name})
	received := 0
	if err == nil {
		received = 1
	}
	told(call, err, expected, received, "whole", note)
}

func main() {
	main := serve(50051, grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Second, Timeout: time.Second}))
	one := dial(50051)
	one.get("item=tea", codes.OK, "whole", "")
	one.exchange("AddItems", []string{"item=tea", "item=rice", "item=milk"}, false)
	one.list("count=5&gap=20", 0, codes.OK, "whole", "", nil)
	one.exchange("Chat", []string{"one", "two", "three"}, true)
	one.list("count=4&gap=60", 0, codes.OK, "whole", "", func() { one.get("item=rice", codes.OK, "whole", "beside the stream of answers") })
	one.get("status=5&message=no such item", codes.NotFound, "whole", "trailers-only")
	one.get("status=14&message=closed for today", codes.Unavailable, "whole", "trailers-only")
	one.get("status=13&message=Käse ist aus: 100 %25 weg", codes.Internal, "whole", "trailers-only; the message is percent-encoded")
	one.get("head=&status=7&message=not for you", codes.PermissionDenied, "whole", "headers, then trailers")
	one.list("count=2&status=8&message=that is all", 0, codes.ResourceExhausted, "whole", "status in trailers after two messages", nil)
	ctx, name := of(context.Background())
	err := one.Invoke(ctx, "/"+service+"/Nothing", wrapperspb.String("item=tea"), new(wrapperspb.StringValue))
	told(name, err, codes.Unimplemented, 0, "whole", "no such method")
	one.check(service, codes.OK, "SERVING")
	one.check("shop.v1.Other", codes.NotFound, "unknown service")
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	one.getWithin(ctx, "sleep=3000", codes.DeadlineExceeded, "deadline",
		"the client's deadline of 500 ms; the server knows it, too (grpc-timeout), and whoever is first resets the stream")
	cancel()
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	one.getWithin(ctx, "sleep=3001", codes.Canceled, "cancelled", "cancelled after 200 ms")
	one.list("count=2&stall=", 2, codes.Canceled, "cancelled inside", "cancelled after two messages", nil)
	one.get("size=3000&note="+strings.Repeat("tea and rice ", 40), codes.OK, "whole", "gzip, request and answer", grpc.UseCompressor("gzip"))
	one.get("sleep=2300", codes.OK, "whole", "the server's PINGs, one a second")
	one.Close()

	policy := grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3,
		"initialBackoff": "0.1s", "maxBackoff": "0.2s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
	retried := dial(50051, policy)
	retried.get("fails=2", codes.OK, "whole", "the last of 3 attempts")
	retried.get("fails=5", codes.Unavailable, "whole", "the last of 3 attempts")
	retried.Close()
	main.Stop()

	// A server that lets connections grow only so old: GOAWAY while a call goes on, and the next call on another connection.
	aging := serve(50052, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 300 * time.Millisecond, MaxConnectionAgeGrace: 5 * time.Second}))
	moved := dial(50052)
	moved.get("sleep=600", codes.OK, "whole", "the server's GOAWAY (its connection is old enough) comes in between")
	moved.get("item=tea", codes.OK, "whole", "on the next connection")
	moved.Close()
	aging.Stop()

	for _, graceful := range []bool{true, false} {
		server := serve(50052)
		left := dial(50052)
		text, received := "sleep=400", 1
		expected, kind, note := codes.OK, "whole", "answered after the GOAWAY of a server that is stopped gracefully"
		if !graceful {
			text, received = "sleep=5000", 0
			expected, kind, note = codes.Unavailable, "closed", "the server is stopped at once"
		}
		ctx, name := of(context.Background())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			seen(name)
			time.Sleep(100 * time.Millisecond)
			if graceful {
				server.GracefulStop()
			} else {
				server.Stop()
			}
		}()
		err := left.Invoke(ctx, "/"+service+"/GetItem", wrapperspb.String(text), new(wrapperspb.StringValue))
		told(name, err, expected, received, kind, note)
		<-stopped
		left.Close()
	}
	sort.Slice(entries, func(a, b int) bool { return entries[a].order < entries[b].order })
	out := json.NewEncoder(os.Stdout)
	for _, made := range entries {
		if err := out.Encode(made); err != nil {
			log.Fatal(err)
		}
	}
}
