package kafka

import (
	"sync"
	"testing"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
)

// Processes that start together all make the topics, and agree on which they are.
func testEnsureTogether(t *testing.T, brokers []string) {
	const n = 6
	logs := make([]*Log, n)
	for i := range logs {
		logs[i] = openLog(t, brokers)
	}
	for _, name := range []string{"tw.suite.a", "tw.suite.b", "tw.suite.c"} {
		var wg sync.WaitGroup
		got := make([]stream.Topic, n)
		for i, l := range logs {
			wg.Go(func() {
				var err error
				if got[i], err = l.EnsureTopic(t.Context(), stream.TopicSpec{Name: name, Partitions: 3}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, one := range got {
			if again, err := logs[0].EnsureTopic(t.Context(), stream.TopicSpec{Name: name}); err != nil || one != again {
				t.Errorf("topic %s is %+v to one process and %+v now, %v", name, one, again, err)
			}
		}
	}
}

func TestEnsureTopic_ProcessesThatStartTogetherAgree(t *testing.T) {
	t.Run("in process", func(t *testing.T) { testEnsureTogether(t, kafkatest.Start(t)) })
	t.Run("Apache Kafka", func(t *testing.T) { testEnsureTogether(t, []string{testenv.Kafka(t).Addr}) })
}
