// Command grpc-load is both ends of a load of gRPC, with Go's library: tests/bench-grpc.
//
//	grpc-load serve ADDRESS
//	grpc-load call ADDRESS CALLS_PER_SECOND SECONDS CONNECTIONS
//
// The second form makes unary calls of some 20 bytes, evenly, 32 at a time at most on each connection, and prints how many ended
// well, how many did not, and how long it took.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	service = "shop.v1.Catalog"
	atOnce  = 32
)

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	answer := wrapperspb.String("tea and rice")
	get := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		request := new(wrapperspb.StringValue)
		if err := decode(request); err != nil {
			return nil, err
		}
		if request.Value == "item=none" {
			return nil, status.Error(codes.NotFound, "no such item")
		}
		return answer, nil
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "GetItem", Handler: get}}}, struct{}{})
	log.Fatal(server.Serve(listener))
}

func call(address string, rate, seconds, connections int) {
	var good, bad atomic.Int64
	// Permits, a few every 5 ms: a timer for each call would be the load.
	permits := make(chan struct{}, rate)
	var workers sync.WaitGroup
	for range connections {
		connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
		if err != nil {
			log.Fatal(err)
		}
		defer connection.Close()
		for range atOnce {
			workers.Go(func() {
				for range permits {
					err := connection.Invoke(context.Background(), "/"+service+"/GetItem", wrapperspb.String("item=tea"), new(wrapperspb.StringValue))
					if err != nil {
						bad.Add(1)
					} else {
						good.Add(1)
					}
				}
			})
		}
	}
	begin := time.Now()
	end := begin.Add(time.Duration(seconds) * time.Second)
	given := 0
	for now := begin; now.Before(end); now = time.Now() {
		for due := int(now.Sub(begin).Seconds() * float64(rate)); given < due; given++ {
			permits <- struct{}{}
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(permits)
	workers.Wait()
	fmt.Printf("%d good, %d bad, %.2f s\n", good.Load(), bad.Load(), time.Since(begin).Seconds())
}

func main() {
	number := func(at int) int {
		found, err := strconv.Atoi(os.Args[at])
		if err != nil {
			log.Fatal(err)
		}
		return found
	}
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		serve(os.Args[2])
	case len(os.Args) == 6 && os.Args[1] == "call":
		call(os.Args[2], number(3), number(4), number(5))
	default:
		log.Fatal("usage: grpc-load serve ADDRESS, or grpc-load call ADDRESS CALLS_PER_SECOND SECONDS CONNECTIONS")
	}
}
