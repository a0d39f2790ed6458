// Sends requests and prints their answers, each as a line of id, status and body.
//
//	go run . localhost:9092 iris.requests iris.results '{"id": "flower-1", "instances": [[5.1, 3.5, 1.4, 0.2]]}'
//
// Arguments: brokers, request topic, result topic, and the bodies of the requests, each with an id of its own. Ends with 1 if an
// answer is missing after half a minute.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// How long Kafka may take to be there.
	connecting = 10 * time.Second
	// How long the answers may take.
	patience = 30 * time.Second
)

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: client BROKERS REQUEST-TOPIC RESULT-TOPIC BODY...")
		os.Exit(2)
	}
	if err := exchange(strings.Split(os.Args[1], ","), os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func exchange(brokers []string, requests, results string, bodies []string) error {
	waiting, err := idsOf(bodies)
	if err != nil {
		return err
	}
	client, err := reader(brokers, results)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var records []*kgo.Record
	for _, body := range bodies {
		header := kgo.RecordHeader{Key: "content-type", Value: []byte("application/json")}
		records = append(records, &kgo.Record{Topic: requests, Value: []byte(body), Headers: []kgo.RecordHeader{header}})
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("the requests could not be written to %s: %w", requests, err)
	}
	return receive(ctx, client, waiting)
}

// idsOf says the ids of the requests, by which their answers are known.
func idsOf(bodies []string) (map[string]bool, error) {
	ids := map[string]bool{}
	for number, body := range bodies {
		var request struct{ ID string }
		if err := json.Unmarshal([]byte(body), &request); err != nil {
			return nil, fmt.Errorf("request %d: %w", number+1, err)
		}
		if request.ID == "" || ids[request.ID] {
			return nil, fmt.Errorf("request %d has no id of its own", number+1)
		}
		ids[request.ID] = true
	}
	return ids, nil
}

// reader reads the result topic from where it ends now, all partitions of it, beside whoever else reads it.
func reader(brokers []string, results string) (*kgo.Client, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		// What a worker with delivery: exactly_once has aborted is no answer.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), connecting)
	defer cancel()
	// The ends are asked for before anything is sent: an answer that comes at once is not missed.
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, results)
	if err = errors.Join(err, ends.Error()); err != nil {
		client.Close()
		return nil, fmt.Errorf("%s cannot be read: %w", results, err)
	}
	client.AddConsumePartitions(ends.KOffsets())
	return client, nil
}

// receive prints the answers to those who wait, until nobody does or the time is up.
func receive(ctx context.Context, client *kgo.Client, waiting map[string]bool) error {
	for len(waiting) > 0 && ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, partition int32, err error) {
			if ctx.Err() == nil {
				fmt.Fprintf(os.Stderr, "reading %s, partition %d: %v\n", topic, partition, err)
			}
		})
		fetches.EachRecord(func(answer *kgo.Record) {
			// The key of an answer is the id of its request; others may send requests, too.
			id := string(answer.Key)
			if !waiting[id] {
				return
			}
			delete(waiting, id)
			fmt.Printf("%s\t%s\t%s\n", id, header(answer, "status"), answer.Value)
		})
	}
	if len(waiting) == 0 {
		return nil
	}
	var missing []string
	for id := range waiting {
		missing = append(missing, fmt.Sprintf("no answer to %s within %s", id, patience))
	}
	slices.Sort(missing)
	return errors.New(strings.Join(missing, "\n"))
}

func header(answer *kgo.Record, name string) string {
	for _, header := range answer.Headers {
		if header.Key == name {
			return string(header.Value)
		}
	}
	return ""
}
